package clustertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// trouble is one kind of fault. It is brought about and, where that is not
// over by itself, returns what undoes it.
type trouble struct {
	name string
	do   func(t *testing.T, r *rand.Rand, c *testbed.Cluster, n *testbed.Node) (undo func())
}

// hungAfter is short, for a test, and more than a busy machine takes to answer.
const hungAfter = 5 * time.Second

// crowded is max_connections of nodes under random faults: so few that they can
// be exhausted, and more than the load takes.
const crowded = 40

func kinds() []trouble {
	return []trouble{
		{"postmaster killed", func(_ *testing.T, _ *rand.Rand, _ *testbed.Cluster, n *testbed.Node) func() {
			n.KillPostmaster()
			return nil
		}},
		{"supervisor killed", func(_ *testing.T, _ *rand.Rand, _ *testbed.Cluster, n *testbed.Node) func() {
			n.KillSupervisor()
			return nil
		}},
		{"node killed", func(_ *testing.T, _ *rand.Rand, _ *testbed.Cluster, n *testbed.Node) func() {
			n.Kill9()
			return n.Start
		}},
		{"node stopped", func(_ *testing.T, _ *rand.Rand, _ *testbed.Cluster, n *testbed.Node) func() {
			n.Stop(time.Minute)
			return n.Start
		}},
		{"node paused", func(_ *testing.T, _ *rand.Rand, _ *testbed.Cluster, n *testbed.Node) func() {
			n.Pause()
			return n.Unpause
		}},
		{"cut off", func(_ *testing.T, r *rand.Rand, c *testbed.Cluster, n *testbed.Node) func() {
			return c.Isolate(n, r.IntN(2) == 0)
		}},
		{"cut in one direction", func(_ *testing.T, r *rand.Rand, c *testbed.Cluster, n *testbed.Node) func() {
			o := c.Others(n)[r.IntN(len(c.Nodes)-1)]
			if r.IntN(2) == 0 {
				return c.Net.CutOneWay(n.Container, o.Container)
			}
			return c.Net.CutOneWay(o.Container, n.Container)
		}},
		{"nothing reaches it", func(_ *testing.T, _ *rand.Rand, c *testbed.Cluster, n *testbed.Node) func() {
			return deafen(c, nil, n)
		}},
		{"addresses swapped", func(_ *testing.T, r *rand.Rand, c *testbed.Cluster, n *testbed.Node) func() {
			o := c.Others(n)[r.IntN(len(c.Nodes)-1)]
			c.Net.Readdress(map[*testbed.Container]string{n.Container: o.Spec.IP, o.Container: n.Spec.IP})
			return nil
		}},
		{"packets lost", func(_ *testing.T, r *rand.Rand, c *testbed.Cluster, n *testbed.Node) func() {
			o := c.Others(n)[r.IntN(len(c.Nodes)-1)]
			return c.Net.Lose(n.Container, o.Container, 0.1+0.5*r.Float64())
		}},
		{"keepalived killed", func(_ *testing.T, _ *rand.Rand, _ *testbed.Cluster, n *testbed.Node) func() {
			if p, found := keepalived(n); found {
				n.Signal(p, syscall.SIGKILL)
			}
			return nil
		}},
		{"keepalived stopped", func(_ *testing.T, _ *rand.Rand, _ *testbed.Cluster, n *testbed.Node) func() {
			p, found := keepalived(n)
			if !found {
				return nil
			}
			n.Signal(p, syscall.SIGSTOP)
			return func() { n.Signal(p, syscall.SIGCONT) }
		}},
		{"VRRP cut", func(_ *testing.T, r *rand.Rand, c *testbed.Cluster, n *testbed.Node) func() {
			return c.Net.CutVRRP(n.Container, c.Others(n)[r.IntN(len(c.Nodes)-1)].Container)
		}},
		{"postgres hung", func(t *testing.T, r *rand.Rand, _ *testbed.Cluster, n *testbed.Node) func() {
			hung := postgres(t, n, r.IntN(2) == 0)
			for _, p := range hung {
				n.Signal(p, syscall.SIGSTOP)
			}
			if r.IntN(2) == 0 {
				time.Sleep(hungAfter) // it is killed for it
			}
			return func() { // of those that were not killed for it
				for _, p := range hung {
					n.Signal(p, syscall.SIGCONT)
				}
			}
		}},
		{"killed inside its promotion", func(t *testing.T, r *rand.Rand, c *testbed.Cluster, _ *testbed.Node) func() {
			return dieInside(t, r, c)
		}},
		{"primary given up while queries hold up replay", func(t *testing.T, r *rand.Rand, c *testbed.Cluster, _ *testbed.Node) func() {
			p := c.Primary()
			if p == nil {
				return nil
			}
			let := holdUpAll(t, c, p)
			if r.IntN(2) == 0 {
				p.KillPostmaster()
			} else {
				_, _ = p.TryDo(t.Context(), testbed.Command{Args: []string{"pgbaton", "switchover", "--no-wait", "--yes"}})
			}
			return let
		}},
		{"connections exhausted", func(_ *testing.T, _ *rand.Rand, _ *testbed.Cluster, n *testbed.Node) func() {
			return n.Crowd(crowded+10, "select 1").Leave
		}},
		{"switchover", func(t *testing.T, _ *rand.Rand, c *testbed.Cluster, _ *testbed.Node) func() {
			if p := c.Primary(); p != nil {
				// It may be refused, or cut off, and must do no harm then.
				_, _ = p.TryDo(t.Context(), testbed.Command{Args: []string{"pgbaton", "switchover", "--no-wait", "--yes"}})
			}
			return nil
		}},
	}
}

// arbiterKinds are the faults of an arbiter, and of a node's way to it.
func arbiterKinds(e *testbed.Etcd) []trouble {
	return []trouble{
		{"arbiter killed", func(_ *testing.T, _ *rand.Rand, _ *testbed.Cluster, _ *testbed.Node) func() {
			e.Kill("KILL")
			e.Wait(long)
			return e.Start
		}},
		{"arbiter paused", func(_ *testing.T, _ *rand.Rand, _ *testbed.Cluster, _ *testbed.Node) func() {
			e.Pause()
			return e.Unpause
		}},
		{"cut off from the arbiter", func(_ *testing.T, _ *rand.Rand, c *testbed.Cluster, n *testbed.Node) func() {
			return c.Net.Cut(n.Container, e.Container)
		}},
	}
}

// keepalived is the process of a node that speaks VRRP.
func keepalived(n *testbed.Node) (testbed.Process, bool) {
	var last testbed.Process
	for _, p := range n.Processes() {
		if strings.HasPrefix(p.Comm, "keepalived") && !p.Zombie() {
			last = p // the child has the greater PID
		}
	}
	return last, last.PID != 0
}

// besieged is a cluster under random faults.
type besieged struct {
	kinds []trouble
	t     *testing.T
	r     *rand.Rand
	c     *testbed.Cluster
	load  *testbed.Running
	epoch uint64
	seen  *testbed.SoakReport
}

func besiege(t *testing.T, r *rand.Rand, seen *testbed.SoakReport, arbiter bool) *besieged {
	t.Helper()
	spec := testbed.ClusterSpec{
		Nodes: 3, Major: 17, VIP: true, Net: testbed.NewNetwork(t),
		Args: []string{"postgres", "-c", "max_standby_streaming_delay=-1", "-c", fmt.Sprintf("max_connections=%d", crowded)},
		Env:  map[string]string{"PGBATON_HUNG_AFTER": hungAfter.String()},
	}
	all := kinds()
	if arbiter {
		e := testbed.RunEtcd(t, spec.Net)
		spec.Env["PGBATON_ETCD"] = e.Endpoint()
		all = append(all, arbiterKinds(e)...)
	}
	c := testbed.RunCluster(t, spec)
	epoch := record(t, c.WaitWhole(2*long)).Epoch // before the first commit: a busy machine promotes by itself
	l := c.Load()
	prepare(t, l)
	b := &besieged{all, t, r, c, l.Start(t.Context()), epoch, seen}
	flowing(t, b.load)
	return b
}

// round brings a fault about, undoes it, and waits until the cluster is whole
// by itself. It returns false where it does not come to be.
func (b *besieged) round(i int) bool {
	b.t.Helper()
	k := b.kinds[b.r.IntN(len(b.kinds))]
	n := b.c.Nodes[b.r.IntN(len(b.c.Nodes))]
	role := "standby"
	if n == b.c.WaitWhole(2*long) {
		role = "primary"
	}
	b.load.Lap()
	undo := k.do(b.t, b.r, b.c, n)
	if undo != nil {
		time.Sleep(b.lasts())
		undo()
	}
	name := fmt.Sprintf("round %d: %s, %s %s", i+1, k.name, role, n.Host)
	healed := b.heals(name)
	lap := b.load.Lap()
	b.seen.Add(k.name, lap.Gap)
	b.t.Logf("%s: %v", name, lap)
	return healed
}

// lasts is how long a fault lasts: half of them are over before anybody
// promotes for it, the others are not.
func (b *besieged) lasts() time.Duration {
	if b.r.IntN(2) == 0 {
		return time.Duration(b.r.IntN(1500)) * time.Millisecond
	}
	return 2200*time.Millisecond + time.Duration(b.r.IntN(2000))*time.Millisecond
}

// heals reports whether the cluster comes to be whole and takes writes without
// an operator. A machine that is busy enough brings faults of its own, so what
// was whole may have to heal again.
func (b *besieged) heals(after string) bool {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 5*long)
	defer cancel()
	err := b.flows(ctx)
	for ctx.Err() == nil && err != nil {
		err = b.flows(ctx)
	}
	if err != nil {
		b.seen.Stuck++
		b.t.Errorf("after %s: stuck: %v", after, err)
	}
	return err == nil
}

func (b *besieged) flows(ctx context.Context) error {
	if _, err := b.c.Until(ctx, "one open primary with an armed heir and the VIP, and all others stream", b.c.Whole); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	return b.load.Flowing(ctx, 50)
}

// audit ends the cluster's load and counts.
func (b *besieged) audit() {
	b.t.Helper()
	rep, p := b.c.Count(b.load)
	b.seen.Audits = append(b.seen.Audits, rep)
	b.t.Log(rep)
	if err := rep.Err(); err != nil {
		b.t.Errorf("on %s: %v", p.Host, err)
	}
	promotions := int(record(b.t, p).Epoch - b.epoch)
	if changes := b.load.Reigns(); changes > promotions {
		b.seen.Doubles += changes - promotions
		b.t.Errorf("the acknowledging server changed %d times, with %d promotions: two acknowledged at once", changes, promotions)
	}
}

// clusterRounds is how many faults one cluster goes through before its commits
// are counted, and a new one is made: so a soak that finds something says where.
const clusterRounds = 50

// soakRounds is how many faults a soak consists of: see make soak.
func soakRounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("PGBATON_ROUNDS")
	if text == "" {
		return 300
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("PGBATON_ROUNDS=%q is no number of rounds", text)
	}
	return n
}

func TestRandomFaultsLoseNothingAndTheClusterHealsByItself(t *testing.T) {
	t.Parallel()
	torment(t, 20, false)
}

func TestRandomFaultsWithAnArbiterLoseNothingAndTheClusterHealsByItself(t *testing.T) {
	t.Parallel()
	torment(t, 10, true)
}

// torment puts clusters through random faults: sample of them, or all of a soak.
func torment(t *testing.T, sample int, arbiter bool) {
	t.Helper()
	r, seen := testbed.Seed(t), &testbed.SoakReport{}
	defer func() { t.Logf("\n%s", seen) }()
	for done, rounds := 0, testbed.Rounds(sample, soakRounds(t)); done < rounds; {
		before := done
		t.Run(fmt.Sprintf("from round %d", done+1), func(t *testing.T) {
			b := besiege(t, r, seen, arbiter)
			defer b.audit()
			for healed := true; healed && done < rounds; done++ {
				healed = b.round(done)
				if (done+1)%clusterRounds == 0 {
					done++
					return
				}
			}
		})
		if done == before {
			return // there was no cluster to begin with
		}
	}
}
