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

// newNow is where the new one may lie.
func (o *Operation) newNow() []string {
	return []string{rel(o.Site.Volume, o.Journal.Build.PGData), rel(o.Site.Volume, o.Journal.New.PGData)}
}

// noteDisabled keeps the moment at which pg_upgrade disabled the old cluster, by
// the file system's own clock: a copy of the old cluster by links (cp -al) would
// move it later.
func (o *Operation) noteDisabled() {
	if !o.Journal.Linked() || !o.Journal.Disabled.IsZero() {
		return
	}
	_, disabled, err := o.times(path.Join(rel(o.Site.Volume, o.Journal.Old.PGData), controlFile+disabledSuffix))
	if err != nil {
		return // not yet
	}
	o.mu.Lock()
	o.Journal.Disabled = disabled
	o.mu.Unlock()
	if err := o.Save(); err != nil {
		o.Log.Warn("write down when the old cluster was disabled", "error", err)
	}
}

func (o *Operation) times(name string) (modified, changed time.Time, err error) {
	info, err := o.Site.Root.Lstat(name)
	if err != nil {
		return time.Time{}, time.Time{}, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return time.Time{}, time.Time{}, errors.New("the file system tells no times")
	}
	return info.ModTime(), time.Unix(st.Ctim.Sec, st.Ctim.Nsec), nil
}

// verifyLinked fails where a file that both clusters have was written since
// pg_upgrade disabled the old cluster to link them: only the new server can have
// done that.
func (o *Operation) verifyLinked() error {
	if o.Journal.Vouched {
		return nil
	}
	shared, err := o.inodes()
	if err != nil {
		return err
	}
	for _, dir := range o.oldNow() {
		_, since, err := o.times(path.Join(dir, controlFile+disabledSuffix))
		if errors.Is(err, fs.ErrNotExist) {
			continue // nothing is linked yet, or the cluster is not here
		}
		if err != nil {
			return err
		}
		if noted := o.Journal.Disabled; !noted.IsZero() && noted.Before(since) {
			since = noted
		}
		if err := o.writtenSince(dir, since, shared); err != nil {
			return err
		}
	}
	return nil
}

// inode is a file, whatever its names.
type inode struct{ device, number uint64 }

// inodes are the files of the new cluster.
func (o *Operation) inodes() (map[inode]bool, error) {
	found := map[inode]bool{}
	for _, dir := range o.newNow() {
		err := o.eachFile(dir, func(_ string, _ fs.FileInfo, st *syscall.Stat_t) error {
			if st.Nlink > 1 {
				found[inode{st.Dev, st.Ino}] = true
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// writtenSince looks at every file that is also the new cluster's. Linking sets a
// file's ctime and not its mtime; writing sets both to the same moment. So one whose
// times are equal, and before the link that it has, was written under a clock that
// had been set back.
func (o *Operation) writtenSince(dir string, since time.Time, shared map[inode]bool) error {
	return o.eachFile(dir, func(name string, info fs.FileInfo, st *syscall.Stat_t) error {
		written, changed := info.ModTime(), time.Unix(st.Ctim.Sec, st.Ctim.Nsec)
		switch {
		case !shared[inode{st.Dev, st.Ino}]:
		case written.After(since):
			return fmt.Errorf("%w: %s was written at %s, after the files were linked at %s",
				ErrLinkedChanged, name, written.Format(time.RFC3339Nano), since.Format(time.RFC3339Nano))
		case changed.Before(since) && changed.Equal(written):
			return fmt.Errorf("%w: %s was linked after %s and written at %s, by a clock that was set back",
				ErrLinkedChanged, name, since.Format(time.RFC3339Nano), written.Format(time.RFC3339Nano))
		}
		return nil
	})
}

// eachFile looks at every file of a cluster's relations, tablespaces too; one that
// is not there has none.
func (o *Operation) eachFile(dir string, look func(name string, info fs.FileInfo, st *syscall.Stat_t) error) error {
	roots := append([]string{filepath.Join(o.Site.Volume, dir, "base")}, o.Site.tablespaces(dir)...)
	for _, root := range roots {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				return look(name, info, st)
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
