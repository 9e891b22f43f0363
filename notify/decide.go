package notify

import (
	"fmt"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// Action is what a node does next about its role.
type Action string

// The actions. Those that only wait come first.
const (
	Wait          Action = "wait"          // all is as it should be, or is on its way
	Hold          Action = "hold"          // nothing is done until something changes; the reason says what
	Write         Action = "write"         // the record alone changes
	Initialize    Action = "initialize"    // make a new cluster; what an unfinished one left is kept aside
	Clone         Action = "clone"         // copy Target's cluster; what lies there is kept until the copy runs
	Recover       Action = "recover"       // replay the data's own WAL, closed and without standby.signal, so that it is cleanly shut down
	Finish        Action = "finish"        // replay a restored backup's WAL as its own configuration says, closed, up to its promotion
	Rewind        Action = "rewind"        // pg_rewind onto Target; the directory counts as half made from before its first write until After is durable
	StartStandby  Action = "start standby" // in recovery, streaming from Target; from nobody where none is named
	StartPrimary  Action = "start primary" // without standby.signal; synchronous_standby_names is Target from the start, or empty
	Follow        Action = "follow"        // the running standby streams from Target from now on; from nobody where none is named
	Stop          Action = "stop"          // fast, then immediately: no more writes here
	Complete      Action = "complete"      // the promotion is done: the record alone changes
	Name          Action = "name"          // synchronous_standby_names becomes Target's name again, which proves nothing
	Unname        Action = "unname"        // synchronous_standby_names becomes empty
	Prove         Action = "prove"         // commits are proven to wait for Target
	AskForArming  Action = "arm"           // ask Target to write down that it is armed
	AskForDisarm  Action = "disarm"        // ask Target to give that up
	AskForPrepare Action = "prepare"       // ask Target whether it is ready, and write a checkpoint
	StopForTarget Action = "hand over"     // stop fast, so that Target has the shutdown checkpoint
	Undo          Action = "undo"          // the handover is called off
	Release       Action = "release"       // write standby.signal, then the record, then tell Target
	Tell          Action = "tell"          // tell Target of the release again
	Promote       Action = "promote"       // the record first, then the server
	SetAside      Action = "set aside"     // the data is kept aside, the directory is empty then
	Leave         Action = "leave"         // nothing of this role keeps the container from ending
	Register      Action = "register"      // tell the arbiter, by compare-and-swap, what this primary's record says or gives up
	Claim         Action = "claim"         // ask the arbiter, by compare-and-swap, for the next epoch
)

// Verdict is one decision: what to do, about whom, and why, in one sentence.
type Verdict struct {
	Do     Action
	Target string       // node
	Record *node.Record // made durable before anything is done; nil: it stays
	After  *node.Record // made durable once it is done; nil: it stays
	Swap   *Swap        // of Register and Claim
	Why    string
	// Timeline, of StartStandby: the one at whose end recovery ends; 0: the
	// latest that pg_wal or the archive has a history of.
	Timeline uint32
	// Ordered: this fulfils the operator's order, which is over once it is done;
	// until then the order stands.
	Ordered bool
}

// Bounds of decisions, none of which safety rests on.
const (
	// heirGone is how long an heir that answers may not be streaming before
	// the primary stops waiting for it.
	heirGone = time.Second
	// dryFor is how long a standby may fail to stream before its history is
	// compared again.
	dryFor = 5 * time.Second
	// dryLong is how long it may fail before that counts as something for an
	// operator: PostgreSQL itself tries again every 5 s.
	dryLong = 20 * time.Second
	// doubtFor is how long the proof that commits wait for an heir may fail before
	// the heir is given up, and doubtAgain how long nobody becomes one then: each
	// try makes commits wait.
	doubtFor   = 15 * time.Second
	doubtAgain = time.Minute
	// astrayFor is how long commits may not wait for an armed heir that is
	// silent before this primary closes.
	astrayFor = 3 * time.Second
	// lookAround is how long a primary without an heir that was down asks its
	// peers before it opens, under SilenceBoth.
	lookAround = 3 * time.Second
	// aloneAfter is how long an armed heir is silent before the primary asks
	// the arbiter to go on without it.
	aloneAfter = 3 * time.Second
	// claimAfter is how long a primary is silent before its heir claims its
	// place, where no keepalived tells.
	claimAfter = 2 * time.Second
)

// Decide is pure: the same facts give the same verdict. The rows are tried in
// order and the last one holds. Doubt never promotes, never demotes, never
// rewinds.
func Decide(f Facts) Verdict {
	for _, row := range rows {
		if v, fits := row(&f); fits {
			return v
		}
	}
	return Verdict{Do: Hold, Why: "these facts fit no rule; nothing is done"}
}

// row is one rule; it fits or it does not.
type row func(*Facts) (Verdict, bool)

var rows = []row{
	corrupt,
	unknown,
	empty,
	unrecorded,
	restored,
	paused,
	primaryData,
	standbyData,
}

// Streams reports whether this standby streams from the node that it follows.
func (f *Facts) Streams() bool { return f.streams() }

func no() (Verdict, bool) { return Verdict{}, false }

// ordering marks a verdict that fulfils an operator's order.
func ordering(v Verdict, fits bool) (Verdict, bool) {
	v.Ordered = true
	return v, fits
}

func yes(do Action, target, format string, args ...any) (Verdict, bool) {
	return Verdict{Do: do, Target: target, Why: fmt.Sprintf(format, args...)}, true
}

// corrupt: a record that cannot be read is never a missing one.
func corrupt(f *Facts) (Verdict, bool) {
	if !f.Self.Corrupt {
		return no()
	}
	if f.Self.Server != ServerDown {
		return yes(Wait, "", "the role record became unreadable while the server ran; it goes on as it is")
	}
	if v, fits := f.decided(); fits {
		return v, true
	}
	return yes(Hold, "", "the role record cannot be read and was kept aside: whether this node may open is unknown. "+
		"Nothing was touched; `pgbaton alone --force` makes it the primary, `pgbaton reclone` a copy of the present one")
}

func unknown(f *Facts) (Verdict, bool) {
	if f.Self.Data != DataUnknown {
		return no()
	}
	return yes(Wait, "", "looking at the data directory")
}

// followerOf is this node's record once its data is a copy of the peer's.
func (f *Facts) followerOf(p Peer) *node.Record {
	r := p.record()
	next := &node.Record{
		Node: f.Policy.Node, Cluster: f.Policy.Cluster, SystemIdentifier: r.SystemIdentifier,
		Epoch: r.Epoch, Promotions: append([]node.Promotion(nil), r.Promotions...),
	}
	if mine := f.Self.Record; mine != nil {
		next.Paused = mine.Paused
		next.Reached = !mine.Primary && mine.Reached && mine.Newest().ID == r.Newest().ID
	}
	return next
}

// paused: an operator wants no change of a standby's role by itself. Starting
// in the role that the record permits goes on, so does leaving; a release to
// this node is a decision that was made already. A paused primary only does
// not hand over by proof: it is fenced as ever, and looks after its heir, lest
// commits wait for one that has gone.
func paused(f *Facts) (Verdict, bool) {
	s := f.Self
	if !s.Record.Paused || s.Record.Primary || s.Ending || s.Server == ServerDown || f.Order != (Order{}) {
		return no()
	}
	if rel, _ := f.releasedToMe(); rel != nil {
		return no()
	}
	for _, row := range []row{claimed, disclaiming, outgrown, learning} { // what the arbiter gave is a decision that was made already too
		if v, fits := row(f); fits {
			return v, true
		}
	}
	return yes(Wait, "", "an operator paused changes of roles here; `pgbaton resume` ends that")
}
