package testbed

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/lib/pq"
)

// Load writes single rows, each its own commit, and remembers what became of
// each: see Ledger. Every row has an id of its own (writer, n) that is sent
// once and never again, whatever became of it.
type Load struct {
	// Target is asked before every connect, so that it can follow a server
	// that moves: Container.DSN, or a function that names a VIP.
	Target Target
	// Beside has one more writer for each of its targets, for ever reconnecting:
	// the nodes' own addresses, beside the VIP. Whatever any server acknowledged
	// to them the audit wants to see as well. They count in no number of Stats,
	// since a standby acknowledges nothing.
	Beside []Target
	// Dial replaces TCP, for example with a way into another network
	// namespace. Its bound is 100 ms, as that of TCP.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	Writers  int           // connections that write at the same time; 0 means 4
	Think    time.Duration // pause of a writer after each commit
	Timeout  time.Duration // for one statement or handshake, then the id is in doubt; 0 means 5 s
	Commits  int           // attempts of each writer; 0 means until Stop or For
	For      time.Duration // duration; 0 means until Stop or Commits
	Explicit bool          // begin, insert and commit on their own instead of autocommit
	Table    string        // 0 means pgbaton_load; loads that run at the same time need their own
}

// Target says how to reach the server now.
type Target = func(context.Context) (dsn string, err error)

// backOff is the pause of a writer after any failure. One beside the VIP waits
// longer: a standby refuses it all the time, at the price of a connection.
const (
	backOff       = 5 * time.Millisecond
	backOffBeside = 50 * time.Millisecond
)

func (l Load) withDefaults() Load {
	if l.Writers == 0 {
		l.Writers = 4
	}
	if l.Timeout == 0 {
		l.Timeout = 5 * time.Second
	}
	if l.Table == "" {
		l.Table = "pgbaton_load"
	}
	return l
}

// Prepare makes the table anew. It has no unique constraint: a row that is
// there twice must be possible to be seen.
func (l Load) Prepare(ctx context.Context) error {
	l = l.withDefaults()
	dsn, err := l.Target(ctx)
	if err != nil {
		return fmt.Errorf("prepare table of the load: %w", err)
	}
	c := link{timeout: 30 * time.Second, within: unhurried} // it measures nothing
	if err := c.connect(ctx, dsn, l.Dial); err != nil {
		return fmt.Errorf("prepare table of the load: %w", err)
	}
	defer c.close()
	t := pq.QuoteIdentifier(l.Table)
	if err := c.exec(ctx, "drop table if exists "+t+"; create table "+t+" (writer int not null, n bigint not null)"); err != nil {
		return fmt.Errorf("prepare table of the load: %w", err)
	}
	return nil
}

// Running is a load under way, or one that has ended.
type Running struct {
	load    Load
	began   time.Time
	ledgers []*ledger     // of the writers on Target
	beside  []*ledger     // of those on Beside; their writers' numbers follow
	stop    chan struct{} // closed when writers are to end after the statement at hand
	once    sync.Once
	writers sync.WaitGroup
	ended   time.Time // valid after writers
	lap     time.Time
}

// Start lets the writers loose. A cancelled ctx cuts them off in the middle
// of what they do; Stop lets them finish it.
func (l Load) Start(ctx context.Context) *Running {
	l = l.withDefaults()
	r := &Running{load: l, began: time.Now(), stop: make(chan struct{})}
	r.lap = r.began
	if l.For > 0 {
		time.AfterFunc(l.For, r.halt)
	}
	for i := range l.Writers {
		r.ledgers = append(r.ledgers, r.writer(ctx, i, l.Target, backOff))
	}
	for i, target := range l.Beside {
		r.beside = append(r.beside, r.writer(ctx, l.Writers+i, target, backOffBeside))
	}
	return r
}

func (r *Running) writer(ctx context.Context, id int, target Target, backOff time.Duration) *ledger {
	led := &ledger{began: r.began}
	w := &writer{
		id: id, load: r.load, target: target, backOff: backOff,
		ledger: led, stop: r.stop, link: link{timeout: r.load.Timeout},
	}
	r.writers.Go(func() { w.run(ctx) })
	return led
}

// Stop ends the load after the statements under way and returns its numbers.
func (r *Running) Stop() Stats {
	r.halt()
	return r.Wait()
}

// Wait waits for a load with a bound of its own and returns its numbers.
func (r *Running) Wait() Stats {
	r.writers.Wait()
	if r.ended.IsZero() {
		r.ended = time.Now()
	}
	return r.Between(r.began, r.ended)
}

func (r *Running) halt() { r.once.Do(func() { close(r.stop) }) }

// flowPatience bounds Flowing: a load that stands still for as long will not
// flow again by itself, and a test that waits on for it says nothing.
const flowPatience = 3 * time.Minute

// Flowing waits until every writer has n acknowledged commits more than now.
func (r *Running) Flowing(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, flowPatience)
	defer cancel()
	for _, l := range r.ledgers {
		want := l.acked() + n
		for l.acked() < want {
			select {
			case <-ctx.Done():
				return fmt.Errorf("wait for the load to flow: %w; last error: %s", ctx.Err(), l.lastError())
			case <-time.After(2 * time.Millisecond):
			}
		}
	}
	return nil
}

// AckedBeside returns how many commits each target of Beside has acknowledged.
func (r *Running) AckedBeside() []int {
	counts := make([]int, len(r.beside))
	for i, l := range r.beside {
		counts[i] = l.acked()
	}
	return counts
}

// Lap returns the numbers since the last Lap, or since the start.
func (r *Running) Lap() Stats {
	from := r.lap
	r.lap = time.Now()
	return r.Between(from, r.lap)
}

// Between returns the numbers of a part of the load's life.
func (r *Running) Between(from, to time.Time) Stats {
	return summarize(r.ledgers, from.Sub(r.began), to.Sub(r.began))
}
