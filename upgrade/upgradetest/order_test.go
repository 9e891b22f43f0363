package upgradetest

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// order gives an order of the command line and returns what became of it.
func order(t *testing.T, c *testbed.Container, code int, args ...string) node.Upgrade {
	t.Helper()
	r := give(t, c, append(args, "-o", "json")...)
	if r.Code != code {
		t.Fatalf("pgbaton upgrade %v: exit code %d, not %d\n%s%s", args, r.Code, code, r.Stdout, r.Stderr)
	}
	var u node.Upgrade
	if r.Stdout != "" {
		if err := json.Unmarshal([]byte(r.Stdout), &u); err != nil {
			t.Fatalf("pgbaton upgrade %v: %v: %s", args, err, r.Stdout)
		}
	}
	return u
}

// give is order for any answer. What has just ended counts as under way for a
// moment: its end is told before the supervisor has written all of it down.
func give(t *testing.T, c *testbed.Container, args ...string) (r testbed.Result) {
	t.Helper()
	c.Eventually(long, "nothing else is under way", func() bool {
		r = c.Do(testbed.Command{Args: append([]string{"pgbaton", "upgrade"}, args...), Timeout: long})
		return !busy(r)
	})
	return r
}

// busy reports whether an order was refused because of another one.
func busy(r testbed.Result) bool {
	return r.Code != 0 && strings.Contains(r.Stderr, "an upgrade is under way; nothing was changed")
}

// A copy can be left again, with what was written since kept aside; and an
// upgrade after that one can be finished.
func TestAnUpgradeByCopyCanBeUndoneAndBegunAgainAndFinished(t *testing.T) {
	t.Parallel()
	volume := seeded(t, rows(15))
	c := testbed.Run(t, spec(15, testbed.Bind(volume, home)))
	serves(t, c, 15)
	c.MustExec("install", "-d", "-o", "postgres", "-g", "postgres", "-m", "0700", home+"/space")
	psql(t, c, "create tablespace space location '"+home+"/space'")
	psql(t, c, "create table elsewhere (n int primary key) tablespace space")
	psql(t, c, "insert into elsewhere select generate_series(1, 1000)")
	versions := func(want ...string) {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(volume, "space/PG_*"))
		for i := range found {
			found[i], _, _ = strings.Cut(strings.TrimPrefix(filepath.Base(found[i]), "PG_"), "_")
		}
		if err != nil || !slices.Equal(found, want) {
			t.Errorf("the tablespace holds the majors %v, want %v; %v", found, want, err)
		}
	}
	before := testbed.Snapshot(c, testbed.Access{})

	// What is only looked at changes nothing.
	if u := order(t, c, 0, "check"); u.Outcome != node.UpgradeChecked || u.To != 18 {
		t.Fatal(describe(u))
	}
	serves(t, c, 15)

	u := order(t, c, 0, "now", "--mode", "copy", "--target", "17")
	if u.Outcome != node.UpgradeDone || u.Trigger != node.ByCommand {
		t.Fatal(describe(u))
	}
	serves(t, c, 17)
	versions("15", "17")
	psql(t, c, "create table since_then (n int) tablespace space")
	u = order(t, c, 0, "undo", "--yes")
	if u.Outcome != node.UpgradeUndone {
		t.Fatal(describe(u))
	}
	serves(t, c, 15)
	same(t, before, testbed.Snapshot(c, testbed.Access{}))
	if kept, _ := filepath.Glob(filepath.Join(volume, ".pgbaton/retired/*-undone-17/PG_VERSION")); len(kept) != 1 {
		t.Errorf("the cluster with the writes since is kept at %v", kept)
	} else {
		// Its tablespaces lie where another one of that major would have them.
		if u := order(t, c, 1, "now", "--mode", "link", "--target", "17"); u.Outcome != node.UpgradeRefused {
			t.Fatal(describe(u))
		} else {
			says(t, describe(u), "/space/PG_17_")
		}
		c.MustExec("bash", "-c", "rm -rf "+home+"/.pgbaton/retired/*-undone-17 "+home+"/space/PG_17_*")
	}
	if u := order(t, c, 0, "now", "--mode", "link", "--target", "17"); u.Outcome != node.UpgradeDone {
		t.Fatal(describe(u))
	}
	serves(t, c, 17)
	// Links leave no way back, and it says so.
	r := give(t, c, "undo", "--yes")
	if r.Code == 0 || !strings.Contains(r.Stdout+r.Stderr, "link") {
		t.Errorf("undo after link: exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	serves(t, c, 17)
	retired := result(t, volume).Retired
	if u := order(t, c, 0, "finish", "--yes"); u.Outcome != node.UpgradeFinished {
		t.Fatal(describe(u))
	}
	if _, err := os.Stat(filepath.Join(volume, strings.TrimPrefix(retired, home))); !os.IsNotExist(err) {
		t.Errorf("the old cluster is at %s still: %v", retired, err)
	}
	versions("17")
	same(t, before, testbed.Snapshot(c, testbed.Access{}))
	if u := order(t, c, 0, "now"); u.Outcome != node.UpgradeDone || u.To != 18 {
		t.Fatal(describe(u))
	}
	serves(t, c, 18)
	same(t, before, testbed.Snapshot(c, testbed.Access{}))
}

// A rehearsal says what would happen, and leaves everything as it is.
func TestARehearsalLeavesNothingBehindAndForetellsTheOutage(t *testing.T) {
	t.Parallel()
	volume := seeded(t, rows(15))
	c := testbed.Run(t, spec(15, testbed.Bind(volume, home)))
	serves(t, c, 15)
	load := begin(t, c)
	started := psql(t, c, "select pg_postmaster_start_time()")
	before := testbed.Snapshot(c, testbed.Access{})
	u := became(t, c, volume, drop(t, volume, "rehearse: true\ntarget: 17\n"), node.Rehearsed)
	t.Log(describe(u))
	if u.Forecast <= 0 {
		t.Error("it foretells no outage")
	}
	if now := psql(t, c, "select pg_postmaster_start_time()"); now != started {
		t.Fatal("the server was started again")
	}
	nothingLeft(t, volume)
	same(t, before, testbed.Snapshot(c, testbed.Access{}))
	real := became(t, c, volume, drop(t, volume, "target: 17\n"), node.UpgradeDone)
	t.Logf("forecast %v, outage %v", u.Forecast.Round(time.Millisecond), real.Outage.Round(time.Millisecond))
	audited(t, load, c)
	same(t, before, testbed.Snapshot(c, testbed.Access{}))
}

// hooked is a node with hooks, which root wrote into a directory of the host.
func hooked(t *testing.T, volume, script string, mode os.FileMode, env ...string) *testbed.Container {
	t.Helper()
	s := spec(15, testbed.Bind(volume, home), env...)
	s.Files = []testbed.File{{Path: "/etc/pgbaton/hooks.d/10-test", Data: script, Mode: int64(mode)}}
	c := testbed.Run(t, s)
	serves(t, c, 15)
	return c
}

func TestAHookMayVetoEachStepBeforeThePointOfNoReturnAndTheOldServerServes(t *testing.T) {
	for _, step := range []node.StepName{node.StepPreflight, node.StepPrepare, node.StepStop, node.StepPgUpgrade, node.StepSwitch, node.StepStart} {
		for _, when := range []string{"before", "after"} {
			if step == node.StepStart && when == "after" {
				continue // there is no way back from a linked cluster's start
			}
			if !testbed.Soak() && (step == node.StepPrepare || step == node.StepPgUpgrade) != (when == "after") {
				continue
			}
			t.Run(when+" "+string(step), func(t *testing.T) {
				t.Parallel()
				volume := seeded(t, rows(15))
				c := hooked(t, volume, "#!/bin/sh\necho \"hook $1 $2\" >&2\n[ \"$1 $2\" != '"+when+" "+string(step)+"' ] || { echo no, not now >&2; exit 3; }\n", 0o755)
				before := testbed.Snapshot(c, testbed.Access{})
				u := became(t, c, volume, drop(t, volume, "target: 17\nmode: link\ntrial: off\n"), node.UpgradeUndone, node.UpgradeFailed, node.UpgradeRefused)
				says(t, describe(u), "10-test", "vetoes")
				says(t, c.Logs(), "no, not now")
				serves(t, c, 15)
				same(t, before, testbed.Snapshot(c, testbed.Access{}))
				nothingLeft(t, volume)
			})
		}
	}
}

func TestAHookThatHangsIsKilledAndOneThatOthersCouldWriteIsNeverRun(t *testing.T) {
	t.Run("hangs", func(t *testing.T) {
		t.Parallel()
		volume := seeded(t, rows(15))
		c := hooked(t, volume, "#!/bin/sh\n[ \"$2\" != pg_upgrade ] || sleep 987654\n", 0o755, "PGBATON_HOOK_TIMEOUT=2s")
		u := became(t, c, volume, drop(t, volume, "17"), node.UpgradeUndone, node.UpgradeFailed)
		says(t, describe(u), "10-test", "2s")
		serves(t, c, 15)
		if p, runs := c.Find(func(p testbed.Process) bool { return strings.Contains(strings.Join(p.Cmdline, " "), "987654") }); runs {
			t.Errorf("what the hook started runs still: %v", p)
		}
	})
	t.Run("writable", func(t *testing.T) {
		t.Parallel()
		volume := seeded(t, rows(15))
		c := hooked(t, volume, "#!/bin/sh\ntouch /tmp/ran\n", 0o777)
		u := became(t, c, volume, drop(t, volume, "17"), node.UpgradeUndone, node.UpgradeFailed, node.UpgradeRefused)
		says(t, describe(u), "10-test", "others than root")
		serves(t, c, 15)
		if r := c.Exec("test", "-e", "/tmp/ran"); r.Code == 0 {
			t.Error("the hook was run")
		}
	})
}

// docker stop in the middle of it: the container ends within its grace, and
// the next one goes on.
func TestAStopWhileItUpgradesEndsWithinTheGraceAndTheNextStartGoesOn(t *testing.T) {
	random := testbed.Seed(t)
	for _, station := range visited(random) {
		jitter := time.Duration(random.Int64N(int64(200 * time.Millisecond)))
		t.Run(station, func(t *testing.T) {
			t.Parallel()
			volume := seeded(t, rows(15))
			c := testbed.Run(t, spec(15, testbed.Bind(volume, home)))
			serves(t, c, 15)
			before := testbed.SnapshotRows(c, testbed.Access{})
			load := begin(t, c)
			was := drop(t, volume, "target: 17\nmode: link\ntrial: off\n")
			c.WaitLog(station, long)
			time.Sleep(jitter)
			at := doing(journal(t, volume)) + ": " + lastPhase(c.Logs())
			code, took := c.Stop(time.Minute)
			t.Logf("docker stop in %s ended with %d after %v", at, code, took)
			if code != 0 { // SIGKILL at the end of the grace is another
				t.Errorf("docker stop ended with %d after %v", code, took)
			}
			c.Start()
			u := became(t, c, volume, was, node.UpgradeDone)
			t.Logf("then %s, attempt %d", u.Outcome, u.Attempt)
			serves(t, c, 17)
			audited(t, load, c)
			same(t, before, testbed.SnapshotRows(c, testbed.Access{}))
		})
	}
}

// began waits until a request has been taken up.
func began(t *testing.T, c *testbed.Container, volume string, before node.Upgrade) {
	t.Helper()
	c.Eventually(long, "the upgrade begins", func() bool {
		u := result(t, volume)
		return u.ID != "" && u.ID != before.ID
	})
}

// doing names the step that an upgrade is in.
func doing(u node.Upgrade) string {
	if s := u.Step(); s != nil {
		return string(s.Name)
	}
	return string(u.Outcome)
}

// A second marker while the first is carried out waits for its turn or is
// refused: never two at a time.
func TestASecondMarkerMeanwhileIsNeverASecondUpgradeAtTheSameTime(t *testing.T) {
	t.Parallel()
	volume := seeded(t, rows(15))
	c := testbed.Run(t, spec(15, testbed.Bind(volume, home)))
	serves(t, c, 15)
	was := drop(t, volume, "17")
	began(t, c, volume, was)
	drop(t, volume, "18")
	r := c.Exec("pgbaton", "upgrade", "now", "--target", "18", "--no-wait")
	if r.Code == 0 {
		t.Errorf("an order meanwhile is accepted: %s", r.Stdout)
	}
	first := became(t, c, volume, was, node.UpgradeDone)
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	for ctx.Err() == nil {
		if _, err := os.Stat(filepath.Join(volume, "upgrade")); os.IsNotExist(err) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if u := result(t, volume); u.ID != first.ID {
		u = became(t, c, volume, first, node.UpgradeDone, node.UpgradeRefused)
		t.Log(describe(u))
	}
	c.WaitReady(long)
}
