package whole

import (
	"fmt"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// cluster is what the judging node knows, put in order.
type cluster struct {
	self      node.State
	answering []node.State // of this cluster, this node first
	open      []node.State // primaries among them that let clients in, the newest epoch first
	known     []node.State // of this cluster, answering or not
	silent    []fault      // peers that do not answer, or are none
}

// fault is a node that is not what it should be.
type fault struct {
	node string // its name, or its address where no name is known
	text string // a sentence
	kind kind
}

type kind int

const (
	broken kind = iota
	absent      // it does not answer, or is none of this cluster's
	paused      // an operator wants it so
)

func look(f Facts) cluster {
	c := cluster{self: f.Node, answering: []node.State{f.Node}, known: []node.State{f.Node}}
	for _, st := range f.Peers {
		if st.Node == f.Node.Node || !ours(f.Node, st) {
			continue
		}
		c.known = append(c.known, st)
		if heard(f.Node, st.Node) {
			c.answering = append(c.answering, st)
		}
	}
	for _, st := range c.answering {
		if st.Role == node.Primary && st.Phase == node.Running && st.Cluster.Open && st.Cluster.Record != nil {
			c.open = append(c.open, st)
		}
	}
	if len(c.open) > 1 && c.open[1].Cluster.Record.Epoch > c.open[0].Cluster.Record.Epoch {
		c.open[0], c.open[1] = c.open[1], c.open[0]
	}
	c.unheard(f)
	return c
}

// ours reports whether a peer belongs to this node's cluster, as far as one can
// tell.
func ours(self, st node.State) bool {
	if st.Cluster == nil || st.Cluster.Name != self.Cluster.Name {
		return false
	}
	return self.Control == nil || st.Control == nil || st.Control.SystemIdentifier == self.Control.SystemIdentifier
}

// heard reports whether a node answered the latest question, at one of its
// addresses.
func heard(self node.State, name string) bool {
	for _, p := range self.Cluster.Peers {
		if p.Node == name && p.Error == "" && p.Age >= 0 {
			return true
		}
	}
	return false
}

// unheard notes whom nothing is known of at this moment.
func (c *cluster) unheard(f Facts) {
	told := map[string]bool{}
	for _, p := range f.Node.Cluster.Peers {
		name := p.Node
		switch {
		case name == "":
			name = p.Address
		case name == f.Node.Node:
			c.note(p.Address, absent, fmt.Sprintf("%s is called %s too: set PGBATON_NODE", p.Address, name))
			continue
		case heard(f.Node, name):
			if !c.isKnown(name) && !told[name] {
				c.note(name, absent, fmt.Sprintf("%s at %s does not belong to this cluster", name, p.Address))
			}
			told[name] = true
			continue
		}
		if !told[name] {
			c.note(name, absent, unanswered(name, p))
		}
		told[name] = true
	}
}

// unanswered says why nothing is known of a node. One that refuses us, or answers
// nonsense, is not silent.
func unanswered(name string, p node.Peer) string {
	why, _, _ := strings.Cut(p.Error, "\n")
	switch {
	case p.Error == "" && p.Age < 0:
		return name + " was not asked yet"
	case strings.HasPrefix(why, "no answer from ") || why == "":
		return name + " does not answer"
	case name == p.Address:
		return why
	}
	return name + ": " + why
}

func (c *cluster) note(name string, k kind, text string) {
	c.silent = append(c.silent, fault{name, text, k})
}

func (c *cluster) isKnown(name string) bool {
	for _, st := range c.known {
		if st.Node == name {
			return true
		}
	}
	return false
}

// primary is the open one; there must be one.
func (c *cluster) primary() node.State { return c.open[0] }

// holder is the node with the newest right to be the primary.
func (c *cluster) holder() (best node.State, found bool) {
	for _, st := range c.known {
		r := st.Cluster.Record
		if r == nil || !r.Primary || r.Released != nil {
			continue
		}
		if !found || r.Epoch > best.Cluster.Record.Epoch {
			best, found = st, true
		}
	}
	return best, found
}

func (c *cluster) answers(name string) bool {
	for _, st := range c.answering {
		if st.Node == name {
			return true
		}
	}
	return false
}

func (c *cluster) allEmpty() bool {
	for _, st := range c.known {
		if !st.Cluster.Empty {
			return false
		}
	}
	return true
}

// heir is the standby that would take over: both sides have written it down,
// and it streams. Empty: nobody would.
func (c *cluster) heir() string {
	r := c.primary().Cluster.Record
	if r.Heir == nil || !r.Heir.Armed || !c.sends(r.Heir.Node) {
		return ""
	}
	for _, st := range c.answering {
		if own := st.Cluster.Record; st.Node == r.Heir.Node && own != nil && own.Armed != nil && own.Armed.Promotion == r.Newest().ID && !own.Paused {
			return st.Node
		}
	}
	return ""
}

// sends reports whether the standby streams from the primary.
func (c *cluster) sends(name string) bool {
	for _, s := range c.primary().Cluster.Senders {
		if s.Node == name && s.State == "streaming" {
			return true
		}
	}
	return false
}

// faults are the other nodes than the primary that are not what they should be,
// and a primary that is paused.
func (c *cluster) faults() []fault {
	var out []fault
	p := c.primary()
	for _, st := range c.answering {
		if text := amiss(p, st); text != "" {
			out = append(out, fault{st.Node, text, broken})
		} else if r := st.Cluster.Record; r != nil && r.Paused {
			out = append(out, fault{st.Node, st.Node + " is paused: `pgbaton resume` there ends that", paused})
		}
	}
	return append(out, c.silent...)
}

// amiss says why a node is no standby of the primary; empty: it is, or it is the
// primary itself.
func amiss(p, st node.State) string {
	switch c := st.Cluster; {
	case st.Node == p.Node:
		return ""
	case c.Building:
		return fmt.Sprintf("%s is being built: %s", st.Node, c.Why)
	case !st.Ready || st.Role != node.Standby:
		return fmt.Sprintf("%s is no running standby: %s", st.Node, doing(st))
	case !c.Streaming || c.Following != p.Node:
		return fmt.Sprintf("%s does not stream from %s", st.Node, p.Node)
	case c.Stalled != "":
		return fmt.Sprintf("%s streams, but %s", st.Node, c.Stalled)
	}
	for _, s := range p.Cluster.Senders {
		if s.Node == st.Node && s.Ahead {
			return fmt.Sprintf("%s has WAL that the primary %s has not written: it is no copy of it; see the warnings of %s", st.Node, p.Node, p.Node)
		}
	}
	return ""
}

// summary says who is the primary and who its armed heir.
func (c *cluster) summary() string {
	p := c.primary()
	text := p.Node + " is the primary"
	if at := p.Cluster.Record.Newest().Time; !at.IsZero() {
		text += " since " + at.UTC().Format(time.DateTime) + " UTC"
	}
	if heir := c.heir(); heir != "" {
		return text + ", " + heir + " is its armed heir"
	}
	if p.Cluster.OnSilence == "promote" {
		return text + ", no heir is armed"
	}
	var following []string
	for _, st := range c.answering {
		if st.Node != p.Node && amiss(p, st) == "" {
			following = append(following, st.Node)
		}
	}
	if len(following) == 0 {
		return text
	}
	return text + ", " + strings.Join(following, " and ") + " stream from it"
}

// Missing says what is not yet so of a cluster that is whole as far as its nodes
// answer and an operator wants it; empty: nothing. Reached is the sentence for
// when it is.
func Missing(f Facts) string {
	c := look(f)
	for _, row := range []func(*cluster) (node.Verdict, bool){down, rivals, hung, commitsWait, misplaced} {
		if v, fits := row(&c); fits {
			return v.Why
		}
	}
	fit := false
	for _, x := range c.faults() {
		if x.kind == broken { // of the others nobody knows when that ends
			return x.text
		}
	}
	for _, st := range c.answering {
		r := st.Cluster.Record
		fit = fit || st.Node != c.primary().Node && r != nil && !r.Paused
	}
	p := c.primary()
	switch heir := p.Cluster.Record.Heir; {
	case p.Cluster.OnSilence != "promote":
		return ""
	case fit && c.heir() == "":
		return fmt.Sprintf("no heir of %s is armed: %s", p.Node, p.Cluster.Why)
	case !fit && heir != nil && c.answers(heir.Node):
		return fmt.Sprintf("%s has yet to go on without %s", p.Node, heir.Node)
	}
	return ""
}

// Reached says who is the primary and who its armed heir, and what is missing of
// a whole cluster that nobody waits for.
func Reached(f Facts) string {
	c := look(f)
	if len(c.open) == 0 {
		return c.noPrimary()
	}
	parts := []string{c.summary()}
	for _, x := range c.faults() {
		parts = append(parts, x.text)
	}
	return strings.Join(parts, "; ")
}
