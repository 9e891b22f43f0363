package clustertest

import (
	"context"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// TestNodesAreFollowedByWhoTheyAreAndNotByTheirAddresses: the primary gets a new
// address, swaps it with a standby, and leaves it to a third node. No keepalived
// is there, so that nobody promotes for it meanwhile.
func TestNodesAreFollowedByWhoTheyAreAndNotByTheirAddresses(t *testing.T) {
	t.Parallel()
	c := testbed.RunCluster(t, testbed.ClusterSpec{Nodes: 3, Major: 17, Env: map[string]string{"PGBATON_PEERS": "n1,n2,n3"}})
	p := c.WaitWhole(2 * long)
	l := c.Load()
	// At whatever address the primary comes to be.
	l.Target, l.Beside = func(context.Context) (string, error) {
		var all []string
		for _, i := range []int{11, 12, 13, 50, 51, 52} {
			all = append(all, c.Net.Address(i))
		}
		return "host=" + strings.Join(all, ",") + " target_session_attrs=read-write user=postgres dbname=postgres sslmode=disable password=" + testbed.Password, nil
	}, nil
	prepare(t, l)
	load := l.Start(t.Context())
	flowing(t, load)
	epoch := record(t, p).Epoch
	a, b := c.Others(p)[0], c.Others(p)[1]
	moves := func(what string, to map[*testbed.Container]string) {
		t.Helper()
		load.Lap()
		c.Net.Readdress(to)
		if next := c.WaitWhole(2 * long); next != p {
			t.Fatalf("%s: %s is the primary", what, next.Host)
		}
		flowing(t, load)
		t.Logf("%s: %v", what, load.Lap())
	}
	moves("a new address", map[*testbed.Container]string{p.Container: c.Net.Address(50)})
	moves("the primary and a standby swap", map[*testbed.Container]string{p.Container: a.Spec.IP, a.Container: p.Spec.IP})
	moves("the primary's becomes a third node's", map[*testbed.Container]string{p.Container: c.Net.Address(51), b.Container: p.Spec.IP})
	moves("that of a standby becomes the other's", map[*testbed.Container]string{a.Container: c.Net.Address(52), b.Container: a.Spec.IP})
	if now := record(t, p).Epoch; now != epoch {
		t.Errorf("epoch %d, was %d", now, epoch)
	}
	t.Log(c.Audit(load))
}
