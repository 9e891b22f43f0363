package fleet_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgbaton/pgbaton/internal/fleet"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
)

// names is a resolver of the test's own.
type names struct {
	mu    sync.Mutex
	found map[string][]string
}

func (n *names) set(host string, addresses ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.found[host] = addresses
}

func (n *names) lookup(_ context.Context, host string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.found[host]) == 0 {
		return []string{host}
	}
	return n.found[host]
}

// api is the API of one node, or of whoever has its address.
type api struct {
	*httptest.Server
	mu sync.Mutex
	st node.State
}

func serve(t *testing.T, st node.State) *api {
	t.Helper()
	a := &api{st: st}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		_ = json.NewEncoder(w).Encode(a.st)
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *api) address() string { return strings.TrimPrefix(a.URL, "http://") }

func (a *api) become(st node.State) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.st = st
}

func member(name string) node.State {
	return node.State{Node: name, Phase: node.Running, Cluster: &node.Cluster{
		Name: "main", Instance: "of " + name, Record: &node.Record{Node: name, Epoch: 1},
	}}
}

func fresh(name string) node.State {
	return node.State{Node: name, Phase: node.Holding, Cluster: &node.Cluster{Name: "main", Instance: "of " + name, Empty: true}}
}

func start(t *testing.T, n *names, hosts ...string) *fleet.Fleet {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return fleet.Start(ctx, fleet.Config{
		Hosts: hosts, Instance: "of this", Lookup: n.lookup, Changed: func() {}, Every: 20 * time.Millisecond,
		Dial: func(address string) *nodeapi.Peer { return nodeapi.NewPeer(address, "token") },
	})
}

// see tells the peers in short: who answers, who is silent (!), who was not
// heard of (?).
func see(f *fleet.Fleet) string {
	var out []string
	for _, p := range f.Peers() {
		name := p.Address
		if p.State != nil {
			name = p.State.Node
		}
		switch {
		case p.Asked.IsZero() && p.State == nil:
			name = "?"
		case p.Err != nil:
			name = "!" + name
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func until(t *testing.T, f *fleet.Fleet, want string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for see(f) != want {
		if time.Now().After(deadline) {
			t.Fatalf("the peers are %q, not %q", see(f), want)
		}
		f.Kick()
		time.Sleep(5 * time.Millisecond)
	}
}

func TestAMemberThatANameDoesNotResolveToAnyMoreIsSilentAndNotAbsent(t *testing.T) {
	t.Parallel()
	this, b, c := serve(t, member("this")), serve(t, member("b")), serve(t, member("c"))
	n := &names{found: map[string][]string{}}
	n.set("tasks.db:8008", this.address(), b.address(), c.address())
	f := start(t, n, "tasks.db:8008")
	until(t, f, "b c")
	c.Close()
	n.set("tasks.db:8008", this.address(), b.address())
	until(t, f, "!c b")
	n.set("tasks.db:8008", this.address())
	until(t, f, "!c b") // an address that answers is asked on
	b.Close()
	until(t, f, "!b !c")
	again := serve(t, member("c")) // at another address
	n.set("tasks.db:8008", this.address(), again.address())
	until(t, f, "!b c")
	f.Forget("b")
	until(t, f, "c")
}

func TestAnEmptyNodeThatIsNotFoundAnyMoreLeavesNoGap(t *testing.T) {
	t.Parallel()
	b := serve(t, fresh("b"))
	n := &names{found: map[string][]string{}}
	this := serve(t, member("this"))
	n.set("tasks.db:8008", this.address(), b.address())
	f := start(t, n, "tasks.db:8008")
	until(t, f, "b")
	b.Close()
	n.set("tasks.db:8008", this.address())
	until(t, f, "")
}

func TestANameThatDoesNotResolveAnyMoreIsTheNodeThatWasThere(t *testing.T) {
	t.Parallel()
	b := serve(t, member("b"))
	n := &names{found: map[string][]string{}}
	n.set("b:8008", b.address())
	f := start(t, n, "b:8008")
	until(t, f, "b")
	b.Close()
	n.set("b:8008")
	for deadline := time.Now().Add(time.Minute); f.Peers()[0].Address != "b:8008"; {
		if time.Now().After(deadline) {
			t.Fatalf("the silent peer is %s, not b:8008", f.Peers()[0].Address)
		}
		time.Sleep(5 * time.Millisecond)
	}
	until(t, f, "!b")
	b2 := serve(t, member("b"))
	n.set("b:8008", b2.address())
	until(t, f, "b")
}

func TestANodeWhoseAddressAnotherOneHasNowIsSilentUntilItAnswersElsewhere(t *testing.T) {
	t.Parallel()
	b, c := serve(t, member("b")), serve(t, member("c"))
	n := &names{found: map[string][]string{}}
	n.set("b:8008", b.address())
	n.set("c:8008", c.address())
	f := start(t, n, "b:8008", "c:8008")
	until(t, f, "b c")
	b.become(member("d"))
	until(t, f, "!b c d")
	c.become(member("b")) // and c is the lost one now
	until(t, f, "!c b d")
	c.become(member("c"))
	b.become(member("b"))
	until(t, f, "!d b c")
}

func TestANameWithSeveralNodesIsKnownAsSuch(t *testing.T) {
	t.Parallel()
	b, c := serve(t, member("b")), serve(t, member("c"))
	n := &names{found: map[string][]string{}}
	n.set("b:8008", b.address())
	n.set("both:8008", b.address(), c.address())
	f := start(t, n, "b:8008", "both:8008", "tasks.db:8008")
	until(t, f, "!tasks.db:8008 b c")
	if got := strings.Join(f.Several(), " "); got != "both:8008 tasks.db:8008" {
		t.Errorf("the names of several nodes are %q", got)
	}
}

// A resolver that takes its time keeps nobody waiting: the fleet is there at
// once, all names are asked at the same time, and until then they are peers that
// were not asked.
func TestNamesAreLookedUpAtTheSameTimeAndNobodyWaitsForThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		begun := time.Now()
		f := fleet.Start(ctx, fleet.Config{
			Hosts: []string{"a:8008", "b:8008", "c:8008"}, Changed: func() {},
			Dial: func(string) *nodeapi.Peer { return nodeapi.NewPeer("127.0.0.1:1", "token") },
			Lookup: func(ctx context.Context, host string) []string {
				select {
				case <-ctx.Done():
				case <-time.After(2 * time.Second):
				}
				return []string{host}
			},
		})
		if time.Since(begun) != 0 {
			t.Errorf("Start took %s", time.Since(begun))
		}
		if got := see(f); got != "? ? ?" {
			t.Errorf("before any name was looked up the peers are %q", got)
		}
		time.Sleep(2*time.Second + time.Millisecond)
		for _, p := range f.Peers() {
			if !p.Known.Equal(begun.Add(2 * time.Second)) {
				t.Errorf("%s is known after %s, not after 2 s", p.Address, p.Known.Sub(begun))
			}
		}
		cancel()
		synctest.Wait()
	})
}
