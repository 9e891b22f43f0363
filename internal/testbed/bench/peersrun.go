package main

import (
	"fmt"
	"syscall"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// operation is what happens to a primary under load.
type operation struct {
	name   string
	rounds func(c contender, switchovers int) int
	do     func(c contested, primary *testbed.Container) // returns when the primary takes no more commits
	again  bool                                          // the container has ended and is to be started
}

var operations = []operation{
	{
		name:   "switchover",
		rounds: func(_ contender, switchovers int) int { return switchovers },
		do:     contested.Switchover,
	},
	{
		name:   "postmaster killed",
		rounds: func(c contender, _ int) int { return c.deaths },
		do:     func(_ contested, primary *testbed.Container) { killPostmaster(primary) },
	},
	{
		name:   "node killed",
		rounds: func(c contender, _ int) int { return c.deaths },
		do:     func(_ contested, primary *testbed.Container) { primary.Kill("KILL"); primary.Wait(time.Minute) },
		again:  true,
	},
}

func killPostmaster(c *testbed.Container) {
	p, ok := c.Postmaster()
	if !ok {
		c.Eventually(0, "it has a postmaster", func() bool { return false })
	}
	c.Signal(p, syscall.SIGKILL)
	c.Eventually(time.Minute, "the postmaster is gone", func() bool {
		_, there := c.Find(func(q testbed.Process) bool { return q.HostPID == p.HostPID && q.Started == p.Started && !q.Zombie() })
		return !there
	})
}

// score is what was measured of one contender.
type score struct {
	name                    string
	worst                   map[string][]time.Duration // of the worst writer, by operation
	acked, lost, duplicated int
	unaudited               int      // turns whose commits could not be compared
	failures                []string // rounds that did not end well, and why
}

func newScore(name string) *score { return &score{name: name, worst: map[string][]time.Duration{}} }

// add is one turn: a new cluster, and of every operation a share of the
// rounds. What fails ends the operation, is told, and the next one begins
// with another cluster.
func (s *score) add(tb testbed.TB, c contender, switchovers, turn, turns int) {
	for next := 0; next < len(operations); {
		doing, audited := "start", true
		why := try(tb, func(tb testbed.TB) {
			cluster := c.start(tb)
			cluster.Whole()
			for ; next < len(operations); next++ {
				op := operations[next]
				doing, audited = op.name, false
				s.series(tb, cluster, op, share(op.rounds(c, switchovers), turn, turns))
				audited = true
			}
		})
		if why == "" || tb.Context().Err() != nil {
			return
		}
		next++
		s.failures = append(s.failures, fmt.Sprintf("%s, %s: %s", s.name, doing, why))
		if !audited {
			s.unaudited++
		}
		progress("  failed: %s", why)
		if doing == "start" {
			return
		}
	}
}

// share is how many of n rounds fall to a turn; the first takes the odd one.
func share(n, turn, turns int) int {
	share := n / turns
	if turn < n%turns {
		share++
	}
	return share
}

// series is an operation again and again under one load, which is audited.
func (s *score) series(tb testbed.TB, c contested, op operation, rounds int) {
	if rounds == 0 {
		return
	}
	l := testbed.Load{Target: c.DSN, Timeout: time.Second, Think: 2 * time.Millisecond}
	if err := l.Prepare(tb.Context()); err != nil {
		tb.Fatalf("start the load: %v", err)
	}
	load := l.Start(tb.Context())
	tb.Cleanup(func() { load.Stop() })
	for i := range rounds {
		old := c.Whole()
		flow(tb, load)
		began := time.Now()
		op.do(c, old)
		flow(tb, load)
		seen := load.Between(began, time.Now())
		s.worst[op.name] = append(s.worst[op.name], seen.WorstWriter)
		progress("  %s %d of %d: %v", op.name, i+1, rounds, seen)
		if op.again {
			old.Start()
		}
	}
	primary := c.Whole()
	load.Stop()
	rep, err := load.Audit(tb.Context(), primary.DB())
	if err != nil {
		tb.Fatalf("audit: %v", err)
	}
	s.acked, s.lost, s.duplicated = s.acked+rep.Acked, s.lost+rep.Lost, s.duplicated+rep.Duplicated
	if err := rep.Err(); err != nil {
		s.failures = append(s.failures, fmt.Sprintf("%s, %s: %v", s.name, op.name, err))
	}
}
