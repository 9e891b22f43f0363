package nodeapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// ErrNoSupervisor is inside every error that means that no answer came.
var ErrNoSupervisor = errors.New("no supervisor answers")

// Refusal is an answer of the supervisor that is not what was asked for.
type Refusal struct {
	Status int // of HTTP: 400 malformed, 403 not allowed, 409 not possible now
	Why    string
	Hint   string // may be empty
}

// Error is what happened, and the hint on a second line.
func (r *Refusal) Error() string {
	if r.Hint == "" {
		return r.Why
	}
	return r.Why + "\nhint: " + r.Hint
}

// Client asks the supervisor behind one control socket.
type Client struct {
	socket string
	http   *http.Client
}

// answerTime bounds everything but orders: a snapshot takes microseconds.
const answerTime = 5 * time.Second

// NewClient returns a client for a control socket; it connects when it is asked.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{
		DialContext: dial, MaxIdleConns: 1, DisableCompression: true,
	}}}
}

// Socket returns the path that the client asks on.
func (c *Client) Socket() string { return c.socket }

// State asks the node for its state, for at most five seconds.
func (c *Client) State(ctx context.Context) (node.State, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	var st node.State
	err := c.ask(ctx, http.MethodGet, "/v1/node", nil, &st)
	return st, err
}

// Alive asks whether the supervisor's loop lives.
func (c *Client) Alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	var refusal *Refusal
	err := c.ask(ctx, http.MethodGet, "/liveness", nil, nil)
	if errors.As(err, &refusal) {
		refusal.Why = "the supervisor answers, but has not looked at the node for " + maxAge.String()
	}
	return err
}

// Do gives an order and returns when it is carried out, with the node's state
// right after it. It lasts as long as ctx permits; the end of ctx ends the
// waiting, not the order.
func (c *Client) Do(ctx context.Context, o node.Order) (node.State, error) {
	var d done
	err := c.post(ctx, "/v1/order", o, &d)
	return d.Node, err
}

func (c *Client) post(ctx context.Context, path string, what, into any) error {
	body, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	return c.ask(ctx, http.MethodPost, path, body, into)
}

func (c *Client) ask(ctx context.Context, method, path string, body []byte, into any) error {
	r, err := http.NewRequestWithContext(ctx, method, "http://pgbaton"+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return c.silent(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return c.silent(ctx, err)
	}
	if resp.StatusCode != http.StatusOK {
		return refusalOf(resp.StatusCode, data)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("read the supervisor's answer: %w", err)
	}
	return nil
}

func refusalOf(status int, data []byte) error {
	var f failure
	if err := json.Unmarshal(data, &f); err != nil || f.Error == "" {
		f.Error = fmt.Sprintf("the supervisor answered %d %s", status, http.StatusText(status))
	}
	return &Refusal{Status: status, Why: f.Error, Hint: f.Hint}
}

// silent says what no answer means.
func (c *Client) silent(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	hint := "the supervisor may have ended or be restarting; `pgbaton status` shows what became of the order"
	why := fmt.Sprintf("broke off: %v", err)
	var op *net.OpError
	switch dialing := errors.As(err, &op) && op.Op == "dial"; {
	case errors.Is(err, context.DeadlineExceeded):
		why, hint = "it did not answer in time", "it may be stopped or starved; look at the container's log"
	case dialing && errors.Is(err, syscall.EACCES):
		why, hint = "permission denied", "run the command as root or as the container's user"
	case dialing:
		why, hint = reason(op.Err), "run this inside the container (docker exec), and set PGBATON_CONTROL_DIR where the container has it"
	}
	return &noAnswer{fmt.Sprintf("%v on %s (%s)\nhint: %s", ErrNoSupervisor, c.socket, why, hint), err}
}

// reason is the system's word for err, without call and path.
func reason(err error) string {
	var no syscall.Errno
	if errors.As(err, &no) {
		return no.Error()
	}
	return err.Error()
}

// noAnswer is ErrNoSupervisor with its text and its cause.
type noAnswer struct {
	text  string
	cause error
}

func (e *noAnswer) Error() string   { return e.text }
func (e *noAnswer) Unwrap() []error { return []error{ErrNoSupervisor, e.cause} }
