package notify

import (
	"fmt"

	"github.com/pgbaton/pgbaton/internal/node"
)

// copying: an empty node, or one with half a copy, takes its data from the
// primary. Its record comes first: the directory is good for nothing, so the
// record permits nothing, and the primary that waits for this node as its heir
// hears at once that it gave its right to promote up.
func (f *Facts) copying() (Verdict, bool) {
	p, found := f.primary()
	if !found || !p.Answers {
		return no()
	}
	if why := f.mayHavePromoted(p); why != "" {
		return yes(Hold, p.name(), "the data directory is empty and %s is the primary, but %s", p.name(), why)
	}
	next := f.followerOf(p)
	if _, open := f.source(); !open {
		if h := p.record().Heir; h == nil || h.Node != f.Policy.Node || follows(f.Self.Record, next) {
			return no()
		}
		return Verdict{Do: Write, Record: next, Why: fmt.Sprintf("%s waits for this node as its heir, which has no data any more", p.name())}, true
	}
	next.Reached = true
	v := Verdict{Do: Clone, Target: p.name(), Record: next}
	v.Why = fmt.Sprintf("the data directory is empty and %s is the primary: copying its cluster", p.name())
	if f.Self.Data == DataHalfMade {
		v.Why = fmt.Sprintf("an earlier copy was interrupted; it begins again, from %s", p.name())
	}
	return v, true
}

// source is the primary that a copy may be made of: open, answering, and
// through with its promotion.
func (f *Facts) source() (Peer, bool) {
	p, found := f.primary()
	if !found || !p.isOpen() || p.record().Newest().Timeline == 0 {
		return Peer{}, false
	}
	return p, true
}

// mayHavePromoted is about an armed heir that lost its disk: what it did as a
// primary is known to its standbys only, so each peer has to answer before it
// says that it gave its right up. Empty: nothing speaks against a copy.
func (f *Facts) mayHavePromoted(p Peer) string {
	h := p.record().Heir
	if f.Self.Record != nil || h == nil || !h.Armed || h.Node != f.Policy.Node {
		return ""
	}
	for _, other := range f.Peers {
		if other.State == nil {
			why := fmt.Sprintf("this node was its heir and may have promoted before it lost its data: %s has to answer first", other.called())
			if other.name() != "" {
				why += fmt.Sprintf(" (`pgbaton forget --force %s` if that node is gone for good)", other.name())
			}
			return why
		}
	}
	if n, found := f.newest(); found && n.record().Epoch > p.record().Epoch {
		return fmt.Sprintf("%s is in the newer epoch %d: an operator decides which history counts", n.name(), n.record().Epoch)
	}
	return ""
}

// follows reports whether a record says already what the other one says.
func follows(r, next *node.Record) bool {
	return r != nil && !r.Primary && r.Armed == nil && r.Epoch == next.Epoch && r.Newest().ID == next.Newest().ID
}
