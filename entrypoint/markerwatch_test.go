package entrypoint

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// never is a poll that no test lives to see: only events can bring a hint.
const never = time.Hour

// patient bounds what happens within milliseconds on an idle machine.
const patient = time.Minute

type watching struct {
	t     *testing.T
	hints chan struct{}
	held  atomic.Bool // a hint waits to be taken
	log   *safeBuffer
}

// safeBuffer is a log that may be read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// startWatch watches until the test ends. A hint that nobody takes blocks it.
func startWatch(t *testing.T, every time.Duration, dirs ...string) *watching {
	w := &watching{t: t, hints: make(chan struct{}), log: &safeBuffer{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	hint := func() {
		w.held.Store(true)
		defer w.held.Store(false)
		select {
		case w.hints <- struct{}{}:
		case <-ctx.Done():
		}
	}
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	go func() {
		defer close(done)
		watchMarker(ctx, dirs, every, hint, log)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

func (w *watching) expect(why string) {
	w.t.Helper()
	select {
	case <-w.hints:
	case <-time.After(patient):
		w.t.Fatalf("no hint: %s\n%s", why, w.log)
	}
}

// quiet waits a little, so it can only miss a hint, never invent one.
func (w *watching) quiet(why string) {
	w.t.Helper()
	select {
	case <-w.hints:
		w.t.Fatalf("a hint: %s", why)
	case <-time.After(3 * markerGather):
	}
}

func write(t *testing.T, path, data string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(data), 0o644))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAMarkerThatIsThereBeforeTheWatchIsNoticed(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, markerFile), "")
	startWatch(t, never, dir).expect("the marker was there from the beginning")
}

func TestAnEventBringsAHintForEachWayToDropAMarker(t *testing.T) {
	dir, second := t.TempDir(), t.TempDir()
	marker := filepath.Join(dir, markerFile)
	w := startWatch(t, never, dir, second)
	waitWatched(t, w, dir, second)
	write(t, filepath.Join(dir, "other"), "17")
	w.quiet("another file appeared")
	write(t, marker, "17")
	w.expect("the marker was written")
	must(t, os.Remove(marker))
	w.quiet("the marker was removed")
	write(t, filepath.Join(dir, "upgrade.tmp"), "18")
	must(t, os.Rename(filepath.Join(dir, "upgrade.tmp"), marker))
	w.expect("the marker was moved to its place")
	must(t, os.Chmod(marker, 0o600))
	w.quiet("the marker's mode changed")
	must(t, os.Remove(marker))
	must(t, os.Symlink("/nowhere", filepath.Join(second, markerFile)))
	w.expect("a link that leads nowhere has the name too, and is for the claim to refuse")
}

// waitWatched waits until the watch is up, by a marker that it notices.
func waitWatched(t *testing.T, w *watching, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		marker := filepath.Join(dir, markerFile)
		deadline := time.Now().Add(patient)
		for seen := false; !seen; {
			write(t, marker, "")
			select {
			case <-w.hints:
				seen = true
			case <-time.After(2 * markerGather):
			}
			must(t, os.Remove(marker))
			if !seen && time.Now().After(deadline) {
				t.Fatalf("the watch on %s does not come up\n%s", dir, w.log)
			}
		}
	}
	for { // what was dropped meanwhile
		select {
		case <-w.hints:
		case <-time.After(3 * markerGather):
			return
		}
	}
}

func TestADirectoryThatWasReplacedIsWatchedAgain(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "volume")
	must(t, os.Mkdir(dir, 0o755))
	for _, replace := range map[string]func(){
		"removed and made again": func() {
			must(t, os.Remove(dir))
			must(t, os.Mkdir(dir, 0o755))
		},
		"moved away and made again": func() {
			must(t, os.Rename(dir, dir+".old"))
			must(t, os.Mkdir(dir, 0o755))
		},
	} {
		// Short polls mend the watch. Hints come by poll as well; that events
		// come again shows in the watch itself.
		w := startWatch(t, 50*time.Millisecond, dir)
		waitWatched(t, w, dir)
		replace()
		write(t, filepath.Join(dir, markerFile), "")
		w.expect("the marker is in the new directory")
		must(t, os.Remove(filepath.Join(dir, markerFile)))
	}
}

func TestMendAddsAWatchToADirectoryThatIsAnotherOne(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "volume")
	m := &markerWatch{dirs: []string{dir}, hint: func() {}, log: slog.New(slog.DiscardHandler)}
	defer m.close()
	m.mend()
	if m.said || len(m.events.WatchList()) != 0 {
		t.Fatal("a directory that does not exist yet is no reason to complain, and cannot be watched")
	}
	for range 3 {
		must(t, os.Mkdir(dir, 0o755))
		m.mend()
		write(t, filepath.Join(dir, markerFile), "")
		for e := range m.events.Events {
			if m.matters(e) {
				break
			}
		}
		must(t, os.RemoveAll(dir))
		for len(m.events.WatchList()) > 0 { // until fsnotify has read the end of it
			select {
			case <-m.events.Events:
			case <-time.After(time.Millisecond):
			}
		}
	}
}

func TestAnOverflowOfTheKernelsQueueIsAnsweredByALook(t *testing.T) {
	raw, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	must(t, err)
	limit, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	must(t, err)
	if limit > 100_000 {
		limit = 100_000 // events may then all arrive, and the marker's with them
	}
	dir := t.TempDir()
	marker := filepath.Join(dir, markerFile)
	w := startWatch(t, never, dir)
	waitWatched(t, w, dir)
	write(t, marker, "")
	for end := time.Now().Add(patient); !w.held.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the watch has no hint to give\n%s", w.log)
		}
	}
	must(t, os.Remove(marker))
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	write(t, a, "")
	for range limit { // two events each, and fsnotify holds a buffer of them
		must(t, os.Rename(a, b))
		a, b = b, a
	}
	write(t, marker, "")
	w.expect("the hint that was held back")
	w.expect("the marker whose event was lost")
	must(t, os.Remove(marker))
	waitWatched(t, w, dir)
	if limit < 100_000 && !strings.Contains(w.log.String(), "overflow") {
		t.Errorf("the queue of %d events did not overflow:\n%s", limit, w.log)
	}
}

func TestWithoutInotifyMarkersAreFoundByPollingAndItIsSaidOnce(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "ready"), "")
	// No descriptor is left to this process: inotify_init1(2) fails with the
	// same EMFILE as where the instances of the uid are used up.
	var before unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	none := before
	none.Cur = 0
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &none))
	restored := false
	restore := func() {
		if !restored {
			restored = true
			must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before))
		}
	}
	defer restore()
	w := startWatch(t, 10*time.Millisecond, dir)
	w.quiet("nothing is there")
	must(t, os.Rename(filepath.Join(dir, "ready"), filepath.Join(dir, markerFile)))
	w.expect("polling finds the marker")
	w.expect("polling finds it again for as long as it is there")
	restore()
	if n := strings.Count(w.log.String(), "no watch on the upgrade marker"); n != 1 {
		t.Errorf("said %d times that there is no watch:\n%s", n, w.log)
	}
}
