package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// upgradeOptions are the flags of the part about upgrades.
type upgradeOptions struct {
	image     string // with both majors
	from, to  int
	scale     int // of pgbench
	rounds    int // with 200 tables
	many      int // tables of the second size; 0: leave it out
	rehearse  bool
	idleWatch time.Duration
}

func (o *upgradeOptions) flags() {
	*o = upgradeOptions{image: "pgbaton:15", from: 15, to: 17}
	flag.IntVar(&o.scale, "scale", 50, "upgrade: scale of pgbench's tables")
	flag.IntVar(&o.rounds, "upgrades", 3, "upgrade: rounds of each side with 200 tables; 0 leaves them out")
	flag.IntVar(&o.many, "many", 10000, "upgrade: tables of the big schema, one round; 0 leaves it out")
	flag.BoolVar(&o.rehearse, "rehearse", true, "upgrade: compare each with its rehearsal's forecast")
	flag.DurationVar(&o.idleWatch, "idle", 30*time.Second, "upgrade: how long an idle node is watched")
}

// long bounds every wait of this part; with 10,000 tables an upgrade takes
// minutes on a busy machine.
const long = 15 * time.Minute

// benchUpgrade measures in-place upgrades by links: how long clients are
// without service, beside what else upgrades the same cluster.
func benchUpgrade(tb testbed.TB, o upgradeOptions) {
	began := time.Now()
	t := table{first: "in-place upgrade, mode link", other: "beside it"}
	parts := measureUpgrades(tb, &t, o, 200, o.rounds)
	partsMany := measureUpgrades(tb, &t, o, o.many, 1)
	measureIdle(tb, &t, o)
	t.print(os.Stdout)
	printParts(os.Stdout, fmt.Sprintf("outage with 200 tables and pgbench scale %d, part by part", o.scale), parts)
	printParts(os.Stdout, fmt.Sprintf("outage with %d tables and pgbench scale %d, part by part", o.many, o.scale), partsMany)
	fmt.Printf(`
Medians (and ranges), all sides in turns on copies of one cluster, each under
load from 4 writers, measured in %.0f s. An outage is the longest time in
which one of the writers had no commit acknowledged. Goals are goals: nothing
here fails on a number.
`, time.Since(began).Seconds())
}

// measured is what the rounds of one size came to.
type measured struct {
	tables               int
	ours, script, debian []time.Duration // outages as the worst writer saw them
	journal, forecast    []time.Duration // of ours
	alone                []time.Duration // pg_upgrade in the script, with its own sync
	within               []time.Duration // pg_upgrade in ours, without
	parts                [][]part
	lost, duplicated     int
	acked                int
}

// measureUpgrades upgrades copies of one cluster in turns, and returns the
// parts of our outage.
func measureUpgrades(tb testbed.TB, t *table, o upgradeOptions, tables, rounds int) []part {
	if tables == 0 || rounds == 0 {
		return nil
	}
	original := makeOriginal(tb, o, tables)
	defer original.Remove()
	m := measured{tables: tables}
	for round := range rounds {
		turns := []func(){
			func() { m.byUs(tb, o, original) },
			func() { m.byScript(tb, o, original) },
			func() { m.byDebian(tb, o, original) },
		}
		for i := range turns {
			progress("upgrade of %d tables, round %d of %d, side %d of %d", tables, round+1, rounds, i+1, len(turns))
			turns[(round+i)%len(turns)]()
		}
	}
	m.table(t, o)
	return medianParts(m.parts)
}

func (m *measured) table(t *table, o upgradeOptions) {
	t.add(fmt.Sprintf("%d tables, pgbench scale %d", m.tables, o.scale), "", "", "", "")
	t.times("  outage, beside a plain pg_upgrade's own run", m.ours, m.alone, "≤ 1.1")
	t.times("  outage, beside our own pg_upgrade process (no sync in it)", m.ours, m.within, "")
	t.times("  outage, beside a plain script", m.ours, m.script, "≤ 0.75")
	t.times("  outage, beside pg_upgradecluster -m link", m.ours, m.debian, "< 1")
	t.times("  outage by the journal, beside the clients'", m.journal, m.ours, "")
	if len(m.forecast) > 0 {
		t.times("  rehearsal's forecast, beside the outage", m.forecast, m.ours, "0.75…1.25")
	}
	t.add("  commits acknowledged, lost, duplicated", fmt.Sprintf("%d, %d, %d", m.acked, m.lost, m.duplicated), "", "", "0 lost, 0 duplicated")
}
