package notify

import (
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// Silence is what the user wants where a primary or its heir is silent and no
// arbiter can tell whether it lives (PGBATON_ON_SILENCE).
type Silence string

// What silence may mean.
const (
	SilencePromote  Silence = "promote"  // the armed heir may promote; a primary whose armed heir is silent waits
	SilenceContinue Silence = "continue" // no heir is ever armed; the primary goes on, nobody promotes by itself
	SilenceBoth     Silence = "both"     // the primary goes on and a standby promotes: two histories after a partition
)

// Facts is all that a decision about a node's role rests on.
type Facts struct {
	Now       time.Time
	Policy    Policy
	Self      Self
	Peers     []Peer
	Order     Order
	Handover  *Handover // under way, this node being the old primary; nil: none
	Arbiter   *Arbiter  // nil: PGBATON_ETCD is not set
	Uncounted string    // why it is not known how many nodes the cluster has; empty: it is
	Fresh     string    // a random identifier that nobody else has
}

// Policy is what the user set.
type Policy struct {
	Node      string
	Cluster   string
	OnSilence Silence
	Bootstrap string // node that may make a new cluster; empty: none
	VIP       bool   // keepalived runs in this container (PGBATON_VIP)
}

// Data is what the data directory holds.
type Data int

// What a data directory may hold.
const (
	DataUnknown  Data = iota // not looked at, or in doubt
	DataEmpty                // nothing
	DataHalfMade             // .pgbaton/copy.json: an unfinished copy or rewind left it, good for nothing
	DataCluster              // a whole cluster
)

// Server is how far postgres is.
type Server int

// How far postgres may be.
const (
	ServerDown     Server = iota // every process of it is gone
	ServerStarting               // started, not ready; or stopping
	ServerStandby                // in recovery
	ServerPrimary                // accepts writes
)

// Self is what this node knows of itself.
type Self struct {
	Record  *node.Record // nil: none that counts
	Corrupt bool         // the record is there and cannot be read

	Data             Data
	SystemIdentifier uint64   // of the data; 0: none
	Clean            bool     // the data was shut down cleanly; meaningful while the server is down
	Recovering       bool     // pg_control says that the running or last server was a standby, or is one that is being promoted
	SignalFile       bool     // standby.signal is there
	Restore          bool     // recovery.signal is there, and standby.signal is not: a backup was restored, and its WAL is still to be replayed
	End              node.LSN // end of the WAL that is on disk or was replayed; while the server is down a position within the last record: the LSN of a shutdown checkpoint, or minRecoveryPoint - 1
	Timeline         uint32   // of the running or last server, as far as pg_control knows

	// While the promotion that began this epoch is not complete:
	History []node.TimelineSwitch // that led to Timeline, by its history file; none: that is the first one, or the file is missing or cannot be read
	Begun   uint32                // the highest timeline that pg_wal has a history file of

	Server    Server
	Shut      time.Duration // since the server, a primary that was told to end, has written its shutdown checkpoint: it lets nobody in any more, though processes of it are left; 0: it has not
	Died      bool          // the last server ended unasked and was not started again
	Following string        // node that primary_conninfo names; empty: nobody
	Source    string        // host:port that it has for that; empty: unknown
	Streaming bool          // a WAL receiver is connected, to whatever node has Source now
	Replayed  node.LSN      // of a running standby
	Replay    Replay        // of a running standby: what keeps it from replaying
	Dry       time.Duration // how long a standby with somebody to follow has not been streaming
	Senders   []node.Sender // of a running primary
	Careless  string        // why commits on this server may not wait for a standby that synchronous_standby_names names in the files; empty: they do
	Twins     []string      // nodes by whose name more than one connection replicates: any of them could release commits
	Astray    time.Duration // how long synchronous_standby_names has not named the heir, and the heir alone, although this server is an open primary; 0: it does
	Doubt     time.Duration // how long the proof that commits wait for the heir has failed, which streams; 0: it has not
	Doubted   string        // why it failed last
	Unproven  time.Duration // since an heir was given up for that; 0: none was
	Lax       string        // synchronous_commit where sessions that set nothing do not wait for a standby: off, local; else empty
	LSN       node.LSN      // write position of a running primary
	Named     bool          // synchronous_standby_names is not empty
	Synced    string        // heir through which a commit was proven to wait, in this server's life and since synchronous_standby_names changed last
	SyncedLSN node.LSN      // of that commit
	HeirGone  time.Duration // how long the heir has not been among Senders
	Disarmed  string        // node that answered to our disarm, since it was asked last; for the present epoch

	Lost *Loss // proven of this standby, since its server started last; nil: nothing of the kind

	VIP      bool          // the virtual address is here
	VRRP     string        // MASTER, BACKUP, FAULT, STOP; empty: nothing heard
	Unsaid   time.Duration // how long the virtual address has been here without keepalived's word that it is MASTER
	Deaf     time.Duration // how long nothing has reached this node in the VIP's network, although it asked a gateway that had answered; 0: something does, or nobody can tell
	Ending   bool          // the container is to end
	Token    string        // that an arming must carry
	Taken    *node.Release
	Building bool // a copy is being made
	Cramped  bool // the disk has no room to write a change of the record down for certain
}

// Loss is the proof that a standby can never stream again: it has replayed
// whatever it has, has no archive, and the primary has written and removed the
// WAL that it needs next.
type Loss struct {
	Primary   string   // node that was asked
	Promotion string   // id of the one that both are in
	Needs     node.LSN // the WAL that is gone
	Kept      string   // data of an earlier copy for that reason that is still kept; empty: there is none
	Cramped   string   // why there is no room for another copy; empty: there seems to be
}

// Peer is what this node knows of another.
type Peer struct {
	Address string        // empty where none is known
	Host    string        // by which PGBATON_PEERS names it; empty where it does not
	Member  string        // node that it is by what is remembered, where it never answered this supervisor
	Server  string        // host:port of its server; empty: unknown
	State   *node.State   // its last answer; nil: it never answered this supervisor
	Answers bool          // the latest attempt was answered
	Asked   bool          // at least one attempt has ended since this supervisor started
	Silent  time.Duration // since the last answer; where there was none, since this supervisor started
}

// Order is what an operator asked of this node's role.
type Order struct {
	Promote bool
	Alone   bool
	Reclone bool
	Force   bool
}

// Handover is a planned change of the primary, as the old primary sees it.
type Handover struct {
	Operation string
	Target    string // node; empty: the heir, or the best standby. Whom AskForPrepare asked is the target from then on
	Deadline  time.Time
	Prepared  bool     // Target is ready and the checkpoint is written
	Mark      node.LSN // was written here before that checkpoint; 0: not known
	Why       string
}
