package entrypoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// The link is a pair of SOCK_SEQPACKET sockets between Init and its child,
// which has it as descriptor 3. A packet is one byte of kind and a payload.
//
//	hello    Init → child   first packet: number of restarts, the lock of the child before; its note follows
//	signal   Init → child   a signal number
//	ready    child → Init   signals may be sent now
//	part     both ways      the next part of a note
//	note     both ways      its last part; Init keeps it for the child's successor
//	lock     child → Init   keep this descriptor open (the volume's flock)
//	exit     child → Init   end the container with this code
//
// The end of the stream without an exit packet is a crash.
const (
	kindHello  = 'H'
	kindSignal = 'G'
	kindReady  = 'R'
	kindPart   = 'P'
	kindNote   = 'N'
	kindLock   = 'L'
	kindExit   = 'E'
)

const (
	linkFD = 3
	// maxPacket bounds a packet, kind and all. A note may be longer: what init
	// scripts exported for postgres is in it.
	maxPacket = 8 << 10
)

// link is one end.
type link struct{ fd int }

// packet is what arrived: its kind, its payload and a descriptor (-1: none).
type packet struct {
	kind byte
	body []byte
	fd   int
}

// newLink returns Init's end and the file for the child's descriptor 3.
func newLink() (link, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return link{}, nil, fmt.Errorf("make the link to the supervisor: %w", err)
	}
	return link{fds[0]}, os.NewFile(uintptr(fds[1]), "link"), nil
}

// openLink returns the child's end. It is closed on exec, or every orphan of
// the child would keep the stream open and hide the child's death.
func openLink() (link, error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(linkFD, &st); err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFSOCK {
		return link{}, errors.New("this command is started by `pgbaton entrypoint`, not by hand")
	}
	syscall.CloseOnExec(linkFD)
	return link{linkFD}, nil
}

// send sends one packet, with a descriptor where fd >= 0.
func (l link) send(kind byte, body []byte, fd int) error {
	if len(body)+1 > maxPacket {
		return fmt.Errorf("send packet %c: %d bytes are too many", kind, len(body)+1)
	}
	var rights []byte
	if fd >= 0 {
		rights = syscall.UnixRights(fd)
	}
	for {
		err := syscall.Sendmsg(l.fd, append([]byte{kind}, body...), rights, nil, syscall.MSG_NOSIGNAL)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// receive waits for one packet and puts it into buf. The error is io.EOF when
// the other end is gone.
func (l link) receive(buf []byte) (packet, error) {
	oob := make([]byte, syscall.CmsgSpace(4))
	for {
		n, oobn, _, _, err := syscall.Recvmsg(l.fd, buf, oob, syscall.MSG_CMSG_CLOEXEC)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.ECONNRESET):
			return packet{}, io.EOF
		case err != nil:
			return packet{}, err
		case n == 0:
			return packet{}, io.EOF
		}
		return packet{kind: buf[0], body: buf[1:n], fd: firstRight(oob[:oobn])}, nil
	}
}

func firstRight(oob []byte) int {
	if len(oob) == 0 {
		return -1
	}
	msgs, err := syscall.ParseSocketControlMessage(oob)
	if err != nil || len(msgs) == 0 {
		return -1
	}
	fds, err := syscall.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) == 0 {
		return -1
	}
	return fds[0]
}

// hello is the first packet that a child gets.
type hello struct {
	restarts int      // of the supervisor, since the container started
	note     []byte   // of the supervisor before
	lock     *os.File // the volume's lock, nil where none is held
}

func (l link) sendHello(restarts int, note []byte, lock int) error {
	if err := l.send(kindHello, binary.BigEndian.AppendUint32(nil, uint32(restarts)), lock); err != nil {
		return err
	}
	return l.sendNote(note)
}

// sendNote sends a note of any length.
func (l link) sendNote(body []byte) error {
	for len(body) > maxPacket-1 {
		if err := l.send(kindPart, body[:maxPacket-1], -1); err != nil {
			return err
		}
		body = body[maxPacket-1:]
	}
	return l.send(kindNote, body, -1)
}

// notes puts notes together. One whose last part never came is no note.
type notes struct{ parts []byte }

// take takes a packet in and returns the note that it completes.
func (n *notes) take(p packet) (note []byte, whole bool) {
	n.parts = append(n.parts, p.body...)
	if p.kind == kindPart {
		return nil, false
	}
	note, n.parts = n.parts, nil
	return note, true
}

func (l link) receiveHello() (hello, error) {
	buf := make([]byte, maxPacket)
	p, err := l.receive(buf)
	if err != nil {
		return hello{}, fmt.Errorf("receive the greeting of init: %w", err)
	}
	if p.kind != kindHello || len(p.body) != 4 {
		return hello{}, fmt.Errorf("receive the greeting of init: unexpected packet %c", p.kind)
	}
	h := hello{restarts: int(binary.BigEndian.Uint32(p.body))}
	if p.fd >= 0 {
		h.lock = os.NewFile(uintptr(p.fd), "lock")
	}
	h.note, err = l.receiveNote(buf)
	return h, err
}

func (l link) receiveNote(buf []byte) ([]byte, error) {
	var n notes
	for {
		p, err := l.receive(buf)
		if err != nil {
			return nil, fmt.Errorf("receive the note of the supervisor before: %w", err)
		}
		if p.kind != kindPart && p.kind != kindNote {
			return nil, fmt.Errorf("receive the note of the supervisor before: unexpected packet %c", p.kind)
		}
		if note, whole := n.take(p); whole {
			return note, nil
		}
	}
}

// exit asks Init to end the container.
func (l link) exit(code int) error { return l.send(kindExit, []byte{byte(code)}, -1) }
