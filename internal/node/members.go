package node

import (
	"slices"
	"strings"
	"time"
)

// Member is a node that is or was one of its cluster's. Nodes tell each other
// of all that they know, so that none is forgotten because it does not answer
// or its name does not resolve.
type Member struct {
	Node string `json:"node"`
	// Changes counts its joins and leaves: of two words about one node the one
	// with the higher number is newer.
	Changes int       `json:"changes"`
	Gone    bool      `json:"gone,omitzero"` // an operator's order took it out of the cluster
	Time    time.Time `json:"time"`          // of the latest change
}

// Members is a node's durable knowledge of who belongs to its cluster.
type Members struct {
	Node    string   `json:"node"`          // whose knowledge it is
	Volume  uint64   `json:"volume,string"` // inode of the volume's .pgbaton
	Members []Member `json:"members"`       // by name
	// Seen is what each node said last, to this supervisor or to one before it.
	Seen map[string]Sight `json:"seen,omitempty"`
}

// Sight is what is remembered of a node that was heard of.
type Sight struct {
	Time    time.Time `json:"time"`           // of its last answer, by this node's clock
	Address string    `json:"address"`        // of its API
	Host    string    `json:"host,omitempty"` // by which PGBATON_PEERS names it
	Epoch   uint64    `json:"epoch,omitzero"`
	Primary bool      `json:"primary,omitzero"` // the right to open was its own
	Armed   bool      `json:"armed,omitzero"`   // it was an armed heir
	VIP     bool      `json:"vip,omitzero"`
}

// Find is what is known of a node; false: it never was a member.
func (m Members) Find(name string) (Member, bool) {
	for _, x := range m.Members {
		if x.Node == name {
			return x, true
		}
	}
	return Member{}, false
}

// Has reports whether the node is a member.
func (m Members) Has(name string) bool {
	x, found := m.Find(name)
	return found && !x.Gone
}

// Names are those of the members, in order.
func (m Members) Names() (names []string) {
	for _, x := range m.Members {
		if !x.Gone {
			names = append(names, x.Node)
		}
	}
	return names
}

// With is m with another word about one node.
func (m Members) With(x Member) Members {
	next := slices.DeleteFunc(slices.Clone(m.Members), func(old Member) bool { return old.Node == x.Node })
	next = append(next, x)
	slices.SortFunc(next, func(a, b Member) int { return strings.Compare(a.Node, b.Node) })
	m.Members = next
	return m
}

// Change is m after a node joined or was taken out.
func (m Members) Change(name string, gone bool, now time.Time) Members {
	x, _ := m.Find(name)
	return m.With(Member{Node: name, Changes: x.Changes + 1, Gone: gone, Time: now})
}
