package pg

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// args are the server's arguments. What stands there wins over postgresql.conf
// and postgresql.auto.conf (PGC_S_ARGV in guc.h), which may be those of a
// cluster that serves or served, with everything that it does to the world.
func (s HelperSpec) args(dir string) []string {
	set := s.closed(dir)
	maps.Copy(set, s.harmless())
	maps.Copy(set, s.undisturbed())
	maps.Copy(set, s.Settings)
	args := []string{"-D", s.Data}
	if s.BinaryUpgrade {
		args = append(args, "-b")
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		args = append(args, "-c", name+"="+set[name])
	}
	return args
}

// closed keeps the world out.
func (s HelperSpec) closed(dir string) map[string]string {
	return map[string]string{
		"listen_addresses":        "",
		"port":                    strconv.Itoa(helperPort),
		"unix_socket_directories": dir,
		"unix_socket_permissions": "0700",
		"unix_socket_group":       "",
		"hba_file":                dir + "/pg_hba.conf",
		"ident_file":              dir + "/pg_ident.conf",
		"ssl":                     "off",
		"bonjour":                 "off",
	}
}

// harmless keeps it from touching anything but its data directory.
func (s HelperSpec) harmless() map[string]string {
	res := map[string]string{
		"data_directory":                  s.Data, // a setting of that name in the file would win over -D
		"external_pid_file":               "",
		"archive_mode":                    "off",
		"archive_command":                 "",
		"restore_command":                 "",
		"archive_cleanup_command":         "",
		"recovery_end_command":            "",
		"primary_conninfo":                "",
		"synchronous_standby_names":       "",
		"max_logical_replication_workers": "0",
		"shared_preload_libraries":        s.Preload,
		"session_preload_libraries":       "",
		"local_preload_libraries":         "",
		"logging_collector":               "off",
		"log_destination":                 "stderr",
		"autovacuum":                      onOff(s.Autovacuum),
		"fsync":                           onOff(s.Fsync),
		"full_page_writes":                onOff(s.Fsync),
		"synchronous_commit":              onOff(s.Fsync),
	}
	if s.Binaries.Major >= 15 {
		res["archive_library"] = ""
	}
	if s.Binaries.Major >= 17 {
		res["summarize_wal"] = "off"
	}
	return res
}

// undisturbed keeps settings meant for clients and for another amount of
// memory away: shared_buffers of the serving cluster does not fit twice.
func (s HelperSpec) undisturbed() map[string]string {
	res := map[string]string{
		"shared_buffers": "64MB", "huge_pages": "off", "jit": "off", "cluster_name": "pgbaton-helper",
		"default_transaction_read_only": "off",
		"statement_timeout":             "0", "lock_timeout": "0",
		"idle_in_transaction_session_timeout": "0", "idle_session_timeout": "0",
		"lc_messages": "C", "log_statement": "none", "log_min_duration_statement": "-1",
		"log_min_messages": "warning", "log_min_error_statement": "panic", "log_line_prefix": "",
		"log_connections": "off", "log_disconnections": "off", "log_checkpoints": "off",
		"log_error_verbosity": "default",
	}
	if s.Binaries.Major < 14 {
		delete(res, "idle_session_timeout")
	}
	if s.Binaries.Major >= 17 {
		res["transaction_timeout"] = "0"
	}
	return res
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// helperEnv leaves out what libpq and the server would read.
func helperEnv(env []string) []string {
	return slices.DeleteFunc(plainMessages(env), func(kv string) bool { return strings.HasPrefix(kv, "PG") })
}
