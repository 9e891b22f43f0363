package notify

import (
	"fmt"

	"github.com/pgbaton/pgbaton/internal/node"
)

// recloning: an operator gives this standby's data up, once there is a source.
func recloning(f *Facts) (Verdict, bool) {
	p, found := f.source()
	if !f.Order.Reclone || !found || f.Self.Ending {
		return no()
	}
	if f.Self.Server != ServerDown {
		return yes(Stop, p.name(), "an operator asked for a new copy of %s: the server stops", p.name())
	}
	return ordering(f.setAside(p, "an operator asked for a new copy of "+p.name()))
}

// following: there is a primary, and this node streams from it.
func following(f *Facts) (Verdict, bool) {
	s := f.Self
	p, found := f.primary()
	if !found {
		return no()
	}
	r, theirs := s.Record, p.record()
	if theirs.Epoch < r.Epoch {
		return no()
	}
	same := f.isSame(theirs)
	past := Past{Promotions: r.Promotions, End: s.end()}
	if n := len(r.Promotions); !same && !r.Reached && n > 1 {
		// It had only begun to follow the primary of that one: its WAL may go on
		// after the branch, in the epoch before.
		past.Promotions = r.Promotions[:n-1]
	}
	if same {
		if v, fits := f.strayed(p); fits {
			return v, true
		}
		if v, fits := f.lost(p); fits {
			return v, true
		}
	}
	switch {
	case s.Server == ServerStarting:
		return yes(Wait, p.name(), "the server starts or stops")
	case s.Server == ServerDown:
		return f.rejoin(p, past)
	case same && s.Following == p.name() && p.Answers && f.saysAhead(p):
		return yes(Hold, p.name(), "this node has WAL that %s, its primary, has not written: it has another history and is no copy of it. "+
			"Nothing was touched; `pgbaton reclone` keeps this data aside and copies %s", p.name(), p.name())
	case same && s.Following == p.name() && f.streams():
		return f.keepUp(p)
	case f.isElsewhere() && s.Streaming:
		return yes(Follow, "", "%s, where this node streams from, is not the address of %s any more: it lets go of it", s.Source, s.Following)
	case same && s.Following == p.name() && s.Dry < dryFor && !f.hasMoved(p):
		return yes(Wait, p.name(), "waiting for the stream from %s", p.name())
	}
	if s.Following != "" && (!same || s.Following != p.name()) {
		// What arrives from the old primary between the look at the end of the
		// WAL and the change could lie after the branch; and that node may have
		// come to hold another history with the same timeline number.
		return yes(Follow, "", "%s is the primary: this node lets go of %s first, so that the end of its WAL stands still", p.name(), s.Following)
	}
	way, why := Rejoin(past, theirs.Promotions)
	switch {
	case way == WayHold && theirs.Newest().Timeline == 0:
		return f.promoting(p)
	case way == WayHold:
		return yes(Hold, p.name(), "%s", why)
	case way != WayFollow:
		return yes(Stop, p.name(), "%s: the server stops for that", why)
	case same && s.Following == p.name() && s.Dry < dryLong && !f.hasMoved(p):
		return yes(Hold, p.name(), "%s does not stream to this node yet; PostgreSQL tries again every few seconds", p.name())
	case same && s.Following == p.name() && !f.hasMoved(p):
		return yes(Hold, p.name(), "%s does not stream to this node; its log and this one's say why. `pgbaton reclone` copies it anew", p.name())
	}
	if f.isTaken(p) {
		return yes(Wait, p.name(), "%s does not answer, and its address %s is another node's now: waiting for it", p.name(), p.Server)
	}
	next := f.followerOf(p)
	if same && s.Following == p.name() {
		why = fmt.Sprintf("it is at %s now, and was at %s", p.Server, s.Source)
	}
	return Verdict{Do: Follow, Target: p.name(), Record: next, Why: fmt.Sprintf("following %s: %s", p.name(), why)}, true
}

// streams reports whether this standby streams from the node that it follows.
// The address says nothing: another node may have it by now.
func (f *Facts) streams() bool { return f.Self.Streaming && !f.isElsewhere() }

// isElsewhere reports whether another node than the one that this standby
// follows has the address that it follows it by.
func (f *Facts) isElsewhere() bool {
	other := false
	for _, p := range f.Peers {
		if p.Server != f.Self.Source || !p.Answers || f.Self.Source == "" {
			continue
		}
		if p.name() == f.Self.Following {
			return false
		}
		other = true
	}
	return other
}

// isTaken reports whether the peer is silent and another one answers at its address.
func (f *Facts) isTaken(p Peer) bool {
	for _, o := range f.Peers {
		if !p.Answers && o.Answers && o.Server == p.Server && p.Server != "" && o.name() != p.name() {
			return true
		}
	}
	return false
}

// hasMoved reports whether the node that this standby follows answers at other
// addresses and not at the one that it follows it by.
func (f *Facts) hasMoved(p Peer) bool {
	s := f.Self
	if s.Source == "" || s.Following != p.name() || p.Server == "" || !p.Answers {
		return false
	}
	for _, o := range f.Peers {
		if o.Answers && o.Server == s.Source && o.name() == s.Following {
			return false
		}
	}
	return true
}

// strayed: a standby that never streamed in this epoch has WAL beyond where the
// epoch began. It came to light after the two were compared: what a killed
// standby knows of its own end is less than what lies on its disk. PostgreSQL
// refuses to stream then; the record goes back to what the data is.
func (f *Facts) strayed(p Peer) (Verdict, bool) {
	s := f.Self
	r := s.Record
	n := len(r.Promotions)
	if r.Reached || n < 2 || s.Streaming || r.Newest().Timeline == 0 || s.end() <= r.Newest().At {
		return no()
	}
	if s.Server == ServerStandby && (s.Dry < dryFor || !p.isOpen()) {
		return no()
	}
	next := clone(r)
	next.Promotions = next.Promotions[:n-1]
	next.Epoch, next.Armed = next.Newest().Epoch, nil
	return Verdict{Do: Write, Target: p.name(), Record: next, Why: fmt.Sprintf(
		"this node's WAL goes on to %s and never came from %s, whose timeline begins at %s: it does not follow it yet", s.end(), p.name(), r.Newest().At)}, true
}

// isSame reports whether this node's record says what the primary's says.
func (f *Facts) isSame(theirs *node.Record) bool {
	r := f.Self.Record
	return theirs.Epoch == r.Epoch && len(r.Promotions) == len(theirs.Promotions) && common(r.Promotions, theirs.Promotions) == len(r.Promotions)
}

// learning takes over what streaming from the primary shows, and what its
// record has learnt since.
func learning(f *Facts) (Verdict, bool) {
	s := f.Self
	p, found := f.primary()
	if !found || s.Record.Primary || s.Server != ServerStandby || !f.streams() || s.Following != p.name() || !f.isSame(p.record()) {
		return no()
	}
	mine, theirs := s.Record.Newest(), p.record().Newest()
	if s.Timeline < theirs.Timeline {
		return no() // the timeline tells, whatever the address: what streams here is not yet, or not at all, in its epoch
	}
	if mine.Timeline == theirs.Timeline && mine.At == theirs.At && s.Record.Reached {
		return no()
	}
	next := clone(s.Record)
	next.Promotions = append([]node.Promotion(nil), p.record().Promotions...)
	next.Reached = true
	return Verdict{Do: Write, Record: next, Why: "streaming from " + p.name() + " in its epoch"}, true
}

// keepUp is the steady life of a standby.
func (f *Facts) keepUp(p Peer) (Verdict, bool) {
	if f.Self.Record.Armed != nil {
		return yes(Wait, p.name(), "streaming from %s, as its armed heir", p.name())
	}
	if why := f.Self.Replay.Stalled(); why != "" {
		return yes(Wait, p.name(), "streaming from %s; this node is nobody's heir: %s", p.name(), why)
	}
	return yes(Wait, p.name(), "streaming from %s", p.name())
}

// lonely: no primary is known that this node could follow.
func lonely(f *Facts) (Verdict, bool) {
	switch f.Self.Server {
	case ServerDown:
		if !f.asked() {
			return yes(Wait, "", "asking the peers who is the primary")
		}
		return yes(StartStandby, "", "no primary is known: the standby starts, and follows as soon as there is one")
	case ServerStandby:
		return yes(Wait, "", "no primary is known; this standby waits for one")
	}
	return yes(Wait, "", "the server starts or stops")
}
