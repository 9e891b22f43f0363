package notify

import (
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

func TestAPrimaryThatMayOpen(t *testing.T) {
	t.Parallel()
	server := func(x Server) func(*Facts) { return func(f *Facts) { f.Self.Server = x } }
	incomplete := func(f *Facts) { f.Self.Record.Promotions[0].Timeline = 0 }
	recovering := func(f *Facts) { f.Self.Recovering = true }
	third := func(f *Facts) { // n1 was promoted after n2's reign
		f.Self.Record.Promotions = []node.Promotion{first(), second(), {ID: "mine", Epoch: 3, Node: "n1"}}
		f.Self.Record.Epoch = 3
	}
	at := func(timeline uint32, history ...node.TimelineSwitch) func(*Facts) {
		return func(f *Facts) { f.Self.Timeline, f.Self.History = timeline, history }
	}
	one, two := node.TimelineSwitch{Timeline: 1, At: 100}, node.TimelineSwitch{Timeline: 2, At: 180}
	relapse := func(r *node.Record) bool {
		return len(r.Promotions) == 4 && r.Promotions[2].ID == "fresh" && r.Promotions[2].Timeline == 2 && r.Promotions[2].At == 1 &&
			r.Newest().ID == "mine" && r.Newest().Timeline == 0 && r.Primary && r.Epoch == 3
	}
	relapsed := func(f *Facts) {
		r := f.Self.Record
		r.Promotions = []node.Promotion{first(), second(), {ID: "again", Epoch: 3, Node: "n1", Timeline: 2, At: 1}, r.Newest()}
	}
	alone := func(r *node.Record) bool { return r.Primary && r.Heir == nil }
	check(t, asPrimary, []want{
		{name: "it and its armed heir are as they should be", do: Wait},
		{name: "the armed heir answers", change: down, do: StartPrimary, target: "n2"},
		{name: "the armed heir is silent: closed", change: all(down, silence), do: Hold, target: "n2"},
		{name: "the armed heir answers, and this server may not wait for it", change: all(down, func(f *Facts) { f.Self.Careless = "an old release" }), do: AskForDisarm, target: "n2"},
		{name: "the armed heir was never heard of: closed", change: all(down, unheard), do: Hold, target: "n2"},
		{name: "the heir answers unarmed: asked to stay so", change: all(down, disarmed), do: AskForDisarm, target: "n2"},
		{name: "the heir gave its right up", change: all(down, disarmed, func(f *Facts) { f.Self.Disarmed = "n2" }), do: Write, target: "n2", record: alone},
		{name: "nobody else may promote", change: all(noHeir, down), do: StartPrimary},
		{name: "nobody can be armed yet", change: all(down, silence, func(f *Facts) { f.Self.Record.Heir.Armed = false }), do: StartPrimary},
		{name: "not every peer was asked yet", change: all(noHeir, down, func(f *Facts) { f.Peers[1].Asked = false }), do: Wait},
		{name: "an operator goes on without the heir", change: all(down, silence, func(f *Facts) { f.Order = Order{Alone: true, Force: true} }), do: Write, record: alone},
		{name: "an operator goes on without the heir, running", change: all(silence, func(f *Facts) { f.Order = Order{Alone: true, Force: true} }), do: Write, record: alone},
		{name: "without force nothing is overruled", change: all(down, silence, func(f *Facts) { f.Order = Order{Alone: true} }), do: Hold, target: "n2"},
		{name: "the container ends", change: all(down, func(f *Facts) { f.Self.Ending = true }), do: Leave},
		{name: "the server starts", change: server(ServerStarting), do: Wait},
		{name: "somebody made standby.signal", change: server(ServerStandby), do: Hold},
		{name: "an interrupted promotion goes on", change: all(noHeir, incomplete, recovering, server(ServerStandby)), do: Promote},
		{name: "an interrupted promotion starts again", change: all(noHeir, incomplete, recovering, down), do: StartStandby},
		{name: "and again, whatever the server left of it", change: all(noHeir, third, recovering, down, at(3, one, two)), do: StartStandby},
		{name: "a promotion that only was not written down", change: all(noHeir, third, down, at(3, one, two)), do: StartPrimary},
		{name: "the first promotion begins before all WAL", change: all(noHeir, incomplete, at(5)), do: Complete, record: func(r *node.Record) bool {
			return r.Newest().Timeline == 5 && r.Newest().At == 1
		}},
		{name: "the promotion is complete", change: all(noHeir, third, at(3, one, two)), do: Complete, record: func(r *node.Record) bool {
			return r.Newest().Timeline == 3 && r.Newest().At == 180
		}},
		{name: "after tries that left timelines", change: all(noHeir, third, at(5, one, two, node.TimelineSwitch{Timeline: 3, At: 180}, node.TimelineSwitch{Timeline: 4, At: 190})), do: Complete, record: func(r *node.Record) bool {
			return len(r.Promotions) == 5 && r.Newest().ID == "mine" && r.Newest().Timeline == 5 && r.Newest().At == 190 &&
				r.Promotions[2].Timeline == 3 && r.Promotions[2].At == 180 && r.Promotions[3].Timeline == 4 && r.Promotions[3].At == 180
		}},
		{name: "one before it was never heard to be complete", change: all(noHeir, third, at(3, one, two), func(f *Facts) { f.Self.Record.Promotions[1].Timeline = 0 }), do: Complete, record: func(r *node.Record) bool {
			return len(r.Promotions) == 3 && r.Promotions[1].Timeline == 2 && r.Promotions[1].At == 100 && r.Newest().Timeline == 3 && r.Newest().At == 180
		}},
		{name: "its history cannot be read", change: all(noHeir, third, at(3)), do: Hold},
		{name: "its history is of another timeline", change: all(noHeir, third, at(3, one)), do: Hold},
		{name: "the server went on in the old timeline", change: all(noHeir, third, at(2, one)), do: Stop, record: relapse},
		{name: "which is written down once", change: all(noHeir, third, at(2, one), relapsed), do: Stop},
		{name: "it did so and stopped, or died", change: all(noHeir, third, down, at(2, one)), do: Write, record: relapse},
		{name: "it did so from before the last reign: an operator decides", change: all(noHeir, third, down, at(1)), do: Hold},
		{name: "who goes on without that reign", change: all(noHeir, third, down, at(1), func(f *Facts) { f.Order = Order{Alone: true, Force: true} }), do: Write, record: hasRelapsed},
		{name: "meanwhile it is stopped", change: all(noHeir, third, at(1)), do: Stop},
		{name: "or without this node", change: all(noHeir, third, down, at(1), func(f *Facts) { f.Peers[0].State.Cluster.Record.Epoch = 4 }), do: Write, record: hasRelapsed},
		{name: "then it is promoted", change: all(noHeir, third, down, at(2, one), relapsed), do: StartStandby},
		{name: "from where it left the old timeline", change: all(noHeir, third, at(3, one, two), relapsed), do: Complete, record: func(r *node.Record) bool {
			return len(r.Promotions) == 4 && r.Newest().Timeline == 3 && r.Newest().At == 180
		}},
		{name: "under both the peers get some time", change: all(noHeir, down, silence, func(f *Facts) {
			f.Policy.OnSilence, f.Peers[0].Silent = SilenceBoth, time.Second
		}), do: Wait},
		{name: "under both that time ends", change: all(noHeir, down, silence, func(f *Facts) {
			f.Policy.OnSilence, f.Peers[0].Silent = SilenceBoth, time.Minute
		}), do: StartPrimary},
		{name: "under both everybody answers", change: all(noHeir, down, func(f *Facts) { f.Policy.OnSilence = SilenceBoth }), do: StartPrimary},
	})
}

func TestAPromotionThatWasTakenForCompleteInAnOldTimelineIsAWarning(t *testing.T) {
	t.Parallel()
	f := asPrimary()
	for _, row := range []struct {
		newest node.Promotion
		warns  bool
	}{
		{node.Promotion{ID: "mine", Epoch: 3, Node: "n1", Timeline: 2, At: 1}, true},
		{node.Promotion{ID: "mine", Epoch: 3, Node: "n1", Timeline: 1, At: 1}, true},
		{node.Promotion{ID: "mine", Epoch: 3, Node: "n1", Timeline: 3, At: 180}, false},
		{node.Promotion{ID: "forced", Epoch: 3, Node: "n1", Timeline: 2, At: 180}, false}, // in its own timeline, by an operator
		{node.Promotion{ID: "mine", Epoch: 3, Node: "n1"}, false},
	} {
		f.Self.Record = primaryRecord("n1", first(), second(), row.newest)
		if w := f.Unproven(); (w != "") != row.warns {
			t.Errorf("%+v: %q", row.newest, w)
		}
	}
	f.Self.Record = primaryRecord("n1", first())
	if w := f.Unproven(); w != "" {
		t.Error(w)
	}
}

func TestAPromotionIsMadeAgainAtTheEndOfTheTimelineThatTheDataHad(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name         string
		known, begun uint32 // by pg_control, and by the history files
		want         uint32
	}{
		{"the dead promotion left nothing", 2, 2, 2},
		{"it left a history file", 2, 3, 2},
		{"pg_control knows what it began", 3, 3, 3},
		{"pg_control knows less than was received", 1, 2, 2},
		{"nothing of the last timeline was received", 1, 0, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := asPrimary()
			noHeir(&f)
			down(&f)
			f.Self.Record.Promotions = []node.Promotion{first(), second(), {ID: "mine", Epoch: 3, Node: "n1"}}
			f.Self.Recovering, f.Self.Timeline, f.Self.Begun = true, row.known, row.begun
			if v := Decide(f); v.Do != StartStandby || v.Timeline != row.want || v.Target != "" {
				t.Errorf("%s in timeline %d, following %q; want %d", v.Do, v.Timeline, v.Target, row.want)
			}
		})
	}
}

func TestAPrimaryThatIsBeaten(t *testing.T) {
	t.Parallel()
	fallen := all(beatenBy2, down, func(f *Facts) { f.Self.Clean, f.Self.End = true, 99 })
	at := func(end node.LSN) func(*Facts) {
		return all(fallen, func(f *Facts) { f.Self.End = end })
	}
	closed := func(f *Facts) { f.Peers[0].State.Cluster.Open = false }
	reclone := func(f *Facts) { f.Order.Reclone = true }
	follows2 := func(r *node.Record) bool { return follower(r) && r.Epoch == 2 && r.Newest().ID == "p2" }
	rewound := func(r *node.Record) bool { return follows2(r) && r.Reached }
	unpromoted := all(beatenBy2, down, func(f *Facts) {
		f.Self.Recovering = true
		mine := node.Promotion{ID: "mine", Epoch: 2, Node: "n1"}
		f.Self.Record = primaryRecord("n1", first(), mine)
		f.Self.SignalFile, f.Self.End = true, 90
		f.Peers[0].State.Cluster.Record = primaryRecord("n2", first(), second(), node.Promotion{ID: "p3", Epoch: 3, Node: "n2", Timeline: 3, At: 120})
	})
	third := func(f *Facts) { f.Peers[1] = standbyPeer("n3", record("n3", first(), second())) }
	check(t, asPrimary, []want{
		{name: "it is fenced", change: beatenBy2, do: Stop, target: "n2"},
		{name: "it is fenced although it is paused", change: all(beatenBy2, func(f *Facts) { f.Self.Record.Paused = true }), do: Stop, target: "n2"},
		{name: "it is fenced while it starts", change: all(beatenBy2, func(f *Facts) { f.Self.Server = ServerStarting }), do: Stop, target: "n2"},
		{name: "it may end", change: all(fallen, func(f *Facts) { f.Self.Ending = true }), do: Leave},
		{name: "its own WAL is replayed", change: all(fallen, func(f *Facts) { f.Self.Clean = false }), do: Recover, target: "n2"},
		{name: "its WAL ends with the branch", change: fallen, do: StartStandby, target: "n2", record: follows2},
		{name: "its shutdown checkpoint lies after the branch", change: at(100), do: Rewind, target: "n2", after: rewound},
		{name: "its WAL goes on after the branch", change: at(150), do: Rewind, target: "n2", after: rewound},
		{name: "nothing is rewound from a silent primary", change: all(at(150), silence), do: Hold, target: "n2"},
		{name: "nothing is rewound from a closed primary", change: all(at(150), closed), do: Hold, target: "n2"},
		{name: "what it acknowledged alone is held", change: all(at(150), func(f *Facts) { f.Self.Record.Heir = nil }), do: Hold, target: "n2"},
		{name: "and before its heir was proven to have it", change: all(at(150), func(f *Facts) { f.Self.Record.Heir.Armed = false }), do: Hold, target: "n2"},
		{name: "until an operator gives it up", change: all(at(150), reclone, func(f *Facts) { f.Self.Record.Heir = nil }), do: SetAside, target: "n2", after: follows2},
		{name: "which waits for a source", change: all(at(150), reclone, closed), do: Hold, target: "n2"},
		{name: "the same timeline number twice is copied", change: all(at(150), func(f *Facts) {
			mine := node.Promotion{ID: "mine", Epoch: 1, Node: "n1", Timeline: 2, At: 100}
			f.Self.Record.Promotions = []node.Promotion{first(), mine}
		}), do: SetAside, target: "n2", after: follows2},
		{name: "a promotion that never came about is forgotten", change: unpromoted, do: StartStandby, target: "n2", record: func(r *node.Record) bool { return follower(r) && r.Epoch == 3 }},
		{name: "it left a history of its timeline", change: all(unpromoted, func(f *Facts) { f.Self.Begun = 2 }), do: SetAside, target: "n2", after: func(r *node.Record) bool { return follower(r) && r.Epoch == 3 }},
		{name: "which waits for a source", change: all(unpromoted, closed, func(f *Facts) { f.Self.Begun = 2 }), do: Hold, target: "n2"},
		{name: "it went on in the old timeline", change: all(unpromoted, func(f *Facts) { f.Self.Recovering = false }), do: Write, record: func(r *node.Record) bool {
			return len(r.Promotions) == 3 && r.Promotions[1].ID == "fresh" && r.Promotions[1].Timeline == 1 && r.Promotions[1].At == 1
		}},
		{name: "and may have acknowledged what it wrote there", change: all(unpromoted, func(f *Facts) {
			f.Self.Recovering, f.Self.Clean = false, true
			f.Self.Record.Promotions = []node.Promotion{first(), {ID: "again", Epoch: 2, Node: "n1", Timeline: 1, At: 1}, f.Self.Record.Newest()}
		}), do: Hold, target: "n2"},
		{name: "what it gave to the new primary that has it is not held", change: all(at(150), func(f *Facts) {
			f.Self.Record.Heir, f.Self.Record.Released = nil, &node.Release{Target: "n2", Epoch: 1, LSN: 150}
		}), do: Rewind, target: "n2", after: rewound},
		{name: "what it gave to another is", change: all(at(150), func(f *Facts) {
			f.Self.Record.Heir, f.Self.Record.Released = nil, &node.Release{Target: "n3", Epoch: 1, LSN: 150}
		}), do: Hold, target: "n2"},
		{name: "and what it gave without knowing its end", change: all(at(150), func(f *Facts) {
			f.Self.Record.Heir, f.Self.Record.Released = nil, &node.Release{Target: "n2", Epoch: 1}
		}), do: Hold, target: "n2"},
		{name: "a standby of a newer epoch fences too", change: third, do: Stop, target: "n3"},
		{name: "and nothing opens until its primary is back", change: all(third, down), do: Hold, target: "n3"},
		{name: "unless an operator chooses its history", change: all(third, down, func(f *Facts) { f.Order = Order{Alone: true, Force: true} }), do: Write, record: func(r *node.Record) bool {
			return r.Primary && r.Epoch == 3 && r.Heir == nil && r.Newest().At == 91
		}},
		{name: "but the container may end", change: all(third, down, func(f *Facts) { f.Self.Ending = true }), do: Leave},
		{name: "a peer of another cluster fences nothing", change: all(beatenBy2, func(f *Facts) { f.Peers[0].State.Cluster.Name = "other"; noHeir2(f) }), do: Write, target: "n3", record: chosen("n3")},
		{name: "a peer of another system fences nothing", change: all(beatenBy2, func(f *Facts) { f.Peers[0].State.Cluster.Record.SystemIdentifier = 8; noHeir2(f) }), do: Write, target: "n3", record: chosen("n3")},
		{name: "a newer epoch fences even where its data is copied anew", change: all(beatenBy2, func(f *Facts) { f.Peers[0].State.Cluster.Building = true }), do: Stop, target: "n2"},
	})
}

// noHeir2 forgets the heir without a change of the peers.
func noHeir2(f *Facts) { f.Self.Record.Heir, f.Self.Named = nil, false }

func chosen(name string) func(*node.Record) bool {
	return func(r *node.Record) bool { return r.Primary && r.Heir != nil && r.Heir.Node == name && !r.Heir.Armed }
}

func TestTwoPrimariesOfOneEpoch(t *testing.T) {
	t.Parallel()
	base := func() Facts {
		f := asPrimary()
		f.Self.Record = primaryRecord("n1", first(), node.Promotion{ID: "mine", Epoch: 2, Node: "n1", Timeline: 2, At: 90})
		f.Self.Named = false
		beatenBy2(&f)
		return f
	}
	force := func(f *Facts) { f.Order = Order{Alone: true, Force: true} }
	incomplete := func(f *Facts) {
		f.Self.Record.Promotions[1].Timeline, f.Self.Timeline = 0, 2
		f.Self.History = []node.TimelineSwitch{{Timeline: 1, At: 90}}
	}
	check(t, base, []want{
		{name: "it stops", do: Stop, target: "n2"},
		{name: "under both the one with the VIP goes on", change: func(f *Facts) { f.Policy.OnSilence = SilenceBoth }, do: Wait},
		{name: "under both the one without stops", change: func(f *Facts) { f.Policy.OnSilence, f.Self.VIP = SilenceBoth, false }, do: Stop, target: "n2"},
		{name: "it holds", change: down, do: Hold, target: "n2"},
		{name: "it may end", change: all(down, func(f *Facts) { f.Self.Ending = true }), do: Leave},
		{name: "an operator gives it up", change: all(down, func(f *Facts) { f.Order.Reclone = true }), do: SetAside, target: "n2", after: follower},
		{name: "an operator chooses it", change: all(down, force), do: Write, record: func(r *node.Record) bool {
			return r.Epoch == 3 && r.Primary && r.Newest().ID == "fresh" && r.Newest().Timeline == 2 && r.Newest().At == 91
		}},
		{name: "whose promotion was not written down", change: all(down, force, incomplete), do: Write, record: func(r *node.Record) bool {
			return r.Epoch == 3 && len(r.Promotions) == 3 && r.Promotions[1].Timeline == 2 && r.Promotions[1].At == 90
		}},
		{name: "whose promotion never came about", change: all(down, force, incomplete, func(f *Facts) { f.Self.Recovering = true }), do: Write, record: func(r *node.Record) bool {
			return r.Epoch == 3 && len(r.Promotions) == 2 && r.Newest().Timeline == 0
		}},
	})
}
