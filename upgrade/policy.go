package upgrade

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pgbaton/pgbaton/internal/config"
	"github.com/pgbaton/pgbaton/internal/node"
)

// Tried is what the latest upgrade that did not succeed was tried with.
type Tried struct {
	Target   int
	Binaries string // their identity; empty where it was not kept
}

// Majors is what is known of the majors whose programs are here.
type Majors struct {
	Have      int              // the server's; 0: none
	Available map[int]string   // the identity of each major's files
	Unknown   map[int][]string // options of tables and columns in this cluster that a major's programs do not know
	Peers     bool             // the node is one of a cluster, which is upgraded as a whole
	Latest    Journal          // of the latest request
}

// Offer decides what majors that are available mean to a server: the newest one
// above its own that can take what the cluster holds, whether its upgrade begins
// by policy alone, and a sentence for status. Target is 0 where there is none, and
// the sentence empty where nothing newer is here.
func Offer(policy config.UpgradePolicy, m Majors, failed Tried) (target int, begin bool, why string) {
	newer := slices.Sorted(maps.Keys(m.Available))
	newer = slices.DeleteFunc(newer, func(major int) bool { return m.Have == 0 || major <= m.Have })
	if len(newer) == 0 {
		return 0, false, ""
	}
	takes := slices.DeleteFunc(slices.Clone(newer), func(major int) bool { return len(m.Unknown[major]) > 0 })
	if policy == config.UpgradeOff {
		target = newer[len(newer)-1]
		return target, false, fmt.Sprintf("PostgreSQL %d is installed, and PGBATON_UPGRADE=off: nothing upgrades to it", target)
	}
	if len(takes) == 0 {
		return 0, false, unable(newer[len(newer)-1], m)
	}
	target = takes[len(takes)-1]
	begin, why = offer(policy, target, takes, m, failed)
	if newest := newer[len(newer)-1]; newest != target {
		why += "; " + unable(newest, m)
	}
	return target, begin, why
}

// unable says why a major that is here cannot take this cluster.
func unable(major int, m Majors) string {
	return fmt.Sprintf("PostgreSQL %d is here and cannot take this cluster: its release does not know the option %s, which the release that serves has set on tables. "+
		"Nothing in the database is wrong: a later minor release of %d will take it", major, strings.Join(m.Unknown[major], ", "), major)
}

func offer(policy config.UpgradePolicy, target int, takes []int, m Majors, failed Tried) (begin bool, why string) {
	offer := fmt.Sprintf("an upgrade to %d is available", target)
	const how = "`pgbaton upgrade now`, or drop a file named upgrade on the volume"
	refused := refusedBefore(m.Latest, target, m.Available[target])
	switch {
	case m.Peers:
		return false, fmt.Sprintf("PostgreSQL %d is here, and this node is one of a cluster, which this version does not upgrade: `pgbaton upgrade check` and `rehearse` work", target)
	case failed.Target == target && (failed.Binaries == "" || failed.Binaries == m.Available[target]) && policy == config.UpgradeAuto:
		if refused == "" {
			refused = offer + ", and did not succeed before with the same programs: it does not begin again by itself. See `pgbaton upgrade status`; then " + how
		}
		return false, refused
	case refused != "" && policy != config.UpgradeAuto:
		return false, refused
	case policy != config.UpgradeAuto:
		if len(takes) > 1 {
			offer = fmt.Sprintf("upgrades to %s and %d are available", majors(takes[:len(takes)-1]), target)
		}
		return false, offer + ": " + how
	}
	return true, fmt.Sprintf("PostgreSQL %d is available and PGBATON_UPGRADE=auto: upgrading to it", target)
}

// refusedBefore says that the latest request for a major was refused, where its
// programs are the same still; else it is empty.
func refusedBefore(j Journal, target int, binaries string) string {
	if j.Outcome != node.UpgradeRefused || j.To != target || j.Binaries != binaries {
		return ""
	}
	for _, f := range j.Findings {
		if f.Level == node.Refuse {
			return fmt.Sprintf("PostgreSQL %d is here, and the latest request was refused: %s. See `pgbaton upgrade status`, and ask again once that is mended", target, f.Text)
		}
	}
	return ""
}
