package pg

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestACopyGoesIntoADirectoryOfItsOwnWhereTheUsualOneIsInUse(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"used/PG_17_1/1", "used/pgbaton-t2/PG_17_1", "empty", "wal/archive_status"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	var told []string
	spec := CloneSpec{Stamp: "t2", WAL: at("wal"), Spaces: map[string]string{at("named"): at("there")}, Uses: func(dirs []string) error {
		told = dirs
		return nil
	}}
	got, err := spec.outside([]string{
		at("missing"), at("empty"), at("used"), at("used/pgbaton-t1"), at("named"), "pg_tblspc/5", at("empty/pgbaton-t1"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		at("named"): at("there"), at("used"): at("used/pgbaton-t2-2"), at("used/pgbaton-t1"): at("used/pgbaton-t2-3"),
		at("empty/pgbaton-t1"): at("empty/pgbaton-t2"),
	}
	if !maps.Equal(got.Spaces, want) || got.WAL != at("wal/pgbaton-t2") {
		t.Errorf("tablespaces %v, WAL %s", got.Spaces, got.WAL)
	}
	all := []string{at("missing"), at("empty"), at("used/pgbaton-t2-2"), at("used/pgbaton-t2-3"), at("empty/pgbaton-t2"), at("wal/pgbaton-t2")}
	if !slices.Equal(told, all) {
		t.Errorf("told of %v", told)
	}
	if len(spec.Spaces) != 1 {
		t.Error("the caller's own map was changed")
	}

	spec.Stamp = ""
	if _, err := spec.outside([]string{at("used")}); err == nil {
		t.Error("a directory in use was taken")
	}
	no := errors.New("cannot be written down")
	spec.WAL, spec.Uses = "", func([]string) error { return no }
	if _, err := spec.outside(nil); !errors.Is(err, no) {
		t.Error(err)
	}
}

func TestWhatAnInterruptedCopyLeftIsClearedAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"space/PG_17_1/1/2", "space/mine", "space/pgbaton-t1/PG_17_1/1", "other/pgbaton-t2/x",
		"wal/archive_status/x", "wal/000000010000000000000001", "wal/00000002.history", "wal/mine",
	} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := ClearOutside([]string{dir + "/space", dir + "/other/pgbaton-t2", dir + "/wal", dir + "/missing"}, nil); err != nil {
		t.Fatal(err)
	}
	for sub, want := range map[string][]string{"space": {"mine", "pgbaton-t1"}, "other": nil, "wal": {"mine"}} {
		if names, err := namesIn(filepath.Join(dir, sub)); err != nil || !slices.Equal(names, want) {
			t.Errorf("%s holds %v, want %v: %v", sub, names, want, err)
		}
	}
}
