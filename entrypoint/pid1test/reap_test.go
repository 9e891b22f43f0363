package pid1test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// storm makes orphans, 200 in each tenth of a second where the machine can: a
// subshell forks children and ends, so the children pass to PID 1.
const storm = `n=0; end=$1
while [ $n -lt $end ]; do
	sleep 0.1 & pace=$!
	i=0
	while [ $i -lt 20 ]; do ( : & : & : & : & : & : & : & : & : & : & ); i=$((i+1)); done
	n=$((n+200)); wait $pace
done
echo orphans=$n`

func awaitNoZombies(t *testing.T, c *testbed.Container) {
	t.Helper()
	c.Eventually(soon, "no zombie is left", func() bool { return c.Zombies() == 0 })
}

func TestTenThousandOrphansLeaveNoZombieAndCostNoExitStatus(t *testing.T) {
	parallel(t)
	// Without CAP_KILL each signal to postgres goes through a helper of the
	// supervisor, whose exit status it must get: a stream of those beside the storm.
	v := testbed.Initialized(t, image, home)
	c := on(t, v, func(s *testbed.Spec) {
		s.CapDrop, s.CapAdd = []string{"ALL"}, []string{"CHOWN", "SETUID", "SETGID", "DAC_OVERRIDE", "FOWNER"}
	})
	c.WaitReady(soon)
	began := time.Now()
	done := make(chan testbed.Result, 1)
	go func() {
		r, err := c.TryDo(t.Context(), testbed.Command{Args: []string{"sh", "-c", storm, "sh", "10000"}, Timeout: 10 * time.Minute})
		if err != nil {
			r.Stderr += err.Error()
		}
		done <- r
	}()
	most, reloads, killed := 0, 0, false
	var r testbed.Result
	for storming := true; storming; {
		select {
		case r = <-done:
			storming = false
		default:
			c.Kill("HUP")
			reloads++
			if reloads == 20 { // a death in the middle, whose status must be right
				c.Signal(postmasterOf(t, c), syscall.SIGKILL)
				killed = true
			}
			most = max(most, c.Zombies())
		}
	}
	took := time.Since(began)
	if !strings.Contains(r.Stdout, "orphans=10000") {
		t.Fatalf("the storm ended with %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	t.Logf("10000 orphans in %s, at most %d zombies at once; %d reloads beside them", seconds(took), most, reloads)
	awaitNoZombies(t, c)
	c.WaitReady(soon)
	st := awaitState(t, c, "it runs", func(st node.State) bool { return st.Phase == node.Running })
	if want := "killed by signal 9 (SIGKILL)"; killed && (st.Restarts.LastExit != want || st.Restarts.Postgres != 1) {
		t.Errorf("the postmaster's end is noted as %q (%d deaths), want %q and 1", st.Restarts.LastExit, st.Restarts.Postgres, want)
	}
	if st.Restarts.Supervisor != 0 {
		t.Errorf("the supervisor was restarted %d times", st.Restarts.Supervisor)
	}
	log := c.LogsSince(began)
	for _, bad := range []string{"reload postgres", "no child processes", "pass a signal on"} {
		if strings.Contains(log, bad) {
			t.Errorf("a helper's exit status was lost: %q in the log", bad)
		}
	}
	contains(t, log, "received SIGHUP, reloading configuration files")
	stopClean(t, c, v)
}

func TestTheExitCodeOfACommandThatMakesThousandsOfOrphansIsKept(t *testing.T) {
	parallel(t)
	c := testbed.Run(t, spec(args("sh", "-c", storm+"; exit 37", "sh", "5000")))
	if code := c.Wait(10 * time.Minute); code != 37 {
		t.Errorf("the container ended with %d, want 37", code)
	}
	contains(t, c.Logs(), "orphans=5000")
}

func TestOrphansAreReapedWhileTheSupervisorHangs(t *testing.T) {
	parallel(t)
	c := server(t)
	c.WaitReady(soon)
	sup := supervisorOf(t, c)
	c.Signal(sup, syscall.SIGSTOP)
	c.MustExec("sh", "-c", storm, "sh", "400")
	c.Eventually(soon, "no zombie is left but the supervisor's own children", func() bool {
		_, left := c.Find(func(p testbed.Process) bool { return p.Zombie() && p.PPID != sup.PID })
		return !left
	})
	if p, ok := c.Find(func(p testbed.Process) bool { return p.PID == sup.PID }); !ok || p.State != 'T' {
		t.Errorf("the supervisor was not stopped meanwhile: %v", p)
	}
	if got := psql(t, c, "select 1"); got != "1" {
		t.Errorf("postgres answers %q while the supervisor hangs", got)
	}
	c.Signal(sup, syscall.SIGCONT)
	awaitPhase(t, c, node.Running)
}

// `docker run --init` makes somebody else PID 1. Orphans below pgbaton pass
// to it all the same, not to the other.
func TestWhereItIsNotPID1ItIsTheSubreaperOfItsDescendants(t *testing.T) {
	parallel(t)
	v := testbed.Initialized(t, image, home)
	c := on(t, v, func(s *testbed.Spec) { s.Init = true })
	c.WaitReady(soon)
	ours, ok := c.Find(func(p testbed.Process) bool {
		return p.PID != 1 && p.PPID == 1 && len(p.Cmdline) > 0 && strings.HasSuffix(p.Cmdline[0], "entrypoint")
	})
	if !ok {
		t.Fatalf("no init of ours below PID 1: %v", c.Processes())
	}
	psql(t, c, "copy (select 1) to program 'sh -c \"sleep 600 >/dev/null 2>&1 &\"; cat >/dev/null'")
	var orphan testbed.Process
	c.Eventually(soon, "an orphan of postgres passes to our init", func() (ok bool) {
		orphan, ok = c.Find(func(p testbed.Process) bool { return p.Comm == "sleep" && p.PPID == ours.PID })
		return ok
	})
	c.Signal(orphan, syscall.SIGKILL)
	c.Eventually(soon, "the orphan is gone", func() bool {
		_, ok := c.Find(func(p testbed.Process) bool { return p.Comm == "sleep" })
		return !ok
	})
	psql(t, c, "copy (select 1) to program 'for i in 1 2 3 4 5 6 7 8 9 10; do ( : & ); done; cat >/dev/null'")
	awaitNoZombies(t, c)
	// Everything else is as with PID 1: supervisor killed, clean stop.
	sup, ok := c.Find(func(p testbed.Process) bool {
		return p.PPID == ours.PID && len(p.Cmdline) > 1 && p.Cmdline[1] == "supervise"
	})
	if !ok {
		t.Fatal("no supervisor")
	}
	c.Signal(sup, syscall.SIGKILL)
	awaitState(t, c, "the postmaster is adopted", func(st node.State) bool {
		return st.Phase == node.Running && st.Postmaster != nil && st.Postmaster.Adopted
	})
	stopClean(t, c, v)
}

// oomScores are oom_score_adj of the postmaster and of one of its children.
func oomScores(t *testing.T, c *testbed.Container) (postmaster, child int) {
	t.Helper()
	c.WaitReady(soon)
	pm := postmasterOf(t, c)
	kid, ok := c.Find(func(p testbed.Process) bool { return p.PPID == pm.PID })
	if !ok {
		t.Fatal("the postmaster has no child")
	}
	for pid, n := range map[int]*int{pm.PID: &postmaster, kid.PID: &child} {
		if _, err := fmt.Sscan(c.MustExec("cat", fmt.Sprintf("/proc/%d/oom_score_adj", pid)), n); err != nil {
			t.Fatal(err)
		}
	}
	return postmaster, child
}

func TestTheOOMKillerTakesThePostmastersChildrenBeforeThePostmaster(t *testing.T) {
	parallel(t)
	if pm, kid := oomScores(t, server(t)); kid != min(pm+300, 1000) {
		t.Errorf("oom_score_adj is %d for the postmaster and %d for a child, want 300 more", pm, kid)
	}
}

func TestWithCAP_SYS_RESOURCEThePostmasterIsSparedByTheOOMKiller(t *testing.T) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	var bounds uint64
	_, after, _ := strings.Cut(string(status), "CapBnd:")
	if _, err := fmt.Sscanf(after, "%x", &bounds); err != nil {
		t.Fatal(err)
	}
	if bounds&(1<<24) == 0 { // CAP_SYS_RESOURCE, linux/capability.h
		t.Skip("this machine cannot give CAP_SYS_RESOURCE to a container")
	}
	parallel(t)
	c := server(t, func(s *testbed.Spec) { s.CapAdd = []string{"SYS_RESOURCE"} })
	if pm, kid := oomScores(t, c); pm != -900 || kid < 0 {
		t.Errorf("oom_score_adj is %d for the postmaster and %d for a child, want -900 and the container's own", pm, kid)
	}
}

func TestWarningsAtTheStartNameWhatHurtsLater(t *testing.T) {
	parallel(t)
	poor := server(t, env("PGBATON_DISK_WARN", "900TB"))
	poor.WaitReady(soon)
	poor.WaitLog("/dev/shm has 64MB", soon)
	poor.WaitLog("the volume has .* left", soon)
	overcommit := strings.TrimSpace(poor.MustExec("cat", "/proc/sys/vm/overcommit_memory"))
	if said := strings.Contains(poor.Logs(), "vm.overcommit_memory is "+overcommit); said == (overcommit == "2") {
		t.Errorf("vm.overcommit_memory is %s, and the warning was said: %v", overcommit, said)
	}
	awaitState(t, poor, "it shows warnings", func(st node.State) bool {
		all := strings.Join(st.Warnings, "\n")
		return strings.Contains(all, "/dev/shm has 64MB") && strings.Contains(all, "the volume has")
	})
	rich := server(t, env("PGBATON_DISK_WARN", "0"), func(s *testbed.Spec) { s.ShmSize = 256 << 20 })
	rich.WaitReady(soon)
	st := awaitState(t, rich, "it runs", func(st node.State) bool { return st.Phase == node.Running })
	for _, w := range st.Warnings {
		if strings.Contains(w, "/dev/shm") || strings.Contains(w, "the volume has") {
			t.Errorf("a container with enough of both warns: %s", w)
		}
	}
}
