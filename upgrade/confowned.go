package upgrade

import (
	"sort"
	"strings"
)

// serverMade are the names at the top of a data directory that initdb or the
// server of 13 to 18 makes (initdb.c, xlog.h, pidfile.h, syslogger.h,
// backup_manifest.c), and the configuration files, which are carried by themselves.
var serverMade = names(`
	PG_VERSION base global
	pg_commit_ts pg_dynshmem pg_logical pg_multixact pg_notify pg_replslot pg_serial pg_snapshots
	pg_stat pg_stat_tmp pg_subtrans pg_tblspc pg_twophase pg_wal pg_xact pg_upgrade_output.d
	postmaster.pid postmaster.opts current_logfiles current_logfiles.tmp
	backup_label backup_label.old backup_manifest backup_manifest.tmp tablespace_map tablespace_map.old
	recovery.signal standby.signal recovery.conf recovery.done promote fallback_promote logrotate
	postgresql.conf postgresql.auto.conf postgresql.auto.conf.tmp pg_hba.conf pg_ident.conf
	pg_internal.init pgsql_tmp`)

// neverCarried are ours and the file system's.
var neverCarried = names(`.pgbaton upgrade upgrade.result.json lost+found`)

func names(list string) map[string]bool {
	res := map[string]bool{}
	for _, n := range strings.Fields(list) {
		res[n] = true
	}
	return res
}

// UsersOwn tells which of the entries at the top of the old data directory are
// the user's: all that neither initdb, the server nor pgbaton made. logDir and
// pidFile are what the settings log_directory and external_pid_file name there,
// empty where that is elsewhere. Core dumps stay with the cluster that made them.
func UsersOwn(entries []string, logDir, pidFile string) []string {
	var res []string
	for _, n := range entries {
		switch {
		case serverMade[n], neverCarried[n], n == logDir, n == pidFile:
		case strings.HasPrefix(n, ".s.PGSQL."): // a socket and its lock file
		case strings.HasPrefix(n, "upgrade.claimed"), strings.HasPrefix(n, "upgrade.result.json."):
		case n == "core", strings.HasPrefix(n, "core.") && strings.Trim(n[len("core."):], "0123456789") == "":
		default:
			res = append(res, n)
		}
	}
	sort.Strings(res)
	return res
}
