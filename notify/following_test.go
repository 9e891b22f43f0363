package notify

import (
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// asStandby is n2, a standby of n1 that n1's commits do not wait for.
func asStandby() Facts {
	f := asHeir()
	f.Self.Record.Armed = nil
	f.Peers[0].State.Cluster.Record.Heir = nil
	return f
}

func TestAStandbyOfAKnownPrimary(t *testing.T) {
	t.Parallel()
	third := node.Promotion{ID: "p3", Epoch: 2, Node: "n3", Timeline: 2, At: 85}
	said := func(f *Facts) {
		f.Peers[0].State.Cluster.Senders = []node.Sender{{Node: "n3"}, {Node: "n2", State: "streaming", Ahead: true}}
	}
	newer := func(f *Facts) { f.Peers[1] = primaryPeer("n3", primaryRecord("n3", first(), third)) }
	letGo := all(newer, func(f *Facts) { f.Self.Following, f.Self.Streaming, f.Self.End = "", false, 85 })
	follows3 := func(r *node.Record) bool { return follower(r) && r.Epoch == 2 && !r.Reached }
	dry := func(f *Facts) { f.Self.Streaming, f.Self.Dry = false, dryFor }
	adopted := all(newer, dry, func(f *Facts) {
		f.Self.Record = record("n2", first(), third)
		f.Self.Record.Reached = false
		f.Self.Following = "n3"
	})
	stopped := all(letGo, down, func(f *Facts) { f.Self.End, f.Self.Clean = 84, true })
	back := func(r *node.Record) bool { return r.Epoch == 1 && len(r.Promotions) == 1 && !r.Primary }
	check(t, asStandby, []want{
		{name: "it streams", do: Wait, target: "n1"},
		{name: "the primary says that it is ahead: it is no copy", change: said, do: Hold, target: "n1"},
		{name: "or said so before it went silent", change: all(said, silence), do: Wait, target: "n1"},
		{name: "its first stream in this epoch is written down", change: func(f *Facts) { f.Self.Record.Reached = false }, do: Write, record: func(r *node.Record) bool { return r.Reached }},
		{name: "not while the stream is on a timeline before it", change: func(f *Facts) { f.Self.Record.Reached, f.Self.Timeline = false, 0 }, do: Wait, target: "n1"},
		{name: "although it is paused", change: func(f *Facts) { f.Self.Record.Reached, f.Self.Record.Paused = false, true }, do: Write, record: func(r *node.Record) bool { return r.Reached && r.Paused }},
		{name: "the primary's promotion came to be complete", change: func(f *Facts) { f.Self.Record.Promotions[0].Timeline = 0 }, do: Write, record: func(r *node.Record) bool { return r.Newest().Timeline == 1 }},
		{name: "its stream is gone for a moment", change: func(f *Facts) { f.Self.Streaming = false }, do: Wait, target: "n1"},
		{name: "its stream is gone for longer than PostgreSQL takes to try again", change: func(f *Facts) { f.Self.Streaming, f.Self.Dry = false, dryLong }, do: Hold, target: "n1"},
		{name: "its stream is gone for a while", change: dry, do: Hold, target: "n1"},
		{name: "it is paused", change: all(dry, func(f *Facts) { f.Self.Record.Paused = true }), do: Wait},
		{name: "another is the primary: it lets go of the old one", change: newer, do: Follow},
		{name: "its WAL ends with the branch", change: letGo, do: Follow, target: "n3", record: follows3},
		{name: "its WAL goes on after the branch", change: all(letGo, func(f *Facts) { f.Self.End = 86 }), do: Stop, target: "n3"},
		{name: "the promotion is not complete yet", change: all(letGo, func(f *Facts) { f.Peers[1].State.Cluster.Record.Promotions[1].Timeline = 0 }), do: Wait, target: "n3"},
		{name: "and its server does not run", change: all(letGo, func(f *Facts) {
			f.Peers[1].State.Cluster.Record.Promotions[1].Timeline, f.Peers[1].State.Role = 0, ""
		}), do: Hold, target: "n3"},
		{name: "the promotion is not complete yet, down", change: all(stopped, func(f *Facts) { f.Peers[1].State.Cluster.Record.Promotions[1].Timeline = 0 }), do: Wait, target: "n3"},
		{name: "there is nothing in common", change: all(letGo, func(f *Facts) { f.Peers[1].State.Cluster.Record.Promotions[0].ID = "p0" }), do: Hold, target: "n3"},
		{name: "its server starts", change: func(f *Facts) { f.Self.Server = ServerStarting }, do: Wait, target: "n1"},
		{name: "its server is down", change: down, do: StartStandby, target: "n1", record: func(r *node.Record) bool { return r.Reached }},
		{name: "down, its WAL ends with the branch", change: stopped, do: StartStandby, target: "n3", record: follows3},
		{name: "down, its WAL goes on after the branch", change: all(stopped, func(f *Facts) { f.Self.End = 85 }), do: Rewind, target: "n3", after: func(r *node.Record) bool { return r.Reached && r.Epoch == 2 }},
		{name: "it was killed: what it has is replayed first, closed", change: all(stopped, func(f *Facts) { f.Self.End, f.Self.Clean = 85, false }), do: Recover, target: "n3"},
		{name: "it never reached the epoch before, and its WAL strays from that one", change: func(f *Facts) {
			f.Peers[1] = primaryPeer("n3", primaryRecord("n3", first(), second(), node.Promotion{ID: "p3", Epoch: 3, Node: "n3", Timeline: 3, At: 120}))
			f.Self.Record = record("n2", first(), second())
			f.Self.Record.Reached, f.Self.Following, f.Self.Streaming, f.Self.End = false, "", false, 110
		}, do: Stop, target: "n3"},
		{name: "it never streamed and its WAL is another's", change: adopted, do: Write, target: "n3", record: back},
		{name: "down, the same", change: all(adopted, down), do: Write, target: "n3", record: back},
		{name: "a moment without a stream proves nothing", change: all(adopted, func(f *Facts) { f.Self.Dry = 0 }), do: Wait, target: "n3"},
		{name: "a primary that is silent proves nothing", change: all(adopted, func(f *Facts) { f.Peers[1].Answers = false }), do: Hold, target: "n3"},
		{name: "an older primary is not followed", change: func(f *Facts) { f.Self.Record = record("n2", first(), second()) }, do: Wait},
		{name: "an older primary is not followed, down", change: all(down, func(f *Facts) { f.Self.Record = record("n2", first(), second()) }), do: StartStandby},
		{name: "of two in one epoch its own counts", change: all(newer, func(f *Facts) {
			f.Peers[0] = primaryPeer("n1", primaryRecord("n1", first(), node.Promotion{ID: "p4", Epoch: 2, Node: "n1", Timeline: 3, At: 70}))
			f.Self.Record, f.Self.Following = record("n2", first(), third), "n3"
		}), do: Wait, target: "n3"},
		{name: "of two in one epoch the open one counts", change: all(newer, func(f *Facts) {
			f.Peers[0] = primaryPeer("n1", primaryRecord("n1", first(), node.Promotion{ID: "p4", Epoch: 2, Node: "n1", Timeline: 3, At: 70}))
			f.Peers[0].State.Cluster.Open = false
			f.Self.Following, f.Self.Streaming, f.Self.End = "", false, 80
		}), do: Follow, target: "n3", record: follows3},
	})
}

// TestAStandbyFollowsANodeAndNotItsAddress: n1 was at A, and is at B; A may be
// nobody's, n3's, or n1's beside B.
func TestAStandbyFollowsANodeAndNotItsAddress(t *testing.T) {
	t.Parallel()
	base := func() Facts {
		f := asStandby()
		f.Self.Source, f.Peers[0].Server, f.Peers[1].Server = "A:5432", "A:5432", "C:5432"
		return f
	}
	dry := func(f *Facts) { f.Self.Streaming, f.Self.Dry = false, time.Millisecond }
	moved := func(f *Facts) { f.Peers[0].Server = "B:5432" }
	swapped := all(moved, func(f *Facts) { f.Peers[1].Server = "A:5432" })
	gone := func(f *Facts) { // what it said at the former address is still known
		old := f.Peers[0]
		old.Answers, old.Server = false, "A:5432"
		f.Peers = append([]Peer{old}, f.Peers...)
		f.Peers[1].Server = "B:5432"
	}
	both := func(f *Facts) {
		more := f.Peers[0]
		more.Server = "B:5432"
		f.Peers = append([]Peer{more}, f.Peers...)
	}
	same := func(r *node.Record) bool { return follower(r) && r.Epoch == 1 && r.Reached }
	fresh := func(f *Facts) { f.Self.Record.Reached = false }
	taken := all(silence, func(f *Facts) { f.Peers[1].Server = "A:5432" })
	let := func(f *Facts) { f.Self.Following, f.Self.Source, f.Self.Streaming = "", "", false }
	check(t, base, []want{
		{name: "it streams", do: Wait, target: "n1"},
		{name: "the address is another, and the stream is gone", change: all(moved, dry), do: Follow, target: "n1", record: same},
		{name: "the same, and the former address is still asked", change: all(gone, dry), do: Follow, target: "n1", record: same},
		{name: "the address is another, and the stream goes on", change: moved, do: Wait, target: "n1"},
		{name: "the address is one of two", change: all(both, dry), do: Wait, target: "n1"},
		{name: "it streams from the node that has the address now", change: swapped, do: Follow},
		{name: "which is not written down as a stream of its primary's", change: all(swapped, fresh), do: Follow},
		{name: "it tries to", change: all(swapped, dry), do: Follow, target: "n1", record: same},
		{name: "it let go of that node", change: all(swapped, let), do: Follow, target: "n1", record: same},
		{name: "the primary is silent, and another has its address", change: taken, do: Follow},
		{name: "it let go of that one", change: all(taken, let), do: Wait, target: "n1"},
		{name: "a primary that is silent has not moved", change: all(silence, moved, dry), do: Wait, target: "n1"},
	})
	f := base()
	swapped(&f)
	if f.Streams() {
		t.Error("it counts as streaming from n1")
	}
	q := Request{Ask: AskArm, Cluster: "main", From: "n1", Epoch: 1, Promotion: "p1", Token: "t-n2", LSN: 80}
	if reply, _ := Answer(f, q); reply.Done || !strings.Contains(reply.Why, "does not stream") {
		t.Error("it came to be armed on another node's stream:", reply.Why)
	}
	if moved(&f); !f.Self.Streaming {
		t.Error("the facts are not what they were")
	}
}

func TestWhatANodeSaidAtAFormerAddressIsOver(t *testing.T) {
	t.Parallel()
	f := asStandby()
	old := f.Peers[0]
	old.Answers, old.Address, old.Silent = false, "former:8008", time.Second
	released := primaryRecord("n1", first())
	released.Released = &node.Release{Target: "n3", Epoch: 1}
	f.Peers[0] = primaryPeer("n1", released)
	f.Peers = append([]Peer{old}, f.Peers...)
	if p, found := f.Primary(); found {
		t.Errorf("%s counts as the primary by what it said before: %+v", p.name(), p.record())
	}
}

func TestAStandbyOfNobody(t *testing.T) {
	t.Parallel()
	base := func() Facts {
		f := asStandby()
		f.Peers = []Peer{stranger("n1"), standbyPeer("n3", record("n3", first()))}
		return f
	}
	order := func(f *Facts) { f.Order.Reclone = true }
	check(t, base, []want{
		{name: "it waits", do: Wait},
		{name: "its server starts", change: func(f *Facts) { f.Self.Server = ServerStarting }, do: Wait},
		{name: "down, it starts", change: down, do: StartStandby},
		{name: "down, it asks first", change: all(down, func(f *Facts) { f.Peers[0].Asked = false }), do: Wait},
		{name: "it accepts writes without a right to", change: func(f *Facts) { f.Self.Server = ServerPrimary }, do: Stop},
		{name: "an operator asks for a copy of nobody", change: order, do: Wait},
	})
}

func TestAStandbyThatEndsOrIsCopied(t *testing.T) {
	t.Parallel()
	ends := func(f *Facts) { f.Self.Ending = true }
	heir := func(f *Facts) { f.Peers[0].State.Cluster.Record.Heir = &node.Heir{Node: "n2", Armed: true} }
	order := func(f *Facts) { f.Order.Reclone = true }
	check(t, asStandby, []want{
		{name: "it may end", change: ends, do: Leave},
		{name: "it may end although it is paused", change: all(ends, func(f *Facts) { f.Self.Record.Paused = true }), do: Leave},
		{name: "the primary waits for it still", change: all(ends, heir), do: Wait, target: "n1"},
		{name: "the primary is silent", change: all(ends, heir, silence), do: Leave},
		{name: "the primary gave its role away", change: all(ends, heir, func(f *Facts) { f.Peers[0].State.Cluster.Record.Released = &node.Release{Target: "n3"} }), do: Leave},
		{name: "an operator gives its data up: it stops first", change: order, do: Stop, target: "n1"},
		{name: "then the data is kept aside", change: all(order, down), do: SetAside, target: "n1", after: follower},
	})
}
