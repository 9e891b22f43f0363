package simulate

import "github.com/pgbaton/pgbaton/notify"

// promotionSteps is how many durable steps PostgreSQL takes in a promotion.
const promotionSteps = 5

// becomePrimary is the end of StartupXLOG (xlog.c), in its order. After each
// step the server may die. The copy of the last segment, which comes first, has
// nothing of its own in it.
func (w *world) becomePrimary(n *box) {
	d, s := n.data, n.pg
	// Timelines that only a lost server knew of may have the same number.
	tl := max(d.newest(), d.listed) + 1
	w.log("%s: postgres is being promoted to timeline %d at %s", n.name, tl, d.tip.end)
	if !w.goesOn(n, s, "before standby.signal is removed") {
		return
	}
	d.signal = false
	if !w.goesOn(n, s, "after standby.signal was removed") {
		return
	}
	d.stub = &stub{tl: tl, at: d.tip, listed: true}
	d.flushed = d.tip
	if !w.goesOn(n, s, "after the history file was written") {
		return
	}
	d.stub.end = d.tip.next(tl, "promotion of "+n.name)
	if !w.goesOn(n, s, "after the record that ends recovery") {
		return
	}
	d.stub.told, d.known = true, tl
	if !w.goesOn(n, s, "before pg_control says in production") {
		return
	}
	d.tip = d.stub.end
	d.flushed, d.primary, d.stub = d.tip, true, nil
	s.mode, s.names = notify.ServerPrimary, d.names
	if n.sup != nil {
		n.sup.synced, n.sup.syncedLSN = "", 0
	}
	w.log("%s: postgres is promoted: timeline %d from %s", n.name, d.tip.tl, d.tip.begins())
}

// goesOn is a moment inside of a promotion; it reports whether the server lives
// on. A supervisor that crashes there leaves it alone.
func (w *world) goesOn(n *box, s *server, where string) bool {
	if n.doom == 0 {
		n.doom = -1
		w.log("%s: postgres dies %s", n.name, where)
		killing(w, n)
		if n.phoenix && !n.data.signal {
			w.log("%s: postgres starts again by itself", n.name)
			w.startServer(n, notify.ServerPrimary, 0)
		}
		return false
	}
	if n.doom > 0 {
		n.doom--
	}
	w.point(n)
	return n.pg == s
}

// recover is the beginning of StartupXLOG: which timeline is recovered, and
// whether that can be. It reports whether the server comes up.
func (w *world) recover(n *box, mode notify.Server, target uint32) bool {
	d := n.data
	s := d.stub
	if mode == notify.ServerPrimary {
		target = d.known
	} else if target == 0 {
		target = d.newest()
	}
	d.listed = max(d.listed, d.tip.tl)
	for d.tip.tl > target { // WAL of a later timeline is not looked at
		d.tip = d.tip.parent
	}
	if !d.tip.has(d.flushed) {
		d.flushed = d.tip
	}
	if s == nil || s.tl != target {
		return true
	}
	if d.tip != s.at {
		w.log("%s: requested timeline %d is not a child of this server's history", n.name, target)
		return false
	}
	if s.end != nil {
		d.tip, d.flushed, d.stub = s.end, s.end, nil
	}
	return true
}
