package vrrp

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// fifo is the reader of keepalived's notify FIFO. It is open for writing too,
// so it never ends while keepalived restarts; and keepalived holds it open
// itself, so that what it says while no supervisor reads is kept in order.
// keepalived drops events when 64 KiB wait unread.
type fifo struct {
	file *os.File
	line []byte // begun, its newline not read yet
	done chan struct{}
}

// makeFIFO makes the FIFO anew, private: a FIFO that keepalived makes can be
// read by everybody, and events that nobody read are of a keepalived that is
// gone.
func makeFIFO(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove old notify FIFO: %w", err)
	}
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return fmt.Errorf("make notify FIFO: %w", err)
	}
	return nil
}

// openFIFO opens the FIFO without reading from it.
func openFIFO(path string) (*fifo, error) {
	// O_RDWR does not wait for a writer (fifo(7)).
	file, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("open notify FIFO: %w", err)
	}
	if info, err := file.Stat(); err != nil || info.Mode().Type() != fs.ModeNamedPipe {
		_ = file.Close()
		return nil, fmt.Errorf("open notify FIFO: %s is no FIFO", path)
	}
	return &fifo{file: file, done: make(chan struct{})}, nil
}

// maxLine is far more than keepalived's longest line: a name of 255 bytes.
const maxLine = 1024

// follow gives every line to the function, in order, until close.
func (f *fifo) follow(line func(string)) {
	defer close(f.done)
	buf := make([]byte, 4096)
	for {
		n, err := f.file.Read(buf)
		f.split(buf[:n], line)
		if err != nil {
			return
		}
	}
}

// drain gives what waits now to the function. It must not run beside follow.
func (f *fifo) drain(line func(string)) {
	conn, err := f.file.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, 4096)
	_ = conn.Control(func(fd uintptr) { // an error means: closed, so nothing waits
		for {
			n, err := unix.Read(int(fd), buf)
			if n <= 0 || err != nil {
				return
			}
			f.split(buf[:n], line)
		}
	})
}

// split cuts what was read into lines. A line that is too long is given away
// cut off, which is no event.
func (f *fifo) split(data []byte, line func(string)) {
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			if f.line = append(f.line, data...); len(f.line) > maxLine {
				f.line = append(f.line[:maxLine], "…"...)
			}
			return
		}
		line(string(append(f.line, data[:end]...)))
		f.line, data = f.line[:0], data[end+1:]
	}
}

// close ends follow and, once that has ended, gives what still waits to the
// function.
func (f *fifo) close(line func(string)) {
	_ = f.file.SetReadDeadline(past)
	<-f.done
	f.drain(line)
	_ = f.file.Close()
}
