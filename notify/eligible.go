package notify

import "time"

// Priorities that are added to keepalived's own base priority of 100: at least
// 20 apart, for VRRP makes two of nearly equal ones MASTER at once now and then.
const (
	prefPrimary = 154
	prefHeir    = 134
	prefOther   = 100
)

// yieldFor is how long an heir that got the VIP while its primary answers
// keeps away from it.
const yieldFor = 5 * time.Second

// unsaidFor is how long a standby may have the VIP without keepalived's word that
// it is MASTER. The word comes within milliseconds, or was lost (its hook was
// killed, or no supervisor ran just then) and never comes again: without it this
// node neither promotes nor gives the VIP back to a primary that answers.
const unsaidFor = 2 * time.Second

// lateFor is how much longer a node has the VIP whose server has shut down and
// is not gone: whoever has connected to it would wait for an answer that the
// address took along. The next primary has the VIP beside it.
const lateFor = time.Second

// How long nothing may reach a node before it has no VIP. A standby that hears
// nothing hears no advertisements either, so it has to know before keepalived
// makes it MASTER for that (2 s by default). A primary waits longer than whatever
// is a matter of a moment.
const (
	deafStandby = 800 * time.Millisecond
	deafPrimary = 3 * time.Second
)

// Seat is what this node tells keepalived.
type Seat struct {
	Eligible bool   // may hold the VIP
	Pref     int    // added to the base priority
	Why      string // in a sentence
}

// Sit decides whether this node may hold the VIP. yielded is how long ago it
// gave the VIP back to a primary that answers; negative: never.
func Sit(f Facts, yielded time.Duration) Seat {
	s := f.Self
	switch {
	case f.Deaf():
		return Seat{Pref: prefOther, Why: "nothing reaches this node, although its gateway answered until then: it has no VIP until something does"}
	case f.handsOn():
		return Seat{true, prefPrimary, "the VIP stays here until the next primary is open"}
	case s.Ending || s.Record == nil || s.Corrupt:
		return Seat{Pref: prefOther, Why: "this node has no right to serve"}
	case s.Record.Primary && s.Record.Released == nil && s.Server == ServerPrimary && !f.isBeaten():
		return Seat{true, prefPrimary, "this node is the primary"}
	case s.Record.Primary || s.Server != ServerStandby || s.Record.Paused:
		return Seat{Pref: prefOther, Why: "this node's server is not open"}
	case s.Unsaid >= unsaidFor:
		return Seat{Pref: prefOther, Why: "the VIP is here and keepalived's word that it is MASTER was not heard: it is given back, and keepalived says what it does then"}
	case yielded >= 0 && yielded < yieldFor:
		return Seat{Pref: prefOther, Why: "the primary answers: it keeps the VIP"}
	case s.Record.Armed != nil:
		return Seat{true, prefHeir, "this node is the armed heir"}
	case f.Policy.OnSilence == SilenceBoth && (s.Streaming || s.VIP || s.Record.Reached && f.isSilent(s.Record.Newest().Node)):
		return Seat{true, prefHeir, "this node is a standby (PGBATON_ON_SILENCE=both)"}
	}
	return Seat{Pref: prefOther, Why: "this standby may not promote by itself"}
}

// Deaf reports whether nothing reaches this node: no peer, no arbiter, no
// client, and not its gateway, which answers whoever it hears. What it sends may
// get through all the same: then its advertisements keep the VIP here, where it
// is of no use to anybody, or two nodes have it. A node that is alone in its
// network still hears the gateway; where there is none, nobody is ever deaf.
func (f *Facts) Deaf() bool {
	r := f.Self.Record
	if r == nil || !r.Primary {
		return f.Self.Deaf >= deafStandby
	}
	if f.Self.Deaf < deafPrimary || f.Arbiter != nil && f.Arbiter.Answers {
		return false
	}
	for _, p := range f.Peers { // perhaps by another network
		if p.Answers {
			return false
		}
	}
	return true
}

// handsOn reports whether this node keeps the VIP although it is closed: until
// the next primary is open, or it is open itself again. Clients that come are
// refused at once, which is sooner over than an error of a server that does not
// accept writes yet, or the silence of an address that nobody has. Nobody else
// could open with the VIP meanwhile: the heir that may is told so by a release.
// Where it cannot be told, because it does not answer, it needs the VIP.
func (f *Facts) handsOn() bool {
	s := f.Self
	if s.Record == nil || s.Corrupt || !s.Record.Primary || !s.VIP {
		return false
	}
	if s.Ending && f.Handover == nil && s.Record.Released == nil {
		return false
	}
	if next := f.mayOpen(); next != "" {
		if _, answers := f.answering(next); !answers {
			return false
		}
	}
	if s.isEnding() && s.Shut < lateFor {
		return true
	}
	p, found := f.primary()
	return !found || p.record().Epoch <= s.Record.Epoch || !p.cluster().Open
}

// mayOpen is the node that may open in place of this primary; empty: none.
func (f *Facts) mayOpen() string {
	switch r := f.Self.Record; {
	case r.Released != nil:
		return r.Released.Target
	case !alone(r):
		return r.Heir.Node
	}
	return ""
}

// isBeaten reports whether a newer primary is known.
func (f *Facts) isBeaten() bool {
	p, found := f.primary()
	return found && p.record().Epoch > f.Self.Record.Epoch || f.isOvertaken()
}

// Yields reports whether this standby holds the VIP although the primary
// answers: it gives the VIP back and does not promote.
func Yields(f Facts) bool {
	s := f.Self
	if !f.hasVIP() || s.Record == nil || s.Record.Primary {
		return false
	}
	p, found := f.primary()
	return found && p.isOpen()
}
