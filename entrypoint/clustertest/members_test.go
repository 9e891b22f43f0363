package clustertest

import (
	"slices"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// TestANodeBehindOneNameIsNeverAbsentAndLeavesByAnOrder has all nodes behind one name,
// as Docker Swarm gives it: it leads to those that run.
func TestANodeBehindOneNameIsNeverAbsentAndLeavesByAnOrder(t *testing.T) {
	t.Parallel()
	c := testbed.NewCluster(t, testbed.ClusterSpec{
		Nodes: 3, Major: 17, FS: "ext4",
		Env:     map[string]string{"PGBATON_PEERS": "tasks.db", "PGBATON_NODES": "n1,n2,n3"},
		NodeEnv: map[string]map[string]string{"n3": {"PGBATON_NODES": "", "PGBATON_BOOTSTRAP": "n3"}},
		Edit:    func(s *testbed.Spec) { s.Aliases = append(s.Aliases, "tasks.db") },
	})
	n1, n2, n3 := c.Node("n1"), c.Node("n2"), c.Node("n3")
	c.Start(n1, n3)
	says(c, n1, "not every peer has answered: n2")
	says(c, n3, "tasks.db:8008 stands for several nodes")
	staysDown(t, c, "nobody makes a cluster of which a node is missing")
	c.Start(n2)
	c.WaitWhole(2 * long)

	if p := c.WaitWhole(long); p != n2 {
		handOver(t, p, "--to", "n2")
	}
	p := c.WaitWhole(2 * long)
	h := c.Others(p)[0]
	if !slices.Equal(members(t, h), []string{"n1", "n2", "n3"}) {
		t.Errorf("the members are %v", members(t, h))
	}
	gone := c.Others(p)[1]
	if v := record(t, p); v.Heir != nil && v.Heir.Node == gone.Host {
		h, gone = gone, h
	}
	refused(t, p, gone.Host+" answers", "forget", "--yes", gone.Host)
	gone.Stop(long)
	h.KillSupervisor()
	remembers(c, h, gone, record(t, p).Epoch)
	refused(t, h, p.Host+" answers", "forget", "--yes", "--force", p.Host)
	p.Eventually(long, gone.Host+" is forgotten", func() bool {
		return p.Exec("pgbaton", "forget", "--yes", gone.Host).Code == 0
	})
	for _, n := range []*testbed.Node{p, h} {
		n.Eventually(long, "no slot of "+gone.Host+" on "+n.Host, func() bool {
			return !slices.Contains(members(t, n), gone.Host) && !hasSlot(n, gone)
		})
	}
	gone.Start()
	c.WaitWhole(2 * long)
	for _, n := range []*testbed.Node{p, h} {
		n.Eventually(long, gone.Host+" is a member again on "+n.Host, func() bool {
			return slices.Contains(members(t, n), gone.Host) && hasSlot(n, gone)
		})
	}

	// The data is on a node that no name leads to, and nobody who runs has heard of it.
	if p != n2 {
		t.Logf("%s is the primary, a machine too busy to answer", p.Host)
		handOver(t, c.WaitWhole(2*long), "--to", "n2")
		c.WaitWhole(2 * long)
	}
	for _, n := range c.Nodes {
		n.Kill9()
	}
	lose(t, n1)
	lose(t, n3)
	n1.Start()
	n3.Start()
	says(c, n1, "not every peer has answered: n2")
	staysDown(t, c, "nobody makes a second cluster")
	system := record(t, startAgain(n2)).SystemIdentifier
	c.WaitWhole(2 * long)
	for _, n := range c.Nodes {
		if now := record(t, n).SystemIdentifier; now != system {
			t.Errorf("%s is of system %d, and %d had the data", n.Host, now, system)
		}
	}
}

func startAgain(n *testbed.Node) *testbed.Node {
	n.Start()
	return n
}

// members are those of the cluster by the node's word.
func members(t *testing.T, n *testbed.Node) []string {
	t.Helper()
	st, err := n.State(t.Context())
	if err != nil || st.Cluster == nil {
		return nil
	}
	return node.Members{Members: st.Cluster.Members}.Names()
}

func hasSlot(n, of *testbed.Node) bool {
	r := n.Exec("psql", "-U", "postgres", "-Atc", "select slot_name from pg_replication_slots")
	return strings.Contains(r.Stdout, pg.SlotName(of.Host))
}

// remembers waits until the node shows what the other one was, though no
// supervisor of it that lives has heard that.
func remembers(c *testbed.Cluster, n, of *testbed.Node, epoch uint64) {
	waitFor(c, n, "remembers "+of.Host, func(v testbed.View) bool {
		at := slices.IndexFunc(v.State.Cluster.Peers, func(p node.Peer) bool { return p.Node == of.Host })
		if at < 0 {
			return false
		}
		p := v.State.Cluster.Peers[at]
		return p.Error != "" && p.Last != nil && p.Last.Epoch == epoch && !p.Last.Primary && p.Age > 0
	})
}
