package upgradetest

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// act is something that follows the switch, and is interrupted too.
type act struct {
	name string
	ground
}

// The acts: the way back by itself, after a veto; the way back on an
// operator's order; the removal of the old cluster.
const (
	veto   = "the automatic way back"
	undo   = "undo"
	finish = "finish"
)

var acts = []act{
	{veto, ground{node.ModeLink, "ext4", false, true}},
	{undo, ground{node.ModeCopy, "ext4", true, true}},
	{finish, ground{node.ModeLink, "ext4", true, false}},
	{veto, ground{node.ModeLink, "xfs", true, false}},
	{undo, ground{node.ModeClone, "xfs", false, false}},
	{finish, ground{node.ModeCopy, "ext4", false, true}},
	{veto, ground{node.ModeLink, "ext4", true, true}},
}

func (a act) String() string { return a.name + ", " + a.ground.String() }

// vetoHook turns an upgrade round after the switch.
var vetoHook = testbed.File{Path: "/etc/pgbaton/hooks.d/veto", Mode: 0o755, Data: "#!/bin/sh\n[ \"$1 $2\" != 'before start' ]\n"}

// trip is one act on a loop mount.
type trip struct {
	act
	t      *testing.T
	loop   *testbed.Loop
	c      *testbed.Container
	before testbed.Contents
	load   *testbed.Running
	passed int // crash points that the act found behind it
}

func (tr *trip) start(env ...string) {
	tr.t.Helper()
	s := tr.spec(tr.loop, env...)
	if tr.name == veto {
		s.Files = []testbed.File{vetoHook}
	}
	tr.c = testbed.Run(tr.t, s)
}

// set goes as far as the beginning of the act.
func set(t *testing.T, a act, env ...string) *trip {
	t.Helper()
	tr := &trip{act: a, t: t, loop: seededLoop(t, a.template(), a.fs, loopSize)}
	tr.start(env...)
	serves(t, tr.c, 15)
	tr.before = testbed.SnapshotRows(tr.c, testbed.Access{})
	tr.load = begin(t, tr.c)
	tr.load.Stop() // what is written later stays behind by undo
	was := drop(t, tr.loop.Path(), fmt.Sprintf("target: 17\nmode: %s\nanalyze: off\ntrial: off\n", a.mode))
	if a.name == veto {
		return tr
	}
	became(t, tr.c, tr.loop.Path(), was, node.UpgradeDone)
	tr.c.WaitReady(long)
	tr.passed = strings.Count(tr.c.Logs(), "pgbaton: crash point ")
	go func() { // it stands still with the supervisor
		for {
			r, err := tr.c.TryDo(t.Context(), testbed.Command{Args: []string{"pgbaton", "upgrade", a.name, "--yes"}, Timeout: long})
			if err != nil || !busy(r) { // as give
				return
			}
		}
	}()
	return tr
}

// ended waits until nothing is under way any more and somebody is served.
func (tr *trip) ended() node.Upgrade {
	tr.t.Helper()
	var u node.Upgrade
	tr.c.Eventually(long, tr.name+" has ended", func() bool {
		if !tr.c.Inspect().Running {
			tr.t.Fatal("the container ended")
		}
		u = journal(tr.t, tr.loop.Path())
		s := u.Step()
		return u.Outcome != node.UpgradeRunning && !u.Ended.IsZero() && s == nil
	})
	tr.c.WaitReady(long)
	return journal(tr.t, tr.loop.Path())
}

// wanted is how an act ends.
func (a act) wanted() node.Outcome {
	if a.name == finish {
		return node.UpgradeFinished
	}
	return node.UpgradeUndone
}

// points lists the crash points of an act.
func (a act) points(t *testing.T) []string {
	t.Helper()
	tr := set(t, a, durable.CrashLogEnv+"=1")
	tr.c.Eventually(long, "it is "+string(a.wanted()), func() bool { return journal(t, tr.loop.Path()).Outcome == a.wanted() })
	tr.ended()
	var list []string
	seen := map[string]bool{}
	after := a.name != veto
	for i, m := range regexp.MustCompile(`pgbaton: crash point (\S+)`).FindAllStringSubmatch(tr.c.Logs(), -1) {
		p := moving.ReplaceAllString(m[1], "*")
		after = after || p == "switch:done:1"
		if i >= tr.passed && after && !seen[p] {
			seen[p] = true
			list = append(list, p)
		}
	}
	tr.c.Remove()
	if len(list) < 4 {
		t.Fatalf("%s passes only the crash points %v", a, list)
	}
	t.Logf("%s: %d points", a, len(list))
	return list
}

// Whatever interrupts the way back or the removal, it is gone on with: the old
// cluster, or the new one, is served complete.
func TestTheWayBackAndTheRemovalOfTheOldClusterAreGoneOnWithAfterAnInterruptionAtAnyCrashPoint(t *testing.T) {
	t.Parallel()
	random := testbed.Seed(t)
	chosen := slices.Clone(acts)
	if !testbed.Soak() {
		chosen = chosen[:3]
	}
	type point struct {
		act
		at string
	}
	var all []point
	var mu sync.Mutex
	t.Run("listing", func(t *testing.T) {
		for _, a := range chosen {
			t.Run(a.String(), func(t *testing.T) {
				t.Parallel()
				list := a.points(t)
				mu.Lock()
				defer mu.Unlock()
				for _, at := range list {
					all = append(all, point{a, at})
				}
			})
		}
	})
	total := len(all)
	slices.SortFunc(all, func(a, b point) int { return strings.Compare(a.at+a.String(), b.at+b.String()) })
	random.Shuffle(total, func(i, j int) { all[i], all[j] = all[j], all[i] })
	all = spread(all, testbed.Rounds(3, total), func(p point) string { return p.name })
	covered, outcomes := 0, map[node.Outcome]int{}
	t.Run("points", func(t *testing.T) {
		for _, p := range all {
			t.Run(p.at+" "+p.String(), func(t *testing.T) {
				t.Parallel()
				if late(t) {
					return
				}
				tr := set(t, p.act, durable.CrashEnv+"="+p.at)
				tr.c.WaitLog("standing still at crash point "+regexp.QuoteMeta(p.at), long)
				tr.cut()
				u := tr.goesOn()
				mu.Lock()
				defer mu.Unlock()
				covered++
				outcomes[u.Outcome]++
			})
		}
	})
	t.Logf("%d of %d points covered; outcomes %v", covered, total, outcomes)
}

func (tr *trip) cut() {
	tr.t.Helper()
	interrupt(tr.t, tr.c, tr.loop, tr.power)
}

// goesOn starts the node again and fails unless it comes to a good end.
func (tr *trip) goesOn() node.Upgrade {
	t := tr.t
	t.Helper()
	tr.start()
	u := tr.ended()
	switch u.Outcome {
	case tr.wanted():
	case node.UpgradeDone: // the order was not written down yet
		if tr.name == veto {
			t.Errorf("the veto is forgotten: %s", describe(u))
			break
		}
		r := give(t, tr.c, tr.name, "--yes")
		if r.Code != 0 {
			t.Fatalf("%s once more: exit code %d: %s%s", tr.name, r.Code, r.Stdout, r.Stderr)
		}
		u = tr.ended()
	case node.UpgradeFailed: // given up before anything was stopped again
	default:
		t.Fatal(describe(u))
	}
	tr.c.Eventually(long, fmt.Sprintf("the result file says %q as the journal does, which is written first", u.Outcome), func() bool {
		res := result(t, tr.loop.Path())
		return res.Outcome == u.Outcome && res.ID == u.ID
	})
	major := 15
	if tr.name == finish {
		major = 17
	}
	serves(t, tr.c, major)
	same(t, withoutUnlogged(tr.before), withoutUnlogged(testbed.SnapshotRows(tr.c, testbed.Access{})))
	audited(t, tr.load, tr.c)
	if tr.name != undo {
		nothingLeft(t, tr.loop.Path())
	} else if kept, _ := filepath.Glob(filepath.Join(tr.loop.Path(), ".pgbaton/retired/*")); len(kept) != 1 {
		t.Errorf("kept: %v, want the new cluster alone", kept)
	}
	stopped(t, tr.c)
	tr.c.Start()
	serves(t, tr.c, major)
	time.Sleep(time.Second)
	if again := journal(t, tr.loop.Path()); again.Outcome != u.Outcome {
		t.Errorf("after another start it is %q", again.Outcome)
	}
	return u
}
