package testbed

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// port is where a container is plugged into the bridge. It belongs to the
// address: the next container with that address inherits its faults.
type port struct {
	addr string
	mac  string
	c    *Container
	veth string // interface on this machine; empty while the container is down or disconnected
}

// macOf is the hardware address that the engine gives to an address anyway;
// it is asked for all the same, since newer engines choose others.
func macOf(addr string) string {
	a := netip.MustParseAddr(addr).As4()
	return fmt.Sprintf("02:42:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3])
}

// join plugs a container in that was just made.
func (n *Network) join(c *Container) {
	c.tb.Helper()
	addr, err := netip.ParseAddr(c.Spec.IP)
	if err != nil || !n.Subnet.Contains(addr) {
		c.tb.Fatalf("testbed: %s needs an address of its own in %v, not %q: see Network.Address", c.Name, n.Subnet, c.Spec.IP)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ports[c.Spec.IP] = &port{addr: c.Spec.IP, mac: macOf(c.Spec.IP), c: c}
}

// rewire puts the network's faults onto the container's new interface. A start
// by a restart policy is not seen: there nothing is left of Narrow and Delay.
func (c *Container) rewire(ctx context.Context) {
	c.tb.Helper()
	if n := c.Spec.Net; n != nil {
		c.must(n.refresh(ctx), "put the network's faults in front of")
	}
}

// refresh finds every container's present interface and puts all faults in
// force there.
func (n *Network) refresh(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.rules) == 0 && len(n.narrow) == 0 && len(n.far) == 0 {
		return nil
	}
	return n.applyAll(ctx)
}

// applyAll needs mu.
func (n *Network) applyAll(ctx context.Context) error {
	for _, p := range n.ports {
		if err := p.find(ctx); err != nil {
			return err
		}
	}
	if err := n.applyRules(ctx); err != nil {
		return err
	}
	for addr, rate := range n.narrow {
		if err := n.ports[addr].squeeze(ctx, rate); err != nil {
			return err
		}
	}
	for addr, f := range n.far {
		if err := f.plug(ctx, n, n.ports[addr]); err != nil {
			return err
		}
	}
	return nil
}

// find looks for the machine's end of the container's cable: the container's
// end names it by number.
func (p *port) find(ctx context.Context) error {
	_, peer, err := p.inside(ctx)
	p.veth = ""
	if err != nil || peer == 0 {
		return err
	}
	i, err := net.InterfaceByIndex(peer)
	if err != nil {
		return nil //nolint:nilerr // the container went down meanwhile
	}
	p.veth = i.Name
	return nil
}

// inside returns the container's interface and the number of its peer, none
// while it is down or disconnected.
func (p *port) inside(ctx context.Context) (name string, peer int, err error) {
	s, err := p.c.inspect(ctx)
	if notFound(err) || err == nil && s.PID == 0 {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	out, err := p.enter(ctx, s.PID, "ip", "-o", "link", "show")
	if err != nil {
		if now, e := p.c.inspect(ctx); e == nil && now.PID != s.PID {
			return "", 0, nil // it went down meanwhile
		}
		return "", 0, err
	}
	for line := range strings.Lines(out) {
		if !strings.Contains(line, p.mac) {
			continue
		}
		// 7: eth0@if8: <BROADCAST,MULTICAST,UP,LOWER_UP> …
		f := strings.Fields(line)
		name, number, ok := strings.Cut(strings.TrimSuffix(f[1], ":"), "@if")
		peer, err := strconv.Atoi(number)
		if ok && err == nil {
			return name, peer, nil
		}
	}
	return "", 0, nil
}

// enter runs a program of this machine in the container's network.
func (p *port) enter(ctx context.Context, pid int, args ...string) (string, error) {
	return run(ctx, "nsenter", append([]string{"-t", strconv.Itoa(pid), "-n"}, args...)...)
}
