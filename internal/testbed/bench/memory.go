package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// measureMemory reads the anonymous memory of init and supervisor as API
// calls go on: at the goal's 10,000 calls, before and after, to see growth.
func measureMemory(tb testbed.TB, t *table, c *testbed.Container, o options) {
	callers := callersOf(tb, c)
	read := func(what, goal string) int64 {
		init, sup := firstTwo(tb, c)
		t.add("anonymous memory, init / supervisor, "+what, both(init.RssAnon, sup.RssAnon), "", "", goal)
		return init.RssAnon + sup.RssAnon
	}
	init, sup := firstTwo(tb, c)
	t.add("resident memory with shared pages, init / supervisor", both(init.Rss, sup.Rss), "", "", "")
	read("before any call", "")
	done, last := 0, int64(0)
	for _, upTo := range []int{o.calls, 2 * o.calls, 4 * o.calls} {
		progress("API calls, up to %d", upTo)
		began := time.Now()
		n := upTo - done
		for done < upTo {
			if err := callers[done%len(callers)].call(tb.Context()); err != nil {
				tb.Fatalf("call the API: %v", err)
			}
			done++
		}
		progress("  %d calls in %.1f s", n, time.Since(began).Seconds())
		now := read(fmt.Sprintf("after %d calls", upTo), "≤ 3 MB / ≤ 25 MB")
		if last != 0 {
			t.add(fmt.Sprintf("  growth by the last %d calls", n), fmt.Sprintf("%+.2f MB", megabytes(now-last)), "", "", "none")
		}
		last = now
	}
}

func both(init, supervisor int64) string {
	return fmt.Sprintf("%.2f MB / %.2f MB", megabytes(init), megabytes(supervisor))
}

func megabytes(b int64) float64 { return float64(b) / (1 << 20) }

// caller asks one path on one side of the API.
type caller struct {
	client *http.Client
	url    string
}

// callersOf covers TCP and the control socket, with kept and with new
// connections: balancers ask anew each time, Prometheus keeps its connection.
func callersOf(tb testbed.TB, c *testbed.Container) []caller {
	init, _ := firstTwo(tb, c)
	socket := fmt.Sprintf("/proc/%d/root/run/pgbaton/control.sock", init.HostPID)
	overSocket := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	tcp := "http://" + c.Addr() + ":8008"
	var all []caller
	for _, path := range []string{"/health", "/primary", "/readiness", "/metrics", "/v1/node"} {
		for _, once := range []bool{false, true} {
			all = append(all, caller{&http.Client{Transport: &http.Transport{DisableKeepAlives: once}}, tcp + path})
			all = append(all, caller{&http.Client{Transport: &http.Transport{DisableKeepAlives: once, DialContext: overSocket}}, "http://socket" + path})
		}
	}
	tb.Cleanup(func() {
		for _, k := range all {
			k.client.CloseIdleConnections()
		}
	})
	return all
}

func (k caller) call(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := k.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", k.url, resp.Status)
	}
	return nil
}
