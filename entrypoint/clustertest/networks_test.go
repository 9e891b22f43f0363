package clustertest

import (
	"testing"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// TestAClusterOnAMacvlanNetworkHandsOverAndInherits has the network that several
// hosts would share: no bridge of the engine's knows where an address is.
func TestAClusterOnAMacvlanNetworkHandsOverAndInherits(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2, Net: testbed.NewMacvlan(t)})
	movesTwice(t, c, load)
}

func TestAClusterThatSpeaksIPv6HandsOverAndInherits(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2, IPv6: true})
	movesTwice(t, c, load)
}

// movesTwice moves the primary, and the VIP with it, by an order and by a death.
func movesTwice(t *testing.T, c *testbed.Cluster, load *testbed.Running) {
	t.Helper()
	p := c.WaitWhole(long)
	load.Lap()
	handOver(t, p)
	c.WaitWhole(2 * long)
	flowing(t, load)
	t.Log("switchover:", load.Lap())
	p = c.WaitWhole(2 * long) // a busy machine may have promoted since
	h := c.Others(p)[0]
	p.Kill9()
	becomes(c, h)
	flowing(t, load)
	t.Log("killed:", load.Lap())
	p.Start()
	expect(t, c.WaitWhole(2*long), h, "its promotion")
	t.Log(c.Audit(load))
}
