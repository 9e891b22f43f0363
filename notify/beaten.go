package notify

import (
	"fmt"

	"github.com/pgbaton/pgbaton/internal/node"
)

// beaten: somebody has promoted with a newer right. Fence first, then rejoin.
func beaten(f *Facts) (Verdict, bool) {
	p, found := f.primary()
	if !found || p.record().Epoch <= f.Self.Record.Epoch {
		return no()
	}
	s := f.Self
	switch {
	case s.Server == ServerDown && s.Ending:
		return yes(Leave, "", "%s is the primary now", p.name())
	case s.isEnding():
		return yes(Wait, p.name(), "%s is the primary now; the last processes of the server here end", p.name())
	case s.Server != ServerDown:
		return yes(Stop, p.name(), "%s is the primary of epoch %d, newer than this node's %d: no more writes here", p.name(), p.record().Epoch, s.Record.Epoch)
	case f.Order.Reclone && p.isOpen():
		return ordering(f.setAside(p, "an operator gives this node's data up for a copy of the primary's"))
	case f.unpromoted() && s.Timeline != 0:
		return f.outrun(p)
	case !s.Clean:
		return yes(Recover, p.name(), "the server died as a primary: its own WAL is replayed first, closed, so that its end is known")
	}
	return f.rejoin(p, Past{Promotions: s.Record.Promotions, End: s.end(), Acknowledged: alone(s.Record) && !f.gave(p)})
}

// gave reports whether the peer's history goes on with the node that this one
// released its right to, which had all of its WAL then.
func (f *Facts) gave(p Peer) bool {
	r, theirs := f.Self.Record, p.record().Promotions
	k := len(r.Promotions)
	return r.Released != nil && r.Released.LSN != 0 && common(r.Promotions, theirs) == k && k < len(theirs) && theirs[k].Node == r.Released.Target
}

// end is where WAL ends: while the server is down its end is known by a
// position within the last record.
func (s Self) end() node.LSN {
	if s.Server == ServerDown {
		return s.End + 1
	}
	return s.End
}

// alone reports whether a primary acknowledges, or may have acknowledged,
// commits that only it has, and nobody may promote on its silence.
func alone(r *node.Record) bool { return r.Heir == nil || !r.Heir.Armed }

// rejoin turns a way into an action for a node whose server is down.
func (f *Facts) rejoin(p Peer, past Past) (Verdict, bool) {
	if p.record().Newest().Timeline == 0 {
		return f.promoting(p)
	}
	way, why := Rejoin(past, p.record().Promotions)
	follower := f.followerOf(p)
	switch way {
	case WayFollow:
		return Verdict{Do: StartStandby, Target: p.name(), Record: follower, Why: fmt.Sprintf("following %s: %s", p.name(), why)}, true
	case WayRewind, WayReclone:
		if !p.isOpen() {
			return yes(Hold, p.name(), "%s; nothing is touched until %s answers and is open", why, p.name())
		}
		if way == WayReclone {
			return f.setAside(p, fmt.Sprintf("copying %s anew: %s", p.name(), why))
		}
		if !f.Self.Clean {
			return yes(Recover, p.name(), "%s; pg_rewind needs a clean shutdown, so what this standby has is replayed first, closed", why)
		}
		follower.Reached = true
		return Verdict{Do: Rewind, Target: p.name(), After: follower, Why: fmt.Sprintf("rewinding onto %s: %s", p.name(), why)}, true
	}
	return yes(Hold, p.name(), "%s. Nothing was touched; `pgbaton reclone` keeps this data aside and copies %s", why, p.name())
}

// promoting: how a peer's promotion ends is not known yet.
func (f *Facts) promoting(p Peer) (Verdict, bool) {
	if p.Answers && p.State.Role != "" {
		return yes(Wait, p.name(), "waiting until %s's promotion is complete", p.name())
	}
	return yes(Hold, p.name(), "%s was about to become the primary, and its server does not run: this node follows as soon as that promotion is complete", p.name())
}

// setAside empties the data directory for a copy; the record that permitted
// the old data anything goes with it.
func (f *Facts) setAside(p Peer, why string) (Verdict, bool) {
	return Verdict{Do: SetAside, Target: p.name(), After: f.followerOf(p), Why: why + "; the old data is kept aside"}, true
}

// rivalled: the same epoch was begun twice, which only an operator's force or
// PGBATON_ON_SILENCE=both can bring about.
func rivalled(f *Facts) (Verdict, bool) {
	p, found := f.primary()
	s := f.Self
	r := s.Record
	if !found || p.record().Epoch != r.Epoch || p.record().Newest().ID == r.Newest().ID {
		return no()
	}
	switch {
	case f.Policy.OnSilence == SilenceBoth && s.VIP && s.Server == ServerPrimary:
		return no()
	case s.Server != ServerDown:
		return yes(Stop, p.name(), "%s is a primary of the same epoch %d by another promotion: no more writes here until an operator decides", p.name(), r.Epoch)
	case s.Ending:
		return yes(Leave, "", "%s is a primary of the same epoch", p.name())
	case f.Order.Alone && f.Order.Force:
		return ordering(f.overruling("an operator chose this node's history over " + p.name() + "'s"))
	case f.Order.Reclone && p.Answers:
		return ordering(f.setAside(p, "an operator chose "+p.name()+"'s history over this node's"))
	}
	return yes(Hold, p.name(), "%s and this node are both primaries of epoch %d: an operator decides which history counts. "+
		"`pgbaton alone --force` on the node whose history counts, `pgbaton reclone` on the other one, which keeps its data aside", p.name(), r.Epoch)
}

// overruling begins a new epoch with this node's data as it is.
func (f *Facts) overruling(why string) (Verdict, bool) {
	s := f.Self
	next := clone(s.Record)
	if n, found := f.newest(); found {
		next.Epoch = max(next.Epoch, n.record().Epoch)
	}
	next.Epoch = max(next.Epoch, f.ruled().Epoch)
	next.Epoch++
	next.Heir, next.Armed, next.Released = nil, nil, nil
	p := node.Promotion{ID: f.Fresh, Epoch: next.Epoch, Node: f.Policy.Node, Time: f.Now, Why: why}
	last := &next.Promotions[len(next.Promotions)-1]
	if f.unpromoted() { // the server comes to be promoted in the new epoch
		next.Promotions = next.Promotions[:len(next.Promotions)-1]
	} else {
		if last.Timeline == 0 {
			last.Timeline, last.At = s.Timeline, f.branchOrAll()
		}
		p.Timeline, p.At = last.Timeline, s.end()
	}
	next.Promotions = append(next.Promotions, p)
	return Verdict{Do: Write, Record: next, Why: why}, true
}

// outdated: a standby of a newer epoch proves that somebody promoted, although
// that primary has not been heard of.
func outdated(f *Facts) (Verdict, bool) {
	n, found := f.newest()
	s := f.Self
	if !found || n.record().Epoch <= s.Record.Epoch {
		return no()
	}
	switch {
	case s.Server != ServerDown:
		return yes(Stop, n.name(), "%s is in epoch %d, newer than this node's %d: somebody promoted, so no more writes here", n.name(), n.record().Epoch, s.Record.Epoch)
	case s.Ending:
		return yes(Leave, "", "%s is in a newer epoch", n.name())
	case f.Order.Alone && f.Order.Force:
		return ordering(f.overruling("an operator chose this node's history over " + n.name() + "'s"))
	}
	return yes(Hold, n.name(), "%s is in epoch %d, newer than this node's %d, and the primary of that epoch, %s, does not answer. "+
		"It goes on as soon as it is back; if it never will be, `pgbaton promote --force` on %s, or `pgbaton alone --force` here, which gives that history up",
		n.name(), n.record().Epoch, s.Record.Epoch, n.record().Newest().Node, n.name())
}
