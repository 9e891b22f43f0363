package clustertest

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// TestWithTwoMASTERsNobodyPromotesAndTheVIPSettles cuts keepalived's own
// protocol and nothing else: the heir becomes MASTER beside a primary that
// answers.
func TestWithTwoMASTERsNobodyPromotesAndTheVIPSettles(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2})
	k := keepsCalm(t, c)
	load.Lap()
	for i := range 4 {
		h := c.Others(k.p)[0]
		began := time.Now()
		heal := c.Net.CutVRRP(k.p.Container, h.Container)
		for range 1 + i/3 { // the last time for longer: it yields and comes again
			h.WaitLogSince(began, "keepalived says MASTER", long)
			began = time.Now()
		}
		heal()
		k.check(t, "two MASTERs")
		flowing(t, load)
		t.Log("two MASTERs:", load.Lap())
	}
	flowing(t, load)
	t.Log(c.Audit(load))
}

func TestAKeepalivedThatIsKilledStoppedOrReloadedMakesNoOtherPrimary(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2})
	calm := keepsCalm(t, c)
	for _, fault := range []struct {
		sig   syscall.Signal
		which string
	}{
		{syscall.SIGHUP, "parent"},
		{syscall.SIGTERM, "parent"},
		{syscall.SIGKILL, "parent"},
		{syscall.SIGKILL, "child"},
		{syscall.SIGSTOP, "child"},
	} {
		calm.check(t, "before "+fault.sig.String()) // on a busy machine the primary may be another one by now
		p := calm.p
		k := keepaliveds(t, p)[fault.which]
		load.Lap()
		began := time.Now()
		p.Signal(k, fault.sig)
		if fault.sig == syscall.SIGSTOP {
			c.Others(p)[0].WaitLogSince(began, "keepalived says MASTER", long)
			p.Signal(k, syscall.SIGCONT)
		}
		what := fault.sig.String() + ": keepalived's " + fault.which
		calm.check(t, what)
		flowing(t, load)
		t.Logf("%s: %v", what, load.Lap())
	}
	t.Log(c.Audit(load))
}

// keepaliveds are the two processes of a node's keepalived.
func keepaliveds(t *testing.T, n *testbed.Node) map[string]testbed.Process {
	t.Helper()
	found := map[string]testbed.Process{}
	n.Eventually(long, "keepalived runs on "+n.Host, func() bool {
		var all []testbed.Process
		for _, p := range n.Processes() {
			if strings.HasPrefix(p.Comm, "keepalived") && !p.Zombie() {
				all = append(all, p)
			}
		}
		for _, a := range all {
			for _, b := range all {
				if b.PPID == a.PID {
					found["parent"], found["child"] = a, b
				}
			}
		}
		return len(found) == 2
	})
	return found
}
