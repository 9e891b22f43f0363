package fleet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// tasks begins the names that Docker Swarm gives all tasks of a service.
const tasks = "tasks."

// resolve looks one host up until ctx ends.
func (f *Fleet) resolve(ctx context.Context, host string) {
	tick := time.NewTicker(f.cfg.Every)
	defer tick.Stop()
	for {
		addresses := f.cfg.Lookup(ctx, host)
		if ctx.Err() != nil {
			return
		}
		f.settle(ctx, host, addresses)
		f.cfg.Changed()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
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

// settle takes over what a host stands for now. An address that no host has any
// more is asked as long as it answers. After that it may be anybody's, who would
// be sent the token; but the node that was there is not forgotten: it counts as
// silent until it answers elsewhere.
func (f *Fleet) settle(ctx context.Context, host string, addresses []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.found[host] = addresses
	for address, p := range f.peers {
		if !f.isFound(address) && (p.Err != nil || p.self || !isAddress(address)) {
			p.cancel()
			delete(f.peers, address)
			f.lose(p, p.Err)
		}
	}
	for _, address := range addresses {
		if f.peers[address] == nil {
			f.add(ctx, host, address)
		}
	}
	for _, p := range f.peers {
		f.inherit(p)
	}
	f.count()
}

func (f *Fleet) isFound(address string) bool {
	for _, addresses := range f.found {
		if slices.Contains(addresses, address) {
			return true
		}
	}
	return false
}

// isAddress reports whether a host:port has an address and not a name.
func isAddress(hostport string) bool {
	_, err := netip.ParseAddrPort(hostport)
	return err == nil
}

// lose remembers the node that was last heard of at an address, if it is one
// that counts and is not heard of elsewhere.
func (f *Fleet) lose(p *peer, why error) {
	st := p.State
	if p.self || st == nil || !counts(st) {
		return
	}
	for _, other := range f.peers {
		if other != p && other.State != nil && other.State.Node == st.Node && other.Answered.After(p.Answered) {
			return
		}
	}
	gone := p.Peer
	gone.Lost = true
	if gone.Err = why; why == nil {
		gone.Err = fmt.Errorf("%s does not resolve to %s any more", p.Host, p.Address)
	}
	f.lost[st.Node] = gone
}

// counts reports whether a node may have anything of the cluster: one that said
// that it is empty leaves no gap.
func counts(st *node.State) bool {
	c := st.Cluster
	return c != nil && (c.Record != nil || c.Corrupt || !c.Empty)
}

func (f *Fleet) add(ctx context.Context, host, address string) {
	ctx, cancel := context.WithCancel(ctx)
	p := &peer{Peer: Peer{Address: address, Host: host, Known: time.Now()}, kick: make(chan struct{}, 1), cancel: cancel}
	p.client = f.cfg.Dial(address)
	f.peers[address] = p
	go f.follow(ctx, p)
}

// inherit: where a host stands for one node alone, whoever comes to be asked
// there takes the place of the one that was lost there.
func (f *Fleet) inherit(p *peer) {
	if p.State != nil {
		return
	}
	var there []Peer
	for _, l := range f.lost {
		if l.Host == p.Host {
			there = append(there, l)
		}
	}
	if len(there) != 1 || len(f.found[p.Host]) != 1 || f.standsForSeveral(p.Host) {
		return
	}
	p.State, p.Answered = there[0].State, there[0].Answered
	if p.Err == nil {
		p.Err = there[0].Err
	}
	delete(f.lost, p.State.Node)
}

// count notices hosts at which more than one node has answered.
func (f *Fleet) count() {
	for host, addresses := range f.found {
		var seen []string
		for _, address := range addresses {
			if p := f.peers[address]; p != nil && p.State != nil {
				seen = append(seen, p.State.Node)
			}
		}
		slices.Sort(seen)
		if len(slices.Compact(seen)) > 1 {
			f.several[host] = true
		}
	}
}

// Several lists the hosts that stand for more than one node: how many they are
// cannot be known from who is found there.
func (f *Fleet) Several() (hosts []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, host := range f.cfg.Hosts {
		if f.standsForSeveral(host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

func (f *Fleet) standsForSeveral(host string) bool {
	return f.several[host] || strings.HasPrefix(host, tasks)
}

// Forget drops what is remembered of a node that is not found any more.
func (f *Fleet) Forget(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.lost, name)
	for _, p := range f.peers {
		if p.Err != nil && p.State != nil && p.State.Node == name {
			p.State, p.Answered = nil, time.Time{}
		}
	}
}
