// Package rolling decides the next step of a rolling restart from what all
// nodes of a cluster say now. It touches nothing and remembers nothing: who
// asks again after a step, or after a crash, goes on where the cluster is.
package rolling

import (
	"fmt"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// Do is what comes next.
type Do string

// The steps.
const (
	Wait       Do = "wait"       // the cluster is not whole, which may mend itself
	Refuse     Do = "refuse"     // it needs an operator first
	Restart    Do = "restart"    // the server of a standby
	Switchover Do = "switchover" // the primary hands over: its server is restarted by that
	Done       Do = "done"       // no server is left to restart
)

// Step is the next one and why it is that.
type Step struct {
	Do   Do
	Node string // that carries it out; empty for the others
	Why  string // a sentence
}

// Facts is all that the decision rests on.
type Facts struct {
	Nodes  []Node    // the cluster's, each once; the one that was asked comes first
	Silent []string  // a sentence for each peer that does not answer
	Since  time.Time // restart every server that was started before; zero: those with settings that wait for a restart
	Asked  time.Time // what a node said before this may be over
	Begun  time.Time // what a server told of its settings before this is too old
}

// Node is one node's latest answer.
type Node struct {
	node.State
	Started time.Time // of its server, by the clock of Facts; zero while none runs
	Told    time.Time // when the server told of its settings last, by that clock
	Seen    time.Time // when the node said this, by that clock
}

// Next is pure: the same facts give the same step. The rows are tried in order.
func Next(f Facts) Step {
	for _, row := range []func(*Facts) (Step, bool){
		alone, silent, strangers, stopped, incomplete, untold, faulty, nothing, tooSmall, uneven, standbys, heir,
	} {
		if s, fits := row(&f); fits {
			return s
		}
	}
	return primary(&f)
}

func no() (Step, bool) { return Step{}, false }

func yes(do Do, name, format string, args ...any) (Step, bool) {
	return Step{Do: do, Node: name, Why: fmt.Sprintf(format, args...)}, true
}

func alone(f *Facts) (Step, bool) {
	switch {
	case len(f.Nodes) == 0 || f.Nodes[0].Cluster == nil:
		return yes(Refuse, "", "this node has no peers (PGBATON_PEERS), so there is nobody to hand over to: use `pgbaton restart`")
	case len(f.Nodes) == 1 && len(f.Silent) == 0:
		return yes(Refuse, "", "%s is the only node of its cluster, so there is nobody to hand over to: use `pgbaton restart`", f.Nodes[0].Node)
	}
	return no()
}

func silent(f *Facts) (Step, bool) {
	if len(f.Silent) == 0 {
		return no()
	}
	return yes(Wait, "", "not every node answers: %s", strings.Join(f.Silent, "; "))
}

// strangers: whom no order may reach by its name alone.
func strangers(f *Facts) (Step, bool) {
	seen := map[string]bool{}
	for _, n := range f.Nodes {
		switch {
		case n.Cluster == nil || n.Cluster.Name != f.Nodes[0].Cluster.Name:
			return yes(Refuse, "", "%s is listed as a peer and does not belong to the cluster %q", n.Node, f.Nodes[0].Cluster.Name)
		case seen[n.Node]:
			return yes(Refuse, "", "two nodes are called %s: set PGBATON_NODE", n.Node)
		}
		seen[n.Node] = true
	}
	return no()
}

// stopped: what an operator wanted so does not mend itself.
func stopped(f *Facts) (Step, bool) {
	for _, n := range f.Nodes {
		switch {
		case n.Seen.Before(f.Asked):
			return yes(Wait, "", "%s has not answered since this began", n.Node) // an order of a moment ago may have changed that
		case n.Halted:
			if n.Phase == node.Stopped {
				return yes(Refuse, "", "postgres is stopped on %s by `pgbaton stop`: `pgbaton start` there first", n.Node)
			}
		case n.Phase == node.Holding:
			return yes(Wait, "", "%s holds: %s", n.Node, n.Why) // for a moment, or until an operator decides
		case n.Cluster.Record != nil && n.Cluster.Record.Paused:
			return yes(Refuse, "", "%s is paused: `pgbaton resume` there first", n.Node)
		}
	}
	return no()
}

// incomplete: one open primary, and every other node streams from it; where an
// heir is wanted, it is armed.
func incomplete(f *Facts) (Step, bool) {
	p, found := f.primary()
	if !found {
		return yes(Wait, "", "there is not exactly one open primary")
	}
	for _, n := range f.Nodes {
		switch c := n.Cluster; {
		case n.Node == p.Node:
		case !n.Ready || n.Role != node.Standby:
			return yes(Wait, "", "%s is no running standby: %s: %s", n.Node, n.Phase, n.Why)
		case !c.Streaming || c.Following != p.Node:
			return yes(Wait, "", "%s does not stream from %s", n.Node, p.Node)
		}
	}
	if p.Cluster.OnSilence == "promote" && !f.armed(p) {
		return yes(Wait, "", "no heir of %s is armed: %s", p.Node, p.Cluster.Why)
	}
	return no()
}

// untold: a restart that has just ended, or a file that has just been edited,
// shows when the server was asked again.
func untold(f *Facts) (Step, bool) {
	for _, n := range f.Nodes {
		if n.Server == nil || n.Told.Before(f.Begun) || n.Told.Before(n.Started) {
			return yes(Wait, "", "%s has yet to tell what a restart of its server would change", n.Node)
		}
	}
	return no()
}

func nothing(f *Facts) (Step, bool) {
	for _, n := range f.Nodes {
		if f.due(n) {
			return no()
		}
	}
	if f.Since.IsZero() {
		return yes(Done, "", "no setting waits for a restart on any node")
	}
	return yes(Done, "", "every server was started since %s", f.Since.UTC().Format(time.RFC3339))
}

// faulty: a server that is restarted might not come back. Where a line cannot be
// read PostgreSQL takes up none, so it is not known either what waits.
func faulty(f *Facts) (Step, bool) {
	for _, n := range f.Nodes {
		if len(n.Server.Faults) > 0 {
			return yes(Refuse, "", "the server of %s might not start with its configuration: %s", n.Node, strings.Join(n.Server.Faults, "; "))
		}
	}
	return no()
}

// tooSmall: a standby is started with no less than its primary has now, so a
// smaller value would not come to be.
func tooSmall(f *Facts) (Step, bool) {
	p, _ := f.primary()
	for _, n := range f.Nodes {
		for _, l := range n.Server.Limits {
			if now := limit(p, l.Name).Now; n.Node != p.Node && f.due(n) && l.Next < now {
				return yes(Refuse, "", "%s is to become %d on %s and is %d on its primary %s, and a standby has no less than its primary. "+
					"To lower it, the primary comes first: `pgbaton restart` there (an outage of one restart), then this again", l.Name, l.Next, n.Node, now, p.Node)
			}
		}
	}
	return no()
}

// uneven: whoever is the primary runs with its own configuration, so what is
// asked for on one node alone would be in effect nowhere, or until the next
// change of roles.
func uneven(f *Facts) (Step, bool) {
	p, _ := f.primary()
	if !f.due(p) {
		return no()
	}
	for _, n := range f.Nodes {
		for _, l := range n.Server.Limits {
			if mine := limit(p, l.Name).Next; n.Node != p.Node && mine != l.Next {
				return yes(Refuse, "", "%s is to be %d on %s and %d on %s, and each of them may be the primary next: set it to the same on all nodes (`alter system` works on a standby too)",
					l.Name, mine, p.Node, l.Next, n.Node)
			}
		}
	}
	return no()
}

// standbys come first, and of them the heir last: so commits wait for another
// one meanwhile.
func standbys(f *Facts) (Step, bool) {
	p, _ := f.primary()
	for _, n := range f.Nodes {
		if n.Node != p.Node && f.due(n) && !isHeir(p, n) {
			return yes(Restart, n.Node, "%s", f.reason(n))
		}
	}
	return no()
}

func heir(f *Facts) (Step, bool) {
	p, _ := f.primary()
	for _, n := range f.Nodes {
		if n.Node != p.Node && f.due(n) {
			return yes(Restart, n.Node, "%s", f.reason(n))
		}
	}
	return no()
}

// primary: it is the only one left.
func primary(f *Facts) Step {
	p, _ := f.primary()
	return Step{Do: Switchover, Node: p.Node, Why: f.reason(p)}
}

// primary is the one open primary.
func (f *Facts) primary() (Node, bool) {
	var found []Node
	for _, n := range f.Nodes {
		if c := n.Cluster; c != nil && c.Open && n.Ready && n.Role == node.Primary {
			found = append(found, n)
		}
	}
	if len(found) != 1 {
		return Node{}, false
	}
	return found[0], true
}

// armed reports whether the primary's heir has itself written down that it is.
func (f *Facts) armed(p Node) bool {
	r := p.Cluster.Record
	if r == nil || r.Heir == nil || !r.Heir.Armed {
		return false
	}
	for _, n := range f.Nodes {
		if own := n.Cluster.Record; n.Node == r.Heir.Node && own != nil && own.Armed != nil {
			return own.Armed.Promotion == r.Newest().ID
		}
	}
	return false
}

func isHeir(p, n Node) bool {
	r := p.Cluster.Record
	return r != nil && r.Heir != nil && r.Heir.Node == n.Node
}

// due reports whether the node's server has to be restarted.
func (f *Facts) due(n Node) bool {
	if f.Since.IsZero() {
		return n.Server != nil && len(n.Server.Pending) > 0
	}
	return n.Started.Before(f.Since)
}

// reason says why a node is due.
func (f *Facts) reason(n Node) string {
	var changes []string
	for _, p := range n.Server.Pending {
		changes = append(changes, fmt.Sprintf("%s %s → %s", p.Name, p.Now, p.Next))
	}
	if len(changes) > 0 {
		return strings.Join(changes, ", ")
	}
	return "its server was started before " + f.Since.UTC().Format(time.RFC3339)
}

// limit is a node's value of a setting; zero where it told none.
func limit(n Node, name string) node.Limit {
	for _, l := range n.Server.Limits {
		if l.Name == name {
			return l
		}
	}
	return node.Limit{}
}
