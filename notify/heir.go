package notify

import (
	"fmt"
	"sort"
	"strings"

	"github.com/pgbaton/pgbaton/internal/node"
)

// maxHeirLag is how far behind a standby may be to be chosen as heir: commits
// wait from the moment of the choice until it has caught up.
const maxHeirLag node.LSN = 16 << 20

// isArmed reports whether the peer answers and is armed for this very epoch.
func (f *Facts) isArmed(name string) bool {
	p, found := f.answering(name)
	r := f.Self.Record
	return found && armedFor(p.record(), f.Policy.Node, r) &&
		(r.Heir == nil || r.Heir.Node != name || p.record().Armed.Right == r.Heir.Right)
}

func armedFor(heir *node.Record, primary string, r *node.Record) bool {
	return heir != nil && heir.Armed != nil && heir.Armed.Primary == primary &&
		heir.Armed.Epoch == r.Epoch && heir.Armed.Promotion == r.Newest().ID
}

// disarm takes the heir's right back: by its own answer only, once it may have
// been armed.
func (f *Facts) disarm(why string) (Verdict, bool) {
	r := f.Self.Record
	heir := r.Heir.Node
	next := clone(r)
	next.Heir = nil
	switch _, answers := f.answering(heir); {
	case alone(r):
		return Verdict{Do: Write, Target: heir, Record: next, Why: fmt.Sprintf("%s does not become the heir (%s)", heir, why)}, true
	case f.Self.Disarmed == heir:
		return Verdict{Do: Write, Target: heir, Record: next, Why: fmt.Sprintf("%s gave up its right to promote (%s): this node is alone", heir, why)}, true
	case !answers:
		return no()
	}
	return yes(AskForDisarm, heir, "%s is no good heir now (%s): asking it to give up its right to promote", heir, why)
}

// strays: a standby that is armed for this epoch and is not the heir, after an
// operator's force. Nobody else becomes the heir while it answers so.
func strays(f *Facts) (Verdict, bool) {
	r := f.Self.Record
	for _, p := range f.ours() {
		if p.Answers && armedFor(p.record(), f.Policy.Node, r) && (alone(r) || r.Heir.Node != p.name()) {
			return yes(AskForDisarm, p.name(), "%s is armed and no longer the heir: asking it to give up its right to promote", p.name())
		}
	}
	return no()
}

// heirless: this primary has no heir. One is chosen where that is wanted. It
// cannot be armed before commits are proven to wait for it, so until then it
// is given up without asking it.
func heirless(f *Facts) (Verdict, bool) {
	s := f.Self
	if s.Record.Heir != nil {
		return no()
	}
	if s.Named {
		return yes(Unname, "", "nobody is the heir: commits wait for nobody")
	}
	if f.Policy.OnSilence != SilencePromote || s.Ending || s.Lax != "" || s.Careless != "" || f.isDoubtful() || f.noArbiter() {
		return no()
	}
	heir := f.chooseHeir()
	if heir == "" {
		return no()
	}
	next := clone(s.Record)
	next.Heir = &node.Heir{Node: heir}
	return Verdict{Do: Write, Target: heir, Record: next, Why: heir + " becomes the heir: commits come to wait for it"}, true
}

// isDoubtful reports whether an heir was given up a moment ago because commits
// could not be proven to wait for it.
func (f *Facts) isDoubtful() bool { return f.Self.Unproven > 0 && f.Self.Unproven < doubtAgain }

// chooseHeir is the best standby that streams from here and whose supervisor
// answers; the one that a handover wants, where there is one.
func (f *Facts) chooseHeir() string {
	var fit []node.Sender
	for _, w := range f.Self.Senders {
		if f.fitHeir(w) && (f.Handover == nil || f.Handover.Target == "" || f.Handover.Target == w.Node) {
			fit = append(fit, w)
		}
	}
	sort.Slice(fit, func(i, j int) bool { return fit[i].Node < fit[j].Node })
	if len(fit) == 0 {
		return ""
	}
	return fit[0].Node
}

func (f *Facts) fitHeir(w node.Sender) bool {
	p, found := f.answering(w.Node)
	if !found || w.Ahead || f.strangeArbiter(p) != "" || f.twins(w.Node) || w.State != "streaming" || w.Flush+maxHeirLag < f.Self.LSN {
		return false
	}
	c, r := p.cluster(), p.record()
	return !c.Leaving && !c.Building && !c.Cramped && c.Stalled == "" && c.Token != "" && c.Streaming && c.Following == f.Policy.Node &&
		r != nil && !r.Paused && !r.Primary && r.Epoch == f.Self.Record.Epoch && r.Newest().ID == f.Self.Record.Newest().ID
}

// sends reports whether the standby streams from this server, and may be a copy
// of it.
func (f *Facts) sends(heir string) bool {
	for _, w := range f.Self.Senders {
		if w.Node == heir && w.State == "streaming" && !w.Ahead {
			return true
		}
	}
	return false
}

// steady describes a primary about which nothing is to be done.
func (f *Facts) steady() string {
	r := f.Self.Record
	switch {
	case r.Heir == nil && f.Policy.OnSilence != SilencePromote:
		return "this node is the primary; commits wait for nobody"
	case r.Heir == nil && f.Self.Lax != "":
		return fmt.Sprintf("this node is the primary; synchronous_commit is %s in its configuration, so commits wait for nobody and no heir is armed", f.Self.Lax)
	case r.Heir == nil && f.Self.Careless != "":
		return fmt.Sprintf("this node is the primary; %s, so commits wait for nobody and no heir is armed", f.Self.Careless)
	case r.Heir == nil && f.isDoubtful():
		return "this node is the primary; it could not be proven that commits wait for an heir, so they wait for nobody until that is tried again: " + f.Self.Doubted
	case r.Heir == nil && len(f.Self.Twins) > 0:
		return fmt.Sprintf("this node is the primary; more than one connection replicates by the name of %s, so it is no heir, and commits wait for nobody", strings.Join(f.Self.Twins, ", "))
	case r.Heir == nil && f.noArbiter():
		return "this node is the primary; the arbiter (PGBATON_ETCD) has not answered yet, so no heir is armed, and commits wait for nobody"
	case r.Heir == nil && f.Strangers() != "":
		return "this node is the primary; no heir is armed, and commits wait for nobody: " + f.Strangers()
	case r.Heir == nil && f.stalled() != "":
		return "this node is the primary; no heir is armed, and commits wait for nobody: " + f.stalled()
	case r.Heir == nil && f.kept() != "":
		return "this node is the primary; no standby is ready to be the heir, and commits wait for nobody: " + f.kept()
	case r.Heir == nil:
		return "this node is the primary; no standby is ready to be the heir, and commits wait for nobody"
	case f.isArmed(r.Heir.Node):
		return fmt.Sprintf("this node is the primary and %s its armed heir", r.Heir.Node)
	}
	return fmt.Sprintf("this node is the primary; commits wait for its heir %s%s", r.Heir.Node, f.orArbiter(r.Heir.Arbiter))
}
