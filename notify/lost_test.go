package notify

import (
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
)

// asLost is n2, a standby that needs WAL that n1 has removed.
func asLost() Facts {
	f := asStandby()
	f.Self.Streaming, f.Self.Dry = false, dryFor
	f.Self.Lost = &Loss{Primary: "n1", Promotion: "p1", Needs: 90}
	return f
}

func TestAStandbyThatCanNeverStreamAgain(t *testing.T) {
	t.Parallel()
	loss := func(change func(*Loss)) func(*Facts) { return func(f *Facts) { change(f.Self.Lost) } }
	stopped := func(f *Facts) { down(f); f.Self.Clean = true }
	theirs := func(change func(*node.Record)) func(*Facts) {
		return func(f *Facts) { change(f.Peers[0].State.Cluster.Record) }
	}
	check(t, asLost, []want{
		{name: "its server stops", do: Stop, target: "n1"},
		{name: "then its data is kept aside", change: stopped, do: SetAside, target: "n1", after: follower},
		{name: "without the proof it holds", change: func(f *Facts) { f.Self.Lost = nil }, do: Hold, target: "n1"},
		{name: "without it, down, it starts", change: all(stopped, func(f *Facts) { f.Self.Lost = nil }), do: StartStandby, target: "n1", record: follower},
		{name: "it streams after all", change: func(f *Facts) { f.Self.Streaming = true }, do: Wait, target: "n1"},
		{name: "another primary was asked", change: loss(func(l *Loss) { l.Primary = "n3" }), do: Hold, target: "n1"},
		{name: "another primary was asked, down", change: all(stopped, loss(func(l *Loss) { l.Primary = "n3" })), do: StartStandby, target: "n1", record: follower},
		{name: "another promotion was asked about", change: loss(func(l *Loss) { l.Promotion = "p0" }), do: Hold, target: "n1"},
		{name: "it has got more since", change: func(f *Facts) { f.Self.End = 91 }, do: Hold, target: "n1"},
		{name: "other data is there since, down", change: all(stopped, func(f *Facts) { f.Self.End = 91 }), do: StartStandby, target: "n1", record: follower},
		{name: "the primary is silent", change: silence, do: Hold, target: "n1"},
		{name: "the primary is silent, down", change: all(stopped, silence), do: StartStandby, target: "n1", record: follower},
		{name: "the primary is not open", change: all(stopped, func(f *Facts) { f.Peers[0].State.Cluster.Open = false }), do: StartStandby, target: "n1", record: follower},
		{name: "the primary is another's follower now", change: all(stopped, theirs(func(r *node.Record) { r.Primary = false })), do: StartStandby},
		{name: "it may promote: it has what was acknowledged", change: func(f *Facts) { f.Self.Record = armedRecord("n2", "n1", first()) }, do: Hold, target: "n1"},
		{name: "an operator paused it", change: func(f *Facts) { f.Self.Record.Paused = true }, do: Wait},
		{name: "an operator paused it, down", change: all(stopped, func(f *Facts) { f.Self.Record.Paused = true }), do: StartStandby, target: "n1", record: follower},
		{name: "it is about to end", change: func(f *Facts) { f.Self.Ending = true }, do: Leave},
		{name: "its server stops or starts", change: func(f *Facts) { f.Self.Server = ServerStarting }, do: Wait, target: "n1"},
		{name: "the last such copy's data is still kept", change: loss(func(l *Loss) { l.Kept = "diverged/x-lost" }), do: Hold, target: "n1"},
		{name: "an operator wants another one", change: all(loss(func(l *Loss) { l.Kept = "diverged/x-lost" }), func(f *Facts) { f.Order.Reclone = true }), do: Stop, target: "n1"},
		{name: "there is no room for two", change: loss(func(l *Loss) { l.Cramped = "no room" }), do: Hold, target: "n1"},
	})
}
