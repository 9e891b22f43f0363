package testbed

import (
	"context"
	"fmt"
	"net/netip"
)

// NewMacvlan makes a network by the engine's macvlan driver, with which
// containers on several hosts share one network. An empty bridge stands for
// the hosts' interface, and this machine has an interface of the same kind,
// Network.Bridge, to reach the containers: the driver lets them not reach the
// host itself. Of the faults only Disconnect works here. It needs root.
func NewMacvlan(tb TB) *Network {
	tb.Helper()
	name := newName("macvlan")
	unique := name[len(name)-6:]
	parent, own := tailPrefix+unique+"p", tailPrefix+unique+"h"
	steps := [][]string{
		{"link", "add", parent, "type", "bridge"},
		{"link", "set", parent, "alias", Label + "=" + runID, "up"},
		{"link", "add", own, "link", parent, "type", "macvlan", "mode", "bridge"},
		{"link", "set", own, "up"}, // goes with its parent
	}
	tb.Cleanup(func() {
		if keep() {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if _, err := run(ctx, "ip", "link", "del", parent); err != nil {
			tb.Logf("testbed: %v", err)
		}
	})
	for _, s := range steps {
		if _, err := run(tb.Context(), "ip", s...); err != nil {
			tb.Fatalf("testbed: make a macvlan network (needs root and ip): %v", err)
		}
	}
	n := newNetwork(tb, parent, netip.Prefix{})
	n.Bridge = own
	address := fmt.Sprintf("%s/%d", n.Gateway, n.Subnet.Bits())
	if _, err := run(tb.Context(), "ip", "addr", "add", address, "dev", own); err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	return n
}
