package testbed

import (
	"context"
	"database/sql"
	"sync"
	"time"
)

// Crowd is the superuser's sessions that take every connection of a node, as
// applications' do which connect as POSTGRES_USER.
type Crowd struct {
	on   *Container
	db   *sql.DB
	all  sync.WaitGroup
	stop context.CancelFunc
	mu   sync.Mutex
	in   int // sessions that got in
	back int // statements that came back without an error
}

// Crowd lets n sessions carry out a statement each and stay, again and again
// where they are sent away.
func (c *Container) Crowd(n int, statement string) *Crowd {
	c.tb.Helper()
	ctx, stop := context.WithCancel(c.tb.Context())
	g := &Crowd{on: c, db: c.DB(), stop: stop}
	g.db.SetMaxOpenConns(n)
	for range n {
		g.all.Go(func() { g.session(ctx, statement) })
	}
	return g
}

func (g *Crowd) session(ctx context.Context, statement string) {
	var conn *sql.Conn
	for {
		var err error
		if conn, err = g.db.Conn(ctx); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond): // all others are in; one may leave
		}
	}
	defer conn.Close()
	g.count(&g.in)
	_, err := conn.ExecContext(context.WithoutCancel(ctx), statement) // a cancelled commit would count as one
	if err == nil {
		g.count(&g.back)
	}
	<-ctx.Done()
}

func (g *Crowd) count(n *int) {
	g.mu.Lock()
	*n++
	g.mu.Unlock()
}

// Counts is how many got in, and how many statements came back.
func (g *Crowd) Counts() (in, back int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.in, g.back
}

// Leave ends the sessions.
func (g *Crowd) Leave() {
	g.stop()
	g.db.Close()
}

// Full waits until nobody else gets in.
func (g *Crowd) Full() {
	g.on.tb.Helper()
	g.on.Eventually(patience, "every connection is taken", func() bool {
		return g.on.Exec("psql", "-U", "postgres", "-c", "select 1").Code != 0
	})
}
