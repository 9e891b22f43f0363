package clustertest

import (
	"testing"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

func TestAKilledPostmasterIsHandedOverByProofAndComesBackAsAStandby(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2})
	for i := range 4 {
		p := c.WaitWhole(long)
		load.Lap()
		p.KillPostmaster()
		next := c.Others(p)[0]
		c.Wait(long, next.Host+" is the primary", func(views []testbed.View) bool {
			for _, v := range views {
				if v.Node == next {
					return v.Primary()
				}
			}
			return false
		})
		flowing(t, load)
		t.Logf("postmaster of %s killed, round %d: %v", p.Host, i+1, load.Lap())
	}
	c.WaitWhole(long)
	t.Log(c.Audit(load))
}

func TestAKilledNodeIsInheritedWithTheVIPAndComesBackAsAStandby(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 3})
	for i := range 3 {
		p := c.WaitWhole(long)
		load.Lap()
		p.Kill9()
		if next := c.WaitPrimary(long); next == p {
			t.Fatalf("%s is the primary", next.Host)
		}
		flowing(t, load)
		t.Logf("%s killed, round %d: %v", p.Host, i+1, load.Lap())
		p.Start()
	}
	c.WaitWhole(long)
	t.Log(c.Audit(load))
}

func TestAPrimaryThatIsCutOffAcknowledgesNothingAndComesBack(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 3})
	p := c.WaitWhole(long)
	load.Lap()
	heal := c.Isolate(p, false) // clients still reach it on its own address
	c.Wait(long, "another node is the primary", func(views []testbed.View) bool {
		for _, v := range views {
			if v.Node != p && v.Primary() {
				return true
			}
		}
		return false
	})
	flowing(t, load)
	t.Log("cut off:", load.Lap())
	heal()
	c.WaitWhole(long)
	t.Log(c.Audit(load))
}
