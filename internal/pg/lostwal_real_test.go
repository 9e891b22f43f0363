//go:build realpg

package pg

import (
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
)

// A standby that is away while its primary removes WAL waits for what no longer
// exists, and is known to; before, and with another source, it is not.
func TestRealAStandbyWhoseWALIsGoneIsProvenToLackIt(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		n1 := newPrimary(t, b)
		n2 := n1.standby("n2", 6002)
		n1.stop("fast")
		n1.up("-c", "wal_keep_size=0", "-c", "max_wal_size=32MB", "-c", "min_wal_size=32MB", "-c", "max_slot_wal_keep_size=1MB")
		n1.streams("n2")
		from := n1.from("n2")
		from.Passfile = n2.pass
		system, _, err := from.SystemIdentifier(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		removed := func(at node.LSN) bool {
			t.Helper()
			got, err := from.HasRemoved(t.Context(), at, system)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		if w, waits, err := n2.sql().Wants(t.Context()); err != nil || waits || w.DataSize == 0 {
			t.Errorf("a standby that streams: %+v, %v, %v", w, waits, err)
		}
		if w, waits, err := n1.sql().Wants(t.Context()); err != nil || waits {
			t.Errorf("a primary: %+v, %v, %v", w, waits, err)
		}
		if _, err := from.HasRemoved(t.Context(), 1, system+1); err == nil {
			t.Error("another cluster was asked")
		}
		n2.stop("fast")
		n1.exec(n1.sql(), "create table public.t (x text)")
		for range 6 {
			n1.exec(n1.sql(), "insert into public.t select repeat('x', 1000) from generate_series(1, 15000)", "select pg_switch_wal()", "checkpoint")
		}
		n2.up()
		var want Want
		until(t, "it waits for WAL", func() bool {
			w, waits, err := n2.sql().Wants(t.Context())
			want = w
			return err == nil && waits
		})
		if want.Archive != "" || !removed(want.At) {
			t.Errorf("%+v is not known to be gone", want)
		}
		p, err := n1.sql().Replication(t.Context())
		if err != nil || removed(p.Flushed) {
			t.Errorf("what the primary writes now counts as removed (%v)", err)
		}
		n2.stop("fast")
		n2.up("-c", "restore_command=false")
		until(t, "it waits for WAL again", func() bool {
			w, waits, err := n2.sql().Wants(t.Context())
			return err == nil && waits && w.Archive == "false"
		})
	})
}
