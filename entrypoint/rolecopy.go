package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/notify"
)

const (
	// copyFile says that the data directory is being copied or rewound: what
	// lies there is good for nothing until it is gone.
	copyFile = stateDir + "/copy.json"
	// cloneDir is where a base backup is received.
	cloneDir = stateDir + "/clone"
	// divergedDir keeps what a rewind or a new copy would have thrown away.
	divergedDir = stateDir + "/diverged"
	// copyAgain is the pause after a copy that failed; it doubles.
	copyAgain    = time.Second
	copyAgainMax = 30 * time.Second
)

// copyState is the record of a copy or rewind that is under way, or of data
// that is being given up for a copy.
type copyState struct {
	What    notify.Action `json:"what"` // clone, rewind or set aside
	From    string        `json:"from"` // node
	PGData  string        `json:"pgdata"`
	Started time.Time     `json:"started"`
	Aside   string        `json:"aside,omitempty"`   // where set aside moves it, relative to the volume
	Outside []string      `json:"outside,omitempty"` // directories of tablespaces and of WAL that a clone writes
}

// copying is the copy that was begun and not finished; nil: none. A record
// that cannot be read counts as one: what lies there is not to be trusted.
func (s *supervisor) copying(v *volume) *copyState {
	var st copyState
	err := durable.ReadJSON(v.root, copyFile, &st)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return &st
}

func (s *supervisor) newCopy(v notify.Verdict) copyState {
	return copyState{What: v.Do, From: v.Target, PGData: s.volume.place.pgdata, Started: time.Now().UTC()}
}

func (s *supervisor) beginCopy(st copyState) error {
	return durable.WriteJSON(s.volume.root, copyFile, st, owner(s.user), int(s.user.GID))
}

// copies reports whether an action reads another node's data.
func copies(do notify.Action) bool {
	return do == notify.Clone || do == notify.Rewind || do == notify.Recover || do == notify.SetAside || do == notify.Finish
}

// pausing reports whether the latest copy failed a moment ago.
func (c *clustering) pausing() bool { return time.Now().Before(c.again) }

// copied notes how a copy, rewind or the like ended.
func (s *supervisor) copied(what string, err error) {
	s.cl.progress = ""
	if err == nil {
		s.cl.failed, s.cl.pause = "", 0
		return
	}
	s.cl.failed = fmt.Sprintf("%s failed and is tried again: %v", what, err)
	s.cl.pause = min(max(copyAgain, 2*s.cl.pause), copyAgainMax)
	s.cl.again = time.Now().Add(s.cl.pause)
	s.wakeIn(s.cl.pause)
	if !s.wish.Ending {
		s.log.Error("role: "+s.cl.failed, "again_in", s.cl.pause.String())
	}
}

// clone copies the target's cluster into the empty data directory.
func (s *supervisor) clone(v notify.Verdict) {
	src, err := s.source(v.Target)
	vol := s.volume
	state := s.copying(vol)
	s.run("copying "+v.Target, func(ctx context.Context) func() {
		if err == nil {
			err = s.prepareClone(state)
		}
		if err == nil {
			err = s.receive(ctx, v, src)
		}
		return func() {
			s.copied("copying "+v.Target, s.endCopy(v, err))
		}
	})
}

// endCopy makes the record of what was copied durable, then the copy whole.
func (s *supervisor) endCopy(v notify.Verdict, err error) error {
	if err == nil && v.After != nil {
		err = s.saveRole(v.After)
	}
	if err == nil {
		err = durable.Remove(s.volume.root, copyFile)
	}
	return err
}

// prepareClone clears what an interrupted copy left, keeps what an interrupted
// rewind left, and ends what set data aside. A copy gets its PG_VERSION last, so
// a directory that has one is none that was interrupted: somebody may have
// restored a backup there, and it is kept with all that its links lead to.
func (s *supervisor) prepareClone(state *copyState) error {
	v := s.volume
	if err := v.root.RemoveAll(cloneDir); err != nil {
		return fmt.Errorf("clear an interrupted copy: %w", err)
	}
	if state == nil {
		return nil
	}
	rel, err := filepath.Rel(v.place.volume, v.place.pgdata)
	if err != nil {
		return err
	}
	switch {
	case state.What == notify.Clone && !exists(filepath.Join(v.place.pgdata, "PG_VERSION")):
		return errors.Join(s.discard(rel), pg.ClearOutside(state.Outside, &s.user))
	case state.What == notify.SetAside && state.Aside != "":
		return s.moveAside(rel, state.Aside)
	}
	to, err := s.asideFor("interrupted")
	if err != nil {
		return err
	}
	return s.moveAside(rel, to)
}

// discard empties the data directory of a copy that was never whole.
func (s *supervisor) discard(rel string) error {
	entries, err := fs.ReadDir(s.volume.root.FS(), rel)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("clear an interrupted copy: %w", err)
	}
	for _, e := range entries {
		if isOurs(e.Name()) {
			continue
		}
		if err := s.volume.root.RemoveAll(filepath.Join(rel, e.Name())); err != nil {
			return fmt.Errorf("clear an interrupted copy: %w", err)
		}
	}
	return nil
}

func isOurs(name string) bool {
	for _, o := range ours {
		if name == o {
			return true
		}
	}
	return name == "lost+found"
}

// asideFor makes a directory in diverged/ for data that is given up.
func (s *supervisor) asideFor(why string) (string, error) {
	to := filepath.Join(divergedDir, moment(time.Now())+"-"+why)
	return to, durable.MkdirAll(s.volume.root, to, owner(s.user), int(s.user.GID))
}

// moment is a time in the name of a directory.
func moment(at time.Time) string { return at.UTC().Format("20060102T150405.000Z") }

// moveAside moves the data directory's content there. Its tablespaces, and WAL
// that lies elsewhere, stay where they are: its links go on leading to them.
func (s *supervisor) moveAside(rel, to string) error {
	v := s.volume
	err := moveEntries(v.root, rel, to, append([]string{"lost+found"}, ours...))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keep the old data aside: %w", err)
	}
	s.log.Warn("role: kept the old data aside", "at", filepath.Join(v.place.volume, to))
	return nil
}

// receive takes a base backup and moves it into place, PG_VERSION last.
func (s *supervisor) receive(ctx context.Context, v notify.Verdict, src pg.Source) error {
	vol, state := s.volume, s.newCopy(v)
	if err := s.beginCopy(state); err != nil {
		return err
	}
	if err := durable.MkdirAll(vol.root, cloneDir, owner(s.user), int(s.user.GID)); err != nil {
		return err
	}
	err := pg.Clone(ctx, pg.CloneSpec{
		Binaries: vol.bin, From: src, Target: filepath.Join(vol.place.volume, cloneDir), WAL: s.off.WalDir,
		Slot: pg.SlotName(s.set.Node), User: &s.user, Env: s.env, Ours: ours, SystemIdentifier: system(v),
		Stamp: moment(state.Started), Uses: func(dirs []string) error {
			if state.Outside = dirs; len(dirs) == 0 {
				return nil
			}
			return s.beginCopy(state)
		},
		Progress: func(done, total int64) { s.progress("copying "+v.Target, done, total) },
	})
	if err != nil {
		return err
	}
	durable.Point("clone", "received")
	rel, err := filepath.Rel(vol.place.volume, vol.place.pgdata)
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(vol.root, rel, owner(s.user), int(s.user.GID)); err != nil {
		return err
	}
	if err := moveEntries(vol.root, cloneDir, rel, nil); err != nil {
		return fmt.Errorf("move the copy into place: %w", err)
	}
	return vol.root.Remove(cloneDir)
}

// system is the cluster that a copy belongs to; 0: not known.
func system(v notify.Verdict) uint64 {
	for _, r := range []*node.Record{v.Record, v.After} {
		if r != nil {
			return r.SystemIdentifier
		}
	}
	return 0
}

func (s *supervisor) progress(what string, done, total int64) {
	text := fmt.Sprintf("%s: %d of %d MB", what, done>>20, total>>20)
	if total > 0 {
		text += fmt.Sprintf(" (%d %%)", min(100, 100*done/total))
	}
	s.post(func() { s.cl.progress = text })
}

// setDataAside gives the data up for a copy: it is kept, with its role record.
func (s *supervisor) setDataAside(v notify.Verdict) {
	rec, suffix := s.cl.record, "replaced"
	if s.cl.losing.loss != nil && !v.Ordered {
		suffix = lostSuffix
	}
	s.run("keeping the old data aside", func(context.Context) func() {
		err := s.giveUp(v, rec, suffix)
		return func() {
			err = s.endCopy(v, err)
			if err == nil || s.copying(s.volume) != nil { // else it begins again
				s.cl.order, s.cl.losing.loss = notify.Order{}, nil
			}
			s.copied("keeping the old data aside", err)
		}
	})
}

// giveUp moves the data aside. From the first write on it counts as half made,
// so that what an interruption leaves is no cluster.
func (s *supervisor) giveUp(v notify.Verdict, rec *node.Record, suffix string) error {
	vol := s.volume
	rel, err := filepath.Rel(vol.place.volume, vol.place.pgdata)
	if err != nil {
		return err
	}
	to, err := s.asideFor(suffix)
	if err != nil {
		return err
	}
	if rec != nil {
		if err := durable.WriteJSON(vol.root, filepath.Join(to, "role.json"), rec, owner(s.user), int(s.user.GID)); err != nil {
			return err
		}
	}
	state := s.newCopy(v)
	state.Aside = to
	if err := s.beginCopy(state); err != nil {
		return err
	}
	return s.moveAside(rel, to)
}
