package notify

import "slices"

// preparing: the heir is written down and cannot be armed yet. Once commits are
// proven to wait for it, it has whatever was acknowledged; that it may come to
// be armed is durable before it is asked.
func preparing(f *Facts) (Verdict, bool) {
	s := f.Self
	if s.Record.Heir == nil || !alone(s.Record) {
		return no()
	}
	heir := s.Record.Heir.Node
	p, answers := f.answering(heir)
	switch why := ""; {
	case !answers:
		return f.disarm("it does not answer")
	case !f.sends(heir):
		return f.disarm("it does not stream")
	default:
		if why = f.unfit(heir, p); why != "" {
			return f.disarm(why)
		}
	}
	if f.noArbiter() {
		return f.disarm("the arbiter does not answer")
	}
	if !f.isProven(heir) {
		return f.prove(heir)
	}
	if !f.hasReplayed(heir, s.SyncedLSN) {
		return f.waitForReplay(heir)
	}
	next := clone(s.Record)
	next.Heir = f.heirOf(heir)
	return Verdict{Do: Write, Target: heir, Record: next, Why: "commits wait for " + heir + ": from now on it may come to be armed"}, true
}

// waitForReplay: that it replays what this primary writes now proves the heir's
// data to be a copy of this node's.
func (f *Facts) waitForReplay(heir string) (Verdict, bool) {
	return yes(Wait, heir, "commits wait for %s, which may come to be armed once it has replayed one of them, up to %s: that proves it a copy of this node", heir, f.Self.SyncedLSN)
}

// isProven reports whether commits are known to wait for the standby.
func (f *Facts) isProven(heir string) bool { return f.Self.Named && f.Self.Synced == heir }

// arming: the heir may be armed; step by step it comes to be, or is given up by
// its own answer.
func arming(f *Facts) (Verdict, bool) {
	s := f.Self
	if s.Record.Heir == nil {
		return no()
	}
	heir := s.Record.Heir.Node
	p, answers := f.answering(heir)
	if s.Disarmed == heir {
		return f.disarm("it answered so")
	}
	if answers {
		if why := f.unfit(heir, p); why != "" {
			return f.disarm(why)
		}
	}
	switch {
	case f.isAhead(heir):
		return yes(Prove, heir, "%s is no copy of this primary: letting commits wait until it answers that it is not armed", heir)
	case !f.isProven(heir) && !answers && f.isBroken(heir):
		return f.close(heir)
	case !f.isProven(heir) && f.sends(heir):
		return f.prove(heir)
	case !f.isProven(heir) && s.Astray > 0:
		return yes(Name, heir, "somebody changed synchronous_standby_names, so commits do not wait for the heir %s: naming it again", heir)
	case !f.isProven(heir):
		return no()
	case answers && !f.isArmed(heir) && !f.hasReplayed(heir, s.SyncedLSN):
		return f.waitForReplay(heir)
	case answers && !f.isArmed(heir):
		return yes(AskForArming, heir, "commits wait for %s: asking it to write down that it is armed", heir)
	}
	return no()
}

// prove makes a promise true, or true again. It says why it is not yet.
func (f *Facts) prove(heir string) (Verdict, bool) {
	if f.Self.Doubt > 0 && f.Self.Doubted != "" {
		return yes(Prove, heir, "it is not proven that commits wait for %s, so that is tried again: %s", heir, f.Self.Doubted)
	}
	return yes(Prove, heir, "proving that commits wait for %s", heir)
}

// isBroken reports whether commits may not wait for an heir that may promote, and
// nothing that was tried has changed that.
func (f *Facts) isBroken(heir string) bool {
	s := f.Self
	switch {
	case s.Server != ServerPrimary:
		return false
	case s.Careless != "" || f.twins(heir):
		return s.Doubt >= astrayFor || s.HeirGone >= astrayFor
	}
	return s.Doubt >= doubtFor || s.Astray >= astrayFor
}

// close ends the promise that commits wait for an heir that does not answer, by
// acknowledging no more: it cannot be asked to give its right up.
func (f *Facts) close(heir string) (Verdict, bool) {
	why := f.Self.Careless
	switch {
	case why != "":
	case f.twins(heir):
		why = "another connection replicates by its name"
	case f.Self.Astray >= astrayFor:
		why = "synchronous_standby_names does not name it, and cannot be set"
	default:
		why = "that cannot be proven: " + f.Self.Doubted
	}
	return yes(Stop, heir, "the heir %s is silent and may promote, and commits may not wait for it (%s): this server closes", heir, why)
}

// Doubtful reports whether the proof that commits wait for the heir has failed
// for so long that it is given up.
func (f *Facts) Doubtful() bool { return f.Self.Doubt >= doubtFor }

// Unkept says why commits may not wait for the heir of this open primary as its
// record promises; empty: they do.
func (f *Facts) Unkept() string {
	s := f.Self
	switch {
	case s.Record == nil || !s.Record.Primary || s.Record.Heir == nil || s.Server != ServerPrimary || f.isProven(s.Record.Heir.Node):
		return ""
	case s.Careless != "":
		return s.Careless
	case f.twins(s.Record.Heir.Node):
		return "another connection replicates by its name"
	case s.Astray > 0:
		return "synchronous_standby_names was changed"
	case s.Doubt > 0:
		return s.Doubted
	}
	return ""
}

// twins reports whether more than one connection replicates by a node's name.
func (f *Facts) twins(name string) bool { return slices.Contains(f.Self.Twins, name) }

// unfit says why an heir that answers is to be given up; empty: it is not.
func (f *Facts) unfit(heir string, p Peer) string {
	c := p.cluster()
	switch {
	case f.Handover != nil && f.Handover.Target != "" && f.Handover.Target != heir && f.sends(f.Handover.Target) && f.isOurs(f.Handover.Target):
		return f.Handover.Target + " is to take over"
	case c.Leaving:
		return "it is about to end"
	case c.Building || c.Empty:
		return "it has no data"
	case c.Cramped:
		return "its disk is full"
	case c.Stalled != "":
		return c.Stalled
	case p.record() != nil && p.record().Paused:
		return "it is paused"
	case f.Policy.OnSilence != SilencePromote:
		return "PGBATON_ON_SILENCE is not promote"
	case f.Self.Lax != "":
		return "synchronous_commit is " + f.Self.Lax + " in the configuration, so commits do not wait for it"
	case f.isAhead(heir):
		return "it has WAL that this primary has not written, so it is no copy of it"
	case f.Self.Careless != "":
		return f.Self.Careless + ", so commits may not wait for it"
	case f.twins(heir):
		return "another connection replicates by its name, so commits may not wait for it"
	case f.Self.Doubt >= doubtFor:
		return "it could not be proven that commits wait for it: " + f.Self.Doubted
	case f.strangeArbiter(p) != "":
		return f.strangeArbiter(p)
	case f.strangeRight() != "":
		return f.strangeRight()
	case !f.sends(heir) && !f.isArmed(heir):
		return "it does not stream"
	case !f.sends(heir) && !c.Streaming && c.Following == "":
		return "it follows nobody"
	case !f.sends(heir) && f.Self.HeirGone >= heirGone:
		return "it has not been streaming for a while"
	}
	return ""
}
