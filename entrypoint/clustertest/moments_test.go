package clustertest

import (
	"sync"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// TestSupervisorsKilledAtAnyMomentOfASwitchoverLoseNothing may see the
// switchover done or not: whichever, there is one primary and every commit.
func TestSupervisorsKilledAtAnyMomentOfASwitchoverLoseNothing(t *testing.T) {
	t.Parallel()
	r := testbed.Seed(t)
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2})
	for i := range testbed.Rounds(6, 60) {
		p := c.WaitWhole(2 * long)
		load.Lap()
		var ordered sync.WaitGroup
		ordered.Go(func() {
			_, _ = p.TryDo(t.Context(), testbed.Command{Args: []string{"pgbaton", "switchover", "--no-wait", "--yes"}})
		})
		at := time.Duration(r.IntN(400)) * time.Millisecond
		time.Sleep(at)
		victims := [][]*testbed.Node{{p}, c.Others(p), c.Nodes}[i%3]
		names := ""
		for _, n := range victims {
			if s, found := n.Supervisor(); found { // it may be about to be started again
				n.Signal(s, 9)
				names += " " + n.Host
			}
		}
		ordered.Wait()
		next := c.WaitWhole(2 * long)
		flowing(t, load)
		t.Logf("round %d: of%s %v after the order to %s: %s is the primary, %v", i+1, names, at, p.Host, next.Host, load.Lap())
	}
	t.Log(c.Audit(load))
}

// TestAStandbyThatWasCutOffForAMomentHasEveryCommitOrDoesNotPromote: what the
// primary acknowledges right after a gap in the replication is what a heir
// that was behind would lack.
func TestAStandbyThatWasCutOffForAMomentHasEveryCommitOrDoesNotPromote(t *testing.T) {
	t.Parallel()
	r := testbed.Seed(t)
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2})
	for _, gap := range []time.Duration{time.Second, 3 * time.Second} {
		p := c.WaitWhole(2 * long)
		load.Lap()
		heal := c.Net.Cut(p.Container, c.Others(p)[0].Container)
		time.Sleep(gap)
		heal()
		time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
		p.Kill9()
		// Whether the heir had its right still, or the primary was alone by then.
		c.Wait(long, "the standby is the primary, or waits for one", func(views []testbed.View) bool {
			for _, v := range views {
				if v.Node != p && v.Err == nil {
					return v.Primary() || v.State.Cluster != nil && v.State.Cluster.Record.Armed == nil
				}
			}
			return false
		})
		p.Start()
		next := c.WaitWhole(2 * long)
		flowing(t, load)
		t.Logf("cut for %v, then %s killed: %s is the primary, %v", gap, p.Host, next.Host, load.Lap())
	}
	t.Log(c.Audit(load))
}
