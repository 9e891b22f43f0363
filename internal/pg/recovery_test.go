package pg

import (
	"slices"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
)

func TestAStandbyGetsNoLessThanItsPrimaryHadAndKeepsWhatItHasMoreOf(t *testing.T) {
	own := map[string]string{
		"max_connections": "100", "max_worker_processes": "0x10", "max_wal_senders": "10", "max_prepared_transactions": "0", "max_locks_per_transaction": "64",
	}
	got := raise(own, node.Needs{Connections: 140, Workers: 8, Senders: 10, Prepared: 5, Locks: 64})
	if want := []string{"-c", "max_connections=140", "-c", "max_prepared_transactions=5"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
