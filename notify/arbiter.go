package notify

import (
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// Arbiter is what this node knows of the arbiter (PGBATON_ETCD). It holds one
// record of the cluster, which changes by compare-and-swap only.
//
// An heir that was armed with an arbiter promotes on silence only after it has
// swapped a record that names it and its right for one that names it as the
// primary of the next epoch. The primary goes on without such an heir once it
// has swapped the very same record for one in which that right is void. Only
// one of the two succeeds, so both may act without hearing of each other. The
// role records stay the permission: whom the record there does not name has no
// right, and whom it names has one only by its own record.
type Arbiter struct {
	ID       string              // of the cluster of etcd and the key in it; empty: it never answered this supervisor
	Answers  bool                // the latest attempt was answered, a moment ago
	Asked    bool                // at least one attempt has ended since this supervisor started
	Record   *node.ClusterRecord // as it was seen last; nil: there was none
	Revision int64               // of it, for a Swap; 0: there was none
	Lease    string              // node that keeps the lease of an open primary; empty: nobody
}

// Swap is a change of the arbiter's record, made only where that is unchanged.
type Swap struct {
	From      int64 // revision; 0: there is no record
	To        node.ClusterRecord
	Leaseless bool // and only where no open primary keeps its lease
}

// ruled is the arbiter's record. One that was written to another arbiter (a
// backup of etcd that was restored as a new cluster) counts as missing: its
// epoch is 0.
func (f *Facts) ruled() node.ClusterRecord {
	a := f.Arbiter
	if a == nil || a.Record == nil || a.ID == "" || a.Record.Arbiter != a.ID {
		return node.ClusterRecord{}
	}
	return *a.Record
}

// arbitrates reports whether the arbiter answers and is the one that a right
// needs.
func (f *Facts) arbitrates(id string) bool {
	return f.Arbiter != nil && f.Arbiter.Answers && id != "" && f.Arbiter.ID == id
}

// arbiterID is which arbiter a right is bound to: this node's or, before that
// has answered, the one that an answering peer says it has. Should they turn out
// to be two, the right is given up by the heir's own answer.
func (f *Facts) arbiterID() string {
	if f.Arbiter == nil || f.Arbiter.ID != "" {
		return f.Arbiter.id()
	}
	for _, p := range f.ours() {
		if c := p.cluster(); p.Answers && c.Arbiter != nil && c.Arbiter.ID != "" {
			return c.Arbiter.ID
		}
	}
	return ""
}

func (a *Arbiter) id() string {
	if a == nil {
		return ""
	}
	return a.ID
}

// noArbiter: one is set, and which one it is is not known yet, so that no right
// can be bound to it.
func (f *Facts) noArbiter() bool { return f.Arbiter != nil && f.arbiterID() == "" }

// isOvertaken reports whether the arbiter names a primary of a newer right.
func (f *Facts) isOvertaken() bool {
	r, w := f.Self.Record, f.ruled()
	return r != nil && w.Epoch != 0 && (w.Epoch > r.Epoch ||
		w.Epoch == r.Epoch && w.Promotion != r.Newest().ID && w.Primary != f.Policy.Node)
}

// overtaken: the arbiter says that somebody has promoted, whether that node
// answers or not.
func overtaken(f *Facts) (Verdict, bool) {
	if !f.isOvertaken() {
		return no()
	}
	s, w := f.Self, f.ruled()
	switch {
	case s.Server != ServerDown:
		return yes(Stop, w.Primary, "the arbiter says that %s is the primary of epoch %d, newer than this node's %d: no more writes here", w.Primary, w.Epoch, s.Record.Epoch)
	case s.Ending:
		return yes(Leave, "", "the arbiter says that %s is the primary", w.Primary)
	case f.Order.Alone && f.Order.Force:
		return ordering(f.overruling("an operator chose this node's history over " + w.Primary + "'s"))
	}
	return yes(Hold, w.Primary, "the arbiter says that %s is the primary of epoch %d, and it does not answer. "+
		"This node goes on as soon as it is back; if it never will be, `pgbaton alone --force` here, which gives its history up", w.Primary, w.Epoch)
}

// heirOf is the heir of this primary's record that may come to be armed. Under
// an arbiter each arming is a right of its own there.
func (f *Facts) heirOf(name string) *node.Heir {
	h := &node.Heir{Node: name, Armed: true}
	if f.Arbiter != nil {
		h.Arbiter, h.Right = f.arbiterID(), f.Fresh
	}
	return h
}

// mayRule reports whether this primary's word counts at the arbiter, which
// answers.
func (f *Facts) mayRule() bool {
	r := f.Self.Record
	return f.Arbiter != nil && f.arbitrates(f.Arbiter.ID) && r.Primary && r.Released == nil && !f.isOvertaken()
}

// rule is a change of the arbiter's record to what this node's record says of
// its epoch, with nobody named who may begin the next one.
func (f *Facts) rule(right, why string) *Swap {
	newest := f.Self.Record.Newest()
	return &Swap{From: f.Arbiter.Revision, To: node.ClusterRecord{
		Arbiter: f.Arbiter.ID, Epoch: f.Self.Record.Epoch, Promotion: newest.ID, Primary: newest.Node,
		Right: right, Time: f.Now, Why: why,
	}}
}

// voided: the arbiter's record has taken the heir's right back for good.
func voided(f *Facts) (Verdict, bool) {
	r, w := f.Self.Record, f.ruled()
	h := r.Heir
	if h == nil || !h.Armed || h.Arbiter == "" || h.Arbiter != f.Arbiter.id() || w.Epoch != r.Epoch || w.Promotion != r.Newest().ID || w.Right != h.Right || w.Heir != "" {
		return no()
	}
	next := clone(r)
	next.Heir = nil
	return Verdict{Do: Write, Target: h.Node, Record: next, Why: "the arbiter took back the right of " + h.Node + ", which was silent: this node is alone"}, true
}

// voiding: the armed heir is silent, and commits wait for it or the server is
// closed because of it. The arbiter decides which of the two goes on. Without a
// record there, the heir may have used its right before that was lost.
func voiding(f *Facts) (Verdict, bool) {
	s := f.Self
	h := s.Record.Heir
	if h == nil || !h.Armed || s.Ending || s.Server != ServerPrimary && s.Server != ServerDown ||
		!f.arbitrates(h.Arbiter) || !f.mayRule() || f.ruled().Epoch == 0 || !f.isSilent(h.Node) || f.silence(h.Node) < aloneAfter {
		return no()
	}
	why := "the heir " + h.Node + " is silent: asking the arbiter to go on without it"
	return Verdict{Do: Register, Target: h.Node, Swap: f.rule(h.Right, why), Why: why}, true
}

// registering: the arbiter's record follows this primary's. One that is missing
// is made only where the heir, if one is armed, says that it did not use its
// right.
func registering(f *Facts) (Verdict, bool) {
	r, w := f.Self.Record, f.ruled()
	h := r.Heir
	if !f.mayRule() || w.Epoch == 0 && !alone(r) && !f.isArmed(h.Node) {
		return no()
	}
	why := "the arbiter is told that this node is the primary"
	swap := f.rule(w.Right, why)
	if !alone(r) && h.Arbiter == f.Arbiter.ID {
		why = "the arbiter is told that " + h.Node + " may promote on silence"
		swap.To.Heir, swap.To.Right, swap.To.Why = h.Node, h.Right, why
	}
	if same := swap.To; w.Epoch != 0 {
		same.Time, same.Why = w.Time, w.Why
		if same == w {
			return no()
		}
	}
	return Verdict{Do: Register, Target: swap.To.Heir, Swap: swap, Why: why}, true
}

// silence is how long a node has been silent; where it was never heard of, how
// long the one has been that was heard of least.
func (f *Facts) silence(name string) time.Duration {
	if p, found := f.peer(name); found {
		return p.Silent
	}
	least := time.Duration(1<<63 - 1)
	for _, p := range f.Peers {
		if p.State == nil && p.Member == name {
			return p.Silent
		}
		if p.State == nil {
			least = min(least, p.Silent)
		}
	}
	return least
}
