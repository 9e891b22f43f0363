package testbed

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/whole"
)

// Wait asks all nodes every 50 ms until ok, and ends the test after timeout
// with what each of them said last.
func (c *Cluster) Wait(timeout time.Duration, what string, ok func([]View) bool) []View {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(c.tb.Context(), timeout)
	defer cancel()
	views, err := c.Until(ctx, what, ok)
	if err != nil {
		c.tb.Fatalf("after %v %v", timeout, err)
	}
	return views
}

// Until is Wait with an error instead of the end of the test.
func (c *Cluster) Until(ctx context.Context, what string, ok func([]View) bool) ([]View, error) {
	var last []View
	for {
		views := c.Views(ctx)
		if ok(views) {
			return views, nil
		}
		if ctx.Err() == nil || last == nil {
			last = views // those of a question that the end cut off say nothing
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("not yet so: %s\n%s", what, describe(last))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func describe(views []View) string {
	var lines []string
	for _, v := range views {
		lines = append(lines, "  "+v.String())
	}
	return strings.Join(lines, "\n")
}

// WaitPrimary waits until exactly one node is an open primary and returns it.
func (c *Cluster) WaitPrimary(timeout time.Duration) *Node {
	c.tb.Helper()
	return primaryOf(c.Wait(timeout, "exactly one node is an open primary", func(views []View) bool {
		return primaryOf(views) != nil
	}))
}

// WaitStandbys waits until one node is an open primary, and all others stream.
func (c *Cluster) WaitStandbys(timeout time.Duration) *Node {
	c.tb.Helper()
	return primaryOf(c.Wait(timeout, "one open primary, and all others stream", standbys))
}

// WaitWhole waits until one node is an open primary with an armed heir, all
// others stream, and the primary has the VIP if there is one.
func (c *Cluster) WaitWhole(timeout time.Duration) *Node {
	c.tb.Helper()
	return primaryOf(c.Wait(timeout, "one open primary with an armed heir and the VIP, and all others stream", c.Whole))
}

// Whole reports whether the cluster is what WaitWhole waits for.
func (c *Cluster) Whole(views []View) bool {
	p := primaryOf(views)
	for _, v := range views {
		if !c.judgesWell(v) {
			return false
		}
		if v.Node == p && (!v.Armed() || !armedHeir(views, v.State.Cluster.Record) || c.VIP != "" && !v.State.Cluster.VIP) {
			return false
		}
	}
	return standbys(views)
}

// judgesWell reports whether a node's own verdict on its cluster is the test's:
// that it is whole. An arbiter that is away is not the cluster's fault.
func (c *Cluster) judgesWell(v View) bool {
	if v.Err != nil || c.spec.Apart {
		return v.Err == nil
	}
	return v.State.Verdict.Health == node.Well || v.State.Verdict.Code == whole.CodeArbiter
}

// Primary is the one open primary now; nil when there is none or more.
func (c *Cluster) Primary() *Node { return primaryOf(c.Views(c.tb.Context())) }

func primaryOf(views []View) *Node {
	var found *Node
	for _, v := range views {
		if v.Primary() && found != nil {
			return nil
		}
		if v.Primary() {
			found = v.Node
		}
	}
	return found
}

// armedHeir reports whether the primary's heir has itself written down that it
// is armed by that primary's promotion.
func armedHeir(views []View, primary *node.Record) bool {
	for _, v := range views {
		if v.Node.Host == primary.Heir.Node && v.Standby() {
			r := v.State.Cluster.Record
			return r != nil && r.Armed != nil && r.Armed.Promotion == primary.Newest().ID
		}
	}
	return false
}

func standbys(views []View) bool {
	for _, v := range views {
		if !v.Primary() && !v.Standby() {
			return false
		}
	}
	return primaryOf(views) != nil
}
