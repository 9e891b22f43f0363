package notify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// Join is what this node knows of who belongs to the cluster after it has heard
// its peers. Whoever has a record of the cluster is a member, for good: a node
// that is silent, or that no name resolves to, stays one. A node leaves by an
// operator's order alone, and joins again when it answers. It returns the names
// of those that joined and left.
func Join(f Facts, m node.Members) (next node.Members, joined, left []string) {
	next = m
	take := func(x node.Member) {
		was := next.Has(x.Node)
		next = next.With(x)
		switch {
		case !was && !x.Gone:
			joined = append(joined, x.Node)
		case was && x.Gone:
			left = append(left, x.Node)
		}
	}
	for _, p := range f.ours() {
		for _, x := range p.cluster().Members {
			if mine, _ := next.Find(x.Node); p.Answers && x.Changes > mine.Changes {
				take(x)
			}
		}
	}
	here := func(name string) {
		if x, _ := next.Find(name); !next.Has(name) {
			take(node.Member{Node: name, Changes: x.Changes + 1, Time: f.Now})
		}
	}
	if f.Self.Record != nil {
		here(f.Policy.Node)
	}
	for _, p := range f.ours() {
		if p.Answers && p.record() != nil {
			here(p.name())
		}
	}
	return next, joined, left
}

// WithAbsent is the peers with those that nobody found: each member, and each
// node that PGBATON_NODES expects, that answers at no address is a silent peer,
// since this supervisor started. One that was forgotten is none, although
// PGBATON_PEERS may name it still.
func WithAbsent(peers []Peer, m node.Members, expected []string, self string, started time.Duration) []Peer {
	forgotten := func(p Peer) bool {
		x, _ := m.Find(hostOf(p))
		return p.State == nil && x.Gone
	}
	out := slices.DeleteFunc(slices.Clone(peers), forgotten)
	names := m.Names()
	for _, name := range expected {
		if _, known := m.Find(name); !known { // one that was forgotten is not expected any more
			names = append(names, name)
		}
	}
	for _, name := range names {
		if name == self || slices.ContainsFunc(out, func(p Peer) bool { return p.name() == name }) {
			continue
		}
		seen := m.Seen[name]
		if at := placeOf(out, name, seen); at >= 0 {
			out[at].Member = name
			continue
		}
		out = append(out, Peer{Address: seen.Address, Host: seen.Host, Member: name, Asked: true, Silent: started})
	}
	return out
}

// placeOf is which of the peers that never answered this supervisor a member
// is: where it was found before, by the host that stood for it alone, or by its
// name; -1: none.
func placeOf(peers []Peer, name string, seen node.Sight) int {
	open := func(p Peer) bool { return p.State == nil && p.Member == "" }
	at := slices.IndexFunc(peers, func(p Peer) bool { return open(p) && p.Address != "" && p.Address == seen.Address })
	if at >= 0 {
		return at
	}
	return slices.IndexFunc(peers, func(p Peer) bool {
		alone := !slices.ContainsFunc(peers, func(o Peer) bool { return o.Host == p.Host && o.Address != p.Address })
		return open(p) && p.Host != "" && alone && (p.Host == seen.Host || hostOf(p) == name)
	})
}

// hostOf is the name by which PGBATON_PEERS leads to a peer, without its port.
func hostOf(p Peer) string { return p.Host[:max(0, strings.LastIndexByte(p.Host, ':'))] }

// NoForget says why a node may not be taken out of the cluster; empty: it may.
// remains: something of it is here, although nobody knows it as a node.
func (f *Facts) NoForget(m node.Members, remains bool, name string, force bool) string {
	if name == f.Policy.Node {
		return "a node cannot forget itself: stop it for good, and give this order on another one"
	}
	known := remains || m.Has(name) || slices.ContainsFunc(f.Peers, func(p Peer) bool { return p.name() == name })
	if !known {
		return fmt.Sprintf("no node of the cluster is called %s; its nodes are %s", name, strings.Join(m.Names(), ", "))
	}
	if p, found := f.Named(name); found && (p.Answers || p.Silent < forgetAfter) {
		return fmt.Sprintf("%s answers, so it would be a member again at once: stop its container for good first", name)
	}
	if f.sends(name) {
		return name + " streams from here, although its supervisor does not answer: stop its container for good first"
	}
	if force {
		return ""
	}
	return f.mayHold(m, name)
}

// forgetAfter is how long a node has to be silent before it can be forgotten:
// the others have noticed by then.
const forgetAfter = 3 * time.Second

// mayHold says what right a silent node may hold as far as anybody said; empty:
// none.
func (f *Facts) mayHold(m node.Members, name string) string {
	seen, epoch := m.Seen[name], f.epoch(m)
	if r := f.Self.Record; r == nil || r.Epoch < epoch {
		return fmt.Sprintf("this node is not in the cluster's newest epoch %d, so %s may be what proves it: give this order on the primary, or `--force`", epoch, name)
	}
	if p, found := f.primary(); found && p.name() == name {
		return name + " is the primary: promote another node first, or `--force`"
	}
	r := f.Self.Record
	if r != nil && !r.Primary && r.Epoch >= epoch && r.Newest().Node == name || seen.Primary && seen.Epoch >= epoch {
		return fmt.Sprintf("%s was the primary of epoch %d when it was heard of last, and nobody is known to have promoted since: promote another node first, or `--force`", name, epoch)
	}
	records := []*node.Record{r}
	for _, p := range f.ours() {
		records = append(records, p.record())
	}
	for _, r := range records {
		switch {
		case r == nil || !r.Primary || r.Epoch < epoch:
		case r.Released != nil && r.Released.Target == name:
			return fmt.Sprintf("%s gave the right to open to %s, and nobody has opened since: `pgbaton alone --force` on %s first, or `--force`", r.Node, name, r.Node)
		case r.Heir != nil && r.Heir.Node == name:
			return fmt.Sprintf("%s is the heir of %s and may have promoted: `pgbaton alone --force` on %s first, or `--force`", name, r.Node, r.Node)
		}
	}
	if seen.Armed && seen.Epoch >= epoch && (r == nil || !r.Primary) {
		if _, found := f.primary(); !found {
			return fmt.Sprintf("%s was an armed heir when it was heard of last, and no primary is known: it may have promoted. `--force` accepts that", name)
		}
	}
	return ""
}

// epoch is the newest one that was heard of.
func (f *Facts) epoch(m node.Members) (newest uint64) {
	if f.Self.Record != nil {
		newest = f.Self.Record.Epoch
	}
	for _, p := range f.ours() {
		if r := p.record(); r != nil {
			newest = max(newest, r.Epoch)
		}
	}
	for _, s := range m.Seen {
		newest = max(newest, s.Epoch)
	}
	return max(newest, f.ruled().Epoch)
}
