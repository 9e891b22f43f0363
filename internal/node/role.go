package node

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// LSN is a position in the write-ahead log, in bytes from its beginning.
type LSN uint64

// String writes an LSN as PostgreSQL does: two hexadecimal numbers.
func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint64(l)>>32, uint32(l)) }

// ParseLSN reads PostgreSQL's form of an LSN.
func ParseLSN(s string) (LSN, error) {
	high, low, found := strings.Cut(s, "/")
	h, errH := strconv.ParseUint(high, 16, 32)
	l, errL := strconv.ParseUint(low, 16, 32)
	if !found || errH != nil || errL != nil {
		return 0, fmt.Errorf("%.40q is no LSN", s)
	}
	return LSN(h<<32 | l), nil
}

// MarshalText writes an LSN as PostgreSQL does.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads PostgreSQL's form of an LSN.
func (l *LSN) UnmarshalText(text []byte) (err error) {
	*l, err = ParseLSN(string(text))
	return err
}

// Record is a node's role record: the durable and only permission to open as
// a primary, and what a heir knows of its own right to promote. It is void on
// any other node or volume than the one it names.
type Record struct {
	Node             string `json:"node"`
	Volume           uint64 `json:"volume,string"` // inode of the volume's .pgbaton
	Cluster          string `json:"cluster"`
	SystemIdentifier uint64 `json:"system_identifier,string"`

	// Epoch counts the promotions of the cluster; the higher one is newer.
	Epoch uint64 `json:"epoch"`
	// Promotions is the history of the data, the oldest first. The last one
	// began Epoch, on this node or on the one that it follows.
	Promotions []Promotion `json:"promotions"`

	// Primary: this node's data is that of Epoch's primary.
	Primary bool `json:"primary,omitzero"`
	// Heir of a primary; nil: it is alone, and nobody else may promote.
	Heir *Heir `json:"heir,omitempty"`
	// Released: the right to open was given to another node for good.
	Released *Release `json:"released,omitempty"`
	// Armed, of a standby: it may promote on silence of that primary.
	Armed *Armed `json:"armed,omitempty"`
	// Reached, of a standby: it has streamed in Epoch, so its data goes on
	// where the newest promotion began.
	Reached bool `json:"reached,omitzero"`
	// Paused: an operator wants no change of roles by itself here.
	Paused bool `json:"paused,omitzero"`
}

// Promotion is the beginning of one epoch.
type Promotion struct {
	ID       string    `json:"id"`       // random
	Epoch    uint64    `json:"epoch"`    //
	Node     string    `json:"node"`     // that promoted
	Timeline uint32    `json:"timeline"` // that it began; 0 while the promotion is under way
	At       LSN       `json:"at"`       // where the timeline begins; 0 as Timeline is
	Time     time.Time `json:"time"`
	Why      string    `json:"why"` // the sentence of the decision
}

// TimelineSwitch is where a timeline ended and the next one of its history
// began. WAL up to At is common to both.
type TimelineSwitch struct {
	Timeline uint32 `json:"timeline"` // that ended
	At       LSN    `json:"at"`
}

// Heir is the one standby that every commit waits for.
type Heir struct {
	Node  string `json:"node"`
	Armed bool   `json:"armed"` // it may have written down that it is armed
	// Arbiter that its right to promote on silence needs, and that right's
	// random id there; empty: an heir without one, whose silence says nothing.
	Arbiter string `json:"arbiter,omitempty"`
	Right   string `json:"right,omitempty"`
}

// Release gives the right to open to another node. It is never taken back.
type Release struct {
	Operation string    `json:"operation"` // random
	Target    string    `json:"target"`    // node
	Epoch     uint64    `json:"epoch"`     // the one that ends
	LSN       LSN       `json:"lsn"`       // the shutdown checkpoint; 0 where the server died
	Why       string    `json:"why"`       //
	Time      time.Time `json:"time"`
}

// Armed is a heir's right to promote when the primary is silent.
type Armed struct {
	Primary   string `json:"primary"`   // node
	Epoch     uint64 `json:"epoch"`     //
	Promotion string `json:"promotion"` // id of the promotion that began it
	// Arbiter that has to agree before it is used, and its id there; empty: the
	// silence and the VIP are enough. It stays so when the setting changes.
	Arbiter string `json:"arbiter,omitempty"`
	Right   string `json:"right,omitempty"`
}

// Newest is the promotion that began the record's epoch.
func (r *Record) Newest() Promotion {
	if r == nil || len(r.Promotions) == 0 {
		return Promotion{}
	}
	return r.Promotions[len(r.Promotions)-1]
}

// Cluster is what a node says about its place in a cluster; it is nil where
// no peers are configured.
type Cluster struct {
	Name      string   `json:"name"`                //
	Instance  string   `json:"instance"`            // random, of this supervisor
	Record    *Record  `json:"record,omitempty"`    // nil: there is none that counts
	Corrupt   bool     `json:"corrupt,omitzero"`    // the record cannot be read; it is kept aside
	Empty     bool     `json:"empty,omitzero"`      // the data directory is empty
	Building  bool     `json:"building,omitzero"`   // data is being copied or made: this is nobody's peer
	Open      bool     `json:"open,omitzero"`       // a primary that lets clients in
	Leaving   bool     `json:"leaving,omitzero"`    // the container is about to end
	Cramped   bool     `json:"cramped,omitzero"`    // its disk has no room to give a right up again: it is nobody's heir
	Token     string   `json:"token,omitempty"`     // to be given with an arming; another one after each refusal of the last
	Address   string   `json:"address,omitempty"`   // by which peers reach its server, where it differs from the API's
	Port      int      `json:"port,omitzero"`       // of its server
	Following string   `json:"following,omitempty"` // node that it streams from, or tries to
	Streaming bool     `json:"streaming,omitzero"`  // a WAL receiver is connected
	Received  LSN      `json:"received,omitzero"`   // end of the WAL that is on its disk
	Replayed  LSN      `json:"replayed,omitzero"`   //
	Stalled   string   `json:"stalled,omitempty"`   // why this standby's replay does not go on, or is late on purpose: it is nobody's heir; empty: nothing is in its way
	Senders   []Sender `json:"senders,omitempty"`   // standbys connected to this server
	Synced    string   `json:"synced,omitempty"`    // heir through which a commit was proven to wait
	VIP       bool     `json:"vip,omitzero"`        // the virtual address is on this node
	VRRP      string   `json:"vrrp,omitempty"`      // keepalived's word: MASTER, BACKUP, FAULT, STOP; empty: none heard
	Eligible  bool     `json:"eligible,omitzero"`   // may hold the VIP
	Peers     []Peer   `json:"peers,omitempty"`     // as this node sees them
	Members   []Member `json:"members,omitempty"`   // who is or was a node of the cluster, as far as this node knows
	Timeline  uint32   `json:"timeline,omitzero"`   // that the running server writes or reads
	Written   LSN      `json:"written,omitzero"`    // of a running primary
	Why       string   `json:"why,omitempty"`       // the latest decision about the role, a sentence
	OnSilence string   `json:"on_silence"`          // PGBATON_ON_SILENCE
	Loses     string   `json:"loses,omitempty"`     // what the present setting can lose, and when it waits

	Arbiter *Arbiter `json:"arbiter,omitempty"` // as this node sees it; nil: PGBATON_ETCD is not set

	CommitsWait *CommitsWait `json:"commits_wait,omitempty"`    // on an open primary whose commits do not return; nil: they do
	Unanswered  time.Time    `json:"unanswered_since,omitzero"` // since when the running server gives its supervisor no answer; zero: it does
	VIPWanted   bool         `json:"vip_wanted,omitzero"`       // the virtual address is to be on the primary (PGBATON_VIP)

	// ReplayLag, of a standby: how old its data is at most, by its own word; 0
	// where it streams and has replayed all, nil where that is not known.
	ReplayLag *time.Duration `json:"replay_lag,omitempty"`
}

// Sender is one row of pg_stat_replication.
type Sender struct {
	Node      string `json:"node"`          // application_name
	State     string `json:"state"`         // streaming, catchup, …
	SyncState string `json:"sync_state"`    // sync, potential, async
	Priority  int    `json:"sync_priority"` //
	Flush     LSN    `json:"flush_lsn"`
	Replay    LSN    `json:"replay_lsn"`

	// Ahead: it has flushed WAL that this server has not written, so its history
	// is another one, whatever its timeline's number: it is no copy.
	Ahead bool `json:"ahead,omitzero"`

	// ReplayLag is how far the standby's replay is behind in time; 0 where it has
	// replayed all, nil where the server does not know.
	ReplayLag *time.Duration `json:"replay_lag,omitempty"`
}

// Peer is how a node sees another.
type Peer struct {
	Address string        `json:"address"`         // of its API
	Node    string        `json:"node,omitempty"`  // empty: it is not known who that is
	Age     time.Duration `json:"age"`             // since its last answer; -1: never
	Error   string        `json:"error,omitempty"` // of the last attempt; empty: it answered

	// Last is what a silent node was when it was heard of last; nil where it
	// never was.
	Last *Sight `json:"last,omitempty"`
}

// Event is something that happened to a node, for people.
type Event struct {
	Time time.Time `json:"time"`
	What string    `json:"what"` // a sentence
}
