package notify

import (
	"fmt"

	"github.com/pgbaton/pgbaton/internal/node"
)

// Ask names what one node asks of another.
type Ask string

// What nodes ask of each other.
const (
	AskArm     Ask = "arm"     // primary to heir: from now on you may promote when I am silent
	AskDisarm  Ask = "disarm"  // primary to heir: give that right back
	AskPrepare Ask = "prepare" // primary to target: are you ready to take over?
	AskTake    Ask = "take"    // primary to target: it is yours, I never open again by myself
	AskLeaving Ask = "leaving" // standby to primary: look at me, I am about to end
)

// Request is what one node asks of another.
type Request struct {
	Ask       Ask           `json:"ask"`
	Cluster   string        `json:"cluster"`
	From      string        `json:"from"`                // node
	Epoch     uint64        `json:"epoch"`               // of the asking primary
	Promotion string        `json:"promotion,omitempty"` // that began it
	LSN       node.LSN      `json:"lsn,omitzero"`        // arm: of the proven commit
	Token     string        `json:"token,omitempty"`     // arm: the heir's own, as it was seen last
	Arbiter   string        `json:"arbiter,omitempty"`   // arm: that has to agree before the right is used; empty: none
	Right     string        `json:"right,omitempty"`     // arm: its id there
	Release   *node.Release `json:"release,omitempty"`   // take
}

// Reply answers a request.
type Reply struct {
	Done   bool         `json:"done"`
	Why    string       `json:"why"`
	Record *node.Record `json:"record,omitempty"` // of the answering node, after the request
}

// Answer judges a peer's request. The record, where it is not nil, is to be
// made durable before the reply leaves, and the token to be replaced after
// every disarm.
func Answer(f Facts, q Request) (Reply, *node.Record) {
	r := f.Self.Record
	refuse := func(format string, args ...any) (Reply, *node.Record) {
		return Reply{Why: fmt.Sprintf(format, args...), Record: r}, nil
	}
	switch {
	case q.Cluster != f.Policy.Cluster:
		return refuse("this node belongs to the cluster %q, not to %q", f.Policy.Cluster, q.Cluster)
	case q.Ask == AskLeaving:
		return Reply{Done: true, Why: "noted", Record: r}, nil
	case r == nil:
		return refuse("this node has no role record")
	case q.Ask == AskDisarm && !r.Primary && r.Epoch < q.Epoch: // such a primary may wait closed for this very answer
		return Reply{Done: true, Why: fmt.Sprintf("this node is in epoch %d and has no right in epoch %d", r.Epoch, q.Epoch), Record: r}, nil
	case r.Primary || r.Epoch != q.Epoch || r.Newest().ID != q.Promotion:
		return refuse("this node is in epoch %d of promotion %q, the request in epoch %d of %q", r.Epoch, r.Newest().ID, q.Epoch, q.Promotion)
	}
	switch q.Ask {
	case AskArm:
		return answerArm(f, q)
	case AskDisarm:
		if r.Armed == nil { // nothing to write: a full disk could not take it
			return Reply{Done: true, Why: "it is not armed", Record: r}, nil
		}
		next := clone(r)
		next.Armed = nil
		return Reply{Done: true, Why: "disarmed", Record: next}, next
	case AskPrepare:
		why := unready(f, q)
		if why == "" {
			why = lagging("this node", f.Self.End, f.Self.Replayed)
		}
		if why != "" {
			return refuse("%s", why)
		}
		return Reply{Done: true, Why: "ready", Record: r}, nil
	case AskTake:
		if q.Release == nil || q.Release.Target != f.Policy.Node || q.Release.Epoch != r.Epoch {
			return refuse("the release is not for this node and epoch")
		}
		return Reply{Done: true, Why: "taken", Record: r}, nil
	}
	return refuse("unknown request %.40q", string(q.Ask))
}

func answerArm(f Facts, q Request) (Reply, *node.Record) {
	s := f.Self
	why := unready(f, q)
	switch {
	case why != "":
	case f.Policy.OnSilence != SilencePromote:
		why = "PGBATON_ON_SILENCE is not promote here: no heir is ever armed"
	case s.End < q.LSN:
		why = fmt.Sprintf("the WAL here ends at %s, before %s", s.End, q.LSN)
	case q.Token == "" || q.Token != s.Token:
		why = "the request is older than this node's last answer"
	default:
		why = f.otherArbiter(q)
	}
	if why != "" {
		return Reply{Why: why, Record: s.Record}, nil
	}
	next := clone(s.Record)
	next.Armed = &node.Armed{Primary: q.From, Epoch: q.Epoch, Promotion: q.Promotion, Arbiter: q.Arbiter, Right: q.Right}
	return Reply{Done: true, Why: "armed", Record: next}, next
}

// unready says why this standby cannot be a heir now; empty: it can.
func unready(f Facts, q Request) string {
	s := f.Self
	switch {
	case s.Ending:
		return "this node is about to end"
	case s.Record.Paused:
		return "this node is paused"
	case s.Cramped:
		return "this node's disk is full: it could not give the right up again"
	case s.Server != ServerStandby:
		return "this node's server is not a running standby"
	case s.Following != q.From || !f.streams():
		return "this node does not stream from " + q.From
	case s.Replay.Stalled() != "":
		return "this node cannot take over: " + s.Replay.Stalled()
	}
	return ""
}

// clone copies a record so that a decision never changes what it was given.
func clone(r *node.Record) *node.Record {
	c := *r
	c.Promotions = append([]node.Promotion(nil), r.Promotions...)
	return &c
}
