package nodeapi

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// TestAStrangerMayLookButNotOrder connects from a thread of another uid, which
// only root can make; anybody else connects as the supervisor's own user.
func TestAStrangerMayLookButNotOrder(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	count := &orders{}
	s, _ := serve(t, Config{Socket: filepath.Join(dir, SocketName), Steerer: count, AllowedUIDs: []int{4711}})
	for _, c := range []struct {
		uid, order int
	}{{0, 200}, {4711, 200}, {4712, 403}} {
		uid, want := c.uid, c.order
		if os.Geteuid() != 0 {
			uid, want = os.Geteuid(), 200
		}
		if got := statusAs(t, uid, s.cfg.Socket, "GET /v1/node", ""); got != 200 {
			t.Errorf("uid %d looks: %d", uid, got)
		}
		if got := statusAs(t, uid, s.cfg.Socket, "POST /v1/order", `{"do":"reload"}`); got != want {
			t.Errorf("uid %d orders: %d, want %d", uid, got, want)
		}
	}
}

// statusAs sends a request over a connection made by uid: the kernel notes
// the credentials of the thread that connects. The thread ends with it.
func statusAs(t *testing.T, uid int, socket, line, body string) int {
	t.Helper()
	conns := make(chan net.Conn, 1)
	go func() {
		defer close(conns)
		runtime.LockOSThread() // and never unlock: Go throws the thread away
		if uid != os.Geteuid() {
			if _, _, no := syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); no != 0 {
				t.Errorf("become uid %d: %v", uid, no)
				return
			}
		}
		c, err := net.Dial("unix", socket)
		if err != nil {
			t.Errorf("connect as uid %d: %v", uid, err)
			return
		}
		conns <- c
	}()
	c := <-conns
	if c == nil {
		return 0
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", line, len(body), body)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Errorf("%s as uid %d: %v", line, uid, err)
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}
