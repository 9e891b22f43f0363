package notify

import (
	"fmt"

	"github.com/pgbaton/pgbaton/internal/node"
)

// empty: a directory without a cluster gets one by a copy, or by the one node
// that may make a new cluster.
func empty(f *Facts) (Verdict, bool) {
	if f.Self.Data != DataEmpty && f.Self.Data != DataHalfMade {
		return no()
	}
	if v, fits := f.copying(); fits {
		return v, true
	}
	if why := f.mayNotBootstrap(); why != "" && f.Self.Data == DataHalfMade {
		return yes(Hold, "", "what lies in the data directory is what an unfinished copy or rewind left, by .pgbaton/copy.json on the volume, and no primary answers that could be copied; %s. "+
			"Nothing was touched. If you have restored a backup there since, remove .pgbaton/copy.json", why)
	} else if why != "" {
		return yes(Hold, "", "the data directory holds no whole cluster and no primary answers; %s", why)
	}
	return yes(Initialize, "", "every peer has answered that it is empty, and PGBATON_BOOTSTRAP names this node: making a new cluster")
}

func (f *Facts) mayNotBootstrap() string {
	switch f.Policy.Bootstrap {
	case f.Policy.Node:
	case "":
		return "PGBATON_BOOTSTRAP names no node that may make a new cluster"
	default:
		return fmt.Sprintf("a new cluster is made by %s alone (PGBATON_BOOTSTRAP)", f.Policy.Bootstrap)
	}
	if f.Self.Record != nil {
		return "this node had data of the cluster before"
	}
	if len(f.Peers) == 0 {
		return "no peer was found at PGBATON_PEERS"
	}
	if silent := f.silent(); silent != "" {
		return "not every peer has answered: " + silent
	}
	if f.Uncounted != "" {
		return "whether these are all nodes is not known: " + f.Uncounted
	}
	for _, p := range f.Peers {
		c := p.cluster()
		if c == nil || c.Name != f.Policy.Cluster {
			return fmt.Sprintf("%s does not belong to the cluster %q", p.Address, f.Policy.Cluster)
		}
		if !c.Empty || c.Building || c.Record != nil {
			return fmt.Sprintf("%s is not empty", p.name())
		}
	}
	return ""
}

// unrecorded: data without a record. It may be an adopted volume, the cluster
// that was just made, or a copy from elsewhere.
func unrecorded(f *Facts) (Verdict, bool) {
	s := f.Self
	switch {
	case s.Record != nil:
		return no()
	case s.Server == ServerStarting:
		return yes(Wait, "", "the server starts or stops")
	}
	if v, fits := f.decided(); fits {
		return v, true
	}
	if p, found := f.primary(); found {
		if s.SignalFile {
			if p.record().Newest().Timeline == 0 {
				return f.promoting(p)
			}
			return Verdict{Do: Write, Record: f.followerOf(p), Why: "the data is a standby's and " + p.name() + " is the primary"}, true
		}
		return yes(Hold, "", "%s is the primary, and this node has data of its own without a record of what it acknowledged. "+
			"Nothing was touched; `pgbaton reclone` keeps it aside and copies the primary", p.name())
	}
	if silent := f.silent(); silent != "" || len(f.Peers) == 0 {
		return yes(Hold, "", "the data has no role record, so every peer has to answer first; silent: %s", silent)
	}
	if f.Uncounted != "" {
		return yes(Hold, "", "the data has no role record, so every peer has to answer first, and whether these are all is not known: %s", f.Uncounted)
	}
	for _, p := range f.Peers {
		if c := p.cluster(); c == nil || !c.Empty || c.Building {
			return yes(Hold, "", "%s is not empty and nobody is the primary: which data counts is an operator's decision. "+
				"`pgbaton alone --force` on the node whose data counts", p.Address)
		}
	}
	if s.Restore {
		return Verdict{Do: Write, Record: f.first("a restored backup"), Why: "every peer is empty: the backup that was restored here becomes the cluster"}, true
	}
	if s.SignalFile {
		return yes(Hold, "", "the data is a standby's and every peer is empty; `pgbaton alone --force` makes this node the primary")
	}
	return Verdict{Do: Write, Record: f.first("the first node"), Why: "every peer is empty: this node's data is the cluster"}, true
}

// decided is what an operator decided about data without a record that counts.
func (f *Facts) decided() (Verdict, bool) {
	if f.Self.Data != DataCluster || f.Self.Server != ServerDown {
		return no()
	}
	if f.Order.Alone && f.Order.Force {
		return Verdict{Do: Write, Record: f.first("an operator's order"), Why: "an operator made this node the primary of its own data", Ordered: true}, true
	}
	if p, found := f.source(); found && f.Order.Reclone {
		return ordering(f.setAside(p, "an operator gives this node's data up for a copy of the primary's"))
	}
	return no()
}

// first is the record of a primary that has none yet. Its epoch is newer than
// every one that was heard of.
func (f *Facts) first(why string) *node.Record {
	epoch := f.ruled().Epoch + 1
	for _, p := range f.ours() {
		if r := p.record(); r != nil {
			epoch = max(epoch, r.Epoch+1)
		}
	}
	p := node.Promotion{ID: f.Fresh, Epoch: epoch, Node: f.Policy.Node, Time: f.Now, Why: why}
	// A standby's data is promoted first, and a restore's has not come to its end:
	// on their present timeline somebody may have written other WAL.
	if f.Self.Timeline != 0 && !f.Self.Recovering && !f.Self.SignalFile && !f.Self.Restore {
		p.Timeline, p.At = f.Self.Timeline, 1 // before all WAL
	}
	return &node.Record{
		Node: f.Policy.Node, Cluster: f.Policy.Cluster, SystemIdentifier: f.Self.SystemIdentifier,
		Epoch: epoch, Promotions: []node.Promotion{p}, Primary: true,
	}
}
