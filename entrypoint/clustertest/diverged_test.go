package clustertest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// TestAnOldPrimaryWithWALOfItsOwnIsRewoundAndThatWALKept: clients wrote to the
// cut off primary on its own address, and nothing of it was acknowledged.
func TestAnOldPrimaryWithWALOfItsOwnIsRewoundAndThatWALKept(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2})
	p := c.WaitWhole(long)
	heal := c.Isolate(p, false)
	becomes(c, c.Others(p)[0])
	flowing(t, load)
	heal()
	expect(t, c.WaitWhole(2*long), c.Others(p)[0], "the cut")
	commits := 0
	for _, report := range strings.Fields(p.MustExec("sh", "-c", "ls /var/lib/postgresql/.pgbaton/diverged/*/report.json")) {
		var said struct{ Commits int }
		if err := json.Unmarshal([]byte(p.MustExec("cat", report)), &said); err != nil {
			t.Errorf("%s: %v", report, err)
		}
		commits += said.Commits
	}
	if commits == 0 {
		t.Error("no report tells of the commits that waited in vain")
	}
	flowing(t, load)
	t.Logf("%d commits were kept aside; %v", commits, c.Audit(load))
}

// TestAPidFileBesideCleanDataDoesNotKeepAnOldPrimaryFromBeingRewound: so ends a
// container that is killed after the shutdown checkpoint.
func TestAPidFileBesideCleanDataDoesNotKeepAnOldPrimaryFromBeingRewound(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2})
	p := c.WaitWhole(long)
	heal := c.Isolate(p, false)
	becomes(c, c.Others(p)[0])
	flowing(t, load)
	left := leavePidFile(t, p)
	p.Kill9()
	p.Write(left)
	heal()
	p.Start()
	expect(t, c.WaitWhole(2*long), c.Others(p)[0], "the rewind")
	p.MustExec("sh", "-c", "test $(ls -d /var/lib/postgresql/.pgbaton/diverged/*/report.json | wc -l) = 1")
	flowing(t, load)
	t.Log(c.Audit(load))
}

// leavePidFile stops a node's postgres behind its supervisor's back, cleanly,
// and returns the pid file as it was before.
func leavePidFile(t *testing.T, n *testbed.Node) testbed.File {
	t.Helper()
	const data = "/var/lib/postgresql/17/docker"
	left := n.MustExec("cat", data+"/postmaster.pid")
	// It gives up after a minute, and the server goes on stopping.
	n.Do(testbed.Command{Args: []string{"pg_ctl", "-D", data, "-m", "fast", "-w", "stop"}, User: "postgres", Timeout: 2 * long})
	n.Eventually(long, "postgres is down", func() bool { _, runs := n.Postmaster(); return !runs })
	return testbed.File{Path: data + "/postmaster.pid", Data: left + "\n", Mode: 0o600, UID: 999}
}
