package faulttest

import (
	"context"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// victim is something to kill with SIGKILL while clients write.
type victim struct {
	name string
	kill func(t *testing.T, c *testbed.Container, random *rand.Rand)
}

var victims = []victim{
	{"init", func(_ *testing.T, c *testbed.Container, _ *rand.Rand) {
		c.Kill("KILL")
		c.Wait(long)
		c.Start()
	}},
	{"supervisor", func(t *testing.T, c *testbed.Container, _ *rand.Rand) {
		killSupervisor(t, c)
	}},
	{"postmaster", func(t *testing.T, c *testbed.Container, _ *rand.Rand) {
		c.Signal(anyPostmaster(t, c), syscall.SIGKILL)
	}},
	{"a backend", func(_ *testing.T, c *testbed.Container, random *rand.Rand) {
		var backends []testbed.Process
		for _, p := range c.Processes() {
			if p.Comm == "postgres" && strings.HasPrefix(strings.Join(p.Cmdline, " "), "postgres: postgres ") {
				backends = append(backends, p)
			}
		}
		if len(backends) > 0 { // none: it is in recovery from the kill before
			c.Signal(backends[random.IntN(len(backends))], syscall.SIGKILL)
		}
	}},
	{"the supervisor during pgbaton stop", func(t *testing.T, c *testbed.Container, _ *rand.Rand) {
		stopped := make(chan testbed.Result, 1)
		go func() {
			r, _ := c.TryDo(t.Context(), testbed.Command{Args: []string{"pgbaton", "stop"}})
			stopped <- r
		}()
		killSupervisor(t, c)
		<-stopped // done, or cut off with the supervisor: either is right
		ordered(t, c, "start")
	}},
	{"the postmaster during pgbaton start", func(t *testing.T, c *testbed.Container, _ *rand.Rand) {
		ordered(t, c, "stop", "--mode", "immediate")
		started := make(chan testbed.Result, 1)
		go func() {
			r, _ := c.TryDo(t.Context(), testbed.Command{Args: []string{"pgbaton", "start"}})
			started <- r
		}()
		c.Signal(anyPostmaster(t, c), syscall.SIGKILL)
		<-started
	}},
}

func killSupervisor(t *testing.T, c *testbed.Container) {
	t.Helper()
	var p testbed.Process
	c.Eventually(long, "a supervisor runs", func() (ok bool) { p, ok = c.Supervisor(); return ok })
	c.Signal(p, syscall.SIGKILL)
}

// anyPostmaster waits for one: the kill before may have been a moment ago.
func anyPostmaster(t *testing.T, c *testbed.Container) (p testbed.Process) {
	t.Helper()
	c.Eventually(long, "a postmaster runs", func() (ok bool) { p, ok = c.Postmaster(); return ok })
	return p
}

// ordered gives an order until a supervisor has taken it: there may be none for a
// moment after the kill before.
func ordered(t *testing.T, c *testbed.Container, order ...string) {
	t.Helper()
	c.Eventually(long, "pgbaton "+order[0]+" is carried out", func() bool {
		r, err := c.TryDo(t.Context(), testbed.Command{Args: append([]string{"pgbaton"}, order...)})
		return err == nil && r.Code == 0
	})
}

func TestEveryAcknowledgedCommitSurvivesKillsOfAnythingExactlyOnce(t *testing.T) {
	t.Parallel()
	random := testbed.Seed(t)
	c := testbed.Run(t, spec(testbed.Bind(seeded(t), home), "PGBATON_BACKOFF_MAX=1s"))
	served(t, c)
	load := testbed.Load{Target: c.DSN}
	if err := load.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	running := load.Start(t.Context())
	var order []victim
	for range testbed.Rounds(1, 50) {
		round := make([]victim, len(victims))
		for i, j := range random.Perm(len(victims)) {
			round[i] = victims[j]
		}
		order = append(order, round...)
	}
	for i, v := range order {
		// Killed at any moment, soon after the one before too.
		if err := flowing(t.Context(), running, random.IntN(40)); err != nil {
			t.Fatalf("before kill %d (%s): %v", i, v.name, err)
		}
		t.Logf("kill %d: %s", i, v.name)
		v.kill(t, c, random)
	}
	if err := flowing(t.Context(), running, 20); err != nil {
		t.Fatal(err)
	}
	running.Stop()
	served(t, c)
	audit(t, running, c)
	if code, _ := c.Stop(long); code != 0 {
		t.Errorf("docker stop ends with %d", code)
	}
}

func flowing(ctx context.Context, r *testbed.Running, n int) error {
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	return r.Flowing(ctx, n)
}
