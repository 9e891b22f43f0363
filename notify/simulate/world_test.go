package simulate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/notify"
)

// world is everything. Its dice decide what is left to chance; 0 is always
// the harmless face, so that shrinking leads to calm histories.
type world struct {
	t     fataler
	dice  func(n int, what string) int
	boxes []*box

	policy notify.Silence
	now    int
	serial int
	cut    map[[2]string]bool
	late   []late
	etcd   *etcd // nil: there is no arbiter
	bare   bool  // there is no keepalived
	lossy  bool  // polls and requests are lost, late or doubled
	slow   bool  // WAL is late
	deaf   bool  // supervisors do not reach each other; replication and VRRP go on
	mad    bool  // keepalived does what it likes

	tasks    bool            // one name stands for all nodes, and finds those that run
	nameless map[string]bool // nodes that no name finds, although they run
	expected []string        // PGBATON_NODES

	acked   []*entry // the newest acknowledged commit of each history; others are their ancestors
	acks    int
	ackedAt int  // tick of the latest
	forced  bool // an operator used force, or reclone: some promises are off
	alien   bool // a standby of another history may stream: the timelines have the same number
	lost    bool // a disk was lost: what was only on it cannot come back
	healed  bool // containers that end come back
	trace   []line
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

type line struct {
	now    int
	format string
	args   []any
}

func newWorld(t fataler, dice func(int, string) int, policy notify.Silence, nodes int) *world {
	w := &world{t: t, dice: dice, policy: policy, cut: map[[2]string]bool{}, nameless: map[string]bool{}}
	for i := range nodes {
		w.boxes = append(w.boxes, &box{name: fmt.Sprintf("n%d", i+1), place: fmt.Sprintf("at%d", i+1), fuse: -1, doom: -1})
	}
	return w
}

// calm is a world in which nothing is left to chance.
func calm(t *testing.T, nodes int) *world {
	t.Helper()
	return newWorld(t, func(int, string) int { return 0 }, notify.SilencePromote, nodes)
}

func (w *world) roll(n int, what string) int { return w.dice(n, what) }

func (w *world) rollIf(wild bool, n int, what string) int {
	if !wild {
		return 0
	}
	return w.dice(n, what)
}

func (w *world) fresh(what string) string {
	w.serial++
	return fmt.Sprintf("%s%d", what, w.serial)
}

func (w *world) box(name string) *box {
	for _, n := range w.boxes {
		if n.name == name {
			return n
		}
	}
	return nil
}

func (w *world) log(format string, args ...any) {
	w.trace = append(w.trace, line{w.now, format, args})
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	var b strings.Builder
	for _, l := range w.trace[max(0, len(w.trace)-250):] {
		fmt.Fprintf(&b, "%5d %s\n", l.now, fmt.Sprintf(l.format, l.args...))
	}
	w.t.Fatalf("%s\n%s\n%s", fmt.Sprintf(format, args...), b.String(), w.show())
}

func (w *world) show() string {
	var b strings.Builder
	for _, n := range w.boxes {
		fmt.Fprintf(&b, "%s up=%v vip=%v", n.name, n.up, n.vip)
		if n.record != nil {
			fmt.Fprintf(&b, " [%s]", describe(n.record))
		}
		if d := n.data; d != nil && !d.half {
			fmt.Fprintf(&b, " data{tl %d end %s signal %v clean %v follows %q names %q}", d.tip.tl, d.tip.end, d.signal, d.clean, d.follows, d.names)
		}
		if n.pg != nil {
			fmt.Fprintf(&b, " %s{in %v names %q waiting %d}", modeName(n.pg.mode), n.pg.in != nil, n.pg.names, len(n.pg.commits))
		}
		if n.sup != nil {
			fmt.Fprintf(&b, "\n   %s %s: %s", n.sup.verdict.Do, n.sup.verdict.Target, n.sup.verdict.Why)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
