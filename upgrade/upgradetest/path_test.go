package upgradetest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// hop is one upgrade of a path.
type hop struct {
	to   int
	mode node.UpgradeMode
}

// Every way between the majors, in every mode, one after the other too, with
// every kind of object in the cluster and clients that write all the time. The
// loads have a table each, made by the first major: what 17 makes itself the
// packages may not be able to bring to 18, what it was brought they can.
func TestEveryKindOfObjectAndEveryCommitSurviveAnUpgradeBetweenAllMajors(t *testing.T) {
	for _, p := range []struct {
		name string
		from int
		fs   string // empty: the host's
		hops []hop
	}{
		{"15 to 17 by links and 17 to 18 by copies", 15, "", []hop{{17, node.ModeLink}, {18, node.ModeCopy}}},
		{"15 to 18 by clones", 15, "xfs", []hop{{18, node.ModeClone}}},
		{"17 to 18 by links", 17, "", []hop{{18, node.ModeLink}}},
	} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			if p.from == 17 {
				upgradable(t, p.from, p.hops[0].to)
			}
			volume := ""
			if p.fs == "" {
				volume = seeded(t, everything(p.from))
			} else {
				volume = seededLoop(t, everything(p.from), p.fs, 1500<<20).Path()
			}
			c := testbed.Run(t, spec(p.from, testbed.Bind(volume, home)))
			serves(t, c, p.from)
			before := testbed.Snapshot(c, testbed.Access{})
			from := p.from
			loads := make([]testbed.Load, len(p.hops))
			for i := range loads {
				loads[i] = prepared(t, c, fmt.Sprintf("pgbaton_load_%d", i))
			}
			for i, h := range p.hops {
				load := loads[i].Start(t.Context())
				flowing(t, load)
				was := drop(t, volume, fmt.Sprintf("target: %d\nmode: %s\n", h.to, h.mode))
				u := became(t, c, volume, was, node.UpgradeDone)
				serves(t, c, h.to)
				flowing(t, load)
				audited(t, load, c)
				reported(t, volume, u, from, h)
				same(t, before, testbed.Snapshot(c, testbed.Access{}))
				from = h.to
			}
			t.Log(c.MustExec("pgbaton", "upgrade", "status"))
			// Another container goes on with it.
			stopped(t, c)
			c.Remove()
			c = testbed.Run(t, spec(p.from, testbed.Bind(volume, home)))
			serves(t, c, from)
			same(t, before, testbed.Snapshot(c, testbed.Access{}))
		})
	}
}

// reported fails unless the result says what was done.
func reported(t *testing.T, volume string, u node.Upgrade, from int, h hop) {
	t.Helper()
	t.Log(describe(u))
	if u.From != from || u.To != h.to || u.Mode != h.mode || u.Trigger != node.ByMarker || u.Do != node.UpgradeNow || u.Attempt != 1 {
		t.Errorf("the result is of another upgrade than %d to %d by %s", from, h.to, h.mode)
	}
	for _, s := range u.Steps {
		want := node.StepDone
		if s.Name == node.StepFinish {
			want = node.StepPending
		}
		if s.State != want {
			t.Errorf("step %s is %s, want %s", s.Name, s.State, want)
		}
	}
	if u.Outage <= 0 || u.Outage > u.Ended.Sub(u.Started) {
		t.Errorf("an outage of %v in an upgrade of %v", u.Outage, u.Ended.Sub(u.Started))
	}
	if _, err := os.Stat(filepath.Join(volume, "upgrade")); err == nil {
		t.Error("the marker is still there")
	}
	kept := filepath.Join(volume, u.Retired[len(home):])
	if text, err := os.ReadFile(filepath.Join(kept, "PG_VERSION")); err != nil || string(text) != fmt.Sprintf("%d\n", from) {
		t.Errorf("the old cluster at %s: %q, %v", u.Retired, text, err)
	}
}
