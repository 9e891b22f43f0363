package simulate

import (
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/notify"
)

// usual is the default of a setting of which a standby needs as much as its
// primary.
const usual = 100

// grant is how much of it a server starts with: a standby no less than its WAL
// says (pg.Raised), a primary what it is configured for, which its WAL then says.
func (w *world) grant(n *box, mode notify.Server) int {
	d, has := n.data, usual+n.more
	if mode == notify.ServerStandby {
		return max(has, d.tip.needsAt(n.pg.replay))
	}
	if d.tip.needs != has {
		d.append("parameter change").needs = has
	}
	return has
}

// needsAt is what the last replayed WAL needs.
func (e *entry) needsAt(replayed node.LSN) int {
	for e.end > replayed && e.parent != nil {
		e = e.parent
	}
	return e.needs
}

// short is the setting of which the server has less than what it has replayed
// needs.
func (s *server) short(d *data) node.Limit {
	if needs := d.tip.needsAt(s.replay); s.has < needs {
		return node.Limit{Name: "max_connections", Now: int64(s.has), Next: int64(needs)}
	}
	return node.Limit{}
}

// stuck reports whether nothing is replayed. Who is stuck starts no WAL receiver
// either; one that runs goes on.
func (s *server) stuck(d *data) bool { return s.paused || s.held || s.short(d).Name != "" }

// apply replays up to the end of what was received, or up to the first record
// that needs more of a setting.
func (w *world) apply(n *box) {
	s, d := n.pg, n.data
	if s.stuck(d) {
		return
	}
	end := d.tip
	for e := d.tip; e != nil && e.end > s.replay; e = e.parent {
		if e.needs > s.has {
			end = e
		}
	}
	s.replay = end.end
}

// halting is pg_wal_replay_pause() and pg_wal_replay_resume().
func halting(w *world, n *box) {
	if n.pg != nil && n.pg.mode == notify.ServerStandby {
		n.pg.paused = !n.pg.paused
		w.log("%s: replay is paused: %v", n.name, n.pg.paused)
	}
}

// holding is a query on a standby that holds up its replay, or its end.
func holding(w *world, n *box) {
	if n.pg != nil && n.pg.mode == notify.ServerStandby {
		n.pg.held = !n.pg.held
		w.log("%s: a query holds up replay: %v", n.name, n.pg.held)
	}
}

// raising is an ALTER SYSTEM of a setting, on one node alone.
func raising(w *world, n *box) {
	n.more = 10 * w.roll(4, "more")
	w.log("%s: a setting is %d from the next start on", n.name, usual+n.more)
}

func TestAnHeirWhoseReplayIsPausedGivesItsRightUpAndNobodyWaits(t *testing.T) {
	t.Parallel()
	w := cluster(t, 2)
	p, h := w.boxes[0], w.boxes[1]
	halting(w, h)
	w.until("the heir gives its right up", func() bool { return h.record.Armed == nil && p.record.Heir == nil })
	if !w.serves(p) {
		w.fail("commits wait for a standby that is paused")
	}
	w.crash(p, crashContainer)
	w.rounds(50)
	if h.isOpen() {
		w.fail("a standby that was paused, and is not armed, took over")
	}
	w.heal()
	w.whole()
}

func TestAPrimaryThatGetsMoreOfASettingIsFollowedAndInherited(t *testing.T) {
	t.Parallel()
	w := cluster(t, 2)
	p, h := w.boxes[0], w.boxes[1]
	p.more = 40
	pausing(w, p) // it is started again in place
	killing(w, p)
	w.until("the standby has as much", func() bool { return p.isOpen() && h.pg != nil && h.pg.has == usual+40 })
	pausing(w, p)
	w.whole()
	w.crash(p, crashContainer)
	w.until("the heir serves", func() bool { return w.serves(h) })
	w.heal()
	w.whole()
}

func TestAnHeirThatDiesOfTooSmallASettingInItsPromotionIsPromotedAllTheSame(t *testing.T) {
	t.Parallel()
	w := cluster(t, 2)
	p, h := w.boxes[0], w.boxes[1]
	p.data.append("parameter change").needs = usual + 40
	w.write(p)
	w.replicate(h) // it has the WAL, and its supervisor has not looked yet
	w.crash(p, crashContainer)
	w.until("the heir serves", func() bool { return w.serves(h) })
	w.heal()
	w.whole()
}
