package clustertest

import (
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
		orders(t, p, "switchover", "--yes")
		next := c.WaitWhole(long)
		if next == p {
			t.Fatalf("switchover %d: %s is the primary still", i+1, p.Host)
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
	p := c.WaitWhole(long)
	st, err := p.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	heir := st.Cluster.Record.Heir.Node
	var other *testbed.Node
	for _, n := range c.Others(p) {
		if n.Host != heir {
			other = n
		}
	}
	orders(t, p, "switchover", "--to", other.Host, "--yes")
	if next := c.WaitWhole(long); next != other {
		t.Errorf("%s is the primary, want %s", next.Host, other.Host)
	}
	flowing(t, load)
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
	if next := c.WaitWhole(long); next != other {
		t.Fatalf("%s is the primary", next.Host)
	}
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
