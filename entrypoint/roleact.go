package entrypoint

import (
	"context"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/notify"
)

// fenceAfter is how long a fast shutdown of a server that must not write any
// more may take before it becomes an immediate one.
const fenceAfter = 5 * time.Second

// clientsFirst is how long a new primary's disk is its clients' alone.
const clientsFirst = 300 * time.Millisecond

// effects are the actions that change something; the others wait, or let the
// supervisor's own table start a server.
var effects = map[notify.Action]bool{
	notify.Write: true, notify.Complete: true, notify.Clone: true, notify.Recover: true, notify.Rewind: true, notify.Finish: true,
	notify.Follow: true, notify.Stop: true, notify.Name: true, notify.Unname: true, notify.Prove: true, notify.AskForArming: true,
	notify.AskForDisarm: true, notify.AskForPrepare: true, notify.StopForTarget: true, notify.Undo: true,
	notify.Release: true, notify.Tell: true, notify.Promote: true, notify.SetAside: true,
	notify.Register: true, notify.Claim: true,
}

// starts are the actions that the supervisor's own table carries out.
var starts = map[notify.Action]bool{notify.StartPrimary: true, notify.StartStandby: true, notify.Initialize: true}

// actRole carries out a decision about the role: the record first, then the
// effect. true: the facts changed, look again at once.
func (s *supervisor) actRole(v notify.Verdict) bool {
	if copies(v.Do) && s.cl.pausing() {
		s.wakeIn(time.Until(s.cl.again))
		return false
	}
	if v.Do == notify.Release && !s.cl.signalled {
		if err := s.makeSignalFile(); err != nil {
			s.log.Error("role: "+v.Why, "error", err)
			return false
		}
	}
	if v.Record != nil {
		before := s.cl.record
		if err := s.saveRole(v.Record); err != nil {
			s.log.Error("role: "+v.Why, "error", err)
			s.wakeIn(taskPause)
			return false
		}
		s.raiseVoice(before, s.cl.record)
	}
	if v.Ordered && !copies(v.Do) { // those end the order once they are done
		s.cl.order = notify.Order{}
	}
	switch v.Do {
	case notify.Write, notify.Complete:
		return true
	case notify.Release:
		s.cl.handover = nil
		return true
	case notify.Undo:
		s.cl.handover, s.cl.undone = nil, v.Why
		s.cl.fleet.Calm()
		return true
	case notify.Stop:
		s.fence()
	case notify.StopForTarget:
		if s.server != nil && s.server.told == "" {
			s.stopForTarget()
		}
	case notify.Name:
		s.name(v)
	case notify.Unname:
		s.unname(v)
	case notify.Prove:
		s.prove(v)
	case notify.AskForArming:
		s.cl.disarmed = ""
		q := s.request(notify.AskArm)
		q.LSN, q.Arbiter, q.Right = s.cl.syncedAt, s.cl.record.Heir.Arbiter, s.cl.record.Heir.Right
		s.askPeer(v, q, nil, func() {})
	case notify.AskForDisarm:
		s.cl.disarmed = ""
		s.askPeer(v, s.request(notify.AskDisarm), nil, func() { s.cl.disarmed = v.Target })
	case notify.AskForPrepare:
		s.prepareHandover(v)
	case notify.Tell:
		s.askPeer(v, s.request(notify.AskTake), nil, func() { s.cl.task.again = time.Now().Add(tellPause) })
	case notify.Follow:
		s.follow(v)
	case notify.Register, notify.Claim:
		s.swap(v)
	default:
		return s.actOnServer(v)
	}
	return false
}

// actOnServer carries out what takes its time and lets nothing else begin.
func (s *supervisor) actOnServer(v notify.Verdict) bool {
	switch v.Do {
	case notify.Promote:
		s.promote()
	case notify.Clone:
		s.clone(v)
	case notify.Recover:
		s.recoverClosed()
	case notify.Finish:
		s.finishRestore()
	case notify.Rewind:
		s.rewind(v)
	case notify.SetAside:
		s.setDataAside(v)
	}
	return false
}

// fence stops the server: fast, then immediately.
func (s *supervisor) fence() {
	switch {
	case s.server == nil:
	case strength[s.server.told] < strength[node.Fast]:
		s.cl.fenced = time.Now()
		s.tellStop(node.Fast)
		s.wakeIn(fenceAfter)
	case s.server.told == node.Fast && time.Since(s.cl.fenced) >= fenceAfter:
		s.tellStop(node.Immediate)
	}
}

// preparation is what was done before a handover.
type preparation struct {
	begun    *notify.Handover // the checkpoint for it is begun
	written  *notify.Handover // … and written
	clearing time.Time        // until then no query may hold up the replay here
}

// prepareHandover asks the target whether it is ready, while a checkpoint here
// makes the one of the shutdown short.
func (s *supervisor) prepareHandover(v notify.Verdict) {
	h := s.cl.handover
	s.askPeer(v, s.request(notify.AskPrepare), s.checkpointFor(h), func() {
		if s.cl.handover == h && h != nil {
			h.Target, h.Prepared = v.Target, true
		}
	})
}

// checkpointFor is the checkpoint before a handover; nil: it is written, and a
// second one would be of no more use where the target is not ready yet.
func (s *supervisor) checkpointFor(h *notify.Handover) func(context.Context) error {
	if s.cl.prepare.written == h {
		return nil
	}
	l, err := s.login()
	if s.cl.prepare.begun != h {
		s.cl.prepare.begun = h
		s.allow(h, prepareWithin)
	}
	return func(ctx context.Context) error {
		if err != nil {
			return err
		}
		if err := l.Checkpoint(ctx); err != nil {
			return err
		}
		s.post(func() {
			s.cl.prepare.written = h
			s.allow(h, handoverWithin)
		})
		return nil
	}
}

// allow gives a handover time from now on, but for that of a container that ends.
func (s *supervisor) allow(h *notify.Handover, within time.Duration) {
	if !s.wish.Ending && s.cl.handover == h {
		h.Deadline = time.Now().Add(within)
		s.wakeIn(within)
		s.cl.monitor.hurry(min(within, handoverWithin))
	}
}

// clearWay lets no query hold up the replay of this standby, which is about to
// take over from the primary that asks.
func (s *supervisor) clearWay() {
	l, err := s.login()
	if err != nil || time.Now().Before(s.cl.prepare.clearing) {
		return
	}
	s.cl.prepare.clearing = time.Now().Add(handoverWithin)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), handoverWithin)
		defer cancel()
		l.ClearReplay(ctx)
	}()
}

// promote makes the running standby the primary that the record says it is.
func (s *supervisor) promote() {
	srv, v := s.server, s.volume
	l, err := s.login()
	s.run("promoting the server", func(ctx context.Context) func() {
		var timeline uint32
		var at node.LSN
		if err == nil {
			bounded, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			timeline, at, err = l.Promote(bounded, v.place.pgdata, &s.user, srv.proc)
			durable.Point("promote", "done")
		}
		return func() { s.promoted(srv, timeline, at, err) }
	})
}

func (s *supervisor) promoted(srv *server, timeline uint32, at node.LSN, err error) {
	if err != nil {
		s.log.Error("role: promote the server; it is tried again", "error", err)
		return
	}
	if s.server != srv {
		return
	}
	// The facts that the next decision needs are known before the monitor asks.
	s.seize()
	s.cl.follows, s.cl.source, s.cl.names = "", "", true
	s.cl.repl = &pg.Replication{Role: node.Primary, Timeline: timeline}
	s.view.role = node.Primary
	s.cl.monitor.hurry(0)
	s.remember()
	s.log.Info("role: promoted", "timeline", timeline, "at", at.String())
	s.cl.fleet.Kick()
	s.checkpointSoon()
}

// checkpointSoon writes the new timeline into pg_control: pg_rewind, of the old
// primary, goes by it (and would take this node for what it was before).
func (s *supervisor) checkpointSoon() {
	l, err := s.login()
	if err != nil {
		return
	}
	time.AfterFunc(clientsFirst, func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		if err := l.Checkpoint(ctx); err != nil {
			s.log.Warn("role: the checkpoint after the promotion; PostgreSQL's own timer makes one later", "error", err)
		}
	})
}
