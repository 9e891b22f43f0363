package notify

import (
	"fmt"

	"github.com/pgbaton/pgbaton/internal/node"
)

// Way is how a node may come to follow another.
type Way int

// The ways, from the cheapest to none.
const (
	WayFollow  Way = iota // its WAL is a beginning of the other's: stream
	WayRewind             // it has WAL of its own that nobody was promised: pg_rewind
	WayReclone            // the same timeline number means two histories: copy all
	WayHold               // an operator decides
)

// Past is what a node's data went through.
type Past struct {
	Promotions   []node.Promotion
	End          node.LSN // where its WAL ends; it has every byte before
	Acknowledged bool     // it acknowledged commits up to End by itself, with no heir that has them
}

// Rejoin decides by history, never by numbers alone, how data may come to
// follow a primary with the given promotions.
func Rejoin(mine Past, theirs []node.Promotion) (Way, string) {
	k := common(mine.Promotions, theirs)
	switch {
	case k == len(theirs) && k < len(mine.Promotions):
		return WayHold, "this node's history is newer than the primary's"
	case k == 0 && len(mine.Promotions) > 0 && len(theirs) > 0:
		return WayHold, "this node's history and the primary's have no promotion in common"
	}
	fork, known := forkOf(mine.Promotions, theirs, k)
	clash := twice(mine.Promotions[k:], theirs[k:])
	switch {
	case !known && k == len(theirs):
		return WayFollow, "the same history"
	case !known:
		return WayHold, "the primary's promotion is not complete yet"
	case mine.End <= fork && clash != 0: // pg_wal may have the history file of the wrong one
		return WayReclone, fmt.Sprintf("two promotions began timeline %d; only a copy can tell them apart", clash)
	case mine.End <= fork:
		return WayFollow, fmt.Sprintf("this node's WAL ends at %s, not after the primary's branch at %s", mine.End, fork)
	case mine.Acknowledged:
		return WayHold, fmt.Sprintf("this node may have acknowledged commits up to %s, after the branch at %s: they exist nowhere else", mine.End, fork)
	case clash == 0:
		clash = undivided(mine.Promotions, theirs, k, fork)
	}
	// pg_rewind, the names of WAL files and replication know histories by their
	// numbers only.
	if clash != 0 {
		return WayReclone, fmt.Sprintf("two histories have a timeline %d; only a copy can tell them apart", clash)
	}
	return WayRewind, fmt.Sprintf("this node's WAL goes on to %s after the branch at %s, and nobody was promised what is there", mine.End, fork)
}

// common counts the promotions that both histories begin with.
func common(a, b []node.Promotion) int {
	k := 0
	for k < len(a) && k < len(b) && a[k].ID == b[k].ID {
		k++
	}
	return k
}

// twice is a timeline number that means two histories; 0: there is none.
func twice(a, b []node.Promotion) uint32 {
	for _, p := range a {
		for _, q := range b {
			if p.Timeline == q.Timeline && p.Timeline != 0 {
				return p.Timeline
			}
		}
	}
	return 0
}

// undivided is the timeline in which both histories go on after their fork,
// because whoever branched first went on in the one that they have in common;
// 0: there is none.
func undivided(mine, theirs []node.Promotion, k int, fork node.LSN) uint32 {
	if k == 0 {
		return 0
	}
	for _, h := range [][]node.Promotion{mine[k:], theirs[k:]} {
		if len(h) > 0 && h[0].At == fork && h[0].Timeline == mine[k-1].Timeline {
			return h[0].Timeline
		}
	}
	return 0
}

// forkOf is where two histories part; unknown where none parts, or where a
// promotion that parts them is not complete.
func forkOf(mine, theirs []node.Promotion, k int) (node.LSN, bool) {
	var fork node.LSN
	known := false
	for _, h := range [][]node.Promotion{mine, theirs} {
		if k >= len(h) {
			continue
		}
		if h[k].Timeline == 0 {
			return 0, false
		}
		if !known || h[k].At < fork {
			fork, known = h[k].At, true
		}
	}
	return fork, known
}
