package pg

import (
	"context"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// dialer connects to Unix sockets with another uid. PostgreSQL asks the kernel
// for the uid of the peer (SO_PEERCRED), and the kernel notes it at connect(2).
type dialer struct {
	uid int // negative: this process's
}

func (d dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

func (d dialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}

func (d dialer) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), address)
	defer f.Close() //nolint:errcheck // net.FileConn works on a copy
	if err := boundConnect(ctx, fd); err != nil {
		return nil, err
	}
	if err := d.connect(fd, address); err != nil {
		return nil, &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Name: address, Net: "unix"}, Err: err}
	}
	return net.FileConn(f)
}

func (d dialer) connect(fd int, address string) error {
	connect := func() error {
		return os.NewSyscallError("connect", unix.Connect(fd, &unix.SockaddrUnix{Name: address}))
	}
	if d.uid < 0 {
		return connect()
	}
	return asUID(uint32(d.uid), connect)
}

// boundConnect makes a connect(2) to a full queue end with the context: it
// waits as long as sending may.
func boundConnect(ctx context.Context, fd int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	wait := connectTimeout
	if end, ok := ctx.Deadline(); ok {
		wait = max(min(time.Until(end), wait), time.Millisecond)
	}
	tv := unix.NsecToTimeval(wait.Nanoseconds())
	return os.NewSyscallError("setsockopt", unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv))
}
