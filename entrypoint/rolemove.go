package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/upgrade"
)

// moveState is the record of a cluster that is moved below its mount, from the
// first rename to the last: base backup would copy what is ours beside it, and
// pg_rewind remove it. Which names have moved is seen on the volume.
type moveState struct {
	To      string    `json:"to"` // relative to the volume
	Major   int       `json:"major"`
	Started time.Time `json:"started"`
}

// parkedVersion is where PG_VERSION lies during a move: it leaves first and
// arrives last, so nobody takes what is half moved for a cluster, at either end.
const parkedVersion = stateDir + "/PG_VERSION"

// moveAgainAfter is the pause after a move that failed.
const moveAgainAfter = 10 * time.Second

// inspectMove is about a move that was begun; true: nothing else is looked at.
func (s *supervisor) inspectMove(v *volume) bool {
	v.move = nil
	var st moveState
	switch err := durable.ReadJSON(v.root, moveFile, &st); {
	case errors.Is(err, fs.ErrNotExist):
		return false
	case err != nil:
		v.obstacle = fmt.Sprintf("%v; this cluster was being moved below its mount, and nothing more is touched. Move what still lies in %s and is not pgbaton's to %s, "+
			"then %s there as PG_VERSION, and remove the file", err, v.place.volume, lowerDir(v.place.volume, s.majorForEmpty()), filepath.Join(v.place.volume, parkedVersion))
		return true
	}
	v.place.pgdata = v.place.volume // where a postmaster.pid would be: what has arrived was judged before
	s.awaitMove(v, &st)
	return true
}

// planMove is about a cluster whose mount is the data directory itself, on a
// node with peers; true: nothing else is looked at. An empty mount needs no
// move: its data directory is the lower one from the start.
func (s *supervisor) planMove(v *volume, content pg.Content) bool {
	if content.Kind != pg.Cluster {
		if isBare(v.place.pgdata) {
			v.place.pgdata, v.prepared = lowerDir(v.place.volume, s.majorForEmpty()), false
			v.place.why = "PGBATON_PEERS is set, so the data directory lies below its mount"
			s.remember()
			return true // and is looked at in the next round
		}
		return false
	}
	major, err := pg.DataMajor(v.place.pgdata)
	if err != nil {
		return false // said by who looks next
	}
	v.major = major
	to := filepath.Join(strconv.Itoa(major), "docker")
	if why := s.hindersMove(v, to); why != "" {
		v.obstacle = fmt.Sprintf("PGBATON_PEERS is set and the volume's mount is the data directory itself (%s), so the cluster has to move to %s first, but %s. "+
			"Nothing was touched; this node goes on by itself once that is mended, or mount the volume one level higher (at /var/lib/postgresql)",
			v.place.pgdata, filepath.Join(v.place.volume, to), why)
		s.inspectPidFile(v)
		return true
	}
	s.awaitMove(v, &moveState{To: to, Major: major, Started: time.Now().UTC()})
	return true
}

func (s *supervisor) awaitMove(v *volume, st *moveState) {
	v.move, v.major = st, st.Major
	s.inspectPidFile(v)
	switch why := mountedIn(v.place.volume); {
	case why != "": // one that was begun goes on once the container was made anew without it
		v.obstacle = "the cluster has to move below its mount, for PGBATON_PEERS, but " + why
	case time.Now().Before(v.moveAgain):
		v.obstacle = "moving the cluster below its mount failed and is tried again; see the log"
	}
}

// hindersMove says why a cluster cannot be moved; empty: it can.
func (s *supervisor) hindersMove(v *volume, to string) string {
	switch kept := s.doneJournals(); {
	case s.up.busy():
		return "an upgrade is not finished: run it to its end without PGBATON_PEERS"
	case len(kept) > 0:
		return fmt.Sprintf("the old cluster of an upgrade is kept in %s, and its way back leads here: `pgbaton upgrade finish` or `undo`, without PGBATON_PEERS", kept[0].Retired)
	}
	if why := mountedIn(v.place.volume); why != "" {
		return why
	}
	target, err := pg.Look(filepath.Join(v.place.volume, to))
	if err != nil || target.Kind != pg.Missing && target.Kind != pg.Empty {
		return "that directory is not empty"
	}
	if why := tiedLink(v.root, v.place.volume); why != "" {
		return why
	}
	return s.tiedSetting(v.place.volume, to)
}

// mountedIn names what is mounted below a volume; empty: nothing. A rename would
// fail half-way, or take it along until the next container.
func mountedIn(volume string) string {
	mounts, err := proc.Mounts()
	if err != nil {
		return err.Error()
	}
	inWay := upgrade.MountsInTheWay(volume, mounts, volume)
	if len(inWay) == 0 {
		return ""
	}
	return fmt.Sprintf("%s is mounted in it: mount it outside of the data directory and name it there (hba_file, config_file, ssl_cert_file and the like)", strings.Join(inWay, ", "))
}

// tiedLink names a symbolic link that would lead elsewhere from the new place.
func tiedLink(root *os.Root, volume string) string {
	for _, dir := range []string{".", "pg_tblspc"} {
		entries, err := fs.ReadDir(root.FS(), dir)
		if err != nil {
			return err.Error()
		}
		for _, e := range entries {
			if e.Type()&fs.ModeSymlink == 0 || dir == "." && isOurs(e.Name()) {
				continue
			}
			name := path.Join(dir, e.Name())
			target, err := root.Readlink(name)
			switch {
			case err != nil:
				return err.Error()
			case filepath.IsAbs(target) && within(volume, filepath.Clean(target)),
				!filepath.IsAbs(target) && !filepath.IsLocal(path.Join(dir, target)):
				return fmt.Sprintf("%s is a link to %s, which depends on this place", name, target)
			}
		}
	}
	return ""
}

// startMove moves the cluster below its mount.
func (s *supervisor) startMove() {
	v := s.volume
	st := *v.move
	pl := v.place
	pl.pgdata, pl.why = filepath.Join(v.place.volume, st.To), "it was moved below its mount, for PGBATON_PEERS"
	pl.named = false
	s.run("moving the cluster below its mount", func(context.Context) func() {
		err := s.moveBelow(v.root, st, pl)
		return func() {
			if err != nil {
				s.log.Error("move the cluster below its mount; it is tried again", "to", pl.pgdata, "error", err)
				v.moveAgain = time.Now().Add(moveAgainAfter)
				s.wakeIn(moveAgainAfter)
				return
			}
			s.forgetPidFile(v)
			v.place, v.move, v.prepared = pl, nil, false
			s.log.Warn("the cluster was moved below its mount: other images do not find it there", "from", pl.volume, "to", pl.pgdata)
			s.remember()
		}
	})
}

// moveBelow can be begun again wherever it was interrupted: the record is
// durable before the first rename and goes after the last one, and each step
// looks at what is there.
func (s *supervisor) moveBelow(root *os.Root, st moveState, pl place) error {
	uid, gid := owner(s.user), int(s.user.GID)
	if err := durable.WriteJSON(root, moveFile, st, uid, gid); err != nil {
		return err
	}
	if err := durable.MkdirAll(root, st.To, uid, gid); err != nil {
		return err
	}
	if info, err := root.Stat("."); err == nil && info.Mode().Perm() == 0o750 {
		_ = root.Chmod(st.To, 0o750) // as its owner opened it; the server's files have modes after this one
	}
	if err := durable.Remove(root, "postmaster.pid"); err != nil { // judged: it is left behind
		return err
	}
	if _, err := root.Lstat("PG_VERSION"); err == nil {
		if err := durable.Rename(root, "PG_VERSION", parkedVersion); err != nil {
			return err
		}
	}
	if err := moveDown(root, st.To); err != nil {
		return err
	}
	if _, err := root.Lstat(parkedVersion); err == nil {
		if err := durable.Rename(root, parkedVersion, path.Join(st.To, "PG_VERSION")); err != nil {
			return err
		}
	}
	if err := writeRecord(root, pl, s.user); err != nil {
		return err
	}
	return durable.Remove(root, moveFile)
}

// moveDown moves whatever is not ours.
func moveDown(root *os.Root, to string) error {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	keep := append([]string{"lost+found", path.Dir(to)}, ours...)
	for _, e := range entries {
		if slices.Contains(keep, e.Name()) {
			continue
		}
		durable.Point("move", "entry")
		if err := root.Rename(e.Name(), path.Join(to, e.Name())); err != nil {
			return err
		}
	}
	durable.Point("move", "moved")
	return errors.Join(durable.SyncDir(root, to), durable.SyncDir(root, "."))
}
