package nodeapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// ErrSilent is inside every error of a Peer that means that no answer came.
// Whoever refuses, or answers nonsense, is not silent.
var ErrSilent = errors.New("no answer")

// Peer asks another node over TCP. It is safe for concurrent use.
type Peer struct {
	address, token string
	scheme         string       // http or https
	kept           *http.Client // one connection stays open, for looks that come several times per second
	fresh          *http.Client // one connection for each request
}

const (
	// maxAnswer is how much of an answer is read; a state has some kilobytes.
	maxAnswer = 1 << 20
	// headStart is how long a kept connection may stay silent before another
	// one is tried beside it. One that was cut shows nothing by itself.
	headStart = 50 * time.Millisecond
	// dialTime bounds an attempt to connect that nobody waits for any longer:
	// net/http lets those go on.
	dialTime = 2 * time.Second
)

// NewPeer returns a client for the API at host:port; it connects when it is asked.
func NewPeer(address, token string) *Peer { return newPeerOver(address, token, "http", nil) }

// NewTLSPeer returns a client that asks over TLS and shows the node's own
// certificate. An empty token is not sent.
func NewTLSPeer(address, token string, t *TLS) *Peer {
	return newPeerOver(address, token, "https", t.client())
}

func newPeerOver(address, token, scheme string, secured *tls.Config) *Peer {
	client := func(keep bool) *http.Client {
		return &http.Client{
			Transport: &http.Transport{
				DialContext:            (&net.Dialer{Timeout: dialTime}).DialContext,
				TLSClientConfig:        secured,
				TLSHandshakeTimeout:    dialTime,
				DisableKeepAlives:      !keep,
				DisableCompression:     true,
				MaxIdleConnsPerHost:    1,
				IdleConnTimeout:        idleTime / 2, // the server's is longer: it never closes first
				MaxResponseHeaderBytes: maxHeader,
			},
			// The token is for this address and no other.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return &Peer{address: address, token: token, scheme: scheme, kept: client(true), fresh: client(false)}
}

// Address returns the host:port that is asked.
func (p *Peer) Address() string { return p.address }

// Close drops the kept connection. The peer can be asked again afterwards.
func (p *Peer) Close() { p.kept.CloseIdleConnections() }

// State asks for the node's state; it lasts at most as long as ctx permits. A
// kept connection that has become useless costs headStart, once.
func (p *Peer) State(ctx context.Context) (node.State, error) {
	data, err := p.race(ctx)
	if err != nil {
		return node.State{}, err
	}
	var st node.State
	if err := json.Unmarshal(data, &st); err != nil {
		return node.State{}, fmt.Errorf("%s answered what is no node's state: %w", p.address, words{clip(strings.TrimPrefix(err.Error(), "json: ")), err})
	}
	if st.Node == "" || st.Phase == "" {
		return node.State{}, fmt.Errorf("%s answered JSON that is no node's state", p.address)
	}
	return st, nil
}

// Role asks for something about roles and returns the reply. The request goes
// out at most once and on a connection of its own: one that waited in a
// connection that was cut could arrive late.
func (p *Peer) Role(ctx context.Context, body []byte) ([]byte, error) {
	reply, err := p.ask(ctx, p.fresh, http.MethodPost, "/v1/role", body)
	if err == nil && !json.Valid(reply) {
		return nil, fmt.Errorf("%s answered what is no JSON", p.address)
	}
	return reply, err
}

// Order gives an order to the node, which has to have the name that the order
// bears, and returns when it is carried out there. The end of ctx ends the
// waiting, not the order.
func (p *Peer) Order(ctx context.Context, o node.Order) error {
	body, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("write order: %w", err)
	}
	_, err = p.ask(ctx, p.fresh, http.MethodPost, "/v1/order", body)
	return err
}

// result is the end of one attempt.
type result struct {
	data []byte
	err  error
}

// race asks for the state, and on a second connection as soon as the first one
// stays silent for a moment. The first answer counts.
func (p *Peer) race(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx) // ends the loser, and with it its connection
	defer cancel()
	var unused atomic.Bool // the first attempt has a connection that nobody used before
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { unused.Store(!info.Reused) },
	})
	ended := make(chan result, 2)
	attempt := func(ctx context.Context) {
		data, err := p.ask(ctx, p.kept, http.MethodGet, "/v1/node", nil)
		ended <- result{data, err}
	}
	go attempt(traced)
	second := time.NewTimer(headStart)
	defer second.Stop()
	for running := 1; ; {
		select {
		case res := <-ended:
			running--
			if running == 0 || !errors.Is(res.err, ErrSilent) {
				return res.data, res.err
			}
		case <-second.C:
			if !unused.Load() {
				running++
				go attempt(ctx)
			}
		}
	}
}

// ask sends one request and reads its answer.
func (p *Peer) ask(ctx context.Context, c *http.Client, method, path string, body []byte) ([]byte, error) {
	var begun atomic.Bool // an answer has
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotFirstResponseByte: func() { begun.Store(true) }})
	r, err := http.NewRequestWithContext(ctx, method, p.scheme+"://"+p.address+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if p.token != "" {
		r.Header.Set("Authorization", "Bearer "+p.token)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.Do(r)
	switch {
	case err != nil && distrust(err):
		return nil, fmt.Errorf("%s answers, but TLS with it is not possible: %w", p.address, words{clip(reasonTLS(err)), err})
	case err != nil && begun.Load() && !brokeOff(err):
		return nil, fmt.Errorf("%s answered what is no HTTP", p.address)
	case err != nil:
		return nil, p.silent(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, p.silent(ctx, err)
	case len(data) > maxAnswer:
		return nil, fmt.Errorf("%s answered more than %d bytes, which is no node of ours", p.address, maxAnswer)
	case resp.StatusCode != http.StatusOK:
		return nil, p.refusal(path, resp.StatusCode, data)
	}
	return data, nil
}
