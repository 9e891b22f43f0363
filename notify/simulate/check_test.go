package simulate

import (
	"github.com/pgbaton/pgbaton/notify"
)

// acknowledged is called with each commit that a client was promised. Under
// promote and continue all promises lie in one history: whichever of two
// acknowledged commits is the later one has the other before it.
func (w *world) acknowledged(n *box, e *entry) {
	w.acks++
	w.ackedAt = w.now
	kept := []*entry{e}
	for _, head := range w.acked {
		switch {
		case head.has(e):
			kept[0] = head
		case e.has(head):
		default:
			kept = append(kept, head)
		}
	}
	w.acked = kept
	if len(kept) > 1 && !w.divided() {
		w.fail("%s acknowledged a commit at %s of timeline %d in another history than an earlier one at %s of timeline %d",
			n.name, e.end, e.tl, kept[1].end, kept[1].tl)
	}
}

// divided reports whether somebody asked for what makes two histories.
func (w *world) divided() bool { return w.forced || w.lost || w.policy == notify.SilenceBoth }

// checkLastCopy holds that whatever was acknowledged is on some disk.
func (w *world) checkLastCopy() {
	for _, head := range w.acked {
		if !w.isKept(head) && !w.lost {
			w.fail("the last copy of an acknowledged commit is gone")
		}
	}
}

func (w *world) isKept(e *entry) bool {
	for _, n := range w.boxes {
		if n.data != nil && n.data.flushed.has(e) {
			return true
		}
		for _, end := range n.aside {
			if end.has(e) {
				return true
			}
		}
	}
	return false
}

// heal mends the world, without an operator.
func (w *world) heal() {
	w.log("everything is healed")
	w.healed = true
	w.cut = map[[2]string]bool{}
	w.lossy, w.slow, w.mad, w.deaf = false, false, false, false
	w.nameless = map[string]bool{}
	w.dice = func(int, string) int { return 0 }
	w.healArbiter()
	for _, n := range w.boxes {
		n.fuse, n.doom, n.deaf = -1, -1, false
		w.startContainer(n)
		if n.pg != nil && n.pg.hung {
			n.pg.hung = false
		}
		if n.pg != nil {
			n.pg.paused, n.pg.held, n.pg.full = false, false, false
		}
		if n.sup != nil {
			n.sup.order, n.sup.gaveUp = notify.Order{}, 0 // a minute passes
		}
		if n.record != nil && n.record.Paused {
			r := *n.record
			r.Paused = false
			n.record = &r
		}
	}
}

// settled says what is still missing; empty: the cluster is whole.
func (w *world) settled() string {
	var primary *box
	for _, n := range w.boxes {
		if !n.isOpen() {
			continue
		}
		if primary != nil {
			return "two primaries"
		}
		primary = n
	}
	if primary == nil {
		return "no primary"
	}
	if primary.sup == nil || primary.sup.handover != nil {
		return "a handover is under way"
	}
	if !primary.vip && !w.bare {
		return "the primary has no VIP"
	}
	for _, n := range w.boxes {
		if n == primary {
			continue
		}
		if n.pg == nil || n.pg.in == nil || n.pg.in.from != primary {
			return n.name + " does not stream from the primary"
		}
		if n.record == nil || n.record.Epoch != primary.record.Epoch || n.record.Primary {
			return n.name + " is not in the primary's epoch"
		}
	}
	if w.policy == notify.SilencePromote && len(w.boxes) > 1 {
		h := primary.record.Heir
		if h == nil || !h.Armed || w.box(h.Node).record.Armed == nil {
			return "no heir is armed"
		}
	}
	return w.arbitrated(primary)
}

// patient is how many ticks a healed cluster gets to become whole: more than the
// minute for which an heir that could not be proven is not tried again.
const patient = 1000

// whole waits until the cluster is whole, and checks that nothing was lost and
// that it serves.
func (w *world) whole() {
	w.t.Helper()
	why := "not looked at"
	for range patient {
		w.round()
		if why = w.settled(); why == "" {
			break
		}
	}
	if why != "" {
		w.fail("stuck: %s", why)
	}
	primary := w.primary()
	w.checkLastCopy()
	for _, head := range w.acked {
		if !w.divided() && !primary.data.flushed.has(head) {
			w.fail("the primary %s lacks the acknowledged commit at %s", primary.name, head.end)
		}
	}
	before := w.acks
	w.write(primary)
	w.rounds(3)
	if w.acks == before {
		w.fail("a commit on the healed primary %s is not acknowledged", primary.name)
	}
}

func (w *world) primary() *box {
	for _, n := range w.boxes {
		if n.isOpen() {
			return n
		}
	}
	return nil
}
