package entrypoint

import (
	"context"
	"syscall"
	"time"

	"github.com/pgbaton/pgbaton/internal/pg"
)

const (
	// monitorEvery is how often the server is asked about replication.
	monitorEvery = 500 * time.Millisecond
	// monitorFast is how often while roles are about to change.
	monitorFast = 5 * time.Millisecond
	// monitorWithin bounds one answer.
	monitorWithin = time.Second
)

// monitoring asks the running server about replication.
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
	ctx, cancel := context.WithCancel(context.Background())
	m := &monitoring{cancel: cancel, kick: make(chan time.Time, 1)}
	s.cl.monitor = m
	go func() {
		mon := l.Monitor(monitorWithin)
		defer mon.Close()
		var fast time.Time
		for ctx.Err() == nil {
			r, err := mon.Replication(ctx)
			if ctx.Err() != nil {
				return
			}
			s.post(func() { s.monitored(m, r, err) })
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
func (s *supervisor) endHung(why error) {
	now := time.Now()
	if s.cl.mute.IsZero() {
		s.cl.mute = now
	}
	silent := now.Sub(s.cl.mute)
	if s.set.HungAfter == 0 || silent < s.set.HungAfter || s.server == nil || !s.server.ready || s.server.told != "" {
		return
	}
	s.cl.mute = now
	s.log.Error("postgres gives no answer, so it counts as hung and is killed", "for", silent.Round(time.Second).String(), "error", why)
	if err := s.server.proc.Signal(syscall.SIGKILL); err != nil {
		s.log.Error("kill postgres", "error", err)
	}
}

func (s *supervisor) stopMonitor() {
	if s.cl.monitor != nil {
		s.cl.monitor.cancel()
		s.cl.monitor = nil
	}
	s.cl.repl, s.cl.synced, s.cl.stuck = nil, "", stuck{}
	s.cl.mute, s.cl.flowed, s.cl.sent = time.Time{}, time.Time{}, time.Time{}
}

// monitored takes an answer in.
func (s *supervisor) monitored(m *monitoring, r pg.Replication, err error) {
	if s.cl.monitor != m {
		return
	}
	if pg.Mute(err) {
		s.endHung(err)
	} else {
		s.cl.mute = time.Time{}
	}
	s.cl.answers = err == nil
	if err != nil {
		return // what was known stays; silence has its own rules
	}
	s.cl.repl = &r
	now := time.Now()
	s.cl.stuck = s.cl.stuck.next(now, r, heirOf(s.cl.record))
	if s.cl.flowed.IsZero() || r.Receiver != nil && r.Receiver.Status == "streaming" {
		s.cl.flowed = now
	}
	heir := heirOf(s.cl.record)
	if s.cl.synced != "" && s.cl.task.cancel == nil && r.SyncNames != pg.SyncFor(s.cl.synced) {
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
