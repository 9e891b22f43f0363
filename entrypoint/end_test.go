package entrypoint

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/fleet"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// endPhases are the phases in which a container is told to end.
var endPhases = map[string]func(*testing.T, *supervisor){
	"before the volume was looked at": func(*testing.T, *supervisor) {},
	"halted":                          func(_ *testing.T, s *supervisor) { s.wish.Halted, s.past.Asked, s.past.Exited = true, true, true },
	"holding":                         func(_ *testing.T, s *supervisor) { s.past.Served, s.refusal = true, errors.New("a test holds it") },
	"backing off": func(_ *testing.T, s *supervisor) {
		s.past.Served, s.past.Exited, s.past.NextStart = true, true, time.Now().Add(time.Hour)
	},
	"a job that ends when it is cancelled": func(_ *testing.T, s *supervisor) {
		s.run("a test's job", func(ctx context.Context) func() {
			<-ctx.Done()
			return func() {}
		})
	},
	"a server that starts": func(t *testing.T, s *supervisor) { serveSleep(t, s, false) },
	"a server that runs":   func(t *testing.T, s *supervisor) { serveSleep(t, s, true) },
}

// serveSleep has the supervisor watch a process that ends on SIGINT.
func serveSleep(t *testing.T, s *supervisor, ready bool) {
	p, err := proc.Start(proc.Spec{Args: []string{"sleep", "60"}, Env: os.Environ(), Dir: "/"}, proc.Launch{})
	if err != nil {
		t.Fatal(err)
	}
	s.attach(p, false, nil)
	s.server.ready = ready
}

// TestAContainerEndsInEveryPhaseWithTheFleetInAHurry: while it ends, peers are
// asked every few milliseconds, keepalived says that it stops and waits until that
// is heard, and an order waits for its answer.
func TestAContainerEndsInEveryPhaseWithTheFleetInAHurry(t *testing.T) {
	for name, begin := range endPhases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 1000 / len(endPhases) {
				endOnce(t, begin)
			}
		})
	}
}

func endOnce(t *testing.T, begin func(*testing.T, *supervisor)) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l, far, err := newLink()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(l.fd); _ = far.Close() }()
	go drain(link{int(far.Fd())})
	s := &supervisor{log: slog.New(slog.DiscardHandler), mail: newMailbox(), link: l, started: time.Now(), since: time.Now()}
	s.set.StopGrace = 20 * time.Millisecond
	s.cl.fleet = fleet.Start(ctx, fleet.Config{
		Hosts: []string{refusing(t), refusing(t)}, Instance: "self", Changed: s.wake,
		Dial: func(a string) *nodeapi.Peer { return nodeapi.NewPeer(a, "token") },
	})
	s.cl.fleet.Hurry(time.Minute)
	s.endings = []ending{{"keepalived", func() { sayStop(s) }}}
	begin(t, s)
	order := make(chan error, 1)
	go func() { order <- s.Do(ctx, node.Order{Do: node.Start}) }()
	go s.post(func() { s.stopContainer(node.Fast, syscall.SIGINT) })
	ended := make(chan int, 1)
	go func() { ended <- s.loop() }()
	for what, c := range map[string]func() bool{
		"the container": func() bool { return received(ended) },
		"the order":     func() bool { return received(order) },
	} {
		if !c() {
			t.Fatalf("%s has not ended after 10 s", what)
		}
	}
}

// sayStop is what the end of keepalived does: it returns when its last events
// have been taken, and there are many.
func sayStop(s *supervisor) {
	for range 200 {
		s.post(func() { panic("the loop has ended, and something of it runs") })
		s.wake()
	}
}

func received[T any](c <-chan T) bool {
	select {
	case <-c:
		return true
	case <-time.After(10 * time.Second):
		return false
	}
}

func drain(l link) {
	buf := make([]byte, maxPacket)
	for {
		if _, err := l.receive(buf); err != nil {
			return
		}
	}
}

// refusing is an address where nobody listens.
func refusing(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestWhatDoesNotCloseHoldsNoContainerBack: keepalived, or a client of the API,
// that does not end is left behind.
func TestWhatDoesNotCloseHoldsNoContainerBack(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	if (ending{"a test", func() { <-hang }}).within(10 * time.Millisecond) {
		t.Error("what never ended counts as ended")
	}
	if !(ending{"a test", func() {}}).within(time.Minute) {
		t.Error("what ended counts as not ended")
	}
}

// TestAnOrderNobodyWaitsForIsForgotten: a script that gives up and asks again
// leaves nothing behind.
func TestAnOrderNobodyWaitsForIsForgotten(t *testing.T) {
	s := &supervisor{mail: newMailbox()}
	ctx, cancel := context.WithCancel(t.Context())
	never := func() (bool, error) { return false, nil }
	s.waiters = []waiter{{ctx, never, make(chan error, 1)}, {t.Context(), never, make(chan error, 1)}}
	cancel()
	if s.answerWaiters(); len(s.waiters) != 1 {
		t.Errorf("%d waiters are left, not the one that somebody waits for", len(s.waiters))
	}
}
