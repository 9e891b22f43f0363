package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// peersOptions are the flags of the part about what a user would take instead.
type peersOptions struct {
	ours, theirs string // images
	switchovers  int
	deaths       int // rounds of each kind: postmaster killed, node killed
	slowDeaths   int // the same where each takes half a minute
}

func (o *peersOptions) flags() {
	flag.StringVar(&o.theirs, "peers-image", "pgbaton-peers:17", "peers: image with Patroni, etcd and vip-manager")
	flag.IntVar(&o.switchovers, "peers-switchovers", 10, "peers: planned switchovers of each")
	flag.IntVar(&o.deaths, "peers-deaths", 5, "peers: rounds of a killed postmaster, and of a killed node")
	flag.IntVar(&o.slowDeaths, "peers-slow-deaths", 3, "peers: the same for Patroni's defaults")
}

// settle bounds the wait for a whole cluster.
const settle = 5 * time.Minute

// contender is a kind of cluster that is measured.
type contender struct {
	name   string
	start  func(testbed.TB) contested
	deaths int
}

// contested is a cluster of two with a VIP that runs.
type contested interface {
	// DSN is how its clients reach the VIP.
	DSN(context.Context) (string, error)
	// Whole waits until nothing acknowledged is lost whichever node dies, and
	// returns the primary.
	Whole() *testbed.Container
	// Switchover returns when the old primary takes no more commits.
	Switchover(from *testbed.Container)
}

func (o peersOptions) contenders() []contender {
	ours := contender{"pgbaton", func(tb testbed.TB) contested { return startOurs(tb, o.ours) }, o.deaths}
	patroni := func(name string, s patroniSetting, deaths int) contender {
		return contender{name, func(tb testbed.TB) contested { return startPatroni(tb, o.theirs, s) }, deaths}
	}
	return []contender{ours, patroni("Patroni, defaults", patroniDefaults, o.slowDeaths), patroni("Patroni, tuned", patroniTuned, o.deaths)}
}

// benchPeers measures changes of roles of all contenders with the same client.
// They take turns, and only one of them runs at a time.
func benchPeers(tb testbed.TB, o peersOptions) {
	began, load := time.Now(), loadAverage()
	all := o.contenders()
	scores := make([]*score, len(all))
	for i, c := range all {
		scores[i] = newScore(c.name)
	}
	const turns = 2
	for turn := range turns {
		for i := range all {
			if turn%2 == 1 {
				i = len(all) - 1 - i
			}
			progress("%s, turn %d of %d", all[i].name, turn+1, turns)
			scores[i].add(tb, all[i], o.switchovers, turn, turns)
			if tb.Context().Err() != nil {
				tb.Fatalf("interrupted")
			}
		}
	}
	printScores(os.Stdout, scores)
	fmt.Printf(`
p50 and worst of the time in which the worst of 4 writers on the VIP had no
commit acknowledged; they pause for 2 ms after each and give up an answer after
1 s. × compares the p50 with pgbaton's. Two nodes each, PostgreSQL from the same
packages, one synchronous standby. Patroni's defaults: %v;
tuned: %v.
%s.
Measured in %.0f s; load average %s before and %s after.
`, patroniDefaults, patroniTuned, peerVersions(tb, o.theirs), time.Since(began).Seconds(), load, loadAverage())
	if scores[0].failures != nil {
		tb.Fatalf("pgbaton failed, see above")
	}
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}
