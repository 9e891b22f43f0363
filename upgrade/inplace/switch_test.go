package inplace

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/upgrade"
)

// shelf is a volume with an old cluster and a new one, whose files say whose
// they are.
func shelf(t *testing.T, same bool) *Operation {
	t.Helper()
	volume := t.TempDir()
	root, err := os.OpenRoot(volume)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	l := upgrade.Layout{
		Old: "15/docker", Build: ".pgbaton/upgrade/new", New: "17/docker", Kept: ".pgbaton/retired/x-15",
		OldNames: []string{"PG_VERSION", "base", "global", "old_only", "own", "postgresql.conf"}, BuildNames: []string{"PG_VERSION", "base", "global", "new_only", "postgresql.conf"}, Own: []string{"own"},
	}
	if same {
		l.New = l.Old
	}
	for dir, names := range map[string][]string{l.Old: l.OldNames, l.Build: l.BuildNames} {
		for _, name := range names {
			file := filepath.Join(volume, dir, name)
			if name == "base" || name == "global" {
				file = filepath.Join(file, "1")
			}
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(dir), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	o := &Operation{Site: Site{Root: root, Volume: volume}}
	at := func(name string) string { return filepath.Join(volume, name) }
	o.Journal.Old.PGData, o.Journal.Build.PGData, o.Journal.New.PGData, o.Journal.Kept = at(l.Old), at(l.Build), at(l.New), at(l.Kept)
	o.Journal.Moves = upgrade.MakeMoves(l)
	for _, dir := range []string{path.Dir(l.New), l.Kept} {
		if dir == l.Kept && !same {
			dir = path.Dir(l.Kept)
		}
		if err := os.MkdirAll(at(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// files lists what lies on a volume.
func (o *Operation) files(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(o.Site.Volume, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(p)
		found[strings.TrimPrefix(p, o.Site.Volume+"/")] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// first makes the first n renames of the switch, as a crash leaves them.
func (o *Operation) first(t *testing.T, n int) {
	t.Helper()
	for _, m := range o.Journal.Moves[:n] {
		if err := o.Site.Root.Rename(m.From, m.To); err != nil {
			t.Fatal(err)
		}
	}
}

func TestASwitchThatWasInterruptedAnywhereIsCompletedOrTakenBackWhole(t *testing.T) {
	for _, same := range []bool{false, true} {
		whole := shelf(t, same)
		before := whole.files(t)
		all := len(whole.Journal.Moves)
		whole.first(t, all)
		after := whole.files(t)
		for n := range all + 1 {
			t.Run(fmt.Sprintf("same directory %v, after %d renames", same, n), func(t *testing.T) {
				o := shelf(t, same)
				o.first(t, n)
				if err := o.move(o.Journal.Moves); err != nil {
					t.Fatal(err)
				}
				if got := o.files(t); !maps.Equal(got, after) {
					t.Errorf("completed it is %v, want %v", got, after)
				}
				// Completed already, and taken back from there, and once more.
				if err := o.move(o.Journal.Moves); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if err := o.moveBack(); err != nil {
						t.Fatal(err)
					}
					if got := o.files(t); !maps.Equal(got, before) {
						t.Fatalf("taken back it is %v, want %v", got, before)
					}
				}
				// Half taken back.
				for back := range n + 1 {
					o := shelf(t, same)
					o.first(t, n)
					for i := n - 1; i >= n-back; i-- {
						if err := o.Site.Root.Rename(o.Journal.Moves[i].To, o.Journal.Moves[i].From); err != nil {
							t.Fatal(err)
						}
					}
					if err := o.moveBack(); err != nil {
						t.Fatal(err)
					}
					if got := o.files(t); !maps.Equal(got, before) {
						t.Fatalf("taken back in two goes it is %v, want %v", got, before)
					}
				}
				// The new cluster is removed then; a crash may bring us here again.
				if err := o.Site.Root.RemoveAll(".pgbaton/upgrade"); err != nil {
					t.Fatal(err)
				}
				left := o.files(t)
				if err := o.moveBack(); err != nil || !maps.Equal(o.files(t), left) {
					t.Errorf("after the removal it makes %v of %v, %v", o.files(t), left, err)
				}
			})
		}
	}
}

func TestModeAutoIsKnownBeforeAnUpgradeAndTryingLeavesNothing(t *testing.T) {
	o := shelf(t, false)
	o.Site.User = proc.CurrentUser()
	before := o.files(t)
	if mode := o.Site.AutoMode(); mode != node.ModeClone && mode != node.ModeLink {
		t.Errorf("mode %q", mode)
	}
	if got := o.files(t); !maps.Equal(got, before) {
		t.Errorf("it leaves %v", got)
	}
}

// TestAWayBackGetsPastWhatMountsLeaveAndNeverPastAFile: Docker makes directories,
// and empty files, for mounts, and leaves them on the volume.
func TestAWayBackGetsPastWhatMountsLeaveAndNeverPastAFile(t *testing.T) {
	leave := func(t *testing.T, o *Operation, content string) {
		dir := filepath.Join(o.Journal.Old.PGData, "pg_wal", "archive_status")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(o.Journal.Old.PGData, "pg_hba.conf"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := shelf(t, false)
	before := o.files(t)
	o.first(t, len(o.Journal.Moves))
	leave(t, o, "")
	if err := o.MayUndo(); err != nil {
		t.Fatal(err)
	}
	if err := o.moveBack(); err != nil || !maps.Equal(o.files(t), before) {
		t.Errorf("%v: %v, want %v", err, o.files(t), before)
	}

	o = shelf(t, false)
	o.first(t, len(o.Journal.Moves))
	leave(t, o, "a line of somebody's")
	all := o.files(t)
	if err := o.MayUndo(); err == nil || !strings.Contains(err.Error(), "its place "+o.Journal.Old.PGData+" is taken") {
		t.Errorf("before it it says %v", err)
	}
	if err := o.moveBack(); err == nil {
		t.Error("it went over somebody's file")
	}
	if err := o.move(o.Journal.Moves); err != nil || !maps.Equal(o.files(t), all) {
		t.Errorf("forward again: %v: %v, want %v", err, o.files(t), all)
	}
}

// TestABlockedWayBackIsCalledOffFromEachOfItsRenames, and the new cluster is whole
// in its place again.
func TestABlockedWayBackIsCalledOffFromEachOfItsRenames(t *testing.T) {
	for _, same := range []bool{false, true} {
		all := len(shelf(t, same).Journal.Moves)
		for n := range all {
			o := shelf(t, same)
			o.first(t, all)
			after := o.files(t)
			for i := all - 1; i > n; i-- {
				if err := o.Site.Root.Rename(o.Journal.Moves[i].To, o.Journal.Moves[i].From); err != nil {
					t.Fatal(err)
				}
			}
			o.Log, o.Journal.Going, o.Journal.Outcome = slog.New(slog.DiscardHandler), upgrade.Onward, node.UpgradeRunning
			if err := o.MayGoOn(); err != nil {
				t.Error(err)
			}
			if err := o.GoOn(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := o.files(t)
			maps.DeleteFunc(got, func(name, _ string) bool { return name == JournalFile || name == ResultFile })
			if !maps.Equal(got, after) {
				t.Errorf("same directory %v, %d renames left: %v, want %v", same, n, got, after)
			}
			if o.Journal.Outcome != node.UpgradeDone || upgrade.Next(o.Journal) != upgrade.Idle || o.Journal.Retired != o.Journal.Kept {
				t.Errorf("the journal says %s, next %q, kept at %q", o.Journal.Outcome, upgrade.Next(o.Journal), o.Journal.Retired)
			}
		}
	}
}
