package notify

import (
	"fmt"

	"github.com/pgbaton/pgbaton/internal/node"
)

// isClaimed reports whether the arbiter has given the next epoch to this node
// by the right that it was armed with.
func (f *Facts) isClaimed() bool {
	r, w := f.Self.Record, f.ruled()
	a := r.Armed
	return a != nil && a.Arbiter != "" && a.Arbiter == f.Arbiter.id() && a.Epoch == r.Epoch && a.Promotion == r.Newest().ID &&
		w.Epoch == r.Epoch+1 && w.Primary == f.Policy.Node && w.Right == a.Right
}

// isNewer reports whether a primary of a newer epoch is known.
func (f *Facts) isNewer() bool {
	p, found := f.primary()
	return found && p.record().Epoch > f.Self.Record.Epoch
}

// claimed: this heir has won its primary's place. That is rolled forward,
// after a crash too, whatever has become of the VIP and of the old primary,
// which cannot go on alone any more.
func claimed(f *Facts) (Verdict, bool) {
	s := f.Self
	if !f.isClaimed() || f.isNewer() || s.Ending {
		return no()
	}
	why := "the arbiter gave this node the place of " + s.Record.Armed.Primary + ", which was silent: it has every acknowledged commit"
	next := f.promotion(why)
	next.Promotions[len(next.Promotions)-1].ID = f.ruled().Promotion
	switch s.Server {
	case ServerDown:
		return Verdict{Do: Write, Record: next, Why: why, Ordered: f.Order.Promote}, true
	case ServerStandby:
		return Verdict{Do: Promote, Record: next, Why: why, Ordered: f.Order.Promote}, true
	}
	return yes(Wait, "", "the server starts; then it takes over from %s", s.Record.Armed.Primary)
}

// passedOver: the primary went on without this heir, by the arbiter's word.
func passedOver(f *Facts) (Verdict, bool) {
	r, w := f.Self.Record, f.ruled()
	if a := r.Armed; a == nil || a.Arbiter == "" || a.Arbiter != f.Arbiter.id() || w.Right != a.Right || w.Heir != "" || w.Primary == f.Policy.Node {
		return no()
	}
	next := clone(r)
	next.Armed = nil
	return Verdict{Do: Write, Record: next, Why: "the arbiter took this node's right to promote back: " + w.Primary + " went on without it"}, true
}

// disclaiming: this node claimed its primary's place and gave its right up
// before it had written that down (it was about to end). As it never promotes
// by that claim, the primary is what it was.
func disclaiming(f *Facts) (Verdict, bool) {
	r, w := f.Self.Record, f.ruled()
	newest := r.Newest()
	if f.Arbiter == nil || !f.Arbiter.Answers || w.Primary != f.Policy.Node || f.isClaimed() ||
		w.Epoch != r.Epoch+1 && (w.Epoch != r.Epoch || w.Promotion == newest.ID) {
		return no()
	}
	why := "this node gives its claim to be the primary up: " + newest.Node + " is it"
	return Verdict{Do: Register, Target: newest.Node, Swap: f.rule(w.Right, why), Why: why}, true
}

// mayClaim reports whether the arbiter's record names this heir and its right.
func (f *Facts) mayClaim() bool {
	s, w := f.Self, f.ruled()
	a := s.Record.Armed
	return a != nil && s.Server == ServerStandby && !s.Ending && f.arbitrates(a.Arbiter) && !f.isNewer() &&
		a.Epoch == s.Record.Epoch && a.Promotion == s.Record.Newest().ID &&
		w.Epoch == a.Epoch && w.Promotion == a.Promotion && w.Heir == f.Policy.Node && w.Right == a.Right
}

// claiming: the primary is silent here and keeps no lease at the arbiter
// either, and the VIP is here, where there is a keepalived: this heir asks for
// its place.
func claiming(f *Facts) (Verdict, bool) {
	s := f.Self
	if !f.mayClaim() || s.Record.Paused || f.Arbiter.Lease != "" || !f.isSilent(s.Record.Armed.Primary) {
		return no()
	}
	if f.Policy.VIP || s.VRRP != "" || s.VIP {
		if !f.hasVIP() {
			return no()
		}
	} else if f.silence(s.Record.Armed.Primary) < claimAfter {
		return no()
	}
	return f.claim(true, "the primary %s is silent and keeps no lease: asking the arbiter for its place", s.Record.Armed.Primary)
}

func (f *Facts) claim(leaseless bool, format string, args ...any) (Verdict, bool) {
	r := f.Self.Record
	why := fmt.Sprintf(format, args...)
	return Verdict{Do: Claim, Target: r.Armed.Primary, Why: why, Swap: &Swap{From: f.Arbiter.Revision, Leaseless: leaseless, To: node.ClusterRecord{
		Arbiter: f.Arbiter.ID, Epoch: r.Epoch + 1, Promotion: f.Fresh, Primary: f.Policy.Node, Right: r.Armed.Right, Time: f.Now, Why: why,
	}}}, true
}

// claimOnOrder: an operator's word stands for silence and VIP, and not for the
// arbiter's.
func (f *Facts) claimOnOrder() (Verdict, bool) {
	if f.mayClaim() {
		return f.claim(false, "an operator asked for a promotion: asking the arbiter for the place of %s", f.Self.Record.Armed.Primary)
	}
	return yes(Wait, "", "an operator asked for a promotion, but the arbiter (PGBATON_ETCD) does not answer, or does not name this node any more: "+
		"the primary may have gone on alone; `--force` accepts that")
}

// above lifts an ordered promotion over the arbiter's epoch.
func (f *Facts) above(v Verdict, fits bool) (Verdict, bool) {
	next := clone(v.Record)
	next.Epoch = max(next.Epoch, f.ruled().Epoch+1)
	next.Promotions[len(next.Promotions)-1].Epoch = next.Epoch
	v.Record = next
	return v, fits
}
