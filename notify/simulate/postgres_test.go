package simulate

import (
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/notify"
)

// nobody is the name in synchronous_standby_names that no standby has.
const nobody = "pgbaton_nobody"

// server is a running postmaster.
type server struct {
	mode    notify.Server
	hung    bool
	full    bool // no connection is free, and none was kept: nothing can be proven
	hungFor int
	shut    int                // tick of its shutdown checkpoint, processes of it being left; 0: none yet
	names   string             // synchronous_standby_names in force
	in      *stream            // from the primary
	out     map[string]*stream // to standbys, by node
	commits []*commit          // not acknowledged yet
	replay  node.LSN           // of a standby
	paused  bool               // its replay, by somebody
	held    bool               // … by a query
	has     int                // of a setting of which a standby needs as much as its primary
}

// commit is a client's transaction, waiting for its acknowledgement.
type commit struct {
	e *entry
}

// stream is one replication connection.
type stream struct {
	from, to     *box
	server, recv *server
	flush        node.LSN // as the primary was told
	stalled      int      // ticks without the network
	alien        bool     // the standby has another history of the same timeline number
	got          node.LSN // up to here an alien has flushed what it can never replay
}

// startServer starts postgres. Recovery ends at the end of timeline target; 0:
// of the latest for a standby, of the one that pg_control knows for a primary.
func (w *world) startServer(n *box, mode notify.Server, target uint32) {
	d := n.data
	if !w.recover(n, mode, target) {
		return
	}
	n.pg = &server{mode: mode, names: d.names, out: map[string]*stream{}, replay: d.tip.end}
	if mode == notify.ServerStandby && !d.clean && !d.primary {
		n.pg.replay = min(d.least, d.tip.end) // consistent, and open for reading
	}
	n.pg.has = w.grant(n, mode)
	d.clean = false
	d.primary = mode == notify.ServerPrimary
	if n.sup != nil {
		n.sup.died, n.sup.synced, n.sup.syncedLSN, n.sup.loss = false, "", 0, nil
	}
	w.log("%s: postgres starts as %s, following %q, names %q, at %s", n.name, modeName(mode), d.follows, d.names, d.tip.end)
}

func modeName(m notify.Server) string {
	return [...]string{"down", "starting", "standby", "primary"}[m]
}

// loseServer ends a server as SIGKILL of all its processes does.
func (w *world) loseServer(n *box) {
	if n.pg == nil {
		return
	}
	if n.pg.mode == notify.ServerStandby && w.rollIf(w.slow, 2, "minimum recovery point") == 0 {
		n.data.least, n.data.known = n.pg.replay, max(n.data.known, n.data.tip.tl)
	}
	n.data.clean = n.pg.shut > 0
	n.pg = nil
}

// stopServer is a fast stop. Clients get no answer any more. A primary's
// walsenders send everything, its shutdown checkpoint included, as far as the
// network lets them; where that takes too long the stop is immediate. A server
// that has shut down may have processes left, which go on sending.
func (w *world) stopServer(n *box) {
	s := n.pg
	if s == nil {
		return
	}
	if s.shut > 0 {
		w.gone(n)
		return
	}
	if s.hung || (s.mode == notify.ServerPrimary && w.roll(6, "immediate stop") == 5) {
		w.log("%s: postgres is stopped immediately", n.name)
		w.loseServer(n)
		return
	}
	s.commits = nil
	if s.mode == notify.ServerPrimary {
		w.pumpOut(n)
		n.data.append("shutdown checkpoint")
		n.data.flushed = n.data.tip
		if w.roll(3, "processes are left") == 2 {
			s.mode, s.shut, n.data.clean = notify.ServerStarting, w.now, true
			w.log("%s: postgres has shut down at %s, and processes of it are left", n.name, n.data.tip.end)
			return
		}
		w.pumpOut(n)
	}
	n.data.flushed, n.data.least, n.data.known = n.data.tip, s.replay, n.data.tip.tl
	n.pg = nil
	n.data.clean = true
	w.log("%s: postgres stopped cleanly at %s", n.name, n.data.tip.end)
}

// gone is the end of what was left of a server that had shut down.
func (w *world) gone(n *box) {
	n.pg = nil
	w.log("%s: the last processes of postgres end", n.name)
}

// lingering is what is left of a server that has shut down, for one tick.
func (w *world) lingering(n *box) {
	if n.pg == nil || n.pg.shut == 0 || n.pg.shut == w.now {
		return
	}
	w.pumpOut(n)
	if w.now-n.pg.shut > 20 || w.roll(3, "the last processes end") != 2 {
		w.gone(n)
	}
}

func (w *world) pumpOut(n *box) {
	for _, other := range w.boxes {
		if st := n.pg.out[other.name]; st != nil && other.pg == st.recv {
			w.transfer(st)
		}
	}
}

// write is a client's commit on the node. It may wait there for ever.
func (w *world) write(n *box) {
	if !n.isOpen() || n.pg.hung {
		return
	}
	e := n.data.append("commit")
	n.pg.commits = append(n.pg.commits, &commit{e: e})
	if w.roll(3, "WAL is not flushed yet") != 2 {
		w.settleCommits(n)
	}
}

// settleCommits flushes, and acknowledges what may be: RecordTransactionCommit
// and SyncRepWaitForLSN.
func (w *world) settleCommits(n *box) {
	s := n.pg
	if s == nil || s.hung || s.mode != notify.ServerPrimary {
		return
	}
	n.data.flushed = n.data.tip
	var waiting []*commit
	for _, c := range s.commits {
		st := s.out[s.names]
		if s.names == "" || (st != nil && st.flush >= c.e.end) {
			w.acknowledged(n, c.e)
			continue
		}
		waiting = append(waiting, c)
	}
	s.commits = waiting
}
