package clustertest

import (
	"regexp"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

func TestThreeNodesBecomeOneClusterAndTwentySwitchoversLoseNothing(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 3})
	load.Lap()
	for i := range 20 {
		p := c.WaitWhole(long)
		handOver(t, p)
		next := c.WaitWhole(2 * long)
		if next == p {
			expect(t, next, c.Others(p)[0], "a switchover")
		}
		flowing(t, load)
		s := load.Lap()
		t.Logf("switchover %d: %s to %s: %v", i+1, p.Host, next.Host, s)
	}
	t.Log(c.Audit(load))
}

func TestASwitchoverToAStandbyThatIsNotTheHeir(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 3})
	var p, other *testbed.Node
	for _, v := range c.Wait(2*long, "a whole cluster", c.Whole) {
		if v.Armed() {
			p, other = v.Node, c.Others(v.Node, c.Node(v.State.Cluster.Record.Heir.Node))[0]
		}
	}
	handOver(t, p, "--to", other.Host)
	expect(t, c.WaitWhole(2*long), other, "the switchover")
	flowing(t, load)

	// An order ends when the next fault is covered too.
	p = c.WaitWhole(long)
	said := ""
	p.Eventually(2*long, "a switchover that ends with a whole cluster", func() bool {
		if p = c.Primary(); p == nil {
			return false
		}
		r := p.Exec("pgbaton", "switchover", "--yes")
		said = r.Stdout
		return r.Code == 0
	})
	who := regexp.MustCompile(`^` + p.Host + ` has handed over: (n\d) is the primary since \S+ \S+ UTC, (n\d) is its armed heir`).FindStringSubmatch(said)
	if who == nil {
		t.Fatalf("the switchover of %s ended with %q", p.Host, said)
	}
	c.Node(who[1]).Kill9()
	becomes(c, c.Node(who[2]))
	flowing(t, load)
	c.Node(who[1]).Start()
	c.WaitWhole(2 * long)
	t.Log(c.Audit(load))
}

func TestDockerStopOfThePrimaryHandsOverAndOfTheHeirLetsNobodyWait(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2})
	p := c.WaitWhole(long)
	load.Lap()
	if code, took := p.Stop(time.Minute); code != 0 {
		t.Errorf("docker stop of the primary: exit code %d after %v", code, took)
	}
	other := c.Others(p)[0]
	if next := c.WaitPrimary(long); next != other {
		t.Fatalf("%s is the primary", next.Host)
	}
	flowing(t, load)
	t.Log("docker stop of the primary:", load.Lap())
	p.Start()
	expect(t, c.WaitWhole(2*long), other, "its return")
	load.Lap()
	if code, took := p.Stop(time.Minute); code != 0 {
		t.Errorf("docker stop of the heir: exit code %d after %v", code, took)
	}
	flowing(t, load)
	t.Log("docker stop of the heir:", load.Lap())
	p.Start()
	c.WaitWhole(long)
	t.Log(c.Audit(load))
}
