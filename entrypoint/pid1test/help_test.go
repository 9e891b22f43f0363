package pid1test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

const (
	image   = "pgbaton:17"
	home    = "/var/lib/postgresql"
	oldData = home + "/data"      // where volumes of the official image up to 17 are mounted
	pgdata  = home + "/17/docker" // on a volume at home
	// grace is far more than a stop may take on a busy machine, and is never
	// waited for when the product is right.
	grace = 60 * time.Second
	// soon bounds what should happen within a second or two; on a busy machine
	// an initialisation alone takes most of a minute.
	soon = 3 * time.Minute
)

// Tests that only wait cost nothing, so many may be under way; slots bound
// those that keep a processor busy.
var slots = make(chan struct{}, 4)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "100"); err != nil {
		panic(err)
	}
	os.Exit(testbed.Main(m))
}

// parallel lets a test run beside others, a few at a time.
func parallel(t *testing.T) {
	t.Helper()
	t.Parallel()
	slots <- struct{}{}
	t.Cleanup(func() { <-slots })
}

// server is a container on an initialised volume.
func server(t *testing.T, more ...func(*testbed.Spec)) *testbed.Container {
	t.Helper()
	return on(t, testbed.Initialized(t, image, home), more...)
}

// on is a container on a volume at home.
func on(t *testing.T, v *testbed.Volume, more ...func(*testbed.Spec)) *testbed.Container {
	t.Helper()
	return testbed.Run(t, spec(append([]func(*testbed.Spec){mount(v, home)}, more...)...))
}

func spec(more ...func(*testbed.Spec)) testbed.Spec {
	s := testbed.Spec{Image: image, Env: map[string]string{
		"POSTGRES_PASSWORD":    testbed.Password,
		"POSTGRES_INITDB_ARGS": "--no-sync",
	}}
	for _, m := range more {
		m(&s)
	}
	return s
}

func mount(v *testbed.Volume, at string) func(*testbed.Spec) {
	return func(s *testbed.Spec) { s.Mounts = append(s.Mounts, v.At(at)) }
}

func env(name, value string) func(*testbed.Spec) {
	return func(s *testbed.Spec) { s.Env[name] = value }
}

func args(a ...string) func(*testbed.Spec) {
	return func(s *testbed.Spec) { s.Args = a }
}

func file(path, data string) func(*testbed.Spec) {
	return func(s *testbed.Spec) { s.Files = append(s.Files, testbed.File{Path: path, Data: data}) }
}

func program(path, data string) func(*testbed.Spec) {
	return func(s *testbed.Spec) { s.Files = append(s.Files, testbed.File{Path: path, Data: data, Mode: 0o755}) }
}

// script writes an init script.
func script(name, data string) func(*testbed.Spec) {
	return file("/docker-entrypoint-initdb.d/"+name, data)
}

// state is what the node says about itself; ok is false while it does not answer.
func state(t *testing.T, c *testbed.Container) (st node.State, ok bool) {
	t.Helper()
	r, err := c.TryDo(t.Context(), testbed.Command{Args: []string{"pgbaton", "status", "-o", "json"}})
	if err != nil || r.Code != 0 && r.Stdout == "" {
		return st, false
	}
	return st, json.Unmarshal([]byte(r.Stdout), &st) == nil
}

// answer is what the node says about itself now.
func answer(t *testing.T, c *testbed.Container) node.State {
	t.Helper()
	return awaitState(t, c, "anything", func(node.State) bool { return true })
}

// awaitState waits until what the node says about itself fits.
func awaitState(t *testing.T, c *testbed.Container, what string, fits func(node.State) bool) node.State {
	t.Helper()
	var last node.State
	deadline := time.Now().Add(soon)
	for {
		if st, ok := state(t, c); ok {
			if last = st; fits(st) {
				return st
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not say within %v that %s; it says %s: %s", c.Name, soon, what, last.Phase, last.Why)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func awaitPhase(t *testing.T, c *testbed.Container, p node.Phase) node.State {
	t.Helper()
	return awaitState(t, c, "it is "+string(p), func(st node.State) bool { return st.Phase == p })
}

// supervisorOf waits for a supervisor other than one of before.
func supervisorOf(t *testing.T, c *testbed.Container, before ...testbed.Process) testbed.Process {
	t.Helper()
	var found testbed.Process
	c.Eventually(soon, "a supervisor runs", func() bool {
		p, ok := c.Supervisor()
		for _, old := range before {
			ok = ok && (p.PID != old.PID || p.Started != old.Started)
		}
		if !ok {
			return false
		}
		// A child of the old one looks like a supervisor for the moment between
		// fork and exec.
		time.Sleep(50 * time.Millisecond)
		again, still := c.Supervisor()
		found = again
		return still && again.PID == p.PID
	})
	return found
}

func postmasterOf(t *testing.T, c *testbed.Container) testbed.Process {
	t.Helper()
	p, ok := c.Postmaster()
	if !ok {
		t.Fatalf("%s has no postmaster", c.Name)
	}
	return p
}

// controlState is the state in pg_control of a volume that no server uses.
func controlState(t *testing.T, m testbed.Mount, dir string) string {
	t.Helper()
	c := testbed.Run(t, testbed.Spec{
		Image: image, Mounts: []testbed.Mount{m}, Entrypoint: []string{"/usr/lib/postgresql/17/bin/pg_controldata"}, Args: []string{dir},
	})
	code := c.Wait(soon)
	out := c.Logs()
	c.Remove()
	for line := range strings.Lines(out) {
		if state, ok := strings.CutPrefix(line, "Database cluster state:"); ok {
			return strings.TrimSpace(state)
		}
	}
	t.Fatalf("pg_controldata ended with %d: %s", code, out)
	return ""
}

// stopClean is docker stop, which has to end the container by itself, with
// code 0 and a shutdown checkpoint.
func stopClean(t *testing.T, c *testbed.Container, v *testbed.Volume) {
	t.Helper()
	if code, took := c.Stop(grace); code != 0 || took > grace-5*time.Second {
		t.Errorf("docker stop: exit code %d after %v, want 0 within the grace of %v", code, took, grace)
	}
	if got := controlState(t, v.At(home), pgdata); got != "shut down" {
		t.Errorf("after docker stop the cluster is %q, want \"shut down\"", got)
	}
}

// readiness asks the health path that balancers and Kubernetes ask.
func readiness(t *testing.T, c *testbed.Container) (code int, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Addr()+":8008/readiness", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(raw)
}

// psql runs SQL inside the container as the superuser.
func psql(t *testing.T, c *testbed.Container, sql string) string {
	t.Helper()
	return c.MustExec("psql", "-X", "-U", "postgres", "-Atc", sql)
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is not in: %s", p, text)
		}
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func containsLine(text, part string) bool {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return true
		}
	}
	return false
}

func countProcesses(c *testbed.Container, fits func(testbed.Process) bool) int {
	n := 0
	for _, p := range c.Processes() {
		if fits(p) {
			n++
		}
	}
	return n
}

// gz compresses as gzip(1) does.
func gz(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		panic(err) // a buffer takes everything
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.String()
}
