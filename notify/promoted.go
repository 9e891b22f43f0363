package notify

import (
	"fmt"

	"github.com/pgbaton/pgbaton/internal/node"
)

// A promotion is written down before it is made, and its server may die inside
// of it. PostgreSQL then has done, in this order, some of: removed
// standby.signal; written the history file of the new timeline; written the
// record that ends recovery; and let pg_control say "in production" (StartupXLOG
// in xlog.c). Only the last one makes a primary. Whoever starts the data before
// it without standby.signal gets a primary that goes on in the *old* timeline.

// earlier are the promotions before the one that began the epoch.
func earlier(r *node.Record) []node.Promotion { return r.Promotions[:max(0, len(r.Promotions)-1)] }

// highest is the highest timeline that promotions began.
func highest(promotions []node.Promotion) (t uint32) {
	for _, p := range promotions {
		t = max(t, p.Timeline)
	}
	return t
}

// unpromoted reports whether a promotion was written down and has not come
// about: it has acknowledged nothing, and has to be made (again).
func (f *Facts) unpromoted() bool {
	s := f.Self
	return s.Record.Newest().Timeline == 0 && (s.Recovering || s.SignalFile || f.inOldTimeline())
}

// inOldTimeline reports whether the data knows of no timeline but those of
// earlier promotions.
func (f *Facts) inOldTimeline() bool { return f.Self.Timeline <= highest(earlier(f.Self.Record)) }

// relapsed: the promotion did not come about, and all the same the data is, or
// was since, a primary's in a timeline that began with an earlier promotion:
// PostgreSQL starts again by itself when one of its processes crashes, and an
// operator may start it by hand. Two histories have that number from here on,
// nobody knows since where: that is written down, so that nobody takes them for
// one, and then the promotion is made.
func relapsed(f *Facts) (Verdict, bool) {
	s := f.Self
	r := s.Record
	open := s.Server == ServerPrimary
	if r.Newest().Timeline != 0 || s.Timeline == 0 || len(r.Promotions) < 2 || !f.inOldTimeline() || !open && (s.Server != ServerDown || s.Recovering) {
		return no()
	}
	why := fmt.Sprintf("the promotion to epoch %d died half-way, and the server went on in timeline %d, which is an earlier promotion's", r.Epoch, s.Timeline)
	v := Verdict{Do: Write, Record: f.withRelapse(why), Why: why + ": that is a history of its own"}
	lapsed := s.Timeline < lastKnown(earlier(r)) && !f.isOutlived()
	switch {
	case open && lapsed:
		return yes(Stop, "", "%s: no more writes here", why)
	case open:
		v.Do, v.Why = Stop, why+": no more writes here until it has a timeline of its own"
	case v.Record == nil:
		return no()
	case lapsed:
		return f.lapsed(why)
	}
	return v, true
}

// lapsed: what the server went on from is older than a timeline in which commits
// were acknowledged. Its WAL may lie in pg_wal still, and nowhere else; nothing
// of it is given up by anybody but an operator.
func (f *Facts) lapsed(why string) (Verdict, bool) {
	if f.Order.Alone && f.Order.Force {
		return ordering(Verdict{Do: Write, Record: f.withRelapse(why), Why: "an operator goes on with what is left: " + why}, true)
	}
	return yes(Hold, "", "%s, before timeline %d, whose commits may be in pg_wal and not in the data: nobody opens and nothing is touched. Take a copy of this volume first; "+
		"then `pgbaton promote --force` on a standby that has them, or `pgbaton alone --force` here, which goes on without them", why, lastKnown(earlier(f.Self.Record)))
}

// isOutlived reports whether somebody is known to be in a newer epoch.
func (f *Facts) isOutlived() bool {
	n, found := f.newest()
	return found && n.record().Epoch > f.Self.Record.Epoch || f.isOvertaken()
}

// hasRelapsed reports whether the record tells of a relapse in this epoch.
func hasRelapsed(r *node.Record) bool {
	before := earlier(r)
	return len(before) > 0 && before[len(before)-1].Epoch == r.Newest().Epoch
}

// withRelapse is the record with what the server did in the old timeline as a
// history of its own, which may have begun anywhere; nil: it is there already.
func (f *Facts) withRelapse(why string) *node.Record {
	r := f.Self.Record
	if hasRelapsed(r) {
		return nil
	}
	next := clone(r)
	next.Promotions = append(append([]node.Promotion(nil), earlier(r)...), node.Promotion{
		ID: f.Fresh, Epoch: r.Newest().Epoch, Node: f.Policy.Node, Timeline: f.Self.Timeline, At: 1, Time: f.Now, Why: why,
	}, r.Newest())
	return next
}

// resumed is the timeline at whose end a promotion that died is made again: the
// latest that the data is known to be in. A later one that pg_wal has a history
// of may be what the dead promotion left, and may have branched before WAL that
// this data has; PostgreSQL gives the new promotion a number after it.
func (f *Facts) resumed() uint32 {
	s := f.Self
	t := highest(earlier(s.Record))
	if t > s.Begun { // without its history nothing of it was ever replayed here
		t = 0
	}
	return max(t, s.Timeline)
}

// branch is where the data left the timeline of the last promotion before the
// newest one. A history that does not say so proves nothing.
func (f *Facts) branch() (at node.LSN, proven bool) {
	from := lastKnown(earlier(f.Self.Record))
	if from == 0 {
		return 1, true // it is the first promotion: before all WAL
	}
	for _, s := range f.Self.History {
		if s.Timeline == from {
			return max(1, s.At), true
		}
	}
	return 0, false
}

// branchOrAll is the branch or, where it is not proven, the beginning of all
// WAL: whoever has any has another history then.
func (f *Facts) branchOrAll() node.LSN {
	at, _ := f.branch()
	return max(1, at)
}

// lastKnown is the timeline of the last promotion that is complete; 0: none.
func lastKnown(promotions []node.Promotion) (t uint32) {
	for _, p := range promotions {
		if p.Timeline != 0 {
			t = p.Timeline
		}
	}
	return t
}

// completing: the promotion that began this epoch is done.
func completing(f *Facts) (Verdict, bool) {
	s := f.Self
	if s.Server != ServerPrimary || s.Record.Newest().Timeline != 0 || s.Timeline == 0 {
		return no()
	}
	at, proven := f.branch()
	if !proven {
		return yes(Hold, "", "the server was promoted to timeline %d, and pg_wal/%08X.history is missing, cannot be read or does not say where it left timeline %d: "+
			"it serves, but nobody can follow it. Put that file back (the WAL archive has it, where there is one)",
			s.Timeline, s.Timeline, lastKnown(earlier(s.Record)))
	}
	next := clone(s.Record)
	next.Promotions = nil
	for _, p := range earlier(s.Record) {
		if p.Timeline != 0 { // one that was never heard to be complete: the branch is from before it
			next.Promotions = append(next.Promotions, p)
		}
	}
	tries, at := f.tries(at)
	p := s.Record.Newest()
	p.Timeline, p.At = s.Timeline, at
	next.Promotions = append(append(next.Promotions, tries...), p)
	return Verdict{Do: Complete, Record: next, Why: fmt.Sprintf("the promotion is complete: timeline %d from %s", p.Timeline, p.At)}, true
}

// Unproven is the warning about a promotion that an earlier version took for
// complete although its server had gone on in the timeline of before; empty:
// there is none.
func (f *Facts) Unproven() string {
	r := f.Self.Record
	if r == nil || !r.Primary || len(r.Promotions) < 2 {
		return ""
	}
	p := r.Newest()
	if p.At != 1 || p.Timeline == 0 || p.Timeline > highest(earlier(r)) {
		return ""
	}
	return fmt.Sprintf("the server died inside its promotion to epoch %d and went on in timeline %d, which another promotion began, and an earlier version "+
		"took that for one history: a standby that was not copied since may have another one. `pgbaton reclone` on each standby, "+
		"then `pgbaton switchover`, which begins a timeline of its own", p.Epoch, p.Timeline)
}

// tries are the timelines between the one that the data left at a position and
// its own: mostly of tries of this promotion that died when pg_control knew of
// them. They are a part of the history like any other: somebody else may have begun one of
// the same number. It returns where the data's own timeline begins.
func (f *Facts) tries(at node.LSN) (all []node.Promotion, begins node.LSN) {
	r := f.Self.Record
	from := lastKnown(earlier(r))
	if from == 0 {
		return nil, at
	}
	for _, s := range f.Self.History {
		if s.Timeline <= from {
			continue
		}
		all = append(all, node.Promotion{
			ID: fmt.Sprintf("%s-%d", r.Newest().ID, s.Timeline), Epoch: r.Epoch, Node: f.Policy.Node, Timeline: s.Timeline, At: at, Time: f.Now,
			Why: "a timeline before that of the promotion, which no complete one began",
		})
		at = max(at, s.At)
	}
	return all, at
}

// outrun: this node's promotion did not come about, and another node is the
// primary of a newer epoch. What the promotion may have left in pg_wal (a
// history file, and WAL, of a timeline that nobody else knows) would be taken
// for a part of the other's history by its number.
func (f *Facts) outrun(p Peer) (Verdict, bool) {
	s := f.Self
	past := Past{Promotions: earlier(s.Record), End: s.end(), Acknowledged: hasRelapsed(s.Record)}
	if s.Begun <= highest(past.Promotions) || past.Acknowledged || p.record().Newest().Timeline == 0 {
		return f.rejoin(p, past)
	}
	why := fmt.Sprintf("this node's own promotion died half-way and has left the history of a timeline %d in pg_wal", s.Begun)
	if !p.isOpen() {
		return yes(Hold, p.name(), "%s; nothing is touched until %s answers and is open", why, p.name())
	}
	return f.setAside(p, fmt.Sprintf("copying %s anew: %s", p.name(), why))
}
