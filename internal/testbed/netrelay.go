package testbed

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// relay carries the frames of two interfaces from one to the other, late.
type relay struct {
	delay atomic.Int64
	ends  [2]*os.File
	work  sync.WaitGroup
}

// vnetHeader is the length of struct virtio_net_hdr: what the sender left to
// the hardware, checksums and segmentation. It travels with the frame, since
// between containers nobody ever computes them.
const vnetHeader = 10

// longestFrame holds a frame that the receiver is to cut into segments.
const longestFrame = vnetHeader + 14 + 4 + 65536

// late is a frame on its way. The queue is bounded, as a wire's capacity is.
type late struct {
	due   time.Time
	frame []byte
}

const inFlight = 4096

func startRelay(a, b string, delay time.Duration) (*relay, error) {
	r := &relay{}
	r.delay.Store(int64(delay))
	for i, dev := range []string{a, b} {
		f, err := openFrames(dev)
		if err != nil {
			r.stop()
			return nil, fmt.Errorf("read frames of %s: %w", dev, err)
		}
		r.ends[i] = f
	}
	for i := range r.ends {
		queue := make(chan late, inFlight)
		r.work.Go(func() { r.receive(r.ends[i], queue) })
		r.work.Go(func() { send(r.ends[1-i], queue) })
	}
	return r, nil
}

// openFrames opens a socket for everything that arrives at an interface.
func openFrames(dev string) (*os.File, error) {
	i, err := net.InterfaceByName(dev)
	if err != nil {
		return nil, err
	}
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // network order
	// Protocol 0: nothing arrives before bind, from other interfaces.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "frames of "+dev)
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 16<<20),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: i.Index}),
	)
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (r *relay) receive(from *os.File, queue chan<- late) {
	defer close(queue)
	buf := make([]byte, longestFrame)
	for {
		n, err := from.Read(buf)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil || n <= vnetHeader {
			if errors.Is(err, unix.ENETDOWN) || errors.Is(err, unix.ENXIO) {
				time.Sleep(time.Millisecond) // the interface is going: stop comes
			}
			continue
		}
		select {
		case queue <- late{time.Now().Add(time.Duration(r.delay.Load())), append([]byte(nil), buf[:n]...)}:
		default: // lost: more is in flight than the wire holds
		}
	}
}

func send(to *os.File, queue <-chan late) {
	for l := range queue {
		time.Sleep(time.Until(l.due))
		// A frame that the interface does not take is lost, as on any wire.
		_, _ = to.Write(l.frame)
	}
}

// stop ends the relay; frames in flight are lost.
func (r *relay) stop() {
	for _, f := range r.ends {
		if f != nil {
			f.Close()
		}
	}
	r.work.Wait()
}
