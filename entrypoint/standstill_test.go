package entrypoint

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/nodeapi"
)

// TestALoopOrADiskThatStandsStillIsNoticed: the disk is a FIFO that nobody reads.
func TestALoopOrADiskThatStandsStillIsNoticed(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, stateDir), 0o700); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	turned := time.Now()
	var released atomic.Int32
	w := &standstill{within: 50 * time.Millisecond, turned: func() time.Time { return turned }, release: func() { released.Add(1) }}
	w.root.Store(root)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := pulse(root); err != nil || w.why(turned) != "" {
		t.Fatalf("it stands still at once: %v, %q", err, w.why(turned))
	}
	if why := w.why(turned.Add(nodeapi.StillAfter)); !strings.Contains(why, "its loop stands still") {
		t.Errorf("the loop: %q", why)
	}

	fifo := filepath.Join(dir, pulseFile)
	if err := os.Remove(fifo); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	go w.write(ctx)
	go w.watch(ctx, func(string, ...any) {})
	defer func() { // lets the writer end
		cancel()
		if r, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil {
			time.Sleep(10 * time.Millisecond)
			_ = r.Close()
		}
	}()
	for end := time.Now().Add(time.Minute); !strings.Contains(w.disk(time.Now()), "its disk stands still") || released.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a disk that does not write was not noticed")
		}
	}
}
