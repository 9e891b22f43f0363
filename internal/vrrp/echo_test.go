package vrrp

import (
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// enablePacketInfo makes the kernel tell to which address a datagram came.
func enablePacketInfo(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1) })
}

// replyFrom turns what came with a datagram into what sends the answer from the
// address that it came to: the virtual one is no host's first choice.
func replyFrom(oob []byte) []byte {
	all, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(all) == 0 || len(all[0].Data) < unix.SizeofInet4Pktinfo {
		return nil
	}
	in := *(*unix.Inet4Pktinfo)(unsafe.Pointer(&all[0].Data[0]))
	return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: in.Addr})
}
