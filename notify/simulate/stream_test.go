package simulate

import "github.com/pgbaton/pgbaton/notify"

// patience is how many ticks a replication connection outlives the network
// (wal_sender_timeout, wal_receiver_timeout).
const patience = 20

// replicate is what a standby's WAL receiver does in one tick.
func (w *world) replicate(n *box) {
	s := n.pg
	if s == nil || s.hung || s.mode != notify.ServerStandby {
		return
	}
	if s.in == nil && w.rollIf(w.slow, 3, "replay is slow") == 2 {
		return
	}
	w.apply(n)
	if s.in == nil && !s.stuck(n.data) { // what is on its own disk comes first
		w.connect(n)
	}
	if s.in != nil {
		w.transfer(s.in)
		w.apply(n)
	}
}

// connect is START_REPLICATION: PostgreSQL compares timeline numbers and
// positions, nothing else.
func (w *world) connect(n *box) {
	from := w.occupant(n.data.place)
	if n.data.follows == "" || from == nil || from == n || from.pg == nil || from.pg.mode != notify.ServerPrimary /* target_session_attrs */ || from.pg.hung || from.pg.shut > 0 || !w.reach(n, from) || n.data.half || from.data.half {
		return
	}
	mine := n.data.tip
	if w.alien && mine.tl == from.data.flushed.tl && !from.data.flushed.has(mine) {
		w.log("%s streams from %s, whose history is another", n.name, from.name)
		st := &stream{from: from, to: n, server: from.pg, recv: n.pg, flush: n.data.flushed.end, alien: true}
		n.pg.in, from.pg.out[n.name] = st, st
		return
	}
	there := from.data.flushed.at(mine.end)
	if there == nil || there.tl != mine.tl {
		return // "requested starting point … is not in this server's history"
	}
	if s := n.data.stub; s != nil && s.listed { // it asks for that timeline
		if b := from.data.flushed; b.tl != s.tl || b.begins() != s.at.end {
			return // "requested starting point … on timeline … is not in this server's history"
		}
	}
	if mine.end < from.data.removed {
		return // "requested WAL segment … has already been removed"
	}
	if there != mine && w.divided() {
		return // PostgreSQL's reader finds records that do not fit, and tries again
	}
	if there != mine {
		w.fail("%s streams from %s although their histories differ, which PostgreSQL cannot see (both have timeline %d at %s)", n.name, from.name, mine.tl, mine.end)
	}
	st := &stream{from: from, to: n, server: from.pg, recv: n.pg, flush: n.data.flushed.end}
	n.pg.in, from.pg.out[n.name] = st, st
}

// transfer moves WAL one way and flush positions the other.
func (w *world) transfer(st *stream) {
	alive := st.from.pg == st.server && st.to.pg == st.recv
	there, back := w.link(st.from, st.to), w.link(st.to, st.from)
	switch {
	case there && back && !st.recv.hung:
		st.stalled = 0
	case st.stalled < patience:
		st.stalled++
	default:
		w.disconnect(st)
		return
	}
	if !alive {
		if there && back {
			w.disconnect(st)
		}
		return
	}
	if st.server.hung || st.recv.hung {
		return
	}
	if there {
		w.receive(st)
	}
	if back {
		st.flush = max(st.to.data.flushed.end, st.got)
		w.settleCommits(st.from)
	}
}

func (w *world) receive(st *stream) {
	d, end := st.to.data, st.from.data.flushed
	if st.alien {
		st.got = max(st.got, end.end) // it is flushed, and does not fit to what was replayed
		return
	}
	if end.end < d.tip.end || !end.has(d.tip) {
		w.fail("%s streams from %s, whose WAL does not go on where its own ends", st.to.name, st.from.name)
	}
	switch w.rollIf(w.slow, 4, "WAL is slow") {
	case 1:
		return
	case 2:
		if end.end > d.tip.end {
			d.tip = end.at(d.tip.end + 1)
		}
		return // written, not flushed
	case 3:
		d.tip = end
		return
	}
	d.tip, d.flushed = end, end
}

// disconnect ends a connection; the WAL receiver flushes what it wrote.
func (w *world) disconnect(st *stream) {
	if st.to.pg == st.recv && st.recv.in == st {
		st.recv.in = nil
		st.to.data.flushed = st.to.data.tip
	}
	if st.from.pg == st.server && st.server.out[st.to.name] == st {
		delete(st.server.out, st.to.name)
	}
}

// retarget changes primary_conninfo of a running standby.
func (w *world) retarget(n *box, to string) {
	n.data.follows, n.data.place = to, n.sup.knows(to)
	if n.pg != nil && n.pg.in != nil {
		w.disconnect(n.pg.in)
	}
}
