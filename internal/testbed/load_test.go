package testbed

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestLoadAgainstACrash kills the server under load and audits; then it
// plants damage into the very table and expects the audit to see it.
func TestLoadAgainstACrash(t *testing.T) {
	t.Parallel()
	for _, explicit := range []bool{false, true} {
		t.Run(map[bool]string{false: "autocommit", true: "explicit"}[explicit], func(t *testing.T) {
			t.Parallel()
			c := runPlain(t)
			l := Load{Target: c.DSN, Think: time.Millisecond, Explicit: explicit, Timeout: 30 * time.Second}
			run := startLoad(t, l)
			quiet := run.Lap()
			if quiet.Acked < 4*50 || quiet.Failed != 0 { // a busy machine may accept a connection too late
				t.Errorf("before the crash: %v %q", quiet, quiet.Errors)
			}
			if _, err := run.Audit(t.Context(), c.DB()); err == nil {
				t.Error("a running load was audited")
			}
			backend, ok := c.Find(func(p Process) bool { return strings.Contains(strings.Join(p.Cmdline, " "), "postgres: walwriter") })
			if !ok {
				t.Fatal("no WAL writer")
			}
			killed := time.Now()
			c.Signal(backend, syscall.SIGKILL) // all sessions end, the server recovers
			c.Eventually(long, "the crash is noticed", func() bool { return run.Between(killed, time.Now()).Failed > 0 })
			flow(t, run, 50)
			crash := run.Lap()
			if crash.Failed == 0 || crash.Gap < backOff {
				t.Errorf("the crash went unnoticed: %v; before: %v", crash, quiet)
			}
			run.Stop()
			rep, err := run.Audit(t.Context(), c.DB())
			t.Log(rep)
			if err != nil || rep.Err() != nil {
				t.Fatalf("audit: %v, %v", err, rep.Err())
			}
			plant(t, c, run)
		})
	}
}

func plant(t *testing.T, c *Container, run *Running) {
	for _, p := range []struct {
		sql                   string
		lost, double, unknown int
	}{
		{"delete from pgbaton_load where writer = 1 and n = 3", 1, 0, 0},
		{"insert into pgbaton_load select * from pgbaton_load where writer = 2 and n in (4, 5)", 1, 2, 0},
		{"insert into pgbaton_load values (9, 9)", 1, 2, 1},
	} {
		if _, err := c.DB().Exec(p.sql); err != nil {
			t.Fatal(err)
		}
		rep, err := run.Audit(t.Context(), c.DB())
		if err != nil || rep.Lost != p.lost || rep.Duplicated != p.double || rep.Unknown != p.unknown || rep.OK() {
			t.Errorf("after %q: %v, %v", p.sql, rep, err)
		}
	}
}

func TestLoadWithBounds(t *testing.T) {
	t.Parallel()
	c := runPlain(t)
	// Longer than a busy disk takes: what is in doubt is not acknowledged.
	l := Load{Target: c.DSN, Writers: 2, Commits: 50, Table: "counted", Timeout: time.Minute}
	if err := l.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	run := l.Start(t.Context())
	rep, err := run.Audit(t.Context(), c.DB())
	if err != nil || !rep.OK() || rep.Acked != 100 {
		t.Errorf("counted load: %v, %v", rep, err)
	}
	run = Load{Target: c.DSN, For: 200 * time.Millisecond, Table: "counted"}.Start(t.Context())
	if s := run.Wait(); s.Elapsed < 200*time.Millisecond || s.Elapsed > time.Minute { // it ends after the statements at hand
		t.Errorf("a load of 200 ms took %v", s.Elapsed)
	}
	// Rows of an earlier load are rows that this one never acknowledged, or
	// duplicates of its own.
	if rep, err := run.Audit(t.Context(), c.DB()); err != nil || rep.OK() {
		t.Errorf("rows of another load passed: %v, %v", rep, err)
	}
}

// TestFrozenServerLeavesDoubt stops the clock of the server: the client's own
// deadline ends the wait, the row is in doubt and never sent again.
func TestFrozenServerLeavesDoubt(t *testing.T) {
	t.Parallel()
	c := runPlain(t)
	// More than a busy machine takes for a commit.
	const timeout = 2 * time.Second
	run := startLoad(t, Load{Target: c.DSN, Writers: 2, Timeout: timeout})
	began := time.Now()
	c.Pause()
	Eventually(t, time.Minute, "both writers are in doubt", func() bool { return run.Between(began, time.Now()).InDoubt >= 2 })
	c.Unpause()
	flow(t, run, 20)
	if s := run.Stop(); s.Gap < timeout {
		t.Errorf("after a freeze: %v %q", s, s.Errors)
	}
	rep, err := run.Audit(t.Context(), c.DB())
	if err != nil || rep.Err() != nil {
		t.Errorf("audit: %v, %v", err, rep.Err())
	}
}

func startLoad(t *testing.T, l Load) *Running {
	t.Helper()
	if err := l.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	run := l.Start(t.Context())
	flow(t, run, 50)
	return run
}

func flow(t *testing.T, run *Running, commits int) {
	t.Helper()
	if err := run.Flowing(t.Context(), commits); err != nil {
		t.Fatal(err)
	}
}
