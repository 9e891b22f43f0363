package upgradetest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// rehearsedWell fails unless every step was rehearsed and nothing is left.
func rehearsedWell(t *testing.T, volume string, u node.Upgrade) {
	t.Helper()
	t.Log(describe(u))
	for _, s := range u.Steps {
		want := node.StepDone
		if s.Name == node.StepFinish {
			want = node.StepPending
		}
		if s.State != want {
			t.Errorf("step %s is %s, want %s", s.Name, s.State, want)
		}
	}
	if u.Do != node.UpgradeRehearse || u.Forecast <= 0 || u.Outage != 0 || u.Retired != "" {
		t.Errorf("%s: forecast %v, outage %v, retired %q", u.Do, u.Forecast, u.Outage, u.Retired)
	}
	says(t, u.Why, "removed again")
	nothingLeft(t, volume)
	if noRehearsal(volume) != nil {
		t.Error("the copy is left")
	}
}

// noRehearsal is an error where a rehearsal's copy lies on the volume.
func noRehearsal(volume string) error {
	if _, err := os.Lstat(filepath.Join(volume, ".pgbaton/rehearsal")); !os.IsNotExist(err) {
		return fmt.Errorf("the copy is there, %w", err)
	}
	return nil
}

// Whatever could lead from the copy out into the world: tablespaces, an
// archive, a subscription that is being fed, slots of others, hooks; and paths
// in the configuration that name the real data directory.
func TestARehearsalTouchesNothingOutsideItsCopy(t *testing.T) {
	t.Parallel()
	ps := spec(17, testbed.Bind(seeded(t, rows(17)), home))
	ps.Args = []string{"-c", "wal_level=logical"}
	publisher := testbed.Run(t, ps)
	serves(t, publisher, 17)
	feed := testbed.Load{Target: publisher.DSN, Writers: 1, Think: 5 * time.Millisecond, Table: "fed"}
	if err := feed.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	psql(t, publisher, "create publication p for table fed")

	volume := seeded(t, carried(everything(15)))
	pgdata := home + "/17/docker"
	put(t, filepath.Join(volume, "17/docker/mine/more.conf"), "archive_mode = on\narchive_command = 'echo %f >> "+home+"/archived'\nwal_level = logical\n")
	host(t, "chown", "-R", "999:999", filepath.Join(volume, "17/docker/mine"))
	put(t, filepath.Join(volume, "archived"), "")
	appendTo(t, filepath.Join(volume, "17/docker/postgresql.conf"), "include '"+pgdata+"/mine/more.conf'\n")
	s := spec(17, testbed.Bind(volume, home))
	s.Files = []testbed.File{{
		Path: "/etc/pgbaton/hooks.d/10-note", Mode: 0o755,
		Data: "#!/bin/sh\necho \"$1 $2 $PGBATON_UPGRADE_DO\" >> /tmp/hooks\n",
	}}
	c := testbed.Run(t, s)
	serves(t, c, 17)
	psql(t, c, fmt.Sprintf("create subscription s connection 'host=%s user=postgres password=''%s'' dbname=postgres' publication p", publisher.Addr(), password))
	psql(t, c, "select pg_create_logical_replication_slot('mine', 'pgoutput')")
	fed := feed.Start(t.Context())
	flowing(t, fed)
	load := loose(t, c)
	started := psql(t, c, "select pg_postmaster_start_time()")
	slot := psql(t, c, "select restart_lsn, confirmed_flush_lsn from pg_replication_slots where slot_name = 'mine'")

	u := became(t, c, volume, drop(t, volume, "rehearse: true\ntarget: 18\n"), node.Rehearsed)
	rehearsedWell(t, volume, u)
	says(t, describe(u), "forecast-archive", "forecast-slots")
	if now := psql(t, c, "select pg_postmaster_start_time()"); now != started {
		t.Fatal("the server was started again")
	}
	if now := psql(t, c, "select restart_lsn, confirmed_flush_lsn from pg_replication_slots where slot_name = 'mine'"); now != slot {
		t.Errorf("the slot was at %s and is at %s", slot, now)
	}
	if got := psql(t, c, "select string_agg(slot_name, ' ') from pg_replication_slots"); got != "mine" {
		t.Errorf("slots: %s", got)
	}
	if got, _ := filepath.Glob(filepath.Join(volume, "space/*")); len(got) != 1 {
		t.Errorf("the tablespace holds %v", got)
	}
	hooks := c.MustExec("cat", "/tmp/hooks")
	for _, name := range node.StepNames()[:7] {
		says(t, hooks, fmt.Sprintf("before %s rehearse\nafter", name), fmt.Sprintf("after %s rehearse", name))
	}
	// A worker of the copy's would have taken rows that the real one misses.
	flowing(t, fed)
	fed.Stop()
	last := psql(t, publisher, "select pg_current_wal_lsn()")
	publisher.Eventually(long, "the subscriber has all", func() bool {
		return psql(t, publisher, "select coalesce(bool_and(confirmed_flush_lsn >= '"+last+"'), false) from pg_replication_slots where slot_name = 's'") == "t"
	})
	if rep, err := fed.Audit(t.Context(), c.DB()); err != nil || rep.Err() != nil {
		t.Error(rep, err)
	}
	flowing(t, load)
	audited(t, load, c)
	// Every file in the archive comes from the real server, each once.
	count := psql(t, c, "select pg_switch_wal()")
	c.Eventually(long, "the server archives "+count, func() bool {
		names := strings.Fields(c.MustExec("cat", home+"/archived"))
		slices.Sort(names)
		return len(slices.Compact(slices.Clone(names))) == len(names) &&
			psql(t, c, "select archived_count from pg_stat_archiver") == fmt.Sprint(len(names))
	})
	if got := psql(t, c, "select failed_count from pg_stat_archiver"); got != "0" {
		t.Errorf("%s files could not be archived", got)
	}
}

// The volume is the data directory, so the copy lies in what is copied.
func TestARehearsalOnAVolumeThatIsTheDataDirectoryDoesNotCopyItself(t *testing.T) {
	t.Parallel()
	volume := seeded(t, officialVolume(15))
	c := testbed.Run(t, spec(15, testbed.Bind(volume, legacy)))
	serves(t, c, 15)
	before := testbed.Snapshot(c, testbed.Access{})
	for range 2 {
		u := became(t, c, volume, drop(t, volume, "rehearse: true\nmode: copy\n"), node.Rehearsed)
		rehearsedWell(t, volume, u)
		if u.To != 18 {
			t.Errorf("it rehearsed %d", u.To)
		}
	}
	same(t, before, testbed.Snapshot(c, testbed.Access{}))
}

func TestARehearsalThatCannotCopyTheServerIsRefusedAndOneThatFailsSaysSo(t *testing.T) {
	t.Parallel()
	volume := seeded(t, rows(15))
	s := spec(15, testbed.Bind(volume, home))
	s.Args = []string{"-c", "wal_level=minimal", "-c", "max_wal_senders=0"}
	c := testbed.Run(t, s)
	serves(t, c, 15)
	u := became(t, c, volume, drop(t, volume, "rehearse: true\n"), node.UpgradeRefused)
	says(t, describe(u), "wal_level is minimal")
	nothingLeft(t, volume)
	stopped(t, c)
	c.Remove()

	c = hooked(t, volume, "#!/bin/sh\ntest \"$1 $2 $PGBATON_UPGRADE_DO\" != 'after pg_upgrade rehearse'\n", 0o755)
	u = became(t, c, volume, drop(t, volume, "rehearse: true\n"), node.UpgradeFailed)
	says(t, u.Why, "vetoes", "serves on", "pg_upgrade")
	serves(t, c, 15)
	nothingLeft(t, volume)
	if err := noRehearsal(volume); err != nil {
		t.Error(err)
	}
	c.Eventually(long, "one server runs", func() bool { return len(serversOf(c)) == 1 })
}

// serversOf are the postmasters of a container. A process without a command line
// was just born or has just died.
func serversOf(c *testbed.Container) (found []testbed.Process) {
	for _, p := range c.Processes() {
		if p.Comm == "postgres" && !p.Zombie() && len(p.Cmdline) > 0 && !strings.HasPrefix(strings.Join(p.Cmdline, " "), "postgres: ") {
			found = append(found, p)
		}
	}
	return found
}

// The supervisor alone, the whole container, and its orderly end: the real
// server has no part in what happens to the copy.
func TestAnInterruptedRehearsalLeavesNothingBehind(t *testing.T) {
	moments := []string{"copying the cluster beside", "pg_upgrade: Restoring database schemas", "starting the new server, closed", "making statistics"}
	random := testbed.Seed(t)
	for _, end := range []string{"supervisor", "container", "stop"} {
		some := moments
		if !testbed.Soak() {
			some = moments[random.IntN(len(moments)):][:1]
		}
		for _, moment := range some {
			t.Run(end+" at "+moment, func(t *testing.T) {
				t.Parallel()
				volume := seeded(t, rows(15))
				c := testbed.Run(t, spec(15, testbed.Bind(volume, home)))
				serves(t, c, 15)
				psql(t, c, "alter table scratch set logged") // what is unlogged does not survive the crash of a server
				before := testbed.SnapshotRows(c, testbed.Access{})
				was := drop(t, volume, "rehearse: true\ntarget: 17\n")
				c.WaitLog(moment, long)
				switch end {
				case "supervisor":
					p, ok := c.Supervisor()
					if !ok {
						t.Fatal("there is no supervisor")
					}
					c.Signal(p, syscall.SIGKILL)
				case "container":
					c.Kill("SIGKILL")
					c.Wait(long)
					c.Start()
				case "stop":
					stopped(t, c)
					c.Start()
				}
				// A busy machine may interrupt it when it is over.
				u := became(t, c, volume, was, node.UpgradeFailed, node.Rehearsed)
				if u.Outcome == node.UpgradeFailed {
					says(t, u.Why, "interrupted")
				} else if slices.Contains(moments[:2], moment) {
					t.Errorf("it was over before: %s", describe(u))
				}
				serves(t, c, 15)
				c.Eventually(long, "the copy is gone", func() bool { return noRehearsal(volume) == nil })
				c.Eventually(long, "one server runs", func() bool { return len(serversOf(c)) == 1 })
				same(t, before, testbed.SnapshotRows(c, testbed.Access{}))
				u = became(t, c, volume, drop(t, volume, "rehearse: true\ntarget: 17\n"), node.Rehearsed)
				rehearsedWell(t, volume, u)
			})
		}
	}
}

// A full disk stops the server that runs beside the rehearsal: the rehearsal
// gives way before.
func TestARehearsalGivesWayBeforeItFillsTheDisk(t *testing.T) {
	t.Parallel()
	volume := seededLoop(t, rows(15), "ext4", 700<<20).Path()
	c := hooked(t, volume, `#!/bin/sh
[ "$1 $2" = "before pg_upgrade" ] || exit 0
free=$(df --output=avail -k `+home+` | tail -1)
fallocate -l $((free - 32768))K `+home+`/fill
sleep 60
`, 0o755)
	load := begin(t, c)
	u := became(t, c, volume, drop(t, volume, "rehearse: true\ntrial: off\n"), node.UpgradeFailed)
	says(t, u.Why, "given up", "MB left", "serves on")
	nothingLeft(t, volume)
	if err := noRehearsal(volume); err != nil {
		t.Error(err)
	}
	flowing(t, load)
	audited(t, load, c)
}

// The WAL's own mount holds the running server's, and nothing of the copy's.
func TestARehearsalOfAClusterWhoseWALLiesElsewhereLeavesThatAlone(t *testing.T) {
	t.Parallel()
	volume, wal := t.TempDir(), filepath.Join(t.TempDir(), "wal")
	put(t, filepath.Join(wal, "x"), "")
	host(t, "rm", filepath.Join(wal, "x"))
	host(t, "chown", "999:999", wal)
	s := spec(15, testbed.Bind(volume, home), "POSTGRES_INITDB_WALDIR=/wal/here")
	s.Mounts = append(s.Mounts, testbed.Bind(wal, "/wal"))
	c := testbed.Run(t, s)
	serves(t, c, 15)
	testbed.LoadRows(c, testbed.Access{})
	before := testbed.SnapshotRows(c, testbed.Access{})
	u := became(t, c, volume, drop(t, volume, "rehearse: true\ntarget: 17\n"), node.Rehearsed)
	rehearsedWell(t, volume, u)
	found, err := filepath.Glob(filepath.Join(wal, "*"))
	inside, err2 := filepath.Glob(filepath.Join(wal, "here/1*"))
	if err != nil || err2 != nil || len(found) != 1 || len(inside) != 0 {
		t.Errorf("%v %v, %v %v", found, inside, err, err2)
	}
	same(t, before, testbed.SnapshotRows(c, testbed.Access{}))
	became(t, c, volume, drop(t, volume, "target: 17\n"), node.UpgradeDone)
	serves(t, c, 17)
	same(t, before, testbed.SnapshotRows(c, testbed.Access{}))
}

func TestARehearsalTakesTheModeThatTheUpgradeWillTake(t *testing.T) {
	t.Parallel()
	volume := seededLoop(t, rows(15), "xfs", 1000<<20).Path()
	c := testbed.Run(t, spec(15, testbed.Bind(volume, home)))
	serves(t, c, 15)
	u := became(t, c, volume, drop(t, volume, "rehearse: true\n"), node.Rehearsed)
	rehearsedWell(t, volume, u)
	if u.Mode != node.ModeClone {
		t.Errorf("mode %s on a file system that clones", u.Mode)
	}
	real := became(t, c, volume, drop(t, volume, "18\n"), node.UpgradeDone)
	t.Logf("forecast %v, outage %v", u.Forecast.Round(time.Millisecond), real.Outage.Round(time.Millisecond))
	if real.Mode != u.Mode {
		t.Errorf("mode %s rehearsed, %s taken", u.Mode, real.Mode)
	}
}
