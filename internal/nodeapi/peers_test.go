package nodeapi

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// within gives a test's request plenty of time on a busy machine.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func newPeer(t *testing.T, address, token string) *Peer {
	p := NewPeer(address, token)
	t.Cleanup(p.Close)
	return p
}

func TestAPeerTellsItsStateOverOneConnection(t *testing.T) {
	t.Parallel()
	_, url := serve(t, Config{Token: "0123456789abcdef"})
	way := forward(t, strings.TrimPrefix(url, "http://"))
	p := newPeer(t, way.address(), "0123456789abcdef")
	slow := 0
	for range 20 {
		begun := time.Now()
		st, err := p.State(within(t, 20*time.Second))
		if time.Since(begun) >= headStart { // as on a busy machine: then another connection is right
			slow++
		}
		if err != nil || st.Node != "a" || st.Control.SystemIdentifier != 7512345678901234567 {
			t.Fatalf("%+v, %v", st, err)
		}
	}
	if n := int(way.accepted.Load()); n > 10+slow {
		t.Errorf("%d connections for 20 looks, %d of them slow", n, slow)
	}
}

func TestAKeptConnectionThatWasCutIsReplacedAtOnce(t *testing.T) {
	t.Parallel()
	_, url := serve(t, Config{Token: "0123456789abcdef"})
	way := forward(t, strings.TrimPrefix(url, "http://"))
	p := newPeer(t, way.address(), "0123456789abcdef")
	if _, err := p.State(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	way.cut() // the connection stays open and carries nothing
	begun := time.Now()
	if _, err := p.State(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begun)
	t.Logf("over another connection after %s", took)
	if took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	if took < headStart {
		t.Errorf("it took %s: the kept connection was not tried", took)
	}
	if _, err := p.State(within(t, 20*time.Second)); err != nil || way.dead.Load() != 0 && way.accepted.Load() > 8 {
		t.Errorf("%v, %d connections", err, way.accepted.Load())
	}
}

func TestAPeerThatAcceptsAndNeverAnswersIsSilent(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // nobody accepts: the kernel does
	p := newPeer(t, l.Addr().String(), "x")
	for _, ask := range []func(context.Context) error{
		func(ctx context.Context) error { _, err := p.State(ctx); return err },
		func(ctx context.Context) error { _, err := p.Role(ctx, []byte(`{}`)); return err },
	} {
		begun := time.Now()
		err := ask(within(t, 200*time.Millisecond))
		if !errors.Is(err, ErrSilent) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "not in time") {
			t.Errorf("%v", err)
		}
		if took := time.Since(begun); took < 200*time.Millisecond || took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
	}
}

func TestAPeerThatIsGoneIsSilentAtOnce(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	_, err = newPeer(t, address, "x").State(within(t, 20*time.Second))
	if !errors.Is(err, ErrSilent) || err.Error() != "no answer from "+address+": connection refused" {
		t.Errorf("%v", err)
	}
	_, err = newPeer(t, "host.invalid:1", "x").State(within(t, 20*time.Second))
	if !errors.Is(err, ErrSilent) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
}

func TestAPeerThatDiesWhileItAnswersIsSilent(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "HTTP/1.1 200"} {
		_, err := newPeer(t, says(t, answer), "x").State(within(t, 20*time.Second))
		if !errors.Is(err, ErrSilent) || !strings.Contains(err.Error(), "broke off") {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

func TestNonsenseIsNoSilence(t *testing.T) {
	t.Parallel()
	ok := "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
	for answer, why := range map[string]string{
		"SSH-2.0-OpenSSH_9.2\r\n":               "no HTTP",
		strings.Repeat("x", 100_000) + "\r\n":   "no HTTP",
		ok + "<html>":                           "no node's state",
		ok + `{}`:                               "no node's state",
		ok + `{"node":"a"}`:                     "no node's state",
		ok + `{"node":"a","phase":"running"} x`: "no node's state",
		ok + `{"node":7}`:                       "no node's state",
		ok + `{"node":"a","phase":"running","since":"yesterday"}`:                                                         "no node's state",
		ok + `{"node":"` + strings.Repeat("x", maxAnswer) + `","phase":"running"}`:                                        "more than 1048576 bytes",
		ok + strings.Repeat("[", 100_000):                                                                                 "no node's state",
		"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n":           "302 Found",
		"HTTP/1.1 503 Nope\r\nConnection: close\r\n\r\n" + `{"error":"` + strings.Repeat("x", 9000) + `"}`:                "xxx",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 100_000) + "\r\nConnection: close\r\n\r\n":                         "no HTTP",
		"HTTP/1.1 401 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n":                                               "has another token",
		"HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n":                                               "has no token",
		"HTTP/1.1 503 No\r\nConnection: close\r\n\r\n" + `{"error":"the supervisor did not answer within 1s","hint":"h"}`: "did not answer within 1s",
	} {
		_, err := newPeer(t, says(t, answer), "x").State(within(t, 20*time.Second))
		if err == nil || errors.Is(err, ErrSilent) || !strings.Contains(err.Error(), why) || len(err.Error()) > 400 {
			t.Errorf("%.80q: %v", answer, err)
		}
	}
}

func TestATokenGoesToThePeerAndNowhereElse(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a request came: %v", r.Header)
	}))
	defer other.Close()
	var got atomic.Value
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.Store(r.Header.Get("Authorization"))
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	}))
	defer first.Close()
	_, err := newPeer(t, first.Listener.Addr().String(), "s3cret").Role(within(t, 20*time.Second), []byte(`{}`))
	if err == nil || got.Load() != "Bearer s3cret" || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v %v", err, got.Load())
	}
}

func TestNothingIsLeftOfRequestsThatWereGivenUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	before := runtime.NumGoroutine()
	p := newPeer(t, l.Addr().String(), "x")
	for range 20 {
		if _, err := p.State(within(t, 60*time.Millisecond)); !errors.Is(err, ErrSilent) {
			t.Fatal(err)
		}
	}
	p.Close()
	for begun := time.Now(); runtime.NumGoroutine() > before+5; time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 20*time.Second {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// says is a server that reads a request and answers every one with the same bytes.
func says(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
					return
				}
				_, _ = io.WriteString(c, answer)
			}()
		}
	}()
	return l.Addr().String()
}

// relay forwards TCP connections and can make those of today go deaf.
type relay struct {
	l        net.Listener
	accepted atomic.Int32
	dead     atomic.Int32
	mu       sync.Mutex
	lines    []*line
}

type line struct{ deaf atomic.Bool }

func forward(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{l: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.accepted.Add(1)
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = c.Close()
				continue
			}
			way := &line{}
			r.mu.Lock()
			r.lines = append(r.lines, way)
			r.mu.Unlock()
			go way.carry(out, c)
			go way.carry(c, out)
		}
	}()
	return r
}

func (r *relay) address() string { return r.l.Addr().String() }

// cut makes all present connections carry nothing more, without closing them.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, way := range r.lines {
		way.deaf.Store(true)
		r.dead.Add(1)
	}
}

func (w *line) carry(to, from net.Conn) {
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if w.deaf.Load() {
			n = 0
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
		if err != nil {
			return
		}
	}
}
