package notify

import (
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
)

func TestWhatKeepsAStandbyFromReplayingIsNamed(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		replay Replay
		words  string
	}{
		{Replay{}, ""},
		{Replay{Paused: true}, "pg_wal_replay_resume()"},
		{Replay{Delay: "5min"}, "by 5min (recovery_min_apply_delay)"},
		{Replay{Paused: true, Short: node.Limit{Name: "max_connections", Now: 100, Next: 140}}, "max_connections is 100 and its primary's 140"},
	} {
		if got := row.replay.Stalled(); (got == "") != (row.words == "") || !strings.Contains(got, row.words) {
			t.Errorf("%+v: %q", row.replay, got)
		}
	}
	has := node.Needs{Connections: 100, Workers: 8, Senders: 10, Locks: 64}
	if l := Shortage(has, has); l.Name != "" {
		t.Errorf("as much is enough: %+v", l)
	}
	needs := has
	needs.Prepared = 5
	if l := Shortage(has, needs); l.Name != "max_prepared_transactions" || l.Now != 0 || l.Next != 5 {
		t.Errorf("got %+v", l)
	}
	if l := Shortage(needs, has); l.Name != "" {
		t.Errorf("more is enough: %+v", l)
	}
}

func TestAStandbyWhoseReplayStandsStillIsNoHeir(t *testing.T) {
	t.Parallel()
	stalled := func(f *Facts) { f.Peers[0].State.Cluster.Stalled = "its replay is paused" }
	unarmed := func(r *node.Record) bool { return r.Heir != nil && r.Heir.Node == "n3" }
	gone := func(f *Facts) { f.Peers, f.Self.Senders = f.Peers[:1], f.Self.Senders[:1] }
	check(t, asPrimary, []want{
		{name: "an armed one gives its right up", change: stalled, do: AskForDisarm, target: "n2"},
		{name: "and commits wait for it no longer", change: all(stalled, func(f *Facts) { f.Self.Disarmed = "n2" }), do: Write, target: "n2", record: func(r *node.Record) bool { return r.Heir == nil }},
		{name: "another one is chosen", change: all(noHeir, stalled), do: Write, target: "n3", record: unarmed},
		{name: "or none", change: all(noHeir, stalled, gone), do: Wait},
	})
	f := asPrimary()
	all(noHeir, stalled, gone)(&f)
	if v := Decide(f); !strings.Contains(v.Why, "n2 streams, but its replay is paused") {
		t.Errorf("the reason is not said: %s", v.Why)
	}
	if said := f.Stalled(); len(said) != 1 || !strings.Contains(said[0], "n2 streams, but its replay is paused") {
		t.Errorf("warnings of the primary: %q", said)
	}
	g := asHeir()
	g.Self.Replay.Paused = true
	if said := g.Stalled(); len(said) != 1 || !strings.Contains(said[0], "this node is nobody's heir: its replay is paused") {
		t.Errorf("warnings of the standby: %q", said)
	}
	for _, name := range []string{"", "n2"} {
		if why := f.NoTarget(name); !strings.Contains(why, "its replay is paused") {
			t.Errorf("a switchover to %q: %q", name, why)
		}
	}
}

func TestAStandbyThatIsToReplayWithMoreOfASettingIsStartedAgain(t *testing.T) {
	t.Parallel()
	short := func(f *Facts) {
		f.Self.Replay = Replay{Paused: true, Short: node.Limit{Name: "max_connections", Now: 100, Next: 140}}
	}
	unarmed := func(f *Facts) { f.Self.Record.Armed = nil }
	givenUp := func(f *Facts) { f.Peers[0].State.Cluster.Record.Heir = nil }
	check(t, asHeir, []want{
		{name: "its right is given up first", change: short, do: Write, record: func(r *node.Record) bool { return r.Armed == nil }},
		{name: "the primary gives it up", change: all(short, unarmed), do: Wait, target: "n1"},
		{name: "then the server stops", change: all(short, unarmed, givenUp), do: Stop},
		{name: "also while roles are paused", change: all(short, unarmed, givenUp, func(f *Facts) { f.Self.Record.Paused = true }), do: Stop},
		{name: "an heir whose primary is silent keeps its right", change: all(short, silence), do: Wait, target: "n1"},
		{name: "and inherits", change: all(short, silence, func(f *Facts) { f.Self.VIP, f.Self.VRRP = true, "MASTER" }), do: Promote, record: func(r *node.Record) bool { return r.Primary }},
	})
}
