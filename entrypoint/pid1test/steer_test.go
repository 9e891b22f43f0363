package pid1test

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// client is one session that stays connected.
type client struct {
	pid   int // of its backend
	alive func() bool
	leave func()
}

func session(t *testing.T, c *testbed.Container) client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	db := c.DB()
	db.SetMaxIdleConns(-1) // closing the session disconnects
	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	cl := client{leave: func() { conn.Close() }}
	if err := conn.QueryRowContext(ctx, "select pg_backend_pid()").Scan(&cl.pid); err != nil {
		t.Fatal(err)
	}
	cl.alive = func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		defer cancel()
		_, err := conn.ExecContext(ctx, "select 1")
		return err == nil
	}
	return cl
}

func TestPostgresIsStoppedStartedAndRestartedInEachModeWithTheContainerAlive(t *testing.T) {
	parallel(t)
	c := server(t)
	c.WaitReady(soon)
	first := c.Inspect().PID
	said := map[node.Mode]string{
		node.Smart: "received smart shutdown request", node.Fast: "received fast shutdown request", node.Immediate: "received immediate shutdown request",
	}
	for _, mode := range []node.Mode{node.Smart, node.Fast, node.Immediate} {
		began := time.Now()
		pm := postmasterOf(t, c)
		c.MustExec("pgbaton", "stop", "--mode", string(mode))
		c.WaitLogSince(began, said[mode], soon)
		if p, ok := c.Postmaster(); ok {
			t.Errorf("after a %s stop process %d is still there", mode, p.PID)
		}
		st := answer(t, c)
		if st.Phase != node.Stopped || !st.Halted || st.Ready || !strings.Contains(st.Why, "operator") {
			t.Errorf("after a %s stop the node is %s: %s", mode, st.Phase, st.Why)
		}
		if code, _ := readiness(t, c); code != 503 {
			t.Errorf("readiness while stopped is %d, want 503", code)
		}
		if out := c.MustExec("pgbaton", "stop"); !strings.Contains(out, "stopped") {
			t.Errorf("a second stop says %q", out)
		}
		c.MustExec("pgbaton", "start")
		if got := psql(t, c, "select 1"); got != "1" {
			t.Errorf("after start, select 1 is %q", got)
		}
		if p := postmasterOf(t, c); p.PID == pm.PID && p.Started == pm.Started {
			t.Error("the postmaster is the same after stop and start")
		}
		began, pm = time.Now(), postmasterOf(t, c)
		c.MustExec("pgbaton", "restart", "--mode", string(mode))
		c.WaitLogSince(began, said[mode], soon)
		if p := postmasterOf(t, c); p.PID == pm.PID && p.Started == pm.Started {
			t.Error("the postmaster is the same after restart")
		}
		if got := psql(t, c, "select 1"); got != "1" {
			t.Errorf("after restart, select 1 is %q", got)
		}
	}
	if now := c.Inspect(); !now.Running || now.PID != first {
		t.Errorf("the container did not live through it: %+v", now)
	}
	if st := answer(t, c); st.Restarts.Postgres != 0 || st.Restarts.Supervisor != 0 {
		t.Errorf("what was asked for counts as a death: %+v", st.Restarts)
	}
}

func TestASmartStopWaitsForClientsAndBecomesFastAfterItsTimeout(t *testing.T) {
	parallel(t)
	c := server(t)
	c.WaitReady(soon)
	conn := session(t, c)
	began := time.Now()
	r := c.Exec("pgbaton", "stop", "--mode", "smart", "--timeout", "3s")
	if took := time.Since(began); r.Code != 0 || took < 3*time.Second {
		t.Errorf("the smart stop took %s and ended with %d, want at least its timeout of 3 s: %s%s", seconds(took), r.Code, r.Stdout, r.Stderr)
	}
	for _, words := range []string{"received smart shutdown request", "received fast shutdown request", "becomes fast"} {
		c.WaitLogSince(began, words, soon)
	}
	if conn.alive() {
		t.Error("the session lives on after a fast shutdown")
	}
	// A client that leaves in time ends the waiting.
	c.MustExec("pgbaton", "start")
	conn = session(t, c)
	began = time.Now()
	ended := make(chan testbed.Result, 1)
	go func() {
		r, err := c.TryDo(t.Context(), testbed.Command{Args: []string{"pgbaton", "stop", "--mode", "smart", "--timeout", "10m"}, Timeout: 2 * soon})
		if err != nil {
			r.Code, r.Stderr = -1, err.Error()
		}
		ended <- r
	}()
	awaitPhase(t, c, node.Stopping)
	if !conn.alive() {
		t.Error("a smart stop ended a session")
	}
	conn.leave()
	c.MustExec("psql", "-V") // the pool below conn still holds its connection; end it from inside
	c.MustExec("sh", "-c", "pkill -TERM -f 'postgres: .*idle$' || true")
	if r := <-ended; r.Code != 0 {
		t.Errorf("the smart stop ended with %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if strings.Contains(c.LogsSince(began), "received fast shutdown request") {
		t.Error("the smart stop became fast although the client left")
	}
}

func TestSIGTERMStopsSmartAndFastAfterHalfOfTheGrace(t *testing.T) {
	parallel(t)
	v := testbed.Initialized(t, image, home)
	c := on(t, v, env("PGBATON_STOP_GRACE", "8s"))
	c.WaitReady(soon)
	conn := session(t, c)
	began := time.Now()
	c.Kill("TERM")
	c.WaitLogSince(began, "received smart shutdown request", soon)
	// In this order: the answer may take until that time is over.
	if !conn.alive() && time.Since(began) < 3*time.Second {
		t.Error("the session ended before half of the grace was over")
	}
	code := c.Wait(soon)
	if took := time.Since(began); code != 0 || took < 4*time.Second {
		t.Errorf("the container ended with %d after %s, want 0 after at least 4 s", code, seconds(took))
	}
	contains(t, c.LogsSince(began), "received fast shutdown request", "becomes fast")
	if got := controlState(t, v.At(home), pgdata); got != "shut down" {
		t.Errorf("the cluster is %q", got)
	}
}

func TestSIGINTStopsFastAndSIGQUITStopsImmediately(t *testing.T) {
	for sig, want := range map[string]struct{ says, state string }{
		"INT":  {"received fast shutdown request", "shut down"},
		"QUIT": {"received immediate shutdown request", "in production"},
	} {
		t.Run("SIG"+sig, func(t *testing.T) {
			parallel(t)
			v := testbed.Initialized(t, image, home)
			c := on(t, v)
			c.WaitReady(soon)
			session(t, c)
			c.Kill(sig)
			if code := c.Wait(soon); code != 0 {
				t.Errorf("the container ended with %d, want 0", code)
			}
			contains(t, c.Logs(), want.says)
			if got := controlState(t, v.At(home), pgdata); got != want.state {
				t.Errorf("the cluster is %q, want %q", got, want.state)
			}
		})
	}
}

func TestSIGHUPReloadsTheConfigurationOfPostgresAndEndsNothing(t *testing.T) {
	parallel(t)
	c := server(t)
	c.WaitReady(soon)
	conn := session(t, c)
	psql(t, c, "alter system set work_mem = '7MB'")
	c.Kill("HUP")
	c.Eventually(soon, "the setting is in force", func() bool { return psql(t, c, "show work_mem") == "7MB" })
	if !conn.alive() {
		t.Error("SIGHUP ended a session")
	}
}

// Between its fork and its signal handlers a postgres would die of a SIGHUP.
func TestAStreamOfReloadsDoesNotKillAPostgresThatStarts(t *testing.T) {
	parallel(t)
	c := server(t)
	c.WaitReady(soon)
	for range testbed.Rounds(3, 30) {
		done := make(chan testbed.Result, 1)
		go func() {
			r, err := c.TryDo(t.Context(), testbed.Command{Args: []string{"pgbaton", "restart", "--mode", "immediate"}, Timeout: soon})
			if err != nil {
				r.Code, r.Stderr = -1, err.Error()
			}
			done <- r
		}()
		for restarting := true; restarting; {
			select {
			case r := <-done:
				restarting = false
				if r.Code != 0 {
					t.Errorf("the restart ended with %d: %s", r.Code, r.Stderr)
				}
			default:
				c.Kill("HUP")
				c.Kill("USR1")
			}
		}
	}
	if st := answer(t, c); st.Restarts.Postgres != 0 {
		t.Errorf("postgres died %d times: %s", st.Restarts.Postgres, st.Restarts.LastExit)
	}
}

func TestACrashLoopIsBackedOffTheContainerStaysReadinessSaysWhyAndMendingItHelps(t *testing.T) {
	parallel(t)
	c := server(t, env("PGBATON_BACKOFF_MAX", "2s"))
	crashLoop(t, c)
	st := awaitState(t, c, "it backs off after the sixth death", func(st node.State) bool {
		return st.Phase == node.BackingOff && st.Restarts.Postgres >= 6
	})
	if left := time.Until(st.Restarts.NextStart); left > 2*time.Second+500*time.Millisecond {
		t.Errorf("the back-off is %s although PGBATON_BACKOFF_MAX is 2s", left)
	}
	contains(t, st.Why, "postgres ended by itself", "exit status 1: PostgreSQL says: configuration file ", "contains errors")
	if st.Restarts.LastExit != "exit status 1" {
		t.Errorf("the last exit is %q, want \"exit status 1\"", st.Restarts.LastExit)
	}
	// Between two phases of the loop it is 503 as well.
	code, body := readiness(t, c)
	if code != 503 {
		t.Errorf("readiness in a crash loop is %d: %s", code, body)
	}
	c.Eventually(soon, "readiness says why", func() bool {
		code, body = readiness(t, c)
		return code == 503 && strings.Contains(body, "postgres ended by itself")
	})
	if !c.Inspect().Running {
		t.Fatal("the container ended")
	}
	c.MustExec("sed", "-i", "/nonsense/d", pgdata+"/postgresql.auto.conf")
	c.WaitReady(soon)
	c.Eventually(soon, "readiness is 200", func() bool {
		code, _ := readiness(t, c)
		return code == 200
	})
}

func TestPostgresThatEndsBeforeItWasReadyForTheFirstTimeEndsTheContainerWithItsCode(t *testing.T) {
	parallel(t)
	c := server(t, args("-c", "shared_buffers=nonsense"))
	if code := c.Wait(soon); code != 1 {
		t.Errorf("the container ended with %d, want postgres's 1", code)
	}
	contains(t, c.Logs(), "before it was ready for the first time")
	// … and by a signal too.
	d := server(t, args("-c", "restore_command=kill -9 $PPID; sleep 600"), func(s *testbed.Spec) {
		s.Files = append(s.Files, testbed.File{Path: pgdata + "/recovery.signal", UID: 999, Mode: 0o600})
	})
	if code := d.Wait(soon); code == 0 {
		t.Errorf("a recovery that was killed ended the container with 0")
	}
}

func pgCtl(t *testing.T, c *testbed.Container, args ...string) {
	t.Helper()
	// As a user types it; -l keeps the server from holding the streams of exec.
	r := c.Do(testbed.Command{Args: append([]string{"pg_ctl", "-w", "-t", "150", "-l", "/tmp/pg_ctl.log"}, args...), User: "postgres", Timeout: soon})
	if r.Code != 0 {
		t.Fatalf("pg_ctl %v: exit code %d: %s%s", args, r.Code, r.Stdout, r.Stderr)
	}
}

func TestAServerStoppedOrRestartedByPgCtlIsRespectedAndOneStartedWithOtherOptionsIsReplaced(t *testing.T) {
	parallel(t)
	v := testbed.Initialized(t, image, home)
	c := on(t, v)
	c.WaitReady(soon)
	pgCtl(t, c, "stop", "-m", "fast")
	st := awaitState(t, c, "somebody else stopped postgres", func(st node.State) bool {
		return st.Phase == node.Stopped && strings.Contains(st.Why, "somebody else")
	})
	if st.Halted || st.Restarts.Postgres != 0 {
		t.Errorf("a clean stop from outside counts as an order or a death: %+v", st)
	}
	// By itself pg_ctl start gives none of the options that the server must have.
	pgCtl(t, c, "start", "-o", "-c work_mem=7MB")
	awaitState(t, c, "a server of its own serves", func(st node.State) bool {
		return st.Phase == node.Running && st.Postmaster != nil && !st.Postmaster.Adopted
	})
	contains(t, c.Logs(), "with other options than it must have")
	if got := psql(t, c, "show work_mem") + psql(t, c, "show hba_file"); got != "4MB/run/pgbaton/rules/pg_hba.conf" {
		t.Errorf("it serves with %s", got)
	}
	pgCtl(t, c, "restart", "-m", "fast")
	pm := postmasterOf(t, c)
	awaitState(t, c, "it has adopted the restarted server", func(st node.State) bool {
		return st.Phase == node.Running && st.Postmaster != nil && st.Postmaster.Adopted && st.Postmaster.PID == pm.PID
	})
	if n := countProcesses(c, func(p testbed.Process) bool { return p.Comm == "postgres" && p.PPID == 1 }); n > 1 {
		t.Errorf("%d postmasters run", n)
	}
	// Its death is a death, and the next start waits for nobody.
	died := time.Now()
	c.Signal(postmasterOf(t, c), syscall.SIGKILL)
	c.WaitLogSince(died, "postgres is ready", soon)
	// While ours is to be down, somebody's own is left alone, and not killed at the end.
	c.MustExec("pgbaton", "stop")
	pgCtl(t, c, "start")
	psql(t, c, "create table by_hand ()")
	if st := answer(t, c); st.Phase != node.Stopped {
		t.Errorf("beside a server for maintenance the phase is %s: %s", st.Phase, st.Why)
	}
	stopClean(t, c, v)
}

// A backend that is stopped, or busy where it looks at no signal, can still
// commit after its postmaster is gone: it has to end before the next one starts.
func TestNoNewPostmasterStartsWhileAProcessOfTheKilledOneLives(t *testing.T) {
	parallel(t)
	c := server(t)
	c.WaitReady(soon)
	conn := session(t, c)
	c.KillPID(conn.pid, syscall.SIGSTOP)
	old := map[int]uint64{}
	for _, p := range c.Processes() {
		if p.Comm == "postgres" {
			old[p.PID] = p.Started
		}
	}
	pm, sup := postmasterOf(t, c), supervisorOf(t, c)
	died := time.Now()
	c.Signal(pm, syscall.SIGKILL)
	buried := false
	look := func() (left, fresh int) {
		for _, p := range c.Processes() {
			if p.Comm != "postgres" || p.Zombie() || len(p.Cmdline) == 0 || p.Cmdline[len(p.Cmdline)-1] == "--version" {
				continue // the last is the supervisor's look at which majors run
			}
			if old[p.PID] == p.Started {
				left++
			} else if p.PPID == sup.PID {
				fresh++
			}
		}
		return left, fresh
	}
	c.Eventually(soon, "a new postmaster runs", func() bool {
		left, fresh := look()
		if left > 0 && fresh > 0 {
			// The list is not of one moment: what was there when it began may
			// have ended before the new one was found. Not what is there still.
			left, _ = look()
		}
		if left > 0 && fresh > 0 {
			t.Fatalf("a new postmaster runs beside %d processes of the old one (%d): %v", left, pm.PID, c.Processes())
		}
		buried = buried || left > 0
		return fresh > 0
	})
	if !buried {
		t.Error("the stopped backend was never seen after its postmaster's death; the test shows nothing")
	}
	c.WaitLogSince(died, "they could still commit, so they end first", soon)
	c.WaitReady(soon)
	if conn.alive() {
		t.Error("the old session lives")
	}
}
