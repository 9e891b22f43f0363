package main

import (
	"fmt"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
	"github.com/pgbaton/pgbaton/notify"
)

// twoHistories is what every forced order can cost.
const twoHistories = "the cluster then has two histories, and the commits of one of them are given up later (they are kept and reported)"

// primaryName is the name of the primary as far as it is known here.
func primaryName(f nodeapi.Fleet) string {
	if p, found := f.Primary(); found {
		return p.Node
	}
	return "the primary"
}

// heirOf is the record's heir; nil where there is none.
func heirOf(f nodeapi.Fleet) *node.Heir {
	if p, found := f.Primary(); found {
		return p.Cluster.Record.Heir
	}
	return nil
}

func switchoverCost(f nodeapi.Fleet, o node.Order) string {
	from, to, heir := primaryName(f), o.To, heirOf(f)
	if to == "" {
		if heir == nil {
			return fmt.Sprintf("No node is the heir of %s at the moment, so the switchover may be refused. It ends every session on %s; clients connect again to the new primary. No acknowledged commit is lost.", from, from)
		}
		to = heir.Node
	}
	text := fmt.Sprintf("This makes %s the primary of the cluster %q in place of %s. Every session on %s ends, and writes wait until %s serves. No acknowledged commit is lost; where %s cannot take over, %s serves on.",
		to, f.Node.Cluster.Name, from, from, to, to, from)
	if heir == nil || heir.Node != to {
		text += fmt.Sprintf(" %s is not the heir: commits wait for it from then on.", to)
	}
	if p, found := f.Primary(); found {
		text += unevenText(f, p, to)
	}
	return text
}

// unevenText names the settings of which the next primary has another value.
func unevenText(f nodeapi.Fleet, p node.State, to string) (text string) {
	for _, n := range append([]node.State{f.Node}, f.Peers...) {
		if n.Node == to && n.Server != nil && p.Server != nil {
			for _, said := range notify.Uneven(map[string][]node.Limit{p.Node: p.Server.Limits, to: n.Server.Limits}) {
				text += " " + said + "."
			}
		}
	}
	return text
}

func promoteCost(f nodeapi.Fleet, o node.Order) string {
	self, from := f.Node.Node, primaryName(f)
	if !o.Force {
		return fmt.Sprintf("This makes %s the primary of the cluster %q, if it is armed and no primary answers. It has every acknowledged commit then; %s, when it is back, follows it.", self, f.Node.Cluster.Name, from)
	}
	missing := "How far it is behind is not known: commits may be missing here, and are lost then."
	if lag, known := f.Lag(f.Node); known && lag == 0 {
		missing = fmt.Sprintf("It has replayed all that %s had written at its last answer; commits made since then are lost.", from)
	} else if known {
		missing = fmt.Sprintf("It is %s of WAL behind %s's last answer: commits in that and after it are lost where they have not arrived.", sizeText(lag), from)
	}
	return fmt.Sprintf("This makes %s the primary of the cluster %q whatever the other nodes say. %s If %s lives, it may acknowledge commits until it sees this node: %s.",
		self, f.Node.Cluster.Name, missing, from, twoHistories)
}

func aloneCost(f nodeapi.Fleet, o node.Order) string {
	self := f.Node.Node
	place := nodeapi.PlaceOf(f.Node.Cluster.Record)
	heir := "the heir"
	if r := f.Node.Cluster.Record; r != nil && r.Heir != nil {
		heir = r.Heir.Node
	}
	if place != nodeapi.PlacePrimary && o.Force {
		return fmt.Sprintf("This makes the data of %s the cluster's, and %s the primary, whatever the other nodes say. Commits that it has not received are lost. If another node is or becomes the primary, %s.", self, self, twoHistories)
	}
	text := fmt.Sprintf("This lets %s go on without %s: until a standby is armed again, commits are on this node alone, and nobody takes over from it.", self, heir)
	if o.Force {
		text += fmt.Sprintf(" It does not wait for the answer of %s: if that has promoted or still does, %s.", heir, twoHistories)
	}
	return text
}

func recloneCost(f nodeapi.Fleet, _ node.Order) string {
	self, from := f.Node.Node, primaryName(f)
	text := fmt.Sprintf("This stops postgres on %s and replaces its data by a copy of %s's. The old data is kept aside until the copy runs, so the volume needs room for both; what is in it alone is given up then. Until the copy runs %s cannot take over.", self, from, self)
	switch nodeapi.PlaceOf(f.Node.Cluster.Record) {
	case nodeapi.PlacePrimary:
		text += fmt.Sprintf(" The record of %s says that it is the primary itself: its commits that no other node has are given up.", self)
	case nodeapi.PlaceHeir:
		text += fmt.Sprintf(" %s is the heir: without another standby nobody takes over from %s meanwhile.", self, from)
	}
	return text
}

func pauseCost(f nodeapi.Fleet, _ node.Order) string {
	self := f.Node.Node
	if nodeapi.PlaceOf(f.Node.Cluster.Record) == nodeapi.PlacePrimary {
		return fmt.Sprintf("While %s is paused, a server that dies here is started again here and not handed over to the heir.", self)
	}
	from := primaryName(f)
	return fmt.Sprintf("While %s is paused it is nobody's heir and does not take over, whatever happens to %s. Without another standby, commits are on %s alone, and clients wait for an operator if it is gone.", self, from, from)
}

func resumeCost(f nodeapi.Fleet, _ node.Order) string {
	return fmt.Sprintf("From now on %s changes its role by itself again, at once where there is a reason to. Now it is: %s: %s", f.Node.Node, f.Node.Phase, f.Node.Why)
}

func forgetCost(f nodeapi.Fleet, o node.Order) string {
	text := fmt.Sprintf("This takes %s out of the cluster %q: it does not count as silent any more, and its replication slots are dropped on every node. If it comes back it is a node of the cluster again, and may have to copy the primary anew.", o.To, f.Node.Cluster.Name)
	if o.Force {
		text += fmt.Sprintf(" Where %s has promoted, or was the primary, the commits that it alone has are given up: a node without data, or without a record of its own, goes on without its answer.", o.To)
	}
	return text
}
