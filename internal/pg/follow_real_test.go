//go:build realpg

package pg

import (
	"testing"
	"time"
)

// TestRealAStandbyStreamsFromAPrimaryAlone: n3 is told to follow n2, a standby
// with a slot for it, as where n2 got the primary's address. It does once n2 is
// the primary.
func TestRealAStandbyStreamsFromAPrimaryAlone(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		n1 := newPrimary(t, b)
		slots := []string{"pgbaton_n2", "pgbaton_n3"}
		n2, n3 := n1.standby("n2", 6002), n1.standby("n3", 6003)
		if _, err := n2.sql().EnsureSlots(t.Context(), slots); err != nil {
			t.Fatal(err)
		}
		from := n2.from("n3")
		from.Passfile = n3.pass
		if err := n3.sql().SetAuto(t.Context(), map[string]string{PrimaryConnInfo: from.ConnInfo()}); err != nil {
			t.Fatal(err)
		}
		streams := func() bool {
			r, err := n3.sql().Replication(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return r.Receiver != nil && r.Receiver.Status == "streaming"
		}
		until(t, "n3 lets go of n1", func() bool {
			return n1.number(n1.sql(), "select count(*) from pg_stat_replication where application_name = 'n3'") == 0
		})
		for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if streams() {
				t.Fatal("n3 streams from a standby")
			}
		}
		if _, _, err := n2.sql().Promote(t.Context(), n2.data, &n2.user, n2.postmaster()); err != nil {
			t.Fatal(err)
		}
		until(t, "n3 streams from n2", streams)
	})
}

// TestRealAFailoverSlotIsSynchronized: with the user's two settings the worker of
// PostgreSQL 17 finds its way by our primary_conninfo.
func TestRealAFailoverSlotIsSynchronized(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		if b.Major < 17 {
			return // there is no such thing before
		}
		n1 := newPrimary(t, b, "-c", "wal_level=logical")
		n2 := n1.standby("n2", 6002, "-c", "wal_level=logical", "-c", "sync_replication_slots=on", "-c", "hot_standby_feedback=on")
		n1.exec(n1.sql(), "select pg_create_logical_replication_slot('l', 'pgoutput', false, false, true)")
		until(t, "the slot is on n2", func() bool {
			n1.exec(n1.sql(), "select pg_log_standby_snapshot()", "select pg_replication_slot_advance('l', pg_current_wal_lsn())")
			return n2.number(n2.sql(), "select count(*) from pg_replication_slots where slot_name = 'l' and synced and not temporary") == 1
		})
	})
}
