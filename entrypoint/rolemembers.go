package entrypoint

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/notify"
)

// membersFile is what this node knows of the cluster's nodes, relative to the
// volume.
const membersFile = stateDir + "/members.json"

// sightEvery is how often it is written down when the others were seen last,
// while nothing else changes.
const sightEvery = time.Minute

// membership is what this node knows of the cluster's nodes, for longer than
// they answer and for longer than this supervisor lives.
type membership struct {
	node.Members
	corrupt string // why the file could not be read
	heard   map[string]bool
	file    memberFile
	version int
	saving  bool      // beside the loop
	unsaved bool      // something changed since
	saved   time.Time // when it was written last
}

// memberFile lets one write at a time, and none that is older than what is
// written already.
type memberFile struct {
	mu      sync.Mutex
	written int
}

// loadMembers reads what an earlier supervisor knew. An error is a volume that
// cannot be read now.
func (s *supervisor) loadMembers(v *volume) error {
	m := &s.cl.members
	m.heard = map[string]bool{}
	err := durable.ReadJSON(v.root, membersFile, &m.Members)
	switch {
	case errors.Is(err, durable.ErrCorrupt):
		s.keepCorrupt(v, membersFile, err)
		m.Members = node.Members{}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if aside, _ := fs.Glob(v.root.FS(), membersFile+".corrupt-*"); len(aside) > 0 {
		m.corrupt = filepath.Join(v.place.volume, aside[len(aside)-1])
	}
	if was := m.Node; was != s.set.Node && m.Volume == volumeID(v.root) && m.Has(was) {
		// This very node had that name. Nobody can come back with it.
		m.Members = m.Change(was, true, time.Now())
		s.log.Info("role: this node was called "+was+", which is no node of the cluster any more", "node", s.set.Node)
		m.unsaved = true
	}
	if m.Seen == nil {
		m.Seen = map[string]node.Sight{}
	}
	return nil
}

// heedMembers takes over who belongs to the cluster by what the peers say.
func (s *supervisor) heedMembers(f notify.Facts) {
	m := &s.cl.members
	if !s.cl.loaded {
		return
	}
	next, joined, left := notify.Join(f, m.Members)
	changed := !slices.Equal(next.Members, m.Members.Members)
	for _, name := range joined {
		if _, again := m.Find(name); again {
			s.happened("%s had been forgotten by an order; it answers, and is a node of the cluster again", name)
		}
		s.log.Info("role: "+name+" is a node of the cluster", "nodes", next.Names())
	}
	m.Members = next
	for _, name := range left {
		s.drop(name)
	}
	if s.sight(f) || changed || m.unsaved {
		s.saveMembers()
	}
}

// drop forgets what was seen of a node that is none of the cluster's any more.
func (s *supervisor) drop(name string) {
	delete(s.cl.members.Seen, name)
	delete(s.cl.members.heard, name)
	s.cl.fleet.Forget(name)
	s.cl.ensured.at = time.Time{} // its slot goes
	s.log.Info("role: "+name+" is no node of the cluster any more", "nodes", s.cl.members.Names())
	s.happened("%s is no node of the cluster any more, by an operator's order", name)
}

// sight remembers what each node said last; it reports whether that is to be
// written down.
func (s *supervisor) sight(f notify.Facts) (news bool) {
	m := &s.cl.members
	for _, p := range f.Peers {
		if p.State == nil || !m.Has(p.State.Node) || clusterOf(p) == nil || clusterOf(p).Name != s.set.Cluster {
			continue
		}
		name := p.State.Node
		if !p.Answers {
			if q, found := f.Named(name); !found || !q.Answers {
				news = news || m.heard[name]
				m.heard[name] = false
			}
			continue
		}
		now, before := sightOf(p, f.Now), m.Seen[name]
		m.heard[name], m.Seen[name] = true, now
		before.Time = now.Time
		news = news || before != now || f.Now.Sub(m.saved) > sightEvery
	}
	return news
}

// sightOf is what is remembered of a peer.
func sightOf(p notify.Peer, at time.Time) node.Sight {
	c := clusterOf(p)
	seen := node.Sight{Time: at.Round(0), Address: p.Address, Host: p.Host, VIP: c.VIP}
	if r := c.Record; r != nil {
		seen.Epoch, seen.Primary, seen.Armed = r.Epoch, r.Primary && r.Released == nil, r.Armed != nil
	}
	return seen
}

// saveMembers writes what is known down, beside the loop: no change of roles
// waits for it.
func (s *supervisor) saveMembers() {
	m := &s.cl.members
	m.unsaved = true
	if m.saving {
		return
	}
	m.saving, m.unsaved, m.saved = true, false, time.Now()
	write := s.membersWriter()
	go func() {
		err := write()
		s.post(func() {
			if m.saving = false; err != nil {
				s.log.Warn("role: write down who belongs to the cluster; it is tried again", "error", err)
			}
		})
	}()
}

// membersWriter is how what is known now is written.
func (s *supervisor) membersWriter() func() error {
	m, root := &s.cl.members, s.volume.root
	m.version++
	version, next := m.version, m.Members
	next.Node, next.Volume, next.Seen = s.set.Node, volumeID(root), maps.Clone(m.Seen)
	return func() error { return m.file.write(root, version, next, owner(s.user), int(s.user.GID)) }
}

func (f *memberFile) write(root *os.Root, version int, m node.Members, uid, gid int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if version <= f.written {
		return nil
	}
	if err := durable.WriteJSON(root, membersFile, m, uid, gid); err != nil {
		return err
	}
	f.written = version
	return nil
}

// uncounted says why it is not known how many nodes the cluster has; empty: it
// is. It matters to a node that has no record to go by.
func (s *supervisor) uncounted() string {
	if len(s.set.Nodes) > 0 {
		return ""
	}
	if several := s.cl.fleet.Several(); len(several) > 0 {
		return several[0] + " stands for several nodes, of which only those are found that run. Name all nodes of the cluster in PGBATON_NODES"
	}
	if at := s.cl.members.corrupt; at != "" {
		return "what this node knew of the others could not be read and is kept as " + at + ". Name all nodes of the cluster in PGBATON_NODES, or remove that file"
	}
	return ""
}

// orderForget takes a node that is gone for good out of the cluster.
func (s *supervisor) orderForget(o node.Order) (func() (bool, error), error) {
	s.decideRole()
	m := &s.cl.members
	if why := s.cl.facts.NoForget(m.Members, s.ownsSlot(o.To), o.To, o.Force); why != "" {
		return nil, fmt.Errorf("%s; nothing was changed", why)
	}
	before := m.Members
	m.Members = m.Change(o.To, true, time.Now().Round(0))
	if err := s.membersWriter()(); err != nil {
		m.Members = before
		return nil, fmt.Errorf("write down that %s is forgotten: %w; nothing was changed", o.To, err)
	}
	s.drop(o.To)
	return func() (bool, error) { return true, nil }, nil
}

// peerViews are the peers as the API shows them.
func (s *supervisor) peerViews() (views []node.Peer) {
	failed := map[string]error{}
	for _, p := range s.cl.fleet.Peers() {
		failed[p.Address] = p.Err
	}
	for _, p := range s.rolePeers() {
		views = append(views, s.peerView(p, failed[p.Address]))
	}
	return views
}

func (s *supervisor) peerView(p notify.Peer, failed error) node.Peer {
	v := node.Peer{Address: p.Address, Node: p.Member, Age: -1}
	last, known := s.cl.members.Seen[p.Member]
	if p.State != nil {
		v.Node, v.Age, last, known = p.State.Node, p.Silent, node.Sight{}, clusterOf(p) != nil
		if known {
			last = sightOf(p, time.Now().Add(-p.Silent))
		}
	} else if known {
		v.Age = max(0, time.Since(last.Time))
	}
	switch {
	case failed != nil:
		v.Error = failed.Error()
	case p.State == nil && p.Member != "":
		v.Error = "no answer from " + p.Member + ": nothing in PGBATON_PEERS leads to it"
		if p.Host != "" && !p.Asked {
			v.Error = p.Member + " was not asked yet"
		}
	}
	if v.Error != "" && known {
		v.Last = &last
	}
	return v
}
