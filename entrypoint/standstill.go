package entrypoint

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/pgbaton/pgbaton/internal/nodeapi"
)

// pulseFile is written again and again, so that a disk that answers no more is
// noticed: PostgreSQL's own sessions wait for it in the kernel, and the kept ones
// need it for nothing.
const pulseFile = stateDir + "/pulse"

// standstill watches the two things without which this supervisor decides
// nothing and this node serves nobody: that its loop turns, and that the volume's
// disk writes. A node of which one stands still is silent: it answers no peer,
// keeps no lease, and has no right to the VIP, so that its heir can take over.
type standstill struct {
	within  time.Duration             // for one write; 0: it may take for ever
	root    atomic.Pointer[os.Root]   // of the volume; nil: none yet
	begun   atomic.Pointer[time.Time] // of the write under way; nil: none is
	turned  func() time.Time          // when the loop did last
	release func()                    // gives up what is kept for others' sake
}

// watchStandstill begins, for a node with peers.
func (s *supervisor) watchStandstill(ctx context.Context) {
	seats, arbiter := s.cl.seats, s.cl.arbiter
	s.still = &standstill{within: s.set.HungAfter, turned: func() time.Time { return s.snapshot.Load().Time }, release: func() {
		if seats != nil {
			_ = seats.SetEligible(false) // tried again in a moment
		}
		if arbiter != nil {
			arbiter.Hold(false)
		}
	}}
	go s.still.write(ctx)
	go s.still.watch(ctx, s.log.Error)
}

// write keeps the pulse.
func (w *standstill) write(ctx context.Context) {
	for ctx.Err() == nil {
		if root := w.root.Load(); root != nil && w.within > 0 {
			now := time.Now()
			w.begun.Store(&now)
			_ = pulse(root) // a full or broken disk answers, and others say so
			w.begun.Store(nil)
		}
		select {
		case <-ctx.Done():
		case <-time.After(max(pingNotBefore, min(w.within/pingsIn, pingAtLatest))):
		}
	}
}

func pulse(root *os.Root) error {
	f, err := root.OpenFile(pulseFile, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was synced, or is of no use
	if _, err := f.WriteAt([]byte{'.'}, 0); err != nil {
		return err
	}
	return f.Sync()
}

// why says what stands still; empty: nothing does.
func (w *standstill) why(now time.Time) string {
	if w == nil {
		return ""
	}
	if quiet := now.Sub(w.turned()); quiet >= nodeapi.StillAfter {
		return fmt.Sprintf("the supervisor has decided nothing for %s: its loop stands still", quiet.Round(time.Second))
	}
	return w.disk(now)
}

// disk says that the disk stands still; empty: it writes.
func (w *standstill) disk(now time.Time) string {
	if w == nil || w.within == 0 {
		return ""
	}
	if begun := w.begun.Load(); begun != nil && now.Sub(*begun) >= w.within {
		return fmt.Sprintf("the volume has not written a byte for %s: its disk stands still", now.Sub(*begun).Round(time.Second))
	}
	return ""
}

// watch gives up, as long as anything stands still, what this node keeps for
// others' sake.
func (w *standstill) watch(ctx context.Context, complain func(string, ...any)) {
	still := false
	for ctx.Err() == nil {
		why := w.why(time.Now())
		if why != "" {
			w.release()
			if !still {
				complain(why + "; this node counts as silent until that is over")
			}
		}
		still = why != ""
		select {
		case <-ctx.Done():
		case <-time.After(tickEvery):
		}
	}
}

// Still says why this node is as good as silent (nodeapi).
func (s *supervisor) Still() string { return s.still.why(time.Now()) }
