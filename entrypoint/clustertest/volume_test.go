package clustertest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// oldMount is where the official images up to 17 have their volume: it is the
// data directory itself.
const oldMount = "/var/lib/postgresql/data"

// officialVolume is a volume of the official image's, with a table in it.
func officialVolume(t *testing.T) *testbed.Volume {
	t.Helper()
	v := testbed.NewVolume(t)
	c := testbed.Run(t, testbed.Spec{
		Image: "pgbaton-official:17", Mounts: []testbed.Mount{v.At(oldMount)},
		Env: map[string]string{"POSTGRES_PASSWORD": testbed.Password, "PGDATA": oldMount},
		Files: []testbed.File{{
			Path: "/docker-entrypoint-initdb.d/born.sql", Data: "create table born as select n from generate_series(1, 1000) n;\n",
		}},
	})
	c.WaitReady(long)
	c.Stop(long)
	c.Remove()
	return v
}

// born fails unless the official image's table is whole.
func born(t *testing.T, c *testbed.Container) {
	t.Helper()
	var n int
	if err := c.DB().QueryRow("select count(*) from born").Scan(&n); err != nil || n != 1000 {
		t.Errorf("the table of the official image has %d rows: %v", n, err)
	}
}

// TestAVolumeOfTheOfficialImageBecomesAClusterBelowItsMount gives such a volume
// to one node, and an empty one at the same place to the other.
func TestAVolumeOfTheOfficialImageBecomesAClusterBelowItsMount(t *testing.T) {
	t.Parallel()
	old := officialVolume(t)
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2, Edit: func(s *testbed.Spec) {
		v := old
		if s.Hostname == "n2" {
			v = testbed.NewVolume(t)
		}
		s.Mounts = []testbed.Mount{v.At(oldMount)}
	}})
	p := c.WaitWhole(long)
	expect(t, p, c.Node("n1"), "the move")
	for _, n := range c.Nodes {
		if at := n.MustExec("sh", "-c", "cd $PGDATA && pwd -P"); strings.TrimSpace(at) != oldMount+"/17/docker" {
			t.Errorf("$PGDATA of %s is %s", n.Host, at)
		}
	}
	born(t, p.Container)
	handOver(t, p)
	next := c.WaitWhole(2 * long)
	expect(t, next, c.Others(p)[0], "the switchover")
	born(t, next.Container)
	flowing(t, load)
	reclone(t, c, c.Others(next)[0])
	c.WaitWhole(2 * long)
	flowing(t, load)
	t.Log(c.Audit(load))

	for _, n := range c.Nodes {
		n.Remove()
	}
	official := testbed.Run(t, testbed.Spec{
		Image: "pgbaton-official:17", Mounts: []testbed.Mount{old.At(oldMount)},
		Env: map[string]string{"POSTGRES_PASSWORD": testbed.Password, "PGDATA": oldMount},
	})
	if code := official.Wait(long); code == 0 {
		t.Error("the official image takes the mount for its data directory")
	}
	official.Remove()
	alone := testbed.Run(t, testbed.Spec{
		Image: "pgbaton:17", Mounts: []testbed.Mount{old.At(oldMount)},
		Env: map[string]string{"POSTGRES_PASSWORD": testbed.Password, "PGDATA": oldMount},
	})
	alone.WaitReady(long)
	born(t, alone)
	alone.Stop(long)
	alone.Remove()

	runbook, err := os.ReadFile("../../docs/runbook.md")
	if err != nil || !strings.Contains(string(runbook), moveBack) {
		t.Errorf("the runbook does not say how the cluster is moved back: %v", err)
	}
	back := testbed.Run(t, testbed.Spec{
		Image: "pgbaton:17", Mounts: []testbed.Mount{old.At("/v")}, Entrypoint: []string{"sh"}, Args: []string{"-c", moveBack},
	})
	if code := back.Wait(long); code != 0 {
		t.Fatalf("moving the cluster back ends with %d: %s", code, back.Logs())
	}
	official = testbed.Run(t, testbed.Spec{
		Image: "pgbaton-official:17", Mounts: []testbed.Mount{old.At(oldMount)},
		Env: map[string]string{"POSTGRES_PASSWORD": testbed.Password, "PGDATA": oldMount},
	})
	official.WaitReady(long)
	born(t, official)
}

// moveBack is how the official image gets its volume back.
const moveBack = `cd /v && find 17/docker -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv -t . {} + && mv 17/docker/PG_VERSION . && rmdir -p 17/docker`

// movePoints are the durable steps of a move.
func movePoints() (all []string) {
	for _, f := range []struct {
		file    string
		moments []string
		times   []int
	}{
		{"move.json", []string{"before", "written", "renamed", "done", "before-remove", "removed"}, []int{1}},
		{"postmaster.pid", []string{"before-remove", "removed"}, []int{1}},
		{"PG_VERSION", []string{"before", "renamed", "done"}, []int{1, 2}},
		{"move", []string{"entry"}, []int{1, 2, 10, 20}},
		{"move", []string{"moved"}, []int{1}},
		{"cluster.json", []string{"before", "written", "renamed", "done"}, []int{1}},
	} {
		for _, m := range f.moments {
			for _, n := range f.times {
				all = append(all, fmt.Sprintf("%s:%s:%d", f.file, m, n))
			}
		}
	}
	return all
}

func TestAMoveBelowTheMountInterruptedAtAnyPointGoesOnAndIsNeverServedHalf(t *testing.T) {
	t.Parallel()
	from := officialVolume(t)
	type way struct {
		at, fs string
		power  bool
	}
	var all []way
	for _, at := range movePoints() {
		for _, fs := range []string{"ext4", "xfs"} {
			all = append(all, way{at, fs, false}, way{at, fs, true})
		}
	}
	random := testbed.Seed(t)
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, w := range all[:testbed.Rounds(5, len(all))] {
		t.Run(fmt.Sprintf("%s on %s, power lost %v", w.at, w.fs, w.power), func(t *testing.T) {
			l := testbed.NewLoop(t, w.fs, 400<<20)
			if err := os.CopyFS(l.Path(), os.DirFS(from.Path())); err != nil {
				t.Fatal(err)
			}
			l.Sync()
			interruptMove(t, l, w.at, w.power)
			neverHalf(t, l.Path())
			moveOn(t, l)
		})
	}
}

// onMount is a lone node whose mount is the data directory itself.
func onMount(l testbed.Mount, more map[string]string) testbed.Spec {
	env := map[string]string{"POSTGRES_PASSWORD": testbed.Password, "PGBATON_NODE": "n1"}
	for k, v := range more {
		env[k] = v
	}
	return testbed.Spec{Image: "pgbaton:17", Mounts: []testbed.Mount{l}, Env: env}
}

// peered is what a node of a cluster has; its peer does not exist, so that it
// moves its data and then holds.
func peered(more ...string) map[string]string {
	env := map[string]string{
		"PGBATON_PEERS": "127.0.0.1:8009", "PGBATON_TOKEN": testbed.Token, "PGBATON_REPLICATION_PASSWORD": testbed.ReplicationPassword,
	}
	for _, kv := range more {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = v
	}
	return env
}

// moved is what a node says that has data, no role record, and peers that are silent.
const moved = "so every peer has to answer first"

func interruptMove(t *testing.T, l *testbed.Loop, at string, power bool) {
	t.Helper()
	c := testbed.Run(t, onMount(l.At(oldMount), peered(durable.CrashEnv+"="+at)))
	c.WaitLog("standing still at crash point "+regexp.QuoteMeta(at), long)
	if power {
		l.PowerLoss(c)
		return
	}
	c.Kill("KILL")
	c.Wait(long)
	c.Remove()
}

// neverHalf fails where somebody would take what is half moved for a cluster.
func neverHalf(t *testing.T, volume string) {
	t.Helper()
	top, low := rest(t, volume), rest(t, filepath.Join(volume, "17/docker"))
	if slices.Contains(top, "PG_VERSION") && len(low) > 0 || slices.Contains(low, "PG_VERSION") && len(top) > 0 {
		t.Errorf("at the mount lie %v, below %v", top, low)
	}
}

// rest is what of a cluster lies in a directory.
func rest(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		if n := e.Name(); n != "17" && n != ".pgbaton" {
			names = append(names, n)
		}
	}
	return names
}

func lies(t *testing.T, volume, name string) bool {
	t.Helper()
	_, err := os.Lstat(filepath.Join(volume, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// moveOn starts the node again: it completes the move and, without peers, serves.
func moveOn(t *testing.T, l *testbed.Loop) {
	t.Helper()
	c := testbed.Run(t, onMount(l.At(oldMount), peered()))
	c.WaitLog(moved, long)
	c.Stop(long)
	c.Remove()
	if left := rest(t, l.Path()); len(left) > 0 {
		t.Errorf("still at the mount: %v", left)
	}
	if lies(t, l.Path(), ".pgbaton/move.json") || lies(t, l.Path(), ".pgbaton/PG_VERSION") {
		t.Error("the move's own files are left")
	}
	c = testbed.Run(t, onMount(l.At(oldMount), nil))
	c.WaitReady(long)
	born(t, c)
}

// TestALoneNodeServesNothingThatAnUnfinishedCopyOrRewindLeft starts the volume
// of a cluster's node without peers.
func TestALoneNodeServesNothingThatAnUnfinishedCopyOrRewindLeft(t *testing.T) {
	t.Parallel()
	const home = "/var/lib/postgresql"
	v := testbed.Initialized(t, "pgbaton:17", home)
	n := testbed.Run(t, testbed.Spec{
		Image: "pgbaton:17", Mounts: []testbed.Mount{v.At(home)}, Env: map[string]string{"POSTGRES_PASSWORD": testbed.Password},
		Files: []testbed.File{{Path: home + "/.pgbaton/copy.json", Data: `{"what": "rewind", "from": "n2"}`, Mode: 0o600, UID: 999}},
	})
	n.WaitLog("did not finish, so what lies there is good for nothing", long)
	if _, runs := n.Postmaster(); runs {
		t.Error("it is served")
	}
	n.MustExec("sh", "-c", "rm "+home+"/.pgbaton/copy.json") // somebody knows better
	n.WaitReady(long)
}
