package notify

import (
	"cmp"
	"fmt"
)

// primaryData is about a node whose data is a primary's.
func primaryData(f *Facts) (Verdict, bool) {
	if !f.Self.Record.Primary {
		return no()
	}
	for _, row := range []row{relapsed, beaten, rivalled, gaveAway, outdated, overtaken, ordered, handingOver, proven, voided, voiding, opening, completing, strays, heirless, preparing, arming, registering} {
		if v, fits := row(f); fits {
			return v, true
		}
	}
	return yes(Wait, "", "%s", f.steady())
}

// gaveAway: a release is never taken back; it is only rolled forward.
func gaveAway(f *Facts) (Verdict, bool) {
	r := f.Self.Record
	if r.Released == nil {
		return no()
	}
	if f.Order.Alone && f.Order.Force && f.Self.Server == ServerDown {
		return ordering(f.forced("an operator took the release to " + r.Released.Target + " back"))
	}
	if !f.Self.isClosed() {
		return yes(Stop, r.Released.Target, "the right to open was given to %s: no more writes here", r.Released.Target)
	}
	if _, found := f.answering(r.Released.Target); found {
		return yes(Tell, r.Released.Target, "the right to open was given to %s, which has not opened yet", r.Released.Target)
	}
	if f.Self.Ending {
		return yes(Leave, "", "the right to open was given to %s", r.Released.Target)
	}
	return yes(Hold, r.Released.Target, "the right to open was given to %s, which does not answer. It opens as soon as it is back; "+
		"if it never will be, `pgbaton alone --force` here", r.Released.Target)
}

// forced makes this node the only one that may open in its epoch, on an
// operator's word. Should another have promoted, its epoch is newer: this node
// is fenced when it is seen, and its data held.
func (f *Facts) forced(why string) (Verdict, bool) {
	if f.isOvertaken() {
		return f.overruling(why)
	}
	next := clone(f.Self.Record)
	next.Released, next.Heir = nil, nil
	return Verdict{Do: Write, Record: next, Why: why}, true
}

// ordered: an operator ends the waiting for a silent heir.
func ordered(f *Facts) (Verdict, bool) {
	r := f.Self.Record
	if !f.Order.Alone || !f.Order.Force || r.Heir == nil {
		return no()
	}
	return ordering(f.forced(fmt.Sprintf("an operator made this node alone, without %s's answer: if %s has promoted, two histories exist", r.Heir.Node, r.Heir.Node)))
}

// opening: the server is down and the record may permit it to open.
func opening(f *Facts) (Verdict, bool) {
	s := f.Self
	r := s.Record
	switch {
	case s.Server == ServerStarting:
		return yes(Wait, "", "the server starts or stops")
	case s.Server == ServerPrimary:
		return no()
	case s.Server == ServerStandby && r.Newest().Timeline == 0:
		return yes(Promote, "", "the promotion was interrupted and goes on")
	case s.Server == ServerStandby:
		return yes(Hold, "", "the server runs as a standby although this node is the primary of epoch %d: somebody made standby.signal. "+
			"`pgbaton restart` starts it as the primary", r.Epoch)
	case s.Ending:
		return yes(Leave, "", "the server is down")
	case !f.asked():
		return yes(Wait, "", "asking the peers whether anybody has promoted meanwhile")
	case alone(r) && f.Policy.OnSilence == SilenceBoth && f.lookingAround():
		return yes(Wait, "", "asking the peers whether anybody has promoted meanwhile")
	case alone(r) && f.unpromoted():
		return Verdict{Do: StartStandby, Timeline: f.resumed(), Why: "the promotion was interrupted: the server starts, follows nobody, and is promoted again"}, true
	case alone(r):
		return yes(StartPrimary, "", "this node is the primary of epoch %d, and nobody else may promote", r.Epoch)
	case f.isArmed(r.Heir.Node) && s.Careless == "":
		return yes(StartPrimary, r.Heir.Node, "this node is the primary of epoch %d, and its heir %s knows of no newer one", r.Epoch, r.Heir.Node)
	}
	if v, fits := f.disarm(cmp.Or(s.Careless, "it is not armed")); fits {
		return v, true
	}
	return yes(Hold, r.Heir.Node, "the heir %s is silent and may have promoted: this server stays closed until it answers. "+
		"If %s is lost for good, `pgbaton alone --force`%s", r.Heir.Node, r.Heir.Node, f.orArbiter(r.Heir.Arbiter))
}

func (f *Facts) lookingAround() bool {
	for _, p := range f.Peers {
		if !p.Answers && p.Silent < lookAround {
			return true
		}
	}
	return false
}
