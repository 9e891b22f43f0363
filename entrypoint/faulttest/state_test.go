package faulttest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// rubbish is what a state file may hold after somebody's hands or a bad disk.
var rubbish = map[string]string{
	"empty":        "",
	"cut off":      `{"pgdata": "/var/lib`,
	"zeroes":       strings.Repeat("\x00", 512),
	"another type": `{"pgdata": 7, "pid": "x", "started": 1}`,
}

// keptAside returns the names of what was kept of a corrupt state file.
func keptAside(t *testing.T, volume, name string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(volume, ".pgbaton", name+".corrupt-*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestACorruptRecordOfTheClusterIsKeptAsideAndTheOnlyClusterIsServed(t *testing.T) {
	t.Parallel()
	for name, text := range rubbish {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			volume := seeded(t)
			put(t, filepath.Join(volume, ".pgbaton", "cluster.json"), text)
			c := testbed.Run(t, spec(testbed.Bind(volume, home)))
			says(t, c.WaitLog("state file was corrupt", long), "WARN", "kept aside", "cluster.json.corrupt-")
			served(t, c)
			aside := keptAside(t, volume, "cluster.json")
			if len(aside) != 1 {
				t.Fatalf("kept aside: %v, want one file", aside)
			}
			if got, err := os.ReadFile(aside[0]); err != nil || string(got) != text {
				t.Errorf("what was kept aside holds %.40q (%v)", got, err)
			}
		})
	}
}

func TestACorruptRecordBesideSeveralClustersHoldsAndNamesThem(t *testing.T) {
	t.Parallel()
	volume := seeded(t)
	copyTree(t, filepath.Join(volume, "17"), filepath.Join(volume, "18"))
	put(t, filepath.Join(volume, ".pgbaton", "cluster.json"), "{")
	before := fingerprint(t, volume, ".pgbaton")
	c := testbed.Run(t, spec(testbed.Bind(volume, home)))
	st := waitPhase(t, c, node.Holding)
	says(t, st.Why, home+"/17/docker", home+"/18/docker", "nothing was touched", "PGDATA")
	stays(t, c)
	unchanged(t, before, fingerprint(t, volume, ".pgbaton"))
}

// Whether an initialisation was complete cannot be known: neither served nor
// thrown away.
func TestACorruptRecordOfAnInitialisationHoldsUntilAnOperatorDecides(t *testing.T) {
	t.Parallel()
	volume := seeded(t)
	record := filepath.Join(volume, ".pgbaton", "init.json")
	put(t, record, `{"pgdata": `)
	before := fingerprint(t, filepath.Join(volume, pgdata))
	c := testbed.Run(t, spec(testbed.Bind(volume, home)))
	st := waitPhase(t, c, node.Holding)
	says(t, st.Why, "init.json", "corrupt", "nothing was touched", "remove "+home+"/.pgbaton/init.json")
	stays(t, c)
	unchanged(t, before, fingerprint(t, filepath.Join(volume, pgdata)))
	if err := os.Remove(record); err != nil {
		t.Fatal(err)
	}
	served(t, c) // as the message says
}

// Without the record, a postmaster.pid may be anybody's: it is watched, and
// only an operator's word ends that early.
func TestACorruptRecordOfOurPostmasterMakesAStalePidFileForeign(t *testing.T) {
	t.Parallel()
	volume := seeded(t)
	c := testbed.Run(t, spec(testbed.Bind(volume, home)))
	served(t, c)
	record := filepath.Join(volume, ".pgbaton", "postmaster.json")
	c.Eventually(long, "postmaster.json is written", func() bool { _, err := os.Stat(record); return err == nil })
	c.Kill("KILL")
	c.Wait(long)
	put(t, record, "\x00\x00\x00")
	c.Start()
	st := waitPhase(t, c, node.Waiting)
	says(t, st.Why, "postmaster.pid was not written under this volume's lock", "once a minute")
	stays(t, c)
	if aside := keptAside(t, volume, "postmaster.json"); len(aside) != 1 {
		t.Errorf("kept aside: %v, want one file", aside)
	}
	if r := c.Exec("pgbaton", "start"); r.Code == 0 {
		t.Error("an order without --force started it")
	}
	if r := c.Exec("pgbaton", "start", "--force"); r.Code != 0 {
		t.Errorf("start --force ends with %d: %s", r.Code, r.Stderr)
	}
	served(t, c)
}

func TestAStateFileOfAnyContentInTheLockHindersNobody(t *testing.T) {
	t.Parallel()
	volume := seeded(t)
	put(t, filepath.Join(volume, ".pgbaton", "lock"), strings.Repeat("\xff\x00{", 5000))
	c := testbed.Run(t, spec(testbed.Bind(volume, home)))
	served(t, c)
}

func TestAFullVolumeEndsTheFirstStartAndTheNextOneBeginsAgain(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]int64{"nothing left": 0, "too little left": 8 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := testbed.NewLoop(t, "ext4", 200<<20)
			free := fill(t, filepath.Dir(l.Path()), leave)
			s := spec(l.At(home))
			s.Files = []testbed.File{bornFile}
			c := testbed.Run(t, s)
			if code := c.Wait(long); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			_, stderr := c.Output()
			says(t, strings.ToLower(stderr), "no space left on device")
			if _, err := os.Stat(filepath.Join(l.Path(), pgdata, "PG_VERSION")); err == nil {
				t.Error("a half-made cluster lies in the data directory")
			}
			free()
			c.Start()
			served(t, c)
		})
	}
}

func TestWALThatFindsNoRoomCrashesPostgresAndItGoesOnOnceThereIsRoom(t *testing.T) {
	t.Parallel()
	l := seededLoop(t, "ext4", 200<<20)
	c := testbed.Run(t, spec(l.At(home), "PGBATON_BACKOFF_MAX=1s"))
	served(t, c)
	load := testbed.Load{Target: c.DSN, Writers: 2}
	if err := load.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	running := load.Start(t.Context())
	if err := running.Flowing(t.Context(), 20); err != nil {
		t.Fatal(err)
	}
	free := fill(t, filepath.Dir(l.Path()), 0)
	db := c.DB()
	for deadline := time.Now().Add(long); ; {
		// Each switch needs a new file, until there is no room for one.
		ctx, cancel := context.WithTimeout(t.Context(), long)
		_, err := db.ExecContext(ctx, "begin; select txid_current(); select pg_switch_wal(); commit")
		cancel()
		if st, e := state(t, c); err != nil && e == nil && st.Phase == node.BackingOff {
			says(t, st.Why, "postgres ended by itself", "next start")
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("postgres still runs on a full volume; last error: %v", err)
		}
	}
	c.WaitLog("PANIC", long) // else the test has lost its cause
	if code, _ := get(t.Context(), c.Addr(), "/liveness"); code != 200 {
		t.Errorf("/liveness answers %d on a full volume", code)
	}
	if !c.Inspect().Running {
		t.Fatal("the container ended")
	}
	free()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	if err := running.Flowing(ctx, 20); err != nil {
		t.Fatal(err)
	}
	running.Stop()
	served(t, c)
	audit(t, running, c)
}

// audit fails unless every acknowledged row is there exactly once.
func audit(t *testing.T, r *testbed.Running, c *testbed.Container) {
	t.Helper()
	rep, err := r.Audit(t.Context(), c.DB())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("audit: %s", rep)
	if err := rep.Err(); err != nil {
		t.Error(err)
	}
	if rep.Acked == 0 {
		t.Error("nothing was acknowledged: the test has lost its load")
	}
}

// A user may have taken the official image for an initialisation that ours did
// not finish: that cluster is theirs now.
func TestAnUnfinishedInitialisationThatAnotherServerServedSinceIsNotPutAside(t *testing.T) {
	t.Parallel()
	volume := seeded(t)
	record := filepath.Join(volume, ".pgbaton", "init.json")
	put(t, record, `{"pgdata": "`+home+`/17/docker", "major": 17, "step": "init scripts"}`)
	before := fingerprint(t, filepath.Join(volume, pgdata))
	c := testbed.Run(t, spec(testbed.Bind(volume, home)))
	st := waitPhase(t, c, node.Holding)
	says(t, st.Why, "another server has run there", "nothing was touched", "remove "+home+"/.pgbaton/init.json")
	stays(t, c)
	unchanged(t, before, fingerprint(t, filepath.Join(volume, pgdata)))
	if err := os.Remove(record); err != nil {
		t.Fatal(err)
	}
	served(t, c)
}

func TestAnUnfinishedInitialisationOfAnotherDirectoryHindersNoCluster(t *testing.T) {
	t.Parallel()
	volume := seeded(t)
	put(t, filepath.Join(volume, ".pgbaton", "init.json"), `{"pgdata": "`+home+`/elsewhere", "major": 17, "step": "initdb"}`)
	c := testbed.Run(t, spec(testbed.Bind(volume, home)))
	served(t, c)
	c.Stop(long)
	c = testbed.Run(t, spec(testbed.Bind(volume, home), "PGDATA="+home+"/third"))
	st := waitPhase(t, c, node.Holding)
	says(t, st.Why, home+"/elsewhere", home+"/third", "nothing was touched")
}
