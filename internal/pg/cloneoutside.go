package pg

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// outsidePrefix begins the names of the directories that are made for a copy
// within a tablespace's location, or a WAL directory, that is in use: by data
// that is kept aside, whose links go on leading there.
const outsidePrefix = "pgbaton-"

var (
	outsideMade  = regexp.MustCompile(`^` + outsidePrefix + `[0-9A-Za-z.-]+$`)
	spaceVersion = regexp.MustCompile(`^PG_[0-9]+_[0-9]+$`) // TABLESPACE_VERSION_DIRECTORY
)

// OutsideName is the name of such a directory.
func OutsideName(stamp string) string { return outsidePrefix + stamp }

// outside chooses the directories of tablespaces and of WAL, and tells Uses.
func (c CloneSpec) outside(spaces []string) (CloneSpec, error) {
	chosen := maps.Clone(c.Spaces)
	if chosen == nil {
		chosen = map[string]string{}
	}
	var dirs []string
	choose := func(dir string) (string, error) {
		dir, err := c.vacant(dir, dirs)
		dirs = append(dirs, dir)
		return dir, err
	}
	for _, from := range spaces {
		if chosen[from] != "" || !filepath.IsAbs(from) { // one inside the data directory
			continue
		}
		to, err := choose(from)
		if err != nil {
			return c, err
		}
		if to != from {
			chosen[from] = to
		}
	}
	if c.WAL != "" {
		var err error
		if c.WAL, err = choose(c.WAL); err != nil {
			return c, err
		}
	}
	c.Spaces = chosen
	if c.Uses == nil {
		return c, nil
	}
	return c, c.Uses(dirs)
}

// vacant is dir where it is missing or empty, else a directory that is to be
// made within. Where the source has such a one itself, its parent is meant.
func (c CloneSpec) vacant(dir string, taken []string) (string, error) {
	if outsideMade.MatchString(filepath.Base(dir)) {
		dir = filepath.Dir(dir)
	}
	var names []string
	err := asUser(c.User, func() (err error) {
		names, err = namesIn(dir)
		return err
	})
	switch {
	case err != nil:
		return "", fmt.Errorf("look into %s: %w; nothing was copied", dir, err)
	case len(names) == 0 && !slices.Contains(taken, dir):
		return dir, nil
	case c.Stamp == "":
		return "", fmt.Errorf("the directory %s is not empty; nothing was copied", dir)
	}
	to := filepath.Join(dir, OutsideName(c.Stamp))
	for n := 2; slices.Contains(names, filepath.Base(to)) || slices.Contains(taken, to); n++ {
		to = filepath.Join(dir, OutsideName(fmt.Sprintf("%s-%d", c.Stamp, n)))
	}
	return to, nil
}

func namesIn(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// ClearOutside removes what an unfinished copy left in the directories that
// Uses was told: all of one that was made for it, and of one that was empty what
// such a copy makes.
func ClearOutside(dirs []string, u *proc.User) error {
	for _, dir := range dirs {
		if err := asUser(u, func() error { return clearOutside(dir) }); err != nil {
			return fmt.Errorf("clear what an interrupted copy left in %s: %w", dir, err)
		}
	}
	return nil
}

func clearOutside(dir string) error {
	if outsideMade.MatchString(filepath.Base(dir)) {
		return os.RemoveAll(dir)
	}
	names, err := namesIn(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if spaceVersion.MatchString(name) || IsWALEntry(name) {
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// IsWALEntry reports whether initdb, pg_basebackup or a server makes that name
// in pg_wal.
func IsWALEntry(name string) bool {
	if name == "archive_status" || name == "summaries" || name == "xlogtemp.1" {
		return true
	}
	if len(name) == len("00000002.history") && name[8:] == ".history" {
		return true
	}
	if len(name) < walName {
		return false
	}
	for _, c := range name[:walName] {
		if (c < '0' || c > '9') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}
