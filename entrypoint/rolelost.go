package entrypoint

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/notify"
)

const (
	// lostAfter is how long a standby has failed to stream before it is asked
	// whether it ever can.
	lostAfter = 5 * time.Second
	// lostEvery is how often.
	lostEvery = 5 * time.Second
	// lostWithin bounds one time.
	lostWithin = 30 * time.Second
	// lostSuffix marks what gave way to a copy for that reason, in diverged/.
	lostSuffix = "lost"
	// lostSpare is the room that a second copy leaves free, beside its own size.
	lostSpare = 256 << 20
)

// losing is the search for a proof that this standby can never stream again.
type losing struct {
	busy bool
	at   time.Time
	loss *notify.Loss
}

// seekLoss asks this server and its primary, beside the loop. The proof stands
// until a server starts here again, or streams.
func (s *supervisor) seekLoss() {
	f := &s.cl.facts
	self, l := &f.Self, &s.cl.losing
	if self.Streaming || l.loss != nil && (l.loss.Primary != self.Following || l.loss.Promotion != self.Record.Newest().ID) {
		l.loss = nil // it streams after all, or the proof is about another primary
	}
	if l.busy || unhindered(l.loss) || self.Server != notify.ServerStandby || self.Streaming || self.Dry < lostAfter ||
		self.Following == "" || self.Record == nil || self.Record.Primary || time.Since(l.at) < lostEvery {
		return
	}
	login, err := s.login()
	src, e := s.source(self.Following)
	if err != nil || e != nil {
		return
	}
	l.busy, l.at = true, time.Now()
	srv, system := s.server, self.SystemIdentifier
	loss := &notify.Loss{Primary: self.Following, Promotion: self.Record.Newest().ID}
	go func() {
		ctx, cancel := context.WithTimeout(srv.live, lostWithin)
		defer cancel()
		want, lost, err := proveLoss(ctx, login, src, system)
		s.post(func() {
			s.cl.losing.busy = false
			if err != nil {
				s.log.Debug("role: ask whether this standby can stream again", "error", err)
			}
			if err != nil || s.server != srv {
				return
			}
			s.cl.losing.loss = nil
			if lost {
				loss.Needs, loss.Kept, loss.Cramped = want.At, s.keptLost(), s.noRoomFor(want.DataSize)
				s.cl.losing.loss = loss
			}
		})
	}()
}

// unhindered reports whether a proof needs no other look: nothing is in its way.
func unhindered(l *notify.Loss) bool { return l != nil && l.Kept == "" && l.Cramped == "" }

// proveLoss asks the standby, its primary, and the standby again: it still
// waits for the very WAL of which its primary has no file.
func proveLoss(ctx context.Context, l pg.Login, src pg.Source, system uint64) (pg.Want, bool, error) {
	want, waits, err := l.Wants(ctx)
	if err != nil || !waits || want.Archive != "" {
		return want, false, err
	}
	removed, err := src.HasRemoved(ctx, want.At, system)
	if err != nil || !removed {
		return want, false, err
	}
	again, waits, err := l.Wants(ctx)
	return want, err == nil && waits && again.At == want.At && again.Archive == "", err
}

// keptLost is what an earlier copy for the same reason left; empty: nothing. One
// is kept at a time, so that a standby that loses its WAL during each copy does
// not fill its disk.
func (s *supervisor) keptLost() string {
	found, _ := fs.Glob(s.volume.root.FS(), divergedDir+"/*-"+lostSuffix) // the pattern is well formed
	if len(found) == 0 {
		return ""
	}
	return filepath.Join(s.volume.place.volume, found[0])
}

// noRoomFor says why there is no room for another copy of the data; empty:
// there seems to be. The copy itself looks again.
func (s *supervisor) noRoomFor(size int64) string {
	free, _, _, err := diskSpace(s.volume.place.volume)
	if err != nil || free >= uint64(size)+lostSpare {
		return ""
	}
	return fmt.Sprintf("a copy beside this data needs some %d MB, and %d MB are free in %s", size>>20, free>>20, s.volume.place.volume)
}
