package simulate

import (
	"testing"

	"github.com/pgbaton/pgbaton/notify"
)

// isFound reports whether a name leads to the node.
func (w *world) isFound(n *box) bool {
	return !w.nameless[n.name] && (n.up || !w.tasks)
}

// unfind drops what no name leads to any more, unless it may have anything of
// the cluster: that stays, and is silent.
func (w *world) unfind(n, other *box) {
	got := n.sup.seen[other.name]
	if got == nil || got.state == nil || got.state.Cluster.Record == nil && got.state.Cluster.Empty {
		delete(n.sup.seen, other.name)
		return
	}
	got.asked, got.answers = true, false
}

// peers are those that a node's supervisor knows.
func (w *world) peers(n *box) []notify.Peer {
	var found []notify.Peer
	for _, other := range w.boxes {
		got := n.sup.seen[other.name]
		if other == n || got == nil && !w.isFound(other) {
			continue
		}
		p := notify.Peer{Address: other.name + ":8008", Host: other.name + ":8008", Silent: ticks(w.now - n.sup.started)}
		if got != nil {
			p.State, p.Answers, p.Asked = got.state, got.answers, got.asked
			if got.state != nil {
				p.Silent, p.Server = ticks(w.now-got.at), got.place
			}
		}
		found = append(found, p)
	}
	return notify.WithAbsent(found, n.sup.members, w.expected, n.name, ticks(w.now-n.sup.started))
}

// join takes over what the peers say of who belongs to the cluster. It is on
// the volume a look later.
func (w *world) join(n *box) {
	n.members = n.sup.members
	n.sup.members, _, _ = notify.Join(w.facts(n), n.sup.members)
}

// forget is `pgbaton forget`, given to a node; it reports whether it was done.
func (w *world) forget(n *box, name string, force bool) bool {
	f := w.facts(n)
	if why := f.NoForget(n.sup.members, false, name, force); why != "" {
		w.log("%s: forget %s is refused: %s", n.name, name, why)
		return false
	}
	w.log("%s: %s is forgotten", n.name, name)
	n.sup.members = n.sup.members.Change(name, true, w.time())
	n.members = n.sup.members
	delete(n.sup.seen, name)
	return true
}

// forgetting is `pgbaton forget` without force.
func forgetting(w *world, n *box) {
	if n.sup != nil {
		w.forget(n, w.other(n).name, false)
	}
}

// swarm is a cluster whose nodes are found by one name.
func swarm(t *testing.T, nodes int) *world {
	t.Helper()
	w := calm(t, nodes)
	w.tasks = true
	for _, n := range w.boxes {
		w.expected = append(w.expected, n.name)
		w.startContainer(n)
	}
	w.whole()
	return w
}

// The node that may make a cluster has lost its volume, those that have the data
// do not run, and a fresh one that does knows of nothing.
func TestANodeMakesNoSecondClusterWhileThoseThatHaveTheDataAreNotFound(t *testing.T) {
	t.Parallel()
	for name, expected := range map[string][]string{
		"each node is expected by name":   {"n1", "n2", "n3"},
		"the fresh one has heard of them": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := swarm(t, 4)
			w.lost = true
			w.loseDisk(w.boxes[3])
			if expected == nil {
				w.startContainer(w.boxes[3])
				w.until("n4 has heard of them", func() bool { return len(w.boxes[3].members.Names()) == 4 })
			}
			for _, n := range w.boxes[:3] {
				w.crash(n, crashContainer)
			}
			w.loseDisk(w.boxes[0])
			w.boxes[3].record, w.boxes[3].data = nil, nil
			w.expected = expected
			w.crash(w.boxes[3], crashContainer)
			w.startContainer(w.boxes[3])
			w.startContainer(w.boxes[0])
			w.rounds(300)
			if w.boxes[0].data != nil {
				w.fail("a second cluster was made")
			}
			w.startContainer(w.boxes[1])
			w.startContainer(w.boxes[2])
			w.heal()
			w.calmed()
		})
	}
}

// The heir promoted and lost its disk, and the standby that followed it is not
// found by anybody, nor was it since all supervisors started.
func TestAnHeirThatLostItsDiskAsksEveryNodeThatTheClusterEverHad(t *testing.T) {
	t.Parallel()
	w := swarm(t, 3)
	w.expected = nil
	a, b, c := w.boxes[0], w.boxes[1], w.boxes[2]
	isolating(w, a)
	w.until("b is open and c armed by it", func() bool { return b.isOpen() && c.record.Armed != nil })
	if !w.serves(b) {
		w.fail("b does not serve")
	}
	w.crash(c, crashContainer)
	w.loseDisk(b)
	w.crash(a, crashContainer)
	mending(w, a)
	w.startContainer(a)
	w.startContainer(b)
	w.rounds(300)
	if w.serves(a) {
		w.fail("the old primary went on although its heir had promoted and c has what it acknowledged")
	}
	w.startContainer(c)
	w.rounds(100)
	operator(w)
	w.heal()
	w.whole()
	if !w.primary().data.flushed.has(w.acked[0]) {
		w.fail("the operator's orders lost an acknowledged commit")
	}
}

func TestANodeLeavesByAnOrderThatEveryOtherOneHearsOfAndComesBackWhenItAnswers(t *testing.T) {
	t.Parallel()
	w := swarm(t, 3)
	w.expected = nil
	a, b, c := w.boxes[0], w.boxes[1], w.boxes[2]
	if w.forget(a, "n3", true) {
		w.fail("a node that answers was forgotten")
	}
	w.crash(b, crashContainer)
	w.rounds(40)
	if w.forget(a, "n2", false) {
		w.fail("the armed heir was forgotten without force")
	}
	w.startContainer(b)
	w.whole()
	w.crash(c, crashContainer)
	w.crash(b, crashContainer)
	w.rounds(40)
	if !w.forget(a, "n3", false) {
		w.fail("a standby that is gone was not forgotten")
	}
	w.startContainer(b)
	w.until("b has heard of it", func() bool { return !b.members.Has("n3") && b.sup != nil && b.members.Has("n2") })
	w.rounds(20)
	if a.members.Has("n3") {
		w.fail("it was brought back by a node that had not heard of the order")
	}
	w.startContainer(c)
	w.until("it is a member again everywhere", func() bool { return a.members.Has("n3") && b.members.Has("n3") && c.members.Has("n3") })
	w.heal()
	w.whole()
}
