package upgradetest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// Everything that the user put into the data directory, and every setting.
func TestConfigurationAndTheUsersOwnFilesAreCarriedOver(t *testing.T) {
	t.Parallel()
	volume := seeded(t, rows(15))
	old := filepath.Join(volume, "15/docker")
	appendTo(t, filepath.Join(old, "postgresql.conf"), `
# the user's own
ssl = on
ssl_cert_file = 'certs/server.crt'
ssl_key_file = 'certs/server.key'
include_dir = 'conf.d'
include_if_exists = 'not there.conf'
old_snapshot_threshold = 60min	# gone in 17
promote_trigger_file = 'x'
force_parallel_mode = off
work_mem = 5MB
`)
	put(t, filepath.Join(old, "conf.d/10.conf"), "work_mem = 6MB\nold_snapshot_threshold = 2h\nmaintenance_work_mem = 77MB\n")
	put(t, filepath.Join(old, "own dir/deep/file"), "kept\n")
	put(t, filepath.Join(old, "own.txt"), "mine\n")
	appendTo(t, filepath.Join(old, "pg_hba.conf"), "host sameuser \"odd user\" 10.0.0.0/8 reject # mine\n")
	appendTo(t, filepath.Join(old, "pg_ident.conf"), "map1 alice postgres\n")
	if err := os.Symlink("/etc/hostname", filepath.Join(old, "link")); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(old, "certs")
	if err := os.Mkdir(key, 0o755); err != nil {
		t.Fatal(err)
	}
	host(t, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=pg", "-keyout", key+"/server.key", "-out", key+"/server.crt")
	host(t, "chown", "-R", "999:999", key)
	host(t, "chmod", "0600", key+"/server.key")

	c := testbed.Run(t, spec(15, testbed.Bind(volume, home)))
	serves(t, c, 15)
	psql(t, c, "alter system set log_min_duration_statement = '3s'")
	psql(t, c, "alter system set vacuum_defer_cleanup_age = 7") // gone in 16
	psql(t, c, "select pg_reload_conf()")
	before := testbed.Snapshot(c, testbed.Access{})
	u := became(t, c, volume, drop(t, volume, "17"), node.UpgradeDone)
	serves(t, c, 17)
	same(t, before, testbed.Snapshot(c, testbed.Access{}))

	for name, want := range map[string]string{
		"ssl": "on", "work_mem": "5MB", "maintenance_work_mem": "77MB", "log_min_duration_statement": "3s", "wal_segment_size": "1MB",
	} {
		if got := psql(t, c, "show "+name); got != want {
			t.Errorf("%s is %s, not %s", name, got, want)
		}
	}
	now := filepath.Join(volume, "17/docker")
	conf := text(t, filepath.Join(now, "postgresql.conf"))
	for _, gone := range []string{"old_snapshot_threshold = 60min", "promote_trigger_file = 'x'"} {
		if !regexp.MustCompile(`(?m)^\s*#.*` + regexp.QuoteMeta(gone)).MatchString(conf) {
			t.Errorf("%q is not commented out", gone)
		}
	}
	if got := text(t, filepath.Join(now, "conf.d/10.conf")); !strings.Contains(got, "#") || !strings.Contains(got, "maintenance_work_mem = 77MB") {
		t.Errorf("conf.d/10.conf: %s", got)
	}
	if got := text(t, filepath.Join(now, "postgresql.auto.conf")); !strings.Contains(got, "log_min_duration_statement = '3s'") {
		t.Errorf("postgresql.auto.conf: %s", got)
	}
	for name, want := range map[string]string{
		"own dir/deep/file": "kept\n", "own.txt": "mine\n", "certs/server.crt": "BEGIN CERTIFICATE",
		"pg_hba.conf": "host sameuser \"odd user\" 10.0.0.0/8 reject # mine\n", "pg_ident.conf": "map1 alice postgres\n",
	} {
		if got := text(t, filepath.Join(now, name)); !strings.Contains(got, want) {
			t.Errorf("%s is now %q", name, got)
		}
	}
	if to, err := os.Readlink(filepath.Join(now, "link")); err != nil || to != "/etc/hostname" {
		t.Errorf("the symbolic link leads to %q, %v", to, err)
	}
	for _, name := range []string{"old_snapshot_threshold", "promote_trigger_file", "vacuum_defer_cleanup_age"} {
		says(t, describe(u), name)
	}
	psql(t, c, "alter system reset log_min_duration_statement")
}

func appendTo(t *testing.T, path, more string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(more); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func text(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(raw)
}

// The users' own extensions, updated with their members, whatever depends on them.
func TestExtensionsAreUpdatedAndViewsOverThemStandNothingInTheWay(t *testing.T) {
	t.Parallel()
	volume := seeded(t, rows(15))
	s := spec(15, testbed.Bind(volume, home))
	s.Args = []string{"-c", "shared_preload_libraries=pg_stat_statements"}
	c := testbed.Run(t, s)
	serves(t, c, 15)
	psql(t, c, "create extension pg_stat_statements")
	psql(t, c, "create extension pg_trgm")
	psql(t, c, "create view slow as select query, calls from pg_stat_statements")
	u := became(t, c, volume, drop(t, volume, "17"), node.UpgradeDone)
	serves(t, c, 17)
	t.Log(describe(u))
	psql(t, c, "select count(*) from slow")
	if got := psql(t, c, "select extversion = default_version from pg_extension join pg_available_extensions on name = extname where extname = 'pg_trgm'"); got != "t" {
		t.Errorf("pg_trgm is of the newest version: %s", got)
	}
}

// Statistics are there when it says so, and of the collations each is of this
// major's version.
func TestStatisticsAndCollationVersionsAreThereAfterwards(t *testing.T) {
	t.Parallel()
	volume := seeded(t, rows(15))
	c := testbed.Run(t, spec(15, testbed.Bind(volume, home)))
	serves(t, c, 15)
	became(t, c, volume, drop(t, volume, "target: 18\nanalyze: full\nreindex: changed\njobs: 2\nkeep: 3h\n"), node.UpgradeDone)
	serves(t, c, 18)
	u := result(t, volume)
	if got := psql(t, c, "select count(*) from pg_stats where tablename = 'whole'"); got == "0" {
		t.Error("there are no statistics")
	}
	if got := psql(t, c, "select count(*) from pg_collation where collversion <> pg_collation_actual_version(oid)"); got != "0" {
		t.Errorf("%s collations are of another version", got)
	}
	if left := u.FinishAt.Sub(u.Ended).Hours(); left < 2.9 || left > 3.1 {
		t.Errorf("it is to finish %v after its end", fmt.Sprint(left))
	}
}
