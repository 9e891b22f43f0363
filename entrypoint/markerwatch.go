package entrypoint

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// markerPoll is how often the marker is looked for without any event: they
	// do not arrive from network file systems, and get lost.
	markerPoll = 5 * time.Second
	// markerGather is how long events are gathered before one look answers them
	// all: a file that is written sends many.
	markerGather = 200 * time.Millisecond
)

// markerWatch looks for the marker in directories. Events of fsnotify only
// say when to look; what counts is what lies there. At rest it costs two
// lstat(2) per directory and poll, and one inotify instance (there are 128 per
// uid across all containers of a machine; without one it only polls).
type markerWatch struct {
	dirs    []string
	hint    func()
	log     *slog.Logger
	events  *fsnotify.Watcher    // nil: polling only
	watched map[string]dirNumber // directories as they were when their watch was added
	said    bool                 // that there is only polling
}

// dirNumber tells a directory from another one under the same name.
type dirNumber struct{ dev, ino uint64 }

// watchMarker calls hint, on its own goroutine, whenever a file of the
// marker's name is there: soon after it appeared or changed, and at each poll
// for as long as it stays. It returns when ctx ends.
func watchMarker(ctx context.Context, dirs []string, every time.Duration, hint func(), log *slog.Logger) {
	m := &markerWatch{hint: hint, log: log}
	for _, dir := range dirs {
		if dir = filepath.Clean(dir); !slices.Contains(m.dirs, dir) {
			m.dirs = append(m.dirs, dir)
		}
	}
	defer m.close()
	m.look()
	tick := time.NewTicker(every)
	defer tick.Stop()
	m.run(ctx, tick.C)
}

func (m *markerWatch) run(ctx context.Context, tick <-chan time.Time) {
	var soon <-chan time.Time
	for {
		var events <-chan fsnotify.Event
		var failures <-chan error
		if m.events != nil {
			events, failures = m.events.Events, m.events.Errors
		}
		again := false
		select {
		case <-ctx.Done():
			return
		case <-tick:
			m.look()
		case <-soon:
			soon = nil
			m.look()
		case e := <-events:
			again = m.matters(e)
		case err := <-failures:
			// An overflow may have swallowed the marker's event as well as the
			// end of a watch: everything is added anew, then looked at.
			m.log.Debug("events about the marker got lost: looking", "error", err)
			m.close()
			again = true
		}
		// A later event does not put the look off, so a file that is written
		// to all the time cannot do so either.
		if again && soon == nil {
			soon = time.After(markerGather)
		}
	}
}

// matters tells the marker's events, and those of the directories themselves,
// from the others of a directory that may be PGDATA.
func (m *markerWatch) matters(e fsnotify.Event) bool {
	if e.Op == fsnotify.Chmod {
		return false
	}
	return filepath.Base(e.Name) == markerFile || slices.Contains(m.dirs, e.Name)
}

// look repairs the watches first: what appears after the look sends an event.
func (m *markerWatch) look() {
	m.mend()
	for _, dir := range m.dirs {
		if _, err := os.Lstat(filepath.Join(dir, markerFile)); err == nil {
			m.hint()
			return
		}
	}
}

// mend adds the watches that are missing: at first, after a failure, and where
// a directory was removed, renamed or mounted over and is there again.
func (m *markerWatch) mend() {
	if m.events == nil {
		w, err := fsnotify.NewWatcher()
		if err != nil {
			m.without(err)
			return
		}
		m.events, m.watched = w, map[string]dirNumber{}
	}
	alive := m.events.WatchList() // an inode number may be given out again at once
	for _, dir := range m.dirs {
		now, err := numberOf(dir)
		if err == nil && m.watched[dir] == now && slices.Contains(alive, dir) {
			continue
		}
		_ = m.events.Remove(dir) // it fails where there is none, which is the aim
		delete(m.watched, dir)
		if err == nil {
			err = m.events.Add(dir)
		}
		switch {
		case err == nil:
			m.watched[dir] = now
		case !errors.Is(err, fs.ErrNotExist):
			m.without(err)
		}
	}
}

// without says, once, that markers are found by polling alone.
func (m *markerWatch) without(err error) {
	if !m.said {
		m.said = true
		m.log.Warn("no watch on the upgrade marker: it is noticed at the next look, a few seconds later", "error", err)
	}
}

func (m *markerWatch) close() {
	if m.events != nil {
		_ = m.events.Close() // it only closes descriptors
		m.events = nil
	}
}

func numberOf(dir string) (dirNumber, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return dirNumber{}, err
	}
	st := info.Sys().(*syscall.Stat_t)
	return dirNumber{st.Dev, st.Ino}, nil
}
