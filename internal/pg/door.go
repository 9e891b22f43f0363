package pg

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
)

// homes are the databases in which the supervisor's SQL runs, where it needs no
// certain one: every cluster has template1, and CREATE DATABASE locks it.
var homes = []string{"postgres", "template1"}

// shunFor is how long a database that did not let us in is the last to be tried.
const shunFor = 10 * time.Minute

// ErrLoginWaits is wrapped where a login waits for a lock that somebody holds,
// such as CREATE DATABASE on its template.
var ErrLoginWaits = errors.New("a login waits, for a lock on the database or because the server is slow")

// Door is this process's way into one server, from its start to its end. It
// keeps the number of its connections down, whatever the server does, and two of
// them open (Kept).
//
// Of logins into one database only one waits: the backend of a login that
// was given up waits on, for as long as somebody holds the lock that it
// needs, so such a login is kept until it is answered and nobody makes another.
type Door struct {
	watch, hand *session
	closed      context.Context
	close       context.CancelFunc

	mu      sync.Mutex
	as      Login
	waiting map[string]*waiting
	shunned map[string]time.Time
	tended  time.Time // when the kept sessions were looked after last
	tried   time.Time // when the hand was
}

// waiting is a login under way.
type waiting struct {
	ended chan struct{}
	left  bool // whoever asked for it has gone
}

// NewDoor connects to nobody yet. limit bounds a question of Replication's.
func NewDoor(limit time.Duration) *Door {
	d := &Door{waiting: map[string]*waiting{}, shunned: map[string]time.Time{}}
	d.closed, d.close = context.WithCancel(context.Background())
	d.watch, d.hand = d.keep(limit), d.keep(statementTimeout)
	return d
}

// keep is a session that the door keeps.
func (d *Door) keep(limit time.Duration) *session {
	s := &session{limit: limit, over: d.closed}
	s.open = func(dial pq.Dialer) (*sql.DB, error) {
		d.mu.Lock()
		l := d.as
		d.mu.Unlock()
		l.kept = true
		return l.openBy(dial)
	}
	s.hello = func(ctx context.Context, db *sql.DB) error { return s.introduce(ctx, db) }
	return s
}

// Use makes a login go through the door, and its kept sessions be as it is.
func (d *Door) Use(l Login) Login {
	l.Door = d
	d.mu.Lock()
	d.as = l
	d.mu.Unlock()
	return l
}

// Close ends the kept sessions, at once and for good.
func (d *Door) Close() {
	if d == nil {
		return
	}
	d.close()
	d.watch.close()
	d.hand.close()
}

// databases are those to try, the most promising first.
func (l Login) databases() []string {
	switch {
	case l.Database != "":
		return []string{l.Database}
	case l.Door == nil:
		return homes[1:]
	}
	l.Door.mu.Lock()
	defer l.Door.mu.Unlock()
	names := slices.Clone(homes)
	slices.SortStableFunc(names, func(a, b string) int { return l.Door.badness(a) - l.Door.badness(b) })
	return names
}

func (d *Door) badness(name string) (n int) {
	if time.Now().Before(d.shunned[name]) {
		n = 2
	}
	if w := d.waiting[name]; w != nil && w.left {
		n++
	}
	return n
}

func (d *Door) shun(name string, until time.Time) {
	d.mu.Lock()
	d.shunned[name] = until
	d.mu.Unlock()
}

// connect logs in to the first of the login's databases that lets us in.
func (l Login) connect(ctx context.Context) (driver.Conn, entered, error) {
	var errs []error
	for _, name := range l.databases() {
		c, raw, err := l.enter(ctx, name)
		if l.kept && IsFull(err) {
			l.sender = true
			c, raw, err = l.enter(ctx, name)
		}
		if err == nil {
			return c, entered{raw, name}, nil
		}
		errs = append(errs, err)
		if !isShut(err) && !errors.Is(err, ErrLoginWaits) || ctx.Err() != nil {
			break
		}
		if isShut(err) {
			l.Door.shun(name, time.Now().Add(shunFor))
		}
	}
	return nil, entered{}, errors.Join(errs...)
}

// entered is a connection and the database that it is in.
type entered struct {
	conn     net.Conn
	database string
}

// isShut reports whether it is the database that lets nobody or not us in.
func isShut(err error) bool {
	return Denied(err) || pq.As(err, pqerror.InvalidCatalogName, pqerror.ObjectNotInPrerequisiteState) != nil
}

// enter logs in to one database.
func (l Login) enter(ctx context.Context, name string) (driver.Conn, net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	w, err := l.Door.begin(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	dial := &capturing{dialer: dialer{uid: l.PeerUID}}
	c, err := l.connector(name, dial, 0)
	if err != nil {
		l.Door.end(name, w)
		return nil, nil, err
	}
	var conn driver.Conn
	done := make(chan struct{})
	go func() {
		conn, err = c.Connect(context.WithoutCancel(ctx))
		l.Door.end(name, w)
		close(done)
	}()
	select {
	case <-done:
		return conn, dial.conn, err
	case <-ctx.Done():
		l.Door.leave(w)
		go func() {
			<-done
			if err == nil {
				_ = conn.Close()
			}
		}()
		return nil, nil, fmt.Errorf("%w (database %q)", ErrLoginWaits, name)
	}
}

// begin waits until no other login into the database is under way.
func (d *Door) begin(ctx context.Context, name string) (*waiting, error) {
	for {
		d.mu.Lock()
		w := d.waiting[name]
		if w == nil {
			w = &waiting{ended: make(chan struct{})}
			d.waiting[name] = w
			d.mu.Unlock()
			return w, nil
		}
		left := w.left
		d.mu.Unlock()
		if left {
			return nil, fmt.Errorf("%w (database %q, since some time)", ErrLoginWaits, name)
		}
		select {
		case <-w.ended:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w (database %q)", ErrLoginWaits, name)
		}
	}
}

func (d *Door) end(name string, w *waiting) {
	d.mu.Lock()
	delete(d.waiting, name)
	d.mu.Unlock()
	close(w.ended)
}

func (d *Door) leave(w *waiting) {
	d.mu.Lock()
	w.left = true
	d.mu.Unlock()
}

// capturing is a dialer that remembers what it made.
type capturing struct {
	dialer
	conn net.Conn
}

func (c *capturing) DialContext(ctx context.Context, network, address string) (conn net.Conn, err error) {
	c.conn, err = c.dialer.DialContext(ctx, network, address)
	return c.conn, err
}

// through is the driver.Connector of a login through its door.
type through struct {
	l     Login
	bound *session // whose call it is for; nil: a connection that is not kept
}

func (t through) Driver() driver.Driver { return &pq.Driver{} }

func (t through) Connect(ctx context.Context) (driver.Conn, error) {
	if t.bound != nil {
		ctx = t.bound.call()
	}
	c, at, err := t.l.connect(ctx)
	if err == nil && t.bound != nil {
		err = t.bound.took(ctx, at)
	}
	return c, err
}
