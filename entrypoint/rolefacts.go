package entrypoint

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/pgbaton/pgbaton/internal/fleet"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/notify"
)

// staleAfter is when a peer's last answer says nothing about now any more,
// whatever the latest question brought: this supervisor itself may have stood
// still.
const staleAfter = 2 * time.Second

// decideRole gathers the facts about this node's role and decides.
func (s *supervisor) decideRole() {
	if r := s.cl.record; s.cl.handover != nil && (r == nil || !r.Primary) {
		// Another node was promoted meanwhile: there is nothing left to hand
		// over, and whoever ordered it waits no longer.
		s.cl.handover = nil
	}
	f := notify.Facts{
		Now: time.Now(), Policy: s.policy(), Order: s.cl.order, Handover: s.cl.handover, Fresh: randomID(),
		Self: s.roleSelf(), Peers: s.foundPeers(), Arbiter: s.arbiterFacts(), Uncounted: s.uncounted(),
	}
	s.heedMembers(f)
	f.Peers = s.rolePeers()
	s.cl.facts = f
	s.cl.verdict = notify.Decide(f)
	s.takeSeat(f)
	if r := s.cl.record; r != nil && r.Released != nil {
		if p, found := f.Primary(); found && p.State.Node == r.Released.Target && p.State.Cluster.Open {
			s.cl.fleet.Calm() // whom the fast questions were about is there
		}
	}
	s.keepLease(&f)
	if v := s.cl.verdict; string(v.Do)+v.Why != s.cl.said {
		s.cl.said = string(v.Do) + v.Why
		s.log.Info("role: "+v.Why, "do", string(v.Do))
		s.happened("role: %s", v.Why)
	}
}

// rolePeers are the peers, those that nobody finds too.
func (s *supervisor) rolePeers() []notify.Peer {
	return notify.WithAbsent(s.foundPeers(), s.cl.members.Members, s.set.Nodes, s.set.Node, time.Since(s.cl.started))
}

func (s *supervisor) foundPeers() []notify.Peer {
	var out []notify.Peer
	for _, p := range s.cl.fleet.Peers() {
		out = append(out, s.rolePeer(p))
	}
	return out
}

func (s *supervisor) rolePeer(p fleet.Peer) notify.Peer {
	since := p.Answered
	if p.State == nil {
		since = later(p.Known, s.cl.started)
	}
	silent := time.Since(since)
	return notify.Peer{
		Address: p.Address, Host: p.Host, Server: serverAt(p), State: p.State, Asked: !p.Asked.IsZero(), Silent: silent,
		Answers: p.Err == nil && p.State != nil && !p.Asked.IsZero() && silent < staleAfter,
	}
}

// serverAt is where the server of the node is reached that an address belongs
// to, as far as it has said.
func serverAt(p fleet.Peer) string {
	if p.State == nil {
		return ""
	}
	host, port := serverOf(notify.Peer{Address: p.Address, State: p.State})
	return net.JoinHostPort(host, strconv.Itoa(port))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (s *supervisor) roleSelf() notify.Self {
	self := notify.Self{
		Record: s.cl.record, Corrupt: s.cl.corrupt != "", Ending: s.quits(), Token: s.cl.token, Taken: s.cl.taken,
		Following: s.cl.follows, Source: s.cl.source, Synced: s.cl.synced, SyncedLSN: s.cl.syncedAt, Disarmed: s.cl.disarmed, Named: s.cl.names,
	}
	v := s.volume
	if v == nil || !s.cl.loaded {
		return self
	}
	self.Data, self.Cramped = s.roleData(v), !s.hasReserve()
	self.SignalFile = exists(filepath.Join(v.place.pgdata, "standby.signal"))
	self.Restore = !self.SignalFile && exists(filepath.Join(v.place.pgdata, "recovery.signal"))
	if c, err := s.readControl(v.place.pgdata); err == nil && self.Data == notify.DataCluster {
		self.SystemIdentifier, self.Clean = c.SystemIdentifier, pg.CleanShutdown(c)
		self.Timeline, self.Recovering = max(c.Timeline, c.MinRecoveryTimeline), pg.Recovering(c)
		self.End = endOf(c)
		self.Shut = s.shutFor(c)
	}
	self.Careless = s.careless()
	self.Died = s.past.Exited && !s.past.Asked && !s.past.Status.Success() && s.server == nil
	s.roleServer(&self)
	if r := s.cl.record; r != nil && r.Newest().Timeline == 0 { // nobody else asks
		self.History, self.Begun = s.history(self.Timeline)
	}
	self.Building = self.Data == notify.DataHalfMade
	self.Lost = s.cl.losing.loss
	s.roleVIP(&self)
	self.Unsaid = s.cl.unsaid(&self)
	return self
}

// roleData is what the data directory holds.
func (s *supervisor) roleData(v *volume) notify.Data {
	switch {
	case v.move != nil:
		return notify.DataUnknown
	case s.server != nil:
		return notify.DataCluster
	case v.obstacle != "":
		return notify.DataUnknown
	case s.copying(v) != nil:
		return notify.DataHalfMade
	case v.data == dataCluster:
		return notify.DataCluster
	case v.data == dataEmpty:
		return notify.DataEmpty
	}
	return notify.DataUnknown
}

// shutFor is how long ago the server that was told to end had shut its data down
// (notify.Self.Shut). One that was ready had another state before.
func (s *supervisor) shutFor(c node.Control) time.Duration {
	if s.server == nil || !s.server.ready || s.server.told == "" || c.State != pg.ShutDown {
		s.cl.shut = time.Time{}
		return 0
	}
	if s.cl.shut.IsZero() {
		s.cl.shut = time.Now()
	}
	return max(1, time.Since(s.cl.shut))
}

// endOf is where the last record of a cluster that was cleanly shut down
// begins, or a position within it: all WAL that the cluster needs ends after it.
func endOf(c node.Control) node.LSN {
	lsn, _ := node.ParseLSN(c.CheckpointLSN)
	if c.State == pg.ShutDown || c.MinRecoveryLSN == 0 {
		return lsn
	}
	return max(lsn, c.MinRecoveryLSN-1) // minRecoveryPoint is an end
}

// roleServer tells how far the server is.
func (s *supervisor) roleServer(self *notify.Self) {
	if s.server == nil {
		return
	}
	self.Server = notify.ServerStarting
	r := s.cl.repl
	if !s.server.ready || s.server.told != "" || r == nil {
		return
	}
	self.Timeline, self.Senders, self.Named = r.Timeline, r.Senders, s.cl.names || r.SyncNames != ""
	if r.Commit == "off" || r.Commit == "local" {
		self.Lax = r.Commit
	}
	if r.Role == node.Primary {
		self.Server, self.LSN, self.End = notify.ServerPrimary, r.Flushed, r.Flushed
		s.rolePromise(self, r)
		if !s.cl.sent.IsZero() {
			self.HeirGone = time.Since(s.cl.sent)
		}
		return
	}
	self.Server, self.End, self.Replayed = notify.ServerStandby, r.Received, r.Replayed
	self.Replay = notify.Replay{Paused: r.Paused, Delay: r.Delay, Short: notify.Shortage(r.Has, s.needs())}
	self.Streaming = r.Receiver != nil && r.Receiver.Status == "streaming"
	if !self.Streaming && !s.cl.flowed.IsZero() {
		self.Dry = time.Since(s.cl.flowed)
	}
}

// needs are the settings that the WAL of the data asks of a standby.
func (s *supervisor) needs() node.Needs {
	if s.volume == nil {
		return node.Needs{}
	}
	c, err := s.readControl(s.volume.place.pgdata)
	if err != nil {
		return node.Needs{} // nothing is said of them then
	}
	return c.Needs
}

// history is what pg_wal says of a timeline's past, and of the latest timeline.
// A file that cannot be read is looked at again with the next decision.
func (s *supervisor) history(timeline uint32) ([]node.TimelineSwitch, uint32) {
	if s.volume == nil {
		return nil, 0
	}
	data := s.volume.place.pgdata
	switches, err := pg.ReadHistory(data, timeline)
	newest, errNewest := pg.NewestHistory(data)
	if err := errors.Join(err, errNewest); err != nil && s.cl.unread != err.Error() {
		s.cl.unread = err.Error()
		s.log.Error("role: the history of a promotion cannot be read, so it does not count as complete", "error", err)
	}
	return switches, newest
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
