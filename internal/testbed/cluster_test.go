package testbed

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// TestAuditCountsWhatAnyNodeAcknowledged lets two servers that know nothing of
// each other acknowledge rows: the audit of one must miss those of the other.
func TestAuditCountsWhatAnyNodeAcknowledged(t *testing.T) {
	t.Parallel()
	c := RunCluster(t, ClusterSpec{Nodes: 2, Apart: true, Seeded: true})
	n1, n2 := c.Nodes[0], c.Nodes[1]
	for _, n := range c.Nodes {
		n.WaitReady(long)
	}
	l := c.Load()
	l.Target, l.Timeout = n1.DSN, 5*time.Second // more than a busy machine takes for a commit
	run := startLoad(t, l)                      // n2 has no table and refuses every row
	Eventually(t, long, "the writer on n1's own address is served", func() bool { return run.AckedBeside()[0] > 10 })
	if refused := run.AckedBeside()[1]; refused != 0 {
		t.Errorf("n2 acknowledged %d rows without a table", refused)
	}
	if _, err := n2.DB().Exec("create table pgbaton_load (writer int not null, n bigint not null)"); err != nil {
		t.Fatal(err)
	}
	Eventually(t, long, "the writer on n2's own address is served", func() bool { return run.AckedBeside()[1] > 10 })
	n2.Pause() // its writer is not answered, and goes on afterwards
	flow(t, run, 50)
	Eventually(t, long, "the writer on n2's own address is in doubt", func() bool {
		return summarize(run.beside[1:], 0, time.Since(run.began)).InDoubt > 0
	})
	n2.Unpause()
	before := run.AckedBeside()[1]
	Eventually(t, long, "it is served again", func() bool { return run.AckedBeside()[1] > before+10 })
	stats := run.Stop()
	theirs := run.AckedBeside()[1]
	rep, err := run.Audit(t.Context(), n1.DB())
	if err != nil || rep.Lost != theirs || rep.Unknown != 0 || rep.Duplicated != 0 || rep.Beside <= theirs {
		t.Errorf("audit of n1, without the %d rows of n2: %v, %v", theirs, rep, err)
	}
	if stats.Failed != 0 || stats.Acked == 0 {
		t.Errorf("the writers beside count in the numbers: %v", stats)
	}
	rows := n2.MustExec("psql", "-XAtU", "postgres", "-c", "copy pgbaton_load to stdout")
	n1.Do(Command{Args: []string{"psql", "-XU", "postgres", "-c", "copy pgbaton_load from stdin"}, Stdin: rows + "\n"})
	rep, err = run.Audit(t.Context(), n1.DB())
	if err != nil || rep.Err() != nil {
		t.Errorf("audit with the rows of both: %v, %v", err, rep.Err())
	}
	t.Log(rep)
}

func TestNodesLoseAndGetBackEverything(t *testing.T) {
	t.Parallel()
	c := NewCluster(t, ClusterSpec{Nodes: 2, Apart: true, FS: "ext4", Size: 1 << 30, NodeEnv: map[string]map[string]string{"n2": {"PGBATON_LOG_LEVEL": "debug"}}})
	if c.Node("n2").Spec.Env["PGBATON_LOG_LEVEL"] == "" || c.Node("n1").Spec.Env["PGBATON_LOG_LEVEL"] != "" {
		t.Error("NodeEnv went to another node")
	}
	n1 := c.Nodes[0]
	c.Start(n1)
	if p := c.WaitPrimary(long); p != n1 {
		t.Errorf("the primary is %v", p.Host)
	}
	n1.Eventually(long, "it is the primary at one look", func() bool { return c.Primary() == n1 }) // a busy node may not answer
	c.Wait(long, "n1 says so, and n2 does not answer", func(views []View) bool {
		return views[1].Err != nil && strings.Contains(views[0].String(), "n1: running primary")
	})
	if _, err := n1.DB().Exec("create table t as select 42 as n"); err != nil {
		t.Fatal(err)
	}
	c.PowerLoss()
	c.Start(n1)
	c.WaitPrimary(long)
	n1.Kill9()
	if c.Primary() != nil {
		t.Error("a killed node is primary")
	}
	n1.Start()
	c.WaitPrimary(long)
	var n int
	if err := n1.DB().QueryRow("select n from t").Scan(&n); err != nil || n != 42 {
		t.Errorf("after a power loss and a kill: %d, %v", n, err)
	}

	room := n1.Disk.Fill(1 << 20)
	const much = "create table big as select repeat('x', 100) from generate_series(1, 100000)"
	if _, err := n1.DB().Exec(much); err == nil || !strings.Contains(err.Error(), "No space left") {
		t.Errorf("10 MB in 1 MB of room: %v", err)
	}
	room()
	Eventually(t, long, "there is room again", func() bool { _, err := n1.DB().Exec(much); return err == nil })
}

func TestPrimaryOf(t *testing.T) {
	n1, n2 := &Node{Host: "n1"}, &Node{Host: "n2"}
	serves := func(n *Node, role node.Role, c *node.Cluster) View {
		return View{Node: n, State: node.State{Role: role, Ready: true, Cluster: c}}
	}
	streams, waits := &node.Cluster{Streaming: true}, &node.Cluster{}
	open := &node.Cluster{Open: true, Record: &node.Record{Heir: &node.Heir{Node: "n2", Armed: true}}}
	tests := []struct {
		name    string
		views   []View
		primary *Node
		whole   bool
	}{
		{"one without a cluster", []View{serves(n1, node.Primary, nil)}, n1, true},
		{"two are none", []View{serves(n1, node.Primary, nil), serves(n2, node.Primary, nil)}, nil, false},
		{"one is not open", []View{serves(n1, node.Primary, waits), serves(n2, node.Standby, streams)}, nil, false},
		{"one does not answer", []View{{Node: n1, Err: context.DeadlineExceeded}, serves(n2, node.Primary, open)}, n2, false},
		{"one does not stream", []View{serves(n1, node.Primary, open), serves(n2, node.Standby, waits)}, n1, false},
		{"all is well", []View{serves(n1, node.Primary, open), serves(n2, node.Standby, streams)}, n1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := primaryOf(tt.views); got != tt.primary || standbys(tt.views) != tt.whole {
				t.Errorf("primary %v, standbys %v:\n%s", got, standbys(tt.views), describe(tt.views))
			}
		})
	}
	if !tests[5].views[0].Armed() || tests[5].views[1].Armed() || tests[0].views[0].Armed() {
		t.Error("the armed heir of a primary")
	}
}
