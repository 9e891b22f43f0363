package nodeapi

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

func TestClientReadsStateAndGivesOrders(t *testing.T) {
	var got node.Order
	s, _ := serve(t, Config{Steerer: steer(func(_ context.Context, o node.Order) error {
		got = o
		return nil
	})})
	c := NewClient(s.cfg.Socket)
	st, err := c.State(t.Context())
	if err != nil || st.Server.Version != primary().Server.Version {
		t.Errorf("%+v %v", st, err)
	}
	if err := c.Alive(t.Context()); err != nil {
		t.Error(err)
	}
	want := node.Order{Do: node.Stop, Mode: node.Smart, Timeout: time.Minute}
	if st, err = c.Do(t.Context(), want); err != nil || got != want || st.Node != "a" {
		t.Errorf("%+v %+v %v", got, st, err)
	}
}

func TestClientKeepsTheReasonAndTheHint(t *testing.T) {
	s, _ := serve(t, Config{Steerer: steer(func(context.Context, node.Order) error {
		return errors.New("postgres runs already; nothing was done\nhint: use restart")
	})})
	_, err := NewClient(s.cfg.Socket).Do(t.Context(), node.Order{Do: node.Start})
	var r *Refusal
	if !errors.As(err, &r) || r.Status != 409 || r.Hint != "use restart" || r.Why != "postgres runs already; nothing was done" {
		t.Errorf("%v", err)
	}
	if _, err := NewClient(s.cfg.Socket).Do(t.Context(), node.Order{Do: "halt"}); !errors.As(err, &r) || r.Status != 400 {
		t.Errorf("%v", err)
	}
}

func TestClientSaysThatNoSupervisorAnswers(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, SocketName)
	dead := filepath.Join(dir, "dead.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	for path, why := range map[string]string{missing: "no such file", dead: "connection refused"} {
		_, err := NewClient(path).State(t.Context())
		if !errors.Is(err, ErrNoSupervisor) || !strings.HasPrefix(err.Error(), "no supervisor answers on "+path) ||
			!strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), "\nhint: ") {
			t.Errorf("%v", err)
		}
	}
}

func TestClientSaysThatTheSupervisorWentAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), SocketName)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1000))
			_ = c.Close()
		}
	}()
	_, err = NewClient(path).Do(t.Context(), node.Order{Do: node.Stop})
	if !errors.Is(err, ErrNoSupervisor) || !strings.Contains(err.Error(), "what became of the order") {
		t.Errorf("%v", err)
	}
}

func TestTheFirstSocketThatExistsIsAsked(t *testing.T) {
	dir := t.TempDir()
	paths := []string{filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")}
	if got := FirstSocket(paths); got != paths[0] {
		t.Errorf("none exists: %s", got)
	}
	if err := os.WriteFile(paths[1], nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", paths[2])
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := FirstSocket(paths); got != paths[2] {
		t.Errorf("a file is no socket: %s", got)
	}
	if got := Sockets("", 999); got[0] != "/run/pgbaton/control.sock" || got[2] != "/tmp/pgbaton-999/control.sock" {
		t.Errorf("%v", got)
	}
}

func TestAnOrderThatWaitsWhenTheSupervisorEndsIsTold(t *testing.T) {
	begun := make(chan struct{})
	s, _ := serve(t, Config{Steerer: steer(func(ctx context.Context, _ node.Order) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	})})
	got := make(chan error, 1)
	go func() {
		_, err := NewClient(s.cfg.Socket).Do(t.Context(), node.Order{Do: node.Stop, Mode: node.Smart})
		got <- err
	}()
	<-begun
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	var r *Refusal
	if err := <-got; !errors.As(err, &r) || r.Status != 503 || !strings.Contains(r.Why, "is ending") {
		t.Errorf("%v", err)
	}
}

// TestNothingIsKeptPerRequest asks 10,000 times, each path and many unknown
// ones, and compares the live heap.
func TestNothingIsKeptPerRequest(t *testing.T) {
	h := testHandler(t, primary(), remote)
	round := func(n int) uint64 {
		for range n {
			for _, path := range []string{"/primary", "/metrics", "/nothing", "/v1/node"} {
				ask(h, "GET", path)
			}
		}
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := round(100)
	if after := round(2500); after > before+256<<10 {
		t.Errorf("the live heap grew from %d to %d bytes", before, after)
	}
}
