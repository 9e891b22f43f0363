package upgradetest

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// only is a node whose only programs are those of a major, under a root of
// their own, as in an image that has no newer ones.
func only(major int, m testbed.Mount, env ...string) testbed.Spec {
	s := spec(major, m, env...)
	s.Entrypoint = []string{"bash", "-c", fmt.Sprintf("cd /usr/lib/postgresql && mkdir -p /hidden && for m in *; do [ $m = %d ] || mv $m /hidden; done; exec entrypoint \"$@\"", major), "bash"}
	s.Args = []string{"postgres"}
	return s
}

// Programs that are put into the running container, slowly as a package
// manager does, are found once they are whole; with the policy auto they are
// used, and a container of the old image says afterwards what is missing and
// goes on when they come.
func TestProgramsThatAppearAreUsedOnceTheyAreWholeAndMissedOnceTheyAreGone(t *testing.T) {
	t.Parallel()
	volume := seeded(t, rows(15))
	c := testbed.Run(t, only(15, testbed.Bind(volume, home), "PGBATON_UPGRADE=auto"))
	serves(t, c, 15)

	// Half of it first.
	c.MustExec("bash", "-c", "mkdir -p /usr/lib/postgresql/17 && cp -a /hidden/17/bin /usr/lib/postgresql/17/ && mv /usr/lib/postgresql/17/bin/pg_dump /tmp/")
	time.Sleep(8 * time.Second)
	serves(t, c, 15)
	if u := result(t, volume); u.ID != "" {
		t.Fatalf("half of the programs are used: %s", describe(u))
	}
	c.MustExec("bash", "-c", "cp -a /hidden/17/lib /usr/lib/postgresql/17/ && mv /tmp/pg_dump /usr/lib/postgresql/17/bin/")
	u := became(t, c, volume, node.Upgrade{}, node.UpgradeDone)
	if u.Trigger != node.ByBinaries || u.To != 17 {
		t.Error(describe(u))
	}
	serves(t, c, 17)

	// Made again from the old image.
	stopped(t, c)
	c.Remove()
	c = testbed.Run(t, only(15, testbed.Bind(volume, home)))
	c.Eventually(long, "it says what is missing", func() bool {
		r := c.Exec("pgbaton", "status")
		return strings.Contains(r.Stdout, "17")
	})
	if r := c.Exec("pgbaton", "status", "--live"); r.Code != 0 {
		t.Errorf("status --live ends with %d", r.Code)
	}
	c.MustExec("bash", "-c", "cp -a /hidden/17 /usr/lib/postgresql/")
	serves(t, c, 17)
}

// A newer image on an older volume: with auto it upgrades, with marker it
// serves and says so, with off it says nothing begins.
func TestANewerImageOnAnOlderVolumeFollowsThePolicy(t *testing.T) {
	for policy, upgrades := range map[string]bool{"auto": true, "marker": false, "off": false} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			volume := seeded(t, rows(15))
			c := testbed.Run(t, spec(18, testbed.Bind(volume, home), "PGBATON_UPGRADE="+policy))
			if upgrades {
				u := became(t, c, volume, node.Upgrade{}, node.UpgradeDone)
				if u.Trigger != node.ByBinaries || u.To != 18 {
					t.Error(describe(u))
				}
				serves(t, c, 18)
				return
			}
			serves(t, c, 15)
			time.Sleep(8 * time.Second)
			serves(t, c, 15)
			c.Eventually(long, "status names the newer major", func() bool { return strings.Contains(c.Exec("pgbaton", "status").Stdout, "18") })
			if policy == "off" {
				was := drop(t, volume, "18")
				time.Sleep(3 * time.Second)
				if u := result(t, volume); u.ID != was.ID {
					if u.Outcome != node.UpgradeRefused {
						t.Errorf("with off a marker is %s", describe(u))
					}
				}
				serves(t, c, 15)
			}
		})
	}
}

// A journal that cannot be read is kept aside, and nothing is upgraded in doubt.
func TestACorruptJournalIsKeptAsideAndWhatIsOnTheVolumeDecides(t *testing.T) {
	t.Parallel()
	volume := seeded(t, rows(15))
	put(t, filepath.Join(volume, ".pgbaton/journal/upgrade.json"), "{\"outcome\": \"running\", garbage")
	c := testbed.Run(t, spec(15, testbed.Bind(volume, home)))
	serves(t, c, 15)
	c.Eventually(long, "the journal is kept aside", func() bool {
		found, _ := filepath.Glob(filepath.Join(volume, ".pgbaton/journal/*corrupt*"))
		more, _ := filepath.Glob(filepath.Join(volume, ".pgbaton/*corrupt*"))
		return len(found)+len(more) > 0
	})
	before := testbed.SnapshotRows(c, testbed.Access{})
	became(t, c, volume, drop(t, volume, "17"), node.UpgradeDone)
	serves(t, c, 17)
	same(t, before, testbed.SnapshotRows(c, testbed.Access{}))
}
