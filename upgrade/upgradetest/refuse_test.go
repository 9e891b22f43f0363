package upgradetest

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// badInput is something that an upgrade must not begin with.
type badInput struct {
	name   string
	marker string   // default: empty
	before []string // SQL on the database postgres
	after  []string // SQL that takes it back
	place  func(t *testing.T, marker string)
	says   []string // in what the result says, of any letter case
}

var badMarkers = []badInput{
	{name: "a marker with an unknown key", marker: "target: 18\nmodus: link\n", says: []string{"modus", "line 2"}},
	{name: "a marker with an impossible value", marker: "mode: fast", says: []string{"fast", "clone"}},
	{name: "a marker with a key twice", marker: "target: 18\ntarget: 17\n", says: []string{"target", "line 1"}},
	{name: "a major that is not installed", marker: "16", says: []string{"16"}},
	{name: "a major that nobody knows", marker: "target: 99", says: []string{"99"}},
	{name: "the same major", marker: "15", says: []string{"serves already"}},
	{name: "a lower major", marker: "14", says: []string{"no way down to 14"}},
	{name: "a marker that is no text", marker: "\x00\x01\xff", says: []string{"text"}},
	{name: "a marker that is a directory", says: []string{"regular file"}, place: func(t *testing.T, marker string) {
		if err := os.Mkdir(marker, 0o755); err != nil {
			t.Fatal(err)
		}
	}},
	{name: "a marker that is a symbolic link", says: []string{"regular file"}, place: func(t *testing.T, marker string) {
		if err := os.Symlink("/etc/passwd", marker); err != nil {
			t.Fatal(err)
		}
	}},
	{name: "a marker that is a pipe", says: []string{"regular file"}, place: func(t *testing.T, marker string) {
		if err := syscall.Mkfifo(marker, 0o644); err != nil {
			t.Fatal(err)
		}
	}},
	{name: "a marker of a gigabyte", says: []string{"bytes"}, place: func(t *testing.T, marker string) {
		f, err := os.Create(marker + ".new")
		if err == nil {
			err = f.Truncate(1 << 30)
		}
		if err == nil {
			err = os.Rename(marker+".new", marker)
		}
		if err != nil {
			t.Fatal(err)
		}
	}},
}

var badClusters = []badInput{
	{
		name: "prepared transactions", says: []string{"prepared transaction", "odd gid"},
		before: []string{"begin; create table p (); prepare transaction 'odd gid'"}, after: []string{"rollback prepared 'odd gid'"},
	},
	{
		name: "a database that takes no connections", says: []string{"closed db"},
		before: []string{`create database "closed db"`, `alter database "closed db" allow_connections false`},
		after:  []string{`alter database "closed db" allow_connections true`, `drop database "closed db"`},
	},
	{
		name: "an invalid database", says: []string{"half made"},
		before: []string{`create database "half made"`, "update pg_database set datconnlimit = -2 where datname = 'half made'"},
		after:  []string{`drop database "half made"`},
	},
	{
		name: "a column of a type whose numbers change", says: []string{"reg*", "public.callbacks.f"},
		before: []string{"create table callbacks (f regproc)"}, after: []string{"drop table callbacks"},
	},
	{
		name: "a function whose library the new major has not", says: []string{"gone_library"},
		before: []string{
			"create function gone() returns trigger language c as '$libdir/moddatetime', 'moddatetime'",
			"update pg_proc set probin = '$libdir/gone_library' where proname = 'gone'",
		},
		after: []string{"drop function gone"},
	},
}

// One server meets them all, and serves on as if nothing had been asked.
func TestEveryBadInputIsRefusedAndTheServerServesOnUntouched(t *testing.T) {
	t.Parallel()
	volume := seeded(t, rows(15))
	s := spec(15, testbed.Bind(volume, home))
	s.Args = []string{"-c", "max_prepared_transactions=5", "-c", "allow_system_table_mods=on"}
	c := testbed.Run(t, s)
	serves(t, c, 15)
	load := begin(t, c)
	started := psql(t, c, "select pg_postmaster_start_time()")
	before := testbed.Snapshot(c, testbed.Access{})
	for _, bad := range append(badMarkers, badClusters...) {
		t.Run(bad.name, func(t *testing.T) {
			for _, sql := range bad.before {
				psql(t, c, sql)
			}
			was := result(t, volume)
			marker := filepath.Join(volume, "upgrade")
			if bad.place != nil {
				bad.place(t, marker)
			} else {
				drop(t, volume, bad.marker)
			}
			u := became(t, c, volume, was, node.UpgradeRefused)
			text := strings.ToLower(describe(u))
			for _, word := range bad.says {
				if !strings.Contains(text, word) {
					t.Errorf("the result does not say %q: %s", word, describe(u))
				}
			}
			for _, sql := range bad.after {
				psql(t, c, sql)
			}
			// What cannot be a marker is left alone, the user's to remove.
			if _, err := os.Lstat(marker); (err == nil) != (bad.place != nil) {
				t.Errorf("the marker afterwards: %v", err)
			}
			if err := os.RemoveAll(marker); err != nil {
				t.Fatal(err)
			}
			if now := psql(t, c, "select pg_postmaster_start_time()"); now != started {
				t.Fatalf("the server was started again at %s", now)
			}
		})
	}
	audited(t, load, c)
	same(t, before, testbed.Snapshot(c, testbed.Access{}))
	nothingLeft(t, volume)
	// What stood against it is gone, so the next request is carried out.
	was := drop(t, volume, "")
	became(t, c, volume, was, node.UpgradeDone)
	serves(t, c, 18)
	same(t, before, testbed.Snapshot(c, testbed.Access{}))
}

// nothingLeft fails where an upgrade left something to be cleared.
func nothingLeft(t *testing.T, volume string) {
	t.Helper()
	for _, name := range []string{".pgbaton/upgrade", ".pgbaton/retired/*"} {
		found, err := filepath.Glob(filepath.Join(volume, name))
		if err != nil || len(found) > 0 {
			t.Errorf("%v is left, %v", found, err)
		}
	}
}

// What only settings, modules and states of the old server stand against.
func TestAClusterThatTheNewMajorCannotServeAsItIsIsRefused(t *testing.T) {
	for _, bad := range []struct {
		name    string
		args    []string // of postgres
		before  string   // SQL
		arrange func(t *testing.T, volume string)
		says    []string
	}{
		{name: "a setting on the command line that the new major has not", args: []string{"-c", "old_snapshot_threshold=60min"}, says: []string{"old_snapshot_threshold"}},
		{name: "a preload library that the new major has not", args: []string{"-c", "shared_preload_libraries=old_snapshot"}, says: []string{"old_snapshot"}},
		{name: "an extension that the new major has not", before: "create extension adminpack", says: []string{"adminpack"}},
		{name: "a standby", arrange: func(t *testing.T, volume string) { put(t, filepath.Join(volume, "15/docker/standby.signal"), "") }, says: []string{"standby"}},
	} {
		t.Run(bad.name, func(t *testing.T) {
			t.Parallel()
			volume := seeded(t, rows(15))
			s := spec(15, testbed.Bind(volume, home))
			s.Args = bad.args
			if bad.arrange != nil {
				bad.arrange(t, volume)
			}
			c := testbed.Run(t, s)
			serves(t, c, 15)
			if bad.before != "" {
				psql(t, c, bad.before)
			}
			started := psql(t, c, "select pg_postmaster_start_time()")
			u := became(t, c, volume, drop(t, volume, "17"), node.UpgradeRefused)
			says(t, describe(u), bad.says...)
			if now := psql(t, c, "select pg_postmaster_start_time()"); now != started {
				t.Fatalf("the server was started again at %s", now)
			}
			nothingLeft(t, volume)
		})
	}
}

// A supervisor without root's rights meets files that it must not read.
func TestAMarkerThatCannotBeReadIsRefusedAndAReadableOneIsCarriedOutAfterwards(t *testing.T) {
	t.Parallel()
	volume := seeded(t, rows(15))
	host(t, "chown", "999:999", volume)
	s := spec(15, testbed.Bind(volume, home))
	s.User, s.CapDrop = "999:999", []string{"ALL"}
	c := testbed.Run(t, s)
	serves(t, c, 15)
	was := result(t, volume)
	marker := filepath.Join(volume, "upgrade")
	if err := os.WriteFile(marker+".new", []byte("17"), 0o000); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(marker+".new", marker); err != nil {
		t.Fatal(err)
	}
	u := became(t, c, volume, was, node.UpgradeRefused)
	says(t, u.Why, "cannot be read by uid 999")
	says(t, u.Why, "chmod a+r")
	serves(t, c, 15)
	host(t, "rm", "-f", marker)
	became(t, c, volume, drop(t, volume, "17\n"), node.UpgradeDone)
	serves(t, c, 17)
}
