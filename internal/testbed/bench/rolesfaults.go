package main

import (
	"syscall"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// measureSwitchovers hands over, to and fro.
func (p *pair) measureSwitchovers(t *table, n int) {
	if n == 0 {
		return
	}
	p.begin()
	var worst, gaps, before []time.Duration
	for i := range n {
		progress("switchover %d of %d", i+1, n)
		r := p.round(func(old *testbed.Node) { old.MustExec("pgbaton", "switchover", "--no-wait", "--yes") })
		worst, gaps = append(worst, r.seen.WorstWriter), append(gaps, r.seen.Gap)
		asked := said(r.old.LogsSince(r.began), orderLine, r.began)
		stop := said(r.old.LogsSince(r.began), told, r.began)
		if asked.IsZero() || stop.IsZero() {
			p.tb.Fatalf("%s does not tell when it was asked and when it stopped:\n%s", r.old.Host, r.old.LogsSince(r.began))
		}
		before = append(before, stop.Sub(asked))
		parts, promoted := cut(stalled, r.old, r.next, stop)
		p.stalls = append(p.stalls, p.andClients(parts, stop, promoted, r))
	}
	p.finish()
	t.add("switchover, worst writer, p50", spread(worst), "", "", "≤ 100 ms")
	t.add("switchover, worst writer, p95", milliseconds(quantile(worst, 0.95)), "", "", "≤ 250 ms")
	t.times("  all writers, beside the worst", gaps, worst, "")
	t.add("  before it, asked until the server is told to stop", spread(before), "", "", "")
}

// measurePostmasters kills the primary's postmaster: failover by proof.
func (p *pair) measurePostmasters(t *table, n int) {
	if n == 0 {
		return
	}
	p.begin()
	var worst, gaps []time.Duration
	for i := range n {
		progress("postmaster killed, %d of %d", i+1, n)
		var killed time.Time
		r := p.round(func(old *testbed.Node) {
			pm, _ := old.Postmaster()
			killed = time.Now()
			old.Signal(pm, syscall.SIGKILL)
		})
		worst, gaps = append(worst, r.seen.WorstWriter), append(gaps, r.seen.Gap)
		parts, promoted := cut(died, r.old, r.next, killed)
		p.proofs = append(p.proofs, p.andClients(parts, killed, promoted, r))
	}
	p.finish()
	t.add("postmaster killed, worst writer, p50", spread(worst), "", "", "≤ 200 ms")
	t.times("  all writers, beside the worst", gaps, worst, "")
}

// measureNodes kills all of the primary's container at once. What keepalived
// takes to find out is its setting, so it is told apart.
func (p *pair) measureNodes(t *table, n int) {
	if n == 0 {
		return
	}
	p.begin()
	var worst, detection, beyond []time.Duration
	for i := range n {
		progress("node killed, %d of %d", i+1, n)
		var killed time.Time
		r := p.round(func(old *testbed.Node) {
			init, _ := old.Find(func(p testbed.Process) bool { return p.PID == 1 })
			killed = time.Now()
			old.Signal(init, syscall.SIGKILL)
		})
		at := said(r.next.LogsSince(killed), master, killed)
		if at.IsZero() {
			p.tb.Fatalf("%s was never MASTER:\n%s", r.next.Host, r.next.LogsSince(killed))
		}
		worst, detection = append(worst, r.seen.WorstWriter), append(detection, at.Sub(killed))
		beyond = append(beyond, r.seen.WorstWriter-at.Sub(killed))
		r.old.Wait(time.Minute)
		r.old.Start()
	}
	p.finish()
	t.times("node killed, worst writer, beside keepalived's MASTER", worst, detection, "")
	t.add("  worst writer beyond keepalived's MASTER, p50", spread(beyond), "", "", "≤ 150 ms")
}

// andClients adds what the clients took to notice: until one of them writes
// again, and until all do.
func (p *pair) andClients(parts []part, began, promoted time.Time, r round) []part {
	first := bisect(promoted, r.ended, func(at time.Time) bool { return p.load.Between(promoted, at).Acked > 0 })
	all := r.seen.WorstWriter - first.Sub(began)
	return append(parts, part{"until one writer has a commit", first.Sub(promoted)}, part{"until all have, and what they waited before", max(0, all)})
}
