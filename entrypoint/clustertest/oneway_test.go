package clustertest

import (
	"slices"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// eitherWay runs a test on a cluster of two with a VIP under load, without an
// arbiter and with one; e is nil without.
func eitherWay(t *testing.T, test func(t *testing.T, c *testbed.Cluster, e *testbed.Etcd, load *testbed.Running)) {
	t.Helper()
	t.Run("without an arbiter", func(t *testing.T) {
		t.Parallel()
		c, load := loaded(t, testbed.ClusterSpec{Nodes: 2})
		test(t, c, nil, load)
	})
	t.Run("with an arbiter", func(t *testing.T) {
		t.Parallel()
		c, e, load := arbitrated(t)
		test(t, c, e, load)
	})
}

// deafen lets nothing reach a node, whose own frames go on getting through.
func deafen(c *testbed.Cluster, e *testbed.Etcd, n *testbed.Node) (heal func()) {
	from := []*testbed.Container{testbed.Host}
	for _, o := range c.Others(n) {
		from = append(from, o.Container)
	}
	if e != nil {
		from = append(from, e.Container)
	}
	var undo []func()
	for _, f := range from {
		undo = append(undo, c.Net.CutOneWay(f, n.Container))
	}
	return func() {
		for _, u := range undo {
			u()
		}
	}
}

// TestAPrimaryThatNothingReachesGivesTheVIPUp: its advertisements still go out,
// so its heir would never be MASTER.
func TestAPrimaryThatNothingReachesGivesTheVIPUp(t *testing.T) {
	t.Parallel()
	eitherWay(t, func(t *testing.T, c *testbed.Cluster, e *testbed.Etcd, load *testbed.Running) {
		p := c.WaitWhole(2 * long)
		h := c.Others(p)[0]
		load.Lap()
		heal := deafen(c, e, p)
		becomes(c, h)
		flowing(t, load)
		t.Log("cut towards the primary:", load.Lap())
		heal()
		expect(t, c.WaitWhole(2*long), h, "the cut")
		flowing(t, load)
		t.Log("healed:", load.Lap())
		t.Log(c.Audit(load))
	})
}

// TestAStandbyThatNothingReachesTakesNoVIP: it hears no advertisement of the
// primary's, which serves all the while.
func TestAStandbyThatNothingReachesTakesNoVIP(t *testing.T) {
	t.Parallel()
	eitherWay(t, func(t *testing.T, c *testbed.Cluster, e *testbed.Etcd, load *testbed.Running) {
		calm := keepsCalm(t, c)
		h := c.Others(calm.p)[0]
		probe := c.Net.Probe(c.VIP, 50*time.Millisecond, false)
		load.Lap()
		began := time.Now()
		heal := deafen(c, e, h)
		h.WaitLogSince(began, "nothing reaches this node", long)
		if e != nil {
			alone(c, calm.p)
			flowing(t, load)
		}
		h.Eventually(long, "the primary alone claims the VIP", func() bool {
			return slices.Equal(c.Net.Claimants(c.VIP, 200*time.Millisecond), []string{calm.p.Host})
		})
		staysSo(t, c, "the primary has the VIP", func(views []testbed.View) bool {
			for _, v := range views {
				if v.Node == calm.p && v.Err == nil {
					return v.State.Cluster.VIP && v.Primary()
				}
			}
			return true // no answer in time says nothing
		})
		t.Log("cut towards the standby:", load.Lap())
		heal()
		calm.check(t, "the standby heard nothing")
		flowing(t, load)
		t.Log("healed:", load.Lap())
		t.Log("the VIP:", probe) // a machine that is busy enough lets the standby have it for a moment
		t.Log(c.Audit(load))
	})
}

// TestALossOfEverySecondPacketMovesNothingAndLosesNothing: commits go on, slowly,
// and neither side takes that for a cut.
func TestALossOfEverySecondPacketMovesNothingAndLosesNothing(t *testing.T) {
	t.Parallel()
	// Clients that give up leave their sessions waiting.
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2, Args: []string{"postgres", "-c", "max_connections=500"}})
	calm := keepsCalm(t, c)
	h := c.Others(calm.p)[0]
	load.Lap()
	there, back := c.Net.Lose(calm.p.Container, h.Container, 0.5), c.Net.Lose(h.Container, calm.p.Container, 0.5)
	for range 2 {
		staysSo(t, c, "the heir has no VIP", func(views []testbed.View) bool {
			return !slices.ContainsFunc(views, func(v testbed.View) bool { return v.Node == h && v.Err == nil && v.State.Cluster.VIP })
		})
		flowing(t, load)
	}
	t.Log("every second packet lost:", load.Lap())
	there()
	back()
	calm.check(t, "every second packet was lost")
	flowing(t, load)
	t.Log(c.Audit(load))
}
