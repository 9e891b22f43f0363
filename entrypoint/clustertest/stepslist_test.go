package clustertest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// passes are the durable operations that each change passes on a node, in the
// form FILE*TIMES. Some are passed now and then only: how often records are
// written depends on who answers when.
var passes = []struct {
	change string
	onNew  bool
	files  string
}{
	{"switchover", false, "standby.signal*2 role.json*5 members.json replication.pass postgresql.auto.conf postmaster.json"},
	{"switchover", true, "role.json*4 members.json promote unname prove"},
	{"proof of death", false, "standby.signal*4 role.json*5 postgresql.auto.conf*2 report.json copy.json postmaster.json"},
	{"proof of death", true, "role.json*4 promote unname prove"},
	{"promotion on silence", true, "role.json*2 members.json promote unname"},
	{"return of a killed primary", false, "role.json*5 standby.signal*3 postgresql.auto.conf*2 report.json copy.json postmaster.json"},
	{"return of a killed primary", true, "role.json*2 prove"},
	{"return by a rewind", false, "role.json*5 report.json copy.json standby.signal*2 postgresql.auto.conf postmaster.json"},
	{"return by a rewind", true, "role.json*2 prove"},
	{"return with a pid file", false, "postmaster.pid"},
	{"docker stop of the primary", false, "standby.signal*2 role.json*5 postgresql.auto.conf postmaster.json"},
	{"docker stop of the primary", true, "role.json*4 promote unname prove"},
	{"docker stop of the heir", false, "role.json*3 members.json unname prove"},
	{"docker stop of the heir", true, "role.json*6 standby.signal postmaster.json"},
	{"pause and resume", false, "role.json*3 unname prove"},
	{"pause and resume", true, "role.json*6"},
	{"new copy on order", false, "role.json*3 unname prove"},
	{"new copy on order", true, "role.json*8 copy.json*2 PG_VERSION*2 clone standby.signal*2 postgresql.auto.conf postmaster.json"},
	{"copy of a lost volume", false, "role.json*3 unname prove"},
	{"copy of a lost volume", true, "role.json*5 members.json copy.json clone PG_VERSION reserve standby.signal*2 postgresql.auto.conf cluster.json postmaster.json"},
	{"start of all", false, "role.json*3 members.json postgresql.auto.conf postmaster.json unname prove"},
	{"start of all", true, "role.json*5 standby.signal postmaster.json"},
	{"start of the heir first", false, "role.json*3 postgresql.auto.conf postmaster.json unname prove"},
	{"start of the heir first", true, "role.json*4 standby.signal postgresql.auto.conf postmaster.json follow"},
	{"new supervisor", false, "postmaster.json prove"},
	{"new supervisor", true, "postmaster.json"},
}

// birth is what the first node of a new cluster passes, until it has an heir.
const birth = "init.json initdb PG_VERSION pg_hba.conf role.json*3 members.json cluster.json postmaster.json reserve unname prove"

// moments are those of a file's operations.
func moments(file string) []string {
	writing, removing := []string{"before", "written", "renamed", "done"}, []string{"before-remove", "removed"}
	switch file {
	case "initdb", "promote", "prove", "unname", "follow":
		return []string{"done"}
	case "PG_VERSION":
		return []string{"before"}
	case "clone":
		return []string{"received"}
	case "postmaster.pid":
		return removing
	case "copy.json", "init.json":
		return append(writing, removing...)
	}
	return writing
}

// allSteps are all durable steps of all changes.
func allSteps() []step {
	var all []step
	for _, p := range passes {
		all = append(all, stepsOf(p.change, p.onNew, p.files)...)
	}
	return all
}

func stepsOf(change string, onNew bool, files string) (all []step) {
	for _, f := range strings.Fields(files) {
		file, count, _ := strings.Cut(f, "*")
		times, _ := strconv.Atoi(count)
		for n := 1; n <= max(times, 1); n++ {
			for _, m := range moments(file) {
				all = append(all, step{change: change, onNew: onNew, at: fmt.Sprintf("%s:%s:%d", file, m, n)})
			}
		}
	}
	return all
}

// inOrder gives each step one of the ends, and puts those of different changes
// and nodes first.
func inOrder(r *rand.Rand, all []step) []step {
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	times, rank := map[step]int{}, map[step]int{}
	for i, s := range all {
		all[i].end = r.IntN(len(ends()))
		side := step{change: s.change, onNew: s.onNew}
		rank[all[i]] = times[side]
		times[side]++
	}
	slices.SortStableFunc(all, func(a, b step) int { return rank[a] - rank[b] })
	return all
}
