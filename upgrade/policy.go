package upgrade

import (
	"fmt"

	"github.com/pgbaton/pgbaton/internal/config"
)

// Tried is what the latest upgrade that did not succeed was tried with.
type Tried struct {
	Target   int
	Binaries string // their identity; empty where it was not kept
}

// Offer decides what majors that are available mean to a server of major
// have: the newest one above it, whether its upgrade begins by policy alone,
// and a sentence for status. Target is 0, and the sentence empty, where
// nothing newer is there. available holds the identity of each major's files;
// peers: the node is one of a cluster, which is upgraded as a whole.
func Offer(
	policy config.UpgradePolicy, have int, available map[int]string, peers bool, failed Tried,
) (target int, begin bool, why string) {
	for major := range available {
		if major > max(have, target) {
			target = major
		}
	}
	if have == 0 || target == 0 {
		return 0, false, ""
	}
	offer := fmt.Sprintf("an upgrade to %d is available", target)
	const how = "`pgbaton upgrade now`, or drop a file named upgrade on the volume"
	switch {
	case policy == config.UpgradeOff:
		return target, false, fmt.Sprintf("PostgreSQL %d is installed, and PGBATON_UPGRADE=off: nothing upgrades to it", target)
	case peers:
		return target, false, offer + ", and this node is one of a cluster: it does not begin by itself"
	case policy != config.UpgradeAuto:
		return target, false, offer + ": " + how
	case failed.Target == target && (failed.Binaries == "" || failed.Binaries == available[target]):
		return target, false, fmt.Sprintf(
			"%s, and did not succeed before with the same programs: it does not begin again by itself. "+
				"See `pgbaton upgrade status`; then %s", offer, how)
	}
	return target, true, fmt.Sprintf("PostgreSQL %d is available and PGBATON_UPGRADE=auto: upgrading to it", target)
}
