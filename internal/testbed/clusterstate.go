package testbed

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// View is what one node said about itself at one moment.
type View struct {
	Node  *Node
	State node.State
	Err   error // it did not answer
}

// askPatience bounds one question to a node's API, since a busy machine takes
// long. The kernel does not: a node that accepts no connection within
// acceptPatience is down or cut off.
const (
	askPatience    = 2 * time.Second
	acceptPatience = 300 * time.Millisecond
)

// State asks the node's API over the network.
func (n *Node) State(ctx context.Context) (node.State, error) {
	var st node.State
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	scheme := "http"
	if n.Spec.Env["PGBATON_TLS_CERT"] != "" {
		scheme = "https"
	}
	url := scheme + "://" + net.JoinHostPort(n.Spec.IP, n.apiPort()) + "/v1/node"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return st, err
	}
	req.Header.Set("Authorization", "Bearer "+cmp.Or(n.Spec.Env["PGBATON_TOKEN"], Token))
	resp, err := api.Do(req)
	if err != nil {
		return st, fmt.Errorf("ask %s: %w", n.Host, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	if err == nil {
		err = json.Unmarshal(body, &st)
	}
	if err != nil {
		return st, fmt.Errorf("ask %s: %w", n.Host, err)
	}
	return st, nil
}

// apiPort is where the node's API listens; nodes that share one address have
// ports of their own.
func (n *Node) apiPort() string {
	if _, port, err := net.SplitHostPort(n.Spec.Env["PGBATON_LISTEN"]); err == nil {
		return port
	}
	return "8008"
}

// api keeps no connections: one to a node that was cut off would hang.
var api = &http.Client{Transport: &http.Transport{
	DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: acceptPatience}).DialContext,
	TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // whose certificate it is, is what the nodes verify
}}

// Views asks all nodes at once.
func (c *Cluster) Views(ctx context.Context) []View {
	views := make([]View, len(c.Nodes))
	var all sync.WaitGroup
	for i, n := range c.Nodes {
		all.Go(func() {
			st, err := n.State(ctx)
			views[i] = View{n, st, err}
		})
	}
	all.Wait()
	return views
}

// Primary reports whether the node says that it is a primary that lets
// clients in.
func (v View) Primary() bool {
	return v.Err == nil && v.State.Role == node.Primary && v.State.Ready &&
		(v.State.Cluster == nil || v.State.Cluster.Open)
}

// Standby reports whether the node says that it streams from a primary.
func (v View) Standby() bool {
	return v.Err == nil && v.State.Role == node.Standby && v.State.Cluster != nil && v.State.Cluster.Streaming
}

// Armed reports whether the node is a primary with an armed heir.
func (v View) Armed() bool {
	c := v.State.Cluster
	return v.Primary() && c != nil && c.Record != nil && c.Record.Heir != nil && c.Record.Heir.Armed
}

func (v View) String() string {
	if v.Err != nil {
		return fmt.Sprintf("%s: %v", v.Node.Host, v.Err)
	}
	s := fmt.Sprintf("%s: %s %s, ready %v: %s", v.Node.Host, v.State.Phase, v.State.Role, v.State.Ready, v.State.Why)
	if v.State.Verdict.Health != "" {
		s += fmt.Sprintf("; its verdict: %s, %s", v.State.Verdict.Health, v.State.Verdict.Why)
	}
	if c := v.State.Cluster; c != nil {
		s += fmt.Sprintf(" (open %v, follows %q, streaming %v, received %v, VRRP %q, VIP %v, eligible %v",
			c.Open, c.Following, c.Streaming, c.Received, c.VRRP, c.VIP, c.Eligible)
		if r := c.Record; r != nil {
			s += fmt.Sprintf(", epoch %d, primary %v, heir %+v, armed %+v, released %+v", r.Epoch, r.Primary, r.Heir, r.Armed, r.Released)
		}
		s += ")"
	}
	return s
}
