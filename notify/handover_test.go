package notify

import (
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

func TestAHandover(t *testing.T) {
	t.Parallel()
	base := func() Facts {
		f := asPrimary()
		f.Handover = &Handover{Operation: "op", Deadline: now.Add(time.Second), Why: "a test"}
		return f
	}
	to := func(name string) func(*Facts) { return func(f *Facts) { f.Handover.Target = name } }
	prepared := func(f *Facts) { f.Handover.Prepared = true }
	marked := func(f *Facts) { f.Handover.Mark = 90 }
	stopped := all(to("n2"), down, func(f *Facts) { f.Self.Clean = true })
	received := func(lsn node.LSN) func(*Facts) {
		return func(f *Facts) { f.Peers[0].State.Cluster.Received = lsn }
	}
	nobodyStreams := func(f *Facts) { f.Self.Senders = nil }
	released := func(r *node.Record) bool {
		return r.Primary && *r.Released == node.Release{Operation: "op", Target: "n2", Epoch: 1, LSN: 90, Why: "a test", Time: now}
	}
	check(t, base, []want{
		{name: "the heir is asked", do: AskForPrepare, target: "n2"},
		{name: "the server stops for it", change: prepared, do: StopForTarget, target: "n2"},
		{name: "its shutdown is under way", change: all(prepared, func(f *Facts) { f.Self.Server = ServerStarting }), do: Wait, target: "n2"},
		{name: "it has shut down and is not gone: the heir lacks the checkpoint", change: all(stopped, shut(time.Second), received(90)), do: Wait, target: "n2"},
		{name: "it has shut down and is not gone: the heir has the checkpoint", change: all(stopped, shut(1), received(91)), do: Release, target: "n2", record: released},
		{name: "it has shut down and is not gone: another may promote", change: all(stopped, shut(1), to("n3"), received(91)), do: Undo, target: "n3"},
		{name: "its promotion is not complete yet", change: all(prepared, func(f *Facts) { f.Self.Record.Promotions[0].Timeline = 0 }), do: Complete, record: func(r *node.Record) bool { return r.Newest().Timeline == 1 }},
		{name: "the heir lacks the checkpoint", change: all(stopped, received(90)), do: Wait, target: "n2"},
		{name: "the heir has the checkpoint", change: all(stopped, received(91)), do: Release, target: "n2", record: released},
		{name: "and is not armed any more, which does not matter", change: all(stopped, received(91), disarmed), do: Release, target: "n2", record: released},
		{name: "the heir is silent", change: all(stopped, received(91), silence), do: Wait, target: "n2"},
		{name: "the heir is being copied", change: all(stopped, received(91), func(f *Facts) { f.Peers[0].State.Cluster.Building = true }), do: Wait, target: "n2"},
		{name: "the time is over", change: all(stopped, func(f *Facts) { f.Now = f.Handover.Deadline }), do: Undo, target: "n2"},
		{name: "there is no standby, and the time is over", change: all(noHeir, nobodyStreams, func(f *Facts) { f.Now = f.Handover.Deadline }), do: Undo},
		{name: "the shutdown was not clean", change: all(to("n2"), down), do: Undo, target: "n2"},
		{name: "the heir may promote, the target has to become it first", change: to("n3"), do: AskForDisarm, target: "n2"},
		{name: "which is not asked for a target that does not stream", change: to("n4"), do: Wait},
		{name: "a stopped server cannot change its heir", change: all(to("n3"), down, func(f *Facts) { f.Self.Clean = true }), do: Undo, target: "n3"},
		{name: "with nobody armed any standby will do", change: all(noHeir, to("n3")), do: AskForPrepare, target: "n3"},
		{name: "the best one when none is named", change: noHeir, do: AskForPrepare, target: "n2"},
		{name: "under continue too", change: all(noHeir, prepared, to("n3"), func(f *Facts) { f.Policy.OnSilence = SilenceContinue }), do: StopForTarget, target: "n3"},
		{name: "which has to replay what is written meanwhile, and so be a copy", change: all(noHeir, prepared, marked, to("n3")), do: Wait, target: "n3"},
		{name: "as it has", change: all(noHeir, prepared, marked, to("n3"), func(f *Facts) { f.Self.Senders[1].Replay = 91 }), do: StopForTarget, target: "n3"},
		{name: "an armed heir has proven to be one", change: all(prepared, marked), do: StopForTarget, target: "n2"},
		{name: "nobody streams", change: all(noHeir, nobodyStreams), do: Wait},
		{name: "a paused primary hands over on order", change: func(f *Facts) { f.Self.Record.Paused = true }, do: AskForPrepare, target: "n2"},
	})
}

func TestAHandoverLooksAtReplay(t *testing.T) {
	t.Parallel()
	base := func() Facts {
		f := asPrimary()
		f.Handover = &Handover{Operation: "op", Target: "n2", Deadline: now.Add(time.Second), Prepared: true, Why: "a test"}
		down(&f)
		f.Self.Clean, f.Self.End = true, 1<<30
		f.Peers[0].State.Cluster.Received, f.Peers[0].State.Cluster.Replayed = 1<<30+1, 1<<30+1
		return f
	}
	behind := func(f *Facts) { f.Peers[0].State.Cluster.Replayed -= maxReplayLag + 2 }
	stopping := func(f *Facts) { f.Self.Server = ServerStarting }
	late := func(d time.Duration) func(*Facts) {
		return func(f *Facts) { f.Now = f.Handover.Deadline.Add(d) }
	}
	released := func(r *node.Record) bool { return r.Released != nil }
	check(t, base, []want{
		{name: "the target has replayed all", do: Release, target: "n2", record: released},
		{name: "or nearly all", change: func(f *Facts) { f.Peers[0].State.Cluster.Replayed -= maxReplayLag }, do: Release, target: "n2", record: released},
		{name: "it is far behind", change: behind, do: Wait, target: "n2"},
		{name: "and the time is over", change: all(behind, late(0)), do: Undo, target: "n2"},
		{name: "a shutdown that was begun is waited for", change: all(stopping, late(0)), do: Wait, target: "n2"},
		{name: "but not for ever", change: all(stopping, late(ShutWithin)), do: Undo, target: "n2"},
	})
	f := base()
	all(behind, late(0))(&f)
	if v := Decide(f); !strings.Contains(v.Why, "n2 has still to replay 16 MB of what it has received") {
		t.Errorf("the reason is not said: %s", v.Why)
	}
}

func TestAfterARelease(t *testing.T) {
	t.Parallel()
	base := func() Facts {
		f := asPrimary()
		down(&f)
		f.Self.Clean, f.Self.SignalFile = true, true
		f.Self.Record.Released = &node.Release{Operation: "op", Target: "n2", Epoch: 1, LSN: 90}
		return f
	}
	check(t, base, []want{
		{name: "the target is told", do: Tell, target: "n2"},
		{name: "the target is silent", change: silence, do: Hold, target: "n2"},
		{name: "the container may end then", change: all(silence, func(f *Facts) { f.Self.Ending = true }), do: Leave},
		{name: "a server that runs is stopped", change: func(f *Facts) { f.Self.Server = ServerPrimary }, do: Stop, target: "n2"},
		{name: "a server that has shut down need not be gone", change: shut(time.Second), do: Tell, target: "n2"},
		{name: "the target is open before it is gone", change: all(beatenBy2, shut(time.Second)), do: Wait, target: "n2"},
		{name: "and it does not end", change: all(beatenBy2, shut(endWithin)), do: Stop, target: "n2"},
		{name: "alone is not enough", change: all(silence, func(f *Facts) { f.Order = Order{Alone: true} }), do: Hold, target: "n2"},
		{name: "an operator takes it back", change: all(silence, func(f *Facts) { f.Order = Order{Alone: true, Force: true} }), do: Write, record: func(r *node.Record) bool {
			return r.Primary && r.Released == nil && r.Heir == nil
		}},
		{name: "the target is open", change: beatenBy2, do: StartStandby, target: "n2", record: follower},
	})
}

func TestADeadPostmaster(t *testing.T) {
	t.Parallel()
	base := func() Facts {
		f := asPrimary()
		down(&f)
		f.Self.Died = true
		return f
	}
	heir := func(change func(*node.State)) func(*Facts) {
		return func(f *Facts) { change(f.Peers[0].State) }
	}
	check(t, base, []want{
		{name: "its armed heir takes over", do: Release, target: "n2", record: func(r *node.Record) bool {
			return r.Primary && r.Released.Target == "n2" && r.Released.Operation == "fresh" && r.Released.LSN == 0
		}},
		{name: "this node is paused", change: func(f *Facts) { f.Self.Record.Paused = true }, do: StartPrimary, target: "n2"},
		{name: "the heir is paused", change: heir(func(s *node.State) { s.Cluster.Record.Paused = true }), do: StartPrimary, target: "n2"},
		{name: "the heir leaves", change: heir(func(s *node.State) { s.Cluster.Leaving = true }), do: StartPrimary, target: "n2"},
		{name: "the heir's server is down", change: heir(func(s *node.State) { s.Role = "" }), do: StartPrimary, target: "n2"},
		{name: "the heir has much to replay", change: heir(func(s *node.State) { s.Cluster.Received, s.Cluster.Replayed = 1<<30, 1 }), do: StartPrimary, target: "n2"},
		{name: "the heir is silent", change: silence, do: Hold, target: "n2"},
		{name: "the heir is not armed", change: disarmed, do: AskForDisarm, target: "n2"},
		{name: "there is no heir", change: noHeir, do: StartPrimary},
		{name: "the heir was not proven yet", change: func(f *Facts) { f.Self.Record.Heir.Armed = false }, do: StartPrimary},
	})
}
