package testbed

import (
	"context"
	"fmt"
	"strings"
)

// Narrow bounds what the container can send and, separately, receive, in bits
// per second: a queue of 100 ms, and what does not fit is dropped.
func (n *Network) Narrow(c *Container, bitsPerSecond int) (undo func()) {
	n.tb.Helper()
	n.mustSwitch()
	addr := addressOf(c)
	undo = inverse(n.tb, "widen the link of "+nameOf(c), func(ctx context.Context) error {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.narrow, addr)
		return n.ports[addr].widen(ctx)
	})
	n.mu.Lock()
	n.narrow[addr] = bitsPerSecond
	err := n.applyAll(n.tb.Context())
	n.mu.Unlock()
	if err != nil {
		n.tb.Fatalf("testbed: %v", err)
	}
	return undo
}

// burst is what may pass at once, in bytes: a few frames.
const burst = 16 << 10

// squeeze puts a token bucket at both ends of the cable, since each bounds
// what it sends.
func (p *port) squeeze(ctx context.Context, rate int) error {
	return p.bothEnds(ctx, "replace", "root", "tbf", "rate", fmt.Sprintf("%dbit", rate),
		"burst", fmt.Sprint(burst), "latency", "100ms")
}

func (p *port) widen(ctx context.Context) error {
	err := p.bothEnds(ctx, "del", "root")
	if err != nil && strings.Contains(err.Error(), "handle of zero") {
		return nil // there is none: the container has a new interface
	}
	return err
}

// bothEnds runs `tc qdisc`; a container that is down has no ends.
func (p *port) bothEnds(ctx context.Context, do string, args ...string) error {
	if err := p.find(ctx); err != nil || p.veth == "" {
		return err
	}
	s, err := p.c.inspect(ctx)
	if err != nil {
		return err
	}
	name, _, err := p.inside(ctx)
	if err != nil || name == "" {
		return err
	}
	tc := func(dev string) []string { return append([]string{"tc", "qdisc", do, "dev", dev}, args...) }
	if _, err := run(ctx, "tc", tc(p.veth)[1:]...); err != nil {
		return fmt.Errorf("bound the rate of a link (needs root; Debian: apt-get install iproute2): %w", err)
	}
	_, err = p.enter(ctx, s.PID, tc(name)...)
	return err
}
