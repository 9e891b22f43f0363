package inplace

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"strings"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
)

// configScratch is a directory in which the new major's program reads
// configuration files. What a crash leaves goes with the rest of the scratch
// directory.
type configScratch struct {
	s    *Site
	name string // on the volume
	made bool
}

// newConfigScratch makes nothing before it is needed.
func (s *Site) newConfigScratch() *configScratch {
	return &configScratch{s: s, name: path.Join(ScratchDir, "config-"+rand.Text()[:8])}
}

// empty is a directory that holds an empty postgresql.conf.
func (c *configScratch) empty() (dir string, err error) {
	if dir = c.path("try"); c.made {
		return dir, nil
	}
	c.made = true
	return dir, c.write("try/postgresql.conf", nil)
}

func (c *configScratch) path(name string) string { return filepath.Join(c.s.Volume, c.name, name) }

// write puts a file there for the server's user. Nothing is synced.
func (c *configScratch) write(name string, data []byte) error {
	full := path.Join(c.name, name)
	uid, gid := c.s.owner()
	err := c.makeDirs(path.Dir(full), uid, gid)
	if err == nil {
		err = c.s.Root.WriteFile(full, data, 0o600)
	}
	if err == nil && uid >= 0 {
		err = c.s.Root.Lchown(full, uid, gid)
	}
	if err != nil {
		return fmt.Errorf("try the configuration in %s: %w", c.path(name), err)
	}
	return nil
}

// makeDirs makes a directory and its parents down from the scratch directory.
func (c *configScratch) makeDirs(dir string, uid, gid int) error {
	if dir == ScratchDir {
		return durable.MkdirAll(c.s.Root, dir, uid, gid)
	}
	if err := c.makeDirs(path.Dir(dir), uid, gid); err != nil {
		return err
	}
	err := c.s.Root.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil && uid >= 0 {
		err = c.s.Root.Lchown(dir, uid, gid)
	}
	return err
}

func (c *configScratch) remove() { _ = c.s.Root.RemoveAll(c.name) }

// checkWhole has the new major read the whole configuration as it would stand
// in the new cluster, in a copy: each file under a number, each include leading
// to the copy. Lines keep their numbers. problem is what the server says, with
// the files' own names.
func (c *ConfigPlan) checkWhole(ctx context.Context, s *Site, scratch *configScratch) (problem string, err error) {
	key := c.fingerprint(s)
	if settled(key) {
		return "", nil
	}
	names := map[string]string{} // path of a copy → the file's own
	for i, f := range c.files {
		name := fmt.Sprintf("check/%d.conf", i)
		switch i {
		case c.autoConf:
			name = "check/postgresql.auto.conf"
		case 0:
			name = "check/postgresql.conf"
		}
		text := upgrade.RewriteConf(f.data, c.checkEdits(i, scratch))
		err = errors.Join(err, scratch.write(name, text))
		names[scratch.path(name)] = f.path
		for place, target := range c.includes {
			for n, file := range target.files {
				if file == i {
					copied := includeName(place, target, n)
					err = errors.Join(err, scratch.write(copied, text))
					names[scratch.path(copied)] = f.path
				}
			}
		}
	}
	for place, target := range c.includes {
		if target.dir && len(target.files) == 0 {
			err = errors.Join(err, scratch.write(path.Dir(includeName(place, target, 0))+"/empty", nil))
		}
	}
	if err != nil {
		return "", err
	}
	dir := scratch.path("check")
	args := append([]string{}, s.Args...)
	args = append(args, "-c", "data_directory="+dir, "-c", "config_file="+filepath.Join(dir, "postgresql.conf"))
	problem, err = pg.CheckConfig(ctx, s.New, dir, args, &s.User, s.Environ)
	for from, to := range names {
		problem = strings.ReplaceAll(problem, from, to)
	}
	if problem == "" && err == nil {
		settle(key)
	}
	return problem, err
}

// fingerprint is of all that checkWhole's answer depends on.
func (c *ConfigPlan) fingerprint(s *Site) [sha256.Size]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q\n", programStamp(s.New.Path("postgres")), s.Args, c.oldDirs, c.final)
	for _, f := range c.files {
		fmt.Fprintf(h, "%q %q %d\n", f.path, f.rel, len(f.data))
		_, _ = h.Write(f.data)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// includeName is where the copy of an included file lies.
func includeName(place upgrade.ConfPlace, target includeTarget, n int) string {
	if target.dir {
		return fmt.Sprintf("check/dir-%d-%d/%06d.conf", place.File, place.Number, n)
	}
	return fmt.Sprintf("check/file-%d-%d.conf", place.File, place.Number)
}

// checkEdits are a file's edits without comments, and with includes that lead
// to copies.
func (c *ConfigPlan) checkEdits(i int, scratch *configScratch) map[int]upgrade.ConfEdit {
	res := maps.Clone(c.edits[i])
	if res == nil {
		res = map[int]upgrade.ConfEdit{}
	}
	for number, e := range res {
		e.Note = ""
		res[number] = e
	}
	for place, target := range c.includes {
		if place.File != i {
			continue
		}
		to := scratch.path(includeName(place, target, 0))
		if target.dir {
			to = filepath.Dir(to)
		}
		res[place.Number] = upgrade.ConfEdit{Value: &to}
	}
	for _, l := range c.files[i].lines {
		if strings.EqualFold(l.Name, "data_directory") {
			res[l.Number] = upgrade.ConfEdit{Out: true}
		}
	}
	return res
}
