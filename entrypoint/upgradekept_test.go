package entrypoint

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/upgrade"
	"github.com/pgbaton/pgbaton/upgrade/inplace"
)

// upgraded is a supervisor after an upgrade by copy from 15 to 17.
func upgraded(t *testing.T) *supervisor {
	t.Helper()
	top := t.TempDir()
	root, err := os.OpenRoot(top)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	kept := filepath.Join(top, ".pgbaton/retired/one-15")
	if err := os.MkdirAll(filepath.Join(top, ".pgbaton/journal"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{kept, filepath.Join(top, "17/docker")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "PG_VERSION"), []byte("17\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &supervisor{log: slog.New(slog.DiscardHandler), mail: newMailbox(), control: t.TempDir(), volume: &volume{root: root, place: place{volume: top, pgdata: filepath.Join(top, "17/docker")}, major: 17}}
	s.user = proc.CurrentUser()
	j := &s.up.journal
	j.ID, j.From, j.To, j.Mode, j.Outcome, j.Retired, j.Opened, j.Kept = "one", 15, 17, node.ModeCopy, node.UpgradeDone, kept, true, kept
	j.Old.PGData, j.New.PGData, j.Build.PGData = filepath.Join(top, "15/docker"), filepath.Join(top, "17/docker"), filepath.Join(top, ".pgbaton/upgrade/new")
	return s
}

// blockFile keeps a file of the volume from being written, as a full disk does.
func blockFile(t *testing.T, s *supervisor, name string) (free func()) {
	t.Helper()
	path := filepath.Join(s.volume.place.volume, name)
	if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	return func() { _ = os.RemoveAll(path) }
}

// TestAKeptClusterStaysKnownWhateverCannotBeWritten: the way back rests on its
// journal.
func TestAKeptClusterStaysKnownWhateverCannotBeWritten(t *testing.T) {
	orders := map[string]func(*supervisor) error{
		"undo": func(s *supervisor) error { return s.orderUndo(node.UpgradeRequest{Do: node.UpgradeUndo, Force: true}) },
		"finish": func(s *supervisor) error {
			return s.orderFinish(node.UpgradeRequest{Do: node.UpgradeFinish, Force: true})
		},
	}
	for name, file := range map[string]string{"undo": inplace.JournalFile, "undo ": doneFile("one"), "finish": doneFile("one")} {
		s := upgraded(t)
		free := blockFile(t, s, file)
		err := orders[strings.TrimSpace(name)](s)
		if err == nil || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("%s without %s: %v", name, file, err)
		}
		if j := s.up.journal; j.Outcome != node.UpgradeDone || j.Going != upgrade.Forward {
			t.Errorf("%s without %s: the journal says %s, %q", name, file, j.Outcome, j.Going)
		}
		if len(s.doneJournals()) != 1 {
			t.Errorf("%s without %s: the kept cluster is unknown", name, file)
		}
		free()
		if err := s.orderUndo(node.UpgradeRequest{Do: node.UpgradeUndo, Force: true}); err != nil || s.up.journal.Going != upgrade.Retreat {
			t.Errorf("once there is room: %v, %q", err, s.up.journal.Going)
		}
	}
}

// TestABlockedWayBackIsCalledOffAndTakenAfterAllByOrders: none but those two come in
// between, and not while it is being tried.
func TestABlockedWayBackIsCalledOffAndTakenAfterAllByOrders(t *testing.T) {
	s := upgraded(t)
	start, undo := node.Order{Do: node.Start}, node.UpgradeRequest{Do: node.UpgradeUndo, Force: true}
	if err := s.orderUndo(undo); err != nil {
		t.Fatal(err)
	}
	if err := s.duringUpgrade(start); err == nil {
		t.Error("it is called off though nothing blocks it")
	}
	blocked := func() { s.up.next = s.started.Add(1) }
	blocked()
	if err := s.duringUpgrade(start); err != nil || s.up.journal.Going != upgrade.Onward || s.up.stage() != upgrade.Undoing {
		t.Errorf("called off: %v, %q", err, s.up.journal.Going)
	}
	if err := s.orderUndo(undo); err == nil {
		t.Error("it is turned round though nothing blocks it")
	}
	blocked()
	if err := s.orderUndo(undo); err != nil || s.up.journal.Going != upgrade.Retreat {
		t.Errorf("taken after all: %v, %q", err, s.up.journal.Going)
	}
	blocked()
	s.job.name = "upgrading"
	if err := s.duringUpgrade(start); err == nil {
		t.Error("it is called off while it is tried")
	}
	s.job.name = ""
	if err := os.RemoveAll(filepath.Join(s.volume.place.volume, "17")); err != nil {
		t.Fatal(err)
	}
	if err := s.duringUpgrade(start); err == nil || !strings.Contains(err.Error(), "only the way back; nothing was changed") {
		t.Errorf("without the new cluster: %v", err)
	}
}
