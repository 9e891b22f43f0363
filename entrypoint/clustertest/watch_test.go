package clustertest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// waitFor waits until one node's own word about itself fits.
func waitFor(c *testbed.Cluster, n *testbed.Node, what string, fits func(testbed.View) bool) testbed.View {
	var found testbed.View
	c.Wait(long, n.Host+" "+what, func(views []testbed.View) bool {
		for _, v := range views {
			if v.Node == n && v.Err == nil && v.State.Cluster != nil && fits(v) {
				found = v
				return true
			}
		}
		return false
	})
	return found
}

// says waits until a node gives one of these reasons for what it does.
func says(c *testbed.Cluster, n *testbed.Node, any ...string) {
	waitFor(c, n, "says: "+strings.Join(any, " or: "), func(v testbed.View) bool {
		all := append([]string{v.State.Why}, v.State.Warnings...)
		all = append(all, v.State.Cluster.Why)
		for _, text := range any {
			if strings.Contains(strings.Join(all, "\n"), text) {
				return true
			}
		}
		return false
	})
}

// judges waits until a node's verdict on the whole cluster is this one, on every
// surface.
func judges(t *testing.T, c *testbed.Cluster, n *testbed.Node, health node.Health, code, why string) {
	t.Helper()
	waitFor(c, n, "judges: "+string(health)+", "+why, func(v testbed.View) bool {
		j := v.State.Verdict
		return j.Health == health && j.Code == code && strings.Contains(j.Why, why)
	})
	n.Eventually(long, "the metrics and the status say so", func() bool {
		_, metrics := get(t, n, "/metrics", "")
		shown := strings.Join(strings.Fields(n.Exec("pgbaton", "status").Stdout), " ")
		return strings.Contains(metrics, `pgbaton_verdict{health="`+string(health)+`"} 1`) &&
			strings.HasPrefix(shown, "verdict "+string(health)+": ") && strings.Count(shown, why) >= 1
	})
}

// becomes waits until a node is an open primary.
func becomes(c *testbed.Cluster, n *testbed.Node) {
	waitFor(c, n, "is the primary", testbed.View.Primary)
}

// record is a node's role record now.
func record(t *testing.T, n *testbed.Node) node.Record {
	t.Helper()
	var r node.Record
	n.Eventually(long, "a role record of "+n.Host, func() bool {
		st, err := n.State(t.Context())
		if err == nil && st.Cluster != nil && st.Cluster.Record != nil {
			r = *st.Cluster.Record
			return true
		}
		return false
	})
	return r
}

// refused carries out a command that has to fail with these words, and never
// succeeds. On a busy machine another reason may come before: a peer that does not
// answer at that moment, or the supervisor here.
func refused(t *testing.T, n *testbed.Node, words string, args ...string) {
	t.Helper()
	for end := time.Now().Add(long); ; time.Sleep(100 * time.Millisecond) {
		r := n.Exec(append([]string{"pgbaton"}, args...)...)
		said := r.Stdout + r.Stderr
		if r.Code != 0 && strings.Contains(said, words) {
			return
		}
		if r.Code == 0 || time.Now().After(end) {
			t.Errorf("%s on %s: exit code %d, %q; want a refusal with %q", strings.Join(args, " "), n.Host, r.Code, said, words)
			return
		}
	}
}

// rows writes some megabytes, so that a copy takes its time.
func rows(t *testing.T, n *testbed.Node, megabytes int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*long) // a commit may wait for an heir
	defer cancel()
	_, err := n.DB().ExecContext(ctx, "create table if not exists ballast (x text); "+
		"alter table ballast alter x set storage external")
	if err == nil {
		_, err = n.DB().ExecContext(ctx, "insert into ballast select repeat(md5(i::text), 31250) from generate_series(1, $1) i", megabytes)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// soon is how long a test looks on where nothing is to happen.
const soon = 3 * time.Second

// staysSo fails when for a while something is not as it has to stay.
func staysSo(t *testing.T, c *testbed.Cluster, what string, ok func([]testbed.View) bool) {
	t.Helper()
	for end := time.Now().Add(soon); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if views := c.Views(t.Context()); !ok(views) {
			t.Fatalf("no longer so: %s\n%v", what, views)
		}
	}
}

// staysDown fails when for a while a node is a primary, and waits until every one
// that answers says so: that the cluster is down.
func staysDown(t *testing.T, c *testbed.Cluster, what string) {
	t.Helper()
	staysSo(t, c, what, noPrimary)
	c.Wait(long, "every node that answers judges the cluster to be down", func(views []testbed.View) bool {
		for _, v := range views {
			if v.Err == nil && v.State.Verdict.Health != node.Down {
				return false
			}
		}
		return true
	})
}

func noPrimary(views []testbed.View) bool {
	for _, v := range views {
		if v.Primary() {
			return false
		}
	}
	return true
}
