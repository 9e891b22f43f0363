package clustertest

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/nodeapi"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// get asks a node's API over TCP.
func get(t *testing.T, n *testbed.Node, path, token string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(n.Spec.IP, "8008")+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestEveryNodeServesTheStatusPage(t *testing.T) {
	t.Parallel()
	c := testbed.RunCluster(t, testbed.ClusterSpec{Nodes: 2, Major: 17})
	p := c.WaitWhole(2 * long)
	standby := c.Others(p)[0]
	for _, n := range c.Nodes {
		code, page := get(t, n, "/status", "")
		if code != http.StatusOK || !strings.Contains(page, "/v1/cluster") {
			t.Errorf("%s: %d", n.Host, code)
		}
		for _, secret := range []string{testbed.Token, testbed.ReplicationPassword, n.Host, p.Spec.IP} {
			if strings.Contains(page, secret) {
				t.Errorf("the page of %s has %q", n.Host, secret)
			}
		}
		if code, _ := get(t, n, "/v1/cluster", ""); code != http.StatusUnauthorized {
			t.Errorf("what the page shows is open to everybody: %d", code)
		}
	}
	handOver(t, p)
	expect(t, c.WaitWhole(2*long), standby, "the switchover")
	p.Eventually(long, "what the page shows: the lag in time, and how long no primary was open", func() bool {
		var f nodeapi.Fleet
		code, body := get(t, p, "/v1/cluster", testbed.Token)
		if err := json.Unmarshal([]byte(body), &f); err != nil || code != http.StatusOK {
			t.Fatal(code, body, err)
		}
		told := ""
		for _, e := range f.Events {
			told += e.What + "\n"
		}
		_, known := f.LagTime(f.Node)
		return known && strings.Contains(told, "role: ") && strings.Contains(told, "no primary was open for ")
	})
}
