package testbed

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// Network is a bridge of the engine that a test has for itself. This machine
// has the address Gateway in it, so tests reach every container directly.
//
// Faults act on the bridge, as those of a switch would: see Lose, Cut, Narrow
// and Delay. They need root, nft, tc and ip.
type Network struct {
	Name    string
	Bridge  string       // the interface on this machine
	Subnet  netip.Prefix // a /24; static addresses are those below .128
	Gateway netip.Addr
	Subnet6 netip.Prefix // of NewNetwork6: a /64 beside Subnet
	Parent  string       // of NewMacvlan: the interface that stands for a host's own

	tb     TB
	docker *engine

	mu     sync.Mutex
	ports  map[string]*port // by address
	rules  []*rule          // see Lose
	narrow map[string]int   // bits per second by address, see Narrow
	far    map[string]*far  // by address, see Delay
	table  bool             // the rules are in the kernel
}

// NewNetwork makes a network with a subnet that nobody on this machine uses.
func NewNetwork(tb TB) *Network {
	tb.Helper()
	return newNetwork(tb, "", netip.Prefix{})
}

// NewNetwork6 makes one with IPv6 beside IPv4: see Address6.
func NewNetwork6(tb TB) *Network {
	tb.Helper()
	a := netip.MustParseAddr("fd00::").As16() // unique local, of a random number (RFC 4193)
	for i := range 7 {
		a[1+i] = byte(rand.IntN(256))
	}
	return newNetwork(tb, "", netip.PrefixFrom(netip.AddrFrom16(a), 64))
}

func newNetwork(tb TB, parent string, six netip.Prefix) *Network {
	tb.Helper()
	docker, err := dockerEngine()
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	n := &Network{
		Parent: parent, Subnet6: six, tb: tb, docker: docker,
		ports: map[string]*port{}, narrow: map[string]int{}, far: map[string]*far{},
	}
	if err := n.make(tb.Context()); err != nil {
		tb.Fatalf("testbed: make a network: %v", err)
	}
	tb.Cleanup(n.cleanup)
	return n
}

// Address is the n-th static address, 2 to 126.
func (n *Network) Address(i int) string {
	if i < 2 || i > 126 {
		n.tb.Fatalf("testbed: no static address %d in %v", i, n.Subnet)
	}
	a := n.Subnet.Addr().As4()
	a[3] = byte(i)
	return netip.AddrFrom4(a).String()
}

// Address6 is the IPv6 address of whoever has an address.
func (n *Network) Address6(addr string) string {
	four, six := netip.MustParseAddr(addr).As4(), n.Subnet6.Addr().As16()
	six[15] = four[3]
	return netip.AddrFrom16(six).String()
}

// Prefixed is an address with the length of the subnet, as `ip` and keepalived
// take it.
func (n *Network) Prefixed(addr string) string {
	if strings.Contains(addr, ":") {
		return fmt.Sprintf("%s/%d", addr, n.Subnet6.Bits())
	}
	return fmt.Sprintf("%s/%d", addr, n.Subnet.Bits())
}

func (n *Network) make(ctx context.Context) error {
	const tries = 20
	var err error
	for range tries {
		n.Subnet, err = freeSubnet()
		if err != nil {
			return err
		}
		err = n.create(ctx)
		var said *apiError
		// Another network of the engine may have taken it meanwhile.
		if !errors.As(err, &said) || !strings.Contains(said.Message, "overlap") {
			return err
		}
	}
	return err
}

func (n *Network) create(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	a := n.Subnet.Addr().As4()
	name := newName(n.tb.Name())
	// An interface has 15 letters at most, and the last six make a name unique.
	n.Name, n.Bridge = name, "pgb-"+name[len(name)-6:]
	a[3] = 1
	n.Gateway = netip.AddrFrom4(a)
	a[3] = 128
	dynamic := netip.PrefixFrom(netip.AddrFrom4(a), 25)
	driver, options := "bridge", map[string]string{"com.docker.network.bridge.name": n.Bridge}
	if n.Parent != "" {
		driver, options = "macvlan", map[string]string{"parent": n.Parent}
	}
	pools := []map[string]string{{"Subnet": n.Subnet.String(), "Gateway": n.Gateway.String(), "IPRange": dynamic.String()}}
	if n.Subnet6.IsValid() {
		pools = append(pools, map[string]string{"Subnet": n.Subnet6.String(), "Gateway": n.Subnet6.Addr().Next().String()})
	}
	return n.docker.call(ctx, http.MethodPost, "/networks/create", nil, map[string]any{
		"Name": n.Name, "Driver": driver, "CheckDuplicate": true, "Labels": map[string]string{Label: runID}, "Options": options,
		"EnableIPv6": n.Subnet6.IsValid(), "IPAM": map[string]any{"Config": pools},
	}, nil)
}

// freeSubnet guesses one that no interface of this machine has. What only the
// engine knows, it refuses itself.
func freeSubnet() (netip.Prefix, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("list the addresses of this machine: %w", err)
	}
	for range 1000 {
		guess := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(64 + rand.IntN(128)), byte(rand.IntN(256)), 0}), 24)
		taken := false
		for _, a := range addrs {
			used, err := netip.ParsePrefix(a.String())
			taken = taken || err == nil && used.Overlaps(guess)
		}
		if !taken {
			return guess, nil
		}
	}
	return netip.Prefix{}, errors.New("no subnet in 10.64.0.0/10 or 10.128.0.0/10 is free")
}

func (n *Network) cleanup() {
	if keep() {
		n.tb.Logf("KEEP=1: network %s stays", n.Name)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := n.docker.call(ctx, http.MethodDelete, "/networks/"+n.Name, nil, nil, nil)
	if err != nil && !notFound(err) {
		n.tb.Logf("testbed: remove network %s: %v", n.Name, err)
	}
}

func (c *Container) network() *Network {
	c.tb.Helper()
	if c.Spec.Net == nil {
		c.tb.Fatalf("testbed: %s is in no network of the test's own; set Spec.Net", c.Name)
	}
	return c.Spec.Net
}
