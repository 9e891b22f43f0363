package testbed

import (
	"errors"
	"net/http"
	"net/url"
	"syscall"
)

// Kill9 kills everything in the node at once, as `docker kill`; Start is its
// inverse.
func (n *Node) Kill9() {
	n.tb.Helper()
	n.Kill("KILL")
	n.Wait(patience)
}

// KillPostmaster sends SIGKILL to the node's postmaster.
func (n *Node) KillPostmaster() {
	n.tb.Helper()
	p, ok := n.Postmaster()
	if !ok {
		n.tb.Fatalf("testbed: %s has no postmaster", n.Host)
	}
	n.Signal(p, syscall.SIGKILL)
}

// KillSupervisor sends SIGKILL to the node's supervisor.
func (n *Node) KillSupervisor() {
	n.tb.Helper()
	p, ok := n.Supervisor()
	if !ok {
		n.tb.Fatalf("testbed: %s has no supervisor", n.Host)
	}
	n.Signal(p, syscall.SIGKILL)
}

// PowerLoss cuts the power of nodes, all by default, as nearly at once as can
// be: their processes are gone, and whatever their volumes had not synced.
// Start is its inverse.
func (c *Cluster) PowerLoss(nodes ...*Node) {
	c.tb.Helper()
	if len(nodes) == 0 {
		nodes = c.Nodes
	}
	for _, n := range nodes {
		if n.Disk == nil {
			c.tb.Fatalf("testbed: %s cannot lose power: set ClusterSpec.FS", n.Host)
		}
		n.Disk.cutPower()
	}
	for _, n := range nodes {
		n.killIfRunning()
	}
	for _, n := range nodes {
		n.Disk.afterPowerLoss(n.Container)
		spec := n.Spec
		spec.Name = "" // the engine may still be forgetting the old one
		n.Container = Create(c.tb, spec)
	}
}

// killIfRunning is Kill for a container that may end at this moment by itself.
func (c *Container) killIfRunning() {
	c.tb.Helper()
	ctx, cancel := c.context(0)
	defer cancel()
	err := c.docker.call(ctx, http.MethodPost, c.path("kill"), url.Values{"signal": {"KILL"}}, nil, nil)
	var said *apiError
	if errors.As(err, &said) && said.Status == http.StatusConflict { // it is not running
		return
	}
	c.must(err, "kill container")
}

// Isolate cuts a node off from all others, and from the clients as well if
// they are to notice. The node keeps its addresses, a VIP too.
func (c *Cluster) Isolate(n *Node, clientsToo bool) (undo func()) {
	c.tb.Helper()
	var from []*Container
	for _, o := range c.Others(n) {
		from = append(from, o.Container)
	}
	if clientsToo {
		from = append(from, Host)
	}
	return c.Net.Isolate(n.Container, from...)
}
