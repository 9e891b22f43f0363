//go:build realpg

package inplace

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
)

var paths = [][2]int{{15, 17}, {15, 18}, {17, 18}}

func eachPath(t *testing.T, test func(t *testing.T, from, to int)) {
	for _, p := range paths {
		t.Run(fmt.Sprintf("%d-%d", p[0], p[1]), func(t *testing.T) { test(t, p[0], p[1]) })
	}
}

func TestRealNothingStandsAgainstAnOrdinaryCluster(t *testing.T) {
	eachPath(t, func(t *testing.T, from, to int) {
		l := newLive(t, from, to)
		archive := filepath.Join(l.dir, "archive")
		if err := errors.Join(os.Mkdir(archive, 0o777), os.Chmod(archive, 0o777)); err != nil {
			t.Fatal(err)
		}
		l.conf("archive_mode = on\narchive_command = 'cp %p " + archive + "/%f'\nmax_wal_size = '64MB'\n")
		l.start("-c", "archive_mode=on", "-c", "work_mem=8MB", "-c", "application_name=it's odd $HOME")
		l.sql("postgres", "create role other superuser login")
		l.site.Superuser = "other"
		l.sql("postgres", `alter role postgres rename to "O""dd 'Größe' \"`)
		l.site.Superuser = `O"dd 'Größe' \`
		l.sql("postgres", "create table t (a int primary key)", "create role pink", `create database "a 'b"`)
		l.sql(`a 'b`, "create extension hstore", "create extension pg_trgm", "create table t (h hstore)")
		req := node.UpgradeRequest{Do: node.UpgradeNow}
		if got := codesOf(l.preflight(req), node.Refuse); got != "" {
			t.Errorf("refused: %s", got)
		}
		f := l.gather(req)
		if f.Server.Superuser.Name != l.site.Superuser {
			t.Errorf("%+v", f.Server.Superuser)
		}
		l.stop()
		before := entriesOf(t, archive)
		if err := l.upgrade(f, node.ModeLink); err != nil {
			t.Error(err)
		}
		if after := entriesOf(t, archive); !slices.Equal(before, after) || len(before) == 0 {
			t.Errorf("archived before: %q, after: %q", before, after)
		}
		if major, err := pg.DataMajor(l.site.Scratch("new")); major != to || err != nil {
			t.Error(major, err)
		}
	})
}

func TestRealTheNewClusterMatchesWhateverTheOldOneIs(t *testing.T) {
	cases := map[string]struct {
		from, to int
		initdb   []string
		settings []string
	}{
		"checksums, big segments":  {15, 18, []string{"-k", "--wal-segsize=64", "-g"}, nil},
		"no checksums to 18":       {15, 18, []string{"--wal-segsize=1"}, nil},
		"no checksums from 18's":   {17, 18, nil, nil},
		"checksums to 17":          {15, 17, []string{"-k"}, nil},
		"latin1, C":                {15, 17, []string{"--encoding=LATIN1", "--locale=C"}, nil},
		"sql_ascii":                {15, 18, []string{"--encoding=SQL_ASCII", "--no-locale"}, nil},
		"different collate, ctype": {15, 18, []string{"--encoding=UTF8", "--lc-collate=C", "--lc-ctype=en_US.UTF-8", "--locale=C.UTF-8"}, nil},
		"icu from 15":              {15, 17, []string{"--locale-provider=icu", "--icu-locale=de-u-co-phonebk", "--locale=en_US.UTF-8"}, nil},
		"icu with rules":           {17, 18, []string{"--locale-provider=icu", "--icu-locale=en", "--icu-rules=&a < g", "--locale=en_US.UTF-8"}, nil},
		"builtin":                  {17, 18, []string{"--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=en_US.UTF-8"}, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			l := newLive(t, c.from, c.to, c.initdb...)
			l.start(c.settings...)
			l.sql("postgres", "select lo_from_bytea(0, 'x')") // a table of 17 may be one that 18 refuses: testbed.Upgradable
			req := node.UpgradeRequest{Do: node.UpgradeNow, Mode: node.ModeCopy}
			if got := codesOf(l.check(req), node.Refuse); got != "" {
				t.Fatalf("refused: %s", got)
			}
			if err := l.upgrade(l.gather(req), node.ModeCopy); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestRealTheWALDirectoryOutsideIsMadeAndRemovedWhenRefused(t *testing.T) {
	wal, err := os.MkdirTemp("/tmp", "wal")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(wal) })
	if err := os.Chmod(wal, 0o777); err != nil {
		t.Fatal(err)
	}
	l := newLive(t, 15, 17, "-X", wal+"/15")
	l.start()
	if got := codesOf(l.preflight(node.UpgradeRequest{Do: node.UpgradeNow}), node.Refuse); got != "" {
		t.Fatal(got)
	}
	if to, err := os.Readlink(l.site.Scratch("new/pg_wal")); to != wal+"/17" {
		t.Error(to, err)
	}
	if err := os.RemoveAll(wal + "/17"); err != nil {
		t.Fatal(err)
	}
	if got := codesOf(l.preflight(node.UpgradeRequest{Do: node.UpgradeCheck}), node.Refuse); got != "" {
		t.Fatal(got)
	}
	if _, err := os.Stat(wal + "/17"); !errors.Is(err, os.ErrNotExist) {
		t.Error("left behind", err)
	}
	if err := os.MkdirAll(wal+"/17/somebody's", 0o755); err != nil {
		t.Fatal(err)
	}
	_ = l.site.clearScratch()
	_, _, err = Preflight(t.Context(), &l.site, l.open, node.UpgradeRequest{}, l.tell)
	if err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Error(err)
	}
	if _, err := os.Stat(wal + "/17/somebody's"); err != nil {
		t.Error(err)
	}
}

func TestRealWhatPgUpgradeChecksComesWithNamesAndHints(t *testing.T) {
	cases := map[string]struct {
		from, to int
		conf     string
		sql      []string
		codes    string
		detail   string
	}{
		"reg* columns":             {15, 17, "", []string{"create table reg (p regproc, n int)"}, "reg-columns", "public.reg.p"},
		"reg* columns, 18":         {17, 18, "", []string{"create table reg (p regproc, n int)", "create table c (c pg_class)"}, "system-composite-columns reg-columns", "public.reg.p"},
		"system composites":        {15, 17, "", []string{"create table comp (c information_schema.tables)"}, "system-composite-columns", "public.comp.c"},
		"aclitem":                  {15, 17, "", []string{"create table acl (a aclitem[])"}, "aclitem-columns", "public.acl.a"},
		"prepared transactions":    {15, 17, "max_prepared_transactions = 5\n", []string{"begin; create table p (a int); prepare transaction 'gid one'"}, "prepared-transactions", ""},
		"closed database":          {15, 17, "", []string{"create database shut", "alter database shut allow_connections false"}, "database-closed", ""},
		"closed database, 18":      {17, 18, "", []string{"create database shut", "alter database shut allow_connections false"}, "database-closed", ""},
		"open template0":           {17, 18, "", []string{"alter database template0 allow_connections true"}, "template0-open", ""},
		"invalid database":         {15, 17, "", []string{"create database bad", "update pg_database set datconnlimit = -2 where datname = 'bad'"}, "database-invalid", ""},
		"library gone":             {15, 17, "", []string{"create function f() returns int language c as '$libdir/adminpack', 'pg_file_write'"}, "library-missing", ""},
		"a child without not null": {17, 18, "", []string{"create table parent (a int not null)", "create table child () inherits (parent)", "alter table child alter a drop not null"}, "not-null-inheritance", "public.child.a"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			l := newLive(t, c.from, c.to)
			l.conf(c.conf)
			l.start()
			for _, q := range c.sql {
				l.sql("postgres", q)
			}
			found := l.check(node.UpgradeRequest{})
			if got := codesOf(found, node.Refuse); got != c.codes {
				t.Errorf("pg_upgrade: %q", got)
			}
			details := ""
			for _, f := range found {
				details += f.Detail
			}
			if !strings.Contains(details, c.detail) {
				t.Errorf("%q lacks %q", details, c.detail)
			}
			all := codesOf(l.preflight(node.UpgradeRequest{Do: node.UpgradeCheck}), node.Refuse)
			t.Logf("all: %s", all)
			if c.codes != "" && !strings.Contains(all, strings.Fields(c.codes)[0]) {
				t.Errorf("preflight: %q", all)
			}
		})
	}
}

func TestRealAConfigurationOutsideTheDataDirectoryReachesPgUpgradesServers(t *testing.T) {
	l := newLive(t, 17, 18)
	conf := filepath.Join(l.dir, "the user's")
	if err := errors.Join(os.Mkdir(conf, 0o755), os.Rename(l.site.PGData+"/postgresql.conf", conf+"/main.conf"),
		os.WriteFile(conf+"/more.conf", []byte("wal_level = logical\nshared_preload_libraries = 'pg_stat_statements'\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(conf+"/main.conf", os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString("include 'more.conf'\n")
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	l.start("-c", "config_file="+conf+"/main.conf", "-c", "max_connections=33")
	// Without wal_level logical the old server would not start with such a slot.
	l.sql("postgres", "select pg_create_logical_replication_slot('log', 'pgoutput')")
	if got := codesOf(l.preflight(node.UpgradeRequest{Do: node.UpgradeNow}), node.Refuse); got != "" {
		t.Fatal(got)
	}
	facts := l.gather(node.UpgradeRequest{})
	l.sql("postgres", "select count(*) from pg_logical_slot_get_binary_changes('log', null, null, 'proto_version', '1', 'publication_names', 'p')")
	if err := l.upgrade(facts, node.ModeLink); err != nil {
		t.Error(err)
	}
}

func TestRealAPathThatAShellWouldChangeIsRefused(t *testing.T) {
	l := newLiveIn(t, "/tmp", 15, 17, "postgres")
	odd := l.dir + "/a völume"
	if err := errors.Join(os.Mkdir(odd, 0o755), os.Rename(l.site.PGData, odd+"/old"), os.Chown(odd, int(l.site.User.UID), 0)); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(odd)
	if err != nil {
		t.Fatal(err)
	}
	l.site.Root, l.site.Volume, l.site.PGData = root, odd, odd+"/old"
	l.start()
	if got := codesOf(l.preflight(node.UpgradeRequest{Do: node.UpgradeCheck, NoTrial: true}), node.Refuse); got != "path-unusable" {
		t.Error(got)
	}
}

func TestRealTheFileSystemDecidesAboutTheMode(t *testing.T) {
	dir := os.Getenv("PGBATON_TEST_CLONES") // on a file system that clones files
	l := newLiveIn(t, "/tmp", 15, 17, "postgres")
	l.start()
	f := l.gather(node.UpgradeRequest{})
	if f.CloneTrouble == "" || f.LinkTrouble != "" {
		t.Errorf("tmpfs: %q, %q", f.CloneTrouble, f.LinkTrouble)
	}
	if got := codesOf(l.preflight(node.UpgradeRequest{Do: node.UpgradeCheck, Mode: node.ModeClone, NoTrial: true}), node.Refuse); got != "mode-impossible" {
		t.Error(got)
	}
	l = newLiveIn(t, dir, 15, 17, "postgres")
	l.start()
	f = l.gather(node.UpgradeRequest{})
	if f.CloneTrouble != "" || f.LinkTrouble != "" {
		t.Errorf("%s: %q, %q", dir, f.CloneTrouble, f.LinkTrouble)
	}
	if got := codesOf(l.preflight(node.UpgradeRequest{Do: node.UpgradeNow, Mode: node.ModeClone}), node.Refuse); got != "" {
		t.Error(got)
	}
	if err := l.upgrade(f, node.ModeClone); err != nil {
		t.Error(err)
	}
	// A tablespace elsewhere cannot be cloned, but linked where it is.
	l = newLiveIn(t, dir, 15, 17, "postgres")
	space, err := os.MkdirTemp("/tmp", "space")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(space, int(l.site.User.UID), int(l.site.User.GID)); err != nil {
		t.Fatal(err)
	}
	l.start()
	l.sql("postgres", "create tablespace elsewhere location '"+space+"'")
	f = l.gather(node.UpgradeRequest{})
	if !strings.Contains(f.CloneTrouble, space) || f.LinkTrouble != "" {
		t.Errorf("%q, %q", f.CloneTrouble, f.LinkTrouble)
	}
	// A database somewhere else cannot be linked.
	if err := os.Symlink(space, l.site.PGData+"/base/777"); err != nil {
		t.Fatal(err)
	}
	f = l.gather(node.UpgradeRequest{})
	_ = os.Remove(l.site.PGData + "/base/777")
	if mode, finding := upgrade.ChooseMode(node.ModeLink, f); finding == nil || !strings.Contains(finding.Text, "different file systems") {
		t.Error(mode, finding)
	}
	for _, d := range []string{space, l.site.PGData, l.site.Scratch("")} {
		for _, name := range entriesOf(t, d) {
			if strings.HasPrefix(name, probeName) {
				t.Errorf("%s was left in %s", name, d)
			}
		}
	}
}

func entriesOf(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestRealATablespaceIsLookedAt(t *testing.T) {
	l := newLive(t, 15, 17)
	good, gone, inside := filepath.Join(l.dir, "good"), filepath.Join(l.dir, "gone"), filepath.Join(l.site.PGData, "inside")
	l.conf("allow_in_place_tablespaces = on\n")
	for _, dir := range []string{good, gone, inside} {
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, int(l.site.User.UID), int(l.site.User.GID))); err != nil {
			t.Fatal(err)
		}
	}
	l.start()
	l.sql("postgres", "create tablespace good location '"+good+"'", "create tablespace gone location '"+gone+"'",
		"create tablespace inside location '"+inside+"'", "create tablespace place location ''")
	if err := errors.Join(os.RemoveAll(gone), os.Mkdir(good+"/PG_17_202406281", 0o700)); err != nil {
		t.Fatal(err)
	}
	got := codesOf(l.preflight(node.UpgradeRequest{Do: node.UpgradeCheck}), node.Refuse)
	for _, want := range []string{"tablespace-leftover", "tablespace-missing", "tablespace-inside", "tablespace-in-place"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in %q", want, got)
		}
	}
}

func TestRealAMissingExtensionAndMissingPreloadLibrariesAreNamed(t *testing.T) {
	l := newLive(t, 15, 17)
	share := "/usr/share/postgresql/15/extension/"
	for name, text := range map[string]string{
		"onlyold.control": "default_version = '1.0'\n", "onlyold--1.0.sql": "create function onlyold() returns int language sql return 1;\n",
	} {
		if err := os.WriteFile(share+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"onlyold.so", "plugins/mine.so"} {
		raw, err := os.ReadFile("/usr/lib/postgresql/15/lib/auto_explain.so")
		if err != nil {
			t.Fatal(err)
		}
		path := "/usr/lib/postgresql/15/lib/" + name
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, raw, 0o755)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(path) })
	}
	l.conf("shared_preload_libraries = 'pg_stat_statements, onlyold'\n")
	l.start()
	l.sql("postgres", "create extension onlyold", "create role r", "alter role r in database postgres set local_preload_libraries = 'mine'")
	f := l.gather(node.UpgradeRequest{})
	if len(f.NoExtensions) != 1 || f.NoExtensions[0].Name != "onlyold" || len(f.NoPreloads) != 2 {
		t.Errorf("%+v %+v", f.NoExtensions, f.NoPreloads)
	}
	got := codesOf(l.preflight(node.UpgradeRequest{Do: node.UpgradeCheck}), node.Refuse)
	if !strings.HasPrefix(got, "extension-missing preload-missing preload-missing") {
		t.Error(got)
	}
}

func TestRealSlotsAndSubscriptionsAreNamed(t *testing.T) {
	l := newLive(t, 15, 17)
	l.conf("wal_level = logical\n")
	l.start()
	l.sql("postgres", "select pg_create_logical_replication_slot('log', 'pgoutput')", "select pg_create_physical_replication_slot('phys')",
		"create subscription sub connection 'dbname=none' publication p with (connect = false)")
	got := codesOf(l.preflight(node.UpgradeRequest{Do: node.UpgradeCheck}), node.Note)
	for _, want := range []string{"slots-lost", "physical-slots-lost", "subscriptions-forget"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in %q", want, got)
		}
	}
	l = newLive(t, 17, 18)
	l.conf("wal_level = logical\nmax_replication_slots = 30\n")
	l.start()
	l.sql("postgres", "create publication p for all tables",
		"create subscription sub connection 'dbname=none' publication p with (connect = false)")
	for i := range 12 {
		l.sql("postgres", fmt.Sprintf("select pg_create_logical_replication_slot('log%d', 'pgoutput')", i))
	}
	found := l.preflight(node.UpgradeRequest{Do: node.UpgradeNow})
	if got := codesOf(found, node.Refuse); got != "" {
		t.Error(got)
	}
	if got := codesOf(found, node.Note); !strings.Contains(got, "slots-kept subscriptions-kept") {
		t.Error(got)
	}
	f := l.gather(node.UpgradeRequest{})
	for i := range 12 { // nothing is left to read for them
		l.sql("postgres", fmt.Sprintf("select count(*) from pg_logical_slot_get_binary_changes('log%d', null, null, 'proto_version', '1', 'publication_names', 'p')", i))
	}
	if err := l.upgrade(f, node.ModeLink); err != nil {
		t.Error(err)
	}
}

func TestRealAStandbyAndASocketlessServerAreRefused(t *testing.T) {
	l := newLive(t, 15, 17)
	l.start()
	if err := os.WriteFile(l.site.PGData+"/standby.signal", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := codesOf(l.preflight(node.UpgradeRequest{}), node.Refuse); got != "standby-signal" {
		t.Error(got)
	}
	l.stop()
	l.start()
	if got := codesOf(l.preflight(node.UpgradeRequest{}), node.Refuse); got != "standby-signal in-recovery" {
		t.Error(got)
	}
	l.stop()
	if err := os.Remove(l.site.PGData + "/standby.signal"); err != nil {
		t.Fatal(err)
	}
	l.run(l.site.Old, "pg_ctl", "-D", l.site.PGData, "-w", "-l", l.dir+"/log", "-o", "-k '' -c listen_addresses=127.0.0.1", "start")
	if got := codesOf(l.preflight(node.UpgradeRequest{}), node.Refuse); got != "no-socket" {
		t.Error(got)
	}
}

func TestRealASuperuserWhoLostItsRightsIsRefused(t *testing.T) {
	l := newLive(t, 15, 17)
	l.start()
	l.sql("postgres", "create role other superuser login", "alter role postgres nosuperuser")
	if got := codesOf(l.preflight(node.UpgradeRequest{}), node.Refuse); !strings.HasPrefix(got, "superuser-limited") {
		t.Error(got)
	}
	l.site.Superuser = "other"
	l.sql("postgres", "alter role postgres superuser nologin")
	l.site.Superuser = "postgres"
	if got := codesOf(l.preflight(node.UpgradeRequest{}), node.Refuse); got != "no-login" {
		t.Error(got)
	}
}

func TestRealBrokenProgramsAreNamed(t *testing.T) {
	l := newLive(t, 15, 17)
	l.start()
	dir := l.dir + "/17/bin"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range pg.NewPrograms {
		if err := os.Symlink("/usr/lib/postgresql/17/bin/"+name, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	put := func(name, script string) {
		t.Helper()
		_ = os.Remove(filepath.Join(dir, name))
		if script != "" {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	put("vacuumdb", "")
	put("psql", "#!/bin/sh\necho 'psql (PostgreSQL) 17.0'\n")
	put("pg_restore", "#!/bin/sh\necho 'pg_restore (PostgreSQL) 15.9'\n")
	put("pg_dump", "#!/bin/sh\necho libnothing.so: cannot open >&2; exit 127\n")
	put("pg_dumpall", "#!/no/such/interpreter\n")
	put("pg_resetwal", "#!/bin/sh\necho hello\n")
	l.site.New.Bin = dir
	var names []string
	for _, f := range l.preflight(node.UpgradeRequest{}) {
		if f.Code != "program-broken" {
			t.Error(f)
		}
		names = append(names, filepath.Base(strings.Fields(f.Text)[0]))
	}
	if got := strings.Join(names, " "); got != "pg_resetwal pg_dump pg_dumpall pg_restore psql vacuumdb" {
		t.Error(got)
	}
}

func TestRealADataDirectoryOfRootIsRefused(t *testing.T) {
	l := newLive(t, 15, 17)
	l.start()
	if err := os.Chown(l.site.PGData+"/global", 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(l.site.PGData+"/global", 0o755); err != nil {
		t.Fatal(err)
	}
	f := l.gather(node.UpgradeRequest{})
	_ = os.Chown(l.site.PGData+"/global", int(l.site.User.UID), int(l.site.User.GID))
	if len(f.Unwritable) != 1 || f.Unwritable[0] != l.site.PGData+"/global" {
		t.Error(f.Unwritable)
	}
}
