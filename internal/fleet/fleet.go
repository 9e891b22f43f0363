// Package fleet knows the other nodes of the cluster: it asks each of them for
// its state several times per second and remembers what came. It decides
// nothing.
package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
)

const (
	// askEvery is the pause between two questions to one peer.
	askEvery = 800 * time.Millisecond
	// askWithin bounds one question: a peer that takes longer counts as silent.
	askWithin = 400 * time.Millisecond
	// askFast is the pause while roles change.
	askFast = 5 * time.Millisecond
	// resolveEvery is how often names are looked up again.
	resolveEvery = 5 * time.Second
)

// Peer is what is known of one address.
type Peer struct {
	Address  string      // host:port; a name where it does not resolve
	State    *node.State // the last answer; nil: none yet
	Answered time.Time   // when it came
	Err      error       // of the latest question; nil: it was answered
	Asked    time.Time   // when the latest question ended; zero: none has
	Begun    time.Time   // when the latest question that has ended was sent
	Known    time.Time   // since when the address is known
}

// Fleet asks the peers. Make it with Start.
type Fleet struct {
	hosts    []string // host:port
	dial     func(address string) *nodeapi.Peer
	instance string // of this supervisor: who answers with it is this node
	changed  func()

	mu    sync.Mutex
	peers map[string]*peer
	fast  time.Time // until then the pauses are short
}

type peer struct {
	Peer
	client *nodeapi.Peer
	kick   chan struct{}
	cancel context.CancelFunc
	self   bool
}

// Start asks the peers at hosts (host:port, a name may stand for several
// addresses) until ctx ends, and calls changed after each answer or failure,
// never twice at once for one peer.
// dial makes the client for one address.
func Start(ctx context.Context, hosts []string, dial func(address string) *nodeapi.Peer, instance string, changed func()) *Fleet {
	f := &Fleet{hosts: hosts, dial: dial, instance: instance, changed: changed, peers: map[string]*peer{}}
	f.resolve(ctx)
	go func() {
		tick := time.NewTicker(resolveEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				f.resolve(ctx)
			}
		}
	}()
	return f
}

// Peers returns what is known of every address but this node's own.
func (f *Fleet) Peers() []Peer {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []Peer
	for _, address := range slices.Sorted(maps.Keys(f.peers)) {
		if p := f.peers[address]; !p.self {
			out = append(out, p.Peer)
		}
	}
	return out
}

// Kick asks every peer now.
func (f *Fleet) Kick() { f.Hurry(0) }

// Hurry asks every peer now, and often for as long as d.
func (f *Fleet) Hurry(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if until := time.Now().Add(d); until.After(f.fast) {
		f.fast = until
	}
	for _, p := range f.peers {
		select {
		case p.kick <- struct{}{}:
		default:
		}
	}
}

// Ask sends a request about roles to the peer with the address.
func (f *Fleet) Ask(ctx context.Context, address string, request, reply any) error {
	f.mu.Lock()
	p := f.peers[address]
	f.mu.Unlock()
	if p == nil {
		return fmt.Errorf("there is no peer at %s now", address)
	}
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	answer, err := p.client.Role(ctx, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, reply); err != nil {
		return fmt.Errorf("read the answer of %s: %w", address, err)
	}
	return nil
}

// Order gives an order to the node that it names and returns when it is carried
// out there.
func (f *Fleet) Order(ctx context.Context, o node.Order) error {
	f.mu.Lock()
	var best *peer
	for _, p := range f.peers { // a node may be listed by several addresses
		if !p.self && p.State != nil && p.State.Node == o.Node && (best == nil || p.Err == nil) {
			best = p
		}
	}
	f.mu.Unlock()
	if best == nil {
		return fmt.Errorf("no peer is called %s; nothing was done", o.Node)
	}
	return best.client.Order(ctx, o)
}

// resolve looks every name up. An address that a name no longer has stays as
// long as it answers; a name without addresses counts as one silent peer, until
// it has some.
func (f *Fleet) resolve(ctx context.Context) {
	found := map[string]bool{}
	for _, host := range f.hosts {
		for _, address := range lookup(ctx, host) {
			found[address] = true
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for address := range found {
		if f.peers[address] == nil {
			f.add(ctx, address)
		}
	}
	for address, p := range f.peers {
		if !found[address] && (p.Err != nil || !isAddress(address)) {
			p.cancel()
			delete(f.peers, address)
		}
	}
}

func lookup(ctx context.Context, hostport string) []string {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil || net.ParseIP(host) != nil {
		return []string{hostport}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	ips, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil || len(ips) == 0 {
		return []string{hostport}
	}
	out := make([]string, len(ips))
	for i, ip := range ips {
		out[i] = net.JoinHostPort(ip, port)
	}
	return out
}

// isAddress reports whether a host:port has an address and not a name.
func isAddress(hostport string) bool {
	_, err := netip.ParseAddrPort(hostport)
	return err == nil
}

func (f *Fleet) add(ctx context.Context, address string) {
	ctx, cancel := context.WithCancel(ctx)
	p := &peer{Peer: Peer{Address: address, Known: time.Now()}, kick: make(chan struct{}, 1), cancel: cancel}
	p.client = f.dial(address)
	f.peers[address] = p
	go f.follow(ctx, p)
}

// follow asks one peer for ever.
func (f *Fleet) follow(ctx context.Context, p *peer) {
	defer p.client.Close()
	for ctx.Err() == nil {
		begun := time.Now()
		bounded, cancel := context.WithTimeout(ctx, askWithin)
		st, err := p.client.State(bounded)
		cancel()
		if ctx.Err() != nil {
			return
		}
		f.note(p, begun, st, err)
		f.changed()
		select {
		case <-ctx.Done():
		case <-p.kick:
		case <-time.After(f.pause()):
		}
	}
}

func (f *Fleet) pause() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Now().Before(f.fast) {
		return askFast
	}
	return askEvery
}

// Calm ends a Hurry.
func (f *Fleet) Calm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fast = time.Time{}
}

func (f *Fleet) note(p *peer, begun time.Time, st node.State, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.Begun, p.Asked, p.Err = begun, time.Now(), err
	if err == nil {
		p.State, p.Answered = &st, p.Asked
		p.self = st.Cluster != nil && st.Cluster.Instance == f.instance
	}
}
