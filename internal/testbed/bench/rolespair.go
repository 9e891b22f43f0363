package main

import (
	"regexp"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// pair is a cluster of two with a VIP, and what was measured on it.
type pair struct {
	*testbed.Cluster
	tb   testbed.TB
	load *testbed.Running // while there is one

	stalls, proofs          [][]part
	acked, lost, duplicated int
}

// orderLine is the supervisor's when it takes an order.
var orderLine = regexp.MustCompile(`msg=order do=switchover`)

func newPair(tb testbed.TB, o rolesOptions) *pair {
	progress("start a cluster of two")
	p := &pair{tb: tb, Cluster: testbed.RunCluster(tb, testbed.ClusterSpec{Nodes: 2, Major: o.major, VIP: true})}
	p.WaitWhole(long)
	return p
}

// begin starts the load: on the VIP only, so that all its numbers are those of
// clients that know nothing of nodes.
func (p *pair) begin() {
	l := p.Load()
	l.Beside = nil
	if err := l.Prepare(p.tb.Context()); err != nil {
		p.tb.Fatalf("start the load: %v", err)
	}
	p.load = l.Start(p.tb.Context())
	flow(p.tb, p.load)
}

// finish stops the load and adds its audit to the sums.
func (p *pair) finish() {
	p.load.Stop()
	rep, err := p.load.Audit(p.tb.Context(), p.WaitWhole(long).DB())
	if err != nil {
		p.tb.Fatalf("audit: %v", err)
	}
	p.acked, p.lost, p.duplicated = p.acked+rep.Acked, p.lost+rep.Lost, p.duplicated+rep.Duplicated
	for _, s := range rep.Samples {
		progress("  %s", s)
	}
}

// round is one change of roles under load.
type round struct {
	old, next    *testbed.Node
	began, ended time.Time
	seen         testbed.Stats
}

// round lets something happen to the primary of a whole cluster and waits
// until the other node is the primary and every client writes again.
func (p *pair) round(happen func(old *testbed.Node)) (r round) {
	r.old = p.WaitWhole(long)
	r.next = p.Others(r.old)[0]
	flow(p.tb, p.load)
	r.began = time.Now()
	happen(r.old)
	p.Wait(long, r.next.Host+" is the primary", func(views []testbed.View) bool {
		for _, v := range views {
			if v.Node == r.next {
				return v.Primary()
			}
		}
		return false
	})
	flow(p.tb, p.load)
	r.ended = time.Now()
	r.seen = p.load.Between(r.began, r.ended)
	progress("  %s to %s: %v", r.old.Host, r.next.Host, r.seen)
	return r
}

// bisect finds the moment from which on something holds, to a tenth of a ms.
func bisect(from, to time.Time, holds func(time.Time) bool) time.Time {
	for to.Sub(from) > 100*time.Microsecond {
		if mid := from.Add(to.Sub(from) / 2); holds(mid) {
			to = mid
		} else {
			from = mid
		}
	}
	return to
}
