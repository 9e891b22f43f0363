// Package node holds what a node says about itself: plain types, no behaviour
// that touches the world. Every other package may import it; it imports
// nothing of this module.
package node

import (
	"slices"
	"time"
)

// Phase is where the supervisor stands with its postgres. The words appear in
// logs, in `pgbaton status`, in the API and in metrics.
type Phase string

// The phases, in the order in which a node usually passes them.
const (
	Starting     Phase = "starting"     // looking at the volume, with nothing touched yet; or postgres was started and does not accept connections yet
	Waiting      Phase = "waiting"      // another container or server may own the data directory
	Initializing Phase = "initializing" // initdb, temporary server and init scripts
	Recovering   Phase = "recovering"   // postgres was started and replays WAL: after a crash, as a standby, from a backup
	Running      Phase = "running"      // postgres accepts connections
	Stopping     Phase = "stopping"     // postgres was asked to stop
	Stopped      Phase = "stopped"      // postgres is down because somebody wanted it so
	Upgrading    Phase = "upgrading"    // the old cluster was stopped for an upgrade, and clients are not let in to the new one yet
	BackingOff   Phase = "backing off"  // postgres died; the next start waits
	Holding      Phase = "holding"      // cannot go on without an operator; Why says what is missing
	Ending       Phase = "ending"       // the container is about to end
)

// Phases lists every phase, for metrics and tables.
func Phases() []Phase {
	return []Phase{
		Starting, Waiting, Initializing, Recovering, Running, Stopping, Stopped, Upgrading, BackingOff, Holding, Ending,
	}
}

// Role is PostgreSQL's own word for what the server does. It is empty while
// no server runs.
type Role string

// The two roles of a running server.
const (
	Primary Role = "primary" // pg_is_in_recovery() is false
	Standby Role = "standby" // pg_is_in_recovery() is true
)

// State is what a node says about itself at one moment.
type State struct {
	Node    string    `json:"node"`          // name of the node, unique in its cluster
	Version string    `json:"version"`       // of pgbaton
	Time    time.Time `json:"time"`          // when this was observed, by the node's clock
	Since   time.Time `json:"since"`         // when Phase was entered
	Phase   Phase     `json:"phase"`         //
	Why     string    `json:"why"`           // one sentence: the reason for Phase
	Ready   bool      `json:"ready"`         // clients are served
	Role    Role      `json:"role,omitzero"` // of the running server

	Volume    string `json:"volume"`          // the directory that holds .pgbaton
	PGData    string `json:"pgdata"`          // the data directory, an absolute path without links of ours
	Major     int    `json:"major"`           // of the data directory; 0 while it is empty
	Available []int  `json:"available"`       // majors whose programs were found, ascending
	Halted    bool   `json:"halted,omitzero"` // postgres is down by `pgbaton stop`

	Postmaster *Postmaster `json:"postmaster,omitempty"` // nil while none runs
	Control    *Control    `json:"control,omitempty"`    // nil while there is no cluster
	Server     *Server     `json:"server,omitempty"`     // nil while SQL is not possible
	Supervisor Supervisor  `json:"supervisor"`
	Restarts   Restarts    `json:"restarts"`
	Cluster    *Cluster    `json:"cluster,omitempty"`   // nil where no peers are configured
	Kept       []Kept      `json:"kept,omitempty"`      // old clusters of upgrades, the oldest first
	AutoMode   UpgradeMode `json:"auto_mode,omitempty"` // what mode auto comes to on this volume: clone or link
	Offer      string      `json:"offer,omitempty"`     // a sentence: a newer major is here, and how to get it
	Upgrade    *Upgrade    `json:"upgrade,omitempty"`   // the latest one, running or ended; nil where there was none
	Warnings   []string    `json:"warnings,omitempty"`  // what an operator should mend, a sentence each

	Verdict Verdict `json:"verdict"` // on the whole cluster, as this node sees it; on the node alone where it has no peers
}

// Postmaster is the running server's first process.
type Postmaster struct {
	PID     int       `json:"pid"`     // in the container's PID namespace
	Started time.Time `json:"started"` //
	Adopted bool      `json:"adopted"` // started by an earlier supervisor
	Port    int       `json:"port"`    // TCP port and suffix of the socket
}

// Control is what pg_control tells; the numbers are PostgreSQL's.
type Control struct {
	SystemIdentifier uint64 `json:"system_identifier,string"`
	State            string `json:"state"`    // as pg_controldata prints it: "in production", "shut down", …
	Timeline         uint32 `json:"timeline"` // of the latest checkpoint
	CheckpointLSN    string `json:"checkpoint_lsn"`
	Checksums        bool   `json:"checksums"`

	RedoLSN      LSN    `json:"redo_lsn,omitzero"`      // where a recovery from the latest checkpoint begins
	PrevTimeline uint32 `json:"prev_timeline,omitzero"` // differs from Timeline where the checkpoint ended a recovery
	// Replay must reach this position before the data is whole: the standby has
	// it, and flushed pages of it. 0 on a primary after a checkpoint.
	MinRecoveryLSN      LSN    `json:"min_recovery_lsn,omitzero"`
	MinRecoveryTimeline uint32 `json:"min_recovery_timeline,omitzero"`
	WALLogHints         bool   `json:"wal_log_hints,omitzero"` // at the latest start; pg_rewind needs this or Checksums

	Needs Needs `json:"needs,omitzero"`
}

// Needs are the settings of which a standby needs at least as much as the
// server that wrote its WAL: in pg_control those of that server, else those in
// effect.
type Needs struct {
	Connections int64 `json:"max_connections"`
	Workers     int64 `json:"max_worker_processes"`
	Senders     int64 `json:"max_wal_senders"`
	Prepared    int64 `json:"max_prepared_transactions"`
	Locks       int64 `json:"max_locks_per_transaction"`
}

// Each returns the settings by name, always in the same order.
func (n Needs) Each() []Limit {
	return []Limit{
		{Name: "max_connections", Now: n.Connections},
		{Name: "max_worker_processes", Now: n.Workers},
		{Name: "max_wal_senders", Now: n.Senders},
		{Name: "max_prepared_transactions", Now: n.Prepared},
		{Name: "max_locks_per_transaction", Now: n.Locks},
	}
}

// Server is what only SQL can tell.
type Server struct {
	Version     string `json:"version"`            // server_version
	Superuser   string `json:"superuser"`          // name of the bootstrap superuser, whatever it is called
	LSN         string `json:"lsn"`                // write position of a primary, replay position of a standby
	Connections int    `json:"connections"`        // client backends
	MaxConns    int    `json:"max_connections"`    //
	Mismatch    int    `json:"collation_mismatch"` // databases and collations whose recorded version differs from the library's

	StatisticsMissing int `json:"statistics_missing"` // relations with rows and without statistics, in all databases

	Asked    time.Time `json:"asked"`                     // when it told this
	Pending  []Pending `json:"pending_restart,omitempty"` // settings whose new value waits for a restart
	Faults   []string  `json:"faults,omitempty"`          // in the configuration files: a start may fail for them
	Unwaited []string  `json:"-"`                         // whose commits wait for no standby, by their own settings: role "a", database "b"
	Limits   []Limit   `json:"limits,omitempty"`          // settings of which a standby needs no less than its primary
}

// Pending is a setting that the next start of the server changes.
type Pending struct {
	Name string `json:"name"`
	Now  string `json:"now"`  // in effect, as pg_settings has it
	Next string `json:"next"` // as the configuration files have it
}

// Limit is a setting of which a standby needs at least as much as its primary.
type Limit struct {
	Name string `json:"name"`
	Now  int64  `json:"now"`  // in effect
	Next int64  `json:"next"` // as its own configuration has it: from the next start on, of a standby from the next one as a primary

	// Filed is what the configuration files have, whatever the command line says.
	Filed int64 `json:"-"`
}

// Supervisor describes the process that answers.
type Supervisor struct {
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
}

// Restarts counts since the container started.
type Restarts struct {
	Supervisor int       `json:"supervisor"`          // crashes of the supervisor
	Postgres   int       `json:"postgres"`            // deaths of postgres that nobody asked for
	LastExit   string    `json:"last_exit,omitempty"` // how postgres ended last: "exit status 1", "killed by signal 9 (SIGKILL)"
	NextStart  time.Time `json:"next_start,omitzero"` // end of the current back-off
}

// Mode is a shutdown mode of pg_ctl.
type Mode string

// The shutdown modes of pg_ctl and the signals they stand for
// (https://www.postgresql.org/docs/current/server-shutdown.html).
const (
	Smart     Mode = "smart"     // SIGTERM: waits for clients to leave
	Fast      Mode = "fast"      // SIGINT: ends clients, writes a checkpoint
	Immediate Mode = "immediate" // SIGQUIT: no checkpoint; recovery at the next start
)

// Valid reports whether m is one of pg_ctl's modes.
func (m Mode) Valid() bool { return m == Smart || m == Fast || m == Immediate }

// Order is what an operator asks of the supervisor over the control socket.
type Order struct {
	Do      Verb          `json:"do"`
	Mode    Mode          `json:"mode,omitzero"`    // for stop and restart; empty means fast
	Timeout time.Duration `json:"timeout,omitzero"` // nanoseconds; how long smart may wait before it becomes fast; 0 means the default
	Force   bool          `json:"force,omitzero"`   // for start: a foreign postmaster.pid is stale; for promote, alone, reclone and forget: the operator accepts what it may lose
	To      string        `json:"to,omitzero"`      // for switchover: the node that becomes the primary; empty: the heir. For forget: the node that is forgotten
	Node    string        `json:"node,omitzero"`    // for restart and switchover: the node that carries it out; empty: the one that is asked

	Upgrade *UpgradeRequest `json:"upgrade,omitempty"` // for upgrade: what exactly
}

// Verb names an order.
type Verb string

// The orders.
const (
	Stop      Verb = "stop"
	Start     Verb = "start"
	Restart   Verb = "restart"
	Reload    Verb = "reload"
	DoUpgrade Verb = "upgrade" // carried out when it is accepted; State.Upgrade tells the rest

	Switchover Verb = "switchover" // of the whole cluster, on the primary: hand over to To
	Promote    Verb = "promote"    // this standby becomes the primary
	Alone      Verb = "alone"      // this primary goes on without its heir
	Reclone    Verb = "reclone"    // this node's data is replaced by a copy of the primary's
	Pause      Verb = "pause"      // this node changes no role by itself
	Resume     Verb = "resume"     // it does again
	Forget     Verb = "forget"     // To, which is gone for good, is no node of the cluster any more
)

// Verbs lists the orders.
func Verbs() []Verb {
	return []Verb{Stop, Start, Restart, Reload, DoUpgrade, Switchover, Promote, Alone, Reclone, Pause, Resume, Forget}
}

// Valid reports whether the verb is known.
func (v Verb) Valid() bool { return slices.Contains(Verbs(), v) }

// MayForce reports whether the order has a forced form.
func (v Verb) MayForce() bool {
	return v == Start || v == Promote || v == Alone || v == Reclone || v == Forget
}
