package testbed

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// PostgreSQL without pgbaton: these tests are about the testbed.
const (
	plainImage  = "pgbaton-official:17"
	plainVolume = "/var/lib/postgresql/data"
)

// long bounds every wait for something that has to happen: initdb too, on a
// busy machine.
const long = 3 * time.Minute

func plainSpec(mounts ...Mount) Spec {
	return Spec{Image: plainImage, Env: map[string]string{"POSTGRES_PASSWORD": Password}, Mounts: mounts}
}

// runPlain runs a server on an initialised volume.
func runPlain(t *testing.T) *Container {
	t.Helper()
	c := Run(t, plainSpec(Initialized(t, plainImage, plainVolume).At(plainVolume)))
	c.WaitReady(long)
	return c
}

func TestContainerLife(t *testing.T) {
	t.Parallel()
	v := NewVolume(t)
	c := Create(t, Spec{
		Image:  plainImage,
		Env:    map[string]string{"POSTGRES_PASSWORD": "it's"},
		Mounts: []Mount{v.At(plainVolume), Tmpfs("/scratch", 1<<20)},
		Files:  []File{{Path: "/etc/hello", Data: "hello\n", Mode: 0o600, UID: 999}},
		Stop:   time.Minute,
	})
	if s := c.Inspect(); s.Status != "created" || s.Running {
		t.Fatalf("state of a new container = %+v", s)
	}
	c.Start()
	c.WaitReady(long)
	c.WaitLog(`database system is ready`, long)
	if s := c.Inspect(); !s.Running || s.PID == 0 || s.Addr == "" || s.Volumes[plainVolume] != v.Name {
		t.Errorf("state of a running container = %+v", s)
	}
	var one int
	if err := c.DB().QueryRow("select 1").Scan(&one); err != nil || one != 1 {
		t.Errorf("select 1 = %d, %v", one, err)
	}
	if got := c.MustExec("cat", "/etc/hello"); got != "hello" {
		t.Errorf("the written file holds %q", got)
	}
	if got := c.MustExec("stat", "-c", "%a %u", "/etc/hello"); got != "600 999" {
		t.Errorf("mode and owner of the written file = %s", got)
	}
	r := c.Do(Command{Args: []string{"sh", "-c", "cat; pwd; id -u; echo $X >&2; exit 7"}, Stdin: "in\n", Dir: "/tmp", User: "999", Env: []string{"X=err"}})
	if r != (Result{7, "in\n/tmp\n999\n", "err\n"}) {
		t.Errorf("command = %+v", r)
	}
	if r := c.Exec("dd", "if=/dev/zero", "of=/scratch/big", "bs=1M", "count=2"); r.Code == 0 || !strings.Contains(r.Stderr, "No space") {
		t.Errorf("two MB fit into a mount of one: %+v", r)
	}
	if code, took := c.Stop(time.Minute); code != 0 || took <= 0 {
		t.Errorf("stop: exit code %d after %v", code, took)
	}
	c.Start()
	c.WaitReady(long)
	c.Kill("KILL")
	if code := c.Wait(time.Minute); code != 137 {
		t.Errorf("exit code after kill = %d", code)
	}
	c.Start()
	c.WaitLog(`automatic recovery in progress`, long)
	c.WaitReady(long)
	c.Restart(time.Minute)
	c.WaitReady(long)
	if n := strings.Count(c.Logs(), "ready to accept connections"); n < 4 {
		t.Errorf("the log of four starts tells of %d", n)
	}
}

func TestProcessesAndSignals(t *testing.T) {
	t.Parallel()
	c := runPlain(t)
	pm, ok := c.Postmaster()
	if !ok || pm.Comm != "postgres" || pm.UID == 0 || pm.RssAnon == 0 || pm.Started == 0 {
		t.Fatalf("postmaster = %+v, %v", pm, ok)
	}
	var child Process
	c.Eventually(long, "a checkpointer below the postmaster", func() (ok bool) { // it names itself after the fork
		child, ok = c.Find(func(p Process) bool {
			return p.PPID == pm.PID && strings.Contains(strings.Join(p.Cmdline, " "), "checkpointer")
		})
		return ok
	})
	c.Signal(child, syscall.SIGKILL)
	c.WaitLog(`terminating any other active server processes`, long)
	c.WaitReady(long)
	c.Signal(child, syscall.SIGKILL) // gone: nobody else may get it
	wrong := pm
	wrong.Started++ // as if the PID had changed hands
	c.Signal(wrong, syscall.SIGKILL)
	time.Sleep(50 * time.Millisecond)
	if again, ok := c.Postmaster(); !ok || again.PID != pm.PID {
		t.Fatalf("a signal for another process hit the postmaster")
	}
	c.KillPID(pm.PID, syscall.SIGKILL)
	if _, left := c.Postmaster(); left && c.Wait(time.Minute) != 137 {
		t.Errorf("the postmaster survived SIGKILL")
	}
}

func TestZombiesAreCounted(t *testing.T) {
	t.Parallel()
	// sleep as PID 1 never reaps what it inherits.
	c := Run(t, Spec{Image: plainImage, Entrypoint: []string{"sleep"}, Args: []string{"600"}})
	c.MustExec("sh", "-c", "for i in 1 2 3; do (sleep 0.05 &) ; done")
	c.Eventually(long, "three zombies", func() bool { return c.Zombies() == 3 })
}

func TestPowerLossTakesWhatWasNotSynced(t *testing.T) {
	for _, fs := range []struct {
		name string
		size int64
	}{{"ext4", 512 << 20}, {"xfs", 600 << 20}} {
		t.Run(fs.name, func(t *testing.T) {
			l := NewLoop(t, fs.name, fs.size)
			c := Run(t, plainSpec(l.At(plainVolume)))
			c.WaitReady(long)
			c.MustExec("sync") // what a shell entrypoint wrote after initdb is not
			db := c.DB()
			if _, err := db.Exec("create table t (n int); insert into t values (42)"); err != nil {
				t.Fatal(err)
			}
			c.MustExec("sh", "-c", "cd $PGDATA && echo a >written && echo b >synced && sync synced .")
			l.PowerLoss(c)
			if b, err := os.ReadFile(filepath.Join(l.Path(), "synced")); string(b) != "b\n" {
				t.Errorf("the synced file is %q, %v", b, err)
			}
			// The name may have come with the directory's sync; the contents may not.
			if b, _ := os.ReadFile(filepath.Join(l.Path(), "written")); len(b) != 0 {
				t.Errorf("a file that was not synced survived: %q", b)
			}
			c = Run(t, plainSpec(l.At(plainVolume)))
			c.WaitReady(long)
			var n int
			if err := c.DB().QueryRow("select n from t").Scan(&n); err != nil || n != 42 {
				t.Errorf("the committed row after the power loss = %d, %v", n, err)
			}
		})
	}
}

func TestSmallLoopFills(t *testing.T) {
	l := NewLoop(t, "ext4", 16<<20)
	if err := os.WriteFile(filepath.Join(l.Path(), "big"), make([]byte, 32<<20), 0o600); err == nil {
		t.Error("32 MB fit into a file system of 16 MB")
	}
}

func TestProgramCleansUpInReverse(t *testing.T) {
	var did []string
	code := Program("test", func(tb TB) {
		tb.Cleanup(func() { did = append(did, fmt.Sprint("first, failed: ", tb.Failed())) })
		tb.Cleanup(func() { did = append(did, "second") })
		tb.Fatalf("on purpose")
		did = append(did, "went on")
	})
	if want := []string{"second", "first, failed: true"}; code != 1 || !slices.Equal(did, want) {
		t.Errorf("code %d, did %q, want %q", code, did, want)
	}
	if code := Program("test", func(TB) {}); code != 0 {
		t.Errorf("code of a program that succeeds = %d", code)
	}
}
