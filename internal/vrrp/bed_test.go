package vrrp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
	"github.com/pgbaton/pgbaton/internal/vrrp"
)

// patience bounds what takes milliseconds to seconds on a machine that is idle.
const patience = time.Minute

// image has keepalived: ours, or another one to try another version by hand.
func image() string {
	if other := os.Getenv("PGBATON_TEST_VRRP_IMAGE"); other != "" {
		return other
	}
	return "pgbaton:18"
}

var (
	building sync.Mutex
	binary   string
)

// built is the test program of this package, static, made once.
func built(t *testing.T) string {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	if binary == "" {
		dir, err := os.MkdirTemp("", "pgbaton-vrrp")
		if err != nil {
			t.Fatal(err)
		}
		vrrp.AtEnd = append(vrrp.AtEnd, func() { _ = os.RemoveAll(dir) })
		binary = testbed.RealTests(t.Context(), t, dir, ".")
	}
	return binary
}

// bed is some nodes on one network with one virtual address.
type bed struct {
	t     *testing.T
	net   *testbed.Network
	vip   string
	nodes []*member
}

// member is one container with keepalived and the program of node_test.go.
type member struct {
	*testbed.Container
	t    *testing.T
	name string
	addr string
}

type change func(*testbed.Spec)

// patient lets nodes miss advertisements for six seconds, so that a machine that
// is busy moves nothing by itself.
func patient(s *testbed.Spec) { s.Env["VRRP_DOWN"] = "60" }

// newBed starts nodes whose program is started again whenever it ends, as the
// supervisor is by init.
func newBed(t *testing.T, count int, changes ...change) *bed {
	t.Helper()
	b := &bed{t: t, net: testbed.NewNetwork(t)}
	b.vip = b.net.Address(100)
	var peers []string
	for i := range count {
		peers = append(peers, b.net.Address(11+i))
	}
	for i := range count {
		name := string(rune('a' + i))
		spec := testbed.Spec{
			Image: image(), Net: b.net, IP: peers[i], CapAdd: []string{"NET_ADMIN", "NET_RAW"},
			Entrypoint: []string{"sh", "-c", "while :; do /vrrp.test; sleep 0.05; done"},
			Env: map[string]string{
				"VRRP_NODE": name, "VRRP_VIP": b.net.Prefixed(b.vip), "VRRP_CONTROL": "/run", "VRRP_PEERS": strings.Join(peers, ","), "VRRP_DOWN": "20",
			},
			Mounts: []testbed.Mount{testbed.Bind(built(t), "/vrrp.test").ReadOnly()},
		}
		for _, c := range changes {
			c(&spec)
		}
		b.nodes = append(b.nodes, &member{testbed.Run(t, spec), t, name, peers[i]})
	}
	return b
}

// ask talks to a node's program.
func (m *member) ask(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, patience/2)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.addr+":9000/"+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, raw)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(raw, into)
}

// do gives an order and returns when it was carried out and how long it took.
func (m *member) do(order string) (at time.Time, took time.Duration) {
	m.t.Helper()
	var done struct {
		At   time.Time
		Took time.Duration
	}
	if err := m.ask(m.t.Context(), order, &done); err != nil {
		m.t.Fatalf("%s: %s: %v", m.name, order, err)
	}
	return done.At, done.Took
}

func (m *member) events() (all []node.VRRPEvent) {
	m.t.Helper()
	if err := m.ask(m.t.Context(), "events", &all); err != nil {
		m.t.Fatalf("%s: %v", m.name, err)
	}
	return all
}

// until waits for a status.
func (m *member) until(what string, ok func(vrrp.Status) bool) vrrp.Status {
	m.t.Helper()
	var st vrrp.Status
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		st = vrrp.Status{}
		if err = m.ask(m.t.Context(), "status", &st); err == nil && ok(st) {
			return st
		}
	}
	m.t.Fatalf("%s: not %s within %v: %+v, %v", m.name, what, patience, st, err)
	return st
}

func (m *member) untilState(state string) vrrp.Status {
	m.t.Helper()
	return m.until(state, func(st vrrp.Status) bool { return st.State == state && st.VIP == (state == "MASTER") })
}

// since returns the first event after a moment that is in a state.
func (m *member) since(at time.Time, state string) node.VRRPEvent {
	m.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		for _, e := range m.events() {
			if e.Time.After(at) && e.State == state {
				return e
			}
		}
	}
	m.t.Fatalf("%s: no %s since %v within %v", m.name, state, at, patience)
	return node.VRRPEvent{}
}

// has reports whether a container's kernel has the address.
func (m *member) has(vip string) bool {
	m.t.Helper()
	return strings.Contains(m.MustExec("ip", "-br", "address"), " "+vip+"/")
}
