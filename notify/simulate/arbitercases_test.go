package simulate

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/pgbaton/pgbaton/notify"
)

// arbitratedCluster is a calm, whole cluster with an arbiter.
func arbitratedCluster(t *testing.T, nodes int) *world {
	t.Helper()
	w := calm(t, nodes)
	w.etcd = &etcd{id: "etcd", cut: map[string]bool{}}
	for _, n := range w.boxes {
		w.startContainer(n)
	}
	w.whole()
	return w
}

func between(w *world, a, b *box) {
	w.cut[[2]string{a.name, b.name}], w.cut[[2]string{b.name, a.name}] = true, true
}

func TestWithAnArbiterAPrimaryWhoseHeirIsSilentGoesOnAlone(t *testing.T) {
	t.Parallel()
	w := arbitratedCluster(t, 2)
	p, h := w.boxes[0], w.boxes[1]
	w.crash(h, crashPower)
	w.until("it is alone", func() bool { return p.record.Heir == nil })
	if !w.serves(p) {
		w.fail("the primary waits")
	}
	w.rounds(100)
	w.heal()
	w.whole()
	if !p.isOpen() {
		w.fail("it is not the primary any more")
	}
}

func TestWithAnArbiterACutThatBothSidesReachItThroughMakesNoPromotion(t *testing.T) {
	t.Parallel()
	w := arbitratedCluster(t, 2)
	p, h := w.boxes[0], w.boxes[1]
	between(w, p, h)
	w.rounds(200)
	if h.record.Primary || !p.isOpen() || !w.serves(p) {
		w.fail("the primary does not go on, or the heir promoted")
	}
	if h.record.Armed != nil || h.vip {
		w.fail("the heir does not know that it was passed over")
	}
	w.heal()
	w.whole()
}

func TestWithAnArbiterAPrimaryCutOffFromItAndItsHeirIsInherited(t *testing.T) {
	t.Parallel()
	for _, bare := range []bool{false, true} {
		w := arbitratedCluster(t, 2)
		w.bare = bare
		p, h := w.boxes[0], w.boxes[1]
		isolating(w, p)
		leavingArbiter(w, p)
		w.until("the heir is open", h.isOpen)
		if w.serves(p) {
			w.fail("the old primary acknowledges")
		}
		w.rounds(100)
		w.heal()
		w.whole()
		if !h.isOpen() {
			w.fail("the heir is not the primary any more")
		}
	}
}

// TestAPrimaryIsFencedByTheArbiterThoughTheNewOneIsSilent: the node that promoted answers
// nobody, and the arbiter says that it did.
func TestAPrimaryIsFencedByTheArbiterThoughTheNewOneIsSilent(t *testing.T) {
	t.Parallel()
	w := arbitratedCluster(t, 2)
	p, h := w.boxes[0], w.boxes[1]
	between(w, p, h)
	leavingArbiter(w, p)
	w.until("the heir is open", h.isOpen)
	meetingArbiter(w, p)
	w.until("the old primary is stopped", func() bool { return p.pg == nil })
	w.rounds(100)
	if p.isOpen() || p.sup.verdict.Do != notify.Hold {
		w.fail("the old primary does not hold: %s", p.sup.verdict.Why)
	}
	w.heal()
	w.whole()
}

func TestWithTheArbiterAwaySilenceChangesNothingAndHandoversGoOn(t *testing.T) {
	t.Parallel()
	w := arbitratedCluster(t, 2)
	p, h := w.boxes[0], w.boxes[1]
	arbiterAway(w, nil)
	w.crash(h, crashContainer)
	w.rounds(200)
	if w.serves(p) || p.record.Heir == nil {
		w.fail("the primary went on alone")
	}
	w.startContainer(h)
	w.until("commits flow", func() bool { return w.serves(p) })
	w.until("the heir is armed", func() bool { return h.record.Armed != nil })
	switching(w, p)
	w.until("the heir is open", h.isOpen)
	w.until("the old primary is its armed heir", func() bool { return p.record.Armed != nil })
	killing(w, h)
	w.until("the proof is taken", p.isOpen)
	w.until("an heir is armed", func() bool { return h.record.Armed != nil })
	w.crash(p, crashContainer)
	w.rounds(200)
	if h.record.Primary {
		w.fail("the heir promoted without the arbiter")
	}
	w.heal()
	w.whole()
}

func TestAClaimWhoseReplyIsLostIsRolledForwardAfterACrash(t *testing.T) {
	t.Parallel()
	for _, how := range []crash{crashSupervisor, crashContainer, crashPower} {
		w := arbitratedCluster(t, 2)
		p, h := w.boxes[0], w.boxes[1]
		w.crash(p, crashContainer)
		w.until("the claim is made", func() bool { return h.sup.verdict.Do == notify.Claim })
		if w.etcd.record.Primary != h.name || h.record.Primary {
			w.fail("the claim is not at the arbiter, or the record is written already")
		}
		w.crash(h, how)
		w.startContainer(h)
		w.until("it is rolled forward", h.isOpen)
		w.heal()
		w.whole()
	}
}

// TestAClaimThatIsGivenUpIsTakenBack: the heir is to end, and has not written
// down that it won.
func TestAClaimThatIsGivenUpIsTakenBack(t *testing.T) {
	t.Parallel()
	w := arbitratedCluster(t, 2)
	p, h := w.boxes[0], w.boxes[1]
	isolating(w, p)
	leavingArbiter(w, p)
	w.until("the claim is made", func() bool { return h.sup.verdict.Do == notify.Claim })
	stopping(w, h)
	w.until("it has ended", func() bool { return !h.up })
	if h.record.Primary || w.etcd.record.Primary != p.name {
		w.fail("the claim stands")
	}
	delete(w.etcd.cut, p.name)
	w.until("the primary serves", func() bool { return w.serves(p) })
	w.heal()
	w.whole()
}

func TestALateRegistrationDoesNotBringAVoidRightBack(t *testing.T) {
	t.Parallel()
	w := arbitratedCluster(t, 2)
	p, h := w.boxes[0], w.boxes[1]
	seen, revision := *w.etcd.record, w.etcd.revision
	between(w, p, h)
	w.until("it is alone", func() bool { return p.record.Heir == nil })
	w.etcd.apply(w, &notify.Swap{From: revision - 1, To: seen}, nil)
	w.etcd.apply(w, &notify.Swap{From: revision, To: seen}, &seen)
	w.crash(p, crashContainer)
	w.rounds(200)
	if h.record.Primary {
		w.fail("a heir promoted by a right that was void")
	}
	w.heal()
	w.whole()
}

func TestAnArbiterThatLostItsDataDecidesNothingUntilTheHeirAnswers(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"etcd", "another"} {
		w := arbitratedCluster(t, 2)
		p, h := w.boxes[0], w.boxes[1]
		w.crash(h, crashContainer)
		w.etcd.record, w.etcd.revision, w.etcd.id = nil, 0, id
		w.rounds(200)
		if w.etcd.record != nil || p.record.Heir == nil || w.serves(p) {
			w.fail("the primary went on without its heir")
		}
		w.heal()
		w.whole()
		w.healed = false
		w.crash(p, crashContainer)
		w.etcd.record, w.etcd.revision = nil, 0
		w.rounds(200)
		if h.record.Primary {
			w.fail("the heir promoted without a record")
		}
		w.heal()
		w.whole()
	}
}

func TestWithTheArbiterSetOnOneNodeOnlyNobodyIsArmed(t *testing.T) {
	t.Parallel()
	for i := range 2 {
		w := arbitratedCluster(t, 2)
		p, h := w.boxes[0], w.boxes[1]
		w.setting(w.boxes[i])
		w.until("nobody is armed", func() bool { return p.record.Heir == nil && h.record.Armed == nil })
		w.rounds(50)
		if p.record.Heir != nil || !w.serves(p) {
			w.fail("an heir is armed")
		}
		w.heal()
		w.whole()
	}
}

// TestARightThatWasArmedWithoutAnArbiterIsGivenUpByTheHeirAlone: the setting
// comes to both nodes while they do not hear each other.
func TestARightThatWasArmedWithoutAnArbiterIsGivenUpByTheHeirAlone(t *testing.T) {
	t.Parallel()
	w := cluster(t, 2)
	p, h := w.boxes[0], w.boxes[1]
	w.mad = true // the VIP stays
	between(w, p, h)
	w.etcd = &etcd{id: "etcd", cut: map[string]bool{}}
	w.rounds(200)
	if p.record.Heir == nil || w.serves(p) {
		w.fail("the primary went on by an arbiter that its heir was not armed with")
	}
	w.heal()
	w.whole()
	if h.record.Armed.Right == "" {
		w.fail("the heir was not armed anew")
	}
}

func TestAnOperatorsPromotionOfAHeirWaitsForTheArbiter(t *testing.T) {
	t.Parallel()
	w := arbitratedCluster(t, 2)
	p, h := w.boxes[0], w.boxes[1]
	between(w, p, h)
	leavingArbiter(w, h)
	w.until("the primary is alone", func() bool { return p.record.Heir == nil })
	w.order(h, notify.Order{Promote: true})
	if h.record.Primary {
		w.fail("an order without force overruled the arbiter")
	}
	w.heal()
	w.whole()
	w.healed = false
	w.mad = true // the VIP stays with the dead
	w.crash(p, crashContainer)
	w.rounds(50)
	w.order(h, notify.Order{Promote: true})
	if !h.isOpen() {
		w.fail("an order did not promote the heir that the arbiter names")
	}
	w.heal()
	w.whole()
}

// arbiterHistory is a random life of a cluster with an arbiter.
func arbiterHistory(t *rapid.T, torments []torment) *world {
	dice := func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(t, what) }
	w := newWorld(t, dice, notify.SilencePromote, 2+dice(2, "more nodes"))
	w.etcd = &etcd{id: "etcd", cut: map[string]bool{}}
	w.bare = dice(4, "no keepalived") == 3
	w.torture(t, torments)
	return w
}

func TestNoHistoryWithAnArbiterLosesAnAcknowledgedCommitOrSticks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := arbiterHistory(t, arbiterTorments)
		w.heal()
		w.whole()
	})
}

func TestNoHistoryWithAnArbiterThatLosesItsDataOrIsSetHereAndThereLosesAnything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := arbiterHistory(t, arbiterSettings)
		w.heal()
		w.whole()
	})
}

func TestAfterForceBesideAnArbiterEveryHeldNodeIsMadeWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		mended(arbiterHistory(t, append([]torment{forcing, forcing, recloning}, arbiterTorments...)))
	})
}

func TestEveryChangeOfRolesWithAnArbiterInterruptedAtAnyMomentLosesNothingAndNeverSticks(t *testing.T) {
	t.Parallel()
	sample := rand.New(rand.NewPCG(seed(t), 0))
	for name, change := range map[string]func(*world){
		"switchover":              func(w *world) { switching(w, w.boxes[0]) },
		"power loss":              func(w *world) { w.crash(w.boxes[0], crashPower) },
		"power loss of the heir":  func(w *world) { w.crash(w.boxes[1], crashPower) },
		"isolation":               func(w *world) { isolating(w, w.boxes[0]); leavingArbiter(w, w.boxes[0]) },
		"cut from the heir":       func(w *world) { between(w, w.boxes[0], w.boxes[1]) },
		"cut from heir and etcd":  func(w *world) { between(w, w.boxes[0], w.boxes[1]); leavingArbiter(w, w.boxes[0]) },
		"the heir cut from all":   func(w *world) { isolating(w, w.boxes[1]); leavingArbiter(w, w.boxes[1]) },
		"proof of death, no etcd": func(w *world) { arbiterAway(w, nil); killing(w, w.boxes[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			var picked []moment
			for _, m := range moments() {
				if soak() || sample.IntN(8) == 0 {
					picked = append(picked, m)
				}
			}
			for _, m := range picked {
				w := arbitratedCluster(t, 3)
				w.write(w.boxes[0])
				w.log("interrupted: %+v", m)
				w.boxes[m.node].fuse, w.boxes[m.node].how = m.step, m.how
				change(w)
				for range 90 {
					w.round()
					for _, n := range w.boxes {
						w.write(n)
					}
				}
				w.heal()
				w.whole()
			}
		})
	}
}
