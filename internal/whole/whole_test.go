package whole

import (
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// sound is a cluster of n1 (primary), n2 (armed heir) and n3, as n3 sees it.
func sound() *Facts {
	promotion := []node.Promotion{{ID: "p3", Epoch: 3, Node: "n1", Time: noon.Add(-time.Hour)}}
	one := func(name string, role node.Role) node.State {
		return node.State{
			Node: name, Phase: node.Running, Why: "postgres accepts connections", Ready: true, Role: role, Time: noon,
			Cluster: &node.Cluster{Name: "main", OnSilence: "promote", Why: "because of " + name, Record: &node.Record{Epoch: 3, Promotions: promotion}},
		}
	}
	n1, n2, n3 := one("n1", node.Primary), one("n2", node.Standby), one("n3", node.Standby)
	n1.Cluster.Open, n1.Cluster.Record.Primary, n1.Cluster.Record.Heir = true, true, &node.Heir{Node: "n2", Armed: true}
	n1.Cluster.Senders = []node.Sender{{Node: "n2", State: "streaming"}, {Node: "n3", State: "streaming"}}
	for _, st := range []node.State{n2, n3} {
		st.Cluster.Streaming, st.Cluster.Following = true, "n1"
	}
	n2.Cluster.Record.Armed = &node.Armed{Primary: "n1", Epoch: 3, Promotion: "p3"}
	n3.Cluster.Peers = []node.Peer{{Address: "10.0.0.1:8008", Node: "n1"}, {Address: "10.0.0.2:8008", Node: "n2"}}
	return &Facts{Node: n3, Peers: []node.State{n1, n2}}
}

// of is a node of the facts by its name, to be changed.
func (f *Facts) of(name string) *node.State {
	if f.Node.Node == name {
		return &f.Node
	}
	for i := range f.Peers {
		if f.Peers[i].Node == name {
			return &f.Peers[i]
		}
	}
	return nil
}

// silence lets nodes answer no longer.
func (f *Facts) silence(names ...string) {
	for i, p := range f.Node.Cluster.Peers {
		for _, name := range names {
			if p.Node == name {
				f.Node.Cluster.Peers[i].Error = "no answer from " + p.Address + ": not in time"
			}
		}
	}
}

// fallen is a cluster whose primary is silent, and none of whose nodes is armed.
func fallen(f *Facts) {
	f.silence("n1")
	f.of("n2").Cluster.Record.Armed = nil
}

// waiting lets the primary's commits wait for its heir.
func waiting(sessions *int) func(*Facts) {
	return func(f *Facts) {
		p := f.of("n1")
		p.Time = noon.Add(5 * time.Minute) // clocks differ
		p.Cluster.CommitsWait = &node.CommitsWait{Heir: "n2", Since: p.Time.Add(-12 * time.Second), Sessions: sessions}
		p.Cluster.Senders = p.Cluster.Senders[1:]
	}
}

func all(changes ...func(*Facts)) func(*Facts) {
	return func(f *Facts) {
		for _, change := range changes {
			change(f)
		}
	}
}

func TestTheVerdictOnAWholeCluster(t *testing.T) {
	some := 37
	for name, c := range map[string]struct {
		change func(*Facts)
		health node.Health
		code   string
		why    string // part of the sentence
		not    string // what is not yet so, for whoever waits after an order; empty: nothing
	}{
		"all is well": {func(*Facts) {}, node.Well, CodeWell, "n1 is the primary since 2026-01-01 11:00:00 UTC, n2 is its armed heir", ""},
		"no heir is wanted": {func(f *Facts) {
			n1 := f.of("n1").Cluster
			n1.OnSilence, n1.Record.Heir = "continue", nil
		}, node.Well, CodeWell, "n3 and n2 stream from it", ""},
		"the heir is silent and commits wait": {
			all(waiting(&some), func(f *Facts) { f.silence("n2") }),
			node.Degraded, CodeCommitsWait, "commits wait for n2, 37 sessions: it does not answer; start it again or, once it is down for certain, `pgbaton alone --force` on n1", "commits wait for n2",
		},
		"… and the server does not say how many": {waiting(nil), node.Degraded, CodeCommitsWait, "how many sessions is not known: it answers", "commits wait"},
		"… and there is an arbiter": {
			all(waiting(&some), func(f *Facts) {
				f.silence("n2")
				f.of("n1").Cluster.Arbiter = &node.Arbiter{Answers: true}
			}), node.Degraded, CodeCommitsWait, "the arbiter is about to let n1 go on without it", "commits wait",
		},
		"… for longer than the primary counts as ready": {
			all(waiting(&some), func(f *Facts) { f.of("n1").Ready = false }), node.Degraded, CodeCommitsWait, "commits wait for n2", "commits wait",
		},
		"the heir's supervisor alone is silent": {func(f *Facts) { f.silence("n2") }, node.Degraded, CodeNoHeir, "its armed heir n2 does not answer", "no heir of n1"},
		"the heir is gone and was given up": {
			func(f *Facts) {
				f.silence("n2")
				f.of("n1").Cluster.Record.Heir = nil
			}, node.Degraded, CodeNoHeir, "n1 is the primary and no heir is armed, so nobody would take over: n2 does not answer", "no heir of n1 is armed: because of n1",
		},
		"the heir is written down and not armed": {
			func(f *Facts) { f.of("n2").Cluster.Record.Armed = nil }, node.Degraded, CodeNoHeir, "no heir is armed, so nobody would take over: because of n1", "no heir of n1 is armed: because of n1",
		},
		"the heir is armed of another promotion": {
			func(f *Facts) { f.of("n2").Cluster.Record.Armed.Promotion = "p2" }, node.Degraded, CodeNoHeir, "no heir is armed", "no heir of n1 is armed",
		},
		"the heir says that it streams and the primary does not": {
			func(f *Facts) { f.of("n1").Cluster.Senders = nil }, node.Degraded, CodeNoHeir, "no heir is armed", "no heir of n1 is armed",
		},
		"another standby than the heir is silent":                    {func(f *Facts) { *f = *seenBy(f, "n1"); f.silence("n3") }, node.Degraded, CodeNode, "n3 does not answer", ""},
		"another standby than the heir does not stream":              {func(f *Facts) { f.Node.Cluster.Streaming = false }, node.Degraded, CodeNode, "n3 does not stream from n1", "n3 does not stream from n1"},
		"another standby than the heir follows somebody else":        {func(f *Facts) { f.Node.Cluster.Following = "n2" }, node.Degraded, CodeNode, "n3 does not stream from n1", "n3 does not stream"},
		"another standby than the heir does not replay":              {func(f *Facts) { f.Node.Cluster.Stalled = "its replay is paused" }, node.Degraded, CodeNode, "n3 streams, but its replay is paused", "n3 streams, but"},
		"another standby than the heir is ahead of the primary":      {func(f *Facts) { f.of("n1").Cluster.Senders[1].Ahead = true }, node.Degraded, CodeNode, "n3 has WAL that the primary n1 has not written", "n3 has WAL"},
		"another standby than the heir is stopped":                   {func(f *Facts) { stop(f, "n3") }, node.Degraded, CodeNode, "n3 is no running standby: stopped: an operator", "n3 is no running standby"},
		"another standby than the heir is copied":                    {func(f *Facts) { f.Node.Cluster.Building = true }, node.Degraded, CodeNode, "n3 is being built: because of n3", "n3 is being built"},
		"another standby than the heir is paused":                    {func(f *Facts) { f.Node.Cluster.Record.Paused = true }, node.Degraded, CodeNode, "n3 is paused: `pgbaton resume` there", ""},
		"the primary is paused":                                      {func(f *Facts) { f.of("n1").Cluster.Record.Paused = true }, node.Degraded, CodeNode, "n1 is paused", ""},
		"a peer has another token":                                   {func(f *Facts) { stranger(f, "db9:8008 has another token") }, node.Degraded, CodeNode, "db9:8008 has another token", ""},
		"a peer never answered":                                      {func(f *Facts) { stranger(f, "no answer from db9:8008: not in time") }, node.Degraded, CodeNode, "db9:8008 does not answer", ""},
		"a peer was not asked yet":                                   {func(f *Facts) { stranger(f, "") }, node.Degraded, CodeNode, "db9:8008 was not asked yet", ""},
		"a peer belongs to another cluster":                          {func(f *Facts) { foreign(f, "n9", "other") }, node.Degraded, CodeNode, "n9 at db9:8008 does not belong to this cluster", ""},
		"a peer has this node's name":                                {func(f *Facts) { foreign(f, "n3", "main") }, node.Degraded, CodeNode, "db9:8008 is called n3 too", ""},
		"one of a node's addresses is silent":                        {func(f *Facts) { stranger(f, "no answer"); f.Node.Cluster.Peers[2].Node = "n2" }, node.Well, CodeWell, "n2 is its armed heir", ""},
		"the virtual address is nowhere":                             {func(f *Facts) { f.of("n1").Cluster.VIPWanted = true }, node.Degraded, CodeVIP, "is on no node and not on the primary n1", "the virtual address is on no node"},
		"the virtual address is elsewhere":                           {func(f *Facts) { f.of("n1").Cluster.VIPWanted, f.of("n2").Cluster.VIP = true, true }, node.Degraded, CodeVIP, "on n2 and not on the primary n1", "the virtual address is on n2"},
		"the virtual address is at the primary":                      {func(f *Facts) { f.of("n1").Cluster.VIPWanted, f.of("n1").Cluster.VIP = true, true }, node.Well, CodeWell, "", ""},
		"the arbiter is silent":                                      {func(f *Facts) { f.of("n1").Cluster.Arbiter = &node.Arbiter{} }, node.Degraded, CodeArbiter, "does not answer n1", ""},
		"the primary is silent and its heir armed":                   {func(f *Facts) { f.silence("n1") }, node.Down, CodeNoPrimary, "the primary n1 (epoch 3) does not answer; its armed heir n2 takes over", "the primary n1"},
		"… and paused":                                               {func(f *Facts) { f.silence("n1"); f.of("n2").Cluster.Record.Paused = true }, node.Down, CodeNoPrimary, "its heir n2 is paused: `pgbaton resume`", "the primary n1"},
		"the primary is silent and nobody is armed":                  {fallen, node.Down, CodeNoPrimary, "no node that answers is its armed heir: start n1 again; if it is lost, `pgbaton promote --force` on n", "the primary n1"},
		"a standby alone of all answers":                             {func(f *Facts) { f.silence("n1", "n2") }, node.Down, CodeNoPrimary, "`pgbaton promote --force` on n3", "the primary n1"},
		"no primary was ever heard of":                               {func(f *Facts) { f.Peers = nil; f.Node.Cluster.Peers = nil }, node.Down, CodeNoPrimary, "no primary is known: because of n3", "no primary is known"},
		"the primary's server is down":                               {func(f *Facts) { stop(f, "n1") }, node.Down, CodeNoPrimary, "n1 is the primary and lets nobody in: stopped: an operator", "n1 is the primary"},
		"the primary runs and is closed":                             {func(f *Facts) { f.of("n1").Cluster.Open = false }, node.Down, CodeNoPrimary, "lets nobody in: running: because of n1", "n1 is the primary"},
		"no node has data":                                           {func(f *Facts) { *f = *seenBy(f, "n1"); clear(f) }, node.Down, CodeNoPrimary, "no node has data yet: because of n1", "no node has data"},
		"the primary's server gives no answer":                       {func(f *Facts) { f.of("n1").Cluster.Unanswered = noon.Add(-2 * time.Second) }, node.Degraded, CodeHung, "postgres on the primary n1 gives its supervisor no answer", "postgres on the primary n1"},
		"… for a moment":                                             {func(f *Facts) { f.of("n1").Cluster.Unanswered = noon.Add(-time.Second) }, node.Well, CodeWell, "", ""},
		"two primaries are open":                                     {second, node.Degraded, CodePrimaries, "n2 (epoch 4) and n1 (epoch 3) both let clients write", "both let clients write"},
		"an old primary that is back and closed beside the new one":  {func(f *Facts) { second(f); f.of("n1").Cluster.Open = false; f.of("n2").Cluster.OnSilence = "both" }, node.Degraded, CodeNode, "n1 is no running standby", "n3 does not stream from n2"},
		"a primary's answer that is old says nothing":                {func(f *Facts) { f.Node.Cluster.Peers[0].Age = -1 }, node.Down, CodeNoPrimary, "the primary n1 (epoch 3) does not answer", "the primary n1"},
		"a heir that was paused is given up before the order counts": {func(f *Facts) { *f = *pair(f); f.of("n2").Cluster.Record.Paused = true }, node.Degraded, CodeNoHeir, "n2 is paused", "n1 has yet to go on without n2"},
		"… and then it does": {
			func(f *Facts) {
				*f = *pair(f)
				f.of("n2").Cluster.Record.Paused, f.of("n1").Cluster.Record.Heir = true, nil
			},
			node.Degraded, CodeNoHeir, "so nobody would take over: n2 is paused", "",
		},
		"a node without peers that serves": {func(f *Facts) { f.Node.Cluster = nil }, node.Well, CodeWell, "postgres accepts connections", "-"},
		"a node without peers that holds":  {func(f *Facts) { stop(f, "n3"); f.Node.Cluster = nil }, node.Down, CodeNotReady, "stopped: an operator", "-"},
	} {
		t.Run(name, func(t *testing.T) {
			f := sound()
			c.change(f)
			v := Of(*f)
			if v.Health != c.health || v.Code != c.code || !strings.Contains(v.Why, c.why) {
				t.Errorf("%s %s: %s", v.Health, v.Code, v.Why)
			}
			if v.Code == CodeCommitsWait && v.Since != noon.Add(-12*time.Second) {
				t.Error("since", v.Since)
			}
			if c.not == "-" {
				return
			}
			if not := Missing(*f); (not == "") != (c.not == "") || !strings.Contains(not, c.not) {
				t.Errorf("missing: %q, want %q", not, c.not)
			}
		})
	}
}

// TestEveryNodeThatHearsTheOthersJudgesAlike: one verdict, whoever is asked.
func TestEveryNodeThatHearsTheOthersJudgesAlike(t *testing.T) {
	some := 37
	for name, change := range map[string]func(*Facts){
		"well": func(*Facts) {}, "commits wait": waiting(&some), "not armed": func(f *Facts) { f.of("n2").Cluster.Record.Armed = nil },
		"closed": func(f *Facts) { f.of("n1").Cluster.Open = false }, "two": second, "stopped": func(f *Facts) { stop(f, "n3") },
	} {
		f := sound()
		change(f)
		want := Of(*f)
		for _, who := range []string{"n1", "n2"} {
			if got := Of(*seenBy(f, who)); got.Code != want.Code || got.Health != want.Health || got.Why != want.Why {
				t.Errorf("%s: %s says %+v, n3 %+v", name, who, got, want)
			}
		}
	}
}

func TestWhatAnOrderReachedNamesThePrimaryItsHeirAndWhoIsMissing(t *testing.T) {
	for want, change := range map[string]func(*Facts){
		"n1 is the primary since 2026-01-01 11:00:00 UTC, n2 is its armed heir": func(*Facts) {},
		"n1 is the primary since 2026-01-01 11:00:00 UTC, no heir is armed; n2 is paused: `pgbaton resume` there ends that": func(f *Facts) {
			*f = *pair(f)
			f.of("n2").Cluster.Record.Paused, f.of("n1").Cluster.Record.Heir = true, nil
		},
		"n1 is the primary since 2026-01-01 11:00:00 UTC, n2 is its armed heir; n3 does not answer": func(f *Facts) {
			*f = *seenBy(f, "n1")
			f.silence("n3")
		},
	} {
		f := sound()
		change(f)
		if got := Reached(*f); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

// seenBy are the same nodes by the eyes of another.
func seenBy(f *Facts, name string) *Facts {
	g := &Facts{}
	var peers []node.Peer
	for _, st := range append([]node.State{f.Node}, f.Peers...) {
		if st.Node == name {
			g.Node = st
			continue
		}
		g.Peers = append(g.Peers, st)
		peers = append(peers, node.Peer{Address: st.Node + ":8008", Node: st.Node})
	}
	g.Node.Cluster.Peers = peers
	return g
}

// pair is a cluster without n3, as n1 sees it.
func pair(f *Facts) *Facts {
	g := seenBy(f, "n1")
	g.Peers = []node.State{*g.of("n2")}
	g.Node.Cluster.Peers = []node.Peer{{Address: "n2:8008", Node: "n2"}}
	return g
}

func stop(f *Facts, name string) {
	st := f.of(name)
	st.Phase, st.Ready, st.Role, st.Why = node.Stopped, false, "", "an operator wanted it so"
}

func stranger(f *Facts, why string) {
	f.Node.Cluster.Peers = append(f.Node.Cluster.Peers, node.Peer{Address: "db9:8008", Age: -1, Error: why})
}

func foreign(f *Facts, name, cluster string) {
	f.Node.Cluster.Peers = append(f.Node.Cluster.Peers, node.Peer{Address: "db9:8008", Node: name})
	f.Peers = append(f.Peers, node.State{Node: name, Cluster: &node.Cluster{Name: cluster}})
}

// second is a primary of a newer epoch beside the old one.
func second(f *Facts) {
	n2 := f.of("n2")
	n2.Role, n2.Cluster.Open, n2.Cluster.Streaming, n2.Cluster.Following = node.Primary, true, false, ""
	n2.Cluster.Record = &node.Record{Epoch: 4, Primary: true, Promotions: []node.Promotion{{ID: "p4", Epoch: 4, Node: "n2", Time: noon}}}
}

// clear takes every node's data.
func clear(f *Facts) {
	for _, name := range []string{"n1", "n2", "n3"} {
		st := f.of(name)
		st.Role, st.Ready, st.Phase = "", false, node.Holding
		st.Cluster.Record, st.Cluster.Empty, st.Cluster.Open = nil, true, false
	}
}
