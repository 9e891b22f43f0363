package simulate

import (
	"testing"

	"github.com/pgbaton/pgbaton/notify"
)

func TestTwoPromotionsToTheSameTimelineAreToldApart(t *testing.T) {
	t.Parallel()
	w := cluster(t, 4)
	a, b, c, d := w.boxes[0], w.boxes[1], w.boxes[2], w.boxes[3]
	isolating(w, b) // it holds the VIP of its part, and promotes
	delete(w.cut, [2]string{"n2", "n4"})
	delete(w.cut, [2]string{"n4", "n2"})
	w.until("b is open and d follows it", func() bool { return b.isOpen() && d.record.Epoch == 2 })
	w.write(b)
	w.until("d has what b wrote", func() bool { return d.data.tip.tl == 2 && d.data.flushed == b.data.flushed })
	w.crash(b, crashPower)
	w.crash(d, crashPower)
	w.order(a, notify.Order{Alone: true, Force: true})
	w.forced = true
	a.sup.handover = &notify.Handover{Operation: "op", Target: "n3", Deadline: w.time().Add(ticks(30))}
	w.until("c is open", c.isOpen)
	if c.data.tip.tl != 2 || b.data.tip.tl != 2 {
		w.fail("the timelines are %d and %d", b.data.tip.tl, c.data.tip.tl)
	}
	epoch := c.record.Epoch
	switching(w, c)
	w.until("a newer epoch", func() bool { p := w.primary(); return p != nil && p.record.Epoch > epoch })
	w.heal()
	w.calmed()
	if b.sup.verdict.Do != notify.Hold {
		w.fail("the primary of the other history does not hold: %s", b.sup.verdict.Why)
	}
	if d.pg == nil || d.pg.in == nil || len(d.aside) == 0 {
		w.fail("the standby of the other history was not copied anew, or its data not kept")
	}
	operator(w)
	w.whole()
}

func TestAHeirThatRestartedWhileItsPrimaryIsGoneWaitsForAnOperator(t *testing.T) {
	t.Parallel()
	w := cluster(t, 2)
	a, b := w.boxes[0], w.boxes[1]
	w.crash(a, crashPower)
	w.crash(b, crashContainer)
	w.startContainer(b)
	w.rounds(300)
	if b.isOpen() || b.record.Armed != nil {
		w.fail("a heir that restarted promoted")
	}
	w.forced = true
	w.order(b, notify.Order{Promote: true, Force: true})
	if !b.isOpen() || !w.serves(b) {
		w.fail("the operator's order made no primary")
	}
	w.heal()
	w.whole() // it had everything: the old primary rejoins by itself
}

func TestUnderContinueNobodyPromotesByItself(t *testing.T) {
	t.Parallel()
	w := cluster(t, 3)
	w.policy = notify.SilenceContinue
	w.whole()
	a := w.boxes[0]
	isolating(w, a)
	w.rounds(100)
	if !w.serves(a) {
		w.fail("the isolated primary waits")
	}
	w.crash(a, crashContainer)
	w.rounds(300)
	if p := w.primary(); p != nil {
		w.fail("%s promoted", p.name)
	}
	w.heal()
	w.whole()
	if !a.isOpen() {
		w.fail("the primary did not come back as the primary")
	}
}

func TestUnderBothAPartitionMakesTwoHistoriesAndTheLosingOneIsKept(t *testing.T) {
	t.Parallel()
	w := cluster(t, 2)
	w.policy = notify.SilenceBoth
	w.whole()
	a, b := w.boxes[0], w.boxes[1]
	isolating(w, a)
	w.until("b is open", b.isOpen)
	if !w.serves(a) || !w.serves(b) {
		w.fail("not both sides serve")
	}
	w.heal()
	w.calmed()
	if a.isOpen() || a.sup.verdict.Do != notify.Hold || !b.isOpen() {
		w.fail("the older history does not hold")
	}
	operator(w)
	w.whole()
	w.checkLastCopy()
}

func TestAReleaseByProofIsTakenThoughItsMessageIsLostAndTheSupervisorCrashes(t *testing.T) {
	t.Parallel()
	w := cluster(t, 3)
	a, b := w.boxes[0], w.boxes[1]
	w.mad = true // the VIP does not move, and nobody reaches anybody in time
	killing(w, a)
	w.until("the release is durable", func() bool {
		if a.record.Released != nil {
			w.crash(a, crashSupervisor)
			b.sup.taken = nil
			return true
		}
		w.cut[[2]string{"n1", "n2"}] = w.now%2 == 0
		return false
	})
	w.rounds(50)
	w.heal()
	w.whole()
	if !b.isOpen() {
		w.fail("the target is not the primary")
	}
}

func TestAKilledStandbyWithMoreWALThanItKnowsOfIsRewoundByItself(t *testing.T) {
	t.Parallel()
	w := cluster(t, 3)
	a, b, c := w.boxes[0], w.boxes[1], w.boxes[2]
	w.cut[[2]string{"n1", "n2"}] = true // the heir gets nothing, and promotes
	w.write(a)
	w.replicate(c)
	fork := b.data.tip.end
	w.crash(c, crashContainer)
	if c.data.tip.end <= fork {
		w.fail("the standby has no WAL that the heir lacks")
	}
	c.data.least = fork - 1 // minimum recovery point
	w.until("the heir is open", b.isOpen)
	w.crash(a, crashContainer)
	w.startContainer(c)
	w.until("the standby streams from the heir", func() bool { return c.pg != nil && c.pg.in != nil && c.pg.in.from == b })
	if len(c.aside) == 0 {
		w.fail("what was rewound was not kept")
	}
	w.heal()
	w.whole()
}
