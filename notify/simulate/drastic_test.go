package simulate

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/pgbaton/pgbaton/notify"
)

// drastic are torments after which an operator may have to decide: force, and
// what force leads to. Whatever was acknowledged stays on some disk.
var drastic = append([]torment{forcing, forcing, recloning}, torments...)

// forcing is `pgbaton promote --force` or `alone --force`.
func forcing(w *world, n *box) {
	if n.sup == nil {
		return
	}
	w.forced = true
	o := []notify.Order{{Promote: true, Force: true}, {Alone: true, Force: true}}[w.roll(2, "order")]
	w.order(n, o)
}

// recloning is `pgbaton reclone`.
func recloning(w *world, n *box) {
	if n.sup == nil {
		return
	}
	w.forced = true
	w.order(n, notify.Order{Reclone: true})
}

// calmed waits until nothing changes any more: each node streams, is the
// primary, or holds and says why.
func (w *world) calmed() {
	w.t.Helper()
	why := "not looked at"
	for range patient {
		w.round()
		if why = w.unsettled(); why == "" {
			return
		}
	}
	w.fail("stuck: %s", why)
}

// unsettled says which node is neither in its role nor holds with a reason.
func (w *world) unsettled() string {
	for _, n := range w.boxes {
		v := n.sup
		switch {
		case v == nil:
			return n.name + " is away"
		case n.isOpen():
		case v.verdict.Do == notify.Hold && v.verdict.Why != "":
		case n.pg != nil && n.pg.in != nil:
		case n.pg != nil && n.pg.mode == notify.ServerStandby && w.primary() == nil:
		default:
			return n.name + " is on its way: " + v.verdict.Why
		}
	}
	return ""
}

// drasticHistory is a history that ends with an operator who does what the
// held nodes ask for.
func drasticHistory(t *rapid.T, policy notify.Silence) {
	mended(torture(t, policy, drastic))
}

// mended ends a history: faults are over, an operator does what the held nodes
// ask for, and the cluster has to be whole.
func mended(w *world) {
	w.heal()
	w.calmed()
	for range 3 {
		if w.settled() == "" {
			break
		}
		operator(w)
		w.rounds(60)
	}
	w.whole()
}

func TestAfterForceEveryHeldNodeIsMadeWholeByWhatItAsksForAndNothingIsDeleted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) { drasticHistory(t, notify.SilencePromote) })
}

func TestTwoHistoriesUnderBothAreKeptAndReported(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) { drasticHistory(t, notify.SilenceBoth) })
}
