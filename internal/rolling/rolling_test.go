package rolling

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// pending is what a server with a setting that waits for a restart tells.
func pending(name, now, next string) []node.Pending {
	return []node.Pending{{Name: name, Now: now, Next: next}}
}

// whole is a cluster of n1 (primary), n2 (armed heir) and n3, of which every
// server has a setting that waits for a restart.
func whole() Facts {
	promotion := []node.Promotion{{ID: "p1", Epoch: 1, Node: "n1"}}
	one := func(name string, role node.Role) Node {
		return Node{
			State: node.State{
				Node: name, Phase: node.Running, Why: "postgres accepts connections", Ready: true, Role: role,
				Server:  &node.Server{Pending: pending("max_connections", "100", "200"), Limits: []node.Limit{{Name: "max_connections", Now: 100, Next: 200}}},
				Cluster: &node.Cluster{Name: "main", OnSilence: "promote", Why: "because", Record: &node.Record{Promotions: promotion}},
			},
			Started: noon.Add(-time.Hour), Told: noon.Add(time.Second), Seen: noon,
		}
	}
	n1, n2, n3 := one("n1", node.Primary), one("n2", node.Standby), one("n3", node.Standby)
	n1.Cluster.Open, n1.Cluster.Record.Primary, n1.Cluster.Record.Heir = true, true, &node.Heir{Node: "n2", Armed: true}
	for _, n := range []Node{n2, n3} {
		n.Cluster.Streaming, n.Cluster.Following = true, "n1"
	}
	n2.Cluster.Record.Armed = &node.Armed{Primary: "n1", Epoch: 1, Promotion: "p1"}
	return Facts{Nodes: []Node{n3, n1, n2}, Asked: noon, Begun: noon}
}

// of is a node of the facts by its name, to be changed.
func (f *Facts) of(name string) *Node {
	for i := range f.Nodes {
		if f.Nodes[i].Node == name {
			return &f.Nodes[i]
		}
	}
	return nil
}

// restarted makes nodes look as they do after their restart.
func (f *Facts) restarted(names ...string) {
	for _, name := range names {
		n := f.of(name)
		n.Server.Pending, n.Started = nil, noon.Add(time.Millisecond)
		n.Server.Limits[0].Now = n.Server.Limits[0].Next
	}
}

func TestTheNextStepOfARollingRestart(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Facts)
		do     Do
		node   string
		why    string
	}{
		"the standby that is not the heir comes first": {func(*Facts) {}, Restart, "n3", "max_connections 100 → 200"},
		"also where the heir is the first of them":     {func(f *Facts) { slices.Reverse(f.Nodes) }, Restart, "n3", ""},
		"an answer of before says nothing of what was ordered since": {func(f *Facts) {
			f.of("n2").Cluster.Record.Paused, f.of("n2").Seen = true, noon.Add(-time.Second)
		}, Wait, "", "n2 has not answered since this began"},
		"then the heir":               {func(f *Facts) { f.restarted("n3") }, Restart, "n2", "max_connections"},
		"then the primary hands over": {func(f *Facts) { f.restarted("n3", "n2") }, Switchover, "n1", "max_connections"},
		"then nothing":                {func(f *Facts) { f.restarted("n1", "n2", "n3") }, Done, "", "no setting waits"},
		"a primary whose server needs none does not hand over":        {func(f *Facts) { f.restarted("n1") }, Restart, "n3", ""},
		"all servers: those that were started before are due":         {func(f *Facts) { f.restarted("n3"); f.Since = noon; f.of("n2").Server.Pending = nil }, Restart, "n2", "started before"},
		"all servers: none is left":                                   {func(f *Facts) { f.restarted("n1", "n2", "n3"); f.Since = noon }, Done, "", "every server was started since"},
		"no peers":                                                    {func(f *Facts) { f.Nodes = f.Nodes[:1]; f.Nodes[0].Cluster = nil }, Refuse, "", "PGBATON_PEERS"},
		"no other node":                                               {func(f *Facts) { f.Nodes = f.Nodes[1:2] }, Refuse, "", "the only node"},
		"a peer that does not answer":                                 {func(f *Facts) { f.Silent = []string{"n2: no answer"} }, Wait, "", "n2: no answer"},
		"a peer of another cluster":                                   {func(f *Facts) { f.of("n2").Cluster.Name = "other" }, Refuse, "", "n2 is listed as a peer"},
		"two nodes of one name":                                       {func(f *Facts) { f.of("n2").Node = "n3" }, Refuse, "", "two nodes are called n3"},
		"a stopped server":                                            {func(f *Facts) { f.of("n2").Halted, f.of("n2").Phase = true, node.Stopped }, Refuse, "", "`pgbaton start`"},
		"a server that stops for its restart":                         {func(f *Facts) { n := f.of("n2"); n.Halted, n.Phase, n.Ready = true, node.Stopping, false }, Wait, "", "no running standby"},
		"a node that holds":                                           {func(f *Facts) { f.of("n3").Phase = node.Holding }, Wait, "", "n3 holds"},
		"a paused node":                                               {func(f *Facts) { f.of("n3").Cluster.Record.Paused = true }, Refuse, "", "n3 is paused"},
		"no open primary":                                             {func(f *Facts) { f.of("n1").Cluster.Open = false }, Wait, "", "exactly one open primary"},
		"two open primaries":                                          {func(f *Facts) { n := f.of("n3"); n.Role, n.Cluster.Open = node.Primary, true }, Wait, "", "exactly one open primary"},
		"a standby that does not stream":                              {func(f *Facts) { f.of("n3").Cluster.Streaming = false }, Wait, "", "n3 does not stream from n1"},
		"a standby that follows somebody else":                        {func(f *Facts) { f.of("n3").Cluster.Following = "n2" }, Wait, "", "n3 does not stream from n1"},
		"an heir that the primary has not armed":                      {func(f *Facts) { f.of("n1").Cluster.Record.Heir.Armed = false }, Wait, "", "no heir of n1 is armed"},
		"an heir that has not written it down":                        {func(f *Facts) { f.of("n2").Cluster.Record.Armed = nil }, Wait, "", "no heir of n1 is armed"},
		"an heir that is armed for an epoch that is over":             {func(f *Facts) { f.of("n2").Cluster.Record.Armed.Promotion = "p0" }, Wait, "", "no heir of n1 is armed"},
		"no heir where none is wanted":                                {func(f *Facts) { f.of("n1").Cluster.OnSilence = "continue"; f.of("n1").Cluster.Record.Heir = nil }, Restart, "n3", ""},
		"a server that has told nothing since the command began":      {func(f *Facts) { f.of("n2").Told = noon.Add(-time.Second) }, Wait, "", "n2 has yet to tell"},
		"a server that has told nothing since its restart":            {func(f *Facts) { f.of("n2").Started = noon.Add(time.Minute) }, Wait, "", "n2 has yet to tell"},
		"a configuration with which a server might not start":         {func(f *Facts) { f.of("n1").Server.Faults = []string{"line 7"} }, Refuse, "", "the server of n1 might not start with its configuration: line 7"},
		"a fault where nothing is known to wait":                      {func(f *Facts) { f.restarted("n1", "n2", "n3"); f.of("n3").Server.Faults = []string{"line 7"} }, Refuse, "", "the server of n3 might not start"},
		"a standby that would have less than its primary":             {func(f *Facts) { f.of("n2").Server.Limits[0].Next = 50 }, Refuse, "", "max_connections is to become 50 on n2 and is 100 on its primary n1"},
		"an old primary that would have less than the one it follows": {func(f *Facts) { f.of("n1").Server.Limits[0].Next = 150 }, Refuse, "", "max_connections is to be 150 on n1 and 200 on n3"},
		"a setting that was raised on the primary alone": {func(f *Facts) {
			for _, n := range []string{"n2", "n3"} {
				f.of(n).Server.Pending, f.of(n).Server.Limits[0].Next = nil, 100
			}
		}, Refuse, "", "max_connections is to be 200 on n1 and 100 on n3"},
		"a primary that is not restarted may have less": {func(f *Facts) { f.of("n1").Server.Pending = nil; f.of("n1").Server.Limits[0].Next = 100 }, Restart, "n3", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := whole()
			c.change(&f)
			s := Next(f)
			if s.Do != c.do || s.Node != c.node || !strings.Contains(s.Why, c.why) {
				t.Errorf("%s %q: %s", s.Do, s.Node, s.Why)
			}
		})
	}
}

// TestARollingRestartComesToItsEnd follows the steps, each as if it had been
// carried out, whatever the primary and the heir are.
func TestARollingRestartComesToItsEnd(t *testing.T) {
	f := whole()
	var done []string
	for range 10 {
		s := Next(f)
		if s.Do == Done {
			break
		}
		done = append(done, string(s.Do)+" "+s.Node)
		f.restarted(s.Node)
		if s.Do == Switchover {
			f.of("n1").Role, f.of("n2").Role = node.Standby, node.Primary
			f.of("n1").Cluster.Open, f.of("n2").Cluster.Open = false, true
			f.of("n2").Cluster.Record, f.of("n1").Cluster.Record = f.of("n1").Cluster.Record, f.of("n2").Cluster.Record
			f.of("n2").Cluster.Record.Heir.Node = "n1"
			for _, n := range []string{"n1", "n3"} {
				f.of(n).Cluster.Streaming, f.of(n).Cluster.Following = true, "n2"
			}
		}
	}
	if got := strings.Join(done, ", "); got != "restart n3, restart n2, switchover n1" {
		t.Error(got)
	}
}
