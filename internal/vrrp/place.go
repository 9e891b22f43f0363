package vrrp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// place is where on this node the virtual address belongs.
type place struct {
	link  string // interface
	index int
	own   netip.Addr // this node's own address there
	mac   string     // of the interface; a string, so that places compare
}

// Locate finds the interface of this network namespace that a virtual address
// belongs to, and this node's own address there.
func Locate(vip netip.Prefix, peers []netip.Addr) (link string, own netip.Addr, err error) {
	p, err := find(vip, peers)
	return p.link, p.own, err
}

var errNowhere = errors.New("no interface has an address in the network of the virtual address")

// find looks for the interface by its address and not by its name: Docker 20.10
// gives a container that is connected to its network again eth1 for eth0.
// Where the prefix says nothing (/32), the interface at which a peer is a
// neighbour does.
func find(vip netip.Prefix, peers []netip.Addr) (place, error) {
	all, err := addresses(vip.Addr())
	if err != nil {
		return place{}, err
	}
	var best *netlink.Addr
	for i, a := range all {
		own := addrOf(a)
		secondary := a.Flags&unix.IFA_F_SECONDARY != 0
		if own == vip.Addr() || !vip.Contains(own) {
			continue
		}
		if best == nil || (best.Flags&unix.IFA_F_SECONDARY != 0 && !secondary) {
			best = &all[i]
		}
	}
	if best != nil {
		return at(best.LinkIndex, addrOf(*best))
	}
	for _, p := range peers {
		if !vip.IsSingleIP() {
			break
		}
		if r, err := netlink.RouteGet(net.IP(p.AsSlice())); err == nil && len(r) > 0 && r[0].Gw == nil {
			if own, ok := netip.AddrFromSlice(r[0].Src); ok && own.Unmap() != vip.Addr() {
				return at(r[0].LinkIndex, own.Unmap())
			}
		}
	}
	return place{}, errNowhere
}

func at(index int, own netip.Addr) (place, error) {
	link, err := netlink.LinkByIndex(index)
	if err != nil {
		return place{}, fmt.Errorf("look at interface %d: %w", index, err)
	}
	attrs := link.Attrs()
	return place{attrs.Name, index, own, string(attrs.HardwareAddr)}, nil
}

// addresses lists the addresses of this network namespace, of the family of
// like.
func addresses(like netip.Addr) ([]netlink.Addr, error) {
	family := netlink.FAMILY_V4
	if like.Is6() {
		family = netlink.FAMILY_V6
	}
	var err error
	for range 5 { // a list that changed while it was read is read again
		var all []netlink.Addr
		if all, err = netlink.AddrList(nil, family); err == nil {
			return all, nil
		}
	}
	return nil, fmt.Errorf("list addresses: %w", err)
}

func addrOf(a netlink.Addr) netip.Addr {
	own, _ := netip.AddrFromSlice(a.IP)
	return own.Unmap()
}

// Present reports whether an address is on this node.
func Present(vip netip.Addr) (bool, error) {
	all, err := addresses(vip)
	if err != nil {
		return false, err
	}
	for _, a := range all {
		if addrOf(a) == vip {
			return true, nil
		}
	}
	return false, nil
}
