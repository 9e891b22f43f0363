package vrrp_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/notify"
)

func sample(t *testing.T, p notify.Placement, address func(int) string) notify.Conf {
	t.Helper()
	c := notify.Conf{
		Placement: p, Node: "n1", Interface: "eth0", VRID: 51, Advert: 100 * time.Millisecond, DownAdverts: 20,
		Source: netip.MustParseAddr(address(11)), VIP: netip.PrefixFrom(netip.MustParseAddr(address(100)), 24),
		Dir: "/run/keepalived", Socket: "/run/keepalived/control.sock", Program: "/usr/bin/true",
	}
	for i := range 3 {
		c.Peers = append(c.Peers, netip.MustParseAddr(address(12+i)))
	}
	return c
}
