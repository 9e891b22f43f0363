package durable

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Holder is who holds a volume's lock; it stands in the lock file for people
// to read. The lock itself is flock(2) on the file: it works across
// containers on one kernel and ends with the last process that inherited it.
type Holder struct {
	Node      string    `json:"node"`
	Container string    `json:"container"` // host name inside the container, by default its id
	Since     time.Time `json:"since"`
}

func (h Holder) String() string {
	if h.Node == "" && h.Container == "" {
		return "somebody who left no name"
	}
	return fmt.Sprintf("node %s in container %s since %s", h.Node, h.Container, h.Since.Format(time.RFC3339))
}

// BusyError says that the lock is held.
type BusyError struct{ Holder Holder }

func (e *BusyError) Error() string { return "the volume is held by " + e.Holder.String() }

// TryLock takes the lock file below root, or returns a *BusyError. The file
// stays open in the result; processes that inherit it hold the lock too.
func TryLock(root *os.Root, name string, me Holder, uid, gid int) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock %s: %w", name, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer func() { _ = f.Close() }()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &BusyError{Holder: readHolder(f)}
		}
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	if uid >= 0 {
		_ = f.Chown(uid, gid) // so that a later container with --user can open it; the lock holds either way
	}
	writeHolder(f, me)
	return f, nil
}

func readHolder(f *os.File) Holder {
	var h Holder
	buf := make([]byte, 4096)
	n, _ := f.ReadAt(buf, 0)
	_ = json.Unmarshal(buf[:n], &h) // a note for people: unreadable means nobody's name
	return h
}

// writeHolder leaves the note for people; a full disk must not stop the lock.
func writeHolder(f *os.File, h Holder) {
	data, err := json.Marshal(h)
	if err != nil || f.Truncate(0) != nil {
		return
	}
	_, _ = f.WriteAt(append(data, '\n'), 0)
}
