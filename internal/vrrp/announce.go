package vrrp

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// announcer sends gratuitous ARP (RFC 826, RFC 5227 section 3) and unsolicited
// neighbour advertisements (RFC 4861 section 7.2.6). It keeps its packet socket:
// closing one waits for the kernel's synchronize_net, 10 to 18 ms.
type announcer struct {
	arp int // descriptor of an AF_PACKET socket that receives nothing; -1: none yet
	nd  int // of a raw ICMPv6 socket; -1: none yet
}

func newAnnouncer() *announcer { return &announcer{arp: -1, nd: -1} }

func (a *announcer) open(like netip.Addr) (err error) {
	if like.Is4() && a.arp < 0 {
		a.arp, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	}
	if like.Is6() && a.nd < 0 {
		if a.nd, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6); err == nil {
			err = unix.SetsockoptICMPv6Filter(a.nd, unix.SOL_ICMPV6, unix.ICMPV6_FILTER, blockAll())
		}
		if err == nil {
			err = unix.SetsockoptInt(a.nd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255)
		}
	}
	if err != nil {
		return fmt.Errorf("open a socket to announce the virtual address: %w", err)
	}
	return nil
}

func blockAll() *unix.ICMPv6Filter {
	var f unix.ICMPv6Filter
	for i := range f.Data {
		f.Data[i] = ^uint32(0)
	}
	return &f
}

// announce tells every neighbour that vip is now at this interface.
func (a *announcer) announce(p place, vip netip.Addr) error {
	if err := a.open(vip); err != nil {
		return err
	}
	send := a.sendND
	if vip.Is4() {
		send = a.sendARP
	}
	if err := send(p, vip); err != nil {
		return fmt.Errorf("announce %s on %s: %w", vip, p.link, err)
	}
	return nil
}

// sendARP broadcasts a request and a reply: some systems heed only one of them.
func (a *announcer) sendARP(p place, vip netip.Addr) error {
	to := &unix.SockaddrLinklayer{
		Protocol: bigEndian(unix.ETH_P_ARP), Ifindex: p.index, Halen: 6,
		Addr: [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	}
	for _, operation := range []uint16{1, 2} {
		if err := unix.Sendto(a.arp, arpPacket(operation, p.mac, vip), 0, to); err != nil {
			return err
		}
	}
	return nil
}

// arpPacket is a gratuitous ARP packet: sender and target have the address.
func arpPacket(operation uint16, mac string, vip netip.Addr) []byte {
	ip := vip.As4()
	b := binary.BigEndian.AppendUint16(nil, 1)             // Ethernet
	b = binary.BigEndian.AppendUint16(b, unix.ETH_P_IP)    //
	b = append(b, 6, 4)                                    // lengths of both kinds of address
	b = binary.BigEndian.AppendUint16(b, operation)        // 1 request, 2 reply
	b = append(append(b, padded(mac)...), ip[:]...)        // sender
	return append(append(b, make([]byte, 6)...), ip[:]...) // target
}

func (a *announcer) sendND(p place, vip netip.Addr) error {
	ip := vip.As16()
	b := append([]byte{136, 0, 0, 0, 0x20, 0, 0, 0}, ip[:]...) // advertisement; override; the kernel adds the checksum
	b = append(append(b, 2, 1), padded(p.mac)...)              // option: target link-layer address
	all := &unix.SockaddrInet6{ZoneId: uint32(p.index), Addr: netip.MustParseAddr("ff02::1").As16()}
	return unix.Sendto(a.nd, b, 0, all)
}

// padded is a link-layer address of six bytes: an interface without one (a
// tunnel) has zeros.
func padded(mac string) []byte {
	b := make([]byte, 6)
	copy(b, mac)
	return b
}

func bigEndian(n uint16) uint16 { return n<<8 | n>>8 }

func (a *announcer) close() {
	for _, fd := range []*int{&a.arp, &a.nd} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
			*fd = -1
		}
	}
}
