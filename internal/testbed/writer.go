package testbed

import (
	"context"
	"fmt"
	"time"

	"github.com/lib/pq"
)

// writer is one client of a load.
type writer struct {
	id      int
	load    Load
	target  Target
	backOff time.Duration
	ledger  *ledger
	stop    <-chan struct{}
	link    link
}

func (w *writer) run(ctx context.Context) {
	defer w.ledger.close()
	defer w.link.close()
	cut := context.AfterFunc(ctx, w.link.cut)
	defer cut()
	for n := 0; w.load.Commits == 0 || n < w.load.Commits; {
		if w.over(ctx) {
			return
		}
		if w.link.conn == nil {
			if err := w.connect(ctx); err != nil {
				w.ledger.refused(err)
				w.pause(ctx, w.backOff)
				continue
			}
		}
		err := w.commit(ctx, n)
		n++
		if err != nil {
			w.link.close()
			w.pause(ctx, w.backOff)
			continue
		}
		w.pause(ctx, w.load.Think)
	}
}

func (w *writer) connect(ctx context.Context) error {
	dsn, err := w.target(ctx)
	if err != nil {
		return err
	}
	return w.link.connect(ctx, dsn, w.load.Dial)
}

// commit sends row n and notes what became of it. Without an answer that
// proves one or the other, it is in doubt.
func (w *writer) commit(ctx context.Context, n int) error {
	w.ledger.begin(n)
	insert := fmt.Sprintf("insert into %s values (%d, %d)", pq.QuoteIdentifier(w.load.Table), w.id, n)
	if w.load.Explicit {
		// Before the commit is sent nothing can have become durable.
		if err := w.link.exec(ctx, "begin; "+insert); err != nil {
			w.ledger.end(n, failed, err)
			return err
		}
		insert = "commit"
	}
	err := w.link.exec(ctx, insert)
	switch {
	case err == nil:
		w.ledger.end(n, acked, nil)
	case rolledBack(err):
		w.ledger.end(n, failed, err)
	default:
		w.ledger.end(n, inDoubt, err)
	}
	return err
}

func (w *writer) over(ctx context.Context) bool {
	select {
	case <-w.stop:
		return true
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

func (w *writer) pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-w.stop:
	case <-ctx.Done():
	case <-time.After(d):
	}
}
