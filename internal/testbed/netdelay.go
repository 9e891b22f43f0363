package testbed

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Delay makes every frame from and to the container d late, in each direction:
// TCP, VRRP and address resolution alike. The kernel's netem, which not every
// machine has, would do the same; here a forwarder of frames stands between
// the container's cable and the bridge.
func (n *Network) Delay(c *Container, d time.Duration) (undo func()) {
	n.tb.Helper()
	n.mustSwitch()
	addr := addressOf(c)
	undo = inverse(n.tb, "take the delay from "+nameOf(c), func(ctx context.Context) error {
		n.mu.Lock()
		defer n.mu.Unlock()
		f := n.far[addr]
		delete(n.far, addr)
		if f == nil {
			return nil
		}
		return f.unplug(ctx, n)
	})
	n.mu.Lock()
	if n.far[addr] == nil {
		n.far[addr] = &far{}
	}
	n.far[addr].delay = d
	err := n.applyAll(n.tb.Context())
	n.mu.Unlock()
	if err != nil {
		n.tb.Fatalf("testbed: %v", err)
	}
	return undo
}

// far is a cable with a forwarder in it.
//
//	container ── veth │forwarder│ near ── tail ── bridge
type far struct {
	delay time.Duration
	veth  string // the container's, while it is plugged in here
	near  string // this end of a pair whose other one is in the bridge
	relay *relay
}

// tailPrefix begins the names of the pairs; Sweep looks for it.
const tailPrefix = "pgt-"

// plug puts the forwarder into the cable, again where the cable is another one
// than before. The forwarder reads the delay anew for each frame.
func (f *far) plug(ctx context.Context, n *Network, p *port) error {
	if f.relay != nil {
		f.relay.delay.Store(int64(f.delay))
	}
	if p.veth == f.veth {
		return nil
	}
	if err := f.unplug(ctx, n); err != nil || p.veth == "" {
		return err
	}
	unique := strings.TrimPrefix(n.Bridge, "pgb-")[2:] + fmt.Sprintf("%02x", hostPart(p.addr))
	f.near = tailPrefix + unique + "n"
	tail := tailPrefix + unique + "t"
	f.veth = p.veth
	steps := [][]string{
		{"ip", "link", "add", f.near, "type", "veth", "peer", "name", tail},
		{"ip", "link", "set", f.near, "alias", Label + "=" + runID},
		// What arrives is the forwarder's alone: this machine must not answer
		// requests for its own addresses there.
		{"nft", deaf(f.table(), f.near, f.veth)},
		{"ip", "link", "set", f.veth, "nomaster"},
		{"ip", "link", "set", f.veth, "promisc", "on"},
		{"ip", "link", "set", f.near, "promisc", "on", "up"},
		{"ip", "link", "set", tail, "master", n.Bridge, "up"},
	}
	for _, s := range steps {
		if _, err := run(ctx, s[0], s[1:]...); err != nil {
			return fmt.Errorf("put a forwarder in front of %s (needs root, ip and nft): %w", p.addr, err)
		}
	}
	r, err := startRelay(f.veth, f.near, f.delay)
	f.relay = r
	return err
}

// unplug takes the forwarder out. The container's cable may be gone.
func (f *far) unplug(ctx context.Context, n *Network) error {
	if f.veth == "" {
		return nil
	}
	if f.relay != nil {
		f.relay.stop()
	}
	if exists(f.veth) {
		if _, err := run(ctx, "ip", "link", "set", f.veth, "promisc", "off", "master", n.Bridge); err != nil && exists(f.veth) {
			return fmt.Errorf("take a forwarder out: %w", err)
		}
	}
	_, err := run(ctx, "nft", fmt.Sprintf("table netdev %[1]s { }\ndelete table netdev %[1]s\n", f.table()))
	if err == nil && exists(f.near) {
		_, err = run(ctx, "ip", "link", "del", f.near)
	}
	f.veth, f.near, f.relay = "", "", nil
	return err
}

func (f *far) table() string { return tablePrefix + f.near }

// deaf lets everything be dropped that arrives at interfaces, behind the
// point where a forwarder sees it.
func deaf(table string, devices ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "table netdev %s {\n", table)
	for i, d := range devices {
		fmt.Fprintf(&b, "chain c%d {\ntype filter hook ingress device %s priority 0; policy drop;\n}\n", i, d)
	}
	return b.String() + "}\n"
}

func exists(device string) bool {
	_, err := os.Stat(filepath.Join("/sys/class/net", device))
	return err == nil
}

// hostPart is the last byte of an address.
func hostPart(addr string) int {
	var b int
	_, _ = fmt.Sscanf(addr[strings.LastIndexByte(addr, '.')+1:], "%d", &b)
	return b
}
