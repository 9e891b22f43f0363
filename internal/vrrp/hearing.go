package vrrp

import "time"

// In ticks of an ear.
const (
	deafTicks   = 4   // of silence, after which one word is not enough any more
	proofProbes = 3   // of silence, after which the clock counts: a busy machine's ticks are late
	steadyTicks = 5   // of hearing something in each, which are
	wakeTicks   = 25  // after one without anything, in each of which the gateway is asked
	askTicks    = 50  // a gateway is asked that often although others are heard
	proofTicks  = 150 // a gateway that answered longer before the silence proves nothing
)

// hearing draws from its ticks whether a node is deaf. Silence alone is none:
// the network may be empty. The gateway answers whoever it hears, so one that
// did until the silence began, and is asked in each tick of it, is the proof.
// Some ticks have to be counted, and not time alone: a node that stood still has
// not listened.
type hearing struct {
	heard  time.Time // when something came last
	silent int       // ticks in a row in which nothing came
	lively int       // ticks in a row in which something came again
	awake  int       // ticks in which the gateway is still asked
	known  bool      // the gateway has answered
	since  int       // ticks since it did
}

func (h *hearing) tick(now time.Time, heard, answered bool) {
	h.since, h.awake = h.since+1, max(0, h.awake-1)
	if answered {
		h.known, h.since = true, 0
	}
	if !heard && !answered {
		h.silent, h.lively, h.awake = h.silent+1, 0, wakeTicks
		return
	}
	if h.lively++; h.silent < deafTicks || h.lively >= steadyTicks {
		h.silent, h.lively, h.heard = 0, 0, now
	}
}

// deaf is how long nothing has reached this node that would have; 0: something
// does, or nobody can tell.
func (h *hearing) deaf(now time.Time) time.Duration {
	counted := time.Duration(h.silent) * earEvery
	switch {
	case !h.known || h.since-h.silent > proofTicks:
		return 0
	case h.silent < proofProbes || h.heard.IsZero():
		return counted
	}
	return max(counted, now.Sub(h.heard))
}

// wantsProbe reports whether the gateway is to be asked now.
func (h *hearing) wantsProbe() bool { return h.awake > 0 || !h.known || h.since >= askTicks }
