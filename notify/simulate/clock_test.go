package simulate

import "github.com/pgbaton/pgbaton/notify"

// round is one tick in which everything gets its turn.
func (w *world) round() {
	w.now++
	for _, n := range w.boxes {
		w.background(n)
	}
	w.keepalived()
	w.leases()
	for _, n := range w.boxes {
		w.look(n)
	}
}

func (w *world) rounds(n int) {
	for range n {
		w.round()
	}
}

// background is what goes on without a supervisor.
func (w *world) background(n *box) {
	if w.healed {
		w.startContainer(n)
	}
	w.startSupervisor(n)
	if s := n.pg; s != nil && s.hung {
		if s.hungFor++; s.hungFor > 10 && n.sup != nil {
			w.loseServer(n) // the supervisor's deadline: made dead first
			n.sup.died = true
		}
	}
	w.lingering(n)
	w.replicate(n)
	w.settleCommits(n)
	if n.pg != nil {
		for _, other := range w.boxes {
			if st := n.pg.out[other.name]; st != nil && (other.pg != st.recv || st.recv.hung) {
				w.transfer(st)
			}
		}
	}
}

// look is one turn of a supervisor.
func (w *world) look(n *box) {
	if n.sup == nil {
		return
	}
	for _, other := range w.boxes {
		if other != n {
			w.poll(n, other)
		}
	}
	w.join(n)
	w.askArbiter(n)
	w.decide(n)
}

func (w *world) decide(n *box) {
	s := n.sup
	if s == nil {
		return
	}
	w.notice(n)
	n.publish(w)
	v := notify.Decide(w.facts(n))
	w.act(n, v)
	if n.sup == nil {
		return
	}
	w.end(n, v)
	if n.sup != nil {
		n.publish(w)
	}
}

// end is how a container's end goes on where its role does not hinder it.
func (w *world) end(n *box, v notify.Verdict) {
	s := n.sup
	if !s.ending {
		return
	}
	late := w.now-s.endedAt > 60
	if late || (s.handover == nil && n.pg != nil && n.pg.mode == notify.ServerPrimary) || (v.Do == notify.Hold && n.pg == nil) {
		w.stopServer(n)
	}
	if late {
		w.leave(n)
	}
}
