package faulttest

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func owner(info fs.FileInfo) uint32 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Uid
	}
	return 0
}

func readAll(r io.Reader) string {
	b, _ := io.ReadAll(io.LimitReader(r, 1<<20)) // what was read before an error is what there is
	return string(b)
}

// put writes a file of the server's user on a volume.
func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 999, 999); err != nil {
		t.Fatal(err)
	}
}

// fill takes what is left of a file system, all of it, and returns how to give it back.
func fill(t *testing.T, dir string, leave int64) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var st syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	size := int64(st.Bavail)*st.Bsize - leave
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, max(size, 1)); err != nil && err != syscall.ENOSPC { //nolint:errorlint // a plain errno
		t.Fatal(err)
	}
	// What fallocate leaves, one block after another, reserved ones included.
	if leave == 0 {
		_, _ = f.Seek(0, io.SeekEnd)
		for chunk := 1 << 20; chunk >= 512; chunk /= 2 {
			for {
				if n, err := f.Write(make([]byte, chunk)); err != nil || n < chunk {
					break
				}
			}
		}
	}
	_ = f.Sync()
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}
