package nodeapi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// ControlDir is where the control socket lives unless PGBATON_CONTROL_DIR says
// otherwise.
const ControlDir = "/run/pgbaton"

// SocketName is the control socket's name in its directory.
const SocketName = "control.sock"

// Sockets lists where the control socket of a supervisor may be, best first:
// in dir (ControlDir when empty), and where that cannot be written (a
// read-only root, --user), beside postgres's own socket, then in /tmp in a
// directory of the uid's own. The supervisor takes the first directory that it
// can make; a client asks the first socket that exists.
func Sockets(dir string, uid int) []string {
	if dir == "" {
		dir = ControlDir
	}
	return []string{
		filepath.Join(dir, SocketName),
		filepath.Join("/var/run/postgresql/.pgbaton", SocketName),
		filepath.Join("/tmp", "pgbaton-"+strconv.Itoa(uid), SocketName),
	}
}

// FirstSocket returns the first path at which a socket exists, else the first
// path, so that an error names the place where one should be.
func FirstSocket(paths []string) string {
	for _, p := range paths {
		if fi, err := os.Stat(p); err == nil && fi.Mode().Type() == fs.ModeSocket {
			return p
		}
	}
	return paths[0]
}

// listenUnix makes the control socket, with mode 0666: what a peer may do is
// judged by its credentials.
func listenUnix(path string) (net.Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on control socket: %w", err)
	}
	if err := openToAll(path); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// removeStale removes the socket that a killed supervisor left. It removes no
// other kind of file, and no socket that somebody still answers on.
func removeStale(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at control socket: %w", err)
	}
	if fi.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("make control socket: %s exists and is no socket; it is left alone", path)
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = c.Close()
		return fmt.Errorf("make control socket: another supervisor answers on %s\n"+
			"hint: give each container a control directory of its own (PGBATON_CONTROL_DIR)", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove stale control socket: %w", err)
	}
	return nil
}

// openToAll lets every uid connect. The directory may belong to postgres, who
// could put a symbolic link in the socket's place: so the file is opened
// without following links, judged, and changed through its descriptor.
func openToAll(path string) error {
	const oPath = 0x200000 // O_PATH, the same on every Linux architecture that Go supports
	fd, err := syscall.Open(path, oPath|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open control socket: %w", err)
	}
	defer func() { _ = syscall.Close(fd) }()
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return fmt.Errorf("look at control socket: %w", err)
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFSOCK || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("make control socket: %s was replaced by somebody else's file", path)
	}
	if err := os.Chmod("/proc/self/fd/"+strconv.Itoa(fd), 0o666); err != nil {
		return fmt.Errorf("open control socket to all: %w", err)
	}
	return nil
}

type peerKey struct{}

// withPeer notes the uid of the process at the other end of a Unix connection.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	uid, err := peerUID(c)
	if err != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, uid)
}

// peer returns the uid that withPeer noted; false where the kernel gave none.
func peer(ctx context.Context) (uid int, ok bool) {
	uid, ok = ctx.Value(peerKey{}).(int)
	return uid, ok
}

func peerUID(c net.Conn) (int, error) {
	if in, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = in.NetConn()
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return 0, fmt.Errorf("read peer credentials: %T is no Unix connection", c)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("read peer credentials: %w", err)
	}
	var cred *syscall.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, credErr); err != nil {
		return 0, fmt.Errorf("read peer credentials: %w", err)
	}
	return int(cred.Uid), nil
}
