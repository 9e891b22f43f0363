package pg

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/lib/pq"

	"github.com/pgbaton/pgbaton/internal/node"
)

// provePoll is how often ProveSync looks while commits wait for it.
const provePoll = 2 * time.Millisecond

// ErrNoHeir is returned where the heir does not stream, before anything was
// changed.
var ErrNoHeir = errors.New("the heir is not connected and streaming")

// ProveSync makes synchronous_standby_names name exactly the heir (a node), and
// returns an LSN that is on its disk and below which everything lies that was
// acknowledged to anybody without waiting for it. From then on commits with
// synchronous_commit on, remote_write or remote_apply wait for the heir; those
// of sessions with local or off do not.
//
//  1. The parameter gets a name that nobody has. A commit of ours is seen
//     waiting: every commit waits from now on, whatever its session has read of
//     the configuration (SyncRepWaitForLSN in syncrep.c looks at shared memory).
//  2. The parameter names the heir. Its walsender is the synchronous one, and
//     no other has a priority: one that still goes by the parameter of before
//     could release commits that the heir does not have.
//     Nor is it ahead of this server, which a copy never is.
//  3. The probe comes back, and the heir has flushed the returned LSN, of WAL
//     written since. A session that had looked at the flag before it was set had
//     written its commit before the probe was seen waiting, so before that.
//
// Commits of others wait during the first two steps. When ctx ends, or after
// any other error but ErrNoHeir, the parameter stays at what it was last set
// to, and commits may wait for a name that nobody has: the caller proves again
// or sets another value (SetAuto). A probe that waits is cancelled, which loses
// nothing: it has no data.
func (l Login) ProveSync(ctx context.Context, heir string) (node.LSN, error) {
	at, err := l.proveSync(ctx, heir)
	if err != nil {
		return 0, fmt.Errorf("prove that commits wait for %s: %w", heir, err)
	}
	return at, nil
}

func (l Login) proveSync(ctx context.Context, heir string) (node.LSN, error) {
	if err := CheckNode(heir); err != nil {
		return 0, err
	}
	s, hand, end := l.sessions(connectTimeout)
	defer end()
	pr := &prover{s: s, hand: hand, heir: heir}
	if err := l.firmly(ctx, "begin", func(context.Context, *sql.DB) error { return nil }); err != nil {
		return 0, err // sessions that were given up have ended otherwise, and change nothing any more
	}
	if err := pr.begin(ctx); err != nil {
		return 0, err
	}
	first, err := pr.everyCommitWaits(ctx)
	if first != nil {
		defer first.cancel(s)
	}
	if err != nil {
		return 0, err
	}
	if err := s.setSync(ctx, SyncFor(heir)); err != nil {
		return 0, err
	}
	if err := pr.await(ctx, pr.onlyHeir); err != nil {
		return 0, err
	}
	return pr.second(ctx, first)
}

// SyncFor is the value of synchronous_standby_names that names one node.
func SyncFor(heir string) string {
	return "FIRST 1 (" + pq.QuoteIdentifier(heir) + ")"
}

// ErrAhead is returned where the heir is no copy of this primary. Commits wait
// for a name that nobody has then.
var ErrAhead = errors.New("the heir has flushed WAL that this server has not written: it has another history")

// prover is one proof under way.
type prover struct {
	s      *session // looks and changes settings
	hand   *session // has the commit that waits
	heir   string
	former string // synchronous_standby_names when it began
	seen   string // what the last look found, for the error
}

// begin looks before anything is changed.
func (pr *prover) begin(ctx context.Context) error {
	f, err := pr.s.syncFacts(ctx)
	if err != nil {
		return err
	}
	pr.former = f.names
	if f.source == "command line" {
		return fmt.Errorf("%s is set on the server's command line, where nothing can change it", SyncNames)
	}
	if !f.streams(pr.heir) {
		return fmt.Errorf("%w; nothing was changed", ErrNoHeir)
	}
	if f.ahead(pr.heir) {
		return errors.Join(ErrAhead, pr.s.setSync(ctx, nobody()))
	}
	return nil
}

// nobody is a value of synchronous_standby_names that no standby has.
func nobody() string { return SyncFor("nobody " + rand.Text()) }

// everyCommitWaits returns a probe that waits for a name that nobody has.
func (pr *prover) everyCommitWaits(ctx context.Context) (*probe, error) {
	if err := pr.s.setSync(ctx, nobody()); err != nil {
		return nil, err
	}
	for {
		p, err := startProbe(ctx, pr.hand)
		if err != nil {
			return nil, err
		}
		waits, err := p.seenWaiting(ctx, pr.s)
		if waits || err != nil {
			return p, err
		}
	}
}

// onlyHeir is the condition of step 2.
func (pr *prover) onlyHeir(f syncFacts) bool {
	for _, w := range f.senders {
		switch {
		case w.is(pr.heir):
		case w.Priority != 0:
			pr.seen = fmt.Sprintf("the walsender of %q still has priority %d", w.Node, w.Priority)
			return false
		// A priority is not shown before the first reply.
		case w.Flush == 0 && matches(pr.former, w.Node):
			pr.seen = fmt.Sprintf("the walsender of %q has had no reply yet", w.Node)
			return false
		}
	}
	heirs := 0
	for _, w := range f.senders {
		if !w.is(pr.heir) {
			continue
		}
		heirs++
		if w.Ahead {
			pr.seen = fmt.Sprintf("it has flushed up to %s, which this server has not written: it is no copy of it", w.Flush)
			return false
		}
		if w.SyncState != "sync" || w.Priority == 0 || w.logical {
			pr.seen = fmt.Sprintf("its walsender is %s, %s, with priority %d", w.State, w.SyncState, w.Priority)
			return false
		}
	}
	pr.seen = fmt.Sprintf("it has %d walsenders", heirs)
	return heirs == 1
}

// second is step 3. A standby that has all says so only when more comes, or
// after seconds: WAL of ours, whose commit waits for nobody, is what makes it
// release the probe, and whoever else waits.
func (pr *prover) second(ctx context.Context, first *probe) (node.LSN, error) {
	at, err := pr.s.nudge(ctx)
	if err != nil {
		return 0, err
	}
	if err := first.wait(ctx); err != nil {
		return 0, err
	}
	return at, pr.await(ctx, func(f syncFacts) bool {
		if !pr.onlyHeir(f) {
			return false
		}
		pr.seen = fmt.Sprintf("it has flushed up to %s, not %s", f.flushed(pr.heir), at)
		return f.flushed(pr.heir) >= at
	})
}

// await looks until a condition holds.
func (pr *prover) await(ctx context.Context, cond func(syncFacts) bool) error {
	tick := time.NewTicker(provePoll)
	defer tick.Stop()
	names := pr.former
	for {
		f, err := pr.s.syncFacts(ctx)
		switch {
		case err == nil && cond(f):
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%w: %s; %s stays at %s", context.Cause(ctx), pr.seen, SyncNames, names)
		case err != nil:
			return err
		}
		names = f.names
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}
