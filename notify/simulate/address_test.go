package simulate

import "testing"

// occupant is who has an address now.
func (w *world) occupant(place string) *box {
	for _, n := range w.boxes {
		if n.place == place {
			return n
		}
	}
	return nil
}

// knows is the address at which a node answered last.
func (s *supervisor) knows(name string) string {
	if got := s.seen[name]; got != nil {
		return got.place
	}
	return ""
}

// moving gives a node an address that was nobody's, or swaps it with another's.
// Its connections end by that; who connects to the former one meets whoever has it.
func moving(w *world, n *box) {
	if w.roll(2, "swapped") == 0 {
		n.place = w.fresh("at")
		w.log("%s is at %s now", n.name, n.place)
		w.unplug(n)
		return
	}
	o := w.other(n)
	n.place, o.place = o.place, n.place
	w.log("%s is at %s now, and %s at %s", n.name, n.place, o.name, o.place)
	w.unplug(n)
	w.unplug(o)
}

// unplug ends every replication connection of a node.
func (w *world) unplug(n *box) {
	if n.pg == nil {
		return
	}
	if n.pg.in != nil {
		w.disconnect(n.pg.in)
	}
	for _, o := range w.boxes {
		if st := n.pg.out[o.name]; st != nil {
			w.disconnect(st)
		}
	}
}

func TestStandbysFollowAPrimaryWhoseAddressChangesOrIsSwapped(t *testing.T) {
	t.Parallel()
	for _, swap := range []int{0, 1} {
		w := cluster(t, 3)
		old := w.boxes[0]
		w.dice = func(_ int, what string) int {
			if what == "swapped" {
				return swap
			}
			return 0
		}
		moving(w, old)
		w.whole()
		if w.primary() != old {
			w.fail("%s is the primary", w.primary().name)
		}
	}
}
