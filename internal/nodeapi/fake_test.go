package nodeapi

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// fixed is a Source that always says the same, with a fresh time unless it has one.
type fixed node.State

func (f fixed) State() node.State {
	st := node.State(f)
	if st.Time.IsZero() {
		st.Time = time.Now()
	}
	return st
}

// steer is a Steerer made of a function.
type steer func(ctx context.Context, o node.Order) error

func (s steer) Do(ctx context.Context, o node.Order) error { return s(ctx, o) }

// refuseAll fails the test when an order arrives.
func refuseAll(t *testing.T) steer {
	return func(_ context.Context, o node.Order) error {
		t.Errorf("an order arrived: %+v", o)
		return nil
	}
}

func primary() fixed {
	return fixed{
		Node: "a", Version: "1.2.3", Phase: node.Running, Role: node.Primary, Ready: true, Major: 17,
		Why:        "postgres accepts connections",
		Postmaster: &node.Postmaster{PID: 40, Port: 5432, Started: time.Unix(1700000000, 0)},
		Control:    &node.Control{SystemIdentifier: 7512345678901234567, Timeline: 3},
		Server:     &node.Server{Version: "17.2 (Debian 17.2-1)", LSN: "1/16B3748", Connections: 5, MaxConns: 100, Mismatch: 2},
		Restarts:   node.Restarts{Postgres: 2, Supervisor: 1},
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// serve starts a server on a socket and a free TCP port.
func serve(t *testing.T, cfg Config) (s *Server, tcp string) {
	t.Helper()
	if cfg.Source == nil {
		cfg.Source = primary()
	}
	if cfg.Steerer == nil {
		cfg.Steerer = refuseAll(t)
	}
	if cfg.Socket == "" {
		cfg.Socket = filepath.Join(t.TempDir(), SocketName)
	}
	if cfg.Log == nil {
		cfg.Log = quiet()
	}
	cfg.TCP = "127.0.0.1:0"
	s, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, "http://" + waitAddr(t, s)
}

func waitAddr(t *testing.T, s *Server) string {
	t.Helper()
	for range 6000 {
		if a := s.TCPAddr(); a != nil {
			return a.String()
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the TCP side does not listen")
	return ""
}

// overSocket is an HTTP client on the control socket.
func overSocket(t *testing.T, socket string) *http.Client {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// get asks and returns status and body.
func get(t *testing.T, c *http.Client, method, url string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(data)
}

// orders counts what arrives.
type orders struct{ n atomic.Int32 }

func (c *orders) Do(context.Context, node.Order) error {
	c.n.Add(1)
	return nil
}

// askAs posts {} over the socket as some user.
func askAs(h http.Handler, path string, uid int) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", path, strings.NewReader(`{}`))
	r = r.WithContext(context.WithValue(r.Context(), peerKey{}, uid))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
