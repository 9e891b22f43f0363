package simulate

import (
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/notify"
)

// loseDisk empties a node's volume.
func (w *world) loseDisk(n *box) {
	w.log("%s: the disk is lost", n.name)
	w.crash(n, crashContainer)
	n.record, n.data, n.aside, n.members = nil, nil, nil, node.Members{}
}

func TestAnEmptyVolumeNeverMakesASecondCluster(t *testing.T) {
	t.Parallel()
	for name, torment := range map[string]func(*world){
		"peers are silent":           func(w *world) { w.startContainer(w.boxes[0]) },
		"one peer is silent":         func(w *world) { w.startContainer(w.boxes[0]); w.startContainer(w.boxes[1]) },
		"two are empty":              func(w *world) { w.loseDisk(w.boxes[1]); returnAll(w) },
		"the peers have data":        returnAll,
		"the others are unreachable": func(w *world) { returnAll(w); isolating(w, w.boxes[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := cluster(t, 3)
			first := w.boxes[0].record.Newest().ID
			w.lost = true
			w.loseDisk(w.boxes[0])
			w.crash(w.boxes[1], crashContainer)
			w.crash(w.boxes[2], crashContainer)
			w.policy = notify.SilenceContinue // nobody promotes by itself
			torment(w)
			w.rounds(300)
			if n := w.boxes[0]; n.data != nil || n.isOpen() {
				w.fail("a node made a cluster (not %s) although another may have data", first)
			}
		})
	}
}

func returnAll(w *world) {
	for _, n := range w.boxes {
		w.startContainer(n)
	}
}

func TestAPrimaryWhoseEmptyHeirReturnsGoesOnAlone(t *testing.T) {
	t.Parallel()
	for name, torment := range map[string]func(*world){
		"it served on":      func(*world) {},
		"it was down":       func(w *world) { w.crash(w.boxes[0], crashContainer) },
		"both lost power":   func(w *world) { w.crash(w.boxes[0], crashPower) },
		"its postgres died": func(w *world) { killing(w, w.boxes[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := cluster(t, 2)
			w.loseDisk(w.boxes[1])
			torment(w)
			w.rounds(20)
			returnAll(w)
			at := w.until("the primary serves again", func() bool { return w.serves(w.boxes[0]) })
			t.Logf("serves after %d looks", at)
			w.heal()
			w.whole()
		})
	}
}

func TestAHeirThatPromotedAndLostItsDiskIsNotForgotten(t *testing.T) {
	t.Parallel()
	w := cluster(t, 3)
	a, b, c := w.boxes[0], w.boxes[1], w.boxes[2]
	isolating(w, a)
	w.until("b is open and c armed by it", func() bool { return b.isOpen() && c.record.Armed != nil })
	if !w.serves(b) {
		w.fail("b does not serve")
	}
	w.crash(c, crashContainer)
	w.loseDisk(b)
	w.startContainer(b)
	mending(w, a)
	w.rounds(300)
	if w.serves(a) {
		w.fail("the old primary went on although its heir had promoted and c has what it acknowledged")
	}
	w.startContainer(c)
	w.rounds(100)
	if a.isOpen() {
		w.fail("the old primary is open beside a standby of a newer epoch")
	}
	operator(w)
	w.heal()
	w.whole()
	if !w.primary().data.flushed.has(w.acked[0]) {
		w.fail("the operator's orders lost an acknowledged commit")
	}
}

func TestAReleaseToANodeThatLostItsDiskWaitsForAnOperator(t *testing.T) {
	t.Parallel()
	w := cluster(t, 2)
	a, b := w.boxes[0], w.boxes[1]
	switching(w, a)
	w.until("the server is down", func() bool { return a.pg == nil })
	w.cut[[2]string{"n1", "n2"}] = false
	b.fuse, b.how = 0, crashContainer // before it writes anything
	w.until("the release is durable", func() bool { return a.record.Released != nil })
	w.until("b is gone", func() bool { return !b.up })
	w.loseDisk(b)
	w.startContainer(b)
	w.rounds(300)
	if a.isOpen() || b.isOpen() {
		w.fail("somebody opened after a release that nobody took")
	}
	operator(w)
	w.heal()
	w.whole()
}
