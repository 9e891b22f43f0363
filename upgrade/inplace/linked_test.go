package inplace

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// linking is an old cluster that pg_upgrade disabled and whose files it linked.
type linking struct {
	*Operation
	t           *testing.T
	old, linked string // a file of both clusters
}

func newLinking(t *testing.T) *linking {
	o := shelf(t, false)
	o.Log, o.Journal.Mode = slog.New(slog.DiscardHandler), node.ModeLink
	l := &linking{Operation: o, t: t, old: filepath.Join(o.Journal.Old.PGData, "base/7"), linked: filepath.Join(o.Journal.Build.PGData, "base/7")}
	l.write(l.old)
	return l
}

// tick waits until the file system's clock has moved.
func (l *linking) tick() {
	l.t.Helper()
	name := filepath.Join(l.Site.Volume, "tick")
	var first time.Time
	for begun := time.Now(); time.Since(begun) < 10*time.Second; {
		l.do(os.WriteFile(name, nil, 0o600))
		now, _, err := l.times("tick")
		l.do(err)
		if first.IsZero() {
			first = now
		}
		l.do(os.Remove(name))
		if now.After(first) {
			return
		}
	}
	l.t.Fatal("the clock of the file system stands still")
}

func (l *linking) do(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *linking) write(name string) {
	l.t.Helper()
	l.do(os.WriteFile(name, []byte("rows"), 0o600))
	l.tick()
}

func (l *linking) disable() {
	l.t.Helper()
	control := filepath.Join(l.Journal.Old.PGData, controlFile)
	l.do(os.WriteFile(control, nil, 0o600))
	l.do(os.Rename(control, control+disabledSuffix))
	l.noteDisabled()
	l.tick()
}

func (l *linking) link() { l.t.Helper(); l.do(os.Link(l.old, l.linked)); l.tick() }

// TestOnlyWhatTheNewServerWroteKeepsALinkedClusterFromBeingServed: whatever the wall
// clock does meanwhile, and whoever links the old cluster's files elsewhere too.
func TestOnlyWhatTheNewServerWroteKeepsALinkedClusterFromBeingServed(t *testing.T) {
	backup := func(l *linking) { // cp -al
		for _, name := range []string{l.old, filepath.Join(l.Journal.Old.PGData, controlFile+disabledSuffix)} {
			l.do(os.Link(name, filepath.Join(l.Site.Volume, "backup-"+filepath.Base(name))))
		}
		l.tick()
	}
	for name, c := range map[string]struct {
		happens func(l *linking)
		changed bool
	}{
		"nothing was linked yet":        {func(l *linking) { l.disable() }, false},
		"linked":                        {func(l *linking) { l.disable(); l.link() }, false},
		"written to":                    {func(l *linking) { l.disable(); l.link(); l.write(l.linked) }, true},
		"a backup by links":             {func(l *linking) { l.disable(); l.link(); backup(l) }, false},
		"a backup, written to before":   {func(l *linking) { l.disable(); l.link(); l.write(l.linked); backup(l) }, true},
		"one of before the upgrade":     {func(l *linking) { l.do(os.Link(l.old, filepath.Join(l.Site.Volume, "b"))); l.write(l.old); l.disable() }, false},
		"under a clock that went back":  {func(l *linking) { l.link(); l.write(l.linked); l.disable() }, true},
		"it went back before the links": {func(l *linking) { l.link(); l.disable() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLinking(t)
			c.happens(l)
			if err := l.verifyLinked(); errors.Is(err, ErrLinkedChanged) != c.changed || !c.changed && err != nil {
				t.Errorf("it says %v", err)
			}
			l.Journal.Vouched = true
			if err := l.verifyLinked(); err != nil {
				t.Errorf("an operator vouches for it: %v", err)
			}
		})
	}
}

func TestLogsOfFailedUpgradesAreKeptOfTheLatestOnly(t *testing.T) {
	o := shelf(t, false)
	o.Log = slog.New(slog.DiscardHandler)
	for _, id := range []string{"20260101", "20260102", "20260103", "20260104", "20260105"} {
		o.Journal.ID = id
		if err := os.MkdirAll(filepath.Join(o.Journal.Build.PGData, "pg_upgrade_output.d", id), 0o700); err != nil {
			t.Fatal(err)
		}
		o.keepLogs()
	}
	left, err := os.ReadDir(filepath.Join(o.Site.Volume, ".pgbaton/logs"))
	if err != nil || len(left) != keptLogs || left[0].Name() != "20260103" {
		t.Errorf("kept are %v, %v", left, err)
	}
}
