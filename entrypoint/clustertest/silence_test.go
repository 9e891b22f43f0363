package clustertest

import (
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// unarmed is a cluster of two under load in which no heir is armed.
func unarmed(t *testing.T, onSilence string) (*testbed.Cluster, *testbed.Running) {
	t.Helper()
	c := testbed.RunCluster(t, testbed.ClusterSpec{Nodes: 2, Major: 17, VIP: true, Env: map[string]string{"PGBATON_ON_SILENCE": onSilence}})
	vipAt(c, c.WaitStandbys(2*long))
	l := c.Load()
	prepare(t, l)
	r := l.Start(t.Context())
	flowing(t, r)
	return c, r
}

func vipAt(c *testbed.Cluster, n *testbed.Node) {
	waitFor(c, n, "has the VIP", func(v testbed.View) bool { return v.State.Cluster.VIP })
}

// TestUnderContinueNobodyPromotesByItselfAndThePrimaryNeverWaits: the standby
// is killed, then the primary, then a switchover is ordered, which loses
// nothing under any setting.
func TestUnderContinueNobodyPromotesByItselfAndThePrimaryNeverWaits(t *testing.T) {
	t.Parallel()
	c, load := unarmed(t, "continue")
	p := c.WaitStandbys(long)
	n := c.Others(p)[0]
	if h := record(t, p).Heir; h != nil {
		t.Errorf("there is an heir: %+v", h)
	}
	n.Kill9()
	flowing(t, load)
	n.Start()
	c.WaitStandbys(long)

	p.Kill9()
	waitFor(c, n, "misses the primary", func(v testbed.View) bool { return !v.State.Cluster.Streaming })
	staysDown(t, c, "nobody promotes")
	if r := record(t, n); r.Primary {
		t.Errorf("%s promoted: %+v", n.Host, r)
	}
	p.Start()
	if next := c.WaitStandbys(long); next != p {
		t.Errorf("%s is the primary, want %s", next.Host, p.Host)
	}
	flowing(t, load)

	handOver(t, p, "--to", n.Host)
	if next := c.WaitStandbys(long); next != n {
		t.Errorf("after the switchover %s is the primary, want %s", next.Host, n.Host)
	}
	flowing(t, load)
	t.Log(c.Audit(load))
}

// TestUnderBothTheStandbyPromotesAndTheStatusSaysWhatThatLoses counts nothing:
// commits may be lost here, and the status has to say so.
func TestUnderBothTheStandbyPromotesAndTheStatusSaysWhatThatLoses(t *testing.T) {
	t.Parallel()
	c, load := unarmed(t, "both")
	p := c.WaitStandbys(long)
	n := c.Others(p)[0]
	p.Eventually(long, "the status says what can be lost", func() bool { // unless nobody answers just then
		said := p.Exec("pgbaton", "status").Stdout
		return strings.Contains(strings.Join(strings.Fields(said), " "), "are lost when it takes over")
	})
	n.Kill9()
	flowing(t, load)
	n.Start()
	c.WaitStandbys(long)
	p.Kill9()
	becomes(c, n)
	flowing(t, load)
	p.Start()
	// Commits that it alone acknowledged are an operator's to give up.
	held := waitFor(c, p, "follows, or holds", func(v testbed.View) bool {
		return v.Standby() || strings.Contains(v.State.Why, "they exist nowhere else")
	})
	if !held.Standby() {
		reclone(t, c, p)
	}
	expect(t, c.WaitStandbys(2*long), n, "its promotion")
	flowing(t, load)
	load.Stop()
}
