package testbed

import (
	"archive/tar"
	"bytes"
	"context"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// patience bounds every question to the engine that has no bound of its own.
const patience = time.Minute

// Container is one container of a test.
type Container struct {
	ID   string
	Name string
	Spec Spec

	tb     TB
	docker *engine

	mu      sync.Mutex
	started time.Time // of the latest Start or Restart by this handle
	addr    string    // see Addr
	looked  time.Time // when addr was read
}

// Run creates and starts a container; it does not wait for PostgreSQL.
func Run(tb TB, spec Spec) *Container {
	tb.Helper()
	c := Create(tb, spec)
	c.Start()
	return c
}

// Create makes a container without starting it. It is removed at the end,
// with its anonymous volumes; the log of a failed test's container is shown.
func Create(tb TB, spec Spec) *Container {
	tb.Helper()
	docker, err := dockerEngine()
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	if spec.Name == "" {
		spec.Name = newName(tb.Name())
	}
	c := &Container{Name: spec.Name, Spec: spec, tb: tb, docker: docker}
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	var made struct{ ID string }
	err = docker.call(ctx, http.MethodPost, "/containers/create", url.Values{"name": {spec.Name}}, spec.request(), &made)
	if notFound(err) {
		tb.Fatalf("testbed: image %s is missing; `make image` builds it: %v", spec.Image, err)
	}
	c.must(err, "create container")
	c.ID = made.ID
	tb.Cleanup(c.cleanup)
	if spec.Net != nil {
		spec.Net.join(c)
	}
	c.Write(spec.Files...)
	return c
}

// Write puts files into the container, running or not, volumes included.
func (c *Container) Write(files ...File) {
	c.tb.Helper()
	if len(files) == 0 {
		return
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		if f.Mode == 0 {
			f.Mode = 0o644
		}
		h := &tar.Header{
			Name: strings.TrimPrefix(f.Path, "/"), Mode: f.Mode, Uid: f.UID, Gid: f.UID,
			Size: int64(len(f.Data)), ModTime: time.Now(),
		}
		c.must(w.WriteHeader(h), "pack "+f.Path)
		_, err := w.Write([]byte(f.Data))
		c.must(err, "pack "+f.Path)
	}
	c.must(w.Close(), "pack files")
	ctx, cancel := c.context(0)
	defer cancel()
	c.must(c.docker.call(ctx, http.MethodPut, c.path("archive"), url.Values{"path": {"/"}}, buf.Bytes(), nil), "write files")
}

// Start starts the container, for the first time or again.
func (c *Container) Start() {
	c.tb.Helper()
	c.mark()
	ctx, cancel := c.context(0)
	defer cancel()
	c.must(c.docker.call(ctx, http.MethodPost, c.path("start"), nil, nil, nil), "start container")
	c.rewire(ctx)
}

// Stop is docker stop: the stop signal, and SIGKILL after grace. It returns
// the exit code and the time that it took.
func (c *Container) Stop(grace time.Duration) (code int, took time.Duration) {
	c.tb.Helper()
	ctx, cancel := c.context(grace)
	defer cancel()
	began := time.Now()
	err := c.docker.call(ctx, http.MethodPost, c.path("stop"), grace2query(grace), nil, nil)
	c.must(err, "stop container")
	took = time.Since(began)
	return c.Wait(patience), took
}

// Restart is docker restart.
func (c *Container) Restart(grace time.Duration) {
	c.tb.Helper()
	c.mark()
	ctx, cancel := c.context(grace)
	defer cancel()
	c.must(c.docker.call(ctx, http.MethodPost, c.path("restart"), grace2query(grace), nil, nil), "restart container")
	c.rewire(ctx)
}

// Kill sends a signal to PID 1, as docker kill: "KILL", "SIGINT", "HUP".
func (c *Container) Kill(signal string) {
	c.tb.Helper()
	ctx, cancel := c.context(0)
	defer cancel()
	c.must(c.docker.call(ctx, http.MethodPost, c.path("kill"), url.Values{"signal": {signal}}, nil, nil), "signal container")
}

// Wait waits until the container has ended and returns its exit code.
func (c *Container) Wait(timeout time.Duration) int {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(c.tb.Context(), timeout)
	defer cancel()
	var ended struct{ StatusCode int }
	err := c.docker.call(ctx, http.MethodPost, c.path("wait"), nil, nil, &ended)
	if ctx.Err() != nil {
		c.tb.Fatalf("testbed: %s still runs after %v", c.Name, timeout)
	}
	c.must(err, "wait for the end of container")
	return ended.StatusCode
}

// Remove ends and removes the container now, with its anonymous volumes. It
// may be called again.
func (c *Container) Remove() {
	c.tb.Helper()
	c.must(c.remove(), "remove container")
}

func (c *Container) remove() error {
	// Not the test's context: that one is over when cleanups run.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := c.docker.call(ctx, http.MethodDelete, "/containers/"+c.ID, url.Values{"force": {"1"}, "v": {"1"}}, nil, nil)
	if notFound(err) {
		return nil
	}
	return err
}

func (c *Container) cleanup() {
	if c.tb.Failed() {
		if log, err := c.tail(200); err == nil {
			c.tb.Logf("the last lines of %s:\n%s", c.Name, log)
		}
	}
	if keep() {
		c.tb.Logf("KEEP=1: container %s stays", c.Name)
		return
	}
	if err := c.remove(); err != nil {
		c.tb.Logf("testbed: remove container %s: %v", c.Name, err)
	}
}

// keep reports whether everything made is to stay, for a look at it.
func keep() bool { return os.Getenv("KEEP") == "1" }

func (c *Container) path(what string) string { return "/containers/" + c.ID + "/" + what }

// context bounds one question, which may take extra on top.
func (c *Container) context(extra time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.tb.Context(), patience+extra)
}

// must ends the test on an error.
func (c *Container) must(err error, doing string) {
	c.tb.Helper()
	if err != nil {
		c.tb.Fatalf("testbed: %s %s: %v", doing, c.Name, err)
	}
}

// mark remembers that the container starts anew: WaitLog looks from here on,
// and its address may change.
func (c *Container) mark() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started, c.addr = time.Now(), ""
}

func grace2query(grace time.Duration) url.Values {
	return url.Values{"t": {strconv.Itoa(seconds(grace))}}
}
