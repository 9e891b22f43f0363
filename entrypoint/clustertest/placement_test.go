package clustertest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// house is a machine: a network namespace with the keepalived of an older
// Debian, which runs nobody's container.
type house struct {
	*testbed.Container
	nodes []*testbed.Node
}

const keepalivedConf = "/etc/keepalived/keepalived.conf"

// build makes two houses that share control directories with the nodes that
// will live there, two in each.
func build(t *testing.T, net *testbed.Network, control [2][2]*testbed.Volume) (all []*house) {
	t.Helper()
	for i, two := range control {
		spec := testbed.Spec{
			Image: "pgbaton-keepalived:bookworm", Net: net, IP: net.Address(11 + i), CapAdd: []string{"NET_ADMIN", "NET_RAW"},
			Entrypoint: []string{"sh", "-c", "while ! test -s " + keepalivedConf + "; do sleep 0.1; done; exec keepalived --dont-fork --log-console --vrrp"},
			Mounts:     []testbed.Mount{two[0].At("/run/one"), two[1].At("/run/two")},
		}
		all = append(all, &house{Container: testbed.Run(t, spec)})
	}
	return all
}

// settle makes a cluster of one node in each house, with ports, a control
// directory and a virtual router of its own.
func settle(t *testing.T, net *testbed.Network, houses []*house, number int, control [2][2]*testbed.Volume) *testbed.Cluster {
	t.Helper()
	api := fmt.Sprint(8008 + number)
	var peers []string
	for _, h := range houses {
		peers = append(peers, h.Spec.IP+":"+api)
	}
	first := 1 + len(houses)*number
	at := map[string]int{}
	for i := range houses {
		at[fmt.Sprintf("n%d", first+i)] = i
	}
	return testbed.NewCluster(t, testbed.ClusterSpec{
		Nodes: len(houses), Major: 17, Net: net, First: first,
		Env: map[string]string{
			"PGBATON_PEERS": strings.Join(peers, ","), "PGBATON_LISTEN": "0.0.0.0:" + api, "PGPORT": fmt.Sprint(5432 + number),
			"PGBATON_VRID": fmt.Sprint(51 + number),
		},
		Edit: func(s *testbed.Spec) {
			i := at[s.Hostname]
			s.Mounts = append(s.Mounts, control[i][number].At("/run/pgbaton"))
			s.Hostname, s.Net, s.IP, s.Network = "", nil, houses[i].Spec.IP, "container:"+houses[i].Name
		},
	})
}

// TestAKeepalivedOutsideMovesTheVIPsOfTwoClustersOfTheSameMachines has Debian 12's
// keepalived, 2.2.7, which heeds enable_script_security and calls the hook.
func TestAKeepalivedOutsideMovesTheVIPsOfTwoClustersOfTheSameMachines(t *testing.T) {
	t.Parallel()
	net := testbed.NewNetwork(t)
	var control [2][2]*testbed.Volume // of a house, of a cluster
	for i := range control {
		control[i] = [2]*testbed.Volume{testbed.NewVolume(t), testbed.NewVolume(t)}
	}
	houses := build(t, net, control)
	if v := houses[0].MustExec("sh", "-c", "keepalived --version 2>&1"); !strings.Contains(v, " v2.2.7 ") {
		t.Fatalf("this is %s", v)
	}
	clusters := []*testbed.Cluster{settle(t, net, houses, 0, control), settle(t, net, houses, 1, control)}
	for _, c := range clusters {
		c.Start()
	}
	for number, c := range clusters {
		c.WaitWhole(3 * long)
		c.VIP = net.Address(101 + number)
		for i, h := range houses {
			h.nodes = append(h.nodes, c.Nodes[i])
		}
	}
	for i, h := range houses {
		var conf strings.Builder
		for number, name := range []string{"one", "two"} {
			args := []string{
				"notify", "config", "--placement", "sidecar", "--vip", net.Prefixed(clusters[number].VIP), "--interface", "eth0",
				"--source", h.Spec.IP, "--peers", houses[1-i].Spec.IP, "--dir", "/run/" + name, "--name", name,
			}
			if number > 0 {
				args = append(args, "--part")
			}
			conf.WriteString(orders(t, h.nodes[number], args...))
		}
		h.Write(testbed.File{Path: keepalivedConf, Data: conf.String(), Mode: 0o600})
	}
	var loads []*testbed.Running
	for _, c := range clusters {
		c.WaitWhole(2 * long)
		l := c.Load()
		prepare(t, l)
		load := l.Start(t.Context())
		flowing(t, load)
		loads = append(loads, load)
	}
	for _, h := range houses {
		for _, bad := range []string{"WARNING", "SECURITY", "disabl", "unsafe", "not secure", "Unknown keyword"} {
			if said := h.Logs(); strings.Contains(said, bad) {
				t.Errorf("keepalived says %q:\n%s", bad, said)
			}
		}
	}

	other := keepsCalm(t, clusters[1])
	c := clusters[0]
	p := c.WaitWhole(long)
	for range 2 { // the second time it is a new container that inherits, under a keepalived that has run all along
		h := c.Others(p)[0]
		loads[0].Lap()
		p.Kill9()
		becomes(c, h)
		flowing(t, loads[0])
		t.Log("killed:", loads[0].Lap())
		p.Start()
		p = c.WaitWhole(2 * long)
		expect(t, p, h, "its promotion")
	}
	other.check(t, "the neighbour's nodes were killed")
	handOver(t, other.p)
	clusters[1].WaitWhole(2 * long)
	flowing(t, loads[1])
	t.Log("switchover of the other:", loads[1].Lap())
	for i, c := range clusters {
		t.Log(c.Audit(loads[i]))
	}
}
