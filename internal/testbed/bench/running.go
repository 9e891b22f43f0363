package main

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// measureRunning measures what a running server costs: both sides stay up, and
// only one of them works at a time.
func measureRunning(tb testbed.TB, t *table, ours, theirs side, o options) {
	progress("start both sides for pgbench")
	containers := map[string]*testbed.Container{ours.name: ours.run(tb), theirs.name: theirs.run(tb)}
	for _, c := range containers {
		c.MustExec("pgbench", "-U", "postgres", "-i", "-q", "-s", "10", "postgres")
	}
	tps := map[string][]float64{}
	var used cost
	for turn := range o.turns {
		progress("pgbench, turn %d of %d, %v each side", turn+1, o.turns, o.pgbench)
		inTurn(turn, ours, theirs, func(s side) {
			c := containers[s.name]
			c.MustExec("psql", "-qU", "postgres", "-c", "checkpoint") // no turn pays for the one before
			stop := meter(tb, c)
			tps[s.name] = append(tps[s.name], pgbench(tb, c, o.pgbench))
			if s.name == ours.name {
				used.add(stop())
			}
		})
	}
	a, b := median(tps[ours.name]), median(tps[theirs.name])
	t.add("pgbench, 4 clients, transactions/s", fmt.Sprintf("%.0f", a), fmt.Sprintf("%.0f", b), ratio(a, b), "≈ 1 (higher is better)")
	t.add("CPU of init and supervisor under pgbench, of one core", percent(used.init+used.supervisor, used.over), "", "", "≤ 0.5 %")
	time.Sleep(time.Second) // for pgbench's sessions to be gone from the lists
	for _, s := range []side{ours, theirs} {
		list(s, containers[s.name])
	}
	measureMemory(tb, t, containers[ours.name], o)
}

// cost is the CPU time of init and supervisor over a while.
type cost struct{ init, supervisor, over time.Duration }

// add sums up; the kernel's clock for CPU time ticks in 10 ms.
func (c *cost) add(more cost) {
	c.init += more.init
	c.supervisor += more.supervisor
	c.over += more.over
}

// meter starts to measure; what it returns ends it.
func meter(tb testbed.TB, c *testbed.Container) func() cost {
	began := time.Now()
	init, sup := firstTwo(tb, c)
	return func() cost {
		init2, sup2 := firstTwo(tb, c)
		if sup2.PID != sup.PID {
			tb.Fatalf("the supervisor was replaced while it was measured")
		}
		return cost{init2.CPU - init.CPU, sup2.CPU - sup.CPU, time.Since(began)}
	}
}

// firstTwo returns PID 1 and, where there is one, the supervisor.
func firstTwo(tb testbed.TB, c *testbed.Container) (init, supervisor testbed.Process) {
	init, ok := c.Find(func(p testbed.Process) bool { return p.PID == 1 })
	if !ok {
		tb.Fatalf("%s has no PID 1", c.Name)
	}
	supervisor, _ = c.Supervisor()
	return init, supervisor
}

var tpsLine = regexp.MustCompile(`tps = ([0-9.]+) `)

// pgbench runs inside the container, over the socket, with the same arguments
// on both sides.
func pgbench(tb testbed.TB, c *testbed.Container, d time.Duration) float64 {
	out := c.MustExec("pgbench", "-U", "postgres", "-n", "-c", "4", "-j", "2", "-T", strconv.Itoa(int(d.Seconds())), "postgres")
	m := tpsLine.FindStringSubmatch(out)
	if m == nil {
		tb.Fatalf("pgbench told no tps:\n%s", out)
	}
	tps, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		tb.Fatalf("read tps: %v", err)
	}
	return tps
}
