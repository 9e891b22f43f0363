// Package fleet knows the other nodes of the cluster: it asks each of them for
// its state several times per second and remembers what came. It decides
// nothing.
package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
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
	Host     string      // by which the address was found, host:port as it was configured
	State    *node.State // the last answer; nil: none yet
	Answered time.Time   // when it came
	Err      error       // of the latest question; nil: it was answered
	Asked    time.Time   // when the latest question ended; zero: none has
	Begun    time.Time   // when the latest question that has ended was sent
	Known    time.Time   // since when the address is known
	Lost     bool        // the address is not asked any more: it may be somebody else's
}

// Config says whom to ask, and how.
type Config struct {
	Hosts    []string // host:port; a name may stand for several addresses
	Instance string   // of this supervisor: who answers with it is this node
	// Dial makes the client for one address.
	Dial func(address string) *nodeapi.Peer
	// Lookup finds a host's addresses, host:port; nil: by the system's resolver.
	// A host without any is its own only address.
	Lookup func(ctx context.Context, host string) []string
	// Changed is called after each answer or failure, never twice at once for
	// one peer, and when a name was looked up.
	Changed func()
	// Every is how often names are looked up again; 0: every five seconds.
	Every time.Duration
}

// Fleet asks the peers. Make it with Start.
type Fleet struct {
	cfg     Config
	started time.Time

	mu      sync.Mutex
	peers   map[string]*peer
	found   map[string][]string // addresses by host; none: it was not looked up yet
	lost    map[string]Peer     // members whose address is asked no more, by name
	several map[string]bool     // hosts at which more than one node was found
	fast    time.Time           // until then the pauses are short
}

type peer struct {
	Peer
	client *nodeapi.Peer
	kick   chan struct{}
	cancel context.CancelFunc
	self   bool
}

// Start asks the peers until ctx ends. It waits for nothing: a host that was
// not looked up yet is a peer that was not asked yet.
func Start(ctx context.Context, cfg Config) *Fleet {
	if cfg.Lookup == nil {
		cfg.Lookup = lookup
	}
	if cfg.Every == 0 {
		cfg.Every = resolveEvery
	}
	f := &Fleet{
		cfg: cfg, started: time.Now(), peers: map[string]*peer{}, found: map[string][]string{},
		lost: map[string]Peer{}, several: map[string]bool{},
	}
	for _, host := range cfg.Hosts {
		go f.resolve(ctx, host)
	}
	return f
}

// Peers returns what is known of every peer but this node: of each address that
// is asked, of each host that was not looked up yet, and of each member whose
// address is lost.
func (f *Fleet) Peers() []Peer {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []Peer
	for _, p := range f.peers {
		if !p.self {
			out = append(out, p.Peer)
		}
	}
	for _, host := range f.cfg.Hosts {
		if f.found[host] == nil {
			out = append(out, Peer{Address: host, Host: host, Known: f.started})
		}
	}
	for _, p := range f.lost {
		out = append(out, p)
	}
	slices.SortStableFunc(out, func(a, b Peer) int { return strings.Compare(a.Address, b.Address) })
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
		if !p.self && p.State != nil && p.State.Node == o.Node && (best == nil || p.Answered.After(best.Answered)) {
			best = p
		}
	}
	f.mu.Unlock()
	if best == nil {
		return fmt.Errorf("no peer is called %s; nothing was done", o.Node)
	}
	return best.client.Order(ctx, o)
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
		f.cfg.Changed()
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
	if err != nil {
		return
	}
	if p.State != nil && p.State.Node != st.Node {
		f.lose(p, fmt.Errorf("its address %s is %s's now", p.Address, st.Node))
	}
	p.State, p.Answered = &st, p.Asked
	p.self = st.Cluster != nil && st.Cluster.Instance == f.cfg.Instance
	delete(f.lost, st.Node)
	f.count()
}
