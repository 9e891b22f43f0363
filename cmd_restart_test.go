package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
	"github.com/pgbaton/pgbaton/internal/rolling"
)

// TestTimesOfOtherNodesAreReadByHowLongAgoTheyWere: their clocks may differ.
func TestTimesOfOtherNodesAreReadByHowLongAgoTheyWere(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	told := func(name string, clock time.Time, up time.Duration) node.State {
		return node.State{
			Node: name, Time: clock, Postmaster: &node.Postmaster{Started: clock.Add(-up)},
			Server: &node.Server{Asked: clock.Add(-time.Second)}, Cluster: &node.Cluster{Name: "m"},
		}
	}
	f := nodeapi.Fleet{
		Node: told("a", now, time.Minute),
		Peers: []node.State{
			told("b", now.Add(300*time.Hour), time.Hour), // its clock is days ahead
			told("silent", now, time.Hour),
		},
	}
	f.Node.Cluster.Peers = []node.Peer{
		{Address: "b:8008", Node: "b", Age: time.Second},
		{Address: "c:8008", Age: -1, Error: "no answer from c:8008"},
		{Address: "d:8008", Node: "silent", Age: time.Second, Error: "no answer from d:8008"},
		{Address: "e:8008", Age: -1},
	}
	got := rollingFacts(f, now, time.Time{}, now)
	if len(got.Nodes) != 2 || got.Nodes[0].Node != "a" || got.Nodes[1].Node != "b" {
		t.Fatalf("%+v", got.Nodes)
	}
	if b := got.Nodes[1]; !b.Started.Equal(now.Add(-time.Hour-time.Second)) || !b.Told.Equal(now.Add(-2*time.Second)) {
		t.Errorf("started %v, told %v", b.Started, b.Told)
	}
	if silent := strings.Join(got.Silent, "; "); silent != "no answer from c:8008; silent, no answer from d:8008; e:8008 was not asked yet" {
		t.Error(silent)
	}
	if lone := rollingFacts(nodeapi.Fleet{Node: node.State{Node: "x"}}, now, now, now); rolling.Next(lone).Do != rolling.Refuse {
		t.Error("a node without peers restarts others")
	}
}

func TestTheLinesOfARollingRestart(t *testing.T) {
	var b bytes.Buffer
	v := rollingView{w: &b, output: table}
	v.line("n3", "restart", "begun", "max_connections 100 → 200", 0)
	v.line("n3", "restart", "done", "", 2300*time.Millisecond)
	v.line("", "wait", "begun", "n3 does not stream from n1", 0)
	v.line("n1", "switchover", "unknown", "no answer; looking at what became of it", 0)
	v.line("", "done", "done", "no setting waits for a restart on any node", 0)
	const want = `n3: restart: max_connections 100 → 200
n3: restart done in 2.3s
waiting: n3 does not stream from n1
n1: switchover: no answer; looking at what became of it
done: no setting waits for a restart on any node
`
	if b.String() != want {
		t.Error(b.String())
	}
	b.Reset()
	v.output = jsonText
	v.line("n3", "restart", "done", "", time.Second)
	var got rollingLine
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || got.Node != "n3" || got.Step != "restart" || got.State != "done" || got.Took != time.Second || strings.Count(b.String(), "\n") != 1 {
		t.Error(err, b.String())
	}
}
