//go:build realpg

package pg

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// dangerous is what the configuration of a cluster that serves may hold.
const dangerous = `
archive_mode = on
archive_command = 'touch DIR/archived'
restore_command = 'touch DIR/restored'
external_pid_file = 'DIR/pid'
listen_addresses = '*'
port = 6000
synchronous_standby_names = '*'
synchronous_commit = remote_apply
shared_preload_libraries = 'no_such_library'
logging_collector = on
log_directory = 'DIR/logs'
shared_buffers = '1TB'
ssl = on
hba_file = 'DIR/no such file'
default_transaction_read_only = on
unix_socket_directories = 'DIR'
data_directory = 'DIR/elsewhere'
wal_level = logical
`

func (s *server) helper() HelperSpec {
	return HelperSpec{Binaries: s.b, Data: s.data, User: &s.user, Dirs: []string{s.run}, Fsync: true}
}

func startHelperT(t *testing.T, s HelperSpec) *Helper {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	h, err := StartHelper(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.Name()
	}
	return names
}

func TestRealAHelperServerTouchesNothingOutsideWhateverItsFilesSay(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		s := newServer(t, b, "O dd")
		before := entries(t, filepath.Dir(s.data))
		auto := strings.ReplaceAll(dangerous, "DIR", filepath.Dir(s.data))
		if err := os.WriteFile(s.data+"/postgresql.auto.conf", []byte(auto), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PGHOST", "/nowhere")
		t.Setenv("PGPORT", "1")
		t.Setenv("PGDATABASE", "nothing")
		spec := s.helper()
		spec.Env = os.Environ()
		h := startHelperT(t, spec)
		l := h.Login("postgres")
		if l.User != "O dd" {
			t.Error(l.User)
		}
		// A WAL file comes to its end: an archiver would have it at once.
		s.exec(l, "create table public.t as select generate_series(1, 1000) a", "select pg_switch_wal()", "checkpoint", "select pg_switch_wal()")
		info, err := os.Stat(h.SocketDir())
		if err != nil || info.Mode().Perm() != 0o700 || info.Sys().(*syscall.Stat_t).Uid != s.user.UID {
			t.Error(info.Mode(), err)
		}
		l.PeerUID = 1
		if _, _, err := l.Facts(t.Context()); err == nil {
			t.Error("another operating system user got in")
		}
		if err := h.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if after := entries(t, filepath.Dir(s.data)); strings.Join(after, " ") != strings.Join(before, " ") {
			t.Errorf("before: %q, after: %q", before, after)
		}
		if left := entries(t, s.run); len(left) != 0 {
			t.Errorf("left in the socket's directory: %q", left)
		}
		if c, err := ReadControl(s.data); err != nil || !CleanShutdown(c) {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

func TestRealAHelperServerOfAStandbyIsRefused(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		s := newServer(t, b, "postgres")
		for _, name := range []string{"standby.signal", "recovery.signal"} {
			write(t, filepath.Join(s.data, name), "")
			if _, err := StartHelper(t.Context(), s.helper()); err == nil || !strings.Contains(err.Error(), name) {
				t.Error(err)
			}
			if err := os.Remove(filepath.Join(s.data, name)); err != nil {
				t.Fatal(err)
			}
		}
		if left := entries(t, s.run); len(left) != 0 {
			t.Errorf("%q", left)
		}
	})
}

func TestRealAHelperServerThatCannotStartSaysWhy(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		s := newServer(t, b, "postgres")
		spec := s.helper()
		spec.Preload = "no_such_library"
		_, err := StartHelper(t.Context(), spec)
		if err == nil || !strings.Contains(err.Error(), `"no_such_library"`) {
			t.Error(err)
		}
		spec.Binaries.Bin = "/nowhere"
		if _, err := StartHelper(t.Context(), spec); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		spec = s.helper()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := StartHelper(ctx, spec); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if left := entries(t, s.run); len(left) != 0 {
			t.Errorf("%q", left)
		}
		if _, err := ReadPidFile(s.data); !errors.Is(err, fs.ErrNotExist) {
			t.Error("a server is left:", err)
		}
	})
}

func TestRealAHelperServerInBinaryUpgradeModeTakesObjectIDs(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		s := newServer(t, b, "postgres")
		spec := s.helper()
		spec.BinaryUpgrade, spec.Fsync = true, false
		spec.Dirs = []string{"/" + strings.Repeat("long", 30), "/" + strings.Repeat("d/", 60)} // falls back to /tmp
		h := startHelperT(t, spec)
		s.exec(h.Login(""), "select pg_catalog.binary_upgrade_set_next_pg_authid_oid(70000)", "create role r",
			"do $$begin if (select oid from pg_roles where rolname = 'r') <> 70000 then raise 'no'; end if; end$$")
		if filepath.Dir(h.SocketDir()) != "/tmp" {
			t.Error(h.SocketDir())
		}
		if err := h.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestRealAHelperServerIsStoppedThoughTheContextHasEndedAndClientsAreBusy(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		s := newServer(t, b, "postgres")
		h := startHelperT(t, s.helper())
		go func() {
			db, err := h.Login("").open()
			if err == nil {
				_, _ = db.Exec("select pg_sleep(250)")
				_ = db.Close()
			}
		}()
		until(t, "the client is busy", func() bool {
			return s.number(h.Login(""), "select count(*) from pg_stat_activity where wait_event = 'PgSleep'") == 1
		})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := h.Stop(ctx); err == nil || !strings.Contains(err.Error(), "recovers at its next start") {
			t.Error(err)
		}
		noServers(t)
		h = startHelperT(t, s.helper()) // which recovers
		if err := h.post.Signal(syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		<-h.Ended()
		if err := h.Stop(t.Context()); err == nil || !strings.Contains(err.Error(), "ended by itself") {
			t.Error(err)
		}
	})
}

// TestRealAHelperServerDiesWithItsProcess runs this test binary once more.
func TestRealAHelperServerDiesWithItsProcess(t *testing.T) {
	const dataEnv, binEnv = "HELPER_DATA", "HELPER_BIN"
	if data := os.Getenv(dataEnv); data != "" {
		u, err := proc.LookupUser("postgres")
		if err != nil {
			t.Fatal(err)
		}
		startHelperT(t, HelperSpec{Binaries: Binaries{Major: 17, Bin: os.Getenv(binEnv)}, Data: data, User: &u})
		write(t, filepath.Dir(data)+"/up", "")
		ignore := make(chan os.Signal, 1)
		signal.Notify(ignore, syscall.SIGTERM)
		time.Sleep(time.Minute)
		return
	}
	b, ok := Pick(Find([]string{"/usr/lib/postgresql"}), 17)
	if !ok {
		t.Fatal("no PostgreSQL 17 here")
	}
	s := newServer(t, b, "postgres")
	other, err := proc.Start(proc.Spec{
		Args: []string{"/proc/self/exe", "-test.run", "^" + t.Name() + "$"}, Stdout: os.Stderr, Stderr: os.Stderr,
		Env: append(os.Environ(), dataEnv+"="+s.data, binEnv+"="+b.Bin),
	}, proc.Launch{})
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(filepath.Dir(s.data) + "/up"); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it did not start")
		}
	}
	if err := other.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-other.Done()
	noServers(t)
}

// noServers waits until no process of PostgreSQL is left.
func noServers(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		list, err := proc.List()
		if err != nil {
			t.Fatal(err)
		}
		var left []string
		for _, p := range list {
			if p.Comm == "postgres" && p.State != 'Z' {
				left = append(left, p.Cmdline)
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("still there: %q", left)
		}
	}
}
