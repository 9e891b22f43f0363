// Package clustertest holds whole clusters in containers: PostgreSQL and
// keepalived as they are, faults as they come, and a load that checks each
// acknowledged commit. Tests only.
package clustertest

import (
	"os"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

func TestMain(m *testing.M) { os.Exit(testbed.Main(m)) }

// long is generous: these machines are shared, and a base backup takes its time.
const long = 2 * time.Minute

// loaded is a whole cluster of n nodes with a VIP under load.
func loaded(t *testing.T, spec testbed.ClusterSpec) (*testbed.Cluster, *testbed.Running) {
	t.Helper()
	spec.VIP = true
	if spec.Major == 0 {
		spec.Major = 17
	}
	c := testbed.RunCluster(t, spec)
	c.WaitWhole(2 * long)
	l := c.Load()
	prepare(t, l)
	r := l.Start(t.Context())
	flowing(t, r)
	return c, r
}

// prepare makes the load's table. The VIP may just have come to where it is, and
// the table is made anew each time, so what fails is tried again.
func prepare(t *testing.T, l testbed.Load) {
	t.Helper()
	for end := time.Now().Add(long); ; time.Sleep(100 * time.Millisecond) {
		err := l.Prepare(t.Context())
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// flowing waits until the load acknowledges commits.
func flowing(t *testing.T, r *testbed.Running) {
	t.Helper()
	if err := r.Flowing(t.Context(), 50); err != nil {
		t.Fatal(err)
	}
}

// orders carries out a command in a node.
func orders(t *testing.T, n *testbed.Node, args ...string) string {
	t.Helper()
	return n.MustExec(append([]string{"pgbaton"}, args...)...)
}
