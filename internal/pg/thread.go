package pg

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// keep leaves an id unchanged in setresuid(2) and setresgid(2).
const keep = ^uintptr(0)

// asUID runs do with another effective uid, on a thread of its own: the kernel
// keeps these ids per thread, and only libc changes all of them together. The
// other threads of this process stay what they are. It needs CAP_SETUID; the
// error is EPERM without.
func asUID(uid uint32, do func() error) error {
	if int64(uid) == int64(os.Geteuid()) {
		return do()
	}
	return onOwnThread(func() (bool, error) { return switchUID(uid, do) })
}

// asUser is asUID with the user's groups too, for opening files: with the uid
// alone, whatever root's group may read would stay open.
func asUser(u *proc.User, do func() error) error {
	if u == nil || int64(u.UID) == int64(os.Geteuid()) {
		return do()
	}
	return onOwnThread(func() (clean bool, err error) {
		old, err := unix.Getgroups()
		if err != nil {
			return true, fmt.Errorf("read the groups of this process: %w", err)
		}
		gid := os.Getegid()
		if err = setGroups(u.Groups, u.GID); err != nil {
			return false, err
		}
		if clean, err = switchUID(u.UID, do); !clean {
			return false, err
		}
		back := make([]uint32, len(old))
		for i, g := range old {
			back[i] = uint32(g)
		}
		return setGroups(back, uint32(gid)) == nil, err
	})
}

// onOwnThread runs do on a thread that ends unless do left it clean: a thread
// with foreign ids must never run anything else.
func onOwnThread(do func() (clean bool, err error)) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		clean, err := do()
		if clean {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

func switchUID(uid uint32, do func() error) (clean bool, err error) {
	old := os.Geteuid()
	if err := setEUID(uint32(old), uid); err != nil {
		return true, err
	}
	err = do()
	return setEUID(uid, uint32(old)) == nil, err
}

// setEUID sets the effective uid of this thread; the real and the saved one
// stay, which is what permits the way back.
func setEUID(from, to uint32) error {
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, keep, uintptr(to), keep); e != 0 {
		return fmt.Errorf("change uid from %d to %d: %w", from, to, e)
	}
	return nil
}

func setGroups(groups []uint32, gid uint32) error {
	ids := append([]uint32{}, groups...)
	var first *uint32
	if len(ids) > 0 {
		first = &ids[0]
	}
	err := rawSetgroups(len(ids), first)
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, keep, uintptr(gid), keep); e != 0 {
		err = errors.Join(err, e)
	}
	if err != nil {
		return fmt.Errorf("change group to %d: %w", gid, err)
	}
	return nil
}
