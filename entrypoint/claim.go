package entrypoint

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/upgrade/inplace"
)

// takeLock finds the volume and takes its lock. It runs in the loop: nothing
// else can happen before it, and it does not block but on a volume that does.
func (s *supervisor) takeLock() bool {
	pl, ambiguous, err := s.findPlace(s.args)
	if err == nil && ambiguous == nil {
		err = refuseForeign(pl)
	}
	if err != nil {
		s.refuse(err)
		return true
	}
	root, err := openVolume(pl, s.user)
	if err != nil {
		s.refuse(err)
		return true
	}
	me := durable.Holder{Node: s.set.Node, Container: hostname(), Since: time.Now().UTC()}
	lock, err := durable.TryLock(root, lockFile, me, owner(s.user), int(s.user.GID))
	var busy *durable.BusyError
	if errors.As(err, &busy) {
		_ = root.Close()
		changed := s.lock != lockBusy || s.holder != busy.Holder.String()
		s.lock, s.holder = lockBusy, busy.Holder.String()
		return changed
	}
	if err != nil {
		s.refuse(volumeError(pl.volume, s.user, err))
		return true
	}
	s.gotLock(&volume{place: pl, root: root, lock: lock}, ambiguous)
	return true
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}

func (s *supervisor) gotLock(v *volume, ambiguous error) {
	s.volume, s.lock, s.holder = v, lockOurs, ""
	if ambiguous != nil {
		v.ambiguous = ambiguous.Error()
	}
	// The note before the lock: a supervisor that dies in between leaves a lock
	// that the next one can take, not one that it holds and knows nothing of.
	s.remember()
	if err := s.link.send(kindLock, []byte{0}, int(v.lock.Fd())); err != nil {
		s.log.Error("leave the volume's lock with init", "error", err)
	}
	if _, err := readRecord(v.place.volume); errors.Is(err, durable.ErrCorrupt) {
		s.keepCorrupt(v, recordFile, err)
	}
	s.loadJournal(v)
	if ambiguous == nil {
		s.log.Info("data directory", "pgdata", v.place.pgdata, "volume", v.place.volume, "why", v.place.why)
	}
}

// startPrepare gives the directories their owner and modes, which can take a
// while on a large volume.
func (s *supervisor) startPrepare() {
	v := s.volume
	s.run("preparing the volume", func(context.Context) func() {
		err := prepareDirs(v.root, v.place, s.off, s.user)
		s.sweep(v)
		return func() {
			v.prepared = err == nil
			if err != nil {
				s.refuse(err)
			}
			s.remember()
		}
	})
}

// sweep removes what supervisors left that were killed while they wrote.
func (s *supervisor) sweep(v *volume) {
	err := errors.Join(durable.Sweep(v.root, ".", filepath.Base(inplace.ResultFile)), durable.Sweep(v.root, stateDir), durable.Sweep(v.root, filepath.Dir(inplace.JournalFile)),
		pg.AsUser(&s.user, func() error {
			root, err := os.OpenRoot(v.place.pgdata)
			if err != nil {
				return err
			}
			defer func() { _ = root.Close() }()
			return durable.Sweep(root, ".", "standby.signal", "postgresql.auto.conf")
		}))
	if err != nil {
		s.log.Warn("remove what a killed supervisor left half written", "error", err)
	}
}

// reopenVolume takes the volume over with a lock that Init kept.
func reopenVolume(pl place, lock *os.File) (*volume, error) {
	root, err := os.OpenRoot(pl.volume)
	if err != nil {
		return nil, err
	}
	return &volume{place: pl, root: root, lock: lock}, nil
}

// writeRecord names the cluster that is in use.
func writeRecord(root *os.Root, pl place, u proc.User) error {
	rec := record{PGData: pl.pgdata}
	var err error
	if rec.Major, err = pg.DataMajor(pl.pgdata); err != nil {
		return err
	}
	c, err := pg.ReadControl(pl.pgdata)
	if err != nil {
		return err
	}
	rec.SystemIdentifier = c.SystemIdentifier
	if old, err := readRecord(pl.volume); err == nil && old == rec {
		return nil
	}
	return durable.WriteJSON(root, recordFile, rec, owner(u), int(u.GID))
}
