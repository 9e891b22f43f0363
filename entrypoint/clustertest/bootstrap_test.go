package clustertest

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

func TestOnlyTheNodeThatMayMakesAClusterAndNeverASecondOne(t *testing.T) {
	t.Parallel()
	c := testbed.NewCluster(t, testbed.ClusterSpec{Nodes: 2, Major: 17, FS: "ext4", VIP: true})
	n1, n2 := c.Node("n1"), c.Node("n2")
	c.Start(n2)
	says(c, n2, "a new cluster is made by n1 alone")
	staysDown(t, c, "n2 makes no cluster")
	c.Start(n1)
	c.WaitWhole(2 * long)
	system := record(t, n1).SystemIdentifier
	load := c.Load()
	prepare(t, load)
	run := load.Start(t.Context())
	flowing(t, run)

	makePrimary(t, c, n1)
	n1.Kill9()
	becomes(c, n2)
	flowing(t, run)
	lose(t, n1) // PGBATON_BOOTSTRAP names n1 still
	n1.Start()
	expect(t, c.WaitWhole(2*long), n2, "n1's return")
	flowing(t, run)

	makePrimary(t, c, n2)
	n1.Kill9() // it was the armed heir, and has nothing any more
	lose(t, n1)
	n2.Kill9()
	n1.Start()
	says(c, n1, "not every peer has answered")
	staysDown(t, c, "n1 makes no second cluster")
	n2.Start()
	expect(t, c.WaitWhole(2*long), n2, "n1's second return")
	if now := record(t, n1).SystemIdentifier; now != system {
		t.Errorf("n1 is of system %d, and was of %d", now, system)
	}
	flowing(t, run)
	t.Log(c.Audit(run))
}

// makePrimary makes a node of two the primary, which it is but for a promotion on
// silence of a machine too busy to answer.
func makePrimary(t *testing.T, c *testbed.Cluster, n *testbed.Node) {
	t.Helper()
	for range 5 {
		p := c.WaitWhole(2 * long)
		if p == n {
			return
		}
		handOver(t, p)
	}
	t.Fatalf("%s does not come to be the primary", n.Host)
}

// lose empties the volume of a node that is down.
func lose(t *testing.T, n *testbed.Node) {
	t.Helper()
	entries, err := os.ReadDir(n.Disk.Path())
	for _, e := range entries {
		if err == nil {
			err = os.RemoveAll(filepath.Join(n.Disk.Path(), e.Name()))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestACopyThatIsInterruptedBeginsAgain(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2})
	p := c.WaitWhole(long)
	n := c.Others(p)[0]
	rows(t, p, 30)
	for _, fault := range []struct {
		name string
		do   func()
	}{
		{"supervisor killed", n.KillSupervisor},
		{"container killed", func() { n.Kill9(); n.Start() }},
		{"primary killed", func() { p.Kill9(); p.Start() }},
		{"container stopped", func() { n.Stop(time.Minute); n.Start() }},
	} {
		widen := c.Net.Narrow(n.Container, 40_000_000)
		reclone(t, c, n)
		waitFor(c, n, "has a part of the copy", func(v testbed.View) bool { return part.MatchString(v.State.Cluster.Why) })
		fault.do()
		widen()
		expect(t, c.WaitWhole(2*long), p, fault.name)
		flowing(t, load)
		t.Logf("%s: %v", fault.name, load.Lap())
	}
	t.Log(c.Audit(load))
}

// part is the progress of a copy that has begun and not ended.
var part = regexp.MustCompile(`copying n\d+: [1-9]\d* of \d+ MB`)

// reclone lets a standby begin a new copy. One that was through between two
// looks shows by a server that was started since.
func reclone(t *testing.T, c *testbed.Cluster, n *testbed.Node) {
	t.Helper()
	before := started(waitFor(c, n, "answers", func(testbed.View) bool { return true }))
	n.Eventually(2*long, n.Host+" takes the order to copy the primary anew", func() bool {
		r, err := n.TryDo(t.Context(), testbed.Command{Args: []string{"pgbaton", "reclone", "--no-wait", "--yes"}})
		return err == nil && r.Code == 0 // it is refused while no primary answers, which on a busy machine happens
	})
	waitFor(c, n, "copies, or has copied", func(v testbed.View) bool {
		return v.State.Cluster.Building || v.Standby() && !started(v).Equal(before)
	})
}

// started is when a node's server was; zero while none runs.
func started(v testbed.View) time.Time {
	if v.State.Postmaster == nil {
		return time.Time{}
	}
	return v.State.Postmaster.Started
}
