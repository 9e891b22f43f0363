package pg

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"
)

func TestATimelineHistoryIsReadAsPostgreSQLWritesIt(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "pg_wal", "0000000B.history"),
		"1\t0/3000148\tno recovery target specified\n\n# a comment\n\n  2\t1A/FF000000\tbefore 2000-01-01\n")
	got, err := ReadHistory(dir, 11)
	want := []TimelineSwitch{{Timeline: 1, At: 0x3000148}, {Timeline: 2, At: 0x1A_FF000000}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := ReadHistory(dir, 1); got != nil || err != nil {
		t.Errorf("timeline 1: %v, %v", got, err)
	}
	if _, err := ReadHistory(dir, 12); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestTheNewestHistoryIsThatOfTheHighestTimeline(t *testing.T) {
	dir := t.TempDir()
	if _, err := NewestHistory(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, name := range []string{"0000000000000001.history", "xlogtemp.history", "000000020000000000000003", "00000009.history.x"} {
		write(t, filepath.Join(dir, "pg_wal", name), "")
	}
	if newest, err := NewestHistory(dir); newest != 0 || err != nil {
		t.Error(newest, err)
	}
	write(t, filepath.Join(dir, "pg_wal", "00000003.history"), "")
	write(t, filepath.Join(dir, "pg_wal", "0000000B.history"), "")
	if newest, err := NewestHistory(dir); newest != 11 || err != nil {
		t.Error(newest, err)
	}
}

func TestADamagedTimelineHistoryIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty":                  "",
		"a line cut off":         "1\t0/3000148\tno recovery target specified\n2\t0/30001",
		"one word":               "1\n",
		"no number":              "x\t0/1\ty\n",
		"no position":            "1\t0-1\ty\n",
		"timelines backwards":    "2\t0/1\ty\n1\t0/2\ty\n",
		"positions backwards":    "1\t0/2\ty\n2\t0/1\ty\n",
		"its own timeline in it": "3\t0/2\ty\n",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := parseHistory(text, 3); err == nil {
				t.Errorf("%v", got)
			}
		})
	}
}

func FuzzHistory(f *testing.F) {
	f.Add("1\t0/3000148\tno recovery target specified\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseHistory(text, 9)
		if err == nil && (len(got) == 0 || got[len(got)-1].Timeline >= 9) {
			t.Error(got)
		}
	})
}
