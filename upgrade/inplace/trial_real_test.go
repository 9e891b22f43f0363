//go:build realpg

// These tests need, besides what after_real_test.go says, two small file systems:
//
//	docker run … --tmpfs /tmp:size=3g --tmpfs /small:size=400m --tmpfs /few:size=600m,nr_inodes=1700 …
package inplace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/upgrade"
)

// bench is an old server that runs, and the way to its next major.
type bench struct {
	*Site
	t     *testing.T
	run   string
	doing []string
	mu    sync.Mutex
}

func eachPair(t *testing.T, test func(t *testing.T, old, next pg.Binaries)) {
	found := pg.Find([]string{"/usr/lib/postgresql"})
	for _, p := range [][2]int{{15, 17}, {15, 18}, {17, 18}} {
		old, ok1 := pg.Pick(found, p[0])
		next, ok2 := pg.Pick(found, p[1])
		if !ok1 || !ok2 {
			t.Fatalf("PostgreSQL %d or %d is not here", p[0], p[1])
		}
		t.Run(fmt.Sprintf("%dto%d", p[0], p[1]), func(t *testing.T) { test(t, old, next) })
	}
}

func newBench(t *testing.T, old, next pg.Binaries, superuser string, settings ...string) *bench {
	t.Helper()
	return newBenchIn(t, "/tmp", old, next, superuser, settings...)
}

func newBenchIn(t *testing.T, dir string, old, next pg.Binaries, superuser string, settings ...string) *bench {
	t.Helper()
	u, err := proc.LookupUser("postgres")
	if err != nil {
		t.Fatal(err)
	}
	volume, err := os.MkdirTemp(dir, "vol")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(volume) })
	if err := errors.Join(os.Chmod(volume, 0o755), os.Chown(volume, int(u.UID), int(u.GID))); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(volume)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, run: volume + "/run", Site: &Site{
		Root: root, Volume: volume, PGData: volume + "/old", Old: old, New: next, User: u, Superuser: superuser,
		Environ: []string{"LANG=en_US.UTF-8", "PATH=/usr/bin:/bin"},
	}}
	if err := errors.Join(os.Mkdir(b.run, 0o755), os.Chown(b.run, int(u.UID), int(u.GID))); err != nil {
		t.Fatal(err)
	}
	b.must(old, "initdb", "-D", b.PGData, "-U", superuser, "-E", "UTF8", "--locale=en_US.UTF-8", "-N")
	opts := "-k " + b.run + " -c listen_addresses="
	for _, s := range settings {
		opts += " -c " + s
	}
	b.must(old, "pg_ctl", "-D", b.PGData, "-w", "-l", b.run+"/log", "-o", opts, "start")
	t.Cleanup(func() { b.must(old, "pg_ctl", "-D", b.PGData, "-w", "-m", "immediate", "stop") })
	return b
}

func (b *bench) must(bin pg.Binaries, args ...string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	out, err := proc.Output(ctx, b.spec(bin, args...))
	if err != nil {
		b.t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func (b *bench) sql(db string, statements ...string) string {
	b.t.Helper()
	args := []string{"psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", b.run, "-U", b.Superuser, "-d", "dbname='" + strings.ReplaceAll(strings.ReplaceAll(db, `\`, `\\`), "'", `\'`) + "'"}
	for _, s := range statements {
		args = append(args, "-c", s)
	}
	return strings.TrimSpace(b.must(b.Old, args...))
}

func (b *bench) session(ctx context.Context, do func(context.Context, func(string) pg.Login) error) error {
	return do(ctx, func(db string) pg.Login {
		return pg.Login{SocketDir: b.run, Port: 5432, User: b.Superuser, Database: db, PeerUID: -1}
	})
}

func (b *bench) progress(doing string, percent float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.doing = append(b.doing, fmt.Sprintf("%.0f%% %s", percent, doing))
}

// trial runs one and looks that nothing of it is left.
func (b *bench) trial(ctx context.Context) ([]node.Finding, error) {
	b.t.Helper()
	f := b.facts()
	begin := time.Now()
	found, err := Trial(ctx, b.Site, b.session, f, b.progress)
	b.t.Logf("%d to %d: %s; %d findings", b.Old.Major, b.New.Major, time.Since(begin).Round(time.Millisecond), len(found))
	for _, f := range found {
		b.t.Logf("%+v", f)
	}
	if _, err := os.Lstat(b.Scratch("trial")); !errors.Is(err, fs.ErrNotExist) {
		b.t.Errorf("the scratch directory is left: %v", err)
	}
	for _, dir := range []string{"/tmp", b.Volume} {
		list, err := os.ReadDir(dir)
		if err != nil {
			b.t.Error(err)
		}
		for _, e := range list {
			if strings.HasPrefix(e.Name(), "pgbaton-") {
				b.t.Errorf("left: %s/%s", dir, e.Name())
			}
		}
	}
	b.onlyTheOldServerRuns()
	return found, err
}

func (b *bench) facts() upgrade.Facts {
	b.t.Helper()
	f, err := Gather(b.t.Context(), b.Site, b.session, node.UpgradeRequest{}, func(string, float64) {})
	if err != nil {
		b.t.Fatal(err)
	}
	return f
}

// locked waits until somebody keeps everybody else from a relation.
func (b *bench) locked(relation string) {
	b.t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if b.sql("postgres", "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted and relation = '"+relation+"'::regclass") != "0" {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("nobody has locked %s", relation)
		}
	}
}

func (b *bench) onlyTheOldServerRuns() {
	b.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		list, err := proc.List()
		if err != nil {
			b.t.Fatal(err)
		}
		var left []string
		for _, p := range list {
			if p.State != 'Z' && (strings.HasPrefix(p.Comm, "pg_") || strings.HasPrefix(p.Cmdline, b.New.Bin)) && !strings.Contains(p.Comm, ".test") {
				left = append(left, p.Cmdline)
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			b.t.Errorf("still there: %q", left)
			return
		}
	}
}

func (b *bench) passes() {
	b.t.Helper()
	if found, err := b.trial(b.t.Context()); err != nil || len(found) != 0 {
		b.t.Errorf("%v, %v", found, err)
	}
}

func (b *bench) finds(code string) node.Finding {
	b.t.Helper()
	found, err := b.trial(b.t.Context())
	if err != nil || len(found) != 1 || found[0].Code != code || (found[0].Level == node.Refuse) == (code == "lock-table") {
		b.t.Fatalf("%v, %v", found, err)
	}
	return found[0]
}

func (b *bench) tree(dir string) string {
	b.t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		names = append(names, path)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.Join(names, "\n")
}

var oddNames = []string{`a b`, `q"uo'te`, `back\slash`, `d$o;l--lar`, `Größe`, `postgres://x=y`, `{cur,ly}`, "-dash", "%s%d"}

func quoteName(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

func TestRealATrialOfASchemaThatCanBeRestoredFindsNothingAndTouchesNothing(t *testing.T) {
	eachPair(t, func(t *testing.T, old, next pg.Binaries) {
		b := newBench(t, old, next, "the admin", "shared_preload_libraries=pg_stat_statements,auto_explain")
		for i, name := range oddNames {
			space := fmt.Sprintf("%s/space %d", b.Volume, i)
			if err := errors.Join(os.Mkdir(space, 0o700), os.Chown(space, int(b.User.UID), int(b.User.GID))); err != nil {
				t.Fatal(err)
			}
			q := quoteName(name)
			b.sql("postgres", "create role "+q+" login password E'it''s\\nCREATE TABLESPACE'", "alter role "+q+" set work_mem = '5MB'",
				"create tablespace "+q+" owner "+q+" location '"+space+"' with (seq_page_cost = 2, random_page_cost = 3)",
				"grant create on tablespace "+q+" to public",
				"create database "+q+" owner "+q+" tablespace "+q, "alter database "+q+" set search_path = 'x y', public",
				"comment on role "+q+" is E'two\\nlines'")
			b.sql(name, "create extension pg_stat_statements", "create extension hstore", "create extension pg_trgm",
				"create schema "+q+" authorization "+q, "create table "+q+".t (id serial primary key, h hstore, "+q+" text)",
				"create table here (a int) tablespace pg_default", "create view "+q+".v as select * from "+q+".t",
				"create materialized view m as select * from pg_stat_statements", "create publication p for all tables",
				"select lo_create(0) from generate_series(1, 20)", "insert into "+q+".t ("+q+") select 'x' from generate_series(1, 1000)", "analyze",
				"create subscription "+quoteName(fmt.Sprintf("s%d", i))+" connection 'dbname=nowhere' publication p with (connect = false)")
		}
		b.sql("postgres", "create table t (a int)", "create database closed", "alter database closed allow_connections false")
		b.sql("template1", "create table t (a int)")
		before := b.tree(b.Volume)
		counts := b.sql("postgres", "select oid, spcname from pg_tablespace order by 1")
		b.passes()
		if after := b.tree(b.Volume); keep(before) != keep(after) {
			t.Errorf("before:\n%.2000s\nafter:\n%.2000s", keep(before), keep(after))
		}
		if now := b.sql("postgres", "select oid, spcname from pg_tablespace order by 1"); now != counts {
			t.Error(now)
		}
		last := 0.0
		for _, d := range b.doing {
			var p float64
			if _, err := fmt.Sscanf(d, "%f%%", &p); err != nil || p > 100 {
				t.Error(d, err)
			}
			last = max(last, p)
		}
		if last < 80 || !slices.ContainsFunc(b.doing, func(s string) bool { return strings.Contains(s, `restoring the schema of database "a b", `) }) {
			t.Errorf("%q", b.doing)
		}
	})
}

// keep leaves out what the old server writes by itself.
func keep(tree string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(tree, "\n"), func(s string) bool {
		return strings.Contains(s, "/old/") || strings.HasSuffix(s, "pg_internal.init") || strings.Contains(s, "pgsql_tmp") || strings.HasSuffix(s, ScratchDir) || strings.HasSuffix(s, ".pgbaton")
	}), "\n")
}

// gone is a view that pg_upgrade --check lets pass and the new major refuses.
func gone(old int) string {
	if old < 17 {
		return "pg_stat_bgwriter"
	}
	return "pg_stat_io"
}

func TestRealATrialNamesTheViewThatCannotBeRestoredInEachDatabase(t *testing.T) {
	eachPair(t, func(t *testing.T, old, next pg.Binaries) {
		b := newBench(t, old, next, "postgres")
		for _, db := range []string{"a b", "fine", `c"d`} {
			b.sql("postgres", "create database "+quoteName(db))
			b.sql(db, "create table t (a int)")
		}
		for _, db := range []string{"a b", `c"d`} {
			b.sql(db, `create schema "s q"`, `create view "s q"."my v" as select * from `+gone(old.Major))
		}
		found, err := b.trial(t.Context())
		if err != nil || len(found) != 2 {
			t.Fatal(found, err)
		}
		for i, db := range []string{`"a b"`, `"c\"d"`} {
			f := found[i]
			want := fmt.Sprintf(`database %s: view "s q"."my v" cannot be restored in PostgreSQL %d`, db, next.Major)
			if f.Text != want || f.Code != "schema-trial" || !strings.HasPrefix(f.Detail, "ERROR:  column ") ||
				strings.Contains(f.Detail, "Command was") || !strings.Contains(f.Hint, "drop it") {
				t.Errorf("%+v", f)
			}
		}
		b.sql("a b", `drop view "s q"."my v"`)
		b.sql(`c"d`, `drop view "s q"."my v"`)
		b.passes()
		b.checkPasses()
	})
}

// checkPasses shows that pg_upgrade --check sees nothing in such a view.
func (b *bench) checkPasses() {
	b.t.Helper()
	b.sql("postgres", "create view seen as select * from "+gone(b.Old.Major))
	dir := b.Volume + "/check"
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, int(b.User.UID), int(b.User.GID))); err != nil {
		b.t.Fatal(err)
	}
	args := []string{"initdb", "-D", dir + "/new", "-U", "postgres", "-E", "UTF8", "--locale=en_US.UTF-8", "-N"}
	if b.New.Major >= 18 {
		args = append(args, "--no-data-checksums")
		if strings.Contains(b.sql("postgres", "show data_checksums"), "on") {
			args[len(args)-1] = "--data-checksums"
		}
	}
	b.must(b.New, args...)
	spec := b.spec(b.New, "pg_upgrade", "--check", "-b", b.Old.Bin, "-B", b.New.Bin, "-d", b.PGData, "-D", dir+"/new",
		"-p", "5432", "-U", "postgres", "-s", b.run)
	spec.Dir = dir
	out, err := proc.Output(b.t.Context(), spec)
	if err != nil || !strings.Contains(string(out), "*Clusters are compatible*") {
		b.t.Errorf("%v\n%s", err, out)
	}
	b.finds("schema-trial")
}

func TestRealATrialGivesUpOnALockedTable(t *testing.T) {
	eachPair(t, func(t *testing.T, old, next pg.Binaries) {
		b := newBench(t, old, next, "postgres")
		b.sql("postgres", "create table t (a int)", "create view v as select 1 as a")
		for _, what := range []string{"t", "v"} {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, _ = proc.Output(ctx, b.spec(old, "psql", "-Xq", "-h", b.run, "-U", "postgres", "-c",
					"set application_name = 'the migration'; begin; alter "+map[string]string{"t": "table t add b int", "v": "view v alter a set default 2"}[what]+"; select pg_sleep(300)"))
			}()
			b.locked(what)
			f := b.finds("schema-trial-lock")
			if !strings.Contains(f.Detail, "for public."+what+", which session ") || !strings.Contains(f.Detail, "the migration") {
				t.Errorf("%+v", f)
			}
			cancel()
			<-done
			b.sql("postgres", "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'the migration'")
		}
		b.passes()
	})
}

func TestRealATrialGivesWayToASessionThatWaitsForItsDump(t *testing.T) {
	eachPair(t, func(t *testing.T, old, next pg.Binaries) {
		b := newBench(t, old, next, "postgres")
		b.sql("postgres", "create table early (a int)", "create view late as select 1 as a")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var wg sync.WaitGroup
		background := func(sql ...string) {
			args := []string{"psql", "-Xq", "-h", b.run, "-U", "postgres"}
			for _, q := range sql {
				args = append(args, "-c", q)
			}
			wg.Go(func() { _, _ = proc.Output(ctx, b.spec(old, args...)) })
		}
		// The dump locks early, then waits for late for less than its limit,
		// while somebody waits for early: from the first moment on, so it looks
		// for the dump in the server itself.
		background("begin; alter view late alter a set default 2; select pg_sleep(300)")
		b.locked("late")
		background("do $$begin while not exists (select from pg_locks join pg_stat_activity a using (pid) where granted and relation = 'early'::regclass"+
			" and a.application_name = '"+trialApplication+"') loop perform pg_sleep(0.02), pg_stat_clear_snapshot(); end loop; end$$",
			"alter table early add b int")
		f := b.finds("schema-trial-lock")
		if !strings.Contains(f.Text, "gave way") || !strings.Contains(f.Detail, "alter table") {
			t.Errorf("%+v", f)
		}
		cancel()
		wg.Wait()
	})
}

func TestRealATrialThatTheLockTableHasNoRoomForIsNotBegun(t *testing.T) {
	eachPair(t, func(t *testing.T, old, next pg.Binaries) {
		b := newBench(t, old, next, "postgres", "max_connections=20", "max_locks_per_transaction=20")
		b.sql("postgres", "create database big")
		for i := range 10 { // in several transactions, for the same reason
			b.sql("big", fmt.Sprintf("do $$begin for i in 1..50 loop execute format('create table t%s_%%s (a int)', i); end loop; end$$", fmt.Sprint(i)))
		}
		f := b.finds("lock-table")
		if !strings.Contains(f.Text, `database "big" has 500 relations`) || !strings.Contains(f.Hint, "max_locks_per_transaction to 3") {
			t.Errorf("%+v", f)
		}
		if log, err := os.ReadFile(b.run + "/log"); err != nil || strings.Contains(string(log), "out of shared memory") {
			t.Errorf("%v\n%s", err, log)
		}
	})
}

func TestRealATrialOfManyTables(t *testing.T) {
	eachPair(t, func(t *testing.T, old, next pg.Binaries) {
		b := newBench(t, old, next, "postgres")
		b.sql("postgres", "create database many", "create database more")
		for _, db := range []string{"many", "more"} {
			for i := range 10 {
				b.sql(db, fmt.Sprintf("do $$begin for i in 1..200 loop execute format('create table t%d_%%s (a int primary key, b text)', i); end loop; end$$", i))
			}
		}
		b.passes()
	})
}

func TestRealACancelledTrialLeavesNothing(t *testing.T) {
	eachPair(t, func(t *testing.T, old, next pg.Binaries) {
		b := newBench(t, old, next, "postgres")
		for i := range 5 {
			b.sql("postgres", fmt.Sprintf("do $$begin for i in 1..200 loop execute format('create table t%d_%%s (a int primary key, b text)', i); end loop; end$$", i))
		}
		for _, at := range []string{"dumping roles", `dumping the schema of database "postgres"`, "making a throw-away", `restoring the schema of database "template1"`, `restoring the schema of database "postgres"`} {
			for _, after := range []time.Duration{0, 300 * time.Millisecond} {
				ctx, cancel := context.WithCancel(t.Context())
				found, err := func() ([]node.Finding, error) {
					defer cancel()
					tell := func(doing string, _ float64) {
						if strings.HasPrefix(doing, at) {
							time.AfterFunc(after, cancel)
						}
					}
					return Trial(ctx, b.Site, b.session, b.facts(), tell)
				}()
				if after == 0 && !errors.Is(err, context.Canceled) || len(found) != 0 {
					t.Errorf("%s: %v, %v", at, found, err)
				}
				if _, err := os.Lstat(b.Scratch("trial")); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: the scratch directory is left: %v", at, err)
				}
				b.onlyTheOldServerRuns()
				if n := b.sql("postgres", "select count(*) from pg_stat_activity where application_name = '"+trialApplication+"'"); n != "0" {
					t.Logf("%s: %s sessions of a dump end a little later", at, n)
				}
			}
		}
		b.passes()
	})
}

func TestRealATrialOnAFullDiskSaysSoAndLeavesAReserveToTheServer(t *testing.T) {
	eachPair(t, func(t *testing.T, old, next pg.Binaries) {
		b := newBenchIn(t, "/small", old, next, "postgres")
		for i := range 20 {
			b.sql("postgres", fmt.Sprintf("do $$begin for i in 1..100 loop execute format('create table t%d_%%s (a int primary key, b text)', i); end loop; end$$", i))
		}
		for _, free := range []int64{20 << 20, 90 << 20, 130 << 20} { // at once, in initdb, and in the restore
			fill(t, b.Volume, free)
			if f := b.finds("schema-trial-space"); !strings.Contains(f.Detail, "are kept for the running server") {
				t.Errorf("%+v", f)
			}
			if err := os.Remove(b.Volume + "/filler"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestRealATrialWithoutFilesLeftSaysSo(t *testing.T) {
	eachPair(t, func(t *testing.T, old, next pg.Binaries) {
		b := newBenchIn(t, "/few", old, next, "postgres")
		if f := b.finds("schema-trial-space"); !strings.Contains(f.Detail, "No space left on device") {
			t.Errorf("%+v", f)
		}
	})
}

// fill leaves so many bytes free on dir's file system.
func fill(t *testing.T, dir string, free int64) {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(dir + "/filler")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(st.Bavail)*st.Bsize-free); err != nil {
		t.Fatal(err)
	}
}
