package upgradetest

import (
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// A minor release of the old major marked every table with an option that the
// release of the new major does not know. Nothing that the user could change is
// wrong, and nothing of it is changed.
func TestTablesThatTheNewReleaseCannotReadYetAreRefusedAndNobodyIsToldToDropThem(t *testing.T) {
	t.Parallel()
	if ok, _ := testbed.Upgradable(t, 17, 18); ok {
		t.Skip("the packaged PostgreSQL releases can do this upgrade")
	}
	volume := seeded(t, rows(17))
	c := testbed.Run(t, spec(17, testbed.Bind(volume, home)))
	serves(t, c, 17)
	load := begin(t, c)
	started := psql(t, c, "select pg_postmaster_start_time()")
	marks := psql(t, c, "select string_agg(attrelid::regclass || '.' || attname || ' ' || attoptions::text, ', ' order by attrelid, attnum) from pg_attribute where attoptions is not null")
	if marks == "" {
		t.Fatal("no column is marked")
	}
	before := testbed.Snapshot(c, testbed.Access{})
	u := became(t, c, volume, drop(t, volume, "18"), node.UpgradeRefused)
	t.Log(describe(u))
	says(t, u.Why, "nothing was stopped or changed", "does not know the option")
	if s := u.Steps[0]; s.Name != node.StepPreflight || s.State != node.StepRefused {
		t.Errorf("the step in which it was refused is %s", s.State)
	}
	c.Eventually(long, "status offers no upgrade that these programs refuse", func() bool {
		text := strings.Join(strings.Fields(c.MustExec("pgbaton", "status")), " ")
		return strings.Contains(text, "PostgreSQL 18 is here and cannot take this cluster: its release does not know the option pg_attver") &&
			!strings.Contains(text, "is available")
	})
	found := 0
	for _, f := range u.Findings {
		if f.Level != node.Refuse {
			continue
		}
		found++
		says(t, f.Code, "schema-trial")
		says(t, f.Detail, "ERROR:  unrecognized parameter")
		says(t, f.Hint, "set by PostgreSQL 17.", "unknown to PostgreSQL 18.", "nothing in the database is wrong or has to be changed",
			"later minor release of PostgreSQL 18", "nothing was stopped")
		if strings.Contains(f.Hint, "drop") {
			t.Errorf("the hint tells to drop something: %s", f.Hint)
		}
	}
	if found != 1 {
		t.Errorf("%d findings refuse", found)
	}
	if now := psql(t, c, "select pg_postmaster_start_time()"); now != started {
		t.Fatalf("the server was started again at %s", now)
	}
	if now := psql(t, c, "select string_agg(attrelid::regclass || '.' || attname || ' ' || attoptions::text, ', ' order by attrelid, attnum) from pg_attribute where attoptions is not null"); now != marks {
		t.Errorf("marked was %s, and is %s", marks, now)
	}
	flowing(t, load)
	audited(t, load, c)
	same(t, before, testbed.Snapshot(c, testbed.Access{}))
	nothingLeft(t, volume)
}
