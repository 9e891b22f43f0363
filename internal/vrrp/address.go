package vrrp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addAddress puts the virtual address on the interface. One that is there is
// no error. An IPv6 address is usable at once: nobody else may have it now, and
// duplicate address detection would take a second to find that out.
func addAddress(p place, vip netip.Prefix) error {
	a := &netlink.Addr{IPNet: ipNet(vip)}
	if vip.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	err := netlink.AddrAdd(linkOf(p), a)
	if err != nil && !errors.Is(err, syscall.EEXIST) {
		return fmt.Errorf("add %s to %s: %w", vip, p.link, err)
	}
	return nil
}

// removeAddress takes the virtual address from every interface that has it.
func removeAddress(vip netip.Prefix) error {
	all, err := addresses(vip.Addr())
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range all {
		if addrOf(a) != vip.Addr() {
			continue
		}
		link := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: a.LinkIndex}}
		err := netlink.AddrDel(link, &netlink.Addr{IPNet: a.IPNet})
		if err != nil && !errors.Is(err, syscall.EADDRNOTAVAIL) {
			errs = append(errs, fmt.Errorf("remove %s: %w", vip, err))
		}
	}
	return errors.Join(errs...)
}

func linkOf(p place) netlink.Link {
	return &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: p.index, Name: p.link}}
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
