package pid1test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

func TestAStalePostmasterPidAfterAKillCostsNoWait(t *testing.T) {
	for _, user := range []string{"", "999:999"} {
		t.Run("user "+user, func(t *testing.T) {
			parallel(t)
			v := testbed.Initialized(t, image, home)
			c := on(t, v, func(s *testbed.Spec) { s.User = user })
			c.WaitReady(soon)
			for range testbed.Rounds(3, 30) {
				psql(t, c, "select 1") // also: it answers inside
				c.Kill("KILL")
				c.Wait(soon)
				began := time.Now()
				c.Start()
				c.WaitReady(soon)
				if log := c.LogsSince(began); strings.Contains(log, "phase=waiting") || strings.Contains(log, "lock file") {
					t.Errorf("the start waited or was refused:\n%s", log)
				}
			}
			stopClean(t, c, v)
		})
	}
}

// With one uid for all, kill(pid, 0), by which PostgreSQL judges a
// postmaster.pid, succeeds on every thread of ours: it takes the file for one
// of a live server and refuses to start. The pids of a container are so small
// that this happens by itself now and then.
func TestAStalePostmasterPidThatNamesAThreadOfTheSupervisorOrInitDoesNotKeepPostgresDown(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test writes into volumes: run it as root")
	}
	parallel(t)
	v := testbed.Initialized(t, image, home)
	c := on(t, v, func(s *testbed.Spec) { s.User = "999:999" })
	c.WaitReady(soon)
	collided := 0
	// Which threads there are is a matter of luck, so until one was met.
	for round, rounds := 0, testbed.Rounds(4, 40); round < rounds || collided == 0 && round < rounds+20; round++ {
		candidates := threads(t, c)
		c.Kill("KILL")
		c.Wait(soon)
		tid := candidates[round%len(candidates)]
		forge(t, v, tid)
		began := time.Now()
		c.Start()
		c.WaitReady(soon)
		log := c.LogsSince(began)
		if strings.Contains(log, "lock file") || strings.Contains(log, "ended by itself") {
			t.Fatalf("thread %d kept postgres from starting:\n%s", tid, log)
		}
		if slices.Contains(threads(t, c), tid) {
			collided++
		}
	}
	if collided == 0 {
		t.Error("no postmaster.pid met a live thread; the test shows nothing")
	}
}

// threads are the thread ids of init and the supervisor.
func threads(t *testing.T, c *testbed.Container) []int {
	t.Helper()
	var ids []int
	for _, pid := range []int{1, supervisorOf(t, c).PID} {
		for _, s := range strings.Fields(c.MustExec("ls", fmt.Sprintf("/proc/%d/task", pid))) {
			if id, err := strconv.Atoi(s); err == nil {
				ids = append(ids, id)
			}
		}
	}
	slices.Reverse(ids)
	return ids
}

// forge puts a pid into a postmaster.pid that a killed server left, and into
// what the supervisor noted about it.
func forge(t *testing.T, v *testbed.Volume, pid int) {
	t.Helper()
	path := filepath.Join(v.Path(), "17/docker/postmaster.pid")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "\n")
	if err := os.WriteFile(path, []byte(fmt.Sprintf("%d\n%s", pid, rest)), 0o600); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(v.Path(), ".pgbaton/postmaster.json")
	if raw, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	own := map[string]any{}
	if err := json.Unmarshal(raw, &own); err != nil {
		t.Fatal(err)
	}
	own["pid"] = pid
	if raw, err = json.Marshal(own); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOfTwoContainersOnOneVolumeTheSecondSaysWhoHoldsItWaitsAndTakesOver(t *testing.T) {
	for how, end := range map[string]func(*testing.T, *testbed.Container){
		"after a stop":   func(t *testing.T, c *testbed.Container) { c.Stop(grace) },
		"after a kill":   func(t *testing.T, c *testbed.Container) { c.Kill("KILL"); c.Wait(soon) },
		"after a remove": func(t *testing.T, c *testbed.Container) { c.Remove() },
	} {
		t.Run(how, func(t *testing.T) {
			parallel(t)
			v := testbed.Initialized(t, image, home)
			first := on(t, v, env("PGBATON_NODE", "first-of-two"))
			first.WaitReady(soon)
			psql(t, first, "create table t as select 1 as n")
			second := on(t, v)
			st := awaitPhase(t, second, node.Waiting)
			contains(t, st.Why, "first-of-two")
			if st.Ready {
				t.Error("the second calls itself ready")
			}
			if code, body := readiness(t, second); code != 503 || !strings.Contains(body, "first-of-two") {
				t.Errorf("readiness of the second is %d: %s", code, body)
			}
			if _, ok := second.Postmaster(); ok {
				t.Fatal("the second runs a postmaster on the volume of the first")
			}
			psql(t, first, "insert into t values (2)")
			// The supervisor's death gives nothing away.
			sup := supervisorOf(t, first)
			first.Signal(sup, syscall.SIGKILL)
			supervisorOf(t, first, sup)
			psql(t, first, "insert into t values (3)")
			if st := answer(t, second); st.Phase != node.Waiting {
				t.Errorf("after the death of the first's supervisor the second is %s: %s", st.Phase, st.Why)
			}
			end(t, first)
			second.WaitReady(soon)
			if got := psql(t, second, "select string_agg(n::text, ',' order by n) from t"); got != "1,2,3" {
				t.Errorf("the second serves %q, want \"1,2,3\"", got)
			}
		})
	}
}

const official = "pgbaton-official:17"

// officialOn is a container of the official layout on a volume of its kind.
func officialOn(t *testing.T, v *testbed.Volume) *testbed.Container {
	t.Helper()
	return testbed.Run(t, testbed.Spec{
		Image: official, Mounts: []testbed.Mount{v.At(oldData)},
		Env: map[string]string{"POSTGRES_PASSWORD": testbed.Password, "POSTGRES_INITDB_ARGS": "--no-sync"},
	})
}

// A container of the official image holds no lock of ours, and its pid means
// nothing in our namespace. Waits nearly all of its two and a half minutes.
func TestBesideALiveContainerOfTheOfficialImageOursWaitsAndTouchesNothingAndStartsSomeTimeAfterItWasKilled(t *testing.T) {
	t.Parallel()
	v := testbed.NewVolume(t)
	theirs := officialOn(t, v)
	theirs.WaitReady(2 * soon)
	psql(t, theirs, "create table t as select 1 as n")
	before := officialFiles(t, theirs)
	ours := testbed.Run(t, spec(mount(v, oldData)))
	began := time.Now()
	st := awaitPhase(t, ours, node.Waiting)
	contains(t, st.Why, "postmaster.pid", "another container may serve")
	for n := 2; time.Since(began) < 80*time.Second; n++ {
		psql(t, theirs, fmt.Sprintf("insert into t values (%d)", n))
		if _, ok := ours.Postmaster(); ok {
			t.Fatalf("%s after its start ours runs a postmaster beside the live one", seconds(time.Since(began)))
		}
		if st, ok := state(t, ours); ok && st.Phase != node.Waiting {
			t.Fatalf("%s after its start ours is %s: %s", seconds(time.Since(began)), st.Phase, st.Why)
		}
		time.Sleep(2 * time.Second)
	}
	if after := officialFiles(t, theirs); after != before {
		t.Errorf("ours changed files of the live server:\n%s\nwas\n%s", after, before)
	}
	rows := psql(t, theirs, "select count(*) from t")
	theirs.Kill("KILL")
	theirs.Wait(soon)
	killed := time.Now()
	ours.WaitReady(4 * time.Minute)
	t.Logf("ours started %s after the other was killed, of which some 70 s are the wait", seconds(time.Since(killed)))
	if got := psql(t, ours, "select count(*) from t"); got != rows {
		t.Errorf("ours serves %s rows, want %s", got, rows)
	}
}

// officialFiles is what nobody but the server's owner may change: owners,
// modes and contents of the files that only an operator or a start writes.
func officialFiles(t *testing.T, c *testbed.Container) string {
	t.Helper()
	return c.MustExec("sh", "-c", "cd "+oldData+" && stat -c '%n %u %a' . base global && stat -c '%n %u %a %Y' *.conf PG_VERSION postmaster.pid postmaster.opts && sha256sum *.conf postmaster.pid postmaster.opts | sort")
}

func TestAfterACleanStopOfTheOfficialContainerOursStartsAtOnce(t *testing.T) {
	parallel(t)
	v := testbed.NewVolume(t)
	theirs := officialOn(t, v)
	theirs.WaitReady(2 * soon)
	psql(t, theirs, "create table t as select 1 as n")
	ours := testbed.Run(t, spec(mount(v, oldData)))
	awaitPhase(t, ours, node.Waiting)
	if code, _ := theirs.Stop(grace); code != 0 {
		t.Fatalf("the other ended with %d", code)
	}
	stopped := time.Now()
	ours.WaitReady(soon)
	if took := time.Since(stopped); took > time.Minute { // less than the wait beside one that was killed
		t.Errorf("ours started only %s after the clean stop", seconds(took))
	}
	if got := psql(t, ours, "select n from t"); got != "1" {
		t.Errorf("ours serves %q", got)
	}
}

// The official image runs as any uid (--user; Alpine's postgres is 70).
func TestALiveServerOfAnotherUserKeepsItsFilesWhileOursWaits(t *testing.T) {
	parallel(t)
	v := testbed.NewVolume(t)
	if err := os.Chown(v.Path(), 1500, 1500); err != nil {
		t.Fatalf("this test changes the owner of a volume: run it as root: %v", err)
	}
	theirs := testbed.Run(t, testbed.Spec{
		Image: official, Mounts: []testbed.Mount{v.At(oldData)}, User: "1500:1500",
		Env: map[string]string{"POSTGRES_PASSWORD": testbed.Password, "POSTGRES_INITDB_ARGS": "--no-sync", "PGDATA": oldData + "/pgdata"},
	})
	theirs.WaitReady(2 * soon)
	ours := testbed.Run(t, spec(mount(v, oldData), env("PGDATA", oldData+"/pgdata")))
	awaitPhase(t, ours, node.Waiting)
	theirs.MustExec("psql", "-U", "postgres", "-c", "create table t (n int)", "-c", "checkpoint")
	if got := theirs.MustExec("stat", "-c", "%u", oldData+"/pgdata", oldData+"/pgdata/base", oldData+"/pgdata/postgresql.conf"); got != "1500\n1500\n1500" {
		t.Errorf("the live server's files belong to %q now, want 1500", got)
	}
}
