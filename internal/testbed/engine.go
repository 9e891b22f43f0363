package testbed

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
)

// engine is a client of the Docker engine's API on its Unix socket. Paths
// carry no version: the engine then answers with its newest, which every
// field used here has been part of for years.
type engine struct {
	socket string
	http   *http.Client
}

// apiError is an answer of the engine that is not a success.
type apiError struct {
	Status  int
	Message string
}

func (e *apiError) Error() string { return fmt.Sprintf("docker says: %s (%d)", e.Message, e.Status) }

// notFound reports whether the engine does not know the object.
func notFound(err error) bool {
	var e *apiError
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}

var dockerEngine = sync.OnceValues(func() (*engine, error) {
	socket, err := findSocket()
	if err != nil {
		return nil, err
	}
	e := &engine{socket: socket}
	e.http = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return e.dial(ctx) },
	}}
	return e, nil
})

// findSocket honours DOCKER_HOST, then the usual place, then the current
// docker context (rootless engines, engines in a virtual machine).
func findSocket() (string, error) {
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		const usual = "/var/run/docker.sock"
		if _, err := os.Stat(usual); err == nil {
			return usual, nil
		}
		out, err := Docker(context.Background(), "context", "inspect", "-f", "{{.Endpoints.docker.Host}}")
		if err != nil {
			return "", fmt.Errorf("find the Docker engine: %w", err)
		}
		host = strings.TrimSpace(out)
	}
	path, ok := strings.CutPrefix(host, "unix://")
	if !ok {
		return "", fmt.Errorf("the Docker engine is at %s; the testbed needs one on a Unix socket of this machine", host)
	}
	return path, nil
}

func (e *engine) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", e.socket)
}

// call sends one request; in is sent and out is filled as JSON when not nil.
func (e *engine) call(ctx context.Context, method, path string, q url.Values, in, out any) error {
	resp, err := e.do(ctx, method, path, q, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		_, err := io.Copy(io.Discard, resp.Body)
		return err
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// do sends one request and returns the answer with its body still to read.
func (e *engine) do(ctx context.Context, method, path string, q url.Values, in any) (*http.Response, error) {
	req, err := newRequest(ctx, method, path, q, in)
	if err != nil {
		return nil, err
	}
	resp, err := e.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask docker: %w", err)
	}
	if err := check(resp); err != nil {
		return nil, err
	}
	return resp, nil
}

// hijack sends one request and takes the connection over for a stream in both
// directions; closing the writing side tells the other end that input ended.
func (e *engine) hijack(ctx context.Context, path string, in any) (*net.UnixConn, *bufio.Reader, error) {
	req, err := newRequest(ctx, http.MethodPost, path, nil, in)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "tcp")
	conn, err := e.dial(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("reach docker: %w", err)
	}
	if err := req.Write(conn); err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("ask docker: %w", err)
	}
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, req)
	if err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
		err = check(resp)
	}
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("ask docker for a stream: %w", err)
	}
	return conn.(*net.UnixConn), r, nil
}

func newRequest(ctx context.Context, method, path string, q url.Values, in any) (*http.Request, error) {
	var body io.Reader
	kind := ""
	switch v := in.(type) {
	case nil:
	case []byte: // a tar archive
		body, kind = bytes.NewReader(v), "application/x-tar"
	default:
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode a request to docker: %w", err)
		}
		body, kind = bytes.NewReader(b), "application/json"
	}
	u := url.URL{Scheme: "http", Host: "docker", Path: path, RawQuery: q.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err == nil && kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	return req, err
}

// check turns an answer that is no success into an error. 304 means that the
// container was already in the wanted state.
func check(resp *http.Response) error {
	if resp.StatusCode < 300 || resp.StatusCode == http.StatusNotModified {
		return nil
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var said struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(b, &said) != nil || said.Message == "" {
		said.Message = strings.TrimSpace(string(b))
	}
	return &apiError{resp.StatusCode, said.Message}
}
