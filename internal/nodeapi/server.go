// Package nodeapi lets others see and steer one node: an HTTP server on the
// control socket and on TCP, and the client that the command line uses. It
// knows nothing of postgres: what it shows comes from a Source, what it is
// asked to do goes to a Steerer. Nothing that happens here may stop postgres
// from serving.
package nodeapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// Source tells what the node knows about itself.
type Source interface {
	// State returns the latest snapshot. It is cheap and never blocks; the
	// caller changes nothing in it, behind its pointers neither.
	State() node.State
}

// StillAfter is how old the latest snapshot may be before this node counts as
// silent: its loop makes one each second, and waits now and then for a slow disk.
const StillAfter = 10 * time.Second

// Steerer carries out orders.
type Steerer interface {
	// Do returns when the order is carried out, or with the reason why not. A
	// second line of the error that begins with "hint: " reaches the operator
	// as such. The end of ctx ends the waiting, not the order.
	Do(ctx context.Context, o node.Order) error
}

// The limits of both servers. Health checks and orders are tiny; whoever needs
// more than this is broken or hostile.
const (
	maxBody      = 64 << 10
	maxHeader    = 16 << 10 // net/http adds 4 KiB of slack to it
	maxConns     = 256      // on each listener: some 4 MB of buffers in the worst case
	headerTime   = 5 * time.Second
	requestTime  = 10 * time.Second // to send a whole request, and again to take the answer
	idleTime     = 60 * time.Second // above the interval of common scrapers and balancers
	shutdownTime = 2 * time.Second
	maxRetry     = 10 * time.Second // between two attempts to get the TCP port
)

// Config says what to serve and where.
type Config struct {
	Source      Source
	Steerer     Steerer
	Roles       Roles         // nil: peers can ask nothing of this node
	Still       func() string // why this node is as good as silent; empty: it is not; nil: it never is
	Socket      string        // path of the control socket; its directory exists
	TCP         string        // listen address of the TCP side; "" or "off" for none
	Token       string        // of the cluster; empty: the TCP side answers health and metrics only
	TLS         *TLS          // of the TCP side; nil: in the clear. A client certificate stands for the token
	AllowedUIDs []int         // may give orders over the socket, beside root and the supervisor's own uid
	Log         *slog.Logger  // nil: slog.Default()
}

// Server is a running API. Make it with Start.
type Server struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	unix    *http.Server
	tcp     *http.Server
	ctx     context.Context // ends with Close; every request's context comes from it
	cancel  context.CancelFunc
	running sync.WaitGroup
	ending  chan struct{} // closed when Close begins: streams end then
	once    sync.Once
	streams atomic.Int32 // listeners to events
	asked   atomic.Int32 // peers' requests under way

	mu      sync.Mutex
	tcpAddr net.Addr
}

// Start serves the control socket, and TCP as soon as the port is free: a port
// that is taken is a warning in the log and is tried again for ever. The only
// error is a control socket that cannot be made; then nothing is served.
func Start(cfg Config) (*Server, error) {
	s := newServer(cfg)
	socket, err := listenUnix(cfg.Socket)
	if err != nil {
		s.cancel()
		return nil, err
	}
	s.running.Go(func() { s.serveUnix(limitConns(socket, maxConns)) })
	if cfg.TCP != "" && cfg.TCP != "off" {
		s.running.Go(func() { s.serveTCP(new(net.ListenConfig).Listen) })
	}
	return s, nil
}

func newServer(cfg Config) *Server {
	s := &Server{cfg: cfg, log: cfg.Log, metrics: newMetrics(cfg.Source), ending: make(chan struct{})}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.unix = s.httpServer(s.handler(local))
	s.unix.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return withPeer(withGuest(ctx, c), c) }
	s.tcp = s.httpServer(s.handler(remote))
	s.tcp.ConnContext = withGuest
	return s
}

func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       requestTime,
		WriteTimeout:      requestTime,
		IdleTimeout:       idleTime,
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
		// What net/http reports are the mistakes of clients: no news for an
		// operator, and a way to flood the log.
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

func (s *Server) serveUnix(l net.Listener) {
	if err := s.unix.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("the control socket is gone; commands do not reach the supervisor until it restarts",
			"socket", s.cfg.Socket, "error", err)
	}
}

// serveTCP listens, and tries again with growing pauses where it cannot.
func (s *Server) serveTCP(listen func(ctx context.Context, network, address string) (net.Listener, error)) {
	for failures := 0; s.ctx.Err() == nil; failures++ {
		l, err := listen(s.ctx, "tcp", s.cfg.TCP)
		if err == nil {
			s.setTCPAddr(l.Addr())
			if failures > 0 {
				s.log.Info("the TCP side of the API answers now", "address", s.cfg.TCP)
			}
			err = s.tcp.Serve(s.secured(limitConns(l, maxConns)))
			s.setTCPAddr(nil)
			failures = 0
		}
		if s.ctx.Err() != nil || errors.Is(err, http.ErrServerClosed) {
			return
		}
		if failures == 0 {
			s.log.Warn("cannot listen for the API on TCP; postgres is not affected, and it is tried again",
				"address", s.cfg.TCP, "error", err)
		}
		pause(s.ctx, min(time.Second<<min(failures, 4), maxRetry))
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (s *Server) setTCPAddr(a net.Addr) {
	s.mu.Lock()
	s.tcpAddr = a
	s.mu.Unlock()
}

// TCPAddr returns the address of the TCP side, nil while it does not listen.
func (s *Server) TCPAddr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tcpAddr
}

// Close ends both servers, the socket file included, within two seconds.
// Requests under way may end by themselves in the first second; then their
// contexts end, so that an order that still waits can say so to its client.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	defer time.AfterFunc(shutdownTime/2, s.cancel).Stop()
	s.once.Do(func() { close(s.ending) })
	var errs [2]error
	var both sync.WaitGroup
	both.Go(func() { errs[0] = end(ctx, s.unix) })
	both.Go(func() { errs[1] = end(ctx, s.tcp) })
	both.Wait()
	s.cancel()
	s.running.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return fmt.Errorf("close API: %w", err)
	}
	return nil
}

func end(ctx context.Context, h *http.Server) error {
	err := h.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return h.Close()
	}
	return err
}

// mayOrder reports whether a process of this uid may give orders over the socket.
func (s *Server) mayOrder(uid int) bool {
	return uid == 0 || uid == os.Geteuid() || slices.Contains(s.cfg.AllowedUIDs, uid)
}
