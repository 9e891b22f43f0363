package upgradetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// What is mounted into the data directory neither goes along with it nor lets it
// go: an upgrade is refused before anything stops, a way back before anything
// moves; and a way back that is blocked all the same is called off by an order.
func TestMountsInTheDataDirectoryAreRefusedBeforeAnythingMovesAndABlockedWayBackIsCalledOff(t *testing.T) {
	t.Parallel()
	volume, shared := seeded(t, rows(15)), t.TempDir()
	rules := filepath.Join(shared, "pg_hba.conf")
	put(t, rules, "local all all trust\nhost all all all scram-sha-256\n")
	wal := filepath.Join(shared, "wal")
	if err := os.Mkdir(wal, 0o777); err != nil {
		t.Fatal(err)
	}
	run := func(env []string, mounts ...testbed.Mount) *testbed.Container {
		s := spec(15, testbed.Bind(volume, home), env...)
		s.Mounts = append(s.Mounts, mounts...)
		return testbed.Run(t, s)
	}
	file := testbed.Bind(rules, home+"/15/docker/pg_hba.conf")
	dir := testbed.Bind(wal, home+"/15/docker/pg_wal")

	c := run(nil, file)
	serves(t, c, 15)
	for _, do := range []string{"check", "now"} {
		u := order(t, c, 1, do, "--target", "17")
		if u.Outcome != node.UpgradeRefused {
			t.Fatal(describe(u))
		}
		says(t, describe(u), "mounts-inside", home+"/15/docker/pg_hba.conf", "-c hba_file=")
	}
	serves(t, c, 15)
	stopped(t, c)
	c.Remove()

	c = run([]string{durable.CrashEnv + "=undo:verified"})
	serves(t, c, 15)
	if u := order(t, c, 0, "now", "--target", "17", "--mode", "copy"); u.Outcome != node.UpgradeDone {
		t.Fatal(describe(u))
	}
	before := testbed.Snapshot(c, testbed.Access{})
	go func() { // it stands still with the supervisor
		_, _ = c.TryDo(t.Context(), testbed.Command{Args: []string{"pgbaton", "upgrade", "undo", "--yes"}, Timeout: long})
	}()
	c.WaitLog("standing still at crash point undo:verified", long)
	c.Remove()

	c = run(nil, dir)
	c.WaitLog("the way back is blocked", long)
	says(t, c.MustExec("pgbaton", "status"), "`pgbaton start` calls it off")
	c.MustExec("pgbaton", "start")
	serves(t, c, 17)
	if u := journal(t, volume); u.Outcome != node.UpgradeDone || u.Retired == "" {
		t.Error(describe(u))
	}
	same(t, before, testbed.Snapshot(c, testbed.Access{}))
	if n := strings.Count(c.Logs(), "the way back is blocked"); n != 1 {
		t.Errorf("it was told %d times", n)
	}
	// The same mount, looked at before anything stops.
	r := give(t, c, "undo", "--yes")
	if r.Code == 0 {
		t.Error("the way back begins")
	}
	says(t, r.Stderr, home+"/15/docker/pg_wal", "nothing was changed")
	serves(t, c, 17)
	stopped(t, c)
	c.Remove()

	c = run(nil) // Docker left an empty directory where the mount was
	serves(t, c, 17)
	if u := order(t, c, 0, "undo", "--yes"); u.Outcome != node.UpgradeUndone {
		t.Fatal(describe(u))
	}
	serves(t, c, 15)
	same(t, before, testbed.Snapshot(c, testbed.Access{}))
}

// A cluster that has to move below its mount, for PGBATON_PEERS, stays whole where
// it is while something is mounted in it.
func TestAClusterWithAMountInItDoesNotMoveBelowItsOwn(t *testing.T) {
	t.Parallel()
	volume := seeded(t, rows(17))
	data := filepath.Join(volume, "17/docker")
	rules := filepath.Join(t.TempDir(), "pg_hba.conf")
	put(t, rules, "local all all trust\n")
	s := spec(17, testbed.Bind(data, home+"/data"), "PGBATON_PEERS=127.0.0.1:8009", "PGBATON_TOKEN="+testbed.Token, "PGBATON_REPLICATION_PASSWORD="+testbed.ReplicationPassword)
	s.Mounts = append(s.Mounts, testbed.Bind(rules, home+"/data/pg_hba.conf"))
	c := testbed.Run(t, s)
	c.WaitLog("so the cluster has to move to "+home+"/data/17/docker first, but "+home+"/data/pg_hba.conf is mounted in it", long)
	for _, name := range []string{"PG_VERSION", "base", "pg_wal", "postgresql.conf"} {
		if _, err := os.Lstat(filepath.Join(data, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(filepath.Join(data, "17")); err == nil {
		t.Error("the move has begun")
	}
}
