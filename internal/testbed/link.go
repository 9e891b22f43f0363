package testbed

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/lib/pq"
)

// link is one client connection without a pool: nothing here ever sends a
// statement twice, which database/sql may do.
type link struct {
	timeout time.Duration // of each statement and of the handshake
	within  time.Duration // of the connect; 0 means connectTimeout

	mu   sync.Mutex
	sock net.Conn
	conn driver.Conn
}

// connect opens the connection, by via when it is not nil.
func (l *link) connect(ctx context.Context, dsn string, via func(context.Context, string, string) (net.Conn, error)) error {
	connector, err := pq.NewConnector(dsn)
	if err != nil {
		return fmt.Errorf("read connection string: %w", err)
	}
	connector.Dialer(&dialer{via: via, within: l.within, took: func(sock net.Conn) {
		l.mu.Lock()
		l.sock = sock
		l.mu.Unlock()
		if l.arm(ctx) != nil {
			sock.Close() // without a deadline the handshake could last for ever
		}
	}})
	conn, err := connector.Connect(context.WithoutCancel(ctx))
	if err != nil {
		l.close()
		return fmt.Errorf("connect: %w", err)
	}
	l.conn = conn
	return nil
}

// arm sets the deadline of what comes next. A cancelled ctx lets it fail at
// once, in a connect or statement under way too: see cut.
func (l *link) arm(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return l.sock.SetDeadline(time.Now().Add(l.timeout))
}

// cut lets whatever is under way fail now.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sock != nil {
		_ = l.sock.SetDeadline(time.Unix(1, 0))
	}
}

// errNotSent marks failures that happened before the statement left.
var errNotSent = errors.New("not sent")

// exec runs statements without parameters in one round trip.
func (l *link) exec(ctx context.Context, sql string) error {
	if err := l.arm(ctx); err != nil {
		return fmt.Errorf("%w: %w", errNotSent, err)
	}
	// A context that never ends keeps lib/pq from cancelling: see dialer.
	_, err := l.conn.(driver.ExecerContext).ExecContext(context.WithoutCancel(ctx), sql, nil)
	return err
}

// close drops the connection without a farewell, which could block.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sock != nil {
		l.sock.Close()
	}
	l.sock, l.conn = nil, nil
}

// rolledBack reports whether err proves that a statement sent in autocommit
// did not commit. Only an ordinary ERROR of the server proves it: a FATAL one
// may come from a backend that was ended after its commit, and a localised
// severity counts as no proof.
func rolledBack(err error) bool {
	if errors.Is(err, errNotSent) {
		return true
	}
	var e *pq.Error
	if !errors.As(err, &e) || e.Severity != "ERROR" {
		return false
	}
	// 08: connection failures, 57P: the server ends.
	return !strings.HasPrefix(string(e.Code), "08") && !strings.HasPrefix(string(e.Code), "57P")
}
