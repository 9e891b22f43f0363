package pg

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// What DataMajor's error wraps, beside fs.ErrNotExist.
var (
	ErrEmptyVersion = errors.New("PG_VERSION is empty")         // initdb was interrupted, or the disk was full
	ErrBadVersion   = errors.New("PG_VERSION holds no version") // not written by PostgreSQL
)

// DataMajor reads the major version of a data directory from its PG_VERSION.
// The error is fs.ErrNotExist, ErrEmptyVersion, ErrBadVersion, or the system's.
func DataMajor(dir string) (int, error) {
	path := filepath.Join(dir, "PG_VERSION")
	raw, err := readRegular(path, 64)
	if err != nil {
		return 0, fmt.Errorf("read version of data directory %s: %w", dir, err)
	}
	text := strings.TrimSpace(string(raw))
	if text == "" {
		return 0, fmt.Errorf("read %s: %w", path, ErrEmptyVersion)
	}
	// "9.6" up to 9.6, one number since 10.
	whole, minor, dotted := strings.Cut(text, ".")
	major, err := strconv.ParseUint(whole, 10, 16)
	if _, errMinor := strconv.ParseUint(minor, 10, 16); err != nil || major == 0 || (dotted && errMinor != nil) {
		return 0, fmt.Errorf("read %s: %w: %q", path, ErrBadVersion, text)
	}
	return int(major), nil
}

// Kind is what a directory is to somebody who looks for a data directory.
type Kind int

// The kinds.
const (
	Missing Kind = iota // nothing there
	Empty               // a directory in which initdb may work
	Cluster             // PG_VERSION is there and not empty
	Foreign             // something else lies there; initdb refuses it
)

// Content is what lies in a directory.
type Content struct {
	Kind      Kind
	Names     []string // some of the entries of a foreign directory, sorted
	More      int      // how many others there are
	LostFound bool     // Foreign only by lost+found
}

// namedEntries is how many names a message can bear.
const namedEntries = 5

// Look tells what lies in dir. Entries named in ours count as nothing. As in
// the official image a directory is a cluster when PG_VERSION is there and not
// empty.
func Look(dir string, ours ...string) (Content, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Content{Kind: Missing}, nil
	}
	if err != nil {
		return Content{}, fmt.Errorf("look into %s: %w", dir, err)
	}
	var names []string
	for _, e := range entries {
		if !slices.Contains(ours, e.Name()) {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return Content{Kind: Empty}, nil
	}
	if info, err := os.Lstat(filepath.Join(dir, "PG_VERSION")); err == nil && info.Size() > 0 {
		return Content{Kind: Cluster}, nil
	}
	some := names[:min(len(names), namedEntries)]
	return Content{
		Kind: Foreign, Names: some, More: len(names) - len(some),
		LostFound: len(names) == 1 && names[0] == "lost+found",
	}, nil
}

// Hint says in one sentence what to do about a foreign directory; it is empty
// for any other.
func (c Content) Hint() string {
	switch {
	case c.LostFound:
		return "the directory is the root of a file system (lost+found): " +
			"mount that one level higher, or set PGDATA to a directory below it"
	case c.Kind == Foreign:
		return "it has no PG_VERSION, so it is no PostgreSQL data directory: " +
			"mount the right volume, or set PGDATA to an empty directory"
	}
	return ""
}

// String names the content, for logs: `foreign: a, b and 3 others`.
func (c Content) String() string {
	switch c.Kind {
	case Missing:
		return "missing"
	case Empty:
		return "empty"
	case Cluster:
		return "cluster"
	}
	text := "foreign: " + strings.Join(c.Names, ", ")
	if c.More > 0 {
		text += fmt.Sprintf(" and %d others", c.More)
	}
	return text
}
