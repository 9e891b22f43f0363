package simulate

import (
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/notify"
)

// leaseFor is how many ticks an open primary's lease outlives its last word.
const leaseFor = 20

// etcd is the arbiter: one record that changes by compare-and-swap, and one
// lease. It is a party of its own, which each node may be cut off from.
type etcd struct {
	id       string
	down     bool
	cut      map[string]bool // nodes that it does not hear, nor they it
	record   *node.ClusterRecord
	revision int64
	lease    string
	ends     int // tick
	late     []notify.Swap
	lateSeen []*node.ClusterRecord // that each of them was made from
}

// ruling is what a supervisor knows of the arbiter.
type ruling struct {
	id             string
	record         *node.ClusterRecord
	revision       int64
	lease          string
	answers, asked bool
}

func (w *world) reachesArbiter(n *box) bool {
	return w.etcd != nil && !n.unset && n.up && n.sup != nil && !n.deaf && !w.etcd.down && !w.etcd.cut[n.name]
}

// arbiter is what the node's supervisor knows of it.
func (w *world) arbiter(n *box) *notify.Arbiter {
	if w.etcd == nil || n.unset {
		return nil
	}
	r := n.sup.ruled
	return &notify.Arbiter{ID: r.id, Answers: r.answers, Asked: r.asked, Record: r.record, Revision: r.revision, Lease: r.lease}
}

// askArbiter is one reading of the record and the lease.
func (w *world) askArbiter(n *box) {
	e := w.etcd
	if e == nil || n.unset || n.sup == nil {
		return
	}
	r := &n.sup.ruled
	switch w.rollIf(w.lossy, 4, "reading of the arbiter") {
	case 1:
		return // not yet
	case 2:
		r.asked, r.answers = true, false
		return
	}
	r.asked, r.answers = true, w.reachesArbiter(n)
	if r.answers {
		r.id, r.record, r.revision, r.lease = e.id, e.record, e.revision, e.lease
	}
}

// swap is a compare-and-swap; the request may be lost or come late, and so may
// the reply, which nobody waits for: the next reading tells.
func (w *world) swap(n *box, s *notify.Swap) {
	if !w.reachesArbiter(n) || !w.point(n) {
		return
	}
	seen := n.sup.ruled.record
	switch w.rollIf(w.lossy, 4, "swap") {
	case 1:
		return
	case 2:
		w.etcd.late, w.etcd.lateSeen = append(w.etcd.late, *s), append(w.etcd.lateSeen, seen)
		return
	}
	w.etcd.apply(w, s, seen)
	w.point(n)
}

// apply changes the record where it still is what was seen.
func (e *etcd) apply(w *world, s *notify.Swap, seen *node.ClusterRecord) {
	switch {
	case s.From != e.revision, (seen == nil) != (e.record == nil), seen != nil && *seen != *e.record:
		w.log("arbiter: the record has changed meanwhile: %s", s.To.Why)
		return
	case s.Leaseless && e.lease != "":
		w.log("arbiter: %s keeps its lease: %s", e.lease, s.To.Why)
		return
	}
	to := s.To
	e.record, e.revision = &to, e.revision+1
	w.log("arbiter: epoch %d of %s, primary %s, heir %q, right %s", to.Epoch, to.Promotion, to.Primary, to.Heir, to.Right)
}

// leases are kept by open primaries.
func (w *world) leases() {
	e := w.etcd
	if e == nil {
		return
	}
	if w.now > e.ends {
		e.lease = ""
	}
	for _, n := range w.boxes {
		r := n.record
		open := n.isOpen() && r != nil && r.Primary && r.Released == nil
		if open && w.reachesArbiter(n) && (e.lease == "" || e.lease == n.name) {
			e.lease, e.ends = n.name, w.now+leaseFor
		}
	}
}

func (w *world) healArbiter() {
	e := w.etcd
	if e == nil {
		return
	}
	e.down, e.cut = false, map[string]bool{}
	for _, n := range w.boxes {
		if n.unset {
			w.setting(n)
		}
	}
}

// setting gives the node its PGBATON_ETCD back, or takes it away: its
// supervisor is another one then.
func (w *world) setting(n *box) {
	n.unset = !n.unset
	w.log("%s: PGBATON_ETCD is set: %v", n.name, !n.unset)
	n.sup = nil
	w.startSupervisor(n)
}

// arbitrated says what the arbiter's record of a whole cluster lacks; empty:
// nothing.
func (w *world) arbitrated(primary *box) string {
	if w.etcd == nil {
		return ""
	}
	a, r := w.etcd.record, primary.record
	if a == nil || a.Epoch != r.Epoch || a.Primary != primary.name || a.Heir != r.Heir.Node || a.Right != w.box(a.Heir).record.Armed.Right {
		return "the arbiter's record is not the cluster's"
	}
	return ""
}

// arbiterTorments are what may happen to the arbiter and to the way to it.
var arbiterTorments = append([]torment{
	leavingArbiter, leavingArbiter, meetingArbiter, arbiterAway, arbiterBack, arbiterLate, arbiterLate, parting, parting,
}, torments...)

func leavingArbiter(w *world, n *box) {
	w.etcd.cut[n.name] = true
	w.log("%s is cut off from the arbiter", n.name)
}

func meetingArbiter(w *world, n *box) { delete(w.etcd.cut, n.name) }

func arbiterAway(w *world, _ *box) {
	w.etcd.down = true
	w.log("the arbiter is away")
}

func arbiterBack(w *world, _ *box) { w.etcd.down = false }

// arbiterLate lets a swap arrive that was under way.
func arbiterLate(w *world, _ *box) {
	e := w.etcd
	if len(e.late) == 0 || e.down {
		return
	}
	i := w.roll(len(e.late), "late swap")
	s, seen := e.late[i], e.lateSeen[i]
	e.late, e.lateSeen = append(e.late[:i:i], e.late[i+1:]...), append(e.lateSeen[:i:i], e.lateSeen[i+1:]...)
	w.log("a late swap arrives at the arbiter: %s", s.To.Why)
	e.apply(w, &s, seen)
}

// parting cuts two nodes off from each other for long enough to be acted upon.
func parting(w *world, n *box) {
	o := w.other(n)
	w.cut[[2]string{n.name, o.name}], w.cut[[2]string{o.name, n.name}] = true, true
	w.log("the network between %s and %s is cut for long", n.name, o.name)
	w.rounds(45)
}

// wiping is the loss of all that etcd holds: as the same cluster of etcd where
// it is started with the same addresses, or as another one.
func wiping(w *world, _ *box) {
	e := w.etcd
	e.record, e.revision, e.lease = nil, 0, ""
	if w.roll(2, "another cluster of etcd") == 1 {
		e.id = w.fresh("etcd")
	}
	w.log("etcd lost its data; it is %s now", e.id)
}

// resetting changes the setting of one node.
func resetting(w *world, n *box) {
	if n.up {
		w.setting(n)
	}
}

var arbiterSettings = append([]torment{wiping, resetting, resetting}, arbiterTorments...)
