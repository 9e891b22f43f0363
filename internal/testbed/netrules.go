package testbed

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Host stands for this machine, which is where clients and probes are, in
// Lose, Cut and CutOneWay.
var Host *Container

// rule lets frames from one address to another be lost.
type rule struct {
	from, to string // empty: this machine
	share    float64
	only     string // a condition of nft's; empty: all frames
}

// Cut lets nothing through between two containers, in either direction.
func (n *Network) Cut(a, b *Container) (undo func()) {
	n.tb.Helper()
	return n.lose(fmt.Sprintf("end the cut between %s and %s", nameOf(a), nameOf(b)),
		&rule{from: addressOf(a), to: addressOf(b), share: 1}, &rule{from: addressOf(b), to: addressOf(a), share: 1})
}

// CutOneWay lets nothing through from one container to another; the other
// direction stays.
func (n *Network) CutOneWay(from, to *Container) (undo func()) {
	n.tb.Helper()
	return n.Lose(from, to, 1)
}

// Lose drops a share of the frames, at random, from one container to another:
// 0.3 is three of ten. Address resolution and VRRP are frames too. The rule
// outlives restarts of the containers.
func (n *Network) Lose(from, to *Container, share float64) (undo func()) {
	n.tb.Helper()
	return n.lose(fmt.Sprintf("end the loss from %s to %s", nameOf(from), nameOf(to)),
		&rule{from: addressOf(from), to: addressOf(to), share: share})
}

// Isolate cuts a container off from others, of which Host may be one. It
// keeps its interface and addresses, other than after Disconnect.
func (n *Network) Isolate(c *Container, from ...*Container) (undo func()) {
	n.tb.Helper()
	var rules []*rule
	for _, o := range from {
		if o != c {
			rules = append(rules, &rule{from: addressOf(c), to: addressOf(o), share: 1}, &rule{from: addressOf(o), to: addressOf(c), share: 1})
		}
	}
	return n.lose("end the isolation of "+nameOf(c), rules...)
}

func (n *Network) lose(what string, rules ...*rule) (undo func()) {
	n.tb.Helper()
	n.mustSwitch()
	err := n.change(n.tb.Context(), func() { n.rules = append(n.rules, rules...) })
	undo = inverse(n.tb, what, func(ctx context.Context) error {
		return n.change(ctx, func() {
			n.rules = slices.DeleteFunc(n.rules, func(r *rule) bool { return slices.Contains(rules, r) })
		})
	})
	if err != nil {
		n.tb.Fatalf("testbed: %v", err)
	}
	return undo
}

// mustSwitch ends the test where frames between containers do not pass a
// bridge of this machine.
func (n *Network) mustSwitch() {
	n.tb.Helper()
	if n.Parent != "" {
		n.tb.Fatalf("testbed: %s is a macvlan network, in which only Disconnect works", n.Name)
	}
}

// change changes the rules and puts them in force, all at once.
func (n *Network) change(ctx context.Context, f func()) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	for _, p := range n.ports {
		if err := p.find(ctx); err != nil {
			return err
		}
	}
	return n.applyRules(ctx)
}

// applyRules needs mu. The table is replaced in one transaction.
func (n *Network) applyRules(ctx context.Context) error {
	if len(n.rules) == 0 && !n.table {
		return nil
	}
	text := fmt.Sprintf("table bridge %[1]s { }\ndelete table bridge %[1]s\n", tablePrefix+n.Bridge)
	if len(n.rules) > 0 {
		text += n.render()
	}
	if _, err := run(ctx, "nft", text); err != nil {
		return fmt.Errorf("set the rules of %s (needs root; Debian: apt-get install nftables): %w", n.Name, err)
	}
	n.table = len(n.rules) > 0
	return nil
}

// tablePrefix begins the names of the tables; Sweep looks for it.
var tablePrefix = "pgbaton-" + runID + "-"

// render writes the table. What the bridge carries between containers passes
// the hook forward; what this machine gets and sends passes input and output.
func (n *Network) render() string {
	chains := map[string][]string{}
	for _, r := range n.rules {
		hook, match := n.match(r)
		drop := "drop"
		if r.share < 1 {
			drop = fmt.Sprintf("numgen random mod 10000 < %d drop", int(r.share*10000))
		}
		for _, m := range match {
			chains[hook] = append(chains[hook], m+" "+r.only+" "+drop)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "table bridge %s {\n", tablePrefix+n.Bridge)
	for _, hook := range []string{"forward", "input", "output"} {
		fmt.Fprintf(&b, "chain %[1]s {\ntype filter hook %[1]s priority 0;\n%[2]s\n}\n", hook, strings.Join(chains[hook], "\n"))
	}
	return b.String() + "}\n"
}

// match tells by which hook and conditions a rule's frames are known. Frames
// for one station are known by its address; those for all are copied to each
// port, and the copy is known by the port.
func (n *Network) match(r *rule) (hook string, conditions []string) {
	const forAll = " ether daddr & 01:00:00:00:00:00 == 01:00:00:00:00:00"
	hook, from := "output", ""
	if r.from != "" {
		hook, from = "forward", "ether saddr "+n.ports[r.from].mac
	}
	if r.to == "" {
		return "input", []string{from}
	}
	to := n.ports[r.to]
	conditions = []string{from + " ether daddr " + to.mac}
	if to.veth != "" {
		conditions = append(conditions, from+" oifname "+to.veth+forAll)
	}
	return hook, conditions
}

func addressOf(c *Container) string {
	if c == nil {
		return ""
	}
	return c.Spec.IP
}

func nameOf(c *Container) string {
	switch {
	case c == nil:
		return "this machine"
	case c.Spec.Hostname != "":
		return c.Spec.Hostname
	}
	return c.Name
}
