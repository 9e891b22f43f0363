package clustertest

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// nonsense is an HTTP server that answers each question in another wrong way.
const nonsense = `use IO::Socket::INET; $SIG{PIPE} = "IGNORE";
my $l = IO::Socket::INET->new(LocalPort => 8008, Listen => 50, ReuseAddr => 1) or die $!;
my @all = ("HTTP/1.1 200 OK\r\n\r\n<html>", "\0\xff" x 100, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull",
  "HTTP/1.1 200 OK\r\n\r\n" . "[" x 3000000, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:8008/\r\n\r\n", "",
  "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{\"cluster\":{\"record\":{\"epoch\":\"x\"}}}    ");
for (my $i = 0; my $c = $l->accept; $i++) { sysread $c, my $q, 4096; print $c $all[$i % @all]; close $c }`

// TestPeersThatAnswerNonsenseOrBelongElsewhereAreNamedAndNeverActedUpon puts
// strangers at the address of a node that has gone.
func TestPeersThatAnswerNonsenseOrBelongElsewhereAreNamedAndNeverActedUpon(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 3})
	n3 := c.Node("n3")
	if p := c.WaitWhole(long); p == n3 {
		handOver(t, p)
		c.WaitWhole(long)
	}
	n3.Stop(time.Minute)
	n3.Remove()
	rest := []*testbed.Node{c.Node("n1"), c.Node("n2")}
	for _, stranger := range []struct {
		name, says string
		edit       func(*testbed.Spec)
	}{
		{"nonsense", "", func(s *testbed.Spec) { s.Entrypoint = []string{"perl", "-e", nonsense} }},
		{"another cluster", "does not belong to the cluster", func(s *testbed.Spec) { s.Env["PGBATON_CLUSTER"] = "other" }},
		{"another token", "not every peer has answered", func(s *testbed.Spec) { s.Env["PGBATON_TOKEN"] = "another-" + testbed.Token }},
	} {
		spec := n3.Spec
		spec.Name, spec.Env = "", maps.Clone(spec.Env)
		spec.Env["PGBATON_BOOTSTRAP"] = "n3" // it would like to make a cluster of its own
		spec.Mounts = []testbed.Mount{testbed.NewVolume(t).At("/var/lib/postgresql")}
		stranger.edit(&spec)
		s := testbed.Run(t, spec)
		for _, n := range rest {
			seesStranger(t, n, spec.IP, stranger.name != "another cluster")
		}
		if stranger.says != "" {
			s.Eventually(long, "it holds", func() bool { return strings.Contains(s.Exec("pgbaton", "status").Stdout, stranger.says) })
		}
		p := primaryAndHeir(t, c, rest)
		handOver(t, p)
		next := primaryAndHeir(t, c, rest)
		if next == p {
			expect(t, next, other(rest, p), "the switchover beside "+stranger.name)
		}
		flowing(t, load)
		if _, runs := s.Postmaster(); runs {
			t.Errorf("%s: postgres runs there", stranger.name)
		}
		s.Remove()
	}
	load.Stop()
	rep, err := load.Audit(t.Context(), primaryAndHeir(t, c, rest).DB())
	if err != nil || rep.Err() != nil {
		t.Error(err, rep.Err())
	}
	t.Log(rep)
}

// other is the one of two nodes that is not the given one.
func other(two []*testbed.Node, but *testbed.Node) *testbed.Node {
	if two[0] == but {
		return two[1]
	}
	return two[0]
}

// seesStranger waits until a node says something about the peer at an address.
func seesStranger(t *testing.T, n *testbed.Node, address string, fails bool) {
	t.Helper()
	n.Eventually(long, n.Host+" names the stranger", func() bool {
		st, err := n.State(t.Context())
		if err != nil || st.Cluster == nil {
			return false
		}
		for _, p := range st.Cluster.Peers {
			if strings.HasPrefix(p.Address, address+":") {
				return fails && p.Error != "" && !strings.Contains(p.Error, "refused") || !fails && p.Error == ""
			}
		}
		return false
	})
}

// primaryAndHeir waits until these nodes alone are a whole cluster.
func primaryAndHeir(t *testing.T, c *testbed.Cluster, nodes []*testbed.Node) (p *testbed.Node) {
	t.Helper()
	nodes[0].Eventually(long, "a primary with an armed heir and the VIP", func() bool {
		views := c.Views(t.Context())
		for i, v := range views[:len(nodes)] {
			o := views[1-i]
			if v.Armed() && v.State.Cluster.VIP && o.Standby() && o.State.Cluster.Record != nil && o.State.Cluster.Record.Armed != nil {
				p = v.Node
				return true
			}
		}
		return false
	})
	return p
}
