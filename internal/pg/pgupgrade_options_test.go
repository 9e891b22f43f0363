package pg

import (
	"slices"
	"strings"
	"testing"
)

func TestPgUpgradesServersArchiveNothingApplyNothingAndKeepTheirSlots(t *testing.T) {
	for _, test := range []struct {
		major     int
		has, lack []string
	}{
		{15, []string{"max_slot_wal_keep_size=-1"}, []string{"idle_replication_slot_timeout", "sync_replication_slots"}},
		{17, []string{"max_slot_wal_keep_size=-1", "sync_replication_slots=off"}, []string{"idle_replication_slot_timeout"}},
		{18, []string{"idle_replication_slot_timeout=0", "sync_replication_slots=off"}, nil},
	} {
		words := UpgradeOptions(Binaries{Major: test.major}, "/v/data", "/v/rules", map[string]string{"work_mem": "1MB"},
			map[string]string{"work_mem": "2MB", "archive_mode": "on", "max_connections": "7"})
		always := []string{
			"archive_mode=off", "max_logical_replication_workers=0", "shared_preload_libraries=", "hba_file=/v/rules/pg_hba.conf",
			"ident_file=/v/rules/pg_ident.conf", "work_mem=1MB", "max_connections=7", // what the caller sets, and the user
		}
		for _, want := range append(always, test.has...) {
			if i := slices.Index(words, want); i < 1 || words[i-1] != "-c" {
				t.Errorf("%d: no -c %s", test.major, want)
			}
		}
		for _, not := range append(test.lack, "fsync", "autovacuum") { // the latter are pg_upgrade's own affair
			if slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, not+"=") }) {
				t.Errorf("%d: %s is set", test.major, not)
			}
		}
	}
}
