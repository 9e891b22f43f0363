package entrypoint

import (
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/notify"
)

// shutPoll is how often pg_control of a primary that hands over is read: a page
// from the cache.
const shutPoll = 2 * time.Millisecond

// stopForTarget stops the server for a handover. Nobody asks it anything from now
// on: each refused session would be one more for it to wait for. What the release
// needs beside the record becomes durable meanwhile; where that fails the release
// tries again, and a server that starts as the primary after all removes it.
func (s *supervisor) stopForTarget() {
	s.cl.fenced = time.Now()
	s.stopMonitor()
	s.tellStop(node.Fast)
	s.awaitShut()
	if err := s.makeSignalFile(); err != nil {
		s.log.Warn("role: make standby.signal while the server stops", "error", err)
	}
}

// awaitShut looks anew, and asks the target often, from the moment on in which
// the server, told to end for a handover, has written its shutdown checkpoint:
// only then is it known up to where the target must have come.
func (s *supervisor) awaitShut() {
	srv, pgdata, until := s.server, s.volume.place.pgdata, s.cl.handover.Deadline.Add(notify.ShutWithin)
	go func() {
		tick := time.NewTicker(shutPoll)
		defer tick.Stop()
		for ended := false; !ended && !isShut(pgdata) && time.Now().Before(until); {
			select {
			case <-srv.proc.Done():
				ended = true
			case <-tick.C:
			}
		}
		s.post(func() {
			if h := s.cl.handover; h != nil {
				h.Deadline = later(h.Deadline, time.Now().Add(releaseWithin))
				s.wakeIn(time.Until(h.Deadline))
				s.cl.fleet.Hurry(time.Until(h.Deadline))
			}
		})
	}()
}

func isShut(pgdata string) bool {
	c, err := pg.ReadControl(pgdata)
	return err == nil && c.State == pg.ShutDown
}
