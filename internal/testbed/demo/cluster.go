package main

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// clusterStory is the demo of two nodes with one virtual IP address.
type clusterStory struct {
	teller
	c    *testbed.Cluster
	seen []event
}

// event is one change of roles and what the clients saw of it. Each has a
// table of its own, which is read only at the very end: whatever comes later
// must not lose its rows.
type event struct {
	name string
	load *testbed.Running
	seen testbed.Stats
	rep  testbed.Report
}

// showCluster tells the whole story, one chapter after the other.
func showCluster(tb testbed.TB, image string) {
	s := &clusterStory{teller: teller{tb: tb}}
	s.start(image)
	s.quiet()
	s.switchover()
	s.killPostmaster()
	s.back(s.killNode())
	s.end()
}

func (s *clusterStory) start(image string) {
	s.chapter("start two containers from %s on empty volumes, with one virtual IP address", image)
	began := time.Now()
	s.c = testbed.RunCluster(s.tb, testbed.ClusterSpec{Nodes: 2, Image: image, VIP: true})
	p := s.c.WaitPrimary(long)
	s.say("%s (%s) may make the cluster, did, and is the primary after %s", p.Host, p.Name, since(began))
	s.c.WaitStandbys(long)
	o := s.other(p)
	s.say("%s (%s) copied it and streams from it after %s", o.Host, o.Name, since(began))
	s.c.WaitWhole(long)
	s.say("%s is its armed heir after %s: from here on every commit is on both disks before a client hears of it", o.Host, since(began))
	s.say("the VIP is %s; the clients know no other address", s.c.VIP)
}

// during lets something happen while four clients write through the VIP, and
// waits until all of them write again.
func (s *clusterStory) during(name, table string, happen func(p *testbed.Node)) {
	p := s.c.WaitWhole(long)
	l := s.c.Load()
	l.Beside, l.Table = nil, "demo_"+table
	s.must(l.Prepare(s.tb.Context()), "start the load")
	s.load = l.Start(s.tb.Context())
	s.flow()
	s.watch(time.Second)
	happen(p)
	s.flow()
	s.watch(time.Second)
	seen := s.saw()
	s.load.Stop()
	s.seen = append(s.seen, event{name: name, load: s.load, seen: seen})
}

func (s *clusterStory) quiet() {
	s.chapter("4 clients write through the VIP, each row a commit of its own; nothing happens to them")
	s.during("nothing happens", "quiet", func(*testbed.Node) {})
}

func (s *clusterStory) switchover() {
	s.chapter("`pgbaton switchover --no-wait`: the primary hands over to its heir")
	s.during("switchover", "switchover", func(p *testbed.Node) {
		began := time.Now()
		p.MustExec("pgbaton", "switchover", "--no-wait", "--yes")
		s.say("`pgbaton switchover --no-wait` on %s ended after %s", p.Host, since(began))
		s.inherited(p, began)
	})
}

func (s *clusterStory) killPostmaster() {
	s.chapter("kill -9 the primary's postmaster: its supervisor proves that it is dead, and releases the role")
	s.during("postmaster killed", "postmaster", func(p *testbed.Node) {
		pm, found := p.Postmaster()
		if !found {
			s.tb.Fatalf("%s has no postmaster", p.Host)
		}
		began := time.Now()
		p.Signal(pm, syscall.SIGKILL)
		s.inherited(p, began)
	})
	began := time.Now()
	p := s.c.WaitWhole(long)
	s.say("%s rejoined by itself as a standby and is the armed heir, %s later", s.other(p).Host, since(began))
}

// killNode leaves the killed node down.
func (s *clusterStory) killNode() (dead *testbed.Node) {
	s.chapter("docker kill the primary's container: keepalived moves the VIP, the heir follows it")
	s.during("node killed", "node", func(p *testbed.Node) {
		began := time.Now()
		p.Kill9()
		s.inherited(p, began)
		dead = p
	})
	s.say("%s stays down; %s is alone, and commits wait for nobody", dead.Host, s.other(dead).Host)
	return dead
}

func (s *clusterStory) back(dead *testbed.Node) {
	s.chapter("docker start the old primary: it must come back as a standby, and lose nothing")
	p := s.c.WaitPrimary(long)
	l := s.c.Load()
	l.Beside, l.Table = nil, "demo_back"
	s.must(l.Prepare(s.tb.Context()), "start the load")
	s.load = l.Start(s.tb.Context())
	s.flow()
	began := time.Now()
	dead.Start()
	now := s.c.WaitWhole(long)
	s.say("%s streams from %s and is its armed heir again after %s", dead.Host, now.Host, since(began))
	s.claim(now == p, "%s stayed the primary", p.Host)
	s.flow()
	seen := s.saw()
	s.load.Stop()
	s.seen = append(s.seen, event{name: "old primary back", load: s.load, seen: seen})
}

// inherited waits until the other node is the primary and tells so.
func (s *clusterStory) inherited(old *testbed.Node, began time.Time) {
	next := s.other(old)
	s.c.Wait(long, next.Host+" is the primary", func(views []testbed.View) bool {
		for _, v := range views {
			if v.Node == next {
				return v.Primary() && v.State.Cluster.VIP
			}
		}
		return false
	})
	s.say("%s is the primary and has the VIP, %s later at the latest", next.Host, since(began))
}

func (s *clusterStory) other(n *testbed.Node) *testbed.Node { return s.c.Others(n)[0] }

func since(t time.Time) string { return fmt.Sprintf("%.1f s", time.Since(t).Seconds()) }

// keep says how to look around in what KEEP=1 leaves.
func (s *clusterStory) keep(p *testbed.Node) {
	if os.Getenv("KEEP") != "1" {
		return
	}
	fmt.Printf(`
KEEP=1: the containers stay.
  look:        docker exec %[1]s pgbaton status
  enter:       docker exec -it %[1]s psql -U postgres
  switchover:  docker exec %[1]s pgbaton switchover
  remove:      make clean
`, p.Name)
}
