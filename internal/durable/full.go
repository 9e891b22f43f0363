package durable

import (
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

// FullEnv names the environment variable with which the tests fill the disk for
// single files: it names a file whose first line is a pattern of path.Match. As
// long as that fits a file's name, whatever is written anew under it fails with
// ENOSPC, where all others have room. A file without a line, or none, fills nothing.
const FullEnv = "PGBATON_FULL_FOR"

// full is the error of a write that has no room.
func full(name string) error {
	from := os.Getenv(FullEnv)
	if from == "" {
		return nil
	}
	text, _ := os.ReadFile(from) // without it there is room for all
	pattern, _, _ := strings.Cut(string(text), "\n")
	if fits, err := path.Match(pattern, path.Base(name)); err != nil || !fits || pattern == "" {
		return nil
	}
	return &fs.PathError{Op: "write", Path: name, Err: syscall.ENOSPC}
}
