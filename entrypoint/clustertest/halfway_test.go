package clustertest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// snare holds a node's next promotion inside of PostgreSQL: a pipe that nobody
// opens on its other side lies in the place of a file that the startup process
// opens there.
type snare struct {
	n                    *testbed.Node
	set, caught, release string // commands in pg_wal
	held                 []testbed.Process
}

// history is the name of a timeline's history file.
func history(timeline uint32) string { return fmt.Sprintf("%08X.history", timeline) }

// unlisted holds it after standby.signal is gone and before the new timeline's
// history is written, which takes over that of the present one, above 1.
func unlisted(n *testbed.Node, timeline uint32) *snare {
	return &snare{
		n: n, set: fmt.Sprintf("cp -p %[1]s snare.kept && mkfifo snare && mv snare %[1]s", history(timeline)),
		caught:  "test ! -e ../standby.signal",
		release: "mv snare.kept " + history(timeline),
	}
}

// listed holds it after the history is written, where WAL is archived.
func listed(n *testbed.Node, timeline uint32) *snare {
	next := history(timeline + 1)
	return &snare{
		n: n, set: fmt.Sprintf("mkfifo archive_status/%s.ready", next),
		caught:  "test -s " + next,
		release: fmt.Sprintf("rm archive_status/%s.ready", next),
	}
}

func (s *snare) do(command string) testbed.Result {
	return s.n.Do(testbed.Command{Args: []string{"sh", "-c", "cd /var/lib/postgresql/17/docker/pg_wal && " + command}, User: "postgres"})
}

func (s *snare) lay(t *testing.T) {
	t.Helper()
	if r := s.do(s.set); r.Code != 0 {
		t.Fatalf("lay a snare: %v", r)
	}
}

// catches reports whether the promotion comes to be held within some time. The
// file is as it was then. The startup process, which would look again with each
// signal that it gets, stands still.
func (s *snare) catches(t *testing.T, within time.Duration) bool {
	t.Helper()
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if s.do(s.caught).Code == 0 {
			s.held = children(t, s.n, "startup")
			for _, p := range s.held {
				s.n.Signal(p, syscall.SIGSTOP)
			}
			return s.do(s.release).Code == 0
		}
	}
	s.do("test ! -e snare.kept || timeout 1 sh -c 'cat snare.kept > " + s.pipe() + "'; " + s.release)
	return false
}

func (s *snare) pipe() string { return s.release[strings.LastIndexByte(s.release, ' ')+1:] }

// killInside ends the postmaster and what was held, or a process, after which
// the postmaster ends the others and starts again by itself, without
// standby.signal.
func (s *snare) killInside(t *testing.T, all bool) {
	t.Helper()
	if !all {
		for _, p := range children(t, s.n, "checkpointer") {
			s.n.Signal(p, syscall.SIGKILL)
		}
		return
	}
	s.n.KillPostmaster()
	for _, p := range s.held {
		s.n.Signal(p, syscall.SIGKILL)
	}
}

// children are the processes of a node's postmaster that have such a title.
func children(t *testing.T, n *testbed.Node, title string) []testbed.Process {
	t.Helper()
	return slices.DeleteFunc(postgres(t, n, true), func(p testbed.Process) bool {
		return !strings.Contains(strings.Join(p.Cmdline, " "), title)
	})
}

// TestAServerThatDiesInsideItsPromotionLosesNothingAndMakesOneHistory: the old
// primary has WAL that was never acknowledged, the heir dies while it is
// promoted, serves, and is then inherited by the old primary in its turn.
func TestAServerThatDiesInsideItsPromotionLosesNothingAndMakesOneHistory(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2, Args: []string{"postgres", "-c", "archive_mode=on", "-c", "archive_command=true"}})
	handOver(t, c.WaitWhole(long)) // the snare needs a timeline with a history
	for _, way := range []struct {
		name string
		lay  func(*testbed.Node, uint32) *snare
		all  bool
	}{
		{"before the history file", unlisted, true},
		{"after the history file", listed, true},
		{"before the history file, and postgres starts again by itself", unlisted, false},
	} {
		p := c.WaitWhole(2 * long)
		flowing(t, load)
		before := record(t, p)
		heir := c.Others(p)[0]
		s := way.lay(heir, before.Newest().Timeline)
		s.lay(t)
		heal := c.Isolate(p, false)
		if !s.catches(t, long) {
			t.Fatalf("%s: %s was never promoted", way.name, heir.Host)
		}
		s.killInside(t, way.all)
		becomes(c, heir)
		flowing(t, load)
		waitFor(c, heir, "has a timeline of its own", func(v testbed.View) bool {
			return v.Primary() && v.State.Cluster.Record.Newest().Timeline > before.Newest().Timeline
		})
		heal()
		expect(t, c.WaitWhole(2*long), heir, way.name)
		after := record(t, heir)
		newest := after.Newest()
		if newest.At <= before.Newest().At || after.Epoch != before.Epoch+1 {
			t.Errorf("%s: %+v", way.name, newest)
		}
		if relapsed := len(after.Promotions) > len(before.Promotions)+1; relapsed == way.all {
			t.Errorf("%s: the promotions are %+v", way.name, after.Promotions)
		}
		t.Logf("killed %s: timeline %d from %s", way.name, newest.Timeline, newest.At)
	}
	flowing(t, load)
	t.Log(c.Audit(load))
}

// dieInside kills the primary, and then the heir's postgres inside of its
// promotion. A cluster that was never promoted has no history to hold one with:
// then it is handed over only.
func dieInside(t *testing.T, r *rand.Rand, c *testbed.Cluster) (undo func()) {
	t.Helper()
	p := c.WaitWhole(2 * long)
	rec := record(t, p)
	timeline := rec.Newest().Timeline
	if rec.Heir == nil || timeline < 2 {
		_, _ = p.TryDo(t.Context(), testbed.Command{Args: []string{"pgbaton", "switchover", "--no-wait", "--yes"}})
		return nil
	}
	s := unlisted(c.Node(rec.Heir.Node), timeline)
	s.lay(t)
	if r.IntN(2) == 0 {
		p.KillPostmaster()
	} else {
		p.Kill9()
		undo = p.Start
	}
	if caught, all := s.catches(t, 20*time.Second), r.IntN(3) > 0; caught {
		t.Logf("%s dies inside its promotion, its postmaster too: %v", s.n.Host, all)
		s.killInside(t, all)
	}
	return undo
}
