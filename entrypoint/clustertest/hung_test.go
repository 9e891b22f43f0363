package clustertest

import (
	"slices"
	"syscall"
	"testing"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// TestAHungPostgresIsKilledAndHandedOver stops the postmaster, with all of its
// children or without, in which case sessions go on and nobody can connect.
func TestAHungPostgresIsKilledAndHandedOver(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2, Env: map[string]string{"PGBATON_HUNG_AFTER": "5s"}})
	for _, all := range []bool{true, false} {
		p := c.WaitWhole(2 * long)
		load.Lap()
		for _, hung := range postgres(t, p, all) {
			p.Signal(hung, syscall.SIGSTOP)
		}
		becomes(c, c.Others(p)[0])
		flowing(t, load)
		t.Logf("hung on %s, its children too: %v: %v", p.Host, all, load.Lap())
	}
	c.WaitWhole(2 * long)
	t.Log(c.Audit(load))
}

// postgres is a node's postmaster, and where all are asked for its children.
func postgres(t *testing.T, n *testbed.Node, all bool) []testbed.Process {
	t.Helper()
	post, found := n.Postmaster()
	if !found {
		t.Fatalf("%s has no postmaster", n.Host)
	}
	if !all {
		return []testbed.Process{post}
	}
	return slices.DeleteFunc(n.Processes(), func(p testbed.Process) bool {
		return p.Zombie() || p.PID != post.PID && p.PPID != post.PID
	})
}
