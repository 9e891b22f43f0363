package clustertest

import (
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// names is synchronous_standby_names in force.
func names(n *testbed.Node) string {
	return strings.TrimSpace(n.Exec("psql", "-U", "postgres", "-Atc", "show synchronous_standby_names").Stdout)
}

// TestAPrimaryKeepsItsPromiseWhoeverChangesTheSetting: an operator empties
// synchronous_standby_names beside a streaming heir and beside a silent one, and
// another connection replicates by the heir's name.
func TestAPrimaryKeepsItsPromiseWhoeverChangesTheSetting(t *testing.T) {
	t.Parallel()
	c := testbed.RunCluster(t, testbed.ClusterSpec{Nodes: 2, Major: 17})
	p := c.WaitWhole(2 * long)
	h := c.Others(p)[0]
	named := names(p)
	p.MustExec("psql", "-U", "postgres", "-c", "create table t (n int)")
	unset := func() {
		p.MustExec("psql", "-U", "postgres", "-c", "alter system set synchronous_standby_names = ''", "-c", "select pg_reload_conf()")
	}
	unset()
	p.Eventually(long, "commits wait for the heir again", func() bool { return names(p) == named })
	c.WaitWhole(long)

	h.Pause()
	unset()
	p.Eventually(long, "commits wait for the silent heir again", func() bool { return names(p) == named })
	h.Unpause()
	c.WaitWhole(2 * long)

	receiver := "mkdir -p /tmp/wal && exec pg_receivewal --synchronous -D /tmp/wal -d 'user=postgres application_name=" + h.Host + "'"
	p.MustExec("bash", "-c", "("+receiver+") >/tmp/receivewal.log 2>&1 &")
	waitFor(c, p, "has no heir while another connection has its name", func(v testbed.View) bool {
		r := v.State.Cluster.Record
		return r.Heir == nil && strings.Contains(v.State.Cluster.Why, "more than one connection replicates by the name of "+h.Host)
	})
	p.MustExec("pkill", "pg_receivewal")
	c.WaitWhole(2 * long)
}
