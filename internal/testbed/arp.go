package testbed

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// neighbour is the container to which this machine sends what is for addr: by
// its host name, or by its hardware address when it is none of the network's.
func (n *Network) neighbour(addr string) string {
	table, _ := os.ReadFile("/proc/net/arp")
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line) // address, type, flags, hardware address, mask, device
		if len(f) == 6 && f[0] == addr && f[5] == n.Bridge {
			return n.owner(f[3])
		}
	}
	return "unknown"
}

func (n *Network) owner(mac string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.ports {
		if p.mac == mac {
			return nameOf(p.c)
		}
	}
	return mac
}

// Claimants asks on the wire who has an address, and returns all who answer
// within a time: two are a VIP that two nodes hold. It does not touch this
// machine's own ARP cache.
func (n *Network) Claimants(addr string, within time.Duration) []string {
	n.tb.Helper()
	all, err := n.claimants(n.tb.Context(), addr, within)
	if err != nil {
		n.tb.Fatalf("testbed: ask who has %s (needs root): %v", addr, err)
	}
	return all
}

func (n *Network) claimants(ctx context.Context, addr string, within time.Duration) ([]string, error) {
	dev, err := net.InterfaceByName(n.Bridge)
	if err != nil {
		return nil, err
	}
	f, err := openARP(dev)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer stop()
	target := netip.MustParseAddr(addr).As4()
	if _, err := f.Write(whoHas(dev.HardwareAddr, n.Gateway.As4(), target)); err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	_ = f.SetReadDeadline(time.Now().Add(within))
	var found []string
	frame := make([]byte, 1500)
	for {
		k, err := f.Read(frame)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			slices.Sort(found)
			return slices.Compact(found), nil
		}
		if err != nil {
			return nil, errors.Join(ctx.Err(), err)
		}
		if mac, ok := claims(frame[:k], target); ok {
			found = append(found, n.owner(mac))
		}
	}
}

func openARP(dev *net.Interface) (*os.File, error) {
	const arp = unix.ETH_P_ARP<<8&0xff00 | unix.ETH_P_ARP>>8 // network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "ARP on "+dev.Name)
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: arp, Ifindex: dev.Index}); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// whoHas is an ARP request (RFC 826) in an Ethernet frame.
func whoHas(mac net.HardwareAddr, own, target [4]byte) []byte {
	var b bytes.Buffer
	b.Write([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	b.Write(mac)
	// ARP; Ethernet, IPv4, lengths of their addresses; request.
	for _, v := range []uint16{unix.ETH_P_ARP, 1, unix.ETH_P_IP, 6<<8 | 4, 1} {
		_ = binary.Write(&b, binary.BigEndian, v)
	}
	b.Write(mac)
	b.Write(own[:])
	b.Write(make([]byte, 6))
	b.Write(target[:])
	return b.Bytes()
}

// claims reads whose hardware address a reply or an announcement names for
// target.
func claims(frame []byte, target [4]byte) (mac string, ok bool) {
	const sender, senderIP, length = 22, 28, 42
	if len(frame) < length || [4]byte(frame[senderIP:senderIP+4]) != target {
		return "", false
	}
	return net.HardwareAddr(frame[sender : sender+6]).String(), true
}
