package node

import "time"

// Health is how a whole cluster is.
type Health string

// How a cluster may be.
const (
	Well     Health = "well"     // clients are served, and whoever is to take over can
	Degraded Health = "degraded" // clients are served, with a part missing; or their commits wait
	Down     Health = "down"     // no primary serves
)

// Healths lists them, for metrics and tables.
func Healths() []Health { return []Health{Well, Degraded, Down} }

// Verdict is one judgement of a whole cluster: the same in `pgbaton status`, on
// the page, in the API and in the metrics.
type Verdict struct {
	Health Health    `json:"health"`
	Code   string    `json:"code"`           // a stable word for scripts: commits-wait, no-primary, no-heir, …
	Why    string    `json:"why"`            // one sentence; where it is not well, with what ends that
	Since  time.Time `json:"since,omitzero"` // since when Code holds, by the clock of the node that says so
}

// CommitsWait says that commits on this primary wait for a standby that does
// not confirm them.
type CommitsWait struct {
	Heir     string    `json:"heir,omitempty"` // that they wait for
	Since    time.Time `json:"since"`
	Sessions *int      `json:"sessions,omitempty"` // that wait; nil: the server gives no answer, so that is not known
	TooLong  bool      `json:"too_long,omitzero"`  // for PGBATON_UNREADY_AFTER: the primary does not count as ready
}
