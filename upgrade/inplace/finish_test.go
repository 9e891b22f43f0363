package inplace

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// The old WAL goes, and what lies beside it stays: the new cluster's, that of an
// upgrade after this one, and what is somebody else's.
func TestOfWALOutsidePGDATAOnlyTheOldClustersIsRemoved(t *testing.T) {
	mount := filepath.Join(t.TempDir(), "wal")
	for _, name := range []string{
		"17/000000010000000000000007", "archive_status/x.done", "summaries/x", "000000010000000000000001", "00000002.history",
		"000000010000000000000001.00000028.backup", "18/000000010000000000000009", "notes.txt",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(mount, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(mount, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := &Operation{Site: Site{User: proc.CurrentUser(), Environ: os.Environ()}}
	o.Journal.Old.WAL, o.Journal.New.WAL = mount, filepath.Join(mount, "17")
	for range 2 { // and once more after a crash
		if err := o.removeOldWAL(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	left, err := os.ReadDir(mount)
	if err != nil || len(left) != 3 {
		t.Errorf("%v is left, %v", left, err)
	}
	for _, name := range []string{"17/000000010000000000000007", "18/000000010000000000000009", "notes.txt"} {
		if _, err := os.Stat(filepath.Join(mount, name)); err != nil {
			t.Error(err)
		}
	}
}
