package notify

import (
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
)

// promoted is the record of a promotion by n2, which comes before the promotion.
func promoted(epoch uint64, history int) func(*node.Record) bool {
	return func(r *node.Record) bool {
		return r.Primary && r.Epoch == epoch && r.Armed == nil && r.Heir == nil && !r.Reached && len(r.Promotions) == history &&
			r.Newest().ID == "fresh" && r.Newest().Epoch == epoch && r.Newest().Timeline == 0 && r.Newest().Node == "n2"
	}
}

func master(f *Facts) { f.Self.VIP, f.Self.VRRP = true, "MASTER" }

func unarmed(f *Facts) { f.Self.Record.Armed = nil }

func released(lsn node.LSN) func(*Facts) {
	return func(f *Facts) {
		f.Peers[0].State.Cluster.Record.Released = &node.Release{Operation: "op", Target: "n2", Epoch: 1, LSN: lsn, Why: "a test"}
	}
}

func TestAnArmedHeir(t *testing.T) {
	t.Parallel()
	order := func(o Order) func(*Facts) { return func(f *Facts) { f.Order = o } }
	check(t, asHeir, []want{
		{name: "it streams", do: Wait, target: "n1"},
		{name: "the primary is silent and the VIP is here", change: all(master, silence), do: Promote, record: promoted(2, 2)},
		{name: "nor anybody else: it may be this node that hears nothing", change: all(master, silence, func(f *Facts) { f.Self.Deaf = 1 }), do: Wait, target: "n1"},
		{name: "the VIP is here and the primary answers", change: master, do: Wait, target: "n1"},
		{name: "the primary is silent and the VIP is not here", change: silence, do: Wait, target: "n1"},
		{name: "an address without MASTER is none", change: all(silence, func(f *Facts) { f.Self.VIP = true }), do: Wait, target: "n1"},
		{name: "MASTER without the address is none", change: all(silence, func(f *Facts) { f.Self.VRRP = "MASTER" }), do: Wait, target: "n1"},
		{name: "not every peer was asked", change: all(master, silence, func(f *Facts) { f.Peers[1].Asked = false }), do: Wait, target: "n1"},
		{name: "it is not armed", change: all(master, silence, unarmed), do: Wait, target: "n1"},
		{name: "it was armed in another epoch", change: all(master, silence, func(f *Facts) { f.Self.Record.Armed.Epoch = 0 }), do: Wait, target: "n1"},
		{name: "it was armed for another promotion", change: all(master, silence, func(f *Facts) { f.Self.Record.Armed.Promotion = "p0" }), do: Wait, target: "n1"},
		{name: "silence means nothing under continue", change: all(master, silence, func(f *Facts) { f.Policy.OnSilence = SilenceContinue }), do: Wait, target: "n1"},
		{name: "it is paused", change: all(master, silence, func(f *Facts) { f.Self.Record.Paused = true }), do: Wait},
		{name: "somebody promoted already", change: all(master, silence, func(f *Facts) {
			f.Peers[1] = primaryPeer("n3", primaryRecord("n3", first(), second()))
		}), do: Follow},
		{name: "under both it needs no arming", change: all(master, silence, unarmed, func(f *Facts) { f.Policy.OnSilence = SilenceBoth }), do: Promote, record: promoted(2, 2)},
		{name: "under both the primary may answer", change: all(master, unarmed, func(f *Facts) { f.Policy.OnSilence = SilenceBoth }), do: Wait, target: "n1"},
		{name: "its server was down: unarmed", change: down, do: Write, record: func(r *node.Record) bool { return r.Armed == nil && !r.Primary }},
		{name: "its primary says that it is ahead: unarmed", change: func(f *Facts) {
			f.Peers[0].State.Cluster.Senders = []node.Sender{{Node: "n2", State: "streaming", Ahead: true}}
		}, do: Write, record: func(r *node.Record) bool { return r.Armed == nil && !r.Primary }},
		{name: "it ends: unarmed", change: func(f *Facts) { f.Self.Ending = true }, do: Write, record: func(r *node.Record) bool { return r.Armed == nil }},
		{name: "an operator's promotion while the primary is open", change: order(Order{Promote: true}), do: Wait, target: "n1"},
		{name: "an operator's promotion while the primary is silent", change: all(silence, order(Order{Promote: true})), do: Promote, record: promoted(2, 2)},
		{name: "an operator's promotion of one that is not armed", change: all(silence, unarmed, order(Order{Promote: true})), do: Wait},
		{name: "by force", change: all(unarmed, order(Order{Promote: true, Force: true})), do: Promote, record: promoted(2, 2)},
		{name: "alone by force", change: all(unarmed, order(Order{Alone: true, Force: true})), do: Promote, record: promoted(2, 2)},
		{name: "although it is paused", change: all(order(Order{Promote: true, Force: true}), func(f *Facts) { f.Self.Record.Paused = true }), do: Promote, record: promoted(2, 2)},
		{name: "a history that its data never reached is not its own", do: Promote, record: promoted(3, 2), change: all(order(Order{Promote: true, Force: true}), func(f *Facts) {
			f.Self.Record = record("n2", first(), node.Promotion{ID: "p3", Epoch: 2, Node: "n3", Timeline: 2, At: 90})
			f.Self.Record.Reached = false
		})},
		{name: "nor is one that was never heard to be complete", do: Promote, record: promoted(3, 2), change: all(order(Order{Promote: true, Force: true}), func(f *Facts) {
			f.Self.Record = record("n2", first(), node.Promotion{ID: "p3", Epoch: 2, Node: "n3"})
		})},
	})
}

func TestAReleaseToAStandby(t *testing.T) {
	t.Parallel()
	check(t, asHeir, []want{
		{name: "it has the shutdown checkpoint", change: released(89), do: Promote, record: promoted(2, 2)},
		{name: "it has not", change: released(90), do: Hold},
		{name: "the server died", change: all(released(0), unarmed), do: Promote, record: promoted(2, 2)},
		{name: "although it is paused", change: all(released(89), func(f *Facts) { f.Self.Record.Paused = true }), do: Promote, record: promoted(2, 2)},
		{name: "it was told and did not see it", do: Promote, record: promoted(2, 2), change: all(silence, func(f *Facts) {
			f.Self.Taken = &node.Release{Target: "n2", Epoch: 1, LSN: 89}
		})},
		{name: "its server is down", change: all(released(89), down, unarmed), do: StartStandby},
		{name: "its server starts", change: all(released(89), func(f *Facts) { f.Self.Server = ServerStarting }), do: Wait},
		{name: "it is another's", change: func(f *Facts) {
			released(89)(f)
			f.Peers[0].State.Cluster.Record.Released.Target = "n3"
		}, do: Wait},
		{name: "it is of another promotion", change: func(f *Facts) {
			released(89)(f)
			f.Peers[0].State.Cluster.Record.Promotions[0].ID = "p0"
		}, do: Wait},
	})
}
