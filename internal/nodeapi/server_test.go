package nodeapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

func TestTCPNeedsTheTokenForAllOfV1(t *testing.T) {
	count := &orders{}
	_, tcp := serve(t, Config{Token: "s3cret", Steerer: count})
	stop := `{"do":"stop"}`
	for _, c := range []struct {
		name, method, path, auth string
		code                     int
	}{
		{"health without a token", "GET", "/primary", "", 200},
		{"metrics without a token", "GET", "/metrics", "", 200},
		{"node without a token", "GET", "/v1/node", "", 401},
		{"node with a wrong token", "GET", "/v1/node", "Bearer s3cre", 401},
		{"node with another scheme", "GET", "/v1/node", "Basic s3cret", 401},
		{"node with the token", "GET", "/v1/node", "Bearer s3cret", 200},
		{"the scheme in another case", "GET", "/v1/node", "bearer s3cret", 200},
		{"order without a token", "POST", "/v1/order", "", 401},
		{"order with the token", "POST", "/v1/order", "Bearer s3cret", 200},
		{"an unknown path below /v1", "GET", "/v1/secrets", "", 401},
		{"/v1 itself", "GET", "/v1", "", 401},
		{"an unknown path with the token", "GET", "/v1/secrets", "Bearer s3cret", 404},
	} {
		resp, body := get(t, http.DefaultClient, c.method, tcp+c.path, strings.NewReader(stop), "Authorization", c.auth)
		if resp.StatusCode != c.code {
			t.Errorf("%s: %d, want %d: %s", c.name, resp.StatusCode, c.code, body)
		}
		if c.code == 401 && resp.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no WWW-Authenticate", c.name)
		}
	}
	if n := count.n.Load(); n != 1 {
		t.Errorf("%d orders were carried out, want 1", n)
	}
}

func TestWithoutATokenV1IsClosedOnTCP(t *testing.T) {
	_, tcp := serve(t, Config{})
	for _, auth := range []string{"", "Bearer ", "Bearer x"} {
		resp, body := get(t, http.DefaultClient, "GET", tcp+"/v1/node", nil, "Authorization", auth)
		if resp.StatusCode != 403 || !strings.Contains(body, "no token") {
			t.Errorf("%q: %d %s", auth, resp.StatusCode, body)
		}
	}
}

func TestTheSocketIsOpenToReadersAndNeedsNoToken(t *testing.T) {
	s, _ := serve(t, Config{Token: "s3cret"})
	fi, err := os.Stat(s.cfg.Socket)
	if err != nil || fi.Mode().Perm() != 0o666 {
		t.Fatalf("mode %v, %v", fi.Mode(), err)
	}
	resp, body := get(t, overSocket(t, s.cfg.Socket), "GET", "http://x/v1/node", nil)
	var st node.State
	if err := json.Unmarshal([]byte(body), &st); err != nil || resp.StatusCode != 200 || st.Node != "a" {
		t.Errorf("%d %s %v", resp.StatusCode, body, err)
	}
}

func TestOrdersOverTheSocketComeFromTheRightUser(t *testing.T) {
	s := newServer(Config{Source: primary(), Steerer: &orders{}, AllowedUIDs: []int{4711}, Log: quiet()})
	t.Cleanup(s.cancel)
	for _, c := range []struct {
		name  string
		uid   int
		known bool
		code  int
	}{
		{"root", 0, true, 200},
		{"the supervisor's own user", os.Geteuid(), true, 200},
		{"an allowed user", 4711, true, 200},
		{"another user", 4712, true, 403},
		{"a user that the kernel does not tell", 0, false, 403},
	} {
		r := httptest.NewRequest("POST", "/v1/order", strings.NewReader(`{"do":"start"}`))
		if c.known {
			r = r.WithContext(context.WithValue(r.Context(), peerKey{}, c.uid))
		}
		w := httptest.NewRecorder()
		s.handler(local).ServeHTTP(w, r)
		if w.Code != c.code {
			t.Errorf("%s: %d, want %d: %s", c.name, w.Code, c.code, w.Body)
		}
	}
}

func TestThePeersUIDIsTheKernels(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	l = limitConns(l, 1)
	defer l.Close()
	go func() {
		if c, err := net.Dial("unix", l.Addr().String()); err == nil {
			defer c.Close()
			_, _ = io.Copy(io.Discard, c)
		}
	}()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if uid, ok := peer(withPeer(t.Context(), c)); !ok || uid != os.Geteuid() {
		t.Errorf("uid %d, %v", uid, ok)
	}
	if _, ok := peer(withPeer(t.Context(), &net.TCPConn{})); ok {
		t.Error("a TCP connection has a uid")
	}
}

func TestWhatTheSocketReplaces(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, SocketName)

	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	cfg := Config{Source: primary(), Steerer: refuseAll(t), Socket: path, Log: quiet()}
	if _, err := Start(cfg); err == nil || !strings.Contains(err.Error(), "another supervisor answers") {
		t.Errorf("a socket that somebody answers on: %v", err)
	}
	_ = stale.Close()
	s, err := Start(cfg)
	if err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket after Close: %v", err)
	}

	for name, plant := range map[string]func() error{
		"a file":              func() error { return os.WriteFile(path, []byte("x"), 0o600) },
		"a directory":         func() error { return os.Mkdir(path, 0o700) },
		"a link to somewhere": func() error { return os.Symlink("/etc/passwd", path) },
	} {
		if err := plant(); err != nil {
			t.Fatal(err)
		}
		if _, err := Start(cfg); err == nil || !strings.Contains(err.Error(), "no socket") {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.Remove(path); err != nil {
			t.Errorf("%s is gone: %v", name, err)
		}
	}
}

func TestWrongMethodsAndPaths(t *testing.T) {
	_, tcp := serve(t, Config{Token: "t"})
	for _, c := range []struct {
		method, path string
		code         int
		allow        string
	}{
		{"POST", "/primary", 405, "GET, HEAD, OPTIONS"},
		{"DELETE", "/metrics", 405, "GET, HEAD"},
		{"PUT", "/v1/node", 405, "GET, HEAD"},
		{"GET", "/v1/order", 405, "POST"},
		{"BREW", "/", 405, "GET, HEAD, OPTIONS"},
		{"GET", "/nothing", 404, ""},
		{"GET", "//primary", 404, ""},
		{"GET", "/primary/", 404, ""},
		{"GET", "/" + strings.Repeat("x", 5000), 404, ""},
	} {
		resp, body := get(t, http.DefaultClient, c.method, tcp+c.path, nil, "Authorization", "Bearer t")
		var f failure
		if err := json.Unmarshal([]byte(body), &f); err != nil || f.Error == "" {
			t.Errorf("%s %.20s: no JSON error: %q", c.method, c.path, body)
		}
		if resp.StatusCode != c.code || resp.Header.Get("Allow") != c.allow || len(body) > 1000 {
			t.Errorf("%s %.20s: %d, allow %q, %d bytes", c.method, c.path, resp.StatusCode, resp.Header.Get("Allow"), len(body))
		}
	}
}

func TestOversizedRequests(t *testing.T) {
	_, tcp := serve(t, Config{Token: "t"})
	big := `{"do":"stop","mode":"` + strings.Repeat("x", maxBody) + `"}`
	resp, body := get(t, http.DefaultClient, "POST", tcp+"/v1/order", strings.NewReader(big), "Authorization", "Bearer t")
	if resp.StatusCode != 413 {
		t.Errorf("a body above the limit: %d %s", resp.StatusCode, body)
	}
	spaces := `{"do":"stop"}` + strings.Repeat(" ", maxBody)
	resp, body = get(t, http.DefaultClient, "POST", tcp+"/v1/order", strings.NewReader(spaces), "Authorization", "Bearer t")
	if resp.StatusCode != 413 {
		t.Errorf("an order with too much white space behind it: %d %s", resp.StatusCode, body)
	}
	// The server stops reading, so the body of the answer may be lost in a reset.
	r, _ := http.NewRequestWithContext(t.Context(), "GET", tcp+"/primary", nil)
	r.Header.Set("X-Long", strings.Repeat("x", maxHeader+5000))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 431 {
		t.Errorf("headers above the limit: %d", resp.StatusCode)
	}
}

func TestASlowClientIsCutOffAndNobodyElse(t *testing.T) {
	// Each has long for what it is not slow with: a busy machine is slow too.
	for name, c := range map[string]struct {
		headers    time.Duration
		send, want string
	}{
		"never ends its headers": {50 * time.Millisecond, "GET /primary HTTP/1.1\r\nHost: x\r\n", ""},
		"never ends its order": {
			30 * time.Second, "POST /v1/order HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\nContent-Length: 50\r\n\r\n{",
			"HTTP/1.1 408",
		},
	} {
		s := newServer(Config{Source: primary(), Steerer: refuseAll(t), Token: "t", Log: quiet()})
		t.Cleanup(s.cancel)
		s.tcp.ReadHeaderTimeout, s.tcp.ReadTimeout = c.headers, 100*time.Millisecond
		ts := httptest.NewUnstartedServer(nil)
		ts.Config = s.tcp
		ts.Start()
		t.Cleanup(ts.Close)
		conn, err := net.Dial("tcp", ts.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		_, _ = io.WriteString(conn, c.send)
		got, err := io.ReadAll(conn)
		_ = conn.Close()
		if errors.Is(err, os.ErrDeadlineExceeded) || !strings.HasPrefix(string(got), c.want) {
			t.Errorf("a client that %s: %q, %v", name, got, err)
		}
	}
}

func TestALongOrderOutlivesTheDeadlinesOfItsConnection(t *testing.T) {
	release := make(chan struct{})
	s := newServer(Config{
		Source: primary(), Log: quiet(), Token: "t",
		Steerer: steer(func(ctx context.Context, _ node.Order) error {
			select {
			case <-ctx.Done():
				return errors.New("the context ended")
			case <-release:
				return nil
			}
		}),
	})
	t.Cleanup(s.cancel)
	// The order itself has to come within the one of reading, on a busy machine too.
	s.tcp.ReadTimeout, s.tcp.WriteTimeout = time.Second, 50*time.Millisecond
	ts := httptest.NewUnstartedServer(nil)
	ts.Config = s.tcp
	ts.Start()
	defer ts.Close()
	time.AfterFunc(1500*time.Millisecond, func() { close(release) })
	resp, body := get(t, http.DefaultClient, "POST", ts.URL+"/v1/order", strings.NewReader(`{"do":"stop","mode":"smart"}`),
		"Authorization", "Bearer t")
	if resp.StatusCode != 200 || !strings.Contains(body, `"done":"stop"`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestAnOrderHearsThatItsClientLeft(t *testing.T) {
	begun, heard := make(chan struct{}), make(chan struct{})
	s, _ := serve(t, Config{Steerer: steer(func(ctx context.Context, _ node.Order) error {
		close(begun)
		<-ctx.Done()
		close(heard)
		return ctx.Err()
	})})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	go func() {
		<-begun
		cancel()
	}()
	if _, err := NewClient(s.cfg.Socket).Do(ctx, node.Order{Do: node.Stop}); err == nil {
		t.Error("no error")
	}
	select {
	case <-heard:
	case <-time.After(30 * time.Second):
		t.Error("the steerer still waits")
	}
}

// TestAPortThatIsTakenIsTriedAgain runs on fake time: pauses of 1, 2, 4, 8,
// 10, 10 seconds, one warning, and then it answers.
func TestAPortThatIsTakenIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		s := newServer(Config{Source: primary(), Steerer: refuseAll(t), TCP: "host:8008", Log: slog.New(slog.NewTextHandler(&log, nil))})
		begun := time.Now()
		var tries []time.Duration
		l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		s.running.Go(func() {
			s.serveTCP(func(context.Context, string, string) (net.Listener, error) {
				tries = append(tries, time.Since(begun).Round(time.Second))
				if len(tries) < 7 {
					return nil, syscall.EADDRINUSE
				}
				return l, nil
			})
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		want := "[0s 1s 3s 7s 15s 25s 35s]"
		if got := fmt.Sprint(tries); got != want {
			t.Errorf("tries at %s, want %s", got, want)
		}
		mine, theirs := net.Pipe()
		l.conns <- theirs
		_, _ = io.WriteString(mine, "GET /primary HTTP/1.0\r\n\r\n")
		line, _ := bufio.NewReader(mine).ReadString('\n')
		if !strings.Contains(line, "200") {
			t.Errorf("answer %q", line)
		}
		_ = mine.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if got := log.String(); strings.Count(got, "level=WARN") != 1 || strings.Count(got, "level=INFO") != 1 {
			t.Errorf("log:\n%s", got)
		}
	})
}

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestMetrics(t *testing.T) {
	_, tcp := serve(t, Config{})
	get(t, http.DefaultClient, "GET", tcp+"/replica", nil)
	for i := range 20 {
		get(t, http.DefaultClient, "GET", fmt.Sprintf("%s/scan/%d", tcp, i), nil)
	}
	_, body := get(t, http.DefaultClient, "GET", tcp+"/metrics", nil)
	for _, line := range []string{
		"pgbaton_up 1", "pgbaton_ready 1", `pgbaton_phase{phase="running"} 1`, `pgbaton_phase{phase="backing off"} 0`,
		`pgbaton_role{role="primary"} 1`, `pgbaton_role{role="standby"} 0`, "pgbaton_postgres_restarts_total 2",
		"pgbaton_supervisor_restarts_total 1", "pgbaton_timeline 3", "pgbaton_connections 5", "pgbaton_max_connections 100",
		"pgbaton_collation_mismatches 2",
		`pgbaton_info{major="17",server_version="17.2 (Debian 17.2-1)",version="1.2.3"} 1`,
		`pgbaton_api_requests_total{code="503",path="/replica"} 1`,
		`pgbaton_api_requests_total{code="404",path="other"} 20`,
		`pgbaton_api_request_duration_seconds_count{path="other"} 20`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	for _, name := range []string{"process_resident_memory_bytes", "go_goroutines"} {
		if !strings.Contains(body, "\n"+name+" ") {
			t.Errorf("no metric %s", name)
		}
	}
	if strings.Contains(body, "scan") {
		t.Error("a path that a client made up became a label")
	}
}

type broken struct{}

func (broken) State() node.State { panic("out of order") }

func TestAPanicStaysWithinItsRequestAndIsLogged(t *testing.T) {
	var log lockedBuffer
	s := newServer(Config{Source: broken{}, Steerer: refuseAll(t), Log: slog.New(slog.NewTextHandler(&log, nil))})
	t.Cleanup(s.cancel)
	w := ask(s.handler(remote), "GET", "/primary")
	if w.Code != 500 || strings.Contains(w.Body.String(), "out of order") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if got := log.String(); !strings.Contains(got, "level=ERROR") || !strings.Contains(got, "out of order") {
		t.Errorf("log: %s", got)
	}
}
