package clustertest

import (
	"testing"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// TestAClusterThatLostPowerComesBackInEachOrderOfItsNodes leaves no node
// running. Whoever returns alone may not know who was the primary last, and
// opens only where nobody else can have been.
func TestAClusterThatLostPowerComesBackInEachOrderOfItsNodes(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2, FS: "ext4"})
	for _, order := range []string{"the primary first", "the heir first", "both at once"} {
		p := c.WaitWhole(2 * long)
		h := c.Others(p)[0]
		epoch := record(t, p).Epoch
		c.PowerLoss()
		switch order {
		case "the primary first":
			c.Start(p)
			says(c, p, "the heir "+h.Host+" is silent and may have promoted")
			c.Start(h)
		case "the heir first":
			c.Start(h)
			says(c, h, "no primary is known")
			staysDown(t, c, "a standby that lost power opens nowhere")
			c.Start(p)
		default:
			c.Start()
		}
		if next := c.WaitWhole(2 * long); next != p {
			// By the rules only once p was back and silent again.
			t.Logf("%s: %s is the primary of epoch %d, was %s of %d", order, next.Host, record(t, next).Epoch, p.Host, epoch)
		}
		flowing(t, load)
		t.Logf("%s: %v", order, load.Lap())
	}
	t.Log(c.Audit(load))
}

// TestAnOldPrimaryThatReturnsFirstAfterPowerLossesWaitsForTheNewer is the
// history in which the node that returns first has a permission of its own, and
// an older one.
func TestAnOldPrimaryThatReturnsFirstAfterPowerLossesWaitsForTheNewer(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2, FS: "xfs"})
	a := c.WaitWhole(long)
	b := c.Others(a)[0]
	c.PowerLoss(a)
	becomes(c, b)
	flowing(t, load)
	c.PowerLoss(b)
	c.Start(a)
	says(c, a, "the heir "+b.Host+" is silent and may have promoted")
	staysDown(t, c, "the older history is not opened")
	c.Start(b)
	expect(t, c.WaitWhole(2*long), b, "the newer one's return")
	flowing(t, load)
	t.Log(c.Audit(load))
}
