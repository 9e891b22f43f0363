package inplace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/upgrade"
)

// Apply writes the old cluster's configuration into the new one, which still
// lies in buildDir on the volume, and returns the names at the top of the old
// PGDATA that are the user's own and are to be renamed into the new one. It is
// for the time when the old server is down: ALTER SYSTEM works until then, so
// where a file has changed the plan is made again, and it is an error where
// that refuses.
//
// Of the configuration files only those that change, and the four of initdb,
// are written; what is in moved has no copy, what has a copy is not in moved.
// The old PGDATA is not touched. Everything is durable when Apply returns, and
// it may be called again after a crash.
func (c *ConfigPlan) Apply(ctx context.Context, s *Site, buildDir, finalDir string) (moved []string, err error) {
	if err := c.renew(ctx, s, finalDir); err != nil {
		return nil, err
	}
	w, err := c.newWriter(s, buildDir)
	if err != nil {
		return nil, fmt.Errorf("carry over the configuration: %w", err)
	}
	defer w.close()
	if moved, err = w.all(); err != nil {
		return nil, fmt.Errorf("carry over the configuration from %s to %s: %w; the old cluster is untouched", s.PGData, buildDir, err)
	}
	return moved, nil
}

// renew makes the plan again unless every file is as it was.
func (c *ConfigPlan) renew(ctx context.Context, s *Site, final string) error {
	if r, err := newConfigReader(s); err == nil && c.sound && c.final == filepath.Clean(final) {
		r.readAll(upgrade.ParseServerArgs(s.Args))
		if !r.refused() && slices.EqualFunc(r.files, c.files, func(a, b *configFile) bool {
			return a.path == b.path && a.rel == b.rel && bytes.Equal(a.data, b.data)
		}) {
			return nil
		}
	}
	again, findings, err := PlanConfig(ctx, s, final)
	if err != nil {
		return fmt.Errorf("carry over the configuration: %w", err)
	}
	for _, f := range findings {
		if f.Level == node.Refuse {
			return refusedConfig(f)
		}
	}
	*c = *again
	return nil
}

func refusedConfig(f node.Finding) error {
	text := "carry over the configuration: " + strings.TrimSuffix(f.Text, ".")
	if f.Detail != "" {
		text += " (" + strings.ReplaceAll(f.Detail, "\n", "; ") + ")"
	}
	return fmt.Errorf("%s; the old cluster is untouched; %s", text, strings.TrimSuffix(f.Hint, "."))
}

// configWriter carries files from the old data directory to the new one. It
// follows no link that leads out of either.
type configWriter struct {
	*ConfigPlan
	s        *Site
	from, to *os.Root
	changed  map[string][]byte // by place in the old PGDATA
}

func (c *ConfigPlan) newWriter(s *Site, buildDir string) (*configWriter, error) {
	w := &configWriter{ConfigPlan: c, s: s, changed: map[string][]byte{}}
	var err error
	if w.from, err = openBelow(s, s.PGData); err != nil {
		return nil, err
	}
	if w.to, err = openBelow(s, buildDir); err != nil {
		w.close()
		return nil, err
	}
	for i, f := range c.files {
		if f.rel != "" && len(c.edits[i]) > 0 {
			w.changed[f.rel] = upgrade.RewriteConf(f.data, c.edits[i])
		}
	}
	return w, nil
}

func (w *configWriter) close() {
	for _, r := range []*os.Root{w.from, w.to} {
		if r != nil {
			_ = r.Close()
		}
	}
}

// openBelow opens a directory of the volume.
func openBelow(s *Site, dir string) (*os.Root, error) {
	rel, err := filepath.Rel(s.Volume, dir)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return nil, fmt.Errorf("%s is not on the volume %s", dir, s.Volume)
	}
	return s.Root.OpenRoot(rel)
}

func (w *configWriter) all() (moved []string, err error) {
	for name := range mainFiles {
		if err := w.mainFile(name); err != nil {
			return nil, err
		}
	}
	entries, err := topNames(w.from.Open, ".")
	if err != nil {
		return nil, err
	}
	for _, name := range w.owned(entries) {
		copied, err := w.entry(name)
		if err != nil {
			return nil, err
		}
		if !copied {
			moved = append(moved, name)
		}
	}
	sort.Strings(moved)
	return moved, w.sync(".")
}

// mainFile carries one of the four files that initdb makes: as it is in the
// old cluster, or not at all.
func (w *configWriter) mainFile(name string) error {
	err := w.clear(name)
	if err != nil {
		return err
	}
	info, err := w.from.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, ok := w.changed[name]; !ok && info.Mode().IsRegular() && (name == "pg_hba.conf" || name == "pg_ident.conf") {
		if err := w.rules(name); err != nil {
			return err
		}
	}
	return w.carry(name, info)
}

// rules prepares a pg_hba.conf or pg_ident.conf in which files of the old
// data directory are named.
func (w *configWriter) rules(name string) error {
	data, err := readBelow(w.from, name)
	if err != nil {
		return err
	}
	text, moved := string(data), false
	for _, dir := range w.oldDirs {
		if t, ok := upgrade.MovePath(text, dir, w.final); ok {
			text, moved = t, true
			break
		}
	}
	if moved {
		w.changed[name] = []byte(text)
	}
	return nil
}

// entry copies one of the user's own entries where something in it has to
// change. The others are moved: nothing is to be there in the new cluster.
func (w *configWriter) entry(name string) (copied bool, err error) {
	// What an attempt before this one may have left.
	if err := w.clear(name); err != nil {
		return false, err
	}
	info, err := w.from.Lstat(name)
	if err != nil {
		return false, err
	}
	if info.Mode().Type() == fs.ModeSymlink {
		target, err := w.from.Readlink(name)
		if err != nil || w.retarget(name, target) == target {
			return false, err
		}
		return true, w.carry(name, info)
	}
	for rel := range w.changed {
		if rel == name || strings.HasPrefix(rel, name+"/") {
			return true, w.carry(name, info)
		}
	}
	return false, nil
}

// retarget is where a link has to lead in the new cluster so that it leads to
// the same: into the new data directory where it led into the old one.
func (w *configWriter) retarget(name, target string) string {
	if filepath.IsAbs(target) {
		for _, dir := range w.oldDirs {
			if rel, ok := below(dir, target); ok {
				return filepath.Join(w.final, rel)
			}
		}
		return target
	}
	at := path.Dir(name)
	before := filepath.Join(w.oldDirs[len(w.oldDirs)-1], at, target)
	for _, dir := range w.oldDirs {
		if _, ok := below(dir, before); ok {
			return target
		}
	}
	if filepath.Join(w.final, at, target) == before {
		return target
	}
	return before
}
