package entrypoint

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/upgrade"
)

func markerVolume(t *testing.T) (dir string, root *os.Root) {
	dir = t.TempDir()
	must(t, os.Chmod(dir, 0o777))
	must(t, os.Mkdir(filepath.Join(dir, stateDir), 0o777))
	must(t, os.Chmod(filepath.Join(dir, stateDir), 0o777)) // whatever the umask is
	root, err := os.OpenRoot(dir)
	must(t, err)
	t.Cleanup(func() { _ = root.Close() })
	return dir, root
}

func takeMarker(t *testing.T, root *os.Root, known fileID) (claimed, error) {
	return claimMarker(t.Context(), root, proc.CurrentUser(), known)
}

func TestAMarkerIsTakenAwayAndKeptUntilItIsDoneWith(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"empty": "", "a major": "17\n", "settings": "target: 17\nmode: link\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, root := markerVolume(t)
			write(t, filepath.Join(dir, markerFile), content)
			m, err := takeMarker(t, root, fileID{})
			if err != nil || string(m.Content) != content || time.Since(m.At).Abs() > patient {
				t.Fatalf("claimed %+v, %v", m, err)
			}
			if _, err := os.Lstat(filepath.Join(dir, markerFile)); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("the marker is still there: %v", err)
			}
			again, ok, err := pendingClaim(root)
			if err != nil || !ok || string(again.Content) != content || !again.At.Equal(m.At) {
				t.Fatalf("after a crash the claim is %+v, %v, %v; it was %+v", again, ok, err, m)
			}
			before, after := node.Upgrade{Trigger: node.ByMarker, Started: m.At.Add(-time.Second)}, node.Upgrade{Trigger: node.ByMarker, Started: time.Now()}
			if m.doneWith(before) || !m.doneWith(after) || m.doneWith(node.Upgrade{Trigger: node.ByCommand, Started: time.Now()}) {
				t.Error("a claim is done with by what its marker began after it, and by nothing else")
			}
			must(t, dropClaim(root))
			if _, ok, err := pendingClaim(root); ok || err != nil {
				t.Fatalf("the claim is not forgotten: %v, %v", ok, err)
			}
			if _, err := takeMarker(t, root, fileID{}); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("without a marker: %v", err)
			}
		})
	}
}

func TestASecondMarkerStaysUntilTheFirstIsDoneWith(t *testing.T) {
	t.Parallel()
	dir, root := markerVolume(t)
	marker := filepath.Join(dir, markerFile)
	write(t, marker, "17")
	_, err := takeMarker(t, root, fileID{})
	must(t, err)
	write(t, marker, "18")
	if _, err := takeMarker(t, root, fileID{}); !errors.Is(err, errClaimPending) {
		t.Fatalf("the second marker: %v", err)
	}
	must(t, dropClaim(root))
	if m, err := takeMarker(t, root, fileID{}); err != nil || string(m.Content) != "18" {
		t.Fatalf("afterwards: %q, %v", m.Content, err)
	}
}

func TestWhatIsNoMarkerIsRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, "outside")
	tests := []struct {
		name, says string
		make       func(path string) error
	}{
		{"a directory", "is a directory", func(p string) error { return os.Mkdir(p, 0o755) }},
		{"a link to a file beside it", "symbolic link", func(p string) error {
			return errors.Join(os.WriteFile(p+".real", []byte("17"), 0o644), os.Symlink("upgrade.real", p))
		}},
		{"a link out of the volume", "symbolic link", func(p string) error { return os.Symlink(secret, p) }},
		{"a pipe", "is a pipe", func(p string) error { return unix.Mkfifo(p, 0o644) }},
		{"a hard link", "hard link", func(p string) error {
			return errors.Join(os.WriteFile(p+".real", []byte("17"), 0o600), os.Link(p+".real", p))
		}},
		{"a file of 1 GB", "1073741824 bytes", func(p string) error {
			return errors.Join(os.WriteFile(p, nil, 0o644), os.Truncate(p, 1<<30))
		}},
		{"a file one byte too long", "65537 bytes", func(p string) error { return os.WriteFile(p, make([]byte, upgrade.MarkerLimit+1), 0o644) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, root := markerVolume(t)
			marker := filepath.Join(dir, markerFile)
			must(t, tt.make(marker))
			before, err := os.Lstat(marker)
			must(t, err)
			_, err = takeMarker(t, root, fileID{})
			var refused *markerRefused
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "left alone") {
				t.Fatalf("got %v", err)
			}
			if after, err := os.Lstat(marker); err != nil || idOf(after) != idOf(before) {
				t.Fatalf("it was not left alone: %v", err)
			}
			if _, err := takeMarker(t, root, refused.ID); !errors.Is(err, errMarkerKnown) {
				t.Fatalf("the second time: %v", err)
			}
			must(t, os.RemoveAll(marker))
			write(t, marker, "17")
			if m, err := takeMarker(t, root, refused.ID); err != nil || string(m.Content) != "17" {
				t.Fatalf("another one in its place: %q, %v", m.Content, err)
			}
		})
	}
}

func TestAMarkerThatIsBeingWrittenIsLeftUntilItIsWhole(t *testing.T) {
	t.Parallel()
	for name, held := range map[string]bool{"by name, again and again": false, "by one process that pauses": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, root := markerVolume(t)
			marker := filepath.Join(dir, markerFile)
			f, err := os.Create(marker)
			must(t, err)
			done := make(chan struct{})
			stop := make(chan struct{})
			go func() {
				defer close(done)
				for !held {
					_, _ = f.WriteString("# more\n") // the claim shows whether it was there
					select {
					case <-stop:
						return
					case <-time.After(markerSettle / 20):
					}
				}
			}()
			_, err = takeMarker(t, root, fileID{})
			close(stop)
			<-done
			if !errors.Is(err, errMarkerUnsettled) {
				t.Fatalf("got %v", err)
			}
			_, err = f.WriteString("17\n")
			must(t, errors.Join(err, f.Close()))
			if m, err := takeMarker(t, root, fileID{}); err != nil || !strings.HasSuffix(string(m.Content), "17\n") {
				t.Fatalf("once it was whole: %q, %v", m.Content, err)
			}
		})
	}
}

// whenWaiting is a context that does something as soon as somebody waits for its end.
type whenWaiting struct {
	context.Context
	do func()
}

func (w whenWaiting) Done() <-chan struct{} {
	w.do()
	return w.Context.Done()
}

func TestAMarkerReplacedWhileItSettlesIsLookedAtAnew(t *testing.T) {
	t.Parallel()
	dir, root := markerVolume(t)
	marker := filepath.Join(dir, markerFile)
	write(t, marker, "17")
	write(t, marker+".new", "18")
	// The claim waits for the marker to settle once it has looked at it.
	ctx := whenWaiting{t.Context(), sync.OnceFunc(func() { must(t, os.Rename(marker+".new", marker)) })}
	if m, err := claimMarker(ctx, root, proc.CurrentUser(), fileID{}); !errors.Is(err, errMarkerUnsettled) {
		t.Fatalf("claimed %q, %v", m.Content, err)
	}
	if m, err := takeMarker(t, root, fileID{}); err != nil || string(m.Content) != "18" {
		t.Fatalf("then: %q, %v", m.Content, err)
	}
}

func TestAClaimThatIsCalledOffLeavesTheMarker(t *testing.T) {
	t.Parallel()
	dir, root := markerVolume(t)
	write(t, filepath.Join(dir, markerFile), "17")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := claimMarker(ctx, root, proc.CurrentUser(), fileID{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, markerFile)); err != nil {
		t.Fatal(err)
	}
}

// asNobody calls f on a thread whose rights on files are those of uid 65534.
func asNobody(t *testing.T, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never back: the thread ends with the goroutine
		if os.Geteuid() == 0 {
			if _, err := unix.SetfsuidRetUid(65534); err != nil {
				t.Error(err)
				return
			}
		}
		f()
	}()
	<-done
}

func TestAMarkerThatMayNotBeReadOrTakenIsRefusedWithWords(t *testing.T) {
	t.Parallel()
	dir, root := markerVolume(t)
	marker := filepath.Join(dir, markerFile)
	write(t, marker, "17")
	must(t, os.Chmod(marker, 0o000))
	var unreadable, again, unmovable error
	asNobody(t, func() { _, unreadable = takeMarker(t, root, fileID{}) })
	var refused *markerRefused
	if !errors.As(unreadable, &refused) || !strings.Contains(unreadable.Error(), "chmod a+r") {
		t.Fatalf("unreadable: %v", unreadable)
	}
	must(t, os.Chmod(marker, 0o644))
	must(t, os.Chmod(dir, 0o755))
	if os.Geteuid() != 0 {
		must(t, os.Chmod(dir, 0o555))
		defer func() { _ = os.Chmod(dir, 0o755) }()
	}
	asNobody(t, func() { _, unmovable = takeMarker(t, root, refused.ID) })
	if !errors.As(unmovable, &refused) || !strings.Contains(unmovable.Error(), "cannot be taken away") {
		t.Fatalf("readable after chmod, in a directory that is not ours: %v", unmovable)
	}
	must(t, os.Chmod(dir, 0o777))
	asNobody(t, func() { _, again = takeMarker(t, root, fileID{}) })
	must(t, again)
}

func TestAPendingClaimThatIsNoFileIsRefusedAndCanBeDropped(t *testing.T) {
	t.Parallel()
	dir, root := markerVolume(t)
	must(t, unix.Mkfifo(filepath.Join(dir, claimFile), 0o644))
	var refused *markerRefused
	if _, ok, err := pendingClaim(root); ok || !errors.As(err, &refused) {
		t.Fatalf("got %v, %v", ok, err)
	}
	must(t, dropClaim(root))
	if _, ok, err := pendingClaim(root); ok || err != nil {
		t.Fatalf("got %v, %v", ok, err)
	}
}
