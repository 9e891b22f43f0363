package simulate

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/pgbaton/pgbaton/notify"
)

// changes are the changes of roles, each of which is interrupted at every
// moment of every node below.
var changes = map[string]func(*world){
	"switchover":            func(w *world) { switching(w, w.boxes[0]) },
	"switchover to a named": func(w *world) { switching(w, w.boxes[0]); w.boxes[0].sup.handover.Target = "n3" },
	"docker stop":           func(w *world) { stopping(w, w.boxes[0]) },
	"docker stop of heir":   func(w *world) { stopping(w, w.boxes[1]) },
	"proof of death":        func(w *world) { killing(w, w.boxes[0]) },
	"power loss":            func(w *world) { w.crash(w.boxes[0], crashPower) },
	"isolation":             func(w *world) { isolating(w, w.boxes[0]) },
	"heir without data": func(w *world) {
		w.boxes[1].sup.order = notify.Order{Reclone: true}
	},
}

func TestEveryChangeOfRolesInterruptedAtAnyMomentLosesNothingAndNeverSticks(t *testing.T) {
	t.Parallel()
	sample := rand.New(rand.NewPCG(seed(t), 0))
	for name, change := range changes {
		for _, policy := range []notify.Silence{notify.SilencePromote, notify.SilenceContinue} {
			var picked []moment
			for _, m := range moments() {
				if soak() || sample.IntN(8) == 0 {
					picked = append(picked, m)
				}
			}
			t.Run(fmt.Sprintf("%s, %s", name, policy), func(t *testing.T) {
				t.Parallel()
				for _, m := range picked {
					interrupt(t, change, policy, m)
				}
			})
		}
	}
}

// moment is a durable step of a node, and how it breaks there.
type moment struct {
	node, step int
	how        crash
}

func moments() []moment {
	var out []moment
	for step := range 16 {
		for node := range 3 {
			for how := crashSupervisor; how <= crashPower; how++ {
				out = append(out, moment{node, step, how})
			}
		}
	}
	return out
}

func interrupt(t *testing.T, change func(*world), policy notify.Silence, m moment) {
	t.Helper()
	w := cluster(t, 3)
	if policy != w.policy {
		w.policy = policy
		w.whole() // the heir is given up
		w.until("nobody is armed", func() bool { return w.boxes[1].record.Armed == nil && w.boxes[0].record.Heir == nil })
	}
	w.write(w.boxes[0])
	w.log("interrupted: %+v", m)
	w.boxes[m.node].fuse, w.boxes[m.node].how = m.step, m.how
	change(w)
	for range 60 {
		w.round()
		for _, n := range w.boxes {
			w.write(n)
		}
	}
	w.heal()
	w.whole()
}

func TestHowLongCommitsWait(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		nodes int
		do    func(*world)
		most  int // ticks without an acknowledged commit, with keepalived's and the replication's own time
	}{
		{"nothing happens", 3, func(*world) {}, 1},
		{"the heir is stopped", 3, func(w *world) { stopping(w, w.boxes[1]) }, 5},
		{"the heir is stopped that was the primary", 2, func(w *world) {
			switching(w, w.boxes[0])
			w.until("it is the heir", func() bool { return w.boxes[0].record.Armed != nil })
			w.rounds(5)
			stopping(w, w.boxes[0])
			w.decide(w.boxes[0]) // faster than any poll
			w.decide(w.boxes[0])
		}, 5},
		{"the heir of two is stopped", 2, func(w *world) { stopping(w, w.boxes[1]) }, 5},
		{"another standby is stopped", 3, func(w *world) { stopping(w, w.boxes[2]) }, 1},
		{"the heir's postgres dies", 3, func(w *world) { killing(w, w.boxes[1]) }, 5},
		{"the heir's supervisor crashes", 3, func(w *world) { w.crash(w.boxes[1], crashSupervisor) }, 1},
		{"the primary's supervisor crashes", 3, func(w *world) { w.crash(w.boxes[0], crashSupervisor) }, 5},
		{"the heir's container restarts", 3, func(w *world) { w.crash(w.boxes[1], crashContainer); w.startContainer(w.boxes[1]) }, 6},
		{"a switchover", 3, func(w *world) { switching(w, w.boxes[0]) }, 5},
		{"a switchover to the third", 3, func(w *world) { switching(w, w.boxes[0]); w.boxes[0].sup.handover.Target = "n3" }, 5},
		{"the primary is stopped", 3, func(w *world) { stopping(w, w.boxes[0]) }, 5},
		{"the primary's postgres dies", 3, func(w *world) { killing(w, w.boxes[0]) }, 3},
		{"the primary's container dies", 3, func(w *world) { w.crash(w.boxes[0], crashContainer) }, 4},
		{"the primary of two dies", 2, func(w *world) { w.crash(w.boxes[0], crashPower) }, 4},
		{"the heir is paused", 3, func(w *world) { pausing(w, w.boxes[1]) }, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := cluster(t, c.nodes)
			w.rounds(10)
			c.do(w)
			longest, since := 0, w.now
			for range 80 {
				before := w.acks
				for _, n := range w.boxes {
					w.write(n)
				}
				w.round()
				if w.acks > before {
					longest, since = max(longest, w.now-since), w.now
				}
			}
			if longest = max(longest, w.now-since); longest > c.most {
				w.fail("commits waited for %d ticks, more than %d", longest, c.most)
			}
			t.Logf("at most %d ticks", longest)
		})
	}
}
