package pid1test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

func TestSessionsGoOnWhenTheSupervisorIsKilledAndTheNextOneAdoptsThePostmaster(t *testing.T) {
	parallel(t)
	v := testbed.Initialized(t, image, home)
	c := on(t, v)
	c.WaitReady(soon)
	ctx, cancel := context.WithTimeout(t.Context(), 5*soon) // for all that follows
	defer cancel()
	conn, err := c.DB().Conn(ctx) // one session, not a pool
	if err != nil {
		t.Fatal(err)
	}
	var before, after int
	if err := conn.QueryRowContext(ctx, "select pg_backend_pid()").Scan(&before); err != nil {
		t.Fatal(err)
	}
	pm, sup := postmasterOf(t, c), supervisorOf(t, c)
	asleep := make(chan error, 1)
	go func() {
		_, err := conn.ExecContext(ctx, "select pg_sleep(2)")
		asleep <- err
	}()
	for range 3 {
		c.Signal(sup, syscall.SIGKILL)
		sup = supervisorOf(t, c, sup)
	}
	if err := <-asleep; err != nil {
		t.Errorf("the statement under way: %v", err)
	}
	if err := conn.QueryRowContext(ctx, "select pg_backend_pid()").Scan(&after); err != nil || after != before {
		t.Errorf("the session went on as backend %d (%v), want %d", after, err, before)
	}
	st := awaitState(t, c, "it runs an adopted postmaster", func(st node.State) bool {
		return st.Phase == node.Running && st.Postmaster != nil && st.Postmaster.Adopted
	})
	if st.Postmaster.PID != pm.PID || st.Restarts.Supervisor != 3 || st.Restarts.Postgres != 0 {
		t.Errorf("status says postmaster %d, %+v; want postmaster %d, 3 restarts of the supervisor and none of postgres", st.Postmaster.PID, st.Restarts, pm.PID)
	}
	if code, body := readiness(t, c); code != 200 {
		t.Errorf("readiness with an adopted postmaster is %d: %s", code, body)
	}
	stopClean(t, c, v)
}

// seesExit reports whether this kernel tells somebody who is not the parent
// how a process ended (PIDFD_GET_INFO with PIDFD_INFO_EXIT, Linux 6.15).
func seesExit(t *testing.T) bool {
	t.Helper()
	var u syscall.Utsname
	if err := syscall.Uname(&u); err != nil {
		t.Fatal(err)
	}
	var release []byte
	for _, b := range u.Release {
		release = append(release, byte(b))
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(release), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return major > 6 || major == 6 && minor >= 15
}

func TestTheDeathOfAnAdoptedPostmasterIsSeenAtOnceAndItsExitCodeKept(t *testing.T) {
	parallel(t)
	c := server(t)
	c.WaitReady(soon)
	adopted(t, c)
	pm := postmasterOf(t, c)
	died := time.Now()
	c.Signal(pm, syscall.SIGKILL)
	c.WaitLogSince(died, "postgres ended by itself", soon)
	st := awaitState(t, c, "a new postmaster runs", func(st node.State) bool {
		return st.Phase == node.Running && st.Postmaster != nil && !st.Postmaster.Adopted && st.Restarts.Postgres == 1
	})
	want := "killed by signal 9 (SIGKILL)"
	if seesExit(t) && st.Restarts.LastExit != want {
		t.Errorf("the last exit is %q, want %q", st.Restarts.LastExit, want)
	}
	if st.Postmaster.PID == pm.PID {
		t.Errorf("the postmaster is still %d", pm.PID)
	}
}

func TestPGBATON_ON_EXIT_exitEndsTheContainerWithTheExitCodeOfAnAdoptedPostmaster(t *testing.T) {
	parallel(t)
	c := server(t, env("PGBATON_ON_EXIT", "exit"))
	c.WaitReady(soon)
	adopted(t, c)
	c.Signal(postmasterOf(t, c), syscall.SIGKILL)
	want := 137
	if !seesExit(t) {
		want = 1 // the code is unknown, and pg_control says that it was no shutdown
	}
	if code := c.Wait(soon); code != want {
		t.Errorf("the container ended with %d, want %d", code, want)
	}
}

// adopted makes a new supervisor adopt the postmaster.
func adopted(t *testing.T, c *testbed.Container) {
	t.Helper()
	sup := supervisorOf(t, c)
	c.Signal(sup, syscall.SIGKILL)
	supervisorOf(t, c, sup)
	awaitState(t, c, "the postmaster is adopted", func(st node.State) bool {
		return st.Phase == node.Running && st.Postmaster != nil && st.Postmaster.Adopted
	})
}

func TestDockerStopWhileTheSupervisorIsInItsRestartBackOffEndsCleanly(t *testing.T) {
	parallel(t)
	v := testbed.Initialized(t, image, home)
	c := on(t, v)
	c.WaitReady(soon)
	began := time.Now()
	sup := supervisorOf(t, c)
	for range 12 { // 50 ms, doubled each time: the sixth is 1.6 s, and what comes after it is longer still
		c.Signal(sup, syscall.SIGKILL)
		c.Eventually(soon, "the supervisor is gone", func() bool {
			p, ok := c.Supervisor()
			return !ok || p.PID != sup.PID
		})
		if containsLine(c.LogsSince(began), "starts in 1.6s") {
			break
		}
		sup = supervisorOf(t, c, sup)
	}
	c.WaitLogSince(began, `starts in 1\.6s`, soon)
	if _, ok := c.Supervisor(); ok {
		t.Log("the back-off was over before docker stop began; the machine is slow")
	}
	stopClean(t, c, v)
}

// A stop is asked for once. One that its supervisor was given and has not read
// is told to the next one.
func TestAStopThatComesAsTheSupervisorDiesIsHeard(t *testing.T) {
	parallel(t)
	v := testbed.Initialized(t, image, home)
	c := on(t, v)
	c.WaitReady(soon)
	sup := supervisorOf(t, c)
	c.Signal(sup, syscall.SIGSTOP)
	c.Kill("TERM")
	time.Sleep(time.Second) // init passes it on, to nobody
	c.Signal(sup, syscall.SIGKILL)
	if code := c.Wait(soon); code != 0 {
		t.Errorf("the container ended with %d, want 0", code)
	}
	if got := controlState(t, v.At(home), pgdata); got != "shut down" {
		t.Errorf("the cluster is %q, want \"shut down\"", got)
	}
}

// A stop is asked for once. A supervisor that dies after it took the order
// must not leave one behind that has never heard of it.
func TestAStopThatIsUnderWayGoesOnWhenTheSupervisorIsKilled(t *testing.T) {
	parallel(t)
	v := testbed.Initialized(t, image, home)
	c := on(t, v, env("PGBATON_STOP_GRACE", "20s"))
	c.WaitReady(soon)
	conn, err := c.DB().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c.Kill("TERM") // smart: waits for that session, and becomes fast after 10 s
	awaitPhase(t, c, node.Ending)
	sup := supervisorOf(t, c)
	c.Signal(sup, syscall.SIGKILL)
	if code := c.Wait(soon); code != 0 {
		t.Errorf("the container ended with %d, want 0", code)
	}
	if got := controlState(t, v.At(home), pgdata); got != "shut down" {
		t.Errorf("the cluster is %q, want \"shut down\"", got)
	}
}

func TestAStopOrderOutlivesTheSupervisor(t *testing.T) {
	parallel(t)
	c := server(t)
	c.WaitReady(soon)
	c.MustExec("pgbaton", "stop")
	sup := supervisorOf(t, c)
	c.Signal(sup, syscall.SIGKILL)
	supervisorOf(t, c, sup)
	// Before it has looked at anything it says so; then it stays as it was.
	st := awaitState(t, c, "another supervisor has postgres stopped", func(st node.State) bool {
		return st.Restarts.Supervisor == 1 && st.Phase == node.Stopped
	})
	if _, runs := c.Postmaster(); runs || !st.Halted {
		t.Errorf("after the supervisor's death the node is %s (%s), a postmaster runs: %v; want stopped by the operator", st.Phase, st.Why, runs)
	}
	c.MustExec("pgbaton", "start")
	if st := answer(t, c); st.Phase != node.Running {
		t.Errorf("after `pgbaton start` it is %s: %s", st.Phase, st.Why)
	}
}

func TestASupervisorKilledDuringTheInitialisationIsReplacedByOneThatBeginsAgain(t *testing.T) {
	parallel(t)
	c := testbed.Run(t, spec(
		script("10.sql", "create table t as select 1 as n;\n"),
		script("20.sh", "if [ ! -e /tmp/second ]; then touch /tmp/second; echo IN-SCRIPT; sleep 600; fi\n"),
		script("30.sql", "insert into t values (2);\n")))
	c.WaitLog("^IN-SCRIPT", soon)
	c.Eventually(soon, "the script sleeps", func() bool {
		_, ok := c.Find(func(p testbed.Process) bool { return p.Comm == "sleep" })
		return ok
	})
	began := time.Now()
	c.Signal(supervisorOf(t, c), syscall.SIGKILL)
	c.WaitLogSince(began, "kept a half-made cluster aside", soon)
	c.WaitReady(soon)
	if got := psql(t, c, "select string_agg(n::text, ',') from t"); got != "1,2" {
		t.Errorf("the scripts left %q, want \"1,2\"", got)
	}
	if n := countProcesses(c, func(p testbed.Process) bool { return p.Comm == "sleep" || p.Comm == "bash" }); n != 0 {
		t.Errorf("%d processes of the first initialisation still run", n)
	}
}
