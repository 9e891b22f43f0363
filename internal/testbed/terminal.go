package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec" //nolint:depguard // the testbed runs docker on the host, not inside the product
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/creack/pty"
)

// Terminal is a program on a pseudo-terminal, as in front of a user.
type Terminal struct {
	tb   TB
	cmd  *exec.Cmd
	file *os.File

	mu   sync.Mutex
	all  bytes.Buffer
	seen int           // what Expect has consumed of it
	more chan struct{} // has an entry when there is more
	done chan struct{} // closed at the end of the output
}

// DockerTerminal runs the docker command line on a pseudo-terminal:
// `docker run -it` as a user types it.
func DockerTerminal(tb TB, args ...string) *Terminal {
	tb.Helper()
	path, err := exec.LookPath("docker")
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	t := &Terminal{tb: tb, cmd: exec.Command(path, args...), more: make(chan struct{}, 1), done: make(chan struct{})}
	if t.file, err = pty.StartWithSize(t.cmd, &pty.Winsize{Rows: 24, Cols: 200}); err != nil {
		tb.Fatalf("testbed: start docker on a terminal: %v", err)
	}
	go t.read()
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the terminal showed:\n%s", t.Shown())
		}
		_ = t.cmd.Process.Kill()
		t.file.Close()
	})
	return t
}

func (t *Terminal) read() {
	defer close(t.done)
	buf := make([]byte, 4096)
	for {
		n, err := t.file.Read(buf)
		t.mu.Lock()
		t.all.Write(buf[:n])
		t.mu.Unlock()
		select {
		case t.more <- struct{}{}:
		default:
		}
		if err != nil { // EIO: the other end is closed
			return
		}
	}
}

// Shown is everything that the program has printed.
func (t *Terminal) Shown() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all.String()
}

// Type sends keys; "\x03" is ^C, "\x1a" is ^Z, "\r" is Enter.
func (t *Terminal) Type(keys string) {
	t.tb.Helper()
	if _, err := io.WriteString(t.file, keys); err != nil {
		t.tb.Fatalf("testbed: type into the terminal: %v", err)
	}
}

// Expect waits for output that matches, after what was matched last, and
// returns its last group or all of it.
func (t *Terminal) Expect(pattern string, timeout time.Duration) string {
	t.tb.Helper()
	text, ok := t.await(pattern, timeout)
	if !ok {
		t.tb.Fatalf("testbed: the terminal's program ended, or %v passed, without %q", timeout, pattern)
	}
	return text
}

func (t *Terminal) await(pattern string, timeout time.Duration) (string, bool) {
	re := regexp.MustCompile(pattern)
	late := time.After(timeout)
	for ended := false; ; {
		t.mu.Lock()
		rest := t.all.String()[t.seen:]
		at := re.FindStringSubmatchIndex(rest)
		if at != nil {
			t.seen += at[1]
		}
		t.mu.Unlock()
		if at != nil {
			return rest[at[len(at)-2]:at[len(at)-1]], true
		}
		if ended {
			return "", false
		}
		select {
		case <-t.more:
		case <-t.done:
			ended = true
		case <-late:
			return "", false
		}
	}
}

// Wait waits for the program's end and returns its exit code.
func (t *Terminal) Wait(timeout time.Duration) int {
	t.tb.Helper()
	select {
	case <-t.done:
	case <-time.After(timeout):
		t.tb.Fatalf("testbed: the terminal's program still runs after %v", timeout)
	}
	_ = t.cmd.Wait() // how it ended stands in ProcessState
	return t.cmd.ProcessState.ExitCode()
}

// DockerPipe runs the docker command line with a pipe as standard input and
// returns what it printed and its exit code.
func DockerPipe(ctx context.Context, stdin string, args ...string) (Result, error) {
	path, err := exec.LookPath("docker")
	if err != nil {
		return Result{}, fmt.Errorf("find docker: %w", err)
	}
	var out, errout bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errout
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		err = nil
	}
	return Result{Code: cmd.ProcessState.ExitCode(), Stdout: out.String(), Stderr: errout.String()}, err
}

// UserRun is the beginning of a `docker run` of the command line with what
// Run gives its containers: a name, the label, and the binary under test. The
// container is removed at the end.
func UserRun(tb TB, image string, flags ...string) []string {
	tb.Helper()
	docker, err := dockerEngine()
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	c := &Container{Name: newName(tb.Name()), tb: tb, docker: docker}
	c.ID = c.Name // the engine takes names too
	tb.Cleanup(func() {
		if err := c.remove(); err != nil {
			tb.Logf("testbed: remove container %s: %v", c.Name, err)
		}
	})
	r := Spec{Image: image}.request()
	args := []string{"run", "--name", c.Name}
	for k, v := range r.Labels {
		args = append(args, "--label", k+"="+v)
	}
	for _, m := range r.HostConfig.Mounts {
		args = append(args, "-v", m.Source+":"+m.Target+":ro")
	}
	return append(append(args, flags...), image)
}
