package entrypoint

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/notify"
)

// TestACopyThatBeginsAgainRemovesNoWholeDataDirectory: somebody has restored a
// backup where a copy had been interrupted.
func TestACopyThatBeginsAgainRemovesNoWholeDataDirectory(t *testing.T) {
	t.Parallel()
	for name, restored := range map[string]bool{"what the copy left": false, "a restored backup": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			space := t.TempDir() // of a tablespace that the copy had begun to write
			if err := os.MkdirAll(filepath.Join(space, "PG_17_202406281"), 0o700); err != nil {
				t.Fatal(err)
			}
			files := map[string]string{"17/docker/base/1/1259": "rows", ".pgbaton/clone/base/1/1259": "half"}
			if restored {
				files["17/docker/PG_VERSION"] = "17"
			}
			dir, root := clusterAt(t, files)
			s := &supervisor{log: slog.New(slog.DiscardHandler), setup: setup{user: proc.CurrentUser()}}
			s.volume = &volume{root: root, place: place{volume: dir, pgdata: filepath.Join(dir, "17/docker")}}
			if err := s.prepareClone(&copyState{What: notify.Clone, Outside: []string{space}}); err != nil {
				t.Fatal(err)
			}
			kept, err := filepath.Glob(filepath.Join(dir, divergedDir, "*-interrupted", "PG_VERSION"))
			if err != nil || (len(kept) == 1) != restored {
				t.Errorf("kept: %q, %v", kept, err)
			}
			if _, err := os.Lstat(filepath.Join(space, "PG_17_202406281")); (err == nil) != restored {
				t.Errorf("the tablespace: %v", err)
			}
			if left, err := os.ReadDir(filepath.Join(dir, "17/docker")); err != nil || len(left) > 0 {
				t.Errorf("left in the data directory: %v, %v", left, err)
			}
			if exists(filepath.Join(dir, cloneDir)) {
				t.Error("what had been received is still there")
			}
		})
	}
}
