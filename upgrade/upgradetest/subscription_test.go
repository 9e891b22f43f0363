package upgradetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// A subscription whose publisher is written to all the time: a helper server
// whose worker connected to it would take what the real one never sees again.
// From 17 on pg_upgrade keeps how far a subscription came; before, it has to
// have caught up and be disabled, as the finding says.
func TestASubscriptionThatIsBeingFedLosesNothingAndGetsNothingTwice(t *testing.T) {
	for _, hop := range []struct{ from, to int }{{15, 17}, {17, 18}} {
		t.Run(fmt.Sprintf("%d to %d", hop.from, hop.to), func(t *testing.T) {
			t.Parallel()
			publisher := publishing(t, 17)
			from := rows(15)
			if hop.from == 17 {
				from = carried(from)
			}
			volume := seeded(t, from)
			c := testbed.Run(t, spec(hop.from, testbed.Bind(volume, home)))
			serves(t, c, hop.from)
			load := subscribe(t, publisher, c)
			first := load.Start(t.Context())
			flowing(t, first)
			if hop.from < 17 {
				first.Stop()
				caughtUp(t, publisher)
				psql(t, c, "alter subscription s disable")
			}
			u := became(t, c, volume, drop(t, volume, fmt.Sprintf("target: %d\n", hop.to)), node.UpgradeDone)
			says(t, describe(u), "subscriptions", `"s" in "postgres"`)
			serves(t, c, hop.to)
			if hop.from < 17 {
				psql(t, publisher, "insert into fed select 0, -n from generate_series(1, 50) n")
				// With its own slot it would be told of tables that it does not
				// know yet, and confirm them.
				psql(t, c, "alter subscription s set (slot_name = 's_not_yet')")
				psql(t, c, "alter subscription s enable")
				psql(t, c, "alter subscription s refresh publication with (copy_data = false)")
				psql(t, c, "alter subscription s set (slot_name = 's')")
			} else {
				flowing(t, first)
				first.Stop()
			}
			caughtUp(t, publisher)
			if got := psql(t, c, "delete from fed where n < 0 returning n"); hop.from < 17 && len(got) == 0 {
				t.Error("what was written meanwhile did not come")
			}
			audited(t, first, c)
		})
	}
}

// publishing is a server whose changes can be subscribed to.
func publishing(t *testing.T, major int) *testbed.Container {
	t.Helper()
	s := spec(major, testbed.Bind(seeded(t, rows(major)), home))
	s.Args = []string{"-c", "wal_level=logical"}
	c := testbed.Run(t, s)
	serves(t, c, major)
	return c
}

// subscribe feeds c from the publisher; the load is still to be started.
func subscribe(t *testing.T, publisher, c *testbed.Container) testbed.Load {
	t.Helper()
	load := testbed.Load{Target: publisher.DSN, Writers: 2, Think: 5 * time.Millisecond, Table: "fed"}
	if err := load.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	psql(t, publisher, "create publication p for table fed with (publish = 'insert')")
	columns := psql(t, publisher, "select string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' order by attnum) from pg_attribute where attrelid = 'fed'::regclass and attnum > 0")
	psql(t, c, "create table if not exists fed ("+columns+")")
	psql(t, c, fmt.Sprintf("create subscription s connection 'host=%s user=postgres password=''%s'' dbname=postgres' publication p", publisher.Addr(), password))
	return load
}

// caughtUp waits until the subscriber has confirmed everything.
func caughtUp(t *testing.T, publisher *testbed.Container) {
	t.Helper()
	last := psql(t, publisher, "select pg_current_wal_lsn()")
	publisher.Eventually(long, "the subscriber has all", func() bool {
		psql(t, publisher, "select pg_logical_emit_message(true, 'x', '')") // else it is asked after half a minute of silence
		return psql(t, publisher, "select coalesce(bool_and(confirmed_flush_lsn >= '"+last+"'), false) from pg_replication_slots where slot_name = 's'") == "t"
	})
}
