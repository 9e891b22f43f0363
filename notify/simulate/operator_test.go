package simulate

import (
	"cmp"
	"slices"

	"github.com/pgbaton/pgbaton/notify"
)

// operator does what the sentences of held nodes ask for: the history that
// counts is that of the newest epoch whose node can open, and every other node
// that still holds is copied anew.
func operator(w *world) {
	w.forced = true
	boxes := slices.Clone(w.boxes)
	slices.SortFunc(boxes, func(a, b *box) int { return cmp.Compare(b.epoch(), a.epoch()) })
	for _, n := range boxes {
		if w.primary() != nil {
			break
		}
		w.order(n, notify.Order{Alone: true, Force: true})
	}
	for _, n := range boxes {
		if w.primary() != nil && n.sup != nil && n.sup.verdict.Do == notify.Hold {
			w.order(n, notify.Order{Reclone: true})
		}
	}
}

func (n *box) epoch() uint64 {
	if n.record == nil || n.data == nil {
		return 0
	}
	return n.record.Epoch
}

// order gives an order until it is carried out, for at most 30 ticks.
func (w *world) order(n *box, o notify.Order) {
	if n.sup == nil {
		return
	}
	w.log("%s: order %+v", n.name, o)
	n.sup.order = o
	for i := 0; i < 30 && n.sup != nil && n.sup.order == o; i++ {
		w.round()
	}
	if n.sup != nil {
		n.sup.order = notify.Order{}
	}
	w.rounds(30)
}
