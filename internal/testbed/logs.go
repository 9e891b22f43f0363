package testbed

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"
)

// Logs returns everything that the container has printed in all its runs,
// both streams in the order of the engine.
func (c *Container) Logs() string {
	c.tb.Helper()
	var all bytes.Buffer
	c.must(c.logs(&all, &all, nil), "read the log of")
	return all.String()
}

// LogsSince returns what the container has printed since a moment.
func (c *Container) LogsSince(t time.Time) string {
	c.tb.Helper()
	var all bytes.Buffer
	c.must(c.logs(&all, &all, url.Values{"since": {unixTime(t)}}), "read the log of")
	return all.String()
}

// Output returns what the container printed, stream by stream.
func (c *Container) Output() (stdout, stderr string) {
	c.tb.Helper()
	var o, e bytes.Buffer
	c.must(c.logs(&o, &e, nil), "read the log of")
	return o.String(), e.String()
}

func (c *Container) tail(lines int) (string, error) {
	var all bytes.Buffer
	err := c.logs(&all, &all, url.Values{"tail": {strconv.Itoa(lines)}})
	return all.String(), err
}

func (c *Container) logs(stdout, stderr io.Writer, q url.Values) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.readLogs(ctx, stdout, stderr, q)
}

func (c *Container) readLogs(ctx context.Context, stdout, stderr io.Writer, q url.Values) error {
	if q == nil {
		q = url.Values{}
	}
	q.Set("stdout", "1")
	q.Set("stderr", "1")
	resp, err := c.docker.do(ctx, http.MethodGet, c.path("logs"), q, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if c.Spec.TTY { // one raw stream
		_, err := io.Copy(stdout, resp.Body)
		return err
	}
	return demux(resp.Body, stdout, stderr)
}

// WaitLog waits for a line that matches and was printed since the latest
// Start or Restart, and returns it. It follows the log, so it costs nothing
// between the lines.
func (c *Container) WaitLog(pattern string, timeout time.Duration) string {
	c.tb.Helper()
	c.mu.Lock()
	since := c.started
	c.mu.Unlock()
	return c.WaitLogSince(since, pattern, timeout)
}

// WaitLogSince is WaitLog for lines printed since a moment.
func (c *Container) WaitLogSince(since time.Time, pattern string, timeout time.Duration) string {
	c.tb.Helper()
	re, err := regexp.Compile(pattern)
	c.must(err, "read the pattern for")
	ctx, cancel := context.WithTimeout(c.tb.Context(), timeout)
	defer cancel()
	line, err := c.followLog(ctx, since, re)
	switch {
	case err == nil:
		return line
	case ctx.Err() != nil:
		c.tb.Fatalf("testbed: %s has not printed %q within %v", c.Name, pattern, timeout)
	}
	c.tb.Fatalf("testbed: wait for %q of %s: %v", pattern, c.Name, err)
	return ""
}

// FindLog is WaitLogSince without the end of the test: empty once ctx is over
// or the container has ended.
func (c *Container) FindLog(ctx context.Context, since time.Time, pattern *regexp.Regexp) string {
	line, err := c.followLog(ctx, since, pattern)
	if err != nil {
		return ""
	}
	return line
}

// followLog reads the log until a line matches, the container ends, or ctx
// is over.
func (c *Container) followLog(ctx context.Context, since time.Time, re *regexp.Regexp) (string, error) {
	q := url.Values{"follow": {"1"}, "since": {unixTime(since)}}
	r, w := io.Pipe()
	defer r.Close() // ends the reader of the log too
	go func() { w.CloseWithError(c.readLogs(ctx, w, w, q)) }()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if re.Match(lines.Bytes()) {
			return lines.Text(), nil
		}
	}
	if err := lines.Err(); err != nil {
		return "", err
	}
	return "", fmt.Errorf("the container ended without it")
}

// unixTime is how the engine takes a time.
func unixTime(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }
