package simulate

import (
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/notify"
)

// tick is the length of one tick of the world's clock.
const tick = 100 * time.Millisecond

func ticks(n int) time.Duration { return time.Duration(n) * tick }

func (w *world) time() time.Time { return time.Unix(1_000_000, 0).Add(ticks(w.now)) }

// facts is what the node's supervisor knows.
func (w *world) facts(n *box) notify.Facts {
	s := n.sup
	f := notify.Facts{
		Now:      w.time(),
		Policy:   notify.Policy{Node: n.name, Cluster: "main", OnSilence: w.policy, Bootstrap: w.boxes[0].name, VIP: !w.bare},
		Self:     w.self(n),
		Order:    s.order,
		Handover: s.handover,
		Fresh:    w.fresh("p"),
		Arbiter:  w.arbiter(n),
	}
	f.Peers = w.peers(n)
	return f
}

func (w *world) self(n *box) notify.Self {
	s := n.sup
	self := notify.Self{
		Record: n.record, Data: notify.DataEmpty, Died: s.died,
		Synced: s.synced, SyncedLSN: s.syncedLSN, Disarmed: s.disarmed,
		VIP: n.vip && !w.bare, VRRP: w.vrrp(n), Ending: s.ending, Token: s.token, Taken: s.taken,
		Building: s.job != nil && s.job.do == notify.Clone,
	}
	if n.deaf && !w.bare {
		self.Deaf = ticks(w.now - n.deafed)
	}
	d := n.data
	switch {
	case d == nil:
		return self
	case d.half:
		self.Data = notify.DataHalfMade
		return self
	}
	self.Data, self.SystemIdentifier = notify.DataCluster, 7
	self.Clean, self.SignalFile = d.clean, d.signal
	self.End, self.Timeline, self.Recovering = d.end(), d.known, !d.primary
	if self.History = d.tip.histories(); d.stub != nil && d.stub.told {
		self.History = d.stub.end.histories()
	}
	self.Begun = d.newest()
	self.Lost = s.loss
	if n.pg == nil {
		return self
	}
	if n.pg.shut > 0 {
		self.Server, self.Shut = notify.ServerStarting, max(1, ticks(w.now-n.pg.shut))
		return self
	}
	self.Server, self.End, self.Timeline = n.pg.mode, d.flushed.end, d.tip.tl
	switch n.pg.mode {
	case notify.ServerStandby:
		self.Following, self.Source, self.Streaming = d.follows, d.place, n.pg.in != nil
		if !self.Streaming {
			self.End = min(self.End, n.pg.replay)
		} else {
			self.End = max(self.End, n.pg.in.got)
		}
		self.Dry = ticks(w.now - s.wet)
		self.Replayed, self.Replay = n.pg.replay, notify.Replay{Paused: n.pg.paused, Short: n.pg.short(d)}
		w.seekLoss(n)
	case notify.ServerPrimary:
		self.Senders, self.LSN, self.Named = w.senders(n), d.tip.end, n.pg.names != ""
		self.HeirGone = ticks(w.now - s.heirSeen)
		self.Doubt, self.Astray, self.Doubted = w.lasting(s.doubtAt), w.lasting(s.astrayAt), "no connection is free"
		if s.gaveUp > 0 {
			self.Unproven = max(1, ticks(w.now-s.gaveUp))
		}
	}
	return self
}

func (w *world) senders(n *box) []node.Sender {
	var out []node.Sender
	for _, other := range w.boxes {
		if st := n.pg.out[other.name]; st != nil {
			out = append(out, node.Sender{Node: other.name, State: "streaming", Flush: st.flush, Replay: min(st.flush, st.recv.replay), Ahead: st.flush > n.data.flushed.end})
		}
	}
	return out
}

func (w *world) vrrp(n *box) string {
	if w.bare {
		return ""
	}
	if n.master {
		return "MASTER"
	}
	return "BACKUP"
}

// publish is what the API shows until the next look.
func (n *box) publish(w *world) {
	f := w.self(n)
	seen := notify.Facts{Policy: notify.Policy{Node: n.name, Cluster: "main"}, Self: f, Peers: w.peers(n)}
	c := &node.Cluster{
		Name: "main", Instance: n.sup.token, Record: n.record, Empty: f.Data != notify.DataCluster, Building: f.Building,
		Open: n.isOpen() && n.record != nil && n.record.Primary && n.record.Released == nil, Leaving: n.sup.ending, Token: n.sup.token,
		Following: f.Following, Streaming: seen.Streams(), Senders: f.Senders, Synced: f.Synced, VIP: f.VIP, VRRP: f.VRRP,
		Members: n.sup.members.Members,
	}
	if f.Server == notify.ServerStandby {
		c.Received, c.Replayed, c.Stalled = f.End, f.Replayed, f.Replay.Stalled()
	}
	if a := w.arbiter(n); a != nil {
		c.Arbiter = &node.Arbiter{ID: a.ID, Answers: a.Answers}
	}
	st := &node.State{Node: n.name, Cluster: c}
	switch f.Server {
	case notify.ServerStandby:
		st.Role = node.Standby
	case notify.ServerPrimary:
		st.Role = node.Primary
	default:
	}
	n.sup.published = st
}

// notice keeps the times that facts are made of.
func (w *world) notice(n *box) {
	s := n.sup
	w.noticePromise(n)
	if n.pg == nil || n.pg.mode != notify.ServerStandby || n.pg.in != nil || n.data.follows == "" {
		s.wet = w.now
	}
	if n.pg == nil || n.record == nil || n.record.Heir == nil || n.pg.out[n.record.Heir.Node] != nil {
		s.heirSeen = w.now
	}
}

// doubtTicks is how long nothing is proven before an heir is given up.
const doubtTicks = 150

// lasting is how long something has been so; 0: it is not.
func (w *world) lasting(since int) time.Duration {
	if since == 0 {
		return 0
	}
	return max(1, ticks(w.now-since))
}

// noticePromise keeps since when commits are not known to wait as the record says.
func (w *world) noticePromise(n *box) {
	s := n.sup
	promised := n.isOpen() && n.record != nil && n.record.Heir != nil
	if !promised || s.synced == n.record.Heir.Node || n.pg.out[n.record.Heir.Node] == nil {
		s.doubtAt = 0
	} else if s.doubtAt == 0 {
		s.doubtAt = w.now
	}
	proving := s.job != nil && s.job.do == notify.Prove
	if !promised || n.pg.names == n.record.Heir.Node || proving {
		s.astrayAt = 0
	} else if s.astrayAt == 0 {
		s.astrayAt = w.now
	}
}
