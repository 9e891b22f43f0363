package clustertest

import (
	"testing"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// arbitrated is a whole cluster of two with an arbiter and a VIP under load.
func arbitrated(t *testing.T) (*testbed.Cluster, *testbed.Etcd, *testbed.Running) {
	t.Helper()
	net := testbed.NewNetwork(t)
	e := testbed.RunEtcd(t, net)
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2, Net: net, Env: map[string]string{"PGBATON_ETCD": e.Endpoint()}})
	registered(t, c)
	return c, e, load
}

// registered waits until the cluster is whole and the arbiter's record says
// what the primary's does, and returns the primary and its heir.
func registered(t *testing.T, c *testbed.Cluster) (p, h *testbed.Node) {
	t.Helper()
	c.WaitWhole(2 * long)
	c.Wait(long, "the arbiter's record is the cluster's", func(views []testbed.View) bool {
		for _, v := range views {
			if !v.Armed() || v.State.Cluster.Arbiter == nil || v.State.Cluster.Arbiter.Record == nil {
				continue
			}
			r, a := v.State.Cluster.Record, v.State.Cluster.Arbiter.Record
			if a.Epoch == r.Epoch && a.Promotion == r.Newest().ID && a.Primary == v.Node.Host && a.Heir == r.Heir.Node && a.Right == r.Heir.Right {
				p = v.Node
				return true
			}
		}
		return false
	})
	return p, c.Others(p)[0]
}

// alone waits until a primary has no heir, by the arbiter's word.
func alone(c *testbed.Cluster, p *testbed.Node) {
	waitFor(c, p, "is alone", func(v testbed.View) bool { return v.Primary() && v.State.Cluster.Record.Heir == nil })
}

// TestWithAnArbiterEitherSideOfASilenceGoesOnByItselfAndNothingIsLost: the heir
// is killed, the two are cut off from each other, the primary is killed.
func TestWithAnArbiterEitherSideOfASilenceGoesOnByItselfAndNothingIsLost(t *testing.T) {
	t.Parallel()
	c, _, load := arbitrated(t)
	p, h := registered(t, c)

	h.Kill9()
	alone(c, p)
	flowing(t, load)
	h.Start()
	p, h = registered(t, c)
	flowing(t, load)

	epoch := record(t, p).Epoch
	mend := c.Net.Cut(p.Container, h.Container)
	alone(c, p)
	flowing(t, load)
	waitFor(c, h, "knows that it was passed over", func(v testbed.View) bool { return v.State.Cluster.Record.Armed == nil })
	flowing(t, load)
	mend()
	p, h = registered(t, c)
	if r := record(t, p); r.Epoch != epoch {
		t.Errorf("a needless promotion: %+v", r.Newest())
	}

	p.Kill9()
	becomes(c, h)
	flowing(t, load)
	p.Start()
	next, _ := registered(t, c)
	expect(t, next, h, "its promotion")
	flowing(t, load)
	t.Log(c.Audit(load))
}

// TestAPrimaryCutOffFromTheArbiterIsInheritedAndWithoutOneSilenceChangesNothing:
// then the arbiter goes away, and what needs none goes on.
func TestAPrimaryCutOffFromTheArbiterIsInheritedAndWithoutOneSilenceChangesNothing(t *testing.T) {
	t.Parallel()
	c, etcd, load := arbitrated(t)
	p, h := registered(t, c)

	mend := c.Net.Isolate(p.Container, h.Container, etcd.Container)
	becomes(c, h)
	flowing(t, load)
	quiet(t, c, load, p)
	mend()
	next, old := registered(t, c)
	expect(t, next, h, "its promotion")
	flowing(t, load)
	p, h = next, old

	etcd.Kill("KILL")
	says(c, p, "the arbiter (PGBATON_ETCD) does not answer")
	h.Kill9()
	says(c, p, "which could decide, does not answer")
	staysSo(t, c, "the primary waits for its heir", func(views []testbed.View) bool {
		for _, v := range views {
			if v.Node == p && v.Err == nil && v.State.Cluster.Record.Heir == nil {
				return false
			}
		}
		return true
	})
	h.Start()
	c.WaitWhole(2 * long)
	flowing(t, load)

	handOver(t, p)
	expect(t, c.WaitWhole(2*long), h, "a switchover")
	p = c.WaitWhole(long)
	n := c.Others(p)[0]
	p.KillPostmaster()
	becomes(c, n)
	flowing(t, load)
	c.WaitWhole(2 * long)

	etcd.Start()
	p, _ = registered(t, c)
	waitFor(c, p, "hears the arbiter", func(v testbed.View) bool {
		a := v.State.Cluster.Arbiter
		return a.Answers && a.Record.Epoch == v.State.Cluster.Record.Epoch
	})
	flowing(t, load)
	t.Log(c.Audit(load))
}

// quiet fails where a node acknowledges commits of its own.
func quiet(t *testing.T, c *testbed.Cluster, load *testbed.Running, n *testbed.Node) {
	t.Helper()
	i := 0
	for c.Nodes[i] != n {
		i++
	}
	before := load.AckedBeside()[i]
	staysSo(t, c, n.Host+" acknowledges nothing", func([]testbed.View) bool { return load.AckedBeside()[i] == before })
}
