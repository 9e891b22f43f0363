package simulate

import (
	"time"

	"github.com/pgbaton/pgbaton/notify"
)

// link reports whether packets get from a to b.
func (w *world) link(a, b *box) bool {
	return a.up && b.up && !b.deaf && !w.cut[[2]string{a.name, b.name}]
}

// reach reports whether a connection works.
func (w *world) reach(a, b *box) bool { return w.link(a, b) && w.link(b, a) }

// poll is GET /v1/node of one peer.
func (w *world) poll(n, other *box) {
	got := n.sup.seen[other.name]
	if !w.isFound(other) && (got == nil || !got.answers) {
		w.unfind(n, other)
		return
	}
	if got == nil {
		got = &sight{}
		n.sup.seen[other.name] = got
	}
	switch w.rollIf(w.lossy, 4, "poll") {
	case 1:
		return // not yet
	case 2:
		got.asked, got.answers = true, false
		return
	}
	got.asked = true
	got.answers = w.reach(n, other) && other.sup != nil && !w.deaf
	if got.answers {
		got.state, got.at, got.place = other.sup.published, w.now, other.place
	}
}

// late is a request that is still on its way; nobody waits for the reply.
type late struct {
	to *box
	q  notify.Request
}

// ask sends a request; the reply may be lost, the request too, or come late,
// or twice.
func (w *world) ask(n, to *box, q notify.Request, done func(notify.Reply)) {
	if to == nil || !w.link(n, to) || w.deaf {
		return
	}
	how := w.rollIf(w.lossy, 5, "request")
	if how == 1 {
		return
	}
	if how == 2 || how == 3 {
		w.late = append(w.late, late{to, q})
		if how == 2 {
			return
		}
	}
	asker := n.sup
	reply, ok := w.answer(to, q)
	if ok && how != 4 && w.link(to, n) && n.sup == asker {
		done(reply)
	}
}

// deliver lets one late request arrive.
func (w *world) deliver() {
	if len(w.late) == 0 {
		return
	}
	i := w.roll(len(w.late), "late request")
	l := w.late[i]
	w.late = append(w.late[:i:i], w.late[i+1:]...)
	w.log("a late %s arrives at %s", l.q.Ask, l.to.name)
	w.answer(l.to, l.q)
}

// keepalived elects: a node is MASTER when it is eligible and hears no better
// one.
func (w *world) keepalived() {
	if w.mad {
		return
	}
	seats := map[*box]notify.Seat{}
	for _, n := range w.boxes {
		if n.sup != nil {
			n.seat(w)
		}
		if n.up {
			seats[n] = n.sat
		}
	}
	for _, n := range w.boxes {
		best := n.up && seats[n].Eligible
		for _, other := range w.boxes {
			s := seats[other]
			better := s.Pref > seats[n].Pref || (s.Pref == seats[n].Pref && other.name > n.name)
			if other != n && other.up && s.Eligible && better && w.link(other, n) {
				best = false
			}
		}
		n.master, n.vip = best, best
	}
}

// seat asks the rules whether the node may hold the VIP; the answer stands
// while its supervisor is away.
func (n *box) seat(w *world) {
	f := w.facts(n)
	if notify.Yields(f) {
		n.sup.yielded = w.now
	}
	yielded := time.Duration(-1)
	if n.sup.yielded >= 0 {
		yielded = ticks(w.now - n.sup.yielded)
	}
	n.sat = notify.Sit(f, yielded)
}
