package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgbaton/pgbaton/internal/arbiter"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/notify"
)

const (
	// swapWithin bounds a change of the arbiter's record, with the pause after
	// one that failed.
	swapWithin = 5 * time.Second
	// swapPause is the pause after one that failed.
	swapPause = time.Second
	// loudFor is how long a primary that went on without its heir says again
	// where the VIP is: the heir may have had it meanwhile, and cannot be heard.
	loudFor   = 8 * time.Second
	loudEvery = time.Second
)

// startArbiter begins to ask the arbiter, where one is set. Without it nothing
// of etcd's client is made.
func (s *supervisor) startArbiter(ctx context.Context) {
	if len(s.set.Etcd) == 0 {
		return
	}
	ca := s.set.EtcdCA
	if ca == "" {
		ca = s.set.TLSCA
	}
	s.cl.arbiter = arbiter.Start(ctx, arbiter.Config{
		Endpoints: s.set.Etcd, User: s.set.EtcdUser, Password: s.set.EtcdPassword.Reveal(),
		CA: ca, Cert: s.set.TLSCert, Key: s.set.TLSKey, Cluster: s.set.Cluster, Node: s.set.Node,
	}, s.wake)
}

// arbiterFacts is what is known of the arbiter's record.
func (s *supervisor) arbiterFacts() *notify.Arbiter {
	if s.cl.arbiter == nil {
		return nil
	}
	seen := s.cl.arbiter.Seen()
	return &notify.Arbiter{
		ID: seen.ID, Record: seen.Record, Revision: seen.Revision, Lease: seen.Lease,
		Asked:   !seen.Asked.IsZero(),
		Answers: seen.Err == nil && time.Since(seen.Answered) < staleAfter,
	}
}

// keepLease tells the arbiter that this node is an open primary, or is not.
func (s *supervisor) keepLease(f *notify.Facts) {
	if s.cl.arbiter == nil {
		return
	}
	r := f.Self.Record
	open := r != nil && r.Primary && r.Released == nil && f.Self.Server == notify.ServerPrimary
	s.cl.arbiter.Hold(open && !f.Beaten() && !f.Deaf() && s.still.disk(time.Now()) == "")
}

// swap changes the arbiter's record. Whether it did is seen when that is read
// again: an answer that is lost says nothing.
func (s *supervisor) swap(v notify.Verdict) {
	a := s.cl.arbiter
	s.begin(v, swapWithin, func(ctx context.Context) (func(), error) {
		err := a.Swap(ctx, v.Swap.From, v.Swap.To, v.Swap.Leaseless)
		if errors.Is(err, arbiter.ErrChanged) {
			err = nil // what it says now is decided upon
		}
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(swapPause):
			}
		}
		return func() {}, err
	})
}

// raiseVoice says for a while where the VIP is, on a primary that goes on by
// the arbiter's word without an heir that it does not hear.
func (s *supervisor) raiseVoice(before, now *node.Record) {
	if s.cl.keepalived == nil || before == nil || before.Heir == nil || before.Heir.Right == "" || !now.Primary || now.Heir != nil {
		return
	}
	until := time.Now().Add(loudFor)
	var again func()
	again = func() {
		if f := &s.cl.facts; !f.Self.VIP || f.Self.Server != notify.ServerPrimary || f.Beaten() {
			return
		}
		if err := s.cl.keepalived.Announce(); err != nil {
			s.log.Warn("role: announce the VIP again", "error", err)
		}
		if time.Now().Before(until) {
			time.AfterFunc(loudEvery, func() { s.post(again) })
		}
	}
	again()
}

// showArbiter is the arbiter as the API shows it.
func (s *supervisor) showArbiter() *node.Arbiter {
	f := s.cl.facts.Arbiter
	if f == nil {
		return nil
	}
	a := &node.Arbiter{ID: f.ID, Answers: f.Answers, Record: f.Record}
	if err := s.cl.arbiter.Seen().Err; err != nil {
		a.Error = err.Error()
	}
	return a
}

// arbiterWarnings are what an operator should mend about the arbiter.
func (s *supervisor) arbiterWarnings() (warnings []string) {
	f := s.cl.facts.Arbiter
	if f != nil && f.Asked && !f.Answers {
		why := "its last answer is too old"
		if err := s.cl.arbiter.Seen().Err; err != nil {
			why = err.Error()
		}
		warnings = append(warnings, fmt.Sprintf("the arbiter (PGBATON_ETCD) does not answer: nothing changes roles on silence until it does; all else goes on (%s)", why))
	}
	if who := s.cl.facts.Strangers(); who != "" {
		warnings = append(warnings, "no heir is armed between nodes that have not the same arbiter: "+who)
	}
	return warnings
}

// arbiterLoses is loses' sentence with an arbiter.
func arbiterLoses(a *notify.Arbiter) string {
	const kept = "nothing acknowledged is lost: commits wait for the armed heir; "
	if a.Answers {
		return kept + "when it is silent the primary goes on alone, and when the primary is silent the heir takes over, as the arbiter (etcd) decides"
	}
	return kept + "the arbiter (etcd) does not answer, so they wait on when the heir is silent, and nobody takes over when the primary is, until it answers or an operator says `pgbaton alone --force`"
}
