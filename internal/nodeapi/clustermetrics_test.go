package nodeapi

import (
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

func TestMetricsOfAPrimaryInACluster(t *testing.T) {
	st := writer()
	st.Cluster.Record.Heir = &node.Heir{Node: "b", Armed: true}
	st.Cluster.VIP, st.Cluster.Eligible = true, true
	st.Cluster.Peers = []node.Peer{{Node: "b"}, {Node: "c", Error: "no answer"}}
	lag := 1500 * time.Millisecond
	st.Cluster.Senders = []node.Sender{
		{Node: "b", SyncState: "sync", Replay: 1 << 32, ReplayLag: &lag}, {Node: "b", SyncState: "sync", Replay: 7}, {Node: "c\xff", SyncState: "async", Replay: 9 << 32},
	}
	body := ask(testHandler(t, fixed(st), remote), "GET", "/metrics").Body.String()
	wantLines(t, body,
		`pgbaton_cluster_info{cluster="main",node="a"} 1`, `pgbaton_cluster_role{role="primary"} 1`, `pgbaton_cluster_role{role="heir"} 0`,
		"pgbaton_cluster_epoch 2", "pgbaton_cluster_open 1", "pgbaton_cluster_heir_armed 1", "pgbaton_cluster_paused 0",
		"pgbaton_cluster_vip 1", "pgbaton_cluster_eligible 1", `pgbaton_cluster_peers{answers="yes"} 1`, `pgbaton_cluster_peers{answers="no"} 1`,
		`pgbaton_cluster_standby_lag_bytes{standby="b",sync_state="sync"} 1000`, `pgbaton_cluster_standby_lag_bytes{standby="c?",sync_state="async"} 0`,
		`pgbaton_cluster_standby_lag_seconds{standby="b",sync_state="sync"} 1.5`,
	)
	if strings.Contains(body, `lag_seconds{standby="c`) {
		t.Error("a lag that the server does not know is a number")
	}
	if strings.Contains(body, "pgbaton_cluster_arbiter_up") {
		t.Error("there is no arbiter")
	}
	for answers, want := range map[bool]string{true: "pgbaton_cluster_arbiter_up 1", false: "pgbaton_cluster_arbiter_up 0"} {
		st.Cluster.Arbiter = &node.Arbiter{Answers: answers}
		wantLines(t, ask(testHandler(t, fixed(st), remote), "GET", "/metrics").Body.String(), want)
	}
	if strings.Contains(body, "pgbaton_cluster_lag_bytes ") || strings.Contains(body, "pgbaton_cluster_streaming ") {
		t.Error("a primary has a standby's metrics")
	}
}

func TestCommitsThatWaitAreAMetricAndPrimaryFailsOnlyOnceItIsTooLong(t *testing.T) {
	st := writer()
	st.Time = time.Now()
	st.Verdict = node.Verdict{Health: node.Degraded, Code: "commits-wait", Why: "commits wait"}
	codes := func() (primary, readOnly int) {
		h := testHandler(t, fixed(st), remote)
		return ask(h, "GET", "/primary").Code, ask(h, "GET", "/read-only").Code
	}
	metrics := func() string { return ask(testHandler(t, fixed(st), remote), "GET", "/metrics").Body.String() }
	wantLines(t, metrics(), "pgbaton_cluster_commits_waiting 0", "pgbaton_cluster_commits_waiting_seconds 0", "pgbaton_cluster_commits_waiting_sessions 0")

	some := 37
	st.Cluster.CommitsWait = &node.CommitsWait{Heir: "b", Since: st.Time.Add(-12 * time.Second), Sessions: &some}
	wantLines(t, metrics(), "pgbaton_cluster_commits_waiting 1", "pgbaton_cluster_commits_waiting_seconds 12", "pgbaton_cluster_commits_waiting_sessions 37",
		`pgbaton_verdict{health="degraded"} 1`, `pgbaton_verdict{health="well"} 0`, `pgbaton_verdict{health="down"} 0`)
	if primary, readOnly := codes(); primary != 200 || readOnly != 200 {
		t.Error("reads are served:", primary, readOnly)
	}

	st.Cluster.CommitsWait.Sessions, st.Cluster.CommitsWait.TooLong = nil, true
	if body := metrics(); strings.Contains(body, "waiting_sessions ") {
		t.Error("what is not known is a number")
	}
	if primary, readOnly := codes(); primary != 503 || readOnly != 200 {
		t.Error("it waits for too long:", primary, readOnly)
	}
}

func TestMetricsOfAStandbyInACluster(t *testing.T) {
	st := standby()
	st.Cluster.Record = &node.Record{Epoch: 2, Armed: &node.Armed{Primary: "a"}, Paused: true}
	m := &moving{}
	m.st.Store(&st)
	m.peers.Store(&[]node.State{writer()})
	wantLines(t, ask(testHandler(t, m, remote), "GET", "/metrics").Body.String(),
		`pgbaton_cluster_role{role="heir"} 1`, "pgbaton_cluster_heir_armed 1", "pgbaton_cluster_paused 1", "pgbaton_cluster_open 0",
		"pgbaton_cluster_lag_bytes 1000", "pgbaton_cluster_streaming 1", `pgbaton_cluster_peers{answers="yes"} 2`,
	)
}

func TestTheLagInTimeIsThePrimarysWordElseTheStandbysOwn(t *testing.T) {
	told, own := 2*time.Second, 7*time.Second
	p, st := writer(), standby()
	f := Fleet{Node: p, Peers: []node.State{st}}
	if lag, known := f.LagTime(st); known {
		t.Error("nobody knows it:", lag)
	}
	st.Cluster.ReplayLag = &own
	f.Node.Cluster.Peers = []node.Peer{{Node: st.Node}}
	if lag, known := f.LagTime(st); !known || lag != own {
		t.Error(lag, known)
	}
	f.Node.Cluster.Senders = []node.Sender{{Node: st.Node, ReplayLag: &told}}
	if lag, known := f.LagTime(st); !known || lag != told {
		t.Error(lag, known)
	}
	f.Node.Cluster.Senders[0].ReplayLag = nil
	f.Node.Cluster.Peers[0].Age = time.Minute
	if lag, known := f.LagTime(st); known {
		t.Error("its last answer is old:", lag)
	}
	if _, known := f.LagTime(p); known {
		t.Error("a primary has no lag")
	}
}

func TestPlacesInACluster(t *testing.T) {
	for want, r := range map[string]*node.Record{
		PlaceNone: nil, PlacePrimary: {Primary: true}, PlaceHeir: {Armed: &node.Armed{}}, PlaceStandby: {Primary: true, Released: &node.Release{}},
	} {
		if got := PlaceOf(r); got != want {
			t.Errorf("%+v: %s, want %s", r, got, want)
		}
	}
}

func TestANodeWithoutPeersHasNoMetricsOfClusters(t *testing.T) {
	if body := ask(testHandler(t, primary(), remote), "GET", "/metrics").Body.String(); strings.Contains(body, "pgbaton_cluster") {
		t.Error(body)
	}
}
