package simulate

import (
	"testing"

	"github.com/pgbaton/pgbaton/notify"
)

// trimming takes from a node the WAL that no running standby of its reads:
// slots keep no more than max_slot_wal_keep_size.
func trimming(w *world, n *box) {
	if n.data == nil || n.data.half {
		return
	}
	upTo := n.data.flushed.end
	if n.pg != nil {
		for _, st := range n.pg.out {
			if st.to.pg == st.recv {
				upTo = min(upTo, st.flush)
			}
		}
	}
	n.data.removed = max(n.data.removed, upTo)
	w.log("%s: WAL up to %s is removed", n.name, n.data.removed)
}

// seekLoss is the proof that a standby can never stream again, which takes its
// primary's answer.
func (w *world) seekLoss(n *box) {
	s, d := n.sup, n.data
	if n.pg.in != nil {
		s.loss = nil
		return
	}
	if s.loss != nil && (s.loss.Primary != d.follows || s.loss.Promotion != n.record.Newest().ID) {
		s.loss = nil
	}
	from := w.box(d.follows)
	if s.loss != nil || n.record == nil || n.pg.hung || from == nil || !from.isOpen() || from.pg.hung || !w.reach(n, from) || w.now-s.wet < 50 || n.pg.replay < d.tip.end {
		return
	}
	if d.tip.end < from.data.removed {
		s.loss = &notify.Loss{Primary: from.name, Promotion: n.record.Newest().ID, Needs: d.tip.end}
	}
}

func TestAStandbyWhoseWALIsGoneIsCopiedAnewByItselfAndItsDataKept(t *testing.T) {
	t.Parallel()
	w := cluster(t, 3)
	a, c := w.boxes[0], w.boxes[2]
	w.crash(c, crashContainer)
	end := c.data.tip
	for range 3 {
		w.write(a)
		w.rounds(3)
	}
	trimming(w, a)
	if a.data.removed <= end.end {
		w.fail("no WAL is missing to the standby")
	}
	w.startContainer(c)
	w.until("the standby's data is kept aside", func() bool { return len(c.aside) == 1 && c.aside[0] == end })
	w.until("it streams again", func() bool { return c.pg != nil && c.pg.in != nil })
	w.heal()
	w.whole()
}

func TestAStandbyWhoseWALIsGoneIsNotCopiedWhereItMayHaveMoreThanThePrimary(t *testing.T) {
	t.Parallel()
	w := cluster(t, 3)
	a, b, c := w.boxes[0], w.boxes[1], w.boxes[2]
	w.cut[[2]string{"n1", "n2"}] = true // the heir gets nothing, and promotes
	w.write(a)
	w.replicate(c)
	w.crash(c, crashContainer)
	w.until("the heir is open", b.isOpen)
	trimming(w, b)
	own := c.data.tip
	w.startContainer(c)
	w.until("what the standby had more is kept aside", func() bool {
		return len(c.aside) > 0 && c.aside[0].has(own)
	})
	w.heal()
	w.whole()
}
