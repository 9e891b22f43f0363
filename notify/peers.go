package notify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pgbaton/pgbaton/internal/node"
)

// cluster is what the peer said about its place, or nil.
func (p Peer) cluster() *node.Cluster {
	if p.State == nil {
		return nil
	}
	return p.State.Cluster
}

// record is the peer's role record, or nil.
func (p Peer) record() *node.Record {
	if c := p.cluster(); c != nil {
		return c.Record
	}
	return nil
}

// name is the peer's node name, empty where that is not known.
func (p Peer) name() string {
	if p.State == nil {
		return p.Member
	}
	return p.State.Node
}

// called is how a sentence calls a peer that may not have answered.
func (p Peer) called() string {
	switch {
	case p.name() == "":
		return p.Address
	case p.Address == "":
		return p.name()
	}
	return fmt.Sprintf("%s (%s)", p.name(), p.Address)
}

// ours are the peers that belong to this cluster, as far as one can tell:
// another cluster's name or system identifier is never acted upon. What a node
// said at an address that it has no longer does not count beside a newer word.
func (f *Facts) ours() []Peer {
	var out []Peer
	for _, p := range f.Peers {
		c := p.cluster()
		if c == nil || c.Name != f.Policy.Cluster || p.name() == f.Policy.Node {
			continue
		}
		if r := c.Record; r != nil && f.Self.SystemIdentifier != 0 && r.SystemIdentifier != f.Self.SystemIdentifier {
			continue
		}
		if newer, found := f.Named(p.name()); found && !p.Answers && newer.Silent < p.Silent {
			continue
		}
		out = append(out, p)
	}
	return out
}

// Named finds a peer of this cluster that has answered by its name; of several
// addresses the one at which it answered last.
func (f *Facts) Named(name string) (Peer, bool) {
	var best Peer
	found := false
	for _, p := range f.Peers {
		if c := p.cluster(); c != nil && c.Name == f.Policy.Cluster && p.name() == name && (!found || newer(p, best)) {
			best, found = p, true
		}
	}
	return best, found
}

func newer(p, than Peer) bool {
	if p.Answers != than.Answers {
		return p.Answers
	}
	return p.Silent < than.Silent
}

// peer finds one of ours by its name.
func (f *Facts) peer(name string) (Peer, bool) {
	var best Peer
	found := false
	for _, p := range f.ours() {
		if p.name() == name && (!found || newer(p, best)) { // it may have several addresses
			best, found = p, true
		}
	}
	return best, found
}

// answering finds a peer of ours that answered the latest attempt.
func (f *Facts) answering(name string) (Peer, bool) {
	p, found := f.peer(name)
	return p, found && p.Answers
}

// primary is the peer with the newest right to be the primary, answering or
// not: a record is durable, so what a peer said of it stays true.
func (f *Facts) primary() (Peer, bool) {
	var best Peer
	found := false
	for _, p := range f.ours() {
		r := p.record()
		if r == nil || !r.Primary || r.Released != nil || p.cluster().Building || p.cluster().Empty {
			continue
		}
		if !found || f.better(p, best) {
			best, found = p, true
		}
	}
	return best, found
}

// better compares two primaries: by epoch; of two that began the same one (an
// operator's force, or SilenceBoth), the one that this node follows already,
// then one that is open.
func (f *Facts) better(p, than Peer) bool {
	a, b := p.record(), than.record()
	mine := f.Self.Record.Newest().ID
	switch {
	case a.Epoch != b.Epoch:
		return a.Epoch > b.Epoch
	case (a.Newest().ID == mine) != (b.Newest().ID == mine):
		return a.Newest().ID == mine
	}
	return p.isOpen() && !than.isOpen()
}

// isOpen reports whether the peer answers and lets clients in as a primary.
func (p Peer) isOpen() bool { return p.Answers && p.cluster().Open }

// newest is the peer with the highest epoch, whatever it is in it: a standby of
// a newer epoch proves that somebody promoted.
func (f *Facts) newest() (Peer, bool) {
	var best Peer
	found := false
	for _, p := range f.ours() {
		if r := p.record(); r != nil && (!found || r.Epoch > best.record().Epoch) {
			best, found = p, true
		}
	}
	return best, found
}

// silent lists the peers that have not answered the latest attempt; empty: all
// have.
func (f *Facts) silent() string {
	var out []string
	known := ""
	for _, p := range f.Peers {
		if p.Answers {
			continue
		}
		out = append(out, p.called())
		if known == "" {
			known = p.name()
		}
	}
	text := strings.Join(out, ", ")
	if known != "" {
		text += fmt.Sprintf(" (`pgbaton forget --force %s` if that node is gone for good)", known)
	}
	return text
}

// asked reports whether every peer, and the arbiter, was asked at least once.
func (f *Facts) asked() bool {
	if f.Arbiter != nil && !f.Arbiter.Asked {
		return false
	}
	for _, p := range f.Peers {
		if !p.Asked {
			return false
		}
	}
	return true
}

// Primary is the peer with the newest right to be the primary.
func (f *Facts) Primary() (Peer, bool) { return f.primary() }

// Beaten reports whether a primary of a newer epoch than this node's is known.
func (f *Facts) Beaten() bool { return f.Self.Record != nil && f.isBeaten() }

// NoTarget says why a handover to the named standby cannot begin; empty: it
// can. Without a name the heir is meant, or whoever becomes it.
func (f *Facts) NoTarget(name string) string {
	if name == "" {
		for _, w := range f.Self.Senders {
			if f.fitHeir(w) {
				return ""
			}
		}
		if why := f.stalled(); why != "" {
			return "nobody could take over: " + why
		}
		return "no standby streams from here and answers, so nobody could take over"
	}
	for _, w := range f.Self.Senders {
		if w.Node == name && f.fitHeir(w) {
			return ""
		}
	}
	p, known := f.peer(name)
	switch {
	case !known:
		return fmt.Sprintf("no node of this cluster that ever answered here is called %s; there are %s", name, f.names())
	case !p.Answers:
		return name + " does not answer"
	case !f.sends(name):
		return name + " does not stream from here as a copy of this node"
	}
	if why := f.unready(p); why != "" {
		return name + " cannot take over: " + why
	}
	return name + " cannot take over yet: it is too far behind, or still learns who is the primary"
}

// names are the cluster's nodes as far as they are known, this one first.
func (f *Facts) names() string {
	names := []string{f.Policy.Node}
	for _, p := range f.ours() {
		if !slices.Contains(names, p.name()) {
			names = append(names, p.name())
		}
	}
	return strings.Join(names, ", ")
}

// unready says why a standby that answers cannot be the heir, by what it says of
// itself; empty: nothing is known.
func (f *Facts) unready(p Peer) string {
	c, r := p.cluster(), p.record()
	switch {
	case r != nil && r.Paused:
		return "it is paused (`pgbaton resume` there ends that)"
	case c.Leaving:
		return "it is about to end"
	case c.Building || c.Empty:
		return "it has no data yet"
	case c.Cramped:
		return "its disk is full"
	}
	return c.Stalled
}

// kept says why the standbys that answer are not ready to be the heir, as far as
// that is known; empty: nothing is.
func (f *Facts) kept() string {
	var why []string
	for _, p := range f.ours() {
		if r := p.record(); !p.Answers || r == nil || r.Primary {
			continue
		}
		if text := f.unready(p); text != "" {
			why = append(why, p.name()+": "+text)
		}
	}
	return strings.Join(why, "; ")
}
