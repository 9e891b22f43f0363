package entrypoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/node"
)

// roleFile is the role record, relative to the volume.
const roleFile = stateDir + "/role.json"

// loadRole reads the role record once. One of another node or volume is void:
// it came here with a copy. One that cannot be read is kept aside and counts
// as corrupt, never as missing, until an operator decides.
func (s *supervisor) loadRole(v *volume) {
	if s.cl.loaded {
		return
	}
	var r node.Record
	err := durable.ReadJSON(v.root, roleFile, &r)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if aside, _ := fs.Glob(v.root.FS(), roleFile+".corrupt-*"); len(aside) > 0 {
			s.cl.corrupt = "it was kept aside as " + filepath.Join(v.place.volume, aside[len(aside)-1])
		}
	case errors.Is(err, durable.ErrCorrupt):
		s.cl.corrupt = err.Error()
		s.keepCorrupt(v, roleFile, err)
	case err != nil:
		s.log.Error("read the role record; it is tried again", "error", err)
		return
	case r.Node != s.set.Node || r.Volume != volumeID(v.root):
		s.log.Warn("the role record on this volume belongs to another node or volume, so it permits nothing here",
			"node", r.Node, "this_node", s.set.Node)
	default:
		s.cl.record = &r
	}
	if err := s.loadMembers(v); err != nil {
		s.log.Error("read who belongs to the cluster; it is tried again", "error", err)
		return
	}
	s.cl.loaded = true
	if s.still != nil {
		s.still.root.Store(v.root)
	}
	s.keepReserve()
}

// volumeID is the inode of .pgbaton: a copy of the volume has another one.
func volumeID(root *os.Root) uint64 {
	info, err := root.Stat(stateDir)
	if err != nil {
		return 0
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}

// saveRole makes a record durable. An error leaves the one before in force.
func (s *supervisor) saveRole(r *node.Record) error {
	v := s.volume
	next := *r
	next.Node, next.Volume, next.Cluster = s.set.Node, volumeID(v.root), s.set.Cluster
	err := durable.WriteJSON(v.root, roleFile, &next, owner(s.user), int(s.user.GID))
	if isFull(err) {
		s.log.Warn("role: the disk is full; the record takes the place of the reserve", "error", err)
		err = durable.WriteJSONInto(v.root, reserveFile, roleFile, &next, owner(s.user), int(s.user.GID))
	}
	if err != nil {
		return fmt.Errorf("write the role record: %w", err)
	}
	before := s.cl.record
	s.cl.record = &next
	if s.cl.corrupt != "" {
		s.forgetCorrupt(v)
	}
	if before != nil && before.Armed != nil && next.Armed == nil {
		s.cl.token = randomID()
	}
	s.cl.disarmed = ""
	if heirOf(before) != "" && heirOf(&next) == "" && s.cl.facts.Self.Doubt > 0 && s.cl.facts.Doubtful() {
		s.cl.promise.gaveUp = time.Now()
	}
	if before == nil || before.Epoch != next.Epoch || heirOf(before) != heirOf(&next) {
		s.cl.synced = ""
	}
	if next.Primary {
		s.cl.taken = nil
	}
	return nil
}

// forgetCorrupt drops the reminders of a corrupt record that was decided over.
func (s *supervisor) forgetCorrupt(v *volume) {
	aside, _ := fs.Glob(v.root.FS(), roleFile+".corrupt-*")
	for _, name := range aside {
		if err := durable.Rename(v.root, name, name+".decided"); err != nil {
			s.log.Warn("put the corrupt role record's reminder away", "error", err)
			return
		}
	}
	s.cl.corrupt = ""
}

func heirOf(r *node.Record) string {
	if r == nil || r.Heir == nil {
		return ""
	}
	return r.Heir.Node
}
