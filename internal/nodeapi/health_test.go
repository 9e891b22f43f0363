package nodeapi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// yes lists, for a phase and role, the health paths that answer 200. Readiness
// and liveness do not follow from these and have tests of their own.
var yes = []struct {
	phase node.Phase
	role  node.Role
	paths []string
}{
	{node.Running, node.Primary, []string{"/", "/primary", "/master", "/leader", "/read-write", "/read-only", "/health"}},
	{node.Running, node.Standby, []string{"/replica", "/read-only", "/health"}},
	{node.Running, "", []string{"/health"}},
}

func TestEveryPathInEveryPhaseAndRole(t *testing.T) {
	for _, phase := range node.Phases() {
		for _, role := range []node.Role{"", node.Primary, node.Standby} {
			var want []string
			for _, y := range yes {
				if y.phase == phase && y.role == role {
					want = y.paths
				}
			}
			h := testHandler(t, fixed{Phase: phase, Role: role}, remote)
			for path := range checks {
				if path == "/readiness" || path == "/liveness" {
					continue
				}
				for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
					code := 503
					if slices.Contains(want, path) {
						code = 200
					}
					if got := ask(h, method, path).Code; got != code {
						t.Errorf("%s %s in phase %q, role %q: %d, want %d", method, path, phase, role, got, code)
					}
				}
			}
		}
	}
}

func testHandler(t *testing.T, src Source, side side) http.Handler {
	s := newServer(Config{Source: src, Steerer: refuseAll(t), Log: quiet()})
	t.Cleanup(s.cancel)
	return s.handler(side)
}

func ask(h http.Handler, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func TestReadinessFollowsReadyAlone(t *testing.T) {
	for ready, code := range map[bool]int{true: 200, false: 503} {
		h := testHandler(t, fixed{Phase: node.Running, Ready: ready}, remote)
		if got := ask(h, "GET", "/readiness").Code; got != code {
			t.Errorf("ready=%v: %d", ready, got)
		}
	}
}

func TestLivenessMeansThatTheLoopLooked(t *testing.T) {
	for age, code := range map[time.Duration]int{0: 200, 25 * time.Second: 200, 31 * time.Second: 503, -time.Hour: 200} {
		h := testHandler(t, fixed{Phase: node.Holding, Time: time.Now().Add(-age)}, remote)
		if got := ask(h, "GET", "/liveness").Code; got != code {
			t.Errorf("a snapshot of age %s: %d, want %d", age, got, code)
		}
	}
}

// standby is a node of a cluster that has replayed up to 1/0.
func standby() node.State {
	return node.State{
		Node: "b", Phase: node.Running, Role: node.Standby,
		Cluster: &node.Cluster{
			Name: "main", Replayed: 1 << 32, Received: 1<<32 + 100, Streaming: true,
			Peers: []node.Peer{{Node: "a", Age: time.Second}, {Node: "c"}},
		},
	}
}

// writer is the primary of epoch 2 that has written 1000 bytes more.
func writer() node.State {
	return node.State{
		Node: "a", Phase: node.Running, Role: node.Primary, Server: &node.Server{LSN: "1/3E8"},
		Cluster: &node.Cluster{Name: "main", Open: true, Record: &node.Record{Primary: true, Epoch: 2}},
	}
}

func TestAStandbyOfLimitedLag(t *testing.T) {
	former := writer()
	former.Node, former.Cluster.Record.Epoch, former.Server.LSN = "c", 1, "9/0"
	foreign := writer()
	foreign.Node, foreign.Cluster.Name, foreign.Cluster.Record.Epoch, foreign.Server.LSN = "c", "other", 9, "9/0"
	released := writer()
	released.Node, released.Cluster.Record.Epoch, released.Cluster.Record.Released, released.Server.LSN = "c", 3, &node.Release{}, "9/0"
	silent := standby()
	silent.Cluster.Peers[0].Age = maxLook + time.Second
	ahead := standby()
	ahead.Cluster.Replayed = 2 << 32
	known := []node.State{released, former, foreign, writer(), {Node: "d"}}
	for _, c := range []struct {
		name  string
		self  node.State
		peers []node.State
		path  string
		code  int
	}{
		{"as far behind as allowed", standby(), known, "/replica?lag=1000", 200},
		{"a byte more", standby(), known, "/replica?lag=999", 503},
		{"PostgreSQL's units", standby(), known, "/replica?lag=1kB", 200},
		{"read-only too", standby(), known, "/read-only?lag=999", 503},
		{"ahead of the primary's last answer", ahead, known, "/replica?lag=0", 200},
		{"no size", standby(), known, "/replica?lag=much", 503},
		{"a negative size", standby(), known, "/replica?lag=-1", 503},
		{"the primary is not known", standby(), []node.State{former}[:0], "/replica?lag=1TB", 503},
		{"the primary is silent", silent, known, "/replica?lag=1TB", 503},
		{"no limit", standby(), nil, "/replica", 200},
		{"another parameter", standby(), nil, "/replica?cache=no", 200},
		{"no cluster", node.State{Phase: node.Running, Role: node.Standby}, known, "/replica?lag=1MB", 503},
		{"a primary has no lag", writer(), nil, "/read-only?lag=1MB", 200},
	} {
		m := &moving{}
		m.st.Store(&c.self)
		m.peers.Store(&c.peers)
		if got := ask(testHandler(t, m, remote), "GET", c.path).Code; got != c.code {
			t.Errorf("%s: %d, want %d", c.name, got, c.code)
		}
	}
}

func TestAPrimaryOfAClusterThatIsClosedIsNoPrimaryForClients(t *testing.T) {
	st := writer()
	for open, code := range map[bool]int{true: 200, false: 503} {
		st.Cluster.Open = open
		for _, path := range []string{"/", "/primary", "/master", "/leader", "/read-write", "/read-only"} {
			if got := ask(testHandler(t, fixed(st), remote), "GET", path).Code; got != code {
				t.Errorf("%s of a primary, open=%v: %d", path, open, got)
			}
		}
		if got := ask(testHandler(t, fixed(st), remote), "GET", "/replica").Code; got != 503 {
			t.Errorf("/replica of a primary, open=%v: %d", open, got)
		}
	}
}

func TestBodyHasTheShapeOfPatronis(t *testing.T) {
	w := ask(testHandler(t, primary(), remote), "GET", "/")
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"state": "running", "role": "primary", "server_version": 170002., "timeline": 3.,
		"database_system_identifier": "7512345678901234567",
	} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
	if x := got["xlog"].(map[string]any)["location"]; x != float64(1<<32+0x16B3748) {
		t.Errorf("location %v", x)
	}
	if me := got["pgbaton"].(map[string]any); me["version"] != "1.2.3" || me["name"] != "a" {
		t.Errorf("pgbaton %v", me)
	}
}

func TestAStandbysBodySaysReplicaAndReplayedLocation(t *testing.T) {
	st := primary()
	st.Role = node.Standby
	st.Cluster = &node.Cluster{Received: 4318771017, Streaming: true}
	body := ask(testHandler(t, st, remote), "GET", "/replica").Body.String()
	for _, want := range []string{`"role":"replica"`, `"replayed_location":4318771016`, `"received_location":4318771017`, `"replication_state":"streaming"`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not in %s", want, body)
		}
	}
}

func TestVersionNumbers(t *testing.T) {
	for in, want := range map[string]int{
		"17.2 (Debian 17.2-1)": 170002, "18beta1": 180000, "15.14": 150014, "18": 180000, "": 0, "devel": 0,
	} {
		if got := versionNum(in); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
}
