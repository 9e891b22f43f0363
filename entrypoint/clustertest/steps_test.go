package clustertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// crashFile tells the processes of a container where to stand still: see
// durable.CrashEnv.
const crashFile = "/crash-at"

var (
	standing = regexp.MustCompile("pgbaton: standing still at crash point ")
	passed   = regexp.MustCompile(`pgbaton: crash point (\S+:[a-z-]+):(\d+)`)
)

// end is how a process that stands still is ended.
type end struct {
	name string
	do   func(*testbed.Cluster, *testbed.Node)
}

func ends() []end {
	return []end{
		{"supervisor killed", func(_ *testbed.Cluster, n *testbed.Node) { n.KillSupervisor() }},
		{"container killed", func(_ *testbed.Cluster, n *testbed.Node) { n.Kill9(); n.Start() }},
		{"power lost", func(c *testbed.Cluster, n *testbed.Node) { c.PowerLoss(n); c.Start(n) }},
	}
}

// step is one durable step of a change, and what befalls the node there.
type step struct {
	change string
	onNew  bool   // on the heir of before, that may be the new primary; else on the old primary
	at     string // FILE:MOMENT:N
	end    int    // of ends
}

func (s step) String() string {
	node := "old primary"
	if s.onNew {
		node = "heir"
	}
	return fmt.Sprintf("%s, %s at %s, %s", s.change, node, s.at, ends()[s.end].name)
}

// steps is a cluster of two that is interrupted again and again.
type steps struct {
	stage
	load    *testbed.Running
	round   int
	reached int
	seen    map[string]bool // FILE:MOMENT that a node passed
}

// stopped is two nodes that can be stopped at a crash point.
func stopped(fs string) testbed.ClusterSpec {
	return testbed.ClusterSpec{Nodes: 2, Major: 17, VIP: true, FS: fs, Env: map[string]string{
		durable.CrashEnv: "@" + crashFile, durable.CrashLogEnv: "1",
	}}
}

func newSteps(t *testing.T, fs string, r *rand.Rand) *steps {
	t.Helper()
	c := testbed.RunCluster(t, stopped(fs))
	c.WaitWhole(2 * long)
	l := c.Load()
	l.Think = 10 * time.Millisecond // hundreds of rounds: their time is that of the changes
	prepare(t, l)
	load := l.Start(t.Context())
	return &steps{stage: stage{t: t, r: r, c: c}, load: load, seen: map[string]bool{}}
}

// interrupt brings a change about, ends the node where the step says, and waits
// until the cluster is whole by itself.
func (s *steps) interrupt(st step) {
	s.t.Helper()
	k := slices.IndexFunc(changes(), func(k change) bool { return k.name == st.change })
	s.old = s.c.WaitWhole(2 * long)
	s.new = s.c.Others(s.old)[0]
	s.victim, s.undo = s.old, nil
	if st.onNew {
		s.victim = s.new
	}
	s.load.Lap()
	if before := changes()[k].before; before != nil {
		before(&s.stage)
	}
	since := time.Now()
	still := s.standsStill(st.at, func() { changes()[k].do(&s.stage) })
	if still {
		s.note(since) // a loss of power takes the log along
		s.reached++
		if s.r.IntN(3) == 0 { // the others may act meanwhile
			time.Sleep(time.Duration(s.r.IntN(2500)) * time.Millisecond)
		}
		ends()[st.end].do(s.c, s.victim)
	}
	s.heal()
	next := s.c.WaitWhole(2 * long)
	flowing(s.t, s.load)
	s.note(since)
	s.t.Logf("%s (%s): reached %v, %s is the primary, was %s: %v", st, s.victim.Host, still, next.Host, s.old.Host, s.load.Lap())
}

// standsStill reports whether the victim came to stand at a point of what is
// done; then it is cut short.
func (s *steps) standsStill(at string, do func()) bool {
	s.t.Helper()
	s.round++
	s.arm(at)
	var still atomic.Bool
	ctx, cancel := context.WithCancel(s.t.Context())
	s.ctx = ctx
	watched := s.watch(ctx, time.Now(), func() { still.Store(true); cancel() })
	do()
	s.arm("")
	if !still.Load() {
		time.Sleep(time.Second) // what the nodes and the log say may be older than where the victim stands
	}
	cancel()
	<-watched
	return still.Load()
}

// arm says where the victim is to stand still. The number makes each content
// another one, so that the passings are counted anew.
func (s *steps) arm(at string) {
	for _, n := range s.c.Nodes {
		text := ""
		if n == s.victim {
			text = at
		}
		n.Write(testbed.File{Path: crashFile, Data: fmt.Sprintf("%s\n%d %t\n", text, s.round, at == "")})
	}
}

// watch calls back once the victim stands still.
func (s *steps) watch(ctx context.Context, since time.Time, found func()) <-chan struct{} {
	done, n := make(chan struct{}), s.victim.Container
	go func() {
		defer close(done)
		for ctx.Err() == nil { // a log ends with its container's run
			if n.FindLog(ctx, since, standing) != "" {
				found()
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		if standing.MatchString(n.LogsSince(since)) {
			found()
		}
	}()
	return done
}

// note remembers which points the nodes have passed.
func (s *steps) note(since time.Time) {
	for _, n := range s.c.Nodes {
		for _, m := range passed.FindAllStringSubmatch(n.LogsSince(since), -1) {
			s.seen[m[1]] = true
		}
	}
}

// heal undoes what the change did to the cluster.
func (s *steps) heal() {
	for _, undo := range s.undo {
		undo()
	}
	s.ordered.Wait()
	for _, n := range s.c.Nodes {
		if !n.Inspect().Running {
			n.Start()
		}
	}
}

// finish counts the commits, and holds the list of steps to what was passed.
func (s *steps) finish(tried int) {
	s.t.Helper()
	s.t.Logf("%d of %d steps were reached; %v", s.reached, tried, s.c.Audit(s.load))
	known := map[string]bool{}
	for _, st := range allSteps() {
		file, rest, _ := strings.Cut(st.at, ":")
		moment, _, _ := strings.Cut(rest, ":")
		known[file+":"+moment] = true
	}
	for at := range s.seen {
		if !known[at] {
			s.t.Errorf("%s is passed while roles change, and no step of this test ends a node there", at)
		}
	}
	// How often a file is written depends on how fast who answers, so not each is.
	if 2*s.reached < tried {
		s.t.Errorf("only %d of %d steps were reached", s.reached, tried)
	}
}

// clusterSteps is how many steps one cluster goes through before its commits
// are counted.
const clusterSteps = 40

func TestANodeThatEndsAtAnyDurableStepOfAChangeOfRolesLosesNothingAndTheClusterHeals(t *testing.T) {
	t.Parallel()
	r := testbed.Seed(t)
	all := inOrder(r, allSteps())
	i := 0
	for some := range slices.Chunk(all[:testbed.Rounds(10, len(all))], clusterSteps) {
		fs := []string{"xfs", "ext4"}[i%2]
		i++
		random := rand.New(rand.NewPCG(r.Uint64(), 0))
		t.Run(fmt.Sprintf("%d on %s", i, fs), func(t *testing.T) {
			t.Parallel()
			s := newSteps(t, fs, random)
			for _, st := range some {
				s.interrupt(st)
			}
			s.finish(len(some))
		})
	}
}

// TestAClusterWhoseFirstNodeEndsAtAnyDurableStepOfItsBirthComesToBe: one, and
// not two of them.
func TestAClusterWhoseFirstNodeEndsAtAnyDurableStepOfItsBirthComesToBe(t *testing.T) {
	t.Parallel()
	r := testbed.Seed(t)
	all := inOrder(r, stepsOf("birth", false, birth))
	for i, st := range all[:testbed.Rounds(1, len(all))] {
		t.Run(st.at+" "+ends()[st.end].name, func(t *testing.T) {
			c := testbed.NewCluster(t, stopped([]string{"xfs", "ext4"}[i%2]))
			s := &steps{stage: stage{t: t, r: r, c: c, victim: c.Node("n1")}}
			still := s.standsStill(st.at, func() { c.Start(); s.untilWhole() })
			if still {
				ends()[st.end].do(c, s.victim)
			}
			c.WaitWhole(2 * long)
			l := c.Load()
			prepare(t, l)
			load := l.Start(t.Context())
			flowing(t, load)
			t.Logf("reached %v; %v", still, c.Audit(load))
		})
	}
}
