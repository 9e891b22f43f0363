// Command bench measures what pgbaton costs, beside the same PostgreSQL under
// a shell entrypoint of the official image's kind: time to the first query,
// memory, CPU and throughput under pgbench, reaping; and what an in-place
// upgrade costs, beside pg_upgrade itself, a plain script and Debian's
// pg_upgradecluster; and what clients of a VIP see of changes of roles, also
// beside Patroni with etcd and vip-manager. The sides take turns in one run, so
// that a busy machine slows all. It prints ratios and the goals, and fails on no number.
// `make bench` and `make bench-peers` run it.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// options are the flags.
type options struct {
	ours, theirs string        // images
	major        int           // of both
	rounds       int           // of each start
	calls        int           // of the API, first count
	pgbench      time.Duration // one turn of one side
	turns        int           // of pgbench
	storm        time.Duration // of orphans

	upgrade upgradeOptions
	roles   rolesOptions
	peers   peersOptions
}

func main() {
	o := options{rounds: 9, calls: 5000, pgbench: 10 * time.Second, turns: 4, storm: 5 * time.Second}
	quick := flag.Bool("quick", false, "fewer rounds: about a minute, only the part node")
	only := flag.String("only", "", "only one part: node, upgrade, roles or peers; peers only so")
	flag.StringVar(&o.ours, "image", "pgbaton:17", "image to measure")
	flag.StringVar(&o.theirs, "official", "pgbaton-official:17", "image of the official layout to compare with")
	flag.IntVar(&o.major, "major", 17, "major of both")
	flag.IntVar(&o.rounds, "rounds", o.rounds, "rounds of the start measurements")
	o.upgrade.flags()
	o.roles.flags()
	o.peers.flags()
	flag.Parse()
	o.roles.major, o.peers.ours = o.major, o.ours
	if *quick && *only == "" {
		*only = "node"
	}
	if *quick {
		o.rounds, o.calls, o.pgbench, o.turns, o.storm = 3, 1000, 3*time.Second, 2, 2*time.Second
	}
	os.Exit(testbed.Program("bench", func(tb testbed.TB) {
		part := func(name string) bool { return *only == "" || *only == name }
		if part("node") {
			bench(tb, o)
		}
		if part("upgrade") {
			benchUpgrade(tb, o.upgrade)
		}
		if part("roles") {
			benchRoles(tb, o.roles)
		}
		if *only == "peers" { // long, and with an image of its own
			benchPeers(tb, o.peers)
		}
	}))
}

// bench runs one part after the other, each bounded by its own rounds.
func bench(tb testbed.TB, o options) {
	began := time.Now()
	ours, theirs := sides(o)
	t := table{first: "measure", other: "shell entrypoint"}
	measureStarts(tb, &t, ours, theirs, o)
	measureRunning(tb, &t, ours, theirs, o)
	measureReaping(tb, &t, ours, theirs, o)
	t.print(os.Stdout)
	fmt.Printf(`
Medians (and ranges), both sides in turns, measured in %.0f s. "docker run" is the
engine's create and start, without the command line's own time. Goals are
goals: nothing here fails on a number.
`, time.Since(began).Seconds())
}

// progress tells what is going on, beside the results.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
