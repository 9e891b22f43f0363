package notify

import (
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// ruled is what the arbiter says of a steady cluster: n1 is the primary of
// epoch 1, and n2 may begin the next one by the right r1.
func ruled() *Arbiter {
	return &Arbiter{ID: "etcd", Answers: true, Asked: true, Revision: 7, Lease: "n1", Record: &node.ClusterRecord{
		Arbiter: "etcd", Epoch: 1, Promotion: "p1", Primary: "n1", Heir: "n2", Right: "r1", Why: "before",
	}}
}

// byRight is an armed heir's record with the right r1.
func byRight(r *node.Record) *node.Record {
	r.Armed.Arbiter, r.Armed.Right = "etcd", "r1"
	return r
}

// asRuledPrimary is n1, whose heir n2 was armed with the arbiter.
func asRuledPrimary() Facts {
	f := asPrimary()
	f.Arbiter = ruled()
	f.Self.Record.Heir.Arbiter, f.Self.Record.Heir.Right = "etcd", "r1"
	byRight(f.Peers[0].State.Cluster.Record)
	for i := range f.Peers {
		f.Peers[i].State.Cluster.Arbiter = &node.Arbiter{ID: "etcd", Answers: true}
	}
	return f
}

// asRuledHeir is n2, which was armed with the arbiter.
func asRuledHeir() Facts {
	f := asHeir()
	f.Arbiter = ruled()
	byRight(f.Self.Record)
	f.Peers[0].State.Cluster.Record.Heir.Arbiter, f.Peers[0].State.Cluster.Record.Heir.Right = "etcd", "r1"
	return f
}

func says(change func(*node.ClusterRecord)) func(*Facts) {
	return func(f *Facts) { change(f.Arbiter.Record) }
}

func away(f *Facts)      { f.Arbiter.Answers = false }
func wiped(f *Facts)     { f.Arbiter.Record, f.Arbiter.Revision = nil, 0 }
func quiet(f *Facts)     { f.Peers[0].Answers, f.Peers[0].Silent = false, time.Minute }
func leaseless(f *Facts) { f.Arbiter.Lease = "" }
func void(f *Facts)      { f.Arbiter.Record.Heir = "" }
func beyond(f *Facts) {
	f.Arbiter.Record = &node.ClusterRecord{Arbiter: "etcd", Epoch: 2, Promotion: "x2", Primary: "n2", Right: "r1"}
}

// checkSwaps is check for rows that say what the arbiter is asked for.
func checkSwaps(t *testing.T, base func() Facts, rows []want, swaps map[string]Swap) {
	t.Helper()
	check(t, base, rows)
	for _, row := range rows {
		f := base()
		if row.change != nil {
			row.change(&f)
		}
		v := Decide(f)
		if (v.Swap != nil) != (v.Do == Register || v.Do == Claim) {
			t.Errorf("%s: %s with %+v", row.name, v.Do, v.Swap)
		}
		want, known := swaps[row.name]
		if v.Swap == nil || !known {
			continue
		}
		got := *v.Swap
		if got.To.Why == "" || got.To.Time != now {
			t.Errorf("%s: %+v", row.name, got)
		}
		got.To.Why, got.To.Time = "", time.Time{}
		want.To.Arbiter = "etcd"
		if got != want {
			t.Errorf("%s: swap %+v, want %+v", row.name, got, want)
		}
	}
}

func TestAPrimaryWithAnArbiter(t *testing.T) {
	t.Parallel()
	alone := func(r *node.Record) bool { return r.Primary && r.Heir == nil && r.Epoch == 1 }
	force := func(f *Facts) { f.Order = Order{Alone: true, Force: true} }
	overruled := func(r *node.Record) bool { return r.Primary && r.Heir == nil && r.Epoch == 6 }
	fifth := says(func(w *node.ClusterRecord) {
		*w = node.ClusterRecord{Arbiter: "etcd", Epoch: 5, Promotion: "x5", Primary: "n3"}
	})
	older := says(func(w *node.ClusterRecord) {
		w.Epoch, w.Promotion, w.Primary, w.Right, w.Heir = 0, "p0", "n3", "r0", "n1"
	})
	older0 := all(older, says(func(w *node.ClusterRecord) { w.Epoch = 1 }), func(f *Facts) {
		f.Self.Record.Epoch, f.Self.Record.Promotions[0].Epoch = 2, 2
		f.Peers[0].State.Cluster.Record.Epoch, f.Peers[0].State.Cluster.Record.Armed.Epoch = 2, 2
	})
	checkSwaps(t, asRuledPrimary, []want{
		{name: "all is as it should be", do: Wait},
		{name: "the heir has been silent for a moment", change: all(silence), do: Wait},
		{name: "the heir is silent", change: quiet, do: Register, target: "n2"},
		{name: "the heir is silent and the server down", change: all(quiet, down), do: Register, target: "n2"},
		{name: "the heir was never heard of", change: all(down, unheard, func(f *Facts) { f.Peers[0].Silent = time.Minute }), do: Register, target: "n2"},
		{name: "the heir is silent and so is the arbiter", change: all(quiet, away), do: Wait},
		{name: "closed, the heir is silent and so is the arbiter", change: all(quiet, away, down), do: Hold, target: "n2"},
		{name: "the heir is silent and the record gone", change: all(quiet, wiped), do: Wait},
		{name: "closed, the heir is silent and the record gone", change: all(quiet, wiped, down), do: Hold, target: "n2"},
		{name: "the heir is silent and the record another arbiter's", change: all(quiet, says(func(w *node.ClusterRecord) { w.Arbiter = "before the restore" })), do: Wait},
		{name: "the heir is silent and was armed with another arbiter", change: all(quiet, func(f *Facts) { f.Self.Record.Heir.Arbiter = "other" }), do: Register},
		{name: "the heir is silent and was armed without an arbiter", change: all(quiet, func(f *Facts) { f.Self.Record.Heir.Arbiter, f.Self.Record.Heir.Right = "", "" }), do: Register},
		{name: "the heir is silent and its right not registered yet", change: all(quiet, says(func(w *node.ClusterRecord) { w.Heir, w.Right = "", "" })), do: Register, target: "n2"},
		{name: "the heir is silent and the record behind", change: all(older0, quiet), do: Register, target: "n2"},
		{name: "the right is void", change: void, do: Write, target: "n2", record: alone},
		{name: "the right is void and the server down", change: all(void, down, quiet), do: Write, target: "n2", record: alone},
		{name: "another right is void", change: all(void, says(func(w *node.ClusterRecord) { w.Right = "r0" })), do: Register, target: "n2"},
		{name: "the right is void as it is read last", change: all(void, away, quiet), do: Write, target: "n2", record: alone},
		{name: "the heir has claimed its place", change: beyond, do: Stop, target: "n2"},
		{name: "the heir has claimed its place and the arbiter is away since", change: all(beyond, away), do: Stop, target: "n2"},
		{name: "somebody has promoted who is silent", change: all(fifth, down), do: Hold, target: "n3"},
		{name: "and the container ends", change: all(fifth, down, func(f *Facts) { f.Self.Ending = true }), do: Leave},
		{name: "an operator overrules that with a newer epoch", change: all(fifth, down, force), do: Write, record: overruled},
		{name: "the record is gone and the heir says that it did nothing", change: wiped, do: Register, target: "n2"},
		{name: "the record is gone and nobody is armed", change: all(wiped, noHeir, func(f *Facts) { f.Self.Senders = nil }), do: Register},
		{name: "the record is behind", change: older0, do: Register, target: "n2"},
		{name: "the heir's right is told before it is asked to be armed again", change: all(disarmed), do: AskForArming, target: "n2"},
		{name: "an older right is no arming", change: func(f *Facts) { f.Peers[0].State.Cluster.Record.Armed.Right = "r0" }, do: AskForArming, target: "n2"},
		{name: "a right of the days without an arbiter is given up", change: func(f *Facts) { f.Self.Record.Heir.Arbiter, f.Self.Record.Heir.Right = "", "" }, do: AskForDisarm, target: "n2"},
		{name: "which waits until the arbiter is known", change: func(f *Facts) {
			f.Self.Record.Heir.Arbiter, f.Self.Record.Heir.Right, f.Arbiter.ID, f.Arbiter.Answers = "", "", "", false
			f.Peers[0].State.Cluster.Record.Armed.Right = ""
		}, do: Wait},
		{name: "a right of another arbiter is given up", change: func(f *Facts) { f.Self.Record.Heir.Arbiter = "other" }, do: AskForDisarm, target: "n2"},
		{name: "a right of an arbiter that is not set any more is given up", change: func(f *Facts) {
			f.Arbiter = nil
			f.Peers[0].State.Cluster.Arbiter, f.Peers[1].State.Cluster.Arbiter = nil, nil
		}, do: AskForDisarm, target: "n2"},
		{name: "an heir without the setting is given up", change: func(f *Facts) { f.Peers[0].State.Cluster.Arbiter = nil }, do: AskForDisarm, target: "n2"},
		{name: "an heir of another arbiter is given up", change: func(f *Facts) { f.Peers[0].State.Cluster.Arbiter.ID = "other" }, do: AskForDisarm, target: "n2"},
		{name: "an order does not wait for the arbiter", change: all(quiet, away, force), do: Write, record: alone},
		{name: "opening waits until the arbiter was asked", change: all(down, away, func(f *Facts) { f.Arbiter.Asked = false }), do: Wait},
		{name: "and no longer", change: all(down, away), do: StartPrimary, target: "n2"},
		{name: "a release is not told of as a right", change: func(f *Facts) {
			wiped(f)
			f.Self.Record.Released = &node.Release{Target: "n2", Epoch: 1}
		}, do: Stop, target: "n2"},
	}, map[string]Swap{
		"the heir is silent and was armed without an arbiter": {From: 7, To: node.ClusterRecord{Epoch: 1, Promotion: "p1", Primary: "n1", Right: "r1"}},
		"the heir is silent":                                       {From: 7, To: node.ClusterRecord{Epoch: 1, Promotion: "p1", Primary: "n1", Right: "r1"}},
		"the heir is silent and the record behind":                 {From: 7, To: node.ClusterRecord{Epoch: 2, Promotion: "p1", Primary: "n1", Right: "r1"}},
		"another right is void":                                    {From: 7, To: node.ClusterRecord{Epoch: 1, Promotion: "p1", Primary: "n1", Right: "r1", Heir: "n2"}},
		"the record is gone and the heir says that it did nothing": {To: node.ClusterRecord{Epoch: 1, Promotion: "p1", Primary: "n1", Right: "r1", Heir: "n2"}},
		"the record is gone and nobody is armed":                   {To: node.ClusterRecord{Epoch: 1, Promotion: "p1", Primary: "n1"}},
		"the record is behind":                                     {From: 7, To: node.ClusterRecord{Epoch: 2, Promotion: "p1", Primary: "n1", Right: "r1", Heir: "n2"}},
	})
}

func TestArmingWithAnArbiter(t *testing.T) {
	t.Parallel()
	base := func() Facts {
		f := asRuledPrimary()
		disarmed(&f)
		f.Self.Record.Heir = &node.Heir{Node: "n2"}
		return f
	}
	none := func(f *Facts) { noHeir(f) }
	armed := func(arbiter, right string) func(*node.Record) bool {
		return func(r *node.Record) bool {
			return r.Heir != nil && r.Heir.Armed && r.Heir.Arbiter == arbiter && r.Heir.Right == right
		}
	}
	unknown := func(f *Facts) { f.Arbiter = &Arbiter{Asked: true} }
	nobodyKnows := all(unknown, func(f *Facts) {
		for i := range f.Peers {
			f.Peers[i].State.Cluster.Arbiter.ID = ""
		}
	})
	check(t, base, []want{
		{name: "each arming is a right of its own", do: Write, target: "n2", record: armed("etcd", "fresh")},
		{name: "the arbiter is away", change: away, do: Write, target: "n2", record: armed("etcd", "fresh")},
		{name: "a peer knows which arbiter it is", change: unknown, do: Write, target: "n2", record: armed("etcd", "fresh")},
		{name: "nobody knows which arbiter it is", change: nobodyKnows, do: Write, target: "n2", record: func(r *node.Record) bool { return r.Heir == nil }},
		{name: "nobody is chosen then", change: all(none, nobodyKnows), do: Wait},
		{name: "nobody is chosen who has not the setting", change: all(none, func(f *Facts) {
			for i := range f.Peers {
				f.Peers[i].State.Cluster.Arbiter = nil
			}
		}), do: Register},
	})
}

func TestAnHeirWithAnArbiter(t *testing.T) {
	t.Parallel()
	vip := func(f *Facts) { f.Self.VIP, f.Self.VRRP = true, "MASTER" }
	bare := func(f *Facts) { f.Self.VIP, f.Self.VRRP = false, "" }
	lost := all(quiet, leaseless, vip)
	won := all(quiet, beyond)
	unarmed := func(r *node.Record) bool { return !r.Primary && r.Armed == nil }
	promoted := func(r *node.Record) bool {
		return r.Primary && r.Epoch == 2 && r.Newest().ID == "x2" && r.Newest().Node == "n2"
	}
	force := func(f *Facts) { f.Order = Order{Promote: true, Force: true} }
	order := func(f *Facts) { f.Order = Order{Promote: true} }
	checkSwaps(t, asRuledHeir, []want{
		{name: "all is as it should be", do: Wait, target: "n1"},
		{name: "the primary is gone", change: lost, do: Claim, target: "n1"},
		{name: "the primary keeps its lease", change: all(quiet, vip), do: Wait, target: "n1"},
		{name: "the VIP is not here", change: all(quiet, leaseless), do: Wait, target: "n1"},
		{name: "keepalived runs here and has said nothing", change: all(quiet, leaseless, bare, func(f *Facts) { f.Policy.VIP = true }), do: Wait, target: "n1"},
		{name: "there is no keepalived", change: all(quiet, leaseless, bare), do: Claim, target: "n1"},
		{name: "there is no keepalived, and the silence is a moment's", change: all(silence, leaseless, bare), do: Wait, target: "n1"},
		{name: "the primary answers", change: all(leaseless, vip), do: Wait, target: "n1"},
		{name: "the arbiter is away", change: all(lost, away), do: Wait, target: "n1"},
		{name: "the record is gone", change: all(lost, wiped), do: Wait, target: "n1"},
		{name: "the arbiter is another one", change: all(lost, func(f *Facts) { f.Arbiter.ID, f.Arbiter.Record.Arbiter = "other", "other" }), do: Wait, target: "n1"},
		{name: "the setting is gone, and the right needs it still", change: all(lost, func(f *Facts) { f.Arbiter = nil }), do: Wait, target: "n1"},
		{name: "the arbiter names another right", change: all(lost, says(func(w *node.ClusterRecord) { w.Right = "r2" })), do: Wait, target: "n1"},
		{name: "the arbiter names another heir", change: all(lost, says(func(w *node.ClusterRecord) { w.Heir = "n3" })), do: Wait, target: "n1"},
		{name: "the arbiter is behind", change: all(lost, says(func(w *node.ClusterRecord) { w.Epoch = 0 })), do: Wait, target: "n1"},
		{name: "it is paused", change: all(lost, func(f *Facts) { f.Self.Record.Paused = true }), do: Wait},
		{name: "the primary went on without it", change: all(quiet, void), do: Write, record: unarmed},
		{name: "a right without an arbiter needs none", change: all(lost, func(f *Facts) { f.Self.Record.Armed.Arbiter, f.Self.Record.Armed.Right = "", "" }), do: Promote, record: func(r *node.Record) bool { return r.Primary && r.Epoch == 2 }},
		{name: "but is no use against a newer primary", change: all(lost, beyond, says(func(w *node.ClusterRecord) { w.Primary = "n3" }), func(f *Facts) { f.Self.Record.Armed.Arbiter, f.Self.Record.Armed.Right = "", "" }), do: Wait, target: "n1"},

		{name: "the claim is won", change: won, do: Promote, record: promoted},
		{name: "the claim is won, whatever the VIP and the primary do", change: beyond, do: Promote, record: promoted},
		{name: "the claim is won, and the arbiter is away since", change: all(won, away), do: Promote, record: promoted},
		{name: "the claim is won, and it is paused", change: all(won, func(f *Facts) { f.Self.Record.Paused = true }), do: Promote, record: promoted},
		{name: "the claim is won before a crash", change: all(won, down), do: Write, record: promoted},
		{name: "the claim is won and the server starts", change: all(won, func(f *Facts) { f.Self.Server = ServerStarting }), do: Wait},
		{name: "the claim is another's", change: all(won, says(func(w *node.ClusterRecord) { w.Primary = "n3" })), do: Write, record: unarmed},
		{name: "the claim was by another right", change: all(won, says(func(w *node.ClusterRecord) { w.Right = "r0" })), do: Register, target: "n1"},
		{name: "a newer primary is known", change: all(won, beatenBy3), do: Follow},
		{name: "after a restart the arbiter is asked first", change: all(quiet, down, away, func(f *Facts) { f.Arbiter.Asked = false }), do: Wait},
		{name: "after a restart it is unarmed", change: all(quiet, down), do: Write, record: unarmed},
		{name: "about to end it gives its right up, won or not", change: all(won, func(f *Facts) { f.Self.Ending = true }), do: Write, record: unarmed},
		{name: "and takes its claim back", change: all(won, func(f *Facts) { f.Self.Ending, f.Self.Record.Armed = true, nil }), do: Register, target: "n1"},
		{name: "or leaves where the arbiter is away", change: all(won, away, func(f *Facts) { f.Self.Ending, f.Self.Record.Armed = true, nil }), do: Leave},

		{name: "an operator's order asks the arbiter too", change: all(quiet, order), do: Claim, target: "n1"},
		{name: "an operator's order waits for the arbiter", change: all(quiet, order, away), do: Wait},
		{name: "an operator's force does not", change: all(quiet, force, away), do: Promote, record: func(r *node.Record) bool { return r.Primary && r.Epoch == 2 && r.Newest().ID == "fresh" }},
		{name: "and begins an epoch above the arbiter's", change: all(quiet, force, says(func(w *node.ClusterRecord) { w.Epoch, w.Primary, w.Heir, w.Right = 5, "n3", "", "r9" })), do: Promote, record: func(r *node.Record) bool {
			return r.Primary && r.Epoch == 6 && r.Newest().Epoch == 6
		}},
	}, map[string]Swap{
		"the primary is gone":                      {From: 7, Leaseless: true, To: node.ClusterRecord{Epoch: 2, Promotion: "fresh", Primary: "n2", Right: "r1"}},
		"an operator's order asks the arbiter too": {From: 7, To: node.ClusterRecord{Epoch: 2, Promotion: "fresh", Primary: "n2", Right: "r1"}},
		"and takes its claim back":                 {From: 7, To: node.ClusterRecord{Epoch: 1, Promotion: "p1", Primary: "n1", Right: "r1"}},
	})
}

// beatenBy3 makes n3 an open primary of epoch 2.
func beatenBy3(f *Facts) {
	f.Peers[1] = primaryPeer("n3", primaryRecord("n3", first(), node.Promotion{ID: "p3", Epoch: 2, Node: "n3", Timeline: 2, At: 100}))
}

func TestAnswersToArmingsWithAnArbiter(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		change func(*Facts, *Request)
		done   bool
	}{
		{"a right at this node's arbiter", nil, true},
		{"the arbiter is away", func(f *Facts, _ *Request) { f.Arbiter.Answers = false }, true},
		{"which arbiter it is is not known here", func(f *Facts, _ *Request) { f.Arbiter = &Arbiter{} }, true},
		{"without an arbiter", func(_ *Facts, q *Request) { q.Arbiter, q.Right = "", "" }, false},
		{"another arbiter", func(_ *Facts, q *Request) { q.Arbiter = "other" }, false},
		{"no arbiter here", func(f *Facts, _ *Request) { f.Arbiter = nil }, false},
		{"a right that is void", func(f *Facts, q *Request) { void(f); q.Right = "r1" }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f, q := asRuledHeir(), ask(AskArm)
			q.Arbiter, q.Right = "etcd", "r2"
			if row.change != nil {
				row.change(&f, &q)
			}
			reply, next := Answer(f, q)
			if reply.Done != row.done || (next != nil) != row.done || reply.Why == "" {
				t.Fatalf("done %v: %s", reply.Done, reply.Why)
			}
			if next != nil && (next.Armed.Arbiter != "etcd" || next.Armed.Right != "r2") {
				t.Errorf("armed %+v", next.Armed)
			}
		})
	}
}

func TestAPrimaryThatTheArbiterKnowsToBeBeatenHasNoVIP(t *testing.T) {
	t.Parallel()
	f := asRuledPrimary()
	if !Sit(f, -1).Eligible || f.Beaten() {
		t.Error("a primary may not hold the VIP")
	}
	beyond(&f)
	if !f.Beaten() {
		t.Error("a primary that the arbiter knows to be beaten is not")
	}
}
