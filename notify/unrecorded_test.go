package notify

import (
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
)

func follower(r *node.Record) bool { return !r.Primary && r.Armed == nil && r.Heir == nil }

func TestAnEmptyNode(t *testing.T) {
	t.Parallel()
	mine := func(r *node.Record) func(*Facts) { return func(f *Facts) { f.Self.Record = r } }
	primary2 := func(f *Facts) { f.Peers[0] = primaryPeer("n2", primaryRecord("n2", first(), second())) }
	heirOf2 := func(f *Facts) {
		primary2(f)
		f.Peers[0].State.Cluster.Record.Heir = &node.Heir{Node: "n1", Armed: true}
	}
	closed := func(f *Facts) { f.Peers[0].State.Cluster.Open = false }
	check(t, asEmpty, []want{
		{name: "the directory was not looked at yet", change: func(f *Facts) { f.Self.Data = DataUnknown }, do: Wait},
		{name: "every peer is empty and this node may begin", do: Initialize},
		{name: "an unfinished initialisation begins again", change: func(f *Facts) { f.Self.Data = DataHalfMade }, do: Initialize},
		{name: "another node may begin", change: func(f *Facts) { f.Policy.Bootstrap = "n2" }, do: Hold},
		{name: "no node may begin", change: func(f *Facts) { f.Policy.Bootstrap = "" }, do: Hold},
		{name: "this node had data before", change: mine(record("n1", first())), do: Hold},
		{name: "no peer was found", change: func(f *Facts) { f.Peers = nil }, do: Hold},
		{name: "a peer is silent", change: silence, do: Hold},
		{name: "a peer belongs to another cluster", change: func(f *Facts) { f.Peers[0].State.Cluster.Name = "other" }, do: Hold},
		{name: "a peer has data", change: func(f *Facts) { f.Peers[0].State.Cluster.Empty = false }, do: Hold},
		{name: "a peer is being made", change: func(f *Facts) { f.Peers[0].State.Cluster.Building = true }, do: Hold},
		{name: "a primary is copied", change: primary2, do: Clone, target: "n2", record: func(r *node.Record) bool {
			return follower(r) && r.Epoch == 2 && r.Reached && r.Node == "n1" && r.SystemIdentifier == 7
		}},
		{name: "an interrupted copy begins again", change: all(primary2, func(f *Facts) { f.Self.Data = DataHalfMade }), do: Clone, target: "n2", record: follower},
		{name: "a primary that is silent is no source", change: all(primary2, silence), do: Hold},
		{name: "a primary that is closed is no source", change: all(primary2, closed), do: Hold},
		{
			name: "a primary whose promotion is not complete is no source",
			change: all(primary2, func(f *Facts) {
				f.Peers[0].State.Cluster.Record.Promotions[1].Timeline = 0
			}), do: Hold,
		},
		{name: "a closed primary that waits for this node hears that it gave its right up", change: all(heirOf2, closed), do: Write, target: "", record: follower},
		{name: "and it heard so", change: all(heirOf2, closed, mine(record("n1", first(), second()))), do: Hold},
		{name: "an open one is copied at once", change: heirOf2, do: Clone, target: "n2", record: follower},
		{name: "but this node may have promoted as long as a peer never answered", change: all(heirOf2, func(f *Facts) { f.Peers[1] = stranger("n3") }), do: Hold, target: "n2"},
		{
			name: "and it has where a standby is in a newer epoch", do: Hold, target: "n2",
			change: all(heirOf2, func(f *Facts) {
				f.Peers[1] = standbyPeer("n3", record("n3", first(), second(), node.Promotion{ID: "p3", Epoch: 3, Node: "n1"}))
			}),
		},
		{name: "pausing outlives a copy", change: all(primary2, func(f *Facts) {
			f.Self.Record = record("n1", first())
			f.Self.Record.Paused = true
		}), do: Clone, target: "n2", record: func(r *node.Record) bool { return r.Paused }},
	})
}

func TestDataWithoutARecord(t *testing.T) {
	t.Parallel()
	base := func() Facts {
		f := asEmpty()
		f.Self = Self{Data: DataCluster, SystemIdentifier: 7, Timeline: 3, End: 90}
		return f
	}
	signal := func(f *Facts) { f.Self.SignalFile = true }
	restore := func(f *Facts) { f.Self.Restore = true }
	newer := func(r *node.Record) bool { return r.Primary && r.Epoch == 3 && r.Newest().ID == "fresh" }
	force := func(f *Facts) { f.Order = Order{Alone: true, Force: true} }
	reclone := func(f *Facts) { f.Order.Reclone = true }
	check(t, base, []want{
		{name: "every peer is empty: this is the cluster", do: Write, record: func(r *node.Record) bool {
			return r.Primary && r.Epoch == 1 && r.Newest().Timeline == 3 && r.Newest().At == 1 && r.SystemIdentifier == 7
		}},
		{name: "the timeline may be unknown yet", change: func(f *Facts) { f.Self.Timeline = 0 }, do: Write, record: func(r *node.Record) bool { return r.Newest().Timeline == 0 }},
		{name: "the server starts", change: func(f *Facts) { f.Self.Server = ServerStarting }, do: Wait},
		{name: "a standby's data follows the primary", change: all(beatenBy2, signal), do: Write, record: func(r *node.Record) bool { return follower(r) && r.Epoch == 2 }},
		{name: "whose promotion is not complete", change: all(beatenBy2, signal, func(f *Facts) { f.Peers[0].State.Cluster.Record.Promotions[1].Timeline = 0 }), do: Wait, target: "n2"},
		{name: "data of its own beside a primary", change: beatenBy2, do: Hold},
		{name: "an operator gives it up", change: all(beatenBy2, reclone), do: SetAside, target: "n2", after: follower},
		{name: "an operator chooses a standby's data: it gets a timeline of its own", change: all(force, signal, func(f *Facts) { f.Self.Recovering = true }), do: Write, record: func(r *node.Record) bool {
			return r.Primary && r.Newest().Timeline == 0
		}},
		{name: "there is nothing to copy", change: reclone, do: Write, record: func(r *node.Record) bool { return r.Primary }},
		{name: "an operator chooses it, newer than all that was heard of", change: all(beatenBy2, force), do: Write, record: newer},
		{name: "a peer is silent", change: silence, do: Hold},
		{name: "no peer was found", change: func(f *Facts) { f.Peers = nil }, do: Hold},
		{name: "a peer has data too", change: func(f *Facts) { f.Peers[0].State.Cluster.Empty = false }, do: Hold},
		{name: "a standby's data and nobody to follow", change: signal, do: Hold},
		{name: "an operator chooses a standby's, which is promoted first", change: all(signal, force), do: Write, record: func(r *node.Record) bool { return r.Primary && r.Newest().Timeline == 0 }},
		{name: "a restored backup is the cluster once its restore is through", change: restore, do: Write, record: func(r *node.Record) bool { return r.Primary && r.Newest().Timeline == 0 }},
		{name: "a restored backup beside a primary", change: all(beatenBy2, restore), do: Hold},
		{name: "an operator chooses the restored backup", change: all(beatenBy2, restore, force), do: Write, record: func(r *node.Record) bool { return newer(r) && r.Newest().Timeline == 0 }},
	})
}

func TestABackupThatWasRestored(t *testing.T) {
	t.Parallel()
	base := func() Facts {
		f := asPrimary()
		f.Self.Restore = true
		down(&f)
		return f
	}
	chosen := func(f *Facts) { f.Self.Record.Promotions[0].Timeline, f.Self.Record.Heir = 0, nil }
	standby := func(f *Facts) { f.Self.Record = record("n1", first(), second()) }
	force := func(f *Facts) { f.Order = Order{Alone: true, Force: true} }
	check(t, base, []want{
		{name: "into a primary's directory: an operator decides", do: Hold},
		{name: "into a standby's too", change: all(beatenBy2, standby), do: Hold},
		{name: "whatever the container's end", change: func(f *Facts) { f.Self.Ending = true }, do: Leave},
		{name: "an operator chooses it", change: force, do: Write, record: func(r *node.Record) bool {
			return r.Primary && r.Epoch == 2 && len(r.Promotions) == 1 && r.Newest().Timeline == 0 && r.Heir == nil
		}},
		{name: "then the restore is finished", change: chosen, do: Finish},
		{name: "and what came of it opens", change: all(chosen, func(f *Facts) { f.Self.Restore = false; f.Self.Clean = true }), do: StartPrimary},
		{name: "unless somebody has promoted meanwhile", change: all(chosen, beatenBy2), do: Hold},
		{name: "an operator gives it up", change: all(beatenBy2, func(f *Facts) { f.Order.Reclone = true }), do: SetAside, target: "n2", after: follower},
		{name: "a standby of ours with both files replays all", change: all(beatenBy2, standby, func(f *Facts) { f.Self.Restore, f.Self.SignalFile = false, true }), do: StartStandby, target: "n2", record: follower},
	})
}

func TestACorruptRecord(t *testing.T) {
	t.Parallel()
	base := func() Facts {
		f := asPrimary()
		f.Self.Record, f.Self.Corrupt = nil, true
		down(&f)
		return f
	}
	check(t, base, []want{
		{name: "nothing is touched", do: Hold},
		{name: "a running server goes on", change: func(f *Facts) { f.Self.Server = ServerPrimary }, do: Wait},
		{name: "an operator chooses this data", change: func(f *Facts) { f.Order = Order{Alone: true, Force: true} }, do: Write, record: func(r *node.Record) bool { return r.Primary && r.Epoch == 2 }},
		{name: "an operator gives it up", change: all(beatenBy2, func(f *Facts) { f.Order.Reclone = true }), do: SetAside, target: "n2", after: follower},
	})
}
