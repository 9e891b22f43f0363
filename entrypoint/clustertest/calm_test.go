package clustertest

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// calm watches that nobody becomes the primary. A machine that is too busy to let
// a node answer its peer while the VIP is elsewhere brings a promotion on silence
// about by the rules: that is no fault where it is proven, by an answer to the
// test itself that took as long.
type calm struct {
	c     *testbed.Cluster
	p     *testbed.Node // the primary
	epoch uint64
	slow  *gauge
}

func keepsCalm(t *testing.T, c *testbed.Cluster) *calm {
	t.Helper()
	p := c.WaitWhole(2 * long)
	return &calm{c: c, p: p, epoch: record(t, p).Epoch, slow: measure(t, c)}
}

// check waits until the cluster is whole.
func (k *calm) check(t *testing.T, what string) {
	t.Helper()
	next := k.c.WaitWhole(2 * long)
	r := record(t, next)
	slowest := k.slow.lap()
	if next == k.p && r.Epoch == k.epoch {
		return
	}
	why := r.Newest().Why
	if slowest < starved || !strings.Contains(why, "is silent") {
		t.Fatalf("%s: %s is the primary of epoch %d, was %s of %d, and no answer took longer than %v: %s", what, next.Host, r.Epoch, k.p.Host, k.epoch, slowest, why)
	}
	t.Logf("%s: promoted on silence, of a machine so busy that an answer took %v: %s", what, slowest, why)
	k.p, k.epoch = next, r.Epoch
}

// starved is how long an answer takes on a machine that is too busy: a node
// counts as silent after 400 ms, and a question of the test's own is under way
// for the rest of that time at least.
const starved = 200 * time.Millisecond

// gauge measures how long the nodes' answers take, as seen from the test.
type gauge struct {
	mu      sync.Mutex
	slowest time.Duration
}

// measure asks all nodes, again and again, until the test ends.
func measure(t *testing.T, c *testbed.Cluster) *gauge {
	t.Helper()
	g := &gauge{}
	for _, n := range c.Nodes {
		go func() {
			for t.Context().Err() == nil {
				began := time.Now()
				_, _ = n.State(t.Context()) // no answer is slow too
				g.took(time.Since(began))
				time.Sleep(50 * time.Millisecond)
				g.took(time.Since(began) - 50*time.Millisecond) // the test is starved with them
			}
		}()
	}
	return g
}

func (g *gauge) took(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.slowest = max(g.slowest, d)
}

// lap is the slowest answer since the latest lap.
func (g *gauge) lap() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.slowest
	g.slowest = 0
	return d
}

// handOver orders a switchover until it is carried out: on a busy machine it
// may run into its deadline, and is undone then.
func handOver(t *testing.T, p *testbed.Node, args ...string) {
	t.Helper()
	p.Eventually(2*long, p.Host+" hands over", func() bool {
		r := p.Exec(append([]string{"pgbaton", "switchover", "--no-wait", "--yes"}, args...)...)
		if r.Code != 0 {
			t.Logf("switchover of %s: %s", p.Host, strings.TrimSpace(r.Stderr))
		}
		return r.Code == 0 || strings.Contains(r.Stderr, "is the primary: give this order there")
	})
}

// expect fails unless got is the primary that was expected, or came to it by a
// promotion on silence: see calm.
func expect(t *testing.T, got, want *testbed.Node, after string) {
	t.Helper()
	if got == want {
		return
	}
	r := record(t, got)
	if why := r.Newest().Why; !strings.Contains(why, "is silent") {
		t.Errorf("after %s %s is the primary, want %s: %s", after, got.Host, want.Host, why)
		return
	}
	t.Logf("after %s %s promoted on silence, of a machine too busy to answer", after, got.Host)
}

// pauseHeir pauses the heir, and returns the primary, which is alone then.
func pauseHeir(t *testing.T, c *testbed.Cluster) (p, h *testbed.Node) {
	t.Helper()
	for {
		p = c.WaitWhole(2 * long)
		h = c.Others(p)[0]
		orders(t, h, "pause", "--yes")
		var alone *testbed.Node
		c.Wait(long, "a primary without an heir", func(views []testbed.View) bool {
			for _, v := range views {
				if v.Primary() && v.State.Cluster.Record.Heir == nil {
					alone = v.Node
					return true
				}
			}
			return false
		})
		if alone == p {
			return p, h
		}
		orders(t, h, "resume", "--yes") // it had promoted just before
	}
}
