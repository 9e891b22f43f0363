package vrrp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/pgbaton/pgbaton/notify"
)

// Files are the two files that keepalived tracks. They lie in memory and not
// on the volume: after a power loss a node is not eligible.
type Files struct {
	dir string

	mu       sync.Mutex
	eligible bool
	pref     int
	unsure   bool // a write failed: what is on disk is unknown, so it is written again
}

// OpenFiles takes over the track files of a directory that exists, as they
// are. A missing or unreadable eligible counts, as for keepalived, as 0.
func OpenFiles(dir string) *Files {
	f := &Files{dir: dir}
	e, errE := readNumber(filepath.Join(dir, notify.EligibleFile))
	p, errP := readNumber(filepath.Join(dir, notify.PrefFile))
	f.eligible, f.pref = e != 0, p
	f.unsure = errE != nil || errP != nil
	return f
}

// SetEligible lets this node have the virtual address or takes the right away;
// where it is MASTER, keepalived then gives it up within milliseconds. Nothing
// is written where nothing changes.
func (f *Files) SetEligible(on bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.set(on, f.pref)
}

// SetPref ranks this node; it is added to keepalived's base priority.
func (f *Files) SetPref(pref int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.set(f.eligible, pref)
}

// Eligible reports what SetEligible wrote last.
func (f *Files) Eligible() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.eligible
}

// Pref reports what SetPref wrote last.
func (f *Files) Pref() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pref
}

func (f *Files) set(eligible bool, pref int) error {
	one, two := notify.Tracks(eligible, pref)
	var errE, errP error
	// The order: an address is given up before anything, and taken last.
	if !eligible && (f.eligible || f.unsure) {
		errE = f.write(notify.EligibleFile, one)
	}
	if pref != f.pref || f.unsure {
		errP = f.write(notify.PrefFile, two)
	}
	if eligible && (!f.eligible || f.unsure) && errP == nil {
		errE = f.write(notify.EligibleFile, one)
	}
	err := errors.Join(errE, errP)
	f.eligible, f.pref, f.unsure = eligible, pref, err != nil
	return err
}

// write replaces a file in one step; keepalived watches the directory and
// reads it on the rename.
func (f *Files) write(name, text string) error {
	tmp := filepath.Join(f.dir, "."+name)
	err := os.WriteFile(tmp, []byte(text), 0o644)
	if err == nil {
		err = os.Rename(tmp, filepath.Join(f.dir, name))
	}
	if err != nil {
		return fmt.Errorf("write %s for keepalived: %w; keepalived still has the old value", name, err)
	}
	return nil
}

// readNumber reads a track file as keepalived does: nothing is 0.
func readNumber(path string) (int, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(raw)))
}
