package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/config"
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
// missing whoever promotes. The slot of a node that an operator took out of the
// cluster goes.
type ensuring struct {
	busy  bool
	at    time.Time
	made  []string             // slots that were looked at
	slots []pg.ReplicationSlot // of ours, as they were found last
}

// slotPlan is what is to be done about slots.
type slotPlan struct {
	make, drop []string
	unused     func(have []pg.ReplicationSlot) string // that goes where there is no room; empty: none
	advance    map[string]node.LSN
}

// ensure looks after role and slots, beside the loop.
func (s *supervisor) ensure() {
	e := &s.cl.ensured
	self := &s.cl.facts.Self
	primary := self.Server == notify.ServerPrimary
	if e.busy || !primary && self.Server != notify.ServerStandby {
		return
	}
	plan := s.planSlots()
	isNew := func(slot string) bool { return !slices.Contains(e.made, slot) }
	if time.Since(e.at) < ensureEvery && !slices.ContainsFunc(plan.make, isNew) {
		return
	}
	l, err := s.login()
	if err != nil {
		return
	}
	s.keepReserve()
	s.countDiverged()
	s.renewCertificate()
	e.busy, e.at, e.made = true, time.Now(), plan.make
	user, password := s.set.ReplicationUser, s.set.ReplicationPassword.Reveal()
	srv := s.server
	go func() {
		ctx, cancel := context.WithTimeout(srv.live, ensureWithin)
		defer cancel()
		done, err := keepSlots(ctx, l, plan, !primary)
		if primary {
			_, e := l.EnsureReplication(ctx, user, password) // whose databases may be locked
			err = errors.Join(err, e)
		}
		s.post(func() { s.ensured(done, err) })
	}()
}

// slotsDone is what became of a plan.
type slotsDone struct {
	dropped []string
	spared  string // dropped because there was no room for another one
	have    []pg.ReplicationSlot
}

func keepSlots(ctx context.Context, l pg.Login, plan slotPlan, standby bool) (done slotsDone, err error) {
	if done.dropped, err = l.DropSlots(ctx, plan.drop); err != nil {
		return done, err
	}
	_, err = l.EnsureSlots(ctx, plan.make)
	if errors.Is(err, pg.ErrNoMoreSlots) {
		have, failed := l.Slots(ctx)
		if spare := plan.unused(have); failed == nil && spare != "" {
			_, failed = l.DropSlots(ctx, []string{spare})
			done.spared = spare
		}
		return done, errors.Join(err, failed)
	}
	if err == nil && standby {
		err = l.AdvanceSlots(ctx, plan.advance)
	}
	if err == nil {
		done.have, err = l.Slots(ctx)
	}
	return done, err
}

// ensured takes note of what became of a plan.
func (s *supervisor) ensured(done slotsDone, err error) {
	e := &s.cl.ensured
	e.busy, e.slots = false, done.have
	if len(done.dropped) > 0 {
		s.log.Info("role: dropped the slots of nodes that are none of the cluster's any more", "slots", strings.Join(done.dropped, " "))
	}
	if done.spared != "" {
		s.log.Warn("role: max_replication_slots are in use, so the slot of the node that has been silent for the longest time was dropped; "+
			"it may have to copy the primary anew when it comes back", "slot", done.spared)
		e.at = time.Time{}
	}
	if err != nil {
		e.made = nil
		s.log.Warn("role: look after the replication role and slots", "error", err)
	}
}

// planSlots: each node of the cluster has a slot, whether it answers or not; a
// node that is not a member yet has one as soon as it answers.
func (s *supervisor) planSlots() slotPlan {
	m, f := s.cl.members.Members, s.cl.facts
	names := m.Names()
	for _, p := range f.Peers {
		if c := clusterOf(p); c != nil && c.Name == s.set.Cluster && p.Answers {
			names = append(names, p.State.Node)
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == s.set.Node })
	plan := slotPlan{make: slotsOf(s.answering(names)), advance: s.flushedByPeers()}
	kept := slotsOf(append(names, s.set.Node))
	for _, x := range m.Members {
		if slot := pg.SlotName(x.Node); x.Gone && !slices.Contains(kept, slot) {
			plan.drop = append(plan.drop, slot)
		}
	}
	plan.unused = func(have []pg.ReplicationSlot) string {
		away := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			return !slices.ContainsFunc(have, func(h pg.ReplicationSlot) bool { return h.Name == pg.SlotName(name) && !h.Active })
		})
		if name := f.LeastMissed(m, away); name != "" {
			return pg.SlotName(name)
		}
		return ""
	}
	return plan
}

// answering are those of the nodes that answer.
func (s *supervisor) answering(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		p, found := s.cl.facts.Named(name)
		return !found || !p.Answers
	})
}

func slotsOf(names []string) (slots []string) {
	for _, name := range names {
		slots = append(slots, pg.SlotName(name))
	}
	slices.Sort(slots)
	return slices.Compact(slots)
}

// ownsSlot reports whether there is a slot for a node of that name.
func (s *supervisor) ownsSlot(name string) bool {
	return slices.ContainsFunc(s.cl.ensured.slots, func(h pg.ReplicationSlot) bool { return h.Name == pg.SlotName(name) })
}

// slotWarnings name the slots that keep WAL for nodes that do not answer.
func (s *supervisor) slotWarnings() (warnings []string) {
	end := max(s.cl.facts.Self.LSN, s.cl.facts.Self.End)
	for _, h := range s.cl.ensured.slots {
		keeps := config.FormatSize(int64(end-min(end, h.Restart)) >> 20 << 20)
		switch name := s.slotOwner(h.Name); {
		case h.Active || h.Restart == 0:
		case name == "":
			warnings = append(warnings, fmt.Sprintf("the slot %s keeps %s of WAL for a node that nobody knows: `pgbaton forget %s` drops it, on every node", h.Name, keeps, pg.SlotOwner(h.Name)))
		case s.awayFor(name) > longAway:
			warnings = append(warnings, fmt.Sprintf("%s does not answer, and its slot %s keeps %s of WAL: `pgbaton forget %s` drops it, on every node, if that node is gone for good", name, h.Name, keeps, name))
		}
	}
	return warnings
}

// longAway is how long a node is silent before its slot is named.
const longAway = 5 * time.Minute

// slotOwner is the node of the cluster that a slot is for; empty: none.
func (s *supervisor) slotOwner(slot string) string {
	names := append(s.cl.members.Names(), s.set.Node)
	for _, p := range s.cl.facts.Peers {
		if p.State != nil {
			names = append(names, p.State.Node)
		}
	}
	for _, name := range names {
		if pg.SlotName(name) == slot {
			return name
		}
	}
	return ""
}

// awayFor is how long a node has been silent, whichever supervisor noticed.
func (s *supervisor) awayFor(name string) time.Duration {
	if p, found := s.cl.facts.Named(name); found {
		return p.Silent
	}
	if seen, found := s.cl.members.Seen[name]; found {
		return time.Since(seen.Time)
	}
	return time.Since(s.cl.started)
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
