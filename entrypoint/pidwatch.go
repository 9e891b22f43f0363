package entrypoint

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// pidWatch notices whoever opens a postmaster.pid of unknown origin. A live
// postmaster opens its own once a minute to see that it is still there, and
// inotify shows that across containers of one kernel, where pids say nothing.
type pidWatch struct {
	fd     int
	began  time.Time
	opened atomic.Int64 // when the last open was seen: nanoseconds after began, by the monotonic clock
}

// remote are file systems whose other users inotify does not see (statfs(2)).
var remote = map[int64]string{
	0x6969: "NFS", 0xff534d42: "CIFS", 0xfe534d42: "SMB", 0x517b: "SMB", 0x65735546: "FUSE",
	0x01021997: "9p", 0x00c36400: "Ceph", 0x47504653: "GPFS", 0x5346414f: "AFS", 0x6b414653: "AFS",
	0x01161970: "GFS2", 0x7461636f: "OCFS2", 0x0bd00bd0: "Lustre",
}

// remoteName names the file system of a path where inotify cannot be trusted.
func remoteName(path string) string {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return "an unknown file system"
	}
	return remote[int64(uint32(st.Type))]
}

// watchPidFile begins to watch. onOpen is called (on another goroutine) at each open.
func watchPidFile(path string, onOpen func()) (*pidWatch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", path, err)
	}
	w := &pidWatch{fd: fd, began: time.Now()}
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_OPEN|unix.IN_MODIFY); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("watch %s: %w", path, err)
	}
	go w.run(onOpen)
	return w, nil
}

func (w *pidWatch) run(onOpen func()) {
	buf := make([]byte, 4096)
	for {
		n, err := unix.Read(w.fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			return // closed
		}
		w.opened.Store(int64(time.Since(w.began)))
		onOpen()
	}
}

// quiet is how long nobody has opened the file. A wall clock that is set ahead
// must not end that wait: somebody else may serve there.
func (w *pidWatch) quiet(now time.Time) time.Duration {
	return now.Sub(w.began) - time.Duration(w.opened.Load())
}

// close ends the watch. The blocked read ends with the file's removal or with
// the process; one goroutine for one foreign file is all that can be left.
func (w *pidWatch) close() { _ = unix.Close(w.fd) }
