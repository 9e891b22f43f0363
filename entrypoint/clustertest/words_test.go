package clustertest

import (
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// TestAThousandTransitionsAndGarbageFromKeepalivedChangeNoRole writes into the
// FIFO what keepalived never would.
func TestAThousandTransitionsAndGarbageFromKeepalivedChangeNoRole(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2})
	k := keepsCalm(t, c)
	const babble = `set -e; fifo=$(find /run/pgbaton /dev/shm -type p -path '*vrrp*' -o -type p -path '/dev/shm/pgbaton-*' | head -1); test -p "$fifo"
exec 3>"$fifo"
i=0; while [ $i -lt 250 ]; do i=$((i+1))
printf 'INSTANCE "pg" MASTER 254\nINSTANCE "pg" FAULT 0\nINSTANCE "pg" BACKUP 100\nINSTANCE "pg" MASTER 254\n' >&3
done
printf 'INSTANCE "web" MASTER 254\nGROUP "pg" FAULT 0\nINSTANCE "pg" KING 1\nINSTANCE "pg\nMASTER\n\n\\0\\377\\n' >&3
head -c 5000 /dev/zero >&3; printf 'INSTANCE "pg" MAS' >&3`
	for _, n := range append(c.Nodes, c.Nodes...) {
		if r := n.Do(testbed.Command{Args: []string{"sh", "-c", babble}, User: "0"}); r.Code != 0 {
			t.Fatalf("%s: %+v", n.Host, r)
		}
		refused(t, n, "KING", "notify", "INSTANCE", "pg", "KING", "1")
		refused(t, n, "1 arguments", "notify", "MASTER")
		refused(t, n, "nothing was done", "notify", "INSTANCE", "web", "MASTER", "254")
		hooks(t, n, "INSTANCE", "pg", "MASTER", "254") // keepalived runs in the container: nobody goes by it
		k.check(t, "a thousand transitions on "+n.Host)
	}
	flowing(t, load)
	t.Log(c.Audit(load))
}

// TestAHookOfKeepalivedOnTheHostIsAHintAndNeverAPermission: no keepalived runs
// here, and what the hook says is true or not.
func TestAHookOfKeepalivedOnTheHostIsAHintAndNeverAPermission(t *testing.T) {
	t.Parallel()
	c := testbed.RunCluster(t, testbed.ClusterSpec{Nodes: 2, Major: 17})
	p := c.WaitWhole(2 * long)
	h := c.Others(p)[0]
	l := c.Load()
	prepare(t, l)
	load := l.Start(t.Context())
	flowing(t, load)
	k := keepsCalm(t, c)

	const nowhere = "192.0.2.1"
	tellOf := func(n *testbed.Node, vip, state string) string {
		return hooks(t, n, "--vip", vip, "INSTANCE", "pg", state, "234")
	}
	tell := func(n *testbed.Node, state string) string { return tellOf(n, n.Spec.IP, state) }
	if said := tell(h, "MASTER"); strings.Contains(said, "silent") {
		t.Errorf("the verdict is %q", said)
	}
	for _, state := range []string{"BACKUP", "FAULT", "STOP"} {
		tell(p, state) // the primary stays what it is
	}
	k.check(t, "the hook spoke")
	if k.p != p {
		p, h = h, p
	}
	flowing(t, load)

	// The word MASTER was lost, and the check sees the address: it is given back,
	// so that keepalived says its state anew.
	tellOf(h, nowhere, "BACKUP")
	checks := func(vip, what string, ok func(*node.Cluster) bool) {
		h.Eventually(long, what, func() bool {
			h.Exec("pgbaton", "notify", "check", "--vip", vip) // as keepalived does, again and again
			st, err := h.State(t.Context())
			return err == nil && st.Cluster != nil && ok(st.Cluster)
		})
	}
	checks(nowhere, "an heir that may have the VIP", func(c *node.Cluster) bool { return c.Eligible && !c.VIP })
	checks(h.Spec.IP, "the VIP is given back", func(c *node.Cluster) bool { return c.VIP && !c.Eligible })
	checks(nowhere, "the heir may have it again", func(c *node.Cluster) bool { return c.Eligible && !c.VIP })
	k.check(t, "the check spoke")
	if k.p != p {
		p, h = k.p, p
	}
	tellOf(h, nowhere, "STOP")
	tell(h, "MASTER")

	p.Kill9()
	becomes(c, h) // it holds the address, says the hook, and the primary is silent
	p.Start()
	expect(t, c.WaitWhole(2*long), h, "its promotion")
	flowing(t, load)
	t.Log(c.Audit(load))
}

// hooks calls the notify script until its word is heard: it waits for a second at
// most, in which a busy machine does not answer.
func hooks(t *testing.T, n *testbed.Node, args ...string) (said string) {
	t.Helper()
	n.Eventually(long, "the hook is heard", func() bool {
		r := n.Exec(append([]string{"pgbaton", "notify"}, args...)...)
		if r.Code != 0 && !strings.Contains(r.Stderr, "no supervisor answers") {
			t.Fatalf("notify %v: %d %s", args, r.Code, r.Stderr)
		}
		said = r.Stdout
		return r.Code == 0
	})
	return said
}
