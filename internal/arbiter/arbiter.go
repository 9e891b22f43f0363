// Package arbiter keeps a cluster's record in etcd: it reads it several times
// per second, changes it by compare-and-swap, and keeps the lease of an open
// primary. It is the only user of etcd's client, and it decides nothing.
//
// Everything of it runs beside the supervisor's loop and is bounded: an etcd
// that hangs is one that does not answer.
package arbiter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/pgbaton/pgbaton/internal/node"
)

const (
	// askEvery is the pause between two readings. A lease is kept as often.
	askEvery = 500 * time.Millisecond
	// askWithin bounds one question.
	askWithin = time.Second
	// renewAfter is after how many failures in a row the connections are made
	// anew: the client's own pauses between attempts grow to minutes, and a
	// connection that was cut is noticed late.
	renewAfter = 2
)

// Config says which etcd, and which record in it.
type Config struct {
	Endpoints      []string // URLs, http or https
	User, Password string   // empty: none
	CA             string   // file with the authority of https endpoints, PEM; empty: the system's
	Cert, Key      string   // files with the certificate that is shown there, PEM; empty: none
	Cluster        string
	Node           string
}

// Seen is what is known of the record.
type Seen struct {
	ID       string              // of the cluster of etcd and the key in it; empty: it never answered
	Record   *node.ClusterRecord // nil: there is none
	Revision int64               // of it; 0: there is none
	Lease    string              // node that keeps the lease of an open primary; empty: nobody
	Asked    time.Time           // when the latest attempt ended; zero: none has
	Answered time.Time           // when the latest answer came
	Err      error               // of the latest attempt; nil: it was answered
}

// Arbiter reads and changes the record. Make it with Start.
type Arbiter struct {
	cfg     Config
	changed func()
	kick    chan struct{}
	want    atomic.Bool // the lease
	lease   *lease      // nil: none

	reading sync.Mutex // one reading at a time, so that a later one is newer

	mu     sync.Mutex
	client *clientv3.Client // nil: none
	fails  int
	seen   Seen
	raw    string // the record as it was read
}

// Start reads the record until ctx ends, and calls changed when something of
// it, or whether etcd answers, is not what it was.
func Start(ctx context.Context, cfg Config, changed func()) *Arbiter {
	a := &Arbiter{cfg: cfg, changed: changed, kick: make(chan struct{}, 1)}
	go a.run(ctx)
	return a
}

// Seen is what is known now.
func (a *Arbiter) Seen() Seen {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen
}

// Kick reads now.
func (a *Arbiter) Kick() {
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

func (a *Arbiter) run(ctx context.Context) {
	defer a.hangUp()
	for ctx.Err() == nil {
		a.round(ctx)
		select {
		case <-ctx.Done():
		case <-a.kick:
		case <-time.After(askEvery):
		}
	}
}

// round keeps the lease and reads the record, on new connections where the
// last ones were of no use.
func (a *Arbiter) round(ctx context.Context) {
	c, err := a.dial(ctx)
	if err != nil {
		a.note(nil, "", a.cfg.explain(ctx, err))
	} else {
		kept := a.keepLease(ctx, c)
		err = a.read(ctx, c, kept)
	}
	a.mu.Lock()
	a.fails++
	if err == nil {
		a.fails = 0
	}
	useless := a.fails >= renewAfter
	a.mu.Unlock()
	if useless {
		a.hangUp()
	}
}

// dial returns the client. It connects beside what is asked of it, but for a
// login, which is bounded.
func (a *Arbiter) dial(ctx context.Context) (*clientv3.Client, error) {
	a.mu.Lock()
	c := a.client
	a.mu.Unlock()
	if c != nil {
		return c, nil
	}
	c, err := a.cfg.connect(ctx)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	a.client, a.fails = c, 0
	a.mu.Unlock()
	return c, nil
}

func (a *Arbiter) hangUp() {
	a.mu.Lock()
	c := a.client
	a.client = nil
	a.mu.Unlock()
	a.lease = nil // what prolonged it ends with the client
	if c != nil {
		_ = c.Close() // nothing is waited for any more
	}
}

// read asks for everything of the cluster at once. kept is why the lease could
// not be kept: an etcd that only reads does not answer as an arbiter has to.
func (a *Arbiter) read(ctx context.Context, c *clientv3.Client, kept error) error {
	a.reading.Lock()
	defer a.reading.Unlock()
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	r, err := c.Get(ctx, a.cfg.prefix(), clientv3.WithPrefix())
	if err != nil {
		a.note(nil, "", a.cfg.explain(ctx, err))
		return err
	}
	next, raw, err := a.cfg.seen(r)
	if err == nil {
		err = kept
	}
	a.note(next, raw, plain(err))
	return err
}

// note takes a reading in; nil leaves what was known.
func (a *Arbiter) note(read *Seen, raw string, err error) {
	a.mu.Lock()
	before := a.seen
	next := before
	if read != nil {
		next = *read
		next.Answered = before.Answered
	} else {
		raw = a.raw
	}
	if err == nil {
		next.Answered = time.Now()
	}
	next.Asked, next.Err = time.Now(), err
	news := before.Asked.IsZero() || (before.Err == nil) != (err == nil) ||
		before.ID != next.ID || before.Revision != next.Revision || before.Lease != next.Lease || a.raw != raw
	a.seen, a.raw = next, raw
	a.mu.Unlock()
	if news {
		a.changed()
	}
}

// seen is what an answer says. A record that cannot be read is none that is
// missing: it counts as no answer.
func (c Config) seen(r *clientv3.GetResponse) (s *Seen, raw string, err error) {
	s = &Seen{ID: fmt.Sprintf("%x%s", r.Header.ClusterId, c.recordKey())}
	for _, kv := range r.Kvs {
		switch string(kv.Key) {
		case c.recordKey():
			s.Record, s.Revision, raw = &node.ClusterRecord{}, kv.ModRevision, string(kv.Value)
			if err := json.Unmarshal(kv.Value, s.Record); err != nil {
				return nil, "", fmt.Errorf("read the record %s in etcd: %w; it is left as it is", kv.Key, err)
			}
		case c.leaseKey():
			s.Lease = string(kv.Value)
		}
	}
	return s, raw, nil
}

func (c Config) prefix() string    { return "/pgbaton/" + c.Cluster + "/" }
func (c Config) recordKey() string { return c.prefix() + "role" }
func (c Config) leaseKey() string  { return c.prefix() + "primary" }

// plain says what a deadline means here.
func plain(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("etcd gave no answer within %s", askWithin)
	}
	return err
}
