package pg

import (
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// readRegular reads a whole regular file of at most limit bytes. The last
// element of path must not be a link, and a pipe does not make it wait.
func readRegular(path string, limit int64) ([]byte, error) {
	return read(path, unix.O_NOFOLLOW, limit)
}

// readConfig is readRegular for files that users do keep behind links.
func readConfig(path string, limit int64) ([]byte, error) {
	return read(path, 0, limit)
}

func read(path string, flag int, limit int64) ([]byte, error) {
	f, err := openRegular(path, flag)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read from
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("read %s: longer than %d bytes", path, limit)
	}
	return raw, nil
}

func openRegular(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|flag, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: errNotRegular}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

type fileError string

func (e fileError) Error() string { return string(e) }

const errNotRegular = fileError("not a regular file")
