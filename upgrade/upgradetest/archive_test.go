package upgradetest

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// systemIdentifier of the cluster that wrote a WAL file: XLogLongPageHeaderData
// in access/xlog_internal.h.
func systemIdentifier(t *testing.T, path string) uint64 {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil || len(raw) < 32 {
		t.Fatalf("%s has %d bytes, %v", path, len(raw), err)
	}
	return binary.LittleEndian.Uint64(raw[24:])
}

// A fresh cluster's first WAL file in the user's archive would stand in the
// way of the real ones, or replace them.
func TestNoServerThatAnUpgradeStartsArchivesAnything(t *testing.T) {
	t.Parallel()
	volume := seeded(t, rows(15))
	archive := filepath.Join(volume, "15/docker/archive") // in the data directory: carried over too
	put(t, filepath.Join(archive, "README"), "WAL\n")
	host(t, "chown", "999:999", archive)
	appendTo(t, filepath.Join(volume, "15/docker/postgresql.conf"),
		"archive_mode = on\narchive_command = 'test ! -f archive/%f && cp %p archive/%f'\n")
	c := testbed.Run(t, spec(15, testbed.Bind(volume, home)))
	serves(t, c, 15)
	identifier := func() string { return psql(t, c, "select system_identifier from pg_control_system()") }
	old := identifier()
	for range 2 {
		psql(t, c, "create table if not exists w (); select pg_switch_wal()")
		psql(t, c, "insert into w default values")
	}
	became(t, c, volume, drop(t, volume, "target: 17\n"), node.UpgradeDone)
	serves(t, c, 17)
	now := identifier()
	psql(t, c, "insert into w default values")
	psql(t, c, "select pg_switch_wal()")
	archive = filepath.Join(volume, "17/docker/archive")
	c.Eventually(long, "the new cluster archives", func() bool {
		return psql(t, c, "select archived_count > 0 from pg_stat_archiver") == "t"
	})
	files, err := filepath.Glob(filepath.Join(archive, "0*"))
	if err != nil || len(files) < 3 {
		t.Fatalf("the archive holds %v, %v", files, err)
	}
	sort.Strings(files)
	seen := map[string]int{}
	for _, f := range files {
		if filepath.Ext(f) != "" {
			continue // a history or backup file
		}
		id := strconv.FormatUint(systemIdentifier(t, f), 10)
		seen[id]++
		if id != old && id != now {
			t.Errorf("%s is of the cluster %s, neither the old nor the new one", f, id)
		}
		if id == old && seen[now] > 0 {
			t.Errorf("%s of the old cluster comes after files of the new one", f)
		}
	}
	if seen[old] == 0 || seen[now] == 0 {
		t.Errorf("archived by cluster: %v; old %s, new %s", seen, old, now)
	}
	if got := psql(t, c, "select failed_count from pg_stat_archiver"); got != "0" {
		t.Errorf("%s files could not be archived: another server's lie there", got)
	}
}
