package simulate

import (
	"testing"

	"github.com/pgbaton/pgbaton/notify"
)

// cluster is a calm cluster of n nodes that has served a commit; n1 is the
// primary and n2 its armed heir.
func cluster(t *testing.T, nodes int) *world {
	t.Helper()
	w := calm(t, nodes)
	for _, n := range w.boxes {
		w.startContainer(n)
	}
	w.whole()
	return w
}

// until runs the world until something is so, for at most 100 ticks.
func (w *world) until(what string, so func() bool) int {
	w.t.Helper()
	for i := range 100 {
		if so() {
			return i
		}
		w.round()
	}
	w.fail("never: %s", what)
	return 0
}

// serves reports whether a commit on the node is acknowledged within a tick.
func (w *world) serves(n *box) bool {
	before := w.acks
	w.write(n)
	w.rounds(2)
	return w.acks > before
}

func TestAClusterMakesItself(t *testing.T) {
	t.Parallel()
	for nodes := 2; nodes <= 5; nodes++ {
		w := cluster(t, nodes)
		t.Logf("%d nodes: whole after %d ticks", nodes, w.now)
	}
}

func TestAPartitionLongerThanAnyTimerMakesOneHistory(t *testing.T) {
	t.Parallel()
	w := cluster(t, 3)
	old, heir := w.boxes[0], w.boxes[1]
	isolating(w, old)
	w.rounds(1000)
	if !heir.isOpen() || !w.serves(heir) {
		w.fail("the heir does not serve")
	}
	if w.serves(old) {
		w.fail("the isolated primary acknowledges")
	}
	w.heal()
	w.whole()
}

func TestAPrimaryThatNothingReachesGivesTheVIPToItsHeir(t *testing.T) {
	t.Parallel()
	w := cluster(t, 2)
	old, heir := w.boxes[0], w.boxes[1]
	muffling(w, old)
	took := w.until("the heir is the primary", heir.isOpen)
	if !heir.vip || old.vip || !w.serves(heir) {
		w.fail("the heir does not serve")
	}
	t.Logf("after %d ticks", took)
	w.heal()
	w.whole()
}

func TestAStandbyThatNothingReachesNeitherPromotesNorHasTheVIP(t *testing.T) {
	t.Parallel()
	w := cluster(t, 3)
	old, heir := w.boxes[0], w.boxes[1]
	muffling(w, heir)
	for range 300 {
		w.round()
		if heir.record.Primary || !old.isOpen() {
			w.fail("%s promoted", heir.name)
		}
		if w.now-heir.deafed > 15 && (heir.vip || !old.vip) {
			w.fail("the VIP is with a standby that hears nothing")
		}
	}
	w.heal()
	w.whole()
}

func TestAPrimaryWhoseOnlyPeerDiedKeepsTheVIP(t *testing.T) {
	t.Parallel()
	w := cluster(t, 2)
	w.crash(w.boxes[1], crashContainer)
	for range 600 {
		w.round()
		if !w.boxes[0].vip {
			w.fail("the VIP is gone")
		}
	}
}

func TestAnIsolatedHeirIsTheOnlyOneThatPromotes(t *testing.T) {
	t.Parallel()
	w := cluster(t, 3)
	old, heir, third := w.boxes[0], w.boxes[1], w.boxes[2]
	isolating(w, heir)
	w.write(old)
	w.rounds(30)
	w.crash(old, crashContainer)
	w.rounds(300)
	if third.record.Primary || third.isOpen() {
		w.fail("a standby that no commit waited for promoted")
	}
	if !heir.isOpen() {
		w.fail("the heir holds the VIP in its partition and did not promote")
	}
	w.heal()
	w.whole()
}

func TestAHeirWithoutReplicationIsReplacedAndTheNewOnePromotes(t *testing.T) {
	t.Parallel()
	w := cluster(t, 3)
	old, heir, third := w.boxes[0], w.boxes[1], w.boxes[2]
	heir.pg.hung, heir.pg.hungFor = true, -1000 // its supervisor answers
	w.until("the third node is the heir", func() bool { return third.record.Armed != nil })
	if !w.serves(old) {
		w.fail("commits wait although the heir was replaced")
	}
	w.crash(old, crashContainer)
	w.until("the new heir is the primary", third.isOpen)
	if heir.record.Primary {
		w.fail("the former heir promoted")
	}
	w.heal()
	w.whole()
}

func TestAHeirWhosePromotionWasNeverHeardOfIsFollowed(t *testing.T) {
	t.Parallel()
	w := cluster(t, 3)
	old, heir := w.boxes[0], w.boxes[1]
	switching(w, old)
	w.until("the release is durable", func() bool { return old.record.Released != nil })
	w.until("the heir is open", heir.isOpen)
	w.cut[[2]string{heir.name, old.name}] = true // no answer gets back
	w.crash(heir, crashSupervisor)
	w.rounds(50)
	if old.isOpen() {
		w.fail("the old primary opened after its release")
	}
	w.heal()
	w.whole()
}

func TestOfTwoPowerLossesTheOldPrimaryThatReturnsFirstStaysClosed(t *testing.T) {
	t.Parallel()
	w := cluster(t, 2)
	a, b := w.boxes[0], w.boxes[1]
	w.crash(a, crashPower)
	w.until("b is open", b.isOpen)
	if !w.serves(b) {
		w.fail("b does not serve")
	}
	w.crash(b, crashPower)
	w.startContainer(a)
	w.rounds(300)
	if a.isOpen() || a.sup.verdict.Do != notify.Hold {
		w.fail("the old primary does not hold: %s %s", a.sup.verdict.Do, a.sup.verdict.Why)
	}
	w.heal()
	w.whole()
	if !b.isOpen() {
		w.fail("the newer history is not the cluster's")
	}
}

func TestEachOrderOfReturnsFromAPowerLossOfAllMakesTheClusterWhole(t *testing.T) {
	t.Parallel()
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		w := cluster(t, 3)
		w.write(w.boxes[0])
		for _, n := range w.boxes {
			w.crash(n, crashPower)
		}
		for _, i := range order {
			w.startContainer(w.boxes[i])
			w.rounds(50)
		}
		w.whole()
	}
}

func TestALateArmAfterADisarmIsVoid(t *testing.T) {
	t.Parallel()
	w := cluster(t, 3)
	old, heir := w.boxes[0], w.boxes[1]
	q := notify.Request{
		Ask: notify.AskArm, Cluster: "main", From: old.name, Epoch: 1, Promotion: old.record.Newest().ID,
		LSN: old.sup.syncedLSN, Token: heir.sup.token,
	}
	old.sup.handover = &notify.Handover{Operation: "op", Target: "n3", Deadline: w.time().Add(ticks(30))}
	w.until("the heir is disarmed", func() bool { return heir.record.Armed == nil })
	if reply, _ := w.answer(heir, q); reply.Done || heir.record.Armed != nil {
		w.fail("a late arm was accepted")
	}
	w.whole()
}

func TestAClosedPrimaryThatCannotReachItsHeirLeavesTheVIPToIt(t *testing.T) {
	t.Parallel()
	w := cluster(t, 2)
	w.deaf = true
	killing(w, w.boxes[0])
	w.until("the heir is open", w.boxes[1].isOpen)
	w.heal()
	w.whole()
}

func TestNobodyIsHandedOverToWhileAnotherMayPromote(t *testing.T) {
	t.Parallel()
	w := cluster(t, 3)
	a, b, c := w.boxes[0], w.boxes[1], w.boxes[2]
	isolating(w, b) // armed, and promotes in its own part
	switching(w, a)
	a.sup.handover.Target = c.name
	w.until("the heir is open", b.isOpen)
	w.rounds(60)
	if c.record.Primary || a.record.Released != nil {
		w.fail("the right to open was given away although the heir had promoted")
	}
	w.heal()
	w.whole()
}
