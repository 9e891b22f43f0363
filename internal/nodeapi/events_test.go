package nodeapi

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// moving is a Source whose state a test changes.
type moving struct {
	st    atomic.Pointer[node.State]
	peers atomic.Pointer[[]node.State]
	reads atomic.Int64
}

func (m *moving) State() node.State {
	defer m.reads.Add(1)
	return *m.st.Load()
}

// seen waits until what holds now was looked at.
func (m *moving) seen(t *testing.T) {
	t.Helper()
	for before, begun := m.reads.Load(), time.Now(); m.reads.Load() < before+2; time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > 30*time.Second {
			t.Fatal("nobody looks at the state")
		}
	}
}

func (m *moving) Fleet() []node.State {
	if p := m.peers.Load(); p != nil {
		return *p
	}
	return nil
}

func (m *moving) change(f func(st *node.State)) {
	st := node.State(primary())
	if old := m.st.Load(); old != nil {
		st = *old
	}
	if st.Cluster != nil {
		c := *st.Cluster
		st.Cluster = &c
	} else {
		st.Cluster = &node.Cluster{Name: "main"}
	}
	f(&st)
	st.Time = time.Now()
	m.st.Store(&st)
}

// listenTo reads events until the test ends.
func listenTo(t *testing.T, url string) <-chan node.State {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+testToken)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != "text/event-stream" {
		t.Fatalf("%d %s", resp.StatusCode, got)
	}
	states := make(chan node.State, 100)
	go func() {
		defer close(states)
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if data, found := strings.CutPrefix(lines.Text(), "data: "); found {
				var st node.State
				if json.Unmarshal([]byte(data), &st) == nil {
					states <- st
				}
			}
		}
	}()
	return states
}

func next(t *testing.T, states <-chan node.State) node.State {
	t.Helper()
	select {
	case st, open := <-states:
		if !open {
			t.Fatal("the stream ended")
		}
		return st
	case <-time.After(30 * time.Second):
		t.Fatal("no event")
	}
	return node.State{}
}

func TestAListenerHearsOfEveryChangeThatMattersAndOfNoOther(t *testing.T) {
	t.Parallel()
	m := &moving{}
	m.change(func(*node.State) {})
	_, url := serve(t, Config{Token: testToken, Source: m})
	states := listenTo(t, url)
	if st := next(t, states); st.Phase != node.Running || st.Node != "a" {
		t.Errorf("%+v", st)
	}
	changes := map[string]func(*node.State){
		"phase": func(st *node.State) { st.Phase = node.Stopping },
		"why":   func(st *node.State) { st.Why = "because" },
		"role":  func(st *node.State) { st.Role = node.Standby },
		"epoch": func(st *node.State) { st.Cluster.Record = &node.Record{Epoch: 2} },
		"VIP":   func(st *node.State) { st.Cluster.VIP = true },
		"heir":  func(st *node.State) { st.Cluster.Record = &node.Record{Epoch: 2, Heir: &node.Heir{Node: "b"}} },
		"armed": func(st *node.State) {
			st.Cluster.Record = &node.Record{Epoch: 2, Heir: &node.Heir{Node: "b", Armed: true}}
		},
		"silence": func(st *node.State) { st.Cluster.Peers = []node.Peer{{Node: "b", Error: "no answer"}} },
		"return":  func(st *node.State) { st.Cluster.Peers = []node.Peer{{Node: "b"}} },
	}
	for _, name := range []string{"phase", "why", "role", "epoch", "VIP", "heir", "armed", "silence", "return"} {
		m.change(func(st *node.State) {
			changes[name](st)
			st.Version = name
		})
		if st := next(t, states); st.Version != name {
			t.Errorf("%s: an event with the state after %s", name, st.Version)
		}
		m.change(func(st *node.State) { // what moves all the time
			st.Version = "nothing"
			st.Cluster.Received += 1000
			st.Server = &node.Server{LSN: "1/2", Connections: 7}
			if len(st.Cluster.Peers) > 0 {
				st.Cluster.Peers = []node.Peer{{Node: "b", Error: st.Cluster.Peers[0].Error, Age: time.Minute}}
			}
		})
		m.seen(t)
	}
	m.change(func(st *node.State) { st.Version = "a peer" })
	m.seen(t)
	m.peers.Store(&[]node.State{{Node: "b", Phase: node.Holding}})
	if st := next(t, states); st.Version != "a peer" {
		t.Errorf("an event with the state after %s", st.Version)
	}
}

func TestAListenerGetsACommentNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Config{Source: primary(), Steerer: refuseAll(t), Log: quiet()})
		defer s.cancel()
		ctx, cancel := context.WithTimeout(t.Context(), 46*time.Second)
		defer cancel()
		w := httptest.NewRecorder()
		s.handler(local).ServeHTTP(w, httptest.NewRequest("GET", "/v1/events", nil).WithContext(ctx))
		if n := strings.Count(w.Body.String(), ": still here\n\n"); n != 3 {
			t.Errorf("%d comments in 46 seconds", n)
		}
		if n := strings.Count(w.Body.String(), "event: state\nid: 1\ndata: {"); n != 1 || strings.Contains(w.Body.String(), "id: 2") {
			t.Errorf("not one event:\n%s", w.Body)
		}
	})
}

func TestOnlySomeListenAtATime(t *testing.T) {
	t.Parallel()
	m := &moving{}
	m.change(func(*node.State) {})
	s, url := serve(t, Config{Token: testToken, Source: m})
	for range maxStreams {
		next(t, listenTo(t, url))
	}
	resp, body := get(t, http.DefaultClient, "GET", url+"/v1/events", nil, "Authorization", "Bearer "+testToken)
	if resp.StatusCode != 503 || !strings.Contains(body, "listen to events already") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if n := s.streams.Load(); n != maxStreams {
		t.Errorf("%d streams", n)
	}
}

func TestEventsEndWithTheServer(t *testing.T) {
	t.Parallel()
	m := &moving{}
	m.change(func(*node.State) {})
	s, url := serve(t, Config{Token: testToken, Source: m})
	states := listenTo(t, url)
	next(t, states)
	begun := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("closed in %s", time.Since(begun))
	select {
	case _, open := <-states:
		if open {
			t.Error("an event after the end")
		}
	case <-time.After(30 * time.Second):
		t.Error("the stream goes on")
	}
}

func TestAClusterIsThisNodeAndWhatItsPeersSaidLast(t *testing.T) {
	t.Parallel()
	m := &moving{}
	m.change(func(*node.State) {})
	m.peers.Store(&[]node.State{{Node: "b", Phase: node.Running, Role: node.Standby}})
	s, url := serve(t, Config{Token: testToken, Source: m})
	f, err := NewClient(s.cfg.Socket).Fleet(t.Context())
	if err != nil || f.Node.Node != "a" || len(f.Peers) != 1 || f.Peers[0].Node != "b" {
		t.Errorf("%+v %v", f, err)
	}
	resp, body := get(t, http.DefaultClient, "GET", url+"/v1/cluster", nil)
	if resp.StatusCode != 401 {
		t.Errorf("without a token: %d %s", resp.StatusCode, body)
	}
	alone, _ := serve(t, Config{})
	if _, body := get(t, overSocket(t, alone.cfg.Socket), "GET", "http://x/v1/cluster", nil); !strings.Contains(body, `"peers":[]`) {
		t.Error(body)
	}
}
