package upgradetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// officialVolume is a cluster that the official layout made, with the mount of
// every Compose file of that time.
func officialVolume(major int) template {
	return template{
		name: fmt.Sprintf("official-%d", major),
		spec: func(dir string) testbed.Spec {
			s := spec(major, testbed.Bind(dir, legacy))
			s.Image = official(major)
			return s
		},
		load: func(_ *testing.T, c *testbed.Container) { testbed.LoadRows(c, testbed.Access{}) },
	}
}

// The mount is the data directory itself: the upgrade happens inside it, and
// the official image of the new major finds what it expects.
func TestAVolumeOfTheOfficialImageIsUpgradedAndTheOfficialImageServesItAfterwards(t *testing.T) {
	t.Parallel()
	volume := seeded(t, officialVolume(15))
	c := testbed.Run(t, spec(15, testbed.Bind(volume, legacy)))
	serves(t, c, 15)
	before := testbed.Snapshot(c, testbed.Access{})
	load := begin(t, c)
	u := became(t, c, volume, drop(t, volume, "target: 17\n"), node.UpgradeDone)
	serves(t, c, 17)
	flowing(t, load)
	audited(t, load, c)
	same(t, before, testbed.Snapshot(c, testbed.Access{}))
	if got := psql(t, c, "show data_directory"); got != legacy && got != "/run/pgbaton/data" {
		t.Errorf("the data directory is %s", got)
	}
	if !strings.HasPrefix(u.Retired, legacy+"/.pgbaton/") {
		t.Errorf("the old cluster is kept at %s", u.Retired)
	}
	stopped(t, c)
	c.Remove()
	s := spec(17, testbed.Bind(volume, legacy))
	s.Image = official(17)
	o := testbed.Run(t, s)
	serves(t, o, 17)
	same(t, before, testbed.Snapshot(o, testbed.Access{}))
	stopped(t, o)
	o.Remove()
	// And ours goes on, removes the old cluster and leaves nothing of it.
	c = testbed.Run(t, spec(15, testbed.Bind(volume, legacy)))
	serves(t, c, 17)
	if r := c.Exec("pgbaton", "upgrade", "finish", "--yes"); r.Code != 0 {
		t.Errorf("upgrade finish: exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	nothingLeft(t, volume)
	same(t, before, testbed.Snapshot(c, testbed.Access{}))
}

// setup is a way to run a cluster.
type setup struct {
	name     string
	from, to int
	env      []string
	change   func(s *testbed.Spec)
	// where: the data directory, relative to the mount; afterwards too unless new is set.
	where, now string
	arrange    func(t *testing.T, volume string) // while the server is down
	check      func(t *testing.T, c *testbed.Container, volume string)
}

const strictRules = "local all all scram-sha-256\nhost all all all scram-sha-256\n"

var setups = []setup{
	{
		name: "another directory, WAL elsewhere in large segments, checksums, another superuser, scram for all",
		from: 15, to: 17, where: "my data/pg",
		env: []string{
			"PGDATA=" + home + "/my data/pg", "POSTGRES_INITDB_WALDIR=" + home + "/wal", "POSTGRES_INITDB_ARGS=--wal-segsize=64 --data-checksums",
			`POSTGRES_USER=Odd  super Üser=1`, "POSTGRES_DB=postgres",
		},
		arrange: func(t *testing.T, volume string) {
			put(t, filepath.Join(volume, "my data/pg/pg_hba.conf"), strictRules)
		},
		check: func(t *testing.T, c *testbed.Container, volume string) {
			if got := psql(t, c, "select current_setting('wal_segment_size') || ' ' || current_setting('data_checksums') || ' ' || current_setting('data_directory')"); !strings.HasPrefix(got, "64MB on ") {
				t.Errorf("settings afterwards: %s", got)
			}
			to, err := os.Readlink(filepath.Join(volume, "my data/pg/pg_wal"))
			if err != nil || !strings.HasPrefix(to, home+"/wal") {
				t.Errorf("pg_wal leads to %s, %v", to, err)
			}
			if got := c.MustExec("cat", home+"/my data/pg/pg_hba.conf"); got+"\n" != strictRules {
				t.Errorf("pg_hba.conf is now %q", got)
			}
		},
	},
	{
		name: "any user, a read-only root file system, ICU as the provider", from: 15, to: 17, where: "15/docker", now: "17/docker",
		env: []string{"POSTGRES_INITDB_ARGS=--wal-segsize=1 --locale-provider=icu --icu-locale=de-DE"},
		change: func(s *testbed.Spec) {
			s.User, s.ReadOnly, s.CapDrop = "1234:1234", true, []string{"ALL"}
			s.Mounts = append(s.Mounts, testbed.Tmpfs("/run/postgresql", 16<<20))
		},
		check: func(t *testing.T, c *testbed.Container, _ string) {
			if got := psql(t, c, "select distinct datlocprovider::text || datcollversion = 'i' || pg_database_collation_actual_version(oid) from pg_database where datname in ('postgres', 'template1')"); got != "t" {
				t.Errorf("the provider and its version are right: %s", got)
			}
		},
	},
	{
		name: "PGHOST, PGPORT and the like set, no checksums where the new major makes them", from: 15, to: 18, where: "15/docker", now: "18/docker",
		env:    []string{"PGHOST=nowhere.invalid", "PGPORT=9999", "PGUSER=nobody", "PGDATABASE=nothing", "PGSSLMODE=verify-full", "PGOPTIONS=-c default_transaction_read_only=on"},
		change: func(s *testbed.Spec) { s.Args = []string{"-c", "port=5432"} }, // PGPORT is the server's too
		check: func(t *testing.T, c *testbed.Container, _ string) {
			if got := psql(t, c, "show data_checksums"); got != "off" {
				t.Errorf("checksums are %s", got)
			}
		},
	},
}

func TestWhereverAndHoweverAClusterIsServedItIsUpgraded(t *testing.T) {
	for _, s := range setups {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			volume := filepath.Join(t.TempDir(), "volume")
			if err := os.Mkdir(volume, 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(volume, 0o777); err != nil {
				t.Fatal(err)
			}
			sp := spec(s.from, testbed.Bind(volume, home), s.env...)
			if s.change != nil {
				s.change(&sp)
			}
			c := testbed.Run(t, sp)
			serves(t, c, s.from)
			at := access(sp)
			testbed.LoadRows(c, at)
			if s.arrange != nil {
				stopped(t, c)
				s.arrange(t, volume)
				c.Start()
				serves(t, c, s.from)
			}
			before := testbed.Snapshot(c, at)
			u := became(t, c, volume, drop(t, volume, fmt.Sprint(s.to)), node.UpgradeDone)
			t.Log(describe(u))
			serves(t, c, s.to)
			same(t, before, testbed.Snapshot(c, at))
			now := s.now
			if now == "" {
				now = s.where
			}
			if text, err := os.ReadFile(filepath.Join(volume, now, "PG_VERSION")); err != nil || string(text) != fmt.Sprintf("%d\n", s.to) {
				t.Errorf("the new cluster at %s: %q, %v", now, text, err)
			}
			if s.check != nil {
				s.check(t, c, volume)
			}
			stopped(t, c)
			c.Start()
			serves(t, c, s.to)
			same(t, before, testbed.Snapshot(c, at))
		})
	}
}

func access(s testbed.Spec) testbed.Access { return testbed.Access{User: s.Env["POSTGRES_USER"]} }

// A marker that waits for a server which was killed: the old server recovers
// first, and is stopped cleanly then.
func TestAMarkerOnAVolumeWhoseServerWasKilledIsCarriedOutAfterTheOldServersRecovery(t *testing.T) {
	t.Parallel()
	volume := seeded(t, rows(15))
	c := testbed.Run(t, spec(15, testbed.Bind(volume, home)))
	serves(t, c, 15)
	before := testbed.Snapshot(c, testbed.Access{})
	load := begin(t, c)
	c.Kill("KILL")
	c.Wait(long)
	// Unlogged tables are empty after a crash, whoever recovers it.
	c.Start()
	serves(t, c, 15)
	recovered := testbed.Snapshot(c, testbed.Access{})
	if diff := testbed.Compare(before, recovered); strings.Count(diff, "\n") != 3 || !strings.Contains(diff, "unlogged table scratch") {
		t.Errorf("the crash changed more than the unlogged table:\n%s", diff)
	}
	c.Kill("KILL")
	c.Wait(long)
	was := drop(t, volume, "17")
	c.Start()
	became(t, c, volume, was, node.UpgradeDone)
	serves(t, c, 17)
	flowing(t, load)
	audited(t, load, c)
	same(t, recovered, testbed.Snapshot(c, testbed.Access{}))
}

// While the node upgrades it is alive and not ready, and then ready again.
func TestTheHealthCheckStaysHealthyThroughoutAndReadinessGoesAndComes(t *testing.T) {
	t.Parallel()
	volume := seeded(t, rows(15))
	c := testbed.Run(t, spec(15, testbed.Bind(volume, home)))
	serves(t, c, 15)
	was := drop(t, volume, "18")
	notReady := 0
	for deadline := time.Now().Add(long); ; time.Sleep(20 * time.Millisecond) {
		if r := c.Exec("pgbaton", "status", "--live"); r.Code != 0 {
			t.Errorf("status --live ends with %d: %s%s", r.Code, r.Stdout, r.Stderr)
		}
		if r := c.Exec("pgbaton", "status", "--ready"); r.Code != 0 {
			notReady++
		}
		u := result(t, volume)
		if u.ID != was.ID && !u.Ended.IsZero() {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(describe(u))
		}
	}
	became(t, c, volume, was, node.UpgradeDone)
	c.Eventually(long, "it is ready afterwards", func() bool { return c.Exec("pgbaton", "status", "--ready").Code == 0 })
	if notReady == 0 {
		t.Error("it was ready all the time")
	}
}
