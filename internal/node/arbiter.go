package node

import "time"

// ClusterRecord is what the arbiter (PGBATON_ETCD) holds of a cluster: who the
// primary of an epoch is, and who alone may begin the next one on its silence.
// It bounds what a role record permits on silence and permits nothing itself.
type ClusterRecord struct {
	Arbiter   string    `json:"arbiter"`         // that it was written to: one of another is void
	Epoch     uint64    `json:"epoch"`           //
	Promotion string    `json:"promotion"`       // id of the promotion that began it
	Primary   string    `json:"primary"`         // node
	Heir      string    `json:"heir,omitempty"`  // node that may begin the next epoch on silence; empty: nobody
	Right     string    `json:"right,omitempty"` // the latest right that was registered; with no Heir it is void for good, or was used
	Time      time.Time `json:"time"`
	Why       string    `json:"why"` // the sentence of the decision
}

// Arbiter is what a node says of its arbiter.
type Arbiter struct {
	ID      string         `json:"id,omitempty"`     // of the cluster of etcd and our key in it; empty: it never answered
	Answers bool           `json:"answers"`          //
	Error   string         `json:"error,omitempty"`  // of the latest attempt
	Record  *ClusterRecord `json:"record,omitempty"` // as this node saw it last; nil: there is none
}
