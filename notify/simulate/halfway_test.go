package simulate

import (
	"fmt"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/notify"
)

// halfway is how a server dies at a step inside of its promotion.
type halfway struct {
	step int
	how  string
}

func halfways() (all []halfway) {
	for step := range promotionSteps {
		for _, how := range []string{"postgres", "a process of it", "the container", "power"} {
			all = append(all, halfway{step, how})
		}
	}
	return all
}

// doomed lets the node's next promotion end so.
func (h halfway) doomed(w *world, n *box) {
	switch h.how {
	case "the container":
		n.fuse, n.how = h.step+3, crashContainer // after the record and the end of the stream
	case "power":
		n.fuse, n.how = h.step+3, crashPower
	default:
		n.doom, n.phoenix = h.step, h.how == "a process of it"
	}
}

func TestAServerThatDiesInsideItsPromotionMakesOneHistoryAndLosesNothing(t *testing.T) {
	t.Parallel()
	for _, h := range halfways() {
		t.Run(fmt.Sprintf("%s, step %d", h.how, h.step), func(t *testing.T) {
			t.Parallel()
			w := cluster(t, 2)
			a, b := w.boxes[0], w.boxes[1]
			h.doomed(w, b)
			isolating(w, b)
			for range 20 {
				w.write(a) // waits for the heir
			}
			w.rounds(2)
			w.crash(a, crashContainer)
			mending(w, b)
			w.rounds(10)
			w.startContainer(b) // where it is down
			w.until("the heir is open in a timeline of its own", func() bool { return b.isOpen() && b.record.Newest().Timeline > 1 })
			for range 5 {
				if !w.serves(b) {
					w.fail("the new primary does not serve")
				}
			}
			w.startContainer(a)
			w.whole() // with the old primary as the heir
			w.until("it is armed", func() bool { return a.record.Armed != nil })
			w.crash(b, crashPower)
			w.until("the old primary is open again", a.isOpen)
			w.heal()
			w.whole()
		})
	}
}

// The heir has not written down in pg_control yet that its primary was promoted
// since: its promotion is made again at the end of that timeline all the same.
func TestAPromotionThatDiedIsMadeAgainInTheTimelineThatTheDataHad(t *testing.T) {
	t.Parallel()
	w := cluster(t, 2)
	a, b := w.boxes[0], w.boxes[1]
	switching(w, a)
	w.until("the old primary is the heir", func() bool { return b.isOpen() && a.record.Armed != nil })
	for range 5 {
		if !w.serves(b) {
			w.fail("the new primary does not serve")
		}
	}
	w.slow = true
	w.dice = func(_ int, what string) int {
		if what == "minimum recovery point" {
			return 1 // it stays as it was
		}
		return 0
	}
	if a.data.known != 1 || a.data.tip.tl != 2 {
		w.fail("pg_control knows timeline %d of %d", a.data.known, a.data.tip.tl)
	}
	a.doom = 1
	w.crash(b, crashPower)
	w.until("the heir is open in a third timeline", func() bool { return a.isOpen() && a.data.tip.tl == 3 })
	w.heal()
	w.whole()
}

// What a promotion that died has left in pg_wal is no part of another's history.
func TestAServerThatDiedInsideItsPromotionFollowsWhoWasPromotedMeanwhile(t *testing.T) {
	t.Parallel()
	for _, h := range halfways() {
		t.Run(fmt.Sprintf("%s, step %d", h.how, h.step), func(t *testing.T) {
			t.Parallel()
			w := cluster(t, 3)
			a, b, c := w.boxes[0], w.boxes[1], w.boxes[2]
			isolating(w, b) // nobody hears of its promotion
			w.crash(a, crashPower)
			h.doomed(w, b)
			w.until("it is about to promote", func() bool { return b.record.Primary })
			w.rounds(1)
			w.crash(b, crashPower)
			w.forced = true
			w.order(c, notify.Order{Promote: true, Force: true})
			if !c.isOpen() || !w.serves(c) {
				w.fail("the third is not open")
			}
			w.startContainer(a)
			w.until("it has an heir", func() bool { return a.record.Armed != nil })
			switching(w, c)
			w.until("a newer epoch", func() bool { return a.isOpen() && a.record.Epoch > b.record.Epoch })
			w.write(a)
			w.heal()
			if h.how == "a process of it" { // it may have acknowledged something in the old timeline
				mended(w)
			}
			w.whole()
		})
	}
}

// So an earlier version left a cluster: the heir went on in the old timeline, and
// the old primary was "rewound" onto it by a pg_rewind that did nothing.
func TestAStandbyWithAnotherHistoryOfTheSameTimelineNumberIsNeverArmed(t *testing.T) {
	t.Parallel()
	w := cluster(t, 2)
	a, b := w.boxes[0], w.boxes[1]
	w.crash(b, crashContainer)
	for range 40 {
		w.write(a) // waits for the heir
	}
	w.crash(a, crashContainer)
	r := *b.record
	wrong := node.Promotion{ID: "wrong", Epoch: 2, Node: b.name, Timeline: 1, At: 1}
	r.Promotions = append(append([]node.Promotion(nil), r.Promotions...), wrong)
	r.Epoch, r.Armed, r.Reached = 2, nil, true
	old := r
	old.Node, r.Primary, r.Reached = a.name, true, false
	a.record, b.record = &old, &r
	a.data.primary, a.data.signal, a.data.follows, a.data.clean, a.data.least = false, true, b.name, true, a.data.tip.end
	b.data.primary, b.data.signal, b.data.follows = true, false, ""
	w.alien = true
	w.startContainer(b)
	w.startContainer(a)
	w.until("it streams", func() bool { return a.pg != nil && a.pg.in != nil })
	for range 10 {
		if !w.serves(b) {
			w.fail("commits wait for a node that is no copy")
		}
	}
	if a.record.Armed != nil || b.record.Heir != nil || a.sup.verdict.Do != notify.Hold {
		w.fail("a standby that is ahead of its primary is its heir, or does not say so")
	}
	w.crash(b, crashPower)
	w.rounds(100)
	if a.isOpen() {
		w.fail("it promoted")
	}
	w.startContainer(b)
	w.until("the primary is open", b.isOpen)
	w.until("the standby says so again", func() bool { return a.sup.verdict.Do == notify.Hold && a.pg.in != nil })
	for range 80 { // until it is not ahead any more: what it receives then is flushed and never replayed
		if !w.serves(b) {
			w.fail("commits wait for a node that is no copy")
		}
	}
	if a.pg.in == nil || a.pg.in.flush <= a.data.tip.end {
		w.fail("it has not received more than it has replayed")
	}
	if a.record.Armed != nil {
		w.fail("it is armed")
	}
	w.order(a, notify.Order{Reclone: true}) // what its sentence asks for
	w.heal()
	w.whole()
}
