package main

import (
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
)

func TestTheTableOfNodesFitsInto80Columns(t *testing.T) {
	long := strings.Repeat("n", 63)
	record := func() *node.Record {
		return &node.Record{Epoch: 1<<64 - 1, Paused: true, Heir: &node.Heir{Node: long, Armed: true}}
	}
	behind := node.State{
		Node: long, Phase: node.Initializing, Role: node.Standby, Major: 17, Control: &node.Control{Timeline: 12345678},
		Cluster: &node.Cluster{Name: "main", Building: true, VIP: true, Following: long, VRRP: "MASTER", Record: record(), Replayed: 1},
	}
	writer := node.State{
		Node: "p", Phase: node.Running, Role: node.Primary, Server: &node.Server{LSN: "2/7FFFFFFF"},
		Cluster: &node.Cluster{Name: "main", Record: &node.Record{Primary: true}},
	}
	lag := 59 * time.Minute
	behind.Cluster.ReplayLag = &lag
	f := nodeapi.Fleet{Node: behind, Peers: []node.State{writer, behind}}
	f.Node.Cluster.Loses = strings.Repeat("what it loses ", 20)
	f.Node.Cluster.Peers = []node.Peer{
		{Address: "p:8008", Node: "p", Age: time.Second},
		{Address: long + ":8008", Node: long, Age: 59*time.Minute + 59*time.Second, Error: strings.Repeat("why ", 40)},
		{Address: "[2001:db8:1111:2222:3333:4444:5555:6666]:8008", Age: -1, Error: "no answer"},
	}
	var b strings.Builder
	if err := printFleet(&b, f, false); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		// A name of 63 characters is a word that cannot be broken.
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > tableWidth && !strings.Contains(line, long) {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	for _, want := range []string{"building of main", "paused", "does not stream from", "VIP here (VRRP MASTER)", "[2001:db8:11…", "10239MB, 59m"} {
		if !strings.Contains(strings.Join(strings.Fields(b.String()), " "), want) {
			t.Errorf("not in the table: %s\n%s", want, &b)
		}
	}
}

func TestASilentNodeIsShownAsWhatItWasAndClaimsNothing(t *testing.T) {
	right := func(name string) *node.Cluster {
		return &node.Cluster{Name: "main", Record: &node.Record{Node: name, Primary: true, Epoch: 2}, VIP: true}
	}
	f := nodeapi.Fleet{Node: node.State{Node: "db1", Phase: node.Running, Role: node.Primary, Cluster: right("db1")}}
	f.Peers = []node.State{{Node: "db2", Phase: node.Running, Role: node.Primary, Cluster: right("db2")}}
	f.Node.Cluster.Peers = []node.Peer{
		{Address: "10.0.0.2:8008", Node: "db2", Age: 4 * time.Second, Error: "no answer", Last: &node.Sight{Primary: true, Epoch: 2, VIP: true}},
		{Address: "db3:8008", Node: "db3", Age: 3 * time.Hour, Error: "no answer", Last: &node.Sight{Armed: true, Epoch: 1}},
		{Address: "db4:8008", Age: -1, Error: "no answer"},
	}
	var b strings.Builder
	if err := printFleet(&b, f, false); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{
		"10.0.0.2:8008: no answer; db2 was the primary of epoch 2, with the VIP, when it was seen last, 4s ago",
		"db3:8008: no answer; db3 was an armed heir of epoch 1, when it was seen last, 3h", "peer db4:8008: no answer",
		"db1 primary running", "db2 was primary silent - - had - 4s", "db3 was heir silent ? ? - ? 3h", "db4:8008 ? silent ? ? - ? never",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("not in the table: %s\n%s", want, &b)
		}
	}
	if n := strings.Count(b.String(), " here"); n != 3 { // the VIP is here, twice, and db1 is seen here
		t.Errorf("%d times here:\n%s", n, &b)
	}
}

func TestANodesPlaceIsOneWord(t *testing.T) {
	for want, c := range map[string]*node.Cluster{
		"alone": nil, "building": {Building: true, Empty: true}, "empty": {Empty: true}, "unknown": {}, "primary": {Record: &node.Record{Primary: true}},
		"heir": {Record: &node.Record{Armed: &node.Armed{}}}, "standby": {Record: &node.Record{}},
	} {
		if got := placeText(node.State{Cluster: c}); got != want {
			t.Errorf("%+v: %s, want %s", c, got, want)
		}
	}
}

func TestTheRoleRowSaysWhoMayTakeOverAndWhatIsWrong(t *testing.T) {
	for want, c := range map[string]node.Cluster{
		"primary of m, epoch 1, no heir":                                   {Open: true, Record: &node.Record{Epoch: 1, Primary: true}},
		"primary of m, epoch 1, heir b not armed, closed to clients":       {Record: &node.Record{Epoch: 1, Primary: true, Heir: &node.Heir{Node: "b"}}},
		"standby of m, epoch 1, released to b":                             {Open: true, Record: &node.Record{Epoch: 1, Primary: true, Released: &node.Release{Target: "b"}}},
		"unknown of m, the role record cannot be read":                     {Open: true, Corrupt: true},
		"heir of m, epoch 1, streams from a, may hold the VIP":             {Open: true, Eligible: true, Following: "a", Streaming: true, Record: &node.Record{Epoch: 1, Armed: &node.Armed{}}},
		"standby of m, epoch 1, paused, may not hold the VIP (VRRP FAULT)": {Open: true, VRRP: "FAULT", Record: &node.Record{Epoch: 1, Paused: true}},
	} {
		c.Name = "m"
		if got := roleText(nodeapi.Fleet{Node: node.State{Role: node.Primary, Cluster: &c}}); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for in, want := range map[uint64]string{0: "0 B", 10239: "10239 B", 10240: "10kB", 10<<20 + 1: "10MB", 1<<64 - 1: "4194304TB"} {
		if got := sizeText(in); got != want {
			t.Errorf("%d: %s, want %s", in, got, want)
		}
	}
}

func TestHowFarAStandbyIsBehindInTime(t *testing.T) {
	for want, d := range map[string]time.Duration{"0.0s": 0, "0.3s": 312 * time.Millisecond, "10s": 10 * time.Second, "2h": 2*time.Hour + time.Minute} {
		if got := lagTimeText(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestCostsNameWhatIsKnown(t *testing.T) {
	self := node.State{Node: "a", Cluster: &node.Cluster{Name: "m", Record: &node.Record{Primary: true, Heir: &node.Heir{Node: "b", Armed: true}}}}
	f := nodeapi.Fleet{Node: self}
	has := func(connections int64) *node.Server {
		return &node.Server{Limits: []node.Limit{{Name: "max_connections", Next: connections}}}
	}
	uneven := nodeapi.Fleet{Node: self, Peers: []node.State{{Node: "b", Server: has(100)}}}
	uneven.Node.Server, uneven.Node.Cluster = has(120), &node.Cluster{Name: "m", Open: true, Record: self.Cluster.Record}
	for _, c := range []struct {
		text, want string
	}{
		{switchoverCost(f, node.Order{Do: node.Switchover}), "makes b the primary of the cluster \"m\" in place of a"},
		{switchoverCost(uneven, node.Order{Do: node.Switchover}), "max_connections is not the same in the nodes' configurations: 120 on a, 100 on b."},
		{aloneCost(f, node.Order{Do: node.Alone}), "lets a go on without b"},
		{aloneCost(f, node.Order{Do: node.Alone, Force: true}), "two histories"},
		{recloneCost(f, node.Order{}), "that it is the primary itself"},
		{pauseCost(f, node.Order{}), "started again here"},
		{forgetCost(f, node.Order{To: "b"}), "takes b out of the cluster"},
		{forgetCost(f, node.Order{To: "b", Force: true}), "that it alone has are given up"},
		{switchoverCost(nodeapi.Fleet{Node: node.State{Node: "c", Cluster: &node.Cluster{Name: "m"}}}, node.Order{}), "No node is the heir of the primary"},
		{promoteCost(nodeapi.Fleet{Node: node.State{Node: "c", Cluster: &node.Cluster{Name: "m"}}}, node.Order{Force: true}), "How far it is behind is not known"},
	} {
		if !strings.Contains(c.text, c.want) {
			t.Errorf("%q is not in %s", c.want, c.text)
		}
	}
}
