package notify

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
		return yes(Prove, heir, "proving that commits wait for %s", heir)
	}
	next := clone(s.Record)
	next.Heir = f.heirOf(heir)
	return Verdict{Do: Write, Target: heir, Record: next, Why: "commits wait for " + heir + ": from now on it may come to be armed"}, true
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
	case !f.isProven(heir) && f.sends(heir):
		return yes(Prove, heir, "proving that commits wait for %s", heir)
	case !f.isProven(heir):
		return no()
	case answers && !f.isArmed(heir):
		return yes(AskForArming, heir, "commits wait for %s: asking it to write down that it is armed", heir)
	}
	return no()
}

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
