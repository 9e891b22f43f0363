package vrrp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// listener counts the IP packets for this node that arrive at an interface, and
// speaks address resolution (RFC 826, RFC 4861) with a gateway there.
type listener struct {
	packets int // packet socket that only counts; -1: closed
	words   int // packet socket for ARP, or a raw one for ICMPv6; -1: closed
	six     bool
}

func openListener(p place) (*listener, error) {
	l := &listener{packets: -1, words: -1, six: p.own.Is6()}
	err := l.open(p)
	if err != nil {
		l.close()
		return nil, fmt.Errorf("listen on %s: %w", p.link, err)
	}
	return l, nil
}

func (l *listener) open(p place) (err error) {
	family := uint16(unix.ETH_P_IP)
	if l.six {
		family = unix.ETH_P_IPV6
	}
	if l.packets, err = packetSocket(p, family); err != nil {
		return err
	}
	// The queue is never read: what does not fit is counted and not kept.
	if err := unix.SetsockoptInt(l.packets, unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil {
		return err
	}
	if !l.six {
		l.words, err = packetSocket(p, unix.ETH_P_ARP)
		return err
	}
	if l.words, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMPV6); err != nil {
		return err
	}
	const advertisement = 136
	only := blockAll()
	only.Data[advertisement>>5] &^= 1 << (advertisement & 31)
	return errors.Join(
		unix.SetsockoptICMPv6Filter(l.words, unix.SOL_ICMPV6, unix.ICMPV6_FILTER, only),
		unix.SetsockoptInt(l.words, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255),
		unix.BindToDevice(l.words, p.link),
	)
}

// packetSocket gets what arrives for this node or for all, of one protocol. It
// gets nothing that is sent, as sockets for all protocols would.
func packetSocket(p place, protocol uint16) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(protocol), Ifindex: p.index})
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// count is how many IP packets arrived since it was asked last.
func (l *listener) count() (uint32, error) {
	stats, err := unix.GetsockoptTpacketStats(l.packets, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0, err
	}
	return stats.Packets, nil
}

// answers reads what arrived of address resolution: whether there was anything,
// and the gateway's hardware address where there was an answer of its.
func (l *listener) answers(gateway netip.Addr) (heard bool, mac string) {
	buf := make([]byte, 1500)
	for range 1000 {
		n, _, err := unix.Recvfrom(l.words, buf, unix.MSG_DONTWAIT)
		if err != nil {
			return heard, mac
		}
		read := arpAnswer
		if l.six {
			read = ndAnswer
		}
		heard = true
		if from, at := read(buf[:n]); at != "" && from == gateway {
			mac = at
		}
	}
	return heard, mac
}

// arpAnswer is who sent an ARP reply.
func arpAnswer(b []byte) (from netip.Addr, mac string) {
	const reply = 2
	if len(b) < 28 || b[4] != 6 || b[5] != 4 || binary.BigEndian.Uint16(b[6:]) != reply {
		return netip.Addr{}, ""
	}
	return netip.AddrFrom4([4]byte(b[14:18])), string(b[8:14])
}

// ndAnswer is whom a neighbour advertisement is about.
func ndAnswer(b []byte) (from netip.Addr, mac string) {
	if len(b) < 24 || b[0] != 136 {
		return netip.Addr{}, ""
	}
	return netip.AddrFrom16([16]byte(b[8:24])), "known"
}

// ask asks for the gateway's hardware address: the machine that had it, or all
// where mac is empty.
func (l *listener) ask(p place, gateway netip.Addr, mac string) error {
	if l.six {
		return l.solicit(p, gateway)
	}
	to := &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ARP), Ifindex: p.index, Halen: 6, Addr: [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}
	if mac != "" {
		copy(to.Addr[:], mac)
	}
	return unix.Sendto(l.words, arpQuestion(p, gateway), 0, to)
}

// arpQuestion asks who has an address.
func arpQuestion(p place, gateway netip.Addr) []byte {
	b := arpPacket(1, p.mac, p.own)
	target := gateway.As4()
	copy(b[len(b)-4:], target[:])
	return b
}

// solicit sends a neighbour solicitation to the gateway's own multicast group.
func (l *listener) solicit(p place, gateway netip.Addr) error {
	ip := gateway.As16()
	group := netip.MustParseAddr("ff02::1:ff00:0").As16()
	copy(group[13:], ip[13:])
	b := append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, ip[:]...) // the kernel adds the checksum
	b = append(append(b, 1, 1), padded(p.mac)...)           // option: source link-layer address
	return unix.Sendto(l.words, b, 0, &unix.SockaddrInet6{ZoneId: uint32(p.index), Addr: group})
}

func (l *listener) close() {
	for _, fd := range []*int{&l.packets, &l.words} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
			*fd = -1
		}
	}
}
