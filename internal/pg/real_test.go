//go:build realpg

// These tests need root, an operating system user postgres, and PostgreSQL in
// /usr/lib/postgresql, so they run in a container of the image:
//
//	CGO_ENABLED=0 go test -c -tags realpg -o pg.test ./internal/pg
//	docker run --rm --entrypoint /pg.test -v "$PWD/pg.test:/pg.test:ro" IMAGE -test.v -test.run ^TestReal
package pg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// server is a real one, run by the operating system user postgres.
type server struct {
	t    *testing.T
	b    Binaries
	data string
	run  string // sockets and generated rules
	user proc.User
	args []string
}

func eachMajor(t *testing.T, test func(t *testing.T, b Binaries)) {
	found := Find([]string{"/usr/lib/postgresql"})
	if len(found) == 0 {
		t.Fatal("no PostgreSQL here")
	}
	for _, b := range found {
		t.Run(fmt.Sprint(b.Major), func(t *testing.T) { test(t, b) })
	}
}

func newServer(t *testing.T, b Binaries, superuser string) *server {
	u, err := proc.LookupUser("postgres")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "real")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &server{t: t, b: b, data: filepath.Join(dir, "data"), run: filepath.Join(dir, "run"), user: u}
	if err := errors.Join(os.Mkdir(s.run, 0o755), os.Chmod(dir, 0o755),
		os.Chown(dir, int(u.UID), int(u.GID)), os.Chown(s.run, int(u.UID), int(u.GID))); err != nil {
		t.Fatal(err)
	}
	s.must("initdb", "-D", s.data, "-U", superuser, "-E", "UTF8", "--locale=en_US.UTF-8")
	return s
}

func (s *server) must(prog string, args ...string) {
	s.t.Helper()
	out, err := proc.Output(context.Background(), proc.Spec{
		Args: append([]string{s.b.Path(prog)}, args...), User: &s.user, Dir: "/",
		Env: []string{"LANG=en_US.UTF-8", "PATH=/usr/bin:/bin"},
	})
	if err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
}

func (s *server) start(args ...string) {
	s.t.Helper()
	s.args = append([]string{"-k", s.run, "-c", "listen_addresses="}, args...)
	opts := make([]string, len(s.args))
	for i, a := range s.args {
		opts[i] = "'" + a + "'"
	}
	s.must("pg_ctl", "-D", s.data, "-w", "-l", s.run+"/log", "-o", strings.Join(opts, " "), "start")
	s.t.Cleanup(func() {
		if _, err := ReadPidFile(s.data); err == nil {
			s.stop("immediate")
		}
	})
}

func (s *server) stop(mode string) {
	s.t.Helper()
	s.must("pg_ctl", "-D", s.data, "-w", "-m", mode, "stop")
}

// reload returns when the postmaster has read its files: it says in its log that
// it does, and greets nobody before it is done.
func (s *server) reload() {
	s.t.Helper()
	before := s.reloads()
	s.must("pg_ctl", "-D", s.data, "reload")
	until(s.t, "the files are read again", func() bool { return s.reloads() > before })
	if err := Ping(s.t.Context(), s.run, 5432); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) reloads() int {
	s.t.Helper()
	return bytes.Count(slurp(s.t, s.run+"/log"), []byte("received SIGHUP, reloading configuration files"))
}

func (s *server) login(user string, uid int) Login {
	return Login{SocketDir: s.run, Port: 5432, User: user, PeerUID: uid}
}

func (s *server) exec(l Login, statements ...string) {
	s.t.Helper()
	db, err := l.open()
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	for _, q := range statements {
		if _, err := db.Exec(q); err != nil {
			s.t.Fatalf("%s: %v", q, err)
		}
	}
}

func TestRealFiles(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		s := newServer(t, b, "admin")
		if m, err := DataMajor(s.data); m != b.Major || err != nil {
			t.Error(m, err)
		}
		s.start()
		l := s.login("admin", -1)
		p, err := ReadPidFile(s.data)
		if err != nil || !p.Ready() || p.SocketDir != s.run || p.DataDir != s.data || p.Port != 5432 {
			t.Errorf("%+v, %v", p, err)
		}
		c, err := ReadControl(s.data)
		if err != nil || c.State != "in production" || c.Checksums != (b.Major >= 18) || CleanShutdown(c) {
			t.Errorf("%+v, %v", c, err)
		}
		info, role, err := l.Facts(t.Context())
		if err != nil || role != node.Primary || info.Superuser != "admin" || info.Connections != 0 ||
			info.MaxConns != 100 || !strings.HasPrefix(info.Version, fmt.Sprint(b.Major)) || info.LSN == "" {
			t.Errorf("%+v, %s, %v", info, role, err)
		}
		s.exec(l, "create role boss superuser login")
		s.exec(s.login("boss", -1), `alter role admin rename to "a ""b"" c"`, "checkpoint")
		if name, err := BootstrapSuperuser(s.data); name != `a "b" c` {
			t.Errorf("beside a server: %q, %v", name, err)
		}
		s.stop("immediate")
		if name, err := BootstrapSuperuser(s.data); name != `a "b" c` {
			t.Errorf("after a crash: %q, %v", name, err)
		}
		s.start()
		s.exec(s.login("boss", -1), `alter role "a ""b"" c" rename to last`)
		s.stop("fast")
		if name, err := BootstrapSuperuser(s.data); name != "last" {
			t.Errorf("after a stop: %q, %v", name, err)
		}
		if c, err := ReadControl(s.data); err != nil || !CleanShutdown(c) {
			t.Errorf("%+v, %v", c, err)
		}
		if err := os.WriteFile(s.data+"/standby.signal", nil, 0o644); err != nil {
			t.Fatal(err)
		}
		s.start()
		if info, role, err := s.login("last", -1).Facts(t.Context()); err != nil || role != node.Standby || info.LSN == "" {
			t.Errorf("%+v, %s, %v", info, role, err)
		}
	})
}

func TestRealControlDataWhileItIsWritten(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		s := newServer(t, b, "postgres")
		s.start()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 50 {
				s.exec(s.login("postgres", -1), "checkpoint")
			}
		}()
		for n := 0; ; n++ {
			if _, err := ReadControl(s.data); err != nil {
				t.Fatal(err)
			}
			select {
			case <-done:
				t.Logf("%d reads", n)
				return
			default:
			}
		}
	})
}

func TestRealRulesLetUsInWhateverTheUsersFileSays(t *testing.T) {
	names := []string{"postgres", "all", "+plus", "@at", "/sla.sh", `qu"o te`, "back\\slash", "com,ma#hash", "sameuser", "Größe"}
	eachMajor(t, func(t *testing.T, b Binaries) {
		s := newServer(t, b, "first")
		user := filepath.Join(s.data, "pg_hba.conf")
		ident := filepath.Join(s.data, "pg_ident.conf")
		write(t, user, "local all all reject\n")
		if err := os.Remove(ident); err != nil {
			t.Fatal(err)
		}
		r := Rules{
			Dir: s.run, Major: b.Major, UserHBA: user, UserIdent: ident, Scope: Everywhere,
			OSUsers: []string{"root", "postgres"}, Superuser: "first", Owner: &s.user,
		}
		if _, err := r.Write(); err != nil {
			t.Fatal(err)
		}
		s.start("-c", "hba_file="+r.HBA(), "-c", "ident_file="+r.Ident())
		if _, _, err := s.login("first", -1).Facts(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			r.Superuser, r.Scope = "first", Everywhere
			s.rules(r)
			s.exec(s.login("first", -1), "create role "+quoteToken(name)+" superuser login")
			s.exec(s.login("first", -1), "create role "+quoteToken(name+"x")+" superuser login")
			r.Superuser = name
			s.rules(r)
			if _, _, err := s.login(name, -1).Facts(t.Context()); err != nil {
				t.Errorf("%q as root: %v", name, err)
			}
			if _, _, err := s.login(name, int(s.user.UID)).Facts(t.Context()); err != nil {
				t.Errorf("%q as postgres: %v", name, err)
			}
			if _, _, err := s.login(name, 1).Facts(t.Context()); !Denied(err) {
				t.Errorf("%q as daemon: %v", name, err)
			}
			if _, _, err := s.login(name+"x", -1).Facts(t.Context()); !Denied(err) {
				t.Errorf("%q got in as another role: %v", name, err)
			}
			r.Scope = Maintenance
			s.rules(r)
			l := s.login(name, -1)
			if _, _, err := l.Facts(t.Context()); err != nil {
				t.Errorf("%q into template1: %v", name, err)
			}
			l.Database = "postgres"
			if _, _, err := l.Facts(t.Context()); !Denied(err) {
				t.Errorf("%q into postgres: %v", name, err)
			}
		}
		r.Scope = Nobody
		s.rules(r)
		if _, _, err := s.login("first", -1).Facts(t.Context()); !Denied(err) {
			t.Errorf("nobody: %v", err)
		}
		if err := s.login("first", -1).Ping(t.Context()); err != nil {
			t.Errorf("a server that denies us is there: %v", err)
		}
	})
}

func (s *server) rules(r Rules) {
	s.t.Helper()
	if _, err := r.Write(); err != nil {
		s.t.Fatal(err)
	}
	s.reload()
	if raw, err := os.ReadFile(s.run + "/log"); err != nil || bytes.Contains(raw, []byte("was not reloaded")) {
		s.t.Fatalf("%v\n%s", err, raw)
	}
}

func TestRealPlainPeerRulesLetTheSwitchedThreadIn(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		s := newServer(t, b, "postgres")
		write(t, filepath.Join(s.data, "pg_hba.conf"), "local all all peer\n")
		s.start()
		if _, _, err := s.login("postgres", -1).Facts(t.Context()); !Denied(err) {
			t.Errorf("as root: %v", err)
		}
		if _, _, err := s.login("postgres", int(s.user.UID)).Facts(t.Context()); err != nil {
			t.Errorf("as postgres: %v", err)
		}
	})
}

func TestRealListsOfTheUsersFileKeepTheirMeaning(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		s := newServer(t, b, "postgres")
		user := filepath.Join(s.data, "pg_hba.conf")
		write(t, user, "# lists\\\n local all all reject\nlocal all @\"my \\\nlist\" trust\nlocal all postgres trust\n")
		if b.Major < 14 {
			write(t, user, "local all @\"my list\" trust\nlocal all postgres trust\n")
		}
		write(t, filepath.Join(s.data, "my list"), "ann\nbob\n")
		if err := errors.Join(os.Chown(s.data+"/my list", int(s.user.UID), 0), os.Chown(user, int(s.user.UID), 0)); err != nil {
			t.Fatal(err)
		}
		r := Rules{Dir: s.run, Major: b.Major, UserHBA: user, UserIdent: s.data + "/pg_ident.conf", Owner: &s.user}
		if _, err := r.Write(); err != nil {
			t.Fatal(err)
		}
		s.start("-c", "hba_file="+r.HBA(), "-c", "ident_file="+r.Ident())
		s.exec(s.login("postgres", -1), "create role bob superuser login", "create role eve superuser login")
		if _, _, err := s.login("bob", -1).Facts(t.Context()); err != nil {
			t.Errorf("bob is on the list: %v", err)
		}
		if _, _, err := s.login("eve", -1).Facts(t.Context()); !Denied(err) {
			t.Errorf("eve is not: %v", err)
		}
	})
}

func TestRealDatabasesAndCollations(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		s := newServer(t, b, "postgres")
		s.start()
		l := s.login("postgres", -1)
		in := func(db string) Login { l := l; l.Database = db; return l }
		odd := `o"d d`
		for _, name := range []string{odd, odd, "plain"} { // the second time it exists
			if err := CreateDatabase(t.Context(), l, name); err != nil {
				t.Error(err)
			}
		}
		got, err := CollationMismatches(t.Context(), in)
		if err != nil || len(got) != 0 {
			t.Errorf("fresh: %q, %v", got, err)
		}
		s.exec(in(odd), `create table public.t (a text collate "en_US")`, "create index on public.t (a)",
			"update pg_collation set collversion = '1.0' where collname in ('en_US', 'en_US.utf8')")
		want := []string{`collation pg_catalog."en_US" in database "o""d d" has version 1.0`}
		if b.Major >= 15 {
			s.exec(l, "update pg_database set datcollversion = '1.0' where datname in ('plain', 'template0')")
			want = append([]string{`database "plain" was made with`, `database "template0" was made with`}, want...)
		}
		got, err = CollationMismatches(t.Context(), in)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%q, %v", got, err)
		}
		for i := range want {
			if !strings.HasPrefix(got[i], want[i]) {
				t.Errorf("%s", got[i])
			}
			t.Log(got[i])
		}
		s.exec(in(odd), `ALTER COLLATION pg_catalog."en_US" REFRESH VERSION`)
		if b.Major >= 15 {
			s.exec(in("plain"), `REINDEX DATABASE "plain"`, `ALTER DATABASE "plain" REFRESH COLLATION VERSION`)
			s.exec(l, `ALTER DATABASE "template0" REFRESH COLLATION VERSION`)
		}
		if got, err = CollationMismatches(t.Context(), in); err != nil || len(got) != 0 {
			t.Errorf("mended: %q, %v", got, err)
		}
	})
}

func TestRealSettings(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		s := newServer(t, b, "postgres")
		ask := func(args ...string) (string, string) {
			t.Helper()
			begin := time.Now()
			hba, ident, err := UserRules(t.Context(), b, s.data, args, &s.user, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Log(time.Since(begin))
			return hba, ident
		}
		if hba, ident := ask(); hba != s.data+"/pg_hba.conf" || ident != s.data+"/pg_ident.conf" {
			t.Error(hba, ident)
		}
		if hba, ident := ask("-c", "hba_file=/x/y"); hba != "/x/y" || ident != s.data+"/pg_ident.conf" {
			t.Error(hba, ident)
		}
		if hba, _ := ask("--ident-file=rel"); hba != s.data+"/pg_hba.conf" {
			t.Error(hba)
		}
		write(t, s.data+"/sub/more.conf", "hba_file = '/from/include'\n")
		raw, err := os.ReadFile(s.data + "/postgresql.conf")
		if err != nil {
			t.Fatal(err)
		}
		write(t, s.data+"/postgresql.conf", string(raw)+"\ninclude_dir 'sub'\n")
		if err := os.Chmod(s.data+"/sub", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(s.data+"/sub/more.conf", 0o644); err != nil {
			t.Fatal(err)
		}
		if hba, _ := ask(); hba != "/from/include" {
			t.Error(hba)
		}
		got, err := ShowSettings(t.Context(), b, s.data, []string{"-p", "7777"}, nil, nil, "port", "data_directory")
		if err != nil || got["port"] != "7777" || got["data_directory"] != s.data {
			t.Errorf("as root: %v, %v", got, err)
		}
		if got, err := ShowSettings(t.Context(), b, s.data, nil, nil, nil, "no_such_setting"); err == nil {
			t.Error(got)
		}
	})
}

func TestRealPing(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		s := newServer(t, b, "postgres")
		if err := Ping(t.Context(), s.run, 5432); err == nil {
			t.Error("no server answered")
		}
		s.start()
		if err := Ping(t.Context(), s.run, 5432); err != nil {
			t.Error(err)
		}
		s.exec(s.login("postgres", -1), "create table public.t as select generate_series(1, 1000000) a")
		s.stop("fast")
		write(t, s.data+"/standby.signal", "")
		// Not consistent yet and hot_standby off: it never lets anybody in.
		go func() {
			_, _ = proc.Output(t.Context(), proc.Spec{Args: []string{
				b.Path("postgres"), "-D", s.data, "-k", s.run, "-c", "listen_addresses=", "-c", "hot_standby=off",
			}, User: &s.user, Dir: "/"})
		}()
		for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			p, err := ReadPidFile(s.data)
			if err == nil && p.Status == "standby" {
				if p.Ready() {
					t.Error("ready")
				}
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%+v, %v", p, err)
			}
		}
		if err := Ping(t.Context(), s.run, 5432); err != nil { // the postmaster does not hang
			t.Error(err)
		}
		if _, _, err := s.login("postgres", -1).Facts(t.Context()); !NotYet(err) || Denied(err) {
			t.Error(err)
		}
		s.stop("immediate")
	})
}
