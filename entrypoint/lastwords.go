package entrypoint

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// lastWords keeps what a server said last of why it ends.
type lastWords struct {
	mu   sync.Mutex
	part string
	said []string
}

// Write looks for FATAL and PANIC, and for the DETAIL and HINT that belong to
// them. What clients hear that come too early is no reason.
func (w *lastWords) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := strings.Split(w.part+string(p), "\n")
	w.part = lines[len(lines)-1]
	w.part = w.part[max(0, len(w.part)-4096):]
	for _, line := range lines[:len(lines)-1] {
		for _, level := range []string{"FATAL: ", "PANIC: ", "DETAIL: ", "HINT: "} {
			_, text, found := strings.Cut(line, level)
			switch {
			case !found || strings.Contains(text, "the database system is "):
			case level[0] == 'F' || level[0] == 'P':
				w.said = []string{strings.TrimSpace(text)}
			case len(w.said) > 0 && len(w.said) < 3:
				w.said = append(w.said, strings.TrimSpace(text))
			}
		}
	}
	return len(p), nil
}

// text is empty where there was no reason.
func (w *lastWords) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.said, "; ")
}

func (w *lastWords) explain(err error) error {
	if text := w.text(); text != "" {
		return fmt.Errorf("%w: PostgreSQL says: %s", err, text)
	}
	return err
}

// output is where a server writes: to the container's stderr, and to those who
// listen for its last words.
func (l launch) output() io.Writer {
	switch {
	case l.relay != nil:
		return l.relay.in
	case l.words != nil:
		return io.MultiWriter(os.Stderr, l.words)
	}
	return os.Stderr
}

const (
	// wordsFile has a server's last words, in the control directory.
	wordsFile = "last-words"
	// wordsWithin bounds the wait for them once the server has ended: what it
	// has left may hold its end of the pipe.
	wordsWithin = time.Second
)

// relay is a process between a server and the container's stderr that keeps the
// server's last words. It lives as long as the server, whoever its supervisor
// is. A server that has ended before it was ready gets one at its next start;
// all others write to the container's stderr themselves.
type relay struct {
	in   *os.File
	proc *proc.Process
}

// newRelay starts one; nil: it cannot be, and the reason stays in the log alone.
func (s *supervisor) newRelay() *relay {
	r, err := startRelay(filepath.Join(s.control, wordsFile))
	if err != nil {
		s.log.Warn("keep what postgres says when it ends", "error", err)
		return nil
	}
	return r
}

func startRelay(path string) (*relay, error) {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return nil, err
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	p, err := proc.Start(proc.Spec{
		Path: self(), Args: []string{"pgbaton", "relay", path}, Dir: "/", Stdin: out, Stdout: os.Stdout, Stderr: os.Stderr,
	}, proc.Launch{Session: true})
	if err != nil {
		_ = in.Close()
		return nil, err
	}
	return &relay{in, p}, nil
}

// begun closes our end once the server has its own.
func (r *relay) begun() {
	if r != nil {
		_ = r.in.Close()
	}
}

// heed lets the server's end wait for its last words.
func (s *supervisor) heed(r *relay) { s.server.relay.Store(r) }

// wait returns when the last words are there, as far as they ever will be.
func (r *relay) wait() {
	if r == nil {
		return
	}
	select {
	case <-r.proc.Done():
	case <-time.After(wordsWithin):
	}
}

// Relay is that process. Its stdin ends when every process of the server has.
func Relay(args []string) int {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	words, before, buf := &lastWords{}, "", make([]byte, 32<<10)
	for {
		n, err := os.Stdin.Read(buf)
		_, _ = os.Stderr.Write(buf[:n]) // there is nobody else to tell
		_, _ = words.Write(buf[:n])
		if text := words.text(); text != before && len(args) > 0 {
			before = text
			_ = os.WriteFile(args[0], []byte(text), 0o600)
		}
		if err != nil {
			return 0
		}
	}
}

// exitText is how the last server ended, with its own words where they are known.
func (p *past) exitText() string {
	if p.Words == "" {
		return p.Status.String()
	}
	return p.Status.String() + ": PostgreSQL says: " + p.Words
}

// readWords takes in what a server said that has ended before it was ready.
func (s *supervisor) readWords(srv *server) {
	s.past.Words, s.past.Unready = "", !srv.ready && !srv.adopted && srv.told == ""
	if !s.past.Unready || srv.relay.Load() == nil {
		return
	}
	raw, err := os.ReadFile(filepath.Join(s.control, wordsFile))
	if err == nil {
		s.past.Words = strings.Join(strings.Fields(string(raw)), " ")
	}
}
