package entrypoint

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/notify"
)

const (
	// ensureEvery is how often the replication role and the slots are looked at.
	ensureEvery = 10 * time.Second
	// ensureWithin bounds one look.
	ensureWithin = 30 * time.Second
)

// ensuring is what standbys need of a server: on a primary the role that they
// log in as, on every node a slot for each, kept in step, so that no WAL is
// missing whoever promotes.
type ensuring struct {
	busy  bool
	at    time.Time
	peers string // whose slots were looked at
}

// ensure looks after role and slots, beside the loop.
func (s *supervisor) ensure() {
	e := &s.cl.ensured
	self := &s.cl.facts.Self
	primary := self.Server == notify.ServerPrimary
	if e.busy || !primary && self.Server != notify.ServerStandby {
		return
	}
	slots := s.peerSlots()
	key := strings.Join(slots, " ")
	if time.Since(e.at) < ensureEvery && e.peers == key {
		return
	}
	l, err := s.login()
	if err != nil {
		return
	}
	s.keepReserve()
	s.countDiverged()
	s.renewCertificate()
	*e = ensuring{busy: true, at: time.Now(), peers: key}
	user, password := s.set.ReplicationUser, s.set.ReplicationPassword.Reveal()
	flushed := s.flushedByPeers()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), ensureWithin)
		defer cancel()
		var err error
		if primary {
			_, err = l.EnsureReplication(ctx, user, password)
		}
		if err == nil {
			_, err = l.EnsureSlots(ctx, slots)
		}
		if err == nil && !primary {
			err = l.AdvanceSlots(ctx, flushed)
		}
		s.post(func() {
			s.cl.ensured.busy = false
			if err != nil {
				s.cl.ensured.peers = ""
				s.log.Warn("role: look after the replication role and slots", "error", err)
			}
		})
	}()
}

// countDiverged looks how much is kept of what a rewind or a new copy would
// have thrown away.
func (s *supervisor) countDiverged() {
	entries, err := fs.ReadDir(s.volume.root.FS(), divergedDir)
	s.cl.diverged = len(entries)
	if err != nil {
		s.cl.diverged = 0 // there was never any
	}
}

// divergedWarning reminds of it; empty: there is nothing.
func (s *supervisor) divergedWarning() string {
	if s.cl.diverged == 0 || s.volume == nil {
		return ""
	}
	return fmt.Sprintf("%d directories in %s keep what a rewind or a new copy replaced; look at their report.json, then remove what nobody needs",
		s.cl.diverged, filepath.Join(s.volume.place.volume, divergedDir))
}

// peerSlots are the slots of the cluster's other nodes.
func (s *supervisor) peerSlots() []string {
	var names []string
	for _, p := range s.cl.facts.Peers {
		if c := clusterOf(p); c != nil && c.Name == s.set.Cluster && p.State.Node != s.set.Node {
			names = append(names, pg.SlotName(p.State.Node))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// flushedByPeers is what each peer has on its disk, by slot.
func (s *supervisor) flushedByPeers() map[string]node.LSN {
	to := map[string]node.LSN{}
	for _, p := range s.cl.facts.Peers {
		if c := clusterOf(p); c != nil && c.Name == s.set.Cluster && c.Received != 0 {
			to[pg.SlotName(p.State.Node)] = c.Received
		}
	}
	return to
}

func clusterOf(p notify.Peer) *node.Cluster {
	if p.State == nil {
		return nil
	}
	return p.State.Cluster
}
