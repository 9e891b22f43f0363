package clustertest

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// servers is when each node's server was started, by its own clock.
func servers(t *testing.T, c *testbed.Cluster) map[string]time.Time {
	t.Helper()
	started := map[string]time.Time{}
	c.Wait(long, "every node tells of its server", func(views []testbed.View) bool {
		for _, v := range views {
			if v.Err != nil || v.State.Postmaster == nil {
				return false
			}
			started[v.Node.Host] = v.State.Postmaster.Started
		}
		return true
	})
	return started
}

// set changes a setting in every node's configuration, as an operator would.
func set(t *testing.T, name, value string, nodes ...*testbed.Node) {
	t.Helper()
	for _, n := range nodes {
		if _, err := n.DB().Exec(fmt.Sprintf("alter system set %s = %s", name, value)); err != nil {
			t.Fatal(err)
		}
	}
}

// inEffect is the value of a setting that a node's server runs with.
func inEffect(t *testing.T, n *testbed.Node, name string) (value string) {
	t.Helper()
	n.Eventually(long, "an answer of the server of "+n.Host, func() bool {
		return n.DB().QueryRow("select current_setting($1)", name).Scan(&value) == nil
	})
	return value
}

// rolls gives an order that takes as long as its cluster does.
func rolls(t *testing.T, n *testbed.Node, args ...string) testbed.Result {
	t.Helper()
	return n.Do(testbed.Command{Args: args, Timeout: 3 * long, Live: logged{t}})
}

// logged keeps what a command says in the test's log as it comes, so that it is
// there when the command does not end.
type logged struct{ t *testing.T }

func (l logged) Write(text []byte) (int, error) {
	l.t.Log(strings.TrimRight(string(text), "\n"))
	return len(text), nil
}

// unrolled expects a refusal with these words.
func unrolled(t *testing.T, n *testbed.Node, words string) {
	t.Helper()
	if r := rolls(t, n, "pgbaton", "restart", "--rolling", "--yes"); r.Code != 1 || !strings.Contains(r.Stderr, words) || !strings.Contains(r.Stderr, "; nothing was done") {
		t.Errorf("exit code %d, want a refusal with %q", r.Code, words)
	}
}

func TestARollingRestartCostsOneSwitchoverAndLosesNothing(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 3})
	p := c.WaitWhole(long)
	epoch, before := record(t, p).Epoch, servers(t, c)
	slow := measure(t, c)
	set(t, "max_connections", "150", c.Nodes...)
	load.Lap()
	if r := rolls(t, c.Others(p)[1], "pgbaton", "restart", "--rolling", "--yes"); r.Code != 0 {
		t.Fatalf("exit code %d", r.Code)
	}
	next := c.WaitWhole(long)
	flowing(t, load)
	t.Log(load.Lap())
	for _, n := range c.Nodes {
		if got := inEffect(t, n, "max_connections"); got != "150" {
			t.Errorf("max_connections of %s is %s", n.Host, got)
		}
	}
	for name, started := range servers(t, c) {
		if !started.After(before[name]) {
			t.Errorf("the server of %s was not restarted", name)
		}
	}
	onceOnly(t, next, epoch, slow.lap())
	if r := rolls(t, p, "pgbaton", "restart", "--rolling", "--yes"); r.Code != 0 || !strings.Contains(r.Stdout, "no setting waits for a restart on any node") {
		t.Errorf("exit code %d", r.Code)
	}
	t.Log(c.Audit(load))
}

// onceOnly fails unless there was one promotion since an epoch, or one on silence
// among them that the slowest answer meanwhile proves to be no fault: see calm.
func onceOnly(t *testing.T, p *testbed.Node, epoch uint64, slowest time.Duration) {
	t.Helper()
	silent, why := false, ""
	r := record(t, p)
	for _, promotion := range r.Promotions {
		if promotion.Epoch > epoch {
			silent = silent || strings.Contains(promotion.Why, "is silent")
			why += "\n" + promotion.Why
		}
	}
	switch {
	case r.Epoch == epoch+1:
	case silent && slowest >= starved:
		t.Logf("not one switchover alone, of a machine so busy that an answer took %v:%s", slowest, why)
	default:
		t.Errorf("epoch %d, then %d, and no answer took longer than %v: not one switchover:%s", epoch, r.Epoch, slowest, why)
	}
}

var goesOn = regexp.MustCompile(`--since (\S+Z)`)

func TestARollingRestartThatIsKilledGoesOn(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 3})
	p := c.WaitWhole(long)
	before := servers(t, c)
	other := c.Others(p)[0]
	// It is killed as soon as it has said that a second step begins.
	r := rolls(t, other, "bash", "-c", `exec 3< <(pgbaton restart --rolling --all --yes 2>&1 & echo "pid $!"; wait); begun=0
		while read -r line <&3; do
			echo "$line"
			case $line in pid*) pid=${line#pid } ;; *": restart: "*|*": switchover: "*) begun=$((begun + 1)) ;; esac
			if [ $begun = 2 ]; then kill -9 $pid; break; fi
		done`)
	since := goesOn.FindStringSubmatch(r.Stdout)
	if since == nil {
		t.Fatal("it does not say how to go on")
	}
	between := servers(t, c)
	if r := rolls(t, c.Others(other)[0], "pgbaton", "restart", "--rolling", "--since", since[1], "-o", "json", "--yes"); r.Code != 0 {
		t.Fatalf("exit code %d", r.Code)
	}
	c.WaitWhole(long)
	after, kept := servers(t, c), 0
	for name, started := range after {
		if !started.After(before[name]) {
			t.Errorf("the server of %s was not restarted", name)
		}
		if between[name].After(before[name]) && started.Equal(between[name]) {
			kept++
		}
	}
	if kept == 0 {
		t.Error("what was restarted before the kill was restarted again:", before, between, after)
	}
	flowing(t, load)
	t.Log(c.Audit(load))
}

func TestARollingRestartIsRefusedWhereAServerWouldNotComeBack(t *testing.T) {
	t.Parallel()
	c := testbed.RunCluster(t, testbed.ClusterSpec{Nodes: 2, Major: 17})
	p := c.WaitWhole(2 * long)
	standby := c.Others(p)[0]
	before := servers(t, c)
	set(t, "max_connections", "50", c.Nodes...)
	unrolled(t, p, "max_connections is to become 50 on "+standby.Host+" and is 100 on its primary")
	set(t, "max_connections", "150", standby)
	set(t, "max_connections", "120", p)
	unrolled(t, standby, "max_connections is to be 120 on "+p.Host+" and 150 on "+standby.Host)
	set(t, "max_connections", "150", p)

	conf := strings.TrimSpace(standby.MustExec("bash", "-c", "echo $PGDATA")) + "/postgresql.conf"
	standby.MustExec("bash", "-c", "echo 'a line that means nothing' >> "+conf)
	unrolled(t, p, "the server of "+standby.Host+" might not start with its configuration: ")
	standby.MustExec("sed", "-i", "$ d", conf)

	orders(t, standby, "pause", "--yes")
	unrolled(t, p, standby.Host+" is paused")
	orders(t, standby, "resume", "--yes")
	c.WaitWhole(long)
	orders(t, standby, "stop")
	unrolled(t, p, "postgres is stopped on "+standby.Host)
	orders(t, standby, "start")
	c.WaitWhole(long)
	if got := servers(t, c)[p.Host]; !got.Equal(before[p.Host]) {
		t.Error("the primary was restarted by a command that was refused")
	}
	standby.Kill("KILL")
	unrolled(t, p, "not every node answers")
}

// TestAnHeirThatIsRestartedGivesItsRightUpFirst: commits do not wait for it
// while it is down.
func TestAnHeirThatIsRestartedGivesItsRightUpFirst(t *testing.T) {
	t.Parallel()
	c := testbed.RunCluster(t, testbed.ClusterSpec{Nodes: 2, Major: 17})
	p := c.WaitWhole(2 * long)
	heir := c.Others(p)[0]
	began := time.Now()
	orders(t, heir, "stop")
	waitFor(c, p, "is alone", func(v testbed.View) bool { return v.Primary() && v.State.Cluster.Record.Heir == nil })
	heir.WaitLogSince(began, "received fast shutdown request", long)
	logs := heir.LogsSince(began)
	before, _, stopped := strings.Cut(logs, "received fast shutdown request")
	// Either is said by a node whose record tells of no right any more.
	if !stopped || !strings.Contains(before, "still waits for this node as its heir") && !strings.Contains(before, "this standby may end") {
		t.Errorf("the server of %s was stopped before it had given its right up:\n%s", heir.Host, before)
	}
	waitFor(c, heir, "is stopped", func(v testbed.View) bool { return v.State.Phase == node.Stopped })
	orders(t, heir, "start")
	c.WaitWhole(long)
}
