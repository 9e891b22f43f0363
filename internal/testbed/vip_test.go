package testbed

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// keepalivedConf is the least that moves an address. Its track file is on a
// tmpfs: keepalived ignores one where inotify sees nothing, such as a
// container's root on fuse-overlayfs.
const keepalivedConf = `global_defs {
  router_id %[1]s
  vrrp_version 3
  vrrp_garp_master_delay 1
  script_user root
}
track_file eligible {
  file /dev/shm/eligible
  weight 0 reverse
}
vrrp_instance pg {
  state BACKUP
  nopreempt
  interface eth0
  virtual_router_id 51
  priority %[2]d
  advert_int 0.1
  down_timer_adverts 30
  unicast_src_ip %[3]s
  unicast_peer {
    %[4]s
  }
  track_file {
    eligible
  }
  virtual_ipaddress {
    %[5]s dev eth0
  }
}
`

// byHand runs keepalived in two nodes, and a server in each that knows nothing
// of the other.
func byHand(t *testing.T) (c *Cluster, vip string) {
	t.Helper()
	c = RunCluster(t, ClusterSpec{Nodes: 2, Apart: true, Seeded: true, Edit: func(s *Spec) {
		s.CapAdd = []string{"NET_ADMIN", "NET_RAW"}
	}})
	for _, n := range c.Nodes {
		n.WaitReady(long)
	}
	return c, moving(c.Net, c.Nodes[0].Container, c.Nodes[1].Container)
}

// moving lets keepalived in two containers move an address. Only the first is
// eligible, so that it takes it, however slow the machine is.
func moving(n *Network, a, b *Container) (vip string) {
	vip = n.Address(100)
	for i, c := range []*Container{a, b} {
		peer := []*Container{b, a}[i]
		conf := fmt.Sprintf(keepalivedConf, nameOf(c), 200-50*i, c.Spec.IP, peer.Spec.IP, n.Prefixed(vip))
		c.Write(File{Path: "/etc/keepalived/hand.conf", Data: conf})
		eligible(c, 1-i)
		c.MustExec("keepalived", "-f", "/etc/keepalived/hand.conf")
	}
	return vip
}

func eligible(n *Container, yes int) {
	n.MustExec("sh", "-c", fmt.Sprintf("cd /dev/shm && echo %d >new && mv new eligible", yes))
}

func TestProbeFollowsTheVIP(t *testing.T) {
	t.Parallel()
	c, vip := byHand(t)
	n1, n2 := c.Nodes[0], c.Nodes[1]
	p := c.Net.Probe(vip, 20*time.Millisecond, true)
	holds := func(n *Node) {
		t.Helper()
		since := time.Now()
		Eventually(t, long, n.Host+" answers at the VIP", func() bool {
			who, at := p.Holder()
			return who == n.Host && at.After(since)
		})
	}
	claimed := func(by ...string) {
		t.Helper()
		Eventually(t, long, fmt.Sprintf("the VIP is claimed by %v", by), func() bool {
			return slices.Equal(c.Net.Claimants(vip, 200*time.Millisecond), by)
		})
	}
	holds(n1)
	eligible(n2.Container, 1)
	claimed("n1")
	began := time.Now()
	eligible(n1.Container, 0)
	holds(n2)
	if away := p.Away(began, time.Now()); away < 20*time.Millisecond {
		t.Errorf("the VIP was away for %v", away)
	} else {
		t.Logf("released: away for %v", away)
	}

	// Cut off from each other both take it, and this machine sees two.
	eligible(n1.Container, 1)
	heal := c.Net.Cut(n1.Container, n2.Container)
	claimed("n1", "n2")
	heal()
	claimed("n1")
	holds(n1)

	// A server that hangs is no answer, though the kernel accepts for it.
	pm, ok := n1.Postmaster()
	if !ok {
		t.Fatal("no postmaster")
	}
	began = time.Now()
	thaw := n1.Freeze(pm)
	Eventually(t, long, "nobody answers at the VIP", func() bool {
		all := p.Answers()
		return len(all) > 0 && all[len(all)-1].Err != nil && all[len(all)-1].Asked.After(began)
	})
	quick := c.Net.Probe(vip, 20*time.Millisecond, false)
	Eventually(t, long, "the kernel of n1 accepts", func() bool { who, _ := quick.Holder(); return who == "n1" })
	thaw()
	holds(n1)

	n1.Kill9()
	killed := time.Now()
	holds(n2)
	t.Logf("killed: away for %v; all in all: %v", p.Away(killed, time.Now()), p)
	p.Stop()
	// The last question may have been one that a busy machine answered too late.
	if who, _ := p.Holder(); who != "n2" || p.Spans()[0].From.IsZero() {
		t.Errorf("history: %v", p)
	}
}
