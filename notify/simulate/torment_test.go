package simulate

import (
	"github.com/pgbaton/pgbaton/notify"
)

// torment is one thing that happens to a node.
type torment func(*world, *box)

// torments are those after which a cluster heals by itself. The frequent ones
// stand here more than once.
var torments = []torment{
	passing, passing, passing, passing, (*world).look, (*world).look,
	(*world).write, (*world).write, (*world).write,
	cutting, cutting, mending, isolating, muffling, moving,
	crashing, lighting, lighting, returning, returning, returning,
	killing, hanging, breaking, crowding, dooming, dooming,
	confusing, waving, delaying, delaying, deafening, arriving, arriving,
	switching, stopping, pausing, ordering, waiting, trimming, unnaming, forgetting,
	halting, holding, raising,
}

func passing(w *world, _ *box) { w.rounds(1 + w.roll(12, "ticks")) }

// unnaming takes a node's name away, or gives it back.
func unnaming(w *world, n *box) {
	w.nameless[n.name] = !w.nameless[n.name]
	w.log("%s: no name finds it: %v", n.name, w.nameless[n.name])
}

// waiting is longer than any timer.
func waiting(w *world, _ *box) { w.rounds(120) }

func (w *world) other(n *box) *box {
	i := w.roll(len(w.boxes)-1, "other node")
	for _, o := range w.boxes {
		if o == n {
			continue
		}
		if i == 0 {
			return o
		}
		i--
	}
	return n
}

// cutting takes packets away in one direction or in both.
func cutting(w *world, n *box) {
	o := w.other(n)
	w.log("the network from %s to %s is cut", n.name, o.name)
	w.cut[[2]string{n.name, o.name}] = true
	if w.roll(2, "both directions") == 1 {
		w.cut[[2]string{o.name, n.name}] = true
	}
}

// muffling lets nothing reach a node, whose own packets go on getting through.
func muffling(w *world, n *box) {
	if !n.deaf {
		n.deaf, n.deafed = true, w.now
		w.log("nothing reaches %s", n.name)
	}
}

func mending(w *world, n *box) {
	n.deaf = false
	for _, o := range w.boxes {
		delete(w.cut, [2]string{n.name, o.name})
		delete(w.cut, [2]string{o.name, n.name})
	}
	w.log("the network of %s is mended", n.name)
}

func isolating(w *world, n *box) {
	for _, o := range w.boxes {
		w.cut[[2]string{n.name, o.name}] = true
		w.cut[[2]string{o.name, n.name}] = true
	}
	w.log("%s is isolated", n.name)
}

func crashing(w *world, n *box) { w.crash(n, crash(w.roll(3, "crash"))) }

// lighting makes a node break at one of its next durable steps.
func lighting(w *world, n *box) {
	n.fuse, n.how = w.roll(8, "points"), crash(w.roll(3, "crash"))
}

func returning(w *world, n *box) { w.startContainer(n) }

// killing is the end of the postmaster with all its processes.
func killing(w *world, n *box) {
	if n.pg == nil {
		return
	}
	w.log("%s: postgres is killed", n.name)
	asked := n.pg.shut > 0
	w.loseServer(n)
	if n.sup != nil {
		n.sup.died = !asked
	}
}

// dooming lets postgres die inside its next promotion: all of it, or a process,
// after which the postmaster starts again by itself.
func dooming(w *world, n *box) {
	n.doom, n.phoenix = w.roll(promotionSteps, "step of a promotion"), w.roll(3, "a process crashes") == 2
}

func hanging(_ *world, n *box) {
	if n.pg != nil && n.pg.shut == 0 {
		n.pg.hung = true
	}
}

// crowding takes every connection of a server, or gives them back.
func crowding(w *world, n *box) {
	if n.pg != nil {
		n.pg.full = !n.pg.full
		w.log("%s: no connection is free: %v", n.name, n.pg.full)
	}
}

// breaking ends a replication connection.
func breaking(w *world, n *box) {
	if n.pg != nil && n.pg.in != nil {
		w.disconnect(n.pg.in)
	}
}

// confusing makes keepalived show what nobody elected: MASTER on several
// nodes, on none, an address without MASTER.
func confusing(w *world, n *box) {
	if w.mad = n.up; w.mad {
		n.master, n.vip = w.roll(2, "MASTER") == 0, w.roll(2, "VIP") == 0
		w.log("%s: keepalived is mad: MASTER %v, VIP %v", n.name, n.master, n.vip)
	}
}

// waving lets keepalived be sane again, or makes it mad in its present state.
func waving(w *world, _ *box) { w.mad = w.roll(2, "keepalived") == 1 }

func delaying(w *world, _ *box) {
	w.lossy, w.slow = w.roll(2, "messages are lost") == 0, w.roll(2, "WAL is slow") == 0
}

// deafening keeps supervisors from each other, or lets them talk again.
func deafening(w *world, _ *box) { w.deaf = !w.deaf }

func arriving(w *world, _ *box) { w.deliver() }

// switching is `pgbaton switchover`.
func switching(w *world, n *box) {
	if n.sup == nil || n.record == nil || !n.record.Primary || n.sup.handover != nil || !n.isOpen() {
		return
	}
	h := &notify.Handover{Operation: w.fresh("op"), Deadline: w.time().Add(ticks(30)), Why: "an operator's switchover"}
	if w.roll(2, "named target") == 1 {
		h.Target = w.other(n).name
	}
	w.log("%s: switchover to %q", n.name, h.Target)
	n.sup.handover = h
}

// stopping is `docker stop`.
func stopping(w *world, n *box) {
	if n.sup == nil || n.sup.ending {
		return
	}
	w.log("%s: docker stop", n.name)
	n.sup.ending, n.sup.endedAt = true, w.now
	if n.isOpen() && n.sup.handover == nil {
		n.sup.handover = &notify.Handover{Operation: w.fresh("op"), Deadline: w.time().Add(ticks(30)), Why: "the container ends"}
	}
}

// pausing is `pgbaton pause` and `resume`.
func pausing(w *world, n *box) {
	if n.record == nil || n.sup == nil {
		return
	}
	r := *n.record
	r.Paused = !r.Paused
	w.remember(n, &r)
}

// ordering is an operator's order without force, for some ticks.
func ordering(w *world, n *box) {
	if n.sup == nil {
		return
	}
	if n.sup.order != (notify.Order{}) {
		n.sup.order = notify.Order{}
		return
	}
	n.sup.order = []notify.Order{{Promote: true}, {Alone: true}}[w.roll(2, "order")]
	w.log("%s: order %+v", n.name, n.sup.order)
}
