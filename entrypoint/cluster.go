package entrypoint

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"time"

	"github.com/pgbaton/pgbaton/internal/arbiter"
	"github.com/pgbaton/pgbaton/internal/fleet"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/vrrp"
	"github.com/pgbaton/pgbaton/notify"
)

// clustering is this node's place in its cluster. Only the loop touches it,
// but for the fleet. Without peers it stays empty.
type clustering struct {
	fleet    *fleet.Fleet
	instance string    // of this supervisor
	started  time.Time //
	token    string    // that an arming must carry; another one after each disarm

	loaded  bool // the record was looked for
	record  *node.Record
	corrupt string // why the record cannot be read
	members membership

	monitor *monitoring // while a server is ready
	repl    *pg.Replication
	mute    time.Time // since when the server gives no answer; zero: it does
	unmet   time.Time // since when it takes no new connection; zero: it does
	flowed  time.Time // a standby's stream was last seen
	sent    time.Time // the heir was last seen among the senders

	facts      notify.Facts // of the latest decision
	verdict    notify.Verdict
	said       string // the verdict that was logged last
	task       task
	order      notify.Order
	handover   *notify.Handover
	prepare    preparation
	undone     string // why the latest handover was called off
	taken      *node.Release
	disarmed   string
	synced     string
	syncedAt   node.LSN
	names      bool // synchronous_standby_names is not known to be empty
	follows    string
	source     string    // host:port by which
	shut       time.Time // the server was first seen to have shut its data down; zero: it has not
	signalled  bool      // standby.signal is known to be durable
	fenced     time.Time // the server was told to stop because another is the primary
	again      time.Time // not before this is a copy or a rewind tried again
	failed     string    // why the latest one failed
	pause      time.Duration
	partBy     time.Time // a container that ends waits for its role no longer than this
	stall      stall
	stuck      stuck             // of an open primary's commits
	waited     *node.CommitsWait // as the API showed it last
	answers    bool              // the server answered the latest question about replication
	haltBy     time.Time         // a standby whose server alone ends: no longer than this
	ensured    ensuring
	progress   string // of a copy
	seat       notify.Seat
	yielded    time.Time
	hook       hook
	mystery    time.Time        // since when the VIP is here without keepalived's MASTER
	seats      seats            // nil: none could be made
	keepalived *vrrp.Daemon     // nil: it does not run in this container
	arbiter    *arbiter.Arbiter // nil: PGBATON_ETCD is not set
	diverged   int
	vrrpFault  string
	rival      rivalry
	keptFrom   node.LSN // the end of the data whose own WAL was kept
	keptFor    string   // … before a rewind onto this promotion
	unread     string   // the error of a history file, as it was logged last
	losing     losing
	promise    promise
}

// clustered reports whether this node has peers.
func (s *supervisor) clustered() bool { return s.cl.fleet != nil }

// joinCluster begins to ask the peers.
func (s *supervisor) joinCluster(ctx context.Context) {
	if len(s.set.Peers) == 0 {
		return
	}
	s.cl.instance, s.cl.token, s.cl.started, s.cl.names = randomID(), randomID(), time.Now(), true
	s.cl.fleet = fleet.Start(ctx, fleet.Config{
		Hosts: s.set.Peers, Instance: s.cl.instance, Dial: s.dialPeer, Changed: s.wake,
	})
	s.startArbiter(ctx)
	s.startVRRP(ctx)
}

// dialPeer makes the client for a peer's API.
func (s *supervisor) dialPeer(address string) *nodeapi.Peer {
	if s.tls != nil {
		return nodeapi.NewTLSPeer(address, s.set.Token.Reveal(), s.tls)
	}
	return nodeapi.NewPeer(address, s.set.Token.Reveal())
}

// randomID is 128 random bits.
func randomID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // it never fails
	return hex.EncodeToString(b)
}

func (s *supervisor) policy() notify.Policy {
	return notify.Policy{
		Node: s.set.Node, Cluster: s.set.Cluster,
		OnSilence: notify.Silence(s.set.OnSilence), Bootstrap: s.set.Bootstrap, VIP: s.set.VIP.IsValid(),
	}
}

// Fleet is what the peers said last (nodeapi).
func (s *supervisor) Fleet() []node.State {
	if s.cl.fleet == nil {
		return nil
	}
	var out []node.State
	for _, p := range s.cl.fleet.Peers() {
		if p.State != nil {
			out = append(out, *p.State)
		}
	}
	return out
}

// serverOf is where a peer's server is reached.
func serverOf(p notify.Peer) (host string, port int) {
	host, _, err := net.SplitHostPort(p.Address)
	if err != nil {
		host = p.Address
	}
	port = 5432
	if c := p.State.Cluster; c != nil {
		if c.Address != "" {
			host = c.Address
		}
		if c.Port != 0 {
			port = c.Port
		}
	}
	return host, port
}

// showCluster is this node's place as the API shows it.
func (s *supervisor) showCluster() *node.Cluster {
	if !s.clustered() {
		return nil
	}
	f := &s.cl.facts
	c := &node.Cluster{
		Name: s.set.Cluster, Instance: s.cl.instance, Record: s.cl.record, Corrupt: s.cl.corrupt != "",
		Empty: f.Self.Data == notify.DataEmpty, Building: s.volume != nil && s.copying(s.volume) != nil,
		Leaving: s.quits(), Cramped: f.Self.Cramped, Token: s.cl.token, Following: s.cl.follows, Synced: s.cl.synced,
		Streaming: f.Streams(), Received: f.Self.End, Stalled: f.Self.Replay.Stalled(), Senders: f.Self.Senders,
		VIP: f.Self.VIP, VRRP: f.Self.VRRP, Eligible: s.cl.seat.Eligible, Why: s.cl.verdict.Why, Loses: loses(f), OnSilence: string(s.set.OnSilence),
		Arbiter: s.showArbiter(),
	}
	if r := s.cl.record; r != nil && r.Primary {
		c.Open = r.Released == nil && f.Self.Server == notify.ServerPrimary && s.server != nil && s.server.told == "" && !f.Beaten()
	}
	c.Unanswered = s.cl.mute
	c.CommitsWait, c.VIPWanted = s.commitsWait(c.Open), s.set.VIP.IsValid()
	if s.server != nil && s.server.file.Port != 0 {
		c.Port = s.server.file.Port
	}
	if r := s.cl.repl; r != nil {
		c.Replayed, c.Written, c.Timeline, c.ReplayLag = r.Replayed, r.Written, r.Timeline, r.ReplayLag
	}
	if s.cl.progress != "" {
		c.Why = s.cl.progress
	}
	c.Peers, c.Members = s.peerViews(), s.cl.members.Members.Members
	return c
}

// namesakes warns of peers with this node's name: records, slots and the heir
// go by it, so neither ever acts upon the other.
func (s *supervisor) namesakes() (warnings []string) {
	for _, p := range s.cl.facts.Peers {
		if p.State != nil && p.State.Node == s.set.Node {
			warnings = append(warnings, fmt.Sprintf("%s has this node's name %q too: neither follows the other. Set PGBATON_NODE to another name there or here", p.Address, s.set.Node))
		}
	}
	for _, p := range s.cl.facts.Peers {
		if c := clusterOf(p); c != nil && c.Name == s.set.Cluster && c.OnSilence != "" && c.OnSilence != string(s.set.OnSilence) {
			warnings = append(warnings, fmt.Sprintf("PGBATON_ON_SILENCE is %s on %s and %s here: what neither loses holds only where all nodes have the same", c.OnSilence, p.State.Node, s.set.OnSilence))
		}
	}
	return warnings
}

// loses says what the present setting can lose, and when it waits.
func loses(f *notify.Facts) string {
	r := f.Self.Record
	if p, found := f.Primary(); found && (r == nil || !r.Primary) {
		r = p.State.Cluster.Record
	}
	switch f.Policy.OnSilence {
	case notify.SilenceContinue:
		return "nothing is lost as long as the primary's volume is not: no standby promotes by itself, so a primary that is gone for good needs an operator"
	case notify.SilenceBoth:
		return "commits that had not reached the standby are lost when it takes over, and a partition makes two histories of which one is kept aside"
	}
	if p, found := f.Primary(); !servesHere(f) && (!found || !p.Answers) {
		return unledLoses(f.Self.Record)
	}
	if r != nil && r.Primary && r.Heir == nil {
		return "nothing is lost as long as the primary's volume is not: no heir is armed, so nobody takes over until one is"
	}
	if why := f.Unkept(); why != "" {
		return "what is acknowledged now may be lost when the heir takes over, because commits are not proven to wait for it: " + why
	}
	if f.Arbiter != nil {
		return arbiterLoses(f.Arbiter)
	}
	return "nothing acknowledged is lost: commits wait for the armed heir, and wait on when it is silent, until it answers or an operator says `pgbaton alone --force`"
}

// servesHere reports whether this node is a primary, whatever its server does.
func servesHere(f *notify.Facts) bool {
	r := f.Self.Record
	return r != nil && r.Primary && r.Released == nil
}

// unledLoses is for a node that hears no primary.
func unledLoses(r *node.Record) string {
	const text = "no primary answers, so nothing is acknowledged and nothing more is lost by waiting; "
	if r != nil && r.Armed != nil {
		return text + "this node is the armed heir and has every acknowledged commit: it takes over once the silence is certain, or by `pgbaton promote`"
	}
	return text + "this node is not armed: `pgbaton promote --force` makes it the primary, and loses the commits that are missing here"
}
