package notify

import (
	"fmt"

	"github.com/pgbaton/pgbaton/internal/node"
)

// standbyData is about a node whose data is a standby's.
func standbyData(f *Facts) (Verdict, bool) {
	if f.Self.Record.Primary {
		return no()
	}
	for _, row := range []row{rogue, recloning, claimed, waking, passedOver, disclaiming, leaving, given, orderedUp, alien, inheriting, claiming, outgrown, learning, following, lonely} {
		if v, fits := row(f); fits {
			return v, true
		}
	}
	return yes(Hold, "", "these facts fit no rule of a standby; nothing is done")
}

// rogue: a server that accepts writes without a right to, whoever promoted it.
func rogue(f *Facts) (Verdict, bool) {
	if f.Self.Server != ServerPrimary {
		return no()
	}
	return yes(Stop, "", "the server runs as a primary without a right to: no more writes here")
}

// waking: a server that starts is unarmed until it is armed again.
func waking(f *Facts) (Verdict, bool) {
	s := f.Self
	if s.Server != ServerDown || s.Record.Armed == nil {
		return no()
	}
	if s.Record.Armed.Arbiter != "" && f.Arbiter != nil && !f.Arbiter.Asked {
		return yes(Wait, "", "asking the arbiter whether this node has claimed its primary's place already")
	}
	next := clone(s.Record)
	next.Armed = nil
	return Verdict{Do: Write, Record: next, Why: "this server was down: it is no armed heir until it streams and is armed again"}, true
}

// leaving: a standby that ends on purpose gives its right to promote up first,
// so that nobody waits for it.
func leaving(f *Facts) (Verdict, bool) {
	s := f.Self
	if !s.Ending {
		return no()
	}
	if s.Record.Armed != nil {
		next := clone(s.Record)
		next.Armed = nil
		return Verdict{Do: Write, Record: next, Why: "this node is about to end: it gives up its right to promote"}, true
	}
	if p, found := f.answering(s.Record.Newest().Node); found && f.isHeirOf(p) {
		return yes(Wait, p.name(), "%s still waits for this node as its heir; it is about to give this node up", p.name())
	}
	return yes(Leave, "", "this standby may end")
}

// isHeirOf reports whether the primary's commits wait for this node.
func (f *Facts) isHeirOf(p Peer) bool {
	r := p.record()
	return r.Primary && r.Released == nil && r.Epoch == f.Self.Record.Epoch && r.Heir != nil && r.Heir.Node == f.Policy.Node
}

// promotion is the record of a promotion by this node. A promotion that its
// data never reached, because this node had only begun to follow that primary,
// is no part of its history; nor is one that was never heard to be complete.
func (f *Facts) promotion(why string) *node.Record {
	next := clone(f.Self.Record)
	for n := len(next.Promotions); n > 1 && (!next.Reached && next.Promotions[n-1].At >= f.Self.End || next.Promotions[n-1].Timeline == 0); n-- {
		next.Promotions = next.Promotions[:n-1]
	}
	next.Epoch++
	next.Primary, next.Reached, next.Heir, next.Armed, next.Released = true, false, nil, nil, nil
	next.Promotions = append(next.Promotions, node.Promotion{ID: f.Fresh, Epoch: next.Epoch, Node: f.Policy.Node, Time: f.Now, Why: why})
	return next
}

func (f *Facts) promote(format string, args ...any) (Verdict, bool) {
	why := fmt.Sprintf(format, args...)
	return Verdict{Do: Promote, Record: f.promotion(why), Why: why}, true
}

// given: the old primary has released its right to this node.
func given(f *Facts) (Verdict, bool) {
	rel, from := f.releasedToMe()
	if rel == nil {
		return no()
	}
	s := f.Self
	switch {
	case s.Server == ServerDown:
		return yes(StartStandby, "", "%s gave the right to open to this node, whose server is down: starting it", from)
	case s.Server != ServerStandby:
		return yes(Wait, "", "the server starts; then it takes over from %s", from)
	case rel.LSN != 0 && s.End <= rel.LSN:
		return yes(Hold, "", "%s gave the right to open to this node with its WAL up to %s, but it ends at %s here: something is badly wrong, an operator decides", from, rel.LSN, s.End)
	}
	return f.promote("%s gave the right to open to this node (%s)", from, rel.Why)
}

// releasedToMe is a release of the very promotion that this node follows.
func (f *Facts) releasedToMe() (*node.Release, string) {
	r := f.Self.Record
	if t := f.Self.Taken; t != nil && t.Target == f.Policy.Node && t.Epoch == r.Epoch {
		return t, r.Newest().Node
	}
	for _, p := range f.ours() {
		o := p.record()
		if o != nil && o.Primary && o.Released != nil && o.Released.Target == f.Policy.Node &&
			o.Epoch == r.Epoch && o.Newest().ID == r.Newest().ID {
			return o.Released, p.name()
		}
	}
	return nil, ""
}

// orderedUp: an operator makes this standby the primary.
func orderedUp(f *Facts) (Verdict, bool) {
	s := f.Self
	wanted := f.Order.Promote || f.Order.Alone && f.Order.Force
	if !wanted || s.Server != ServerStandby {
		return no()
	}
	if p, found := f.primary(); found && p.isOpen() && !f.Order.Force {
		return yes(Wait, p.name(), "an operator asked for a promotion, but %s is the primary and answers: use `pgbaton switchover`", p.name())
	}
	if s.Record.Armed == nil && !f.Order.Force {
		return yes(Wait, "", "an operator asked for a promotion, but this node is not armed: commits may be missing here; `--force` accepts that")
	}
	if a := s.Record.Armed; !f.Order.Force && a.Arbiter != "" {
		return f.claimOnOrder()
	}
	return ordering(f.above(f.promote("an operator promoted this node")))
}

// inheriting: the armed heir promotes on silence of its primary, with the VIP.
func inheriting(f *Facts) (Verdict, bool) {
	s := f.Self
	if s.Server != ServerStandby || !f.hasVIP() || s.Record.Paused {
		return no()
	}
	if s.Deaf > 0 { // perhaps it is this node that hears nothing
		return no()
	}
	if newer, found := f.primary(); found && newer.record().Epoch > s.Record.Epoch {
		return no()
	}
	switch f.Policy.OnSilence {
	case SilencePromote:
		a := s.Record.Armed
		if a == nil || a.Arbiter != "" || f.isOvertaken() || a.Epoch != s.Record.Epoch || a.Promotion != s.Record.Newest().ID || !f.isSilent(a.Primary) {
			return no()
		}
		return f.promote("the primary %s is silent, the VIP is here, and this node is its armed heir: it has every acknowledged commit", a.Primary)
	case SilenceBoth:
		old := s.Record.Newest().Node
		if !f.isSilent(old) || !f.asked() {
			return no()
		}
		return f.promote("the primary %s is silent and the VIP is here (PGBATON_ON_SILENCE=both: commits may be missing)", old)
	}
	return no()
}

// hasVIP: keepalived's word alone is not enough, nor an orphaned address.
func (f *Facts) hasVIP() bool { return f.Self.VIP && f.Self.VRRP == "MASTER" }

// isSilent reports whether a fresh attempt to reach the node has failed.
func (f *Facts) isSilent(name string) bool {
	_, answers := f.answering(name)
	return !answers && f.asked()
}
