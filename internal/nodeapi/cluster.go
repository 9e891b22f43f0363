package nodeapi

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/pgbaton/pgbaton/internal/config"
	"github.com/pgbaton/pgbaton/internal/node"
)

// fleet is a Source that also knows what its peers said last.
type fleet interface {
	// Fleet returns the last state of each peer that ever answered, this node
	// left out. It is cheap and never blocks; the caller changes nothing in it.
	Fleet() []node.State
}

// Fleet is what one node knows of its cluster.
type Fleet struct {
	Node  node.State   `json:"node"`  // that answers
	Peers []node.State `json:"peers"` // their last answers, each with its own time; Node.Cluster.Peers tells their age

	Events []node.Event `json:"events,omitempty"` // on the node that answers, the oldest first
}

// chronicle is a Source that also remembers what happened last.
type chronicle interface {
	// Events returns the latest events, the oldest first. It is cheap and never
	// blocks; the caller changes nothing in it.
	Events() []node.Event
}

// maxLook is how old the primary's last answer may be while lag is measured by
// it. The primary is asked several times per second.
const maxLook = 10 * time.Second

// Primary is the node with the newest right to be the primary, as far as is
// known here; false where none has it.
func (f Fleet) Primary() (node.State, bool) {
	var best node.State
	var epoch uint64
	found := false
	for _, st := range append([]node.State{f.Node}, f.Peers...) {
		if !sameCluster(f.Node, st) || st.Cluster.Record == nil {
			continue
		}
		if r := st.Cluster.Record; r.Primary && r.Released == nil && (!found || r.Epoch > epoch) {
			best, epoch, found = st, r.Epoch, true
		}
	}
	return best, found
}

// Lag is how many bytes of WAL the primary has written that a standby has not
// replayed; false where that is not known, or the primary has been silent for
// ten seconds.
func (f Fleet) Lag(st node.State) (bytes uint64, known bool) {
	p, found := f.Primary()
	if !found || p.Server == nil || st.Cluster == nil || st.Role != node.Standby || p.Node == st.Node || f.Age(p.Node) > maxLook {
		return 0, false
	}
	end, err := node.ParseLSN(p.Server.LSN)
	if err != nil || st.Cluster.Replayed == 0 {
		return 0, false
	}
	return uint64(end) - uint64(min(end, st.Cluster.Replayed)), true
}

// LagTime is how far a standby is behind in time: by the primary's word, which
// no difference of clocks distorts, else by its own. It is false where neither
// knows.
func (f Fleet) LagTime(st node.State) (lag time.Duration, known bool) {
	if st.Cluster == nil || st.Role != node.Standby {
		return 0, false
	}
	if p, found := f.Primary(); found && p.Node != st.Node && f.Age(p.Node) <= maxLook {
		for _, s := range p.Cluster.Senders {
			if s.Node == st.Node && s.ReplayLag != nil {
				return *s.ReplayLag, true
			}
		}
	}
	if st.Cluster.ReplayLag != nil && f.Age(st.Node) <= maxLook {
		return *st.Cluster.ReplayLag, true
	}
	return 0, false
}

// The places of a node in its cluster.
const (
	PlacePrimary = "primary" // the right to open is its own
	PlaceHeir    = "heir"    // a standby that is armed
	PlaceStandby = "standby"
	PlaceNone    = "none" // no record that counts
)

// PlaceOf is a node's place by its role record.
func PlaceOf(r *node.Record) string {
	switch {
	case r == nil:
		return PlaceNone
	case r.Primary && r.Released == nil:
		return PlacePrimary
	case r.Armed != nil:
		return PlaceHeir
	}
	return PlaceStandby
}

// TimelineOf is the timeline that a node's server writes or reads; what
// pg_control tells follows only with a checkpoint.
func TimelineOf(st node.State) uint32 {
	timeline := uint32(0)
	if st.Control != nil {
		timeline = st.Control.Timeline
	}
	switch c := st.Cluster; {
	case c == nil:
	case c.Timeline != 0:
		return c.Timeline
	case PlaceOf(c.Record) == PlacePrimary:
		return max(timeline, c.Record.Newest().Timeline)
	}
	return timeline
}

// Age is how long ago a node was heard of by its name; math.MaxInt64 where it
// never was.
func (f Fleet) Age(name string) time.Duration {
	if name == f.Node.Node || f.Node.Cluster == nil {
		return 0
	}
	age := time.Duration(math.MaxInt64)
	for _, p := range f.Node.Cluster.Peers { // a node may be listed by several addresses
		if p.Node == name && p.Age >= 0 {
			age = min(age, p.Age)
		}
	}
	return age
}

func sameCluster(a, b node.State) bool {
	return a.Cluster != nil && b.Cluster != nil && a.Cluster.Name == b.Cluster.Name
}

// lags reports a request for a standby of limited lag that this standby does
// not meet, as Patroni takes it: /replica?lag=16MB. What is not known is not
// promised: 200 would send reads to a standby far behind.
func (a *api) lags(r *http.Request, st node.State) bool {
	if r.URL.RawQuery == "" || st.Role != node.Standby || !r.URL.Query().Has("lag") {
		return false
	}
	limit, err := config.ParseSize(r.URL.Query().Get("lag"))
	if err != nil || limit < 0 {
		return true
	}
	lag, known := Fleet{Node: st, Peers: peersOf(a.cfg.Source)}.Lag(st)
	return !known || lag > uint64(limit)
}

// cluster answers with this node's state and what its peers said last.
func (a *api) cluster(w http.ResponseWriter, _ *http.Request) {
	f := Fleet{Node: a.cfg.Source.State(), Peers: peersOf(a.cfg.Source)}
	if c, ok := a.cfg.Source.(chronicle); ok {
		f.Events = c.Events()
	}
	writeJSON(w, http.StatusOK, f)
}

// peersOf is what the source knows of peers; never nil.
func peersOf(src Source) []node.State {
	if f, ok := src.(fleet); ok {
		if peers := f.Fleet(); peers != nil {
			return peers
		}
	}
	return []node.State{}
}

// Fleet asks the node for its state and those of its peers, for at most five
// seconds.
func (c *Client) Fleet(ctx context.Context) (Fleet, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	var f Fleet
	err := c.ask(ctx, http.MethodGet, "/v1/cluster", nil, &f)
	return f, err
}
