package testbed

import (
	"context"
	"strings"
	"time"
)

// DSN is how to reach the server of the VIP or, without one, whichever node
// lets clients write. Its signature is that of a Target.
func (c *Cluster) DSN(context.Context) (string, error) {
	const as = " user=postgres dbname=postgres sslmode=disable password=" + Password
	if c.VIP != "" {
		return "host=" + c.VIP + " port=" + c.port() + as, nil
	}
	return "host=" + strings.Join(c.addresses(), ",") + " port=" + c.port() + " target_session_attrs=read-write" + as, nil
}

// Load is a load of a cluster's clients: writers on Cluster.DSN that notice a
// half-open connection after a second, and one writer on each node's own
// address. The first Prepare needs a primary.
func (c *Cluster) Load() Load {
	l := Load{Target: c.DSN, Timeout: time.Second, Think: 2 * time.Millisecond}
	for _, n := range c.Nodes {
		// Of today's container, of which only the address is asked: it stays
		// when PowerLoss makes another one.
		l.Beside = append(l.Beside, n.DSN)
	}
	return l
}

// Audit ends a load and compares what any node acknowledged with what the
// primary has; there must be one. It ends the test when something is wrong.
func (c *Cluster) Audit(r *Running) Report {
	c.tb.Helper()
	rep, p := c.Count(r)
	if err := rep.Err(); err != nil {
		c.tb.Fatalf("on %s: %v", p.Host, err)
	}
	return rep
}

// Count is Audit without the verdict; it tells which node was the primary. On a
// busy machine that may become another one before all rows are read: then they are
// read there.
func (c *Cluster) Count(r *Running) (Report, *Node) {
	c.tb.Helper()
	r.Stop()
	for end := time.Now().Add(flowPatience); ; time.Sleep(100 * time.Millisecond) {
		p := c.WaitPrimary(flowPatience)
		rep, err := r.Audit(c.tb.Context(), p.DB())
		if err == nil {
			return rep, p
		}
		if time.Now().After(end) {
			c.tb.Fatalf("on %s: %v", p.Host, err)
		}
	}
}
