package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// rolesOptions are the flags of the part about changes of roles.
type rolesOptions struct {
	major       int
	switchovers int
	deaths      int           // rounds of each kind: postmaster killed, node killed
	hooks       int           // calls of the notify hook
	watch       time.Duration // of the CPU, under load
	commits     int           // of one client, with and without an heir, in each of two turns
}

func (o *rolesOptions) flags() {
	flag.IntVar(&o.switchovers, "switchovers", 20, "roles: planned switchovers")
	flag.IntVar(&o.deaths, "deaths", 5, "roles: rounds of a killed postmaster, and of a killed node")
	flag.IntVar(&o.hooks, "hooks", 50, "roles: calls of keepalived's notify hook")
	flag.DurationVar(&o.watch, "watch", 20*time.Second, "roles: how long the CPU of our processes is watched under load")
	flag.IntVar(&o.commits, "commits", 500, "roles: commits of one client with an armed heir, and without, in each of two turns")
}

// benchRoles measures changes of roles on two nodes with one VIP: what clients
// of the VIP see of each, and what the readiness for it costs.
func benchRoles(tb testbed.TB, o rolesOptions) {
	began := time.Now()
	t := table{first: "changes of roles, two nodes", other: "beside it"}
	p := newPair(tb, o)
	p.measureSwitchovers(&t, o.switchovers)
	p.measurePostmasters(&t, o.deaths)
	p.measureNodes(&t, o.deaths)
	p.measureHook(&t, o.hooks)
	p.measureCPU(&t, o.watch)
	p.measureCommits(&t, o.commits)
	t.add("commits acknowledged, lost, duplicated", fmt.Sprintf("%d, %d, %d", p.acked, p.lost, p.duplicated), "", "", "0 lost, 0 duplicated")
	t.print(os.Stdout)
	printParts(os.Stdout, fmt.Sprintf("stall of a switchover, part by part (n=%d)", len(p.stalls)), medianParts(p.stalls))
	printParts(os.Stdout, fmt.Sprintf("from a postmaster's death on, part by part (n=%d)", len(p.proofs)), medianParts(p.proofs))
	fmt.Printf(`
Medians (and ranges), under load from 4 writers on the VIP that pause for 2 ms
after each commit, measured in %.0f s. The worst writer is the longest time in
which one of them had no commit acknowledged. Goals are goals: nothing here
fails on a number.
`, time.Since(began).Seconds())
}
