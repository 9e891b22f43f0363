package notify

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// members are those with the names.
func members(names ...string) (m node.Members) {
	m.Seen = map[string]node.Sight{}
	for _, name := range names {
		m = m.Change(name, false, now)
	}
	return m
}

func TestWhoHasARecordOfTheClusterIsAMemberForGood(t *testing.T) {
	t.Parallel()
	f := asPrimary()
	m, joined, left := Join(f, node.Members{})
	if got := strings.Join(m.Names(), " "); got != "n1 n2 n3" || len(joined) != 3 || len(left) != 0 {
		t.Fatalf("members are %q, joined %v, left %v", got, joined, left)
	}
	f.Peers = f.Peers[:1]
	f.Peers[0].Answers = false
	if n, joined, _ := Join(f, m); !slices.Equal(n.Members, m.Members) || len(joined) != 0 {
		t.Errorf("silence changed who belongs to the cluster: %v", n)
	}
	for name, change := range map[string]func(*Facts){
		"an empty node":              func(f *Facts) { f.Peers = []Peer{emptyPeer("n4")} },
		"a node of another cluster":  func(f *Facts) { f.Peers[0].State.Cluster.Name = "other" },
		"one of another identifier":  func(f *Facts) { f.Peers[0].State.Cluster.Record.SystemIdentifier = 8 },
		"one that does not answer":   silence,
		"one that never answered us": unheard,
	} {
		f := asPrimary()
		f.Peers = f.Peers[:1]
		change(&f)
		if m, _, _ := Join(f, node.Members{}); len(m.Names()) != 1 {
			t.Errorf("%s joined: %v", name, m.Names())
		}
	}
}

func TestTheNewerWordAboutANodeCounts(t *testing.T) {
	t.Parallel()
	f := asPrimary()
	f.Peers = f.Peers[:1]
	theirs := members("n1", "n2", "n3", "n4").Change("n4", true, now)
	f.Peers[0].State.Cluster.Members = theirs.Members
	m, joined, left := Join(f, members("n1", "n2", "n4"))
	if m.Has("n4") || !m.Has("n3") || !slices.Equal(joined, []string{"n3"}) || !slices.Equal(left, []string{"n4"}) {
		t.Errorf("members are %v, joined %v, left %v", m.Names(), joined, left)
	}
	f.Peers[0].State.Cluster.Members = members("n4").Members
	if n, _, _ := Join(f, m); n.Has("n4") {
		t.Error("an older word brought a forgotten node back")
	}
	f.Peers = append(f.Peers, standbyPeer("n4", record("n4", first())))
	if n, joined, _ := Join(f, m); !n.Has("n4") || !slices.Equal(joined, []string{"n4"}) {
		t.Error("a forgotten node that answers is no member again")
	}
}

func TestAMemberThatNobodyFindsIsASilentPeer(t *testing.T) {
	t.Parallel()
	show := func(peers []Peer) string {
		var out []string
		for _, p := range peers {
			out = append(out, p.called())
		}
		return strings.Join(out, ", ")
	}
	m := members("n1", "n2", "n3", "n5").Change("n5", true, now)
	m.Seen["n3"] = node.Sight{Address: "10.0.0.3:8008", Host: "db3:8008"}
	found := []Peer{standbyPeer("n2", record("n2", first()))}
	stranger := func(address, host string) Peer { return Peer{Address: address, Host: host, Asked: true} }
	for _, c := range []struct {
		name, want string
		peers      []Peer
		expected   []string
	}{
		{"its address is gone", "n2 (n2:8008), n3 (10.0.0.3:8008)", nil, nil},
		{"its address does not answer", "n2 (n2:8008), n3 (10.0.0.3:8008)", []Peer{stranger("10.0.0.3:8008", "tasks.db:8008")}, nil},
		{"its name does not resolve", "n2 (n2:8008), n3 (db3:8008)", []Peer{stranger("db3:8008", "db3:8008")}, nil},
		{"its name is another address now", "n2 (n2:8008), n3 (10.0.0.9:8008)", []Peer{stranger("10.0.0.9:8008", "db3:8008")}, nil},
		{"somebody else is silent too", "n2 (n2:8008), db4:8008, n3 (10.0.0.3:8008)", []Peer{stranger("db4:8008", "db4:8008")}, nil},
		{"one that was never heard of is expected", "n2 (n2:8008), n3 (10.0.0.3:8008), n4", nil, []string{"n1", "n2", "n3", "n4", "n5"}},
		{"and is found by its name", "n2 (n2:8008), n4 (10.0.0.4:8008), n3 (10.0.0.3:8008)", []Peer{stranger("10.0.0.4:8008", "n4:8008")}, []string{"n4"}},
		{"one that was forgotten is named still", "n2 (n2:8008), n3 (10.0.0.3:8008)", []Peer{stranger("n5:8008", "n5:8008")}, nil},
	} {
		if got := show(WithAbsent(append(slices.Clone(found), c.peers...), m, c.expected, "n1", time.Minute)); got != c.want {
			t.Errorf("%s: the peers are %s, not %s", c.name, got, c.want)
		}
	}
}

func TestNodesThatNobodyFindsKeepANodeFromActingAloneOnItsData(t *testing.T) {
	t.Parallel()
	absent := func(f *Facts) { f.Peers = WithAbsent(f.Peers, members("n1", "n2", "n4"), nil, "n1", time.Minute) }
	uncounted := func(f *Facts) { f.Uncounted = "tasks.db stands for several nodes" }
	heirOf2 := func(f *Facts) {
		r := primaryRecord("n2", first(), second())
		r.Heir = &node.Heir{Node: "n1", Armed: true}
		f.Peers[0] = primaryPeer("n2", r)
	}
	check(t, asEmpty, []want{
		{name: "a member is away", change: absent, do: Hold},
		{name: "how many there are is not known", change: uncounted, do: Hold},
		{name: "a member that this heir without data never heard is away", change: all(heirOf2, absent), do: Hold, target: "n2"},
	})
	adopted := func() Facts {
		f := asEmpty()
		f.Self = Self{Data: DataCluster, SystemIdentifier: 7}
		return f
	}
	check(t, adopted, []want{
		{name: "all have answered", do: Write, record: func(r *node.Record) bool { return r.Primary }},
		{name: "a member is away, and the data has no record", change: absent, do: Hold},
		{name: "how many there are is not known, and the data has no record", change: uncounted, do: Hold},
	})
}

func TestWhoMayBeForgotten(t *testing.T) {
	t.Parallel()
	cut := func(f *Facts) { f.Peers[0].Answers, f.Peers[0].Silent = false, time.Minute }
	away := func(f *Facts) { cut(f); f.Self.Senders = f.Self.Senders[min(1, len(f.Self.Senders)):] }
	unarmed := func(f *Facts) { f.Self.Record.Heir = nil }
	asked := func(base func() Facts, change func(*Facts), m node.Members, name string, force bool) string {
		f := base()
		change(&f)
		return f.NoForget(m, name == "left", name, force)
	}
	all3 := members("n1", "n2", "n3")
	seen := func(s node.Sight) node.Members {
		m := members("n1", "n2", "n3", "n4")
		m.Seen["n4"] = s
		return m
	}
	for name, c := range map[string]struct{ got, want string }{
		"itself":                                      {asked(asPrimary, away, all3, "n1", true), "cannot forget itself"},
		"a name that nobody has":                      {asked(asPrimary, away, all3, "n9", true), "its nodes are n1, n2, n3"},
		"a slot that a node left":                     {asked(asPrimary, away, all3, "left", false), ""},
		"one that answers":                            {asked(asPrimary, away, all3, "n3", true), "n3 answers"},
		"one that answered a moment ago":              {asked(asPrimary, silence, all3, "n2", true), "n2 answers"},
		"one that streams":                            {asked(asPrimary, cut, all3, "n2", true), "n2 streams from here"},
		"the armed heir":                              {asked(asPrimary, away, all3, "n2", false), "`pgbaton alone --force` on n1 first"},
		"the armed heir, by force":                    {asked(asPrimary, away, all3, "n2", true), ""},
		"a standby":                                   {asked(asPrimary, all(away, unarmed), all3, "n2", false), ""},
		"the primary":                                 {asked(asHeir, away, all3, "n1", false), "n1 is the primary"},
		"the primary of before a restart":             {asked(asHeir, func(f *Facts) { f.Peers = f.Peers[1:] }, all3, "n1", false), "n1 was the primary of epoch 1"},
		"one that proves a newer epoch":               {asked(asPrimary, away, seen(node.Sight{Epoch: 2}), "n4", false), "newest epoch 2"},
		"one that proves it, by force":                {asked(asPrimary, away, seen(node.Sight{Epoch: 2}), "n4", true), ""},
		"by a node without a record":                  {asked(asEmpty, away, all3, "n2", false), "not in the cluster's newest epoch"},
		"another primary of this epoch":               {asked(asPrimary, away, seen(node.Sight{Primary: true, Epoch: 1}), "n4", false), "n4 was the primary of epoch 1"},
		"a primary that was beaten":                   {asked(asPrimary, away, seen(node.Sight{Primary: true}), "n4", false), ""},
		"an heir of before a restart, and no primary": {asked(asHeir, func(f *Facts) { f.Peers = nil }, seen(node.Sight{Armed: true, Epoch: 1}), "n4", false), "n4 was an armed heir"},
		"one that a release went to": {asked(asPrimary, all(away, func(f *Facts) {
			f.Self.Record.Released = &node.Release{Target: "n2"}
		}), all3, "n2", false), "gave the right to open to n2"},
	} {
		if (c.want == "") != (c.got == "") || !strings.Contains(c.got, c.want) {
			t.Errorf("%s: %q, want %q", name, c.got, c.want)
		}
	}
}

func TestANodesOwnNewerWordCountsMoreThanWhatItSaidAtAnotherAddress(t *testing.T) {
	t.Parallel()
	f := asHeir()
	old := f.Peers[0] // n1 as the primary of epoch 1, at an address that it has no longer
	old.Address, old.Answers, old.Silent = "10.0.0.1:8008", false, time.Minute
	f.Peers = []Peer{old, standbyPeer("n1", record("n1", first(), second())), primaryPeer("n2", primaryRecord("n2", first(), second()))}
	f.Policy.Node = "n3"
	if p, found := f.primary(); !found || p.name() != "n2" {
		t.Errorf("the primary is %s", p.called())
	}
	if p, found := f.Named("n1"); !found || p.Address != "n1:8008" {
		t.Errorf("n1 is at %s", p.Address)
	}
}

func TestWhereThereIsNoRoomTheSlotOfTheNodeThatIsMissedLeastGoes(t *testing.T) {
	t.Parallel()
	f := asPrimary()
	m := members("n1", "n2", "n3", "n4", "n5")
	m.Seen["n4"], m.Seen["n5"] = node.Sight{Time: now.Add(-time.Hour)}, node.Sight{Time: now.Add(-time.Minute)}
	silence(&f) // of n2, the heir
	if got := f.LeastMissed(m, []string{"n2", "n3", "n4", "n5"}); got != "n4" {
		t.Errorf("the slot of %q goes", got)
	}
	if got := f.LeastMissed(m, []string{"n2", "n3"}); got != "" {
		t.Errorf("the slot of %q goes, of an heir or of one that answers", got)
	}
}
