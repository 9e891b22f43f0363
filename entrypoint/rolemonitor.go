package entrypoint

import (
	"context"
	"syscall"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
)

const (
	// monitorEvery is how often the server is asked about replication.
	monitorEvery = 500 * time.Millisecond
	// monitorFast is how often while roles are about to change.
	monitorFast = 5 * time.Millisecond
	// patience is what PGBATON_HUNG_AFTER would be where that is never.
	patience = 30 * time.Second
	// pingsIn is how many pings there are in PGBATON_HUNG_AFTER, pingEvery the
	// longest and shortest pause between two.
	pingsIn       = 6
	pingAtLatest  = 5 * time.Second
	pingNotBefore = 500 * time.Millisecond
)

// monitoring asks the running server about replication, over a session that is
// kept, and apart from that whether new connections are taken: a postmaster that
// hangs leaves those alone that are open.
type monitoring struct {
	cancel context.CancelFunc
	kick   chan time.Time // ask often until then
}

// startMonitor begins when a server has become ready.
func (s *supervisor) startMonitor() {
	if !s.clustered() || s.cl.monitor != nil {
		return
	}
	l, err := s.login()
	if err != nil { // no Unix socket: nobody could ask, and that is no sign of a server that hangs
		s.log.Error("role: the server cannot be asked about replication, so this node takes no part in its cluster", "error", err)
		return
	}
	ctx, cancel := context.WithCancel(s.server.live)
	m := &monitoring{cancel: cancel, kick: make(chan time.Time, 1)}
	s.cl.monitor = m
	go s.ping(ctx, m, l, s.hungAfter())
	go func() {
		var fast time.Time
		for ctx.Err() == nil {
			asked := time.Now()
			r, err := l.Door.Replication(ctx)
			if ctx.Err() != nil {
				return
			}
			s.post(func() { s.monitored(m, r, asked, err) })
			pause := monitorEvery
			if time.Now().Before(fast) {
				pause = monitorFast
			}
			select {
			case <-ctx.Done():
			case fast = <-m.kick:
			case <-time.After(pause):
			}
		}
	}()
}

// hungAfter is how long one question to the server may take.
func (s *supervisor) hungAfter() time.Duration {
	if s.set.HungAfter == 0 {
		return patience
	}
	return s.set.HungAfter
}

// ping asks now and then whether new connections are taken.
func (s *supervisor) ping(ctx context.Context, m *monitoring, l pg.Login, within time.Duration) {
	pause := max(pingNotBefore, min(within/pingsIn, pingAtLatest))
	for ctx.Err() == nil {
		asked := time.Now()
		bounded, cancel := context.WithTimeout(ctx, within)
		err := l.Ping(bounded)
		cancel()
		if ctx.Err() != nil {
			return
		}
		s.post(func() {
			if s.cl.monitor == m {
				s.cl.unmet = s.unanswered(s.cl.unmet, asked, err)
			}
		})
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// unanswered is since when there has been no answer of one kind, given that of
// before and how the latest question ended. A server that has given none for too
// long is ended.
func (s *supervisor) unanswered(since, asked time.Time, err error) time.Time {
	if !pg.Mute(err) {
		return time.Time{}
	}
	if since.IsZero() {
		since = asked
	}
	if s.endHung(since, err) {
		return time.Time{}
	}
	return since
}

// hurry asks often for a while.
func (m *monitoring) hurry(d time.Duration) {
	if m == nil {
		return
	}
	select {
	case m.kick <- time.Now().Add(d):
	default:
	}
}

// endHung kills a server that has given no answer for too long. Only a dead one
// proves that nothing is acknowledged any more: then it is handed over, or
// started again.
func (s *supervisor) endHung(since time.Time, why error) bool {
	silent := time.Since(since)
	if s.set.HungAfter == 0 || silent < s.set.HungAfter || s.server == nil || !s.server.ready || s.server.told != "" {
		return false
	}
	s.log.Error("postgres gives no answer, so it counts as hung and is killed", "for", silent.Round(time.Second).String(), "error", why)
	if err := s.server.proc.Signal(syscall.SIGKILL); err != nil {
		s.log.Error("kill postgres", "error", err)
	}
	return true
}

func (s *supervisor) stopMonitor() {
	if s.cl.monitor != nil {
		s.cl.monitor.cancel()
		s.cl.monitor = nil
	}
	s.cl.repl, s.cl.synced, s.cl.stuck = nil, "", stuck{}
	s.cl.mute, s.cl.unmet, s.cl.flowed, s.cl.sent = time.Time{}, time.Time{}, time.Time{}, time.Time{}
}

// monitored takes an answer in.
func (s *supervisor) monitored(m *monitoring, r pg.Replication, asked time.Time, err error) {
	if s.cl.monitor != m {
		return
	}
	s.cl.mute = s.unanswered(s.cl.mute, asked, err)
	s.cl.answers = err == nil
	if err != nil {
		return // what was known stays; silence has its own rules
	}
	s.knowTimeline(&r)
	s.cl.repl = &r
	now := time.Now()
	s.cl.stuck = s.cl.stuck.next(now, r, heirOf(s.cl.record))
	if s.cl.flowed.IsZero() || r.Receiver != nil && r.Receiver.Status == "streaming" {
		s.cl.flowed = now
	}
	heir := heirOf(s.cl.record)
	if s.cl.synced != "" && s.cl.task.cancel == nil && (r.SyncNames != pg.SyncFor(s.cl.synced) || isTwin(s.cl.synced, r.Senders)) {
		s.cl.synced = "" // somebody has changed it since it was proven
	}
	for _, w := range r.Senders {
		if w.Node == heir && w.State == "streaming" {
			s.cl.sent = now
		}
	}
	if s.cl.sent.IsZero() {
		s.cl.sent = now
	}
	s.view.role = r.Role
	s.ensure()
	s.seekLoss()
}

// knowTimeline completes what a standby says of its timeline by its control file,
// which the server reads under a lock that it holds while the disk hangs.
func (s *supervisor) knowTimeline(r *pg.Replication) {
	if r.Role != node.Standby || s.volume == nil {
		return
	}
	if c, err := s.readControl(s.volume.place.pgdata); err == nil {
		r.Timeline = max(r.Timeline, c.Timeline, c.MinRecoveryTimeline)
	}
}
