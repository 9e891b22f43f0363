package inplace

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/pgbaton/pgbaton/internal/node"
)

const (
	maxWalked = 20000 // entries of the user's directories that are looked at
	maxNamed  = 5     // links that are named
)

// danglingLinks notes links inside the user's own directories that lead to the
// old data directory by its name, which will be another: these directories are
// renamed as they are. Links at the top are made anew by Apply.
func (c *ConfigPlan) danglingLinks(s *Site) ([]node.Finding, error) {
	if c.final == c.oldDirs[0] {
		return nil, nil
	}
	root, err := openBelow(s, s.PGData)
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // only read from
	top, err := topNames(root.Open, ".")
	if err != nil {
		return nil, err
	}
	var found []string
	walked := 0
	for _, name := range c.owned(top) {
		err := fs.WalkDir(root.FS(), name, func(at string, e fs.DirEntry, err error) error {
			walked++
			switch {
			case walked > maxWalked:
				return fs.SkipAll
			case err != nil:
				return fs.SkipDir // not ours to read; it is renamed all the same
			case e.IsDir() && strings.HasPrefix(path.Base(at), "PG_"):
				return fs.SkipDir // a tablespace
			case e.Type() != fs.ModeSymlink || at == name:
				return nil
			}
			target, err := root.Readlink(at)
			if err == nil && filepath.IsAbs(target) && c.leadsBack(target) {
				found = append(found, at)
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.SkipDir) {
			return nil, err
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	text := strings.Join(found[:min(len(found), maxNamed)], ", ")
	if more := len(found) - maxNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return []node.Finding{{
		Level: node.Note, Code: "config-links",
		Text: fmt.Sprintf("Symbolic links in the data directory lead to %s, which will be %s: %s.", c.oldDirs[0], c.final, text),
		Hint: "Make them relative; they will lead nowhere after the upgrade.",
	}}, nil
}

func (c *ConfigPlan) leadsBack(target string) bool {
	for _, dir := range c.oldDirs {
		if _, ok := below(dir, target); ok {
			return true
		}
	}
	return false
}
