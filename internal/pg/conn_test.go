package pg

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// listen stands for a server: each connection is handed to serve.
func listen(t *testing.T, serve func(*net.UnixConn)) Login {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pg") // short: socket paths end at 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l := Login{SocketDir: dir, Port: 5432, User: "me", PeerUID: -1}
	s, err := net.Listen("unix", l.Socket())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(l.Socket(), 0o777)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	go func() {
		for {
			c, err := s.Accept()
			if err != nil {
				return
			}
			serve(c.(*net.UnixConn))
			_ = c.Close()
		}
	}()
	return l
}

func errorResponse(code string) []byte {
	body := "SFATAL\x00VFATAL\x00C" + code + "\x00Mno\x00\x00"
	return append(binary.BigEndian.AppendUint32([]byte{'E'}, uint32(len(body)+4)), body...)
}

func TestPingNeedsNoLoginAndLeavesNothingUnread(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		ok     bool
	}{
		"answers":                   {"N", true},
		"speaks of its own failure": {"Ecould not fork new process", false},
		"hangs up":                  {"", false},
		"is something else":         {"HTTP/1.1 400", false},
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan []byte, 2)
			l := listen(t, func(conn *net.UnixConn) {
				ask := make([]byte, 1000)
				n, _ := conn.Read(ask)
				asked <- ask[:n]
				_, _ = conn.Write([]byte(c.answer))
			})
			if err := l.Ping(t.Context()); (err == nil) != c.ok || Mute(err) {
				t.Error(err)
			}
			if err := Ping(t.Context(), l.SocketDir, l.Port); (err == nil) != c.ok {
				t.Error(err)
			}
			if ask := string(<-asked); ask != "\x00\x00\x00\x08\x04\xd2\x16\x2f" { // SSLRequest: no user, no database
				t.Errorf("it asked %q", ask)
			}
		})
	}
	if err := Ping(t.Context(), "/nonexistent", 5432); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("no server: %v", err)
	}
}

func TestAServerThatHangsDoesNotHangUs(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	l := listen(t, func(*net.UnixConn) { <-hold })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if err := l.Ping(ctx); err == nil {
		t.Error("pong")
	}
	if _, _, err := l.Facts(ctx); err == nil {
		t.Error("facts")
	}
	if took := time.Since(begin); took > connectTimeout {
		t.Errorf("took %s", took)
	}
}

func TestAFullQueueDoesNotHangUs(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "pg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l := Login{SocketDir: dir, Port: 1, PeerUID: -1}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd) //nolint:errcheck // end of the test
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: l.Socket()}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begin := time.Now()
	for range 3 { // the first is queued and never answered
		if err := l.Ping(ctx); err == nil {
			t.Error("pong")
		}
	}
	if took := time.Since(begin); took > connectTimeout {
		t.Errorf("took %s", took)
	}
}

func peer(c *net.UnixConn) (uid uint32) {
	raw, err := c.SyscallConn()
	if err != nil {
		return ^uint32(0)
	}
	uid = ^uint32(0)
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid = cred.Uid
		}
	})
	return uid
}

// As root this proves the switch, otherwise that it is an error.
func TestTheServerSeesTheUserThatWasAskedFor(t *testing.T) {
	const other = 54321
	seen := make(chan uint32, 100)
	l := listen(t, func(c *net.UnixConn) {
		seen <- peer(c)
		_, _ = c.Read(make([]byte, 1000))
		_, _ = c.Write(errorResponse("28000"))
	})
	l.PeerUID = other
	if os.Geteuid() != 0 {
		if _, _, err := l.Facts(t.Context()); !errors.Is(err, syscall.EPERM) {
			t.Error(err)
		}
		return
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, _, err := l.Facts(t.Context()); !Denied(err) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for range 20 {
		if uid := <-seen; uid != other {
			t.Errorf("seen as %d", uid)
		}
	}
	// No thread of this process may be left with the other uid.
	for range 100 {
		wg.Go(func() {
			if uid := os.Geteuid(); uid != 0 {
				t.Errorf("a thread is still %d", uid)
			}
			time.Sleep(time.Millisecond)
		})
	}
	wg.Wait()
	l.PeerUID = 0
	if _, _, err := l.Facts(t.Context()); !Denied(err) {
		t.Error(err)
	}
	if uid := <-seen; uid != 0 {
		t.Errorf("own uid: seen as %d", uid)
	}
}

// As root this proves that the server's user cannot make us read for it.
func TestTheUsersFilesAreReadWithTheServersRights(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "pg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	secret, link := filepath.Join(dir, "secret"), filepath.Join(dir, "pg_hba.conf")
	write(t, secret, "for root's group only")
	if err := errors.Join(os.Chmod(secret, 0o640), os.Symlink(secret, link)); err != nil {
		t.Fatal(err)
	}
	r := Rules{Dir: t.TempDir(), Major: 15, UserHBA: link, Owner: &proc.User{UID: 54321, GID: 54321}}
	want := syscall.EACCES
	if os.Geteuid() != 0 {
		want = syscall.EPERM
	}
	if _, err := r.Write(); !errors.Is(err, want) {
		t.Error(err)
	}
}

func TestErrorsAreToldBySQLState(t *testing.T) {
	for code, want := range map[string][2]bool{
		"28000": {true, false}, "28P01": {true, false}, "57P03": {false, true}, "3D000": {false, false},
	} {
		err := fmt.Errorf("wrapped: %w", &pq.Error{Code: pqerror.Code(code)})
		if Denied(err) != want[0] || NotYet(err) != want[1] {
			t.Errorf("%s: %v, %v", code, Denied(err), NotYet(err))
		}
	}
	if Denied(nil) || NotYet(errors.New("x")) {
		t.Error("an error without SQLSTATE")
	}
}

func TestImpossibleNamesOfDatabasesAreRefusedBeforeTheyAreSent(t *testing.T) {
	for _, name := range []string{"", "a\x00b"} {
		if err := CreateDatabase(t.Context(), Login{SocketDir: "/nonexistent", Port: 1}, name); err == nil || errors.Is(err, syscall.ENOENT) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestStopModesAreSignals(t *testing.T) {
	for m, want := range map[node.Mode]syscall.Signal{
		node.Smart: syscall.SIGTERM, node.Fast: syscall.SIGINT, node.Immediate: syscall.SIGQUIT, "": syscall.SIGINT,
	} {
		if got := StopSignal(m); got != want {
			t.Errorf("%q: %s", m, got)
		}
	}
}
