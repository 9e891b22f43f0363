// Package whole judges a whole cluster by what one node knows of it: whether
// it is well, degraded or down, with the one sentence why. It touches nothing
// and remembers nothing. Whoever shows how a cluster is shows this verdict.
package whole

import (
	"fmt"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// Facts is what one node knows of its cluster.
type Facts struct {
	Node  node.State   // that judges
	Peers []node.State // their last answers; Node.Cluster.Peers tells which of them are news
}

// The codes of verdicts.
const (
	CodeWell        = "well"
	CodeNotReady    = "not-ready"     // a node alone does not serve
	CodePrimaries   = "two-primaries" //
	CodeNoPrimary   = "no-primary"
	CodeHung        = "no-answer" // the primary's server gives its supervisor none
	CodeCommitsWait = "commits-wait"
	CodeVIP         = "vip"
	CodeNoHeir      = "no-heir"
	CodeArbiter     = "arbiter"
	CodeNode        = "node" // another node than the primary is not what it should be
)

// Of is pure: the same facts give the same verdict. The rows are tried in order.
func Of(f Facts) node.Verdict {
	if f.Node.Cluster == nil {
		return alone(f.Node)
	}
	c := look(f)
	for _, row := range rows {
		if v, fits := row(&c); fits {
			return v
		}
	}
	return node.Verdict{Health: node.Well, Code: CodeWell, Why: c.summary()}
}

// rows are tried in order; one fits or it does not.
var rows = []func(*cluster) (node.Verdict, bool){down, rivals, hung, commitsWait, misplaced, heirless, unarbitrated, faulty}

func no() (node.Verdict, bool) { return node.Verdict{}, false }

func yes(h node.Health, code, format string, args ...any) (node.Verdict, bool) {
	return node.Verdict{Health: h, Code: code, Why: fmt.Sprintf(format, args...)}, true
}

// alone is about a node without peers.
func alone(st node.State) node.Verdict {
	if st.Ready {
		return node.Verdict{Health: node.Well, Code: CodeWell, Why: st.Why}
	}
	return node.Verdict{Health: node.Down, Code: CodeNotReady, Why: doing(st)}
}

// doing is what a node says of itself.
func doing(st node.State) string {
	why := st.Why
	if c := st.Cluster; c != nil && st.Phase == node.Running && c.Why != "" {
		why = c.Why // its server runs: what counts is its role
	}
	return fmt.Sprintf("%s: %s", st.Phase, why)
}

// down: no primary serves.
func down(c *cluster) (node.Verdict, bool) {
	if len(c.open) > 0 {
		return no()
	}
	return yes(node.Down, CodeNoPrimary, "%s", c.noPrimary())
}

// noPrimary says why none serves, and what ends that.
func (c *cluster) noPrimary() string {
	holder, found := c.holder()
	switch {
	case found && c.answers(holder.Node):
		return fmt.Sprintf("%s is the primary and lets nobody in: %s", holder.Node, doing(holder))
	case !found && c.allEmpty():
		return "no node has data yet: " + c.self.Cluster.Why
	case !found:
		return "no primary is known: " + c.self.Cluster.Why
	}
	text := fmt.Sprintf("the primary %s (epoch %d) does not answer", holder.Node, holder.Cluster.Record.Epoch)
	var standby string
	for _, st := range c.answering {
		switch r := st.Cluster.Record; {
		case r == nil || r.Primary:
		case r.Paused && r.Armed != nil:
			return fmt.Sprintf("%s; its heir %s is paused: `pgbaton resume` there lets it take over", text, st.Node)
		case r.Armed != nil:
			return fmt.Sprintf("%s; its armed heir %s takes over once that is certain, or by `pgbaton promote` there", text, st.Node)
		default:
			standby = st.Node
		}
	}
	text += fmt.Sprintf(" and no node that answers is its armed heir: start %s again", holder.Node)
	if standby != "" {
		text += fmt.Sprintf("; if it is lost, `pgbaton promote --force` on %s goes on without the commits that are missing there", standby)
	}
	return text
}

// rivals: two histories are being written.
func rivals(c *cluster) (node.Verdict, bool) {
	if len(c.open) < 2 {
		return no()
	}
	names := make([]string, len(c.open))
	for i, st := range c.open {
		names[i] = fmt.Sprintf("%s (epoch %d)", st.Node, st.Cluster.Record.Epoch)
	}
	return yes(node.Degraded, CodePrimaries, "%s both let clients write: one of them is about to be stopped, and its commits since are kept aside", strings.Join(names, " and "))
}

// unansweredFor is how long a primary's server may owe its supervisor an answer:
// one that is asked twice a second and is busy owes it for less.
const unansweredFor = 2 * time.Second

// hung: nobody knows what clients see.
func hung(c *cluster) (node.Verdict, bool) {
	p := c.primary()
	if p.Cluster.Unanswered.IsZero() || p.Time.Sub(p.Cluster.Unanswered) < unansweredFor {
		return no()
	}
	return yes(node.Degraded, CodeHung, "postgres on the primary %s gives its supervisor no answer; it counts as hung after PGBATON_HUNG_AFTER, and is killed and handed over then", p.Node)
}

// commitsWait: what clients see is a cluster that hangs.
func commitsWait(c *cluster) (node.Verdict, bool) {
	w := c.primary().Cluster.CommitsWait
	if w == nil {
		return no()
	}
	sessions := "how many sessions is not known"
	if w.Sessions != nil {
		sessions = plural(*w.Sessions, "session")
	}
	v, fits := yes(node.Degraded, CodeCommitsWait, "commits wait for %s, %s: %s", orWhom(w.Heir), sessions, c.release(w.Heir))
	v.Since = c.self.Time.Add(w.Since.Sub(c.primary().Time)) // by this node's clock
	return v, fits
}

func orWhom(heir string) string {
	if heir == "" {
		return "a standby that is not there"
	}
	return heir
}

// release says what ends the waiting for an heir.
func (c *cluster) release(heir string) string {
	p := c.primary().Node
	switch {
	case heir == "":
		return "the supervisor of " + p + " is about to end that; if it does not, see its log"
	case c.answers(heir):
		return fmt.Sprintf("it answers and does not confirm what it is sent; see its log, or stop it (`pgbaton stop` there), so that %s goes on without it", p)
	case c.primary().Cluster.Arbiter != nil && c.primary().Cluster.Arbiter.Answers:
		return fmt.Sprintf("it does not answer; the arbiter is about to let %s go on without it", p)
	}
	return fmt.Sprintf("it does not answer; start it again or, once it is down for certain, `pgbaton alone --force` on %s", p)
}

// misplaced: clients that use the virtual address do not reach the primary.
func misplaced(c *cluster) (node.Verdict, bool) {
	p := c.primary()
	if !p.Cluster.VIPWanted || p.Cluster.VIP {
		return no()
	}
	where := "on no node"
	for _, st := range c.answering {
		if st.Cluster.VIP {
			where = "on " + st.Node
		}
	}
	return yes(node.Degraded, CodeVIP, "the virtual address is %s and not on the primary %s", where, p.Node)
}

// heirless: nobody would take over.
func heirless(c *cluster) (node.Verdict, bool) {
	if c.heir() != "" || c.primary().Cluster.OnSilence != "promote" {
		return no()
	}
	if h := c.primary().Cluster.Record.Heir; h != nil && h.Armed && !c.answers(h.Node) {
		return yes(node.Degraded, CodeNoHeir, "%s is the primary and its armed heir %s does not answer: commits wait where it does not confirm them", c.primary().Node, h.Node)
	}
	why := c.primary().Cluster.Why
	if faults := c.faults(); len(faults) > 0 {
		why = faults[0].text
	}
	return yes(node.Degraded, CodeNoHeir, "%s is the primary and no heir is armed, so nobody would take over: %s", c.primary().Node, why)
}

// unarbitrated: silence would have to wait for an operator.
func unarbitrated(c *cluster) (node.Verdict, bool) {
	a := c.primary().Cluster.Arbiter
	if a == nil || a.Answers {
		return no()
	}
	return yes(node.Degraded, CodeArbiter, "the arbiter (PGBATON_ETCD) does not answer %s: silence changes no role meanwhile", c.primary().Node)
}

// faulty: a node that is not needed at this moment.
func faulty(c *cluster) (node.Verdict, bool) {
	faults := c.faults()
	if len(faults) == 0 {
		return no()
	}
	texts := make([]string, len(faults))
	for i, f := range faults {
		texts[i] = f.text
	}
	return yes(node.Degraded, CodeNode, "%s", strings.Join(texts, "; "))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
