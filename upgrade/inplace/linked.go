package inplace

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"syscall"
	"time"
)

// ErrLinkedChanged says that the old cluster cannot be served any more: the
// new server has changed files that both have.
var ErrLinkedChanged = errors.New("the new server has changed files that the old cluster shares")

// oldNow is where the old cluster lies now, relative to the volume: the switch
// may have moved it, as a whole or in part.
func (o *Operation) oldNow() []string {
	return []string{rel(o.Site.Volume, o.Journal.Old.PGData), rel(o.Site.Volume, o.Journal.Kept)}
}

// verifyLinked fails where a file that both clusters have is younger than the
// moment at which pg_upgrade disabled the old cluster to link them: only the
// new server can have written it.
func (o *Operation) verifyLinked() error {
	for _, dir := range o.oldNow() {
		info, err := o.Site.Root.Lstat(path.Join(dir, controlFile+disabledSuffix))
		if errors.Is(err, fs.ErrNotExist) {
			continue // nothing is linked yet, or the cluster is not here
		}
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return errors.New("cannot tell when the old cluster was disabled")
		}
		since := time.Unix(st.Ctim.Sec, st.Ctim.Nsec)
		if err := o.youngerLinks(dir, since); err != nil {
			return err
		}
	}
	return nil
}

// youngerLinks looks at every file of a cluster and of its tablespaces.
func (o *Operation) youngerLinks(dir string, since time.Time) error {
	look := func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if ok && st.Nlink > 1 && info.ModTime().After(since) {
			return fmt.Errorf("%w: %s was written at %s, after the files were linked at %s",
				ErrLinkedChanged, name, info.ModTime().Format(time.RFC3339Nano), since.Format(time.RFC3339Nano))
		}
		return nil
	}
	roots := []string{filepath.Join(o.Site.Volume, dir, "base")}
	roots = append(roots, o.Site.tablespaces(dir)...)
	for _, root := range roots {
		if err := filepath.WalkDir(root, look); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
