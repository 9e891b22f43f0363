package notify

import (
	"fmt"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// handingOver: the steps of a planned change before its release. The target
// is the heir; or, where nobody is armed and so nobody may promote on silence,
// any standby: that it has the shutdown checkpoint is what counts.
func handingOver(f *Facts) (Verdict, bool) {
	h, s := f.Handover, f.Self
	if h == nil {
		return no()
	}
	target := f.target()
	switch {
	case s.Server == ServerStarting && !s.isClosed() && f.Now.Before(h.Deadline.Add(ShutWithin)):
		return yes(Wait, target, "the server stops, for %s to take over", orNobody(target))
	case !f.Now.Before(h.Deadline):
		return yes(Undo, target, "%s did not take over in time%s: this node goes on as the primary", orNobody(target), f.lateBecause(target))
	case s.Server == ServerDown && !s.Clean:
		return yes(Undo, target, "the server did not shut down cleanly: the handover is off")
	case s.isClosed() && (target == "" || !f.only(target)):
		return yes(Undo, target, "another standby than %s may promote: the handover is off", orNobody(target))
	case s.isClosed():
		if !f.hasAll(target) {
			return yes(Wait, target, "waiting until %s has the shutdown checkpoint at %s", target, s.End)
		}
		if why := f.lags(target); why != "" {
			return yes(Wait, target, "the right to open is not given away yet: %s", why)
		}
		return f.release(target, h.Operation, s.End, h.Why)
	case s.Server != ServerPrimary:
		return yes(Wait, target, "the server stops, for %s to take over", orNobody(target))
	case target == "" || !f.only(target) || !f.sends(target) || !f.isOurs(target) || s.Record.Newest().Timeline == 0:
		return no() // the rows below may mend that
	case !h.Prepared:
		return yes(AskForPrepare, target, "handing over to %s: asking whether it is ready, and writing a checkpoint", target)
	case alone(s.Record) && h.Mark != 0 && !f.hasReplayed(target, h.Mark+1): // an armed heir has proven itself
		return yes(Wait, target, "handing over to %s: waiting until it has replayed the checkpoint, which proves it a copy of this node", target)
	}
	return yes(StopForTarget, target, "handing over to %s: the server stops", target)
}

// ShutWithin is how much longer than its handover a shutdown may take whose
// checkpoint is a long one. It cannot be taken back, and once it is through the
// target opens no later than this node would.
const ShutWithin = time.Minute

// lags says how far the replay of a peer is behind; empty: it is near its end.
func (f *Facts) lags(name string) string {
	p, found := f.answering(name)
	if !found {
		return ""
	}
	return lagging(name, p.cluster().Received, p.cluster().Replayed)
}

// lateBecause says what kept the target, where that is known.
func (f *Facts) lateBecause(target string) string {
	p, _ := f.answering(target)
	switch {
	case p.cluster() != nil && p.cluster().Stalled != "":
		return " (" + p.cluster().Stalled + ")"
	case f.lags(target) != "":
		return " (" + f.lags(target) + ")"
	}
	return ""
}

// isClosed reports whether the server can acknowledge nothing any more. A fast
// shutdown is never taken back (Shutdown in src/backend/postmaster/postmaster.c),
// and its checkpoint is written only after the last session has ended: what is
// left then, to send WAL and to end, need not be waited for.
func (s Self) isClosed() bool { return s.Server == ServerDown || s.Shut > 0 }

// endWithin is how long what is left of a server that has shut down may take to
// end before it is stopped as one that has not.
const endWithin = 5 * time.Second

// isEnding reports whether the server has shut down and is about to be gone.
func (s Self) isEnding() bool {
	return s.Server != ServerDown && s.Shut > 0 && s.Shut < endWithin
}

// target is who shall take over: whom the handover names, or the heir, or the
// best standby.
func (f *Facts) target() string {
	r := f.Self.Record
	switch {
	case f.Handover.Target != "":
		return f.Handover.Target
	case r.Heir != nil:
		return r.Heir.Node
	}
	return f.chooseHeir()
}

// only reports whether nobody else than the target may promote meanwhile.
func (f *Facts) only(target string) bool {
	r := f.Self.Record
	return alone(r) || r.Heir.Node == target
}

// isOurs reports whether the peer answers and its data is a copy of this
// epoch's.
func (f *Facts) isOurs(name string) bool {
	p, found := f.answering(name)
	if !found {
		return false
	}
	r, mine := p.record(), f.Self.Record
	return r != nil && !r.Primary && r.Epoch == mine.Epoch && r.Newest().ID == mine.Newest().ID &&
		!p.cluster().Building && !p.cluster().Empty
}

// hasAll reports whether the peer has the shutdown checkpoint of this server,
// and with it whatever was acknowledged here.
func (f *Facts) hasAll(name string) bool {
	p, _ := f.answering(name)
	return f.isOurs(name) && p.cluster().Received > f.Self.End
}

func orNobody(name string) string {
	if name == "" {
		return "no standby"
	}
	return name
}

// release gives the right to open away, for good.
func (f *Facts) release(target, operation string, lsn node.LSN, why string) (Verdict, bool) {
	next := clone(f.Self.Record)
	next.Released = &node.Release{Operation: operation, Target: target, Epoch: next.Epoch, LSN: lsn, Why: why, Time: f.Now}
	return Verdict{Do: Release, Target: target, Record: next, Why: fmt.Sprintf("%s: the right to open goes to %s", why, target)}, true
}

// proven: the postmaster is gone with every process of it, and this supervisor
// lives to say so: a release to an armed heir that answers.
func proven(f *Facts) (Verdict, bool) {
	s := f.Self
	if s.Server != ServerDown || !s.Died || alone(s.Record) || s.Record.Paused || f.Policy.OnSilence != SilencePromote {
		return no()
	}
	heir := s.Record.Heir.Node
	p, _ := f.answering(heir)
	if !f.isArmed(heir) || p.cluster().Leaving || p.record().Paused || p.State.Role != node.Standby || f.lags(heir) != "" {
		return no() // it is restarted in place
	}
	return f.release(heir, f.Fresh, 0, "postgres died here with all its processes")
}
