package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// patroniSetting is what decides how soon a cluster of Patroni's notices.
type patroniSetting struct {
	ttl, loopWait, retryTimeout int // seconds
	primaryStart                int // seconds that a crashed server may take to start again before another node takes over
	vip                         int // milliseconds between two looks of vip-manager
}

// patroniDefaults are those of its documentation and of vip-manager's.
// patroniTuned has the least of each that Patroni takes; a crashed server is
// not waited for, since its standby would take 5 s to connect to it again.
var (
	patroniDefaults = patroniSetting{ttl: 30, loopWait: 10, retryTimeout: 10, primaryStart: 300, vip: 1000}
	patroniTuned    = patroniSetting{ttl: 20, loopWait: 1, retryTimeout: 3, primaryStart: 0, vip: 100}
)

func (s patroniSetting) String() string {
	return fmt.Sprintf("ttl %d, loop_wait %d, retry_timeout %d, primary_start_timeout %d, vip-manager's interval %d ms",
		s.ttl, s.loopWait, s.retryTimeout, s.primaryStart, s.vip)
}

// patroni is a cluster of two with synchronous_mode on, and one etcd.
type patroni struct {
	tb    testbed.TB
	nodes []*testbed.Container
	vip   string
}

func startPatroni(tb testbed.TB, image string, s patroniSetting) contested {
	net := testbed.NewNetwork(tb)
	p := &patroni{tb: tb, vip: net.Address(100)}
	const etcdHost, etcdURL = "etcd", "http://etcd:2379"
	testbed.Run(tb, testbed.Spec{
		Image: image, Hostname: etcdHost, Net: net, IP: net.Address(10), Mounts: []testbed.Mount{testbed.NewVolume(tb).At("/var/lib/etcd")},
		Entrypoint: []string{
			// vip-manager and Patroni's own user of it speak the second API.
			"etcd", "--data-dir=/var/lib/etcd/data", "--enable-v2", "--log-level=warn",
			"--listen-client-urls=http://0.0.0.0:2379", "--advertise-client-urls=" + etcdURL,
		},
	})
	for i := range 2 {
		name, addr := fmt.Sprintf("n%d", i+1), net.Address(11+i)
		p.nodes = append(p.nodes, testbed.Run(tb, testbed.Spec{
			Image: image, Hostname: name, Net: net, IP: addr, CapAdd: []string{"NET_ADMIN", "NET_RAW"}, Stop: time.Minute,
			Mounts: []testbed.Mount{testbed.NewVolume(tb).At("/var/lib/postgresql")},
			Env: map[string]string{
				"NODE": name, "ADDRESS": addr, "ETCD": etcdURL, "VIP": p.vip, "POSTGRES_PASSWORD": testbed.Password,
				"TTL": strconv.Itoa(s.ttl), "LOOP_WAIT": strconv.Itoa(s.loopWait), "RETRY_TIMEOUT": strconv.Itoa(s.retryTimeout),
				"PRIMARY_START_TIMEOUT": strconv.Itoa(s.primaryStart), "VIP_INTERVAL": strconv.Itoa(s.vip),
			},
		}))
	}
	return p
}

// DSN is that of a cluster of ours.
func (p *patroni) DSN(context.Context) (string, error) {
	return "host=" + p.vip + " port=5432 user=postgres dbname=postgres sslmode=disable password=" + testbed.Password, nil
}

// member is what Patroni says of one node.
type member struct{ Name, Role, State string }

// Whole waits until Patroni has written down that the standby is synchronous,
// which it does when the server says so, and that it streams.
func (p *patroni) Whole() (primary *testbed.Container) {
	ctx, cancel := context.WithTimeout(p.tb.Context(), settle)
	defer cancel()
	for {
		all, err := p.members(ctx)
		roles := map[string]string{}
		for _, m := range all {
			roles[m.Role+" "+m.State] = m.Name
		}
		leader := roles["leader running"]
		if leader != "" && roles["sync_standby streaming"] != "" {
			for _, n := range p.nodes {
				if n.Spec.Hostname == leader {
					return n
				}
			}
		}
		select {
		case <-ctx.Done():
			p.tb.Fatalf("after %v Patroni's cluster is not whole: %v (%v)", settle, all, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// members asks the nodes one after the other, since one may be down.
func (p *patroni) members(ctx context.Context) (all []member, err error) {
	for _, n := range p.nodes {
		var said struct{ Members []member }
		if err = getJSON(ctx, "http://"+n.Spec.IP+":8008/cluster", &said); err == nil {
			return said.Members, nil
		}
	}
	return nil, err
}

func getJSON(ctx context.Context, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// Switchover is patronictl's, which returns when another node is the leader.
// Its exit code says nothing.
func (p *patroni) Switchover(from *testbed.Container) {
	r := from.Do(testbed.Command{
		Args:    []string{"patronictl", "-c", "/etc/patroni.yml", "switchover", "--leader", from.Spec.Hostname, "--force"},
		Timeout: settle,
	})
	if !strings.Contains(r.Stdout, "Successfully switched over") {
		p.tb.Fatalf("patronictl switchover: exit code %d, %s", r.Code, strings.Join(strings.Fields(r.Stdout+r.Stderr), " "))
	}
}

// peerVersions are those of the packages in the image.
func peerVersions(tb testbed.TB, image string) string {
	names := []string{"patroni", "etcd-server", "vip-manager", "postgresql-17"}
	out, err := testbed.Docker(tb.Context(), append([]string{
		"run", "--rm", "--entrypoint", "dpkg-query", image, "-W", "-f", "${Package} ${Version}, ",
	}, names...)...)
	if err != nil {
		tb.Fatalf("ask for the versions: %v", err)
	}
	return strings.TrimSuffix(strings.TrimSpace(out), ",")
}
