package simulate

import (
	"fmt"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/notify"
)

// box is a container with its volume.
type box struct {
	name  string
	place string // its address, which changes

	// The volume.
	record *node.Record
	data   *data
	aside  []*entry // ends of histories that were kept aside

	members node.Members // on the volume

	more  int  // of a setting, beyond its default, in the configuration
	unset bool // PGBATON_ETCD is not set here, although the others have it

	// What runs.
	up  bool
	sup *supervisor
	pg  *server

	// keepalived.
	vip, master bool
	sat         notify.Seat

	// deaf: nothing reaches it, not even its gateway's answers, since this tick.
	deaf   bool
	deafed int

	// fuse counts the points until something breaks; negative: nothing does.
	fuse int
	how  crash

	// doom counts the steps inside of a promotion until postgres dies there;
	// negative: it does not. phoenix: it starts again by itself.
	doom    int
	phoenix bool
}

// crash is what may break a node.
type crash int

const (
	crashSupervisor crash = iota // postgres lives on
	crashContainer               // SIGKILL
	crashPower                   // what was not flushed is gone
)

// supervisor is all that is lost with its process.
type supervisor struct {
	token     string
	started   int
	published *node.State
	seen      map[string]*sight
	members   node.Members
	ruled     ruling
	synced    string
	syncedLSN node.LSN
	disarmed  string
	died      bool
	order     notify.Order
	handover  *notify.Handover
	taken     *node.Release
	ending    bool
	endedAt   int
	wet       int // tick at which the standby streamed last
	doubtAt   int // tick since which the heir streams unproven; 0: it does not
	astrayAt  int // tick since which the heir is not named; 0: it is
	gaveUp    int // tick at which an heir was given up for doubt; 0: never
	heirSeen  int // tick at which the heir was among the senders last
	yielded   int // tick; negative: never
	job       *job
	verdict   notify.Verdict
	loss      *notify.Loss
}

// sight is what a supervisor knows of a peer.
type sight struct {
	state          *node.State
	answers, asked bool
	at             int
	place          string // address at which it answered
}

// job is an action that takes some ticks.
type job struct {
	do     notify.Action
	target string
	step   int
	from   *server
	lsn    node.LSN
}

func (n *box) isOpen() bool {
	return n.pg != nil && n.pg.mode == notify.ServerPrimary
}

func (w *world) startContainer(n *box) {
	if !n.up {
		n.up = true
		w.startSupervisor(n)
	}
}

func (w *world) startSupervisor(n *box) {
	if !n.up || n.sup != nil {
		return
	}
	n.sup = &supervisor{token: w.fresh("token"), started: w.now, seen: map[string]*sight{}, members: n.members, wet: w.now, heirSeen: w.now, yielded: -1}
	if n.data != nil && n.pg == nil && n.data.follows != "" && n.data.clean {
		n.sup.wet = w.now
	}
	n.publish(w)
	w.log("%s: supervisor starts", n.name)
}

func (w *world) crash(n *box, how crash) {
	if !n.up {
		return
	}
	w.log("%s: %s", n.name, [...]string{"supervisor crashes", "container is killed", "power loss"}[how])
	n.fuse = -1
	n.sup = nil
	if how == crashSupervisor {
		return
	}
	w.loseServer(n)
	n.up, n.vip, n.master = false, false, false
	if how == crashPower && n.data != nil {
		n.data.tip = n.data.flushed
	}
	w.checkLastCopy()
}

// point is a moment at which a node may break; it reports whether its
// supervisor is still there.
func (w *world) point(n *box) bool {
	if n.fuse == 0 {
		w.crash(n, n.how)
	}
	if n.fuse > 0 {
		n.fuse--
	}
	return n.sup != nil
}

// remember makes a record durable.
func (w *world) remember(n *box, r *node.Record) bool {
	if !w.point(n) {
		return false
	}
	if r != nil {
		if n.record != nil && n.record.Heir != nil && r.Heir == nil && n.sup.doubtAt > 0 && w.now-n.sup.doubtAt >= doubtTicks {
			n.sup.gaveUp = w.now
		}
		n.record = r
		n.sup.disarmed = ""
		w.log("%s: record %s", n.name, describe(r))
		n.publish(w)
	}
	return w.point(n)
}

func describe(r *node.Record) string {
	s := fmt.Sprintf("epoch %d of %s", r.Epoch, r.Newest().ID)
	if r.Primary {
		s += " primary"
	}
	if r.Heir != nil {
		s += fmt.Sprintf(" heir %s (armed %v)", r.Heir.Node, r.Heir.Armed)
	}
	if r.Armed != nil {
		s += " armed by " + r.Armed.Primary + " " + r.Armed.Right
	}
	if r.Released != nil {
		s += " released to " + r.Released.Target
	}
	return s
}
