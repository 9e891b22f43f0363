package inplace

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/upgrade"
)

// TestAServerOfAnotherContainerIsNoHelperOfOurs: both have the same arguments and
// user; the one is in another mount namespace, as with --pid=host.
func TestAServerOfAnotherContainerIsNoHelperOfOurs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program, data := filepath.Join(dir, "postgres"), filepath.Join(dir, "data")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nkill -STOP $$\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	start := func(by ...string) int {
		p, err := proc.Start(proc.Spec{Args: append(by, program, "-D", data)}, proc.Launch{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = p.Signal(syscall.SIGKILL)
			<-p.Done()
			p.Release()
		})
		for {
			if info, err := proc.Stat(p.PID); err != nil || info.State == 'Z' {
				t.Skip("a mount namespace needs root and CAP_SYS_ADMIN")
			} else if info.Comm == "postgres" {
				return p.PID
			}
			time.Sleep(time.Millisecond)
		}
	}
	ours, theirs := start(), start("unshare", "-m")
	o := &Operation{
		Site:    Site{Volume: dir, User: proc.User{UID: uint32(os.Getuid())}},
		Journal: upgrade.Journal{Old: upgrade.Paths{PGData: data}, Build: upgrade.Paths{PGData: filepath.Join(dir, "build")}},
	}
	left, err := o.helpers()
	if err != nil {
		t.Fatal(err)
	}
	has := func(pid int) bool { return slices.ContainsFunc(left, func(p proc.Info) bool { return p.PID == pid }) }
	if !has(ours) || has(theirs) {
		t.Errorf("ours is %d, the other container's %d: %+v", ours, theirs, left)
	}
	if !proc.SharesMounts(ours) || proc.SharesMounts(theirs) || !proc.SharesMounts(os.Getpid()) || proc.SharesMounts(1<<30) {
		t.Error("whose mounts are ours is not known")
	}
}
