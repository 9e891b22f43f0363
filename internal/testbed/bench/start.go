package main

import (
	"context"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// start is one measured start of a container.
type start struct {
	run    time.Duration // from before `docker run`'s create to the first select 1
	inside time.Duration // from the start of PID 1, by the engine's clock
}

// poll is how often a connection is tried: fine enough for starts of some
// hundred ms, and too rare to slow the server down.
const poll = 5 * time.Millisecond

func measureStarts(tb testbed.TB, t *table, ours, theirs side, o options) {
	kept := map[string]*testbed.Volume{}
	empty, again := map[string][]start{}, map[string][]start{}
	for _, s := range []side{ours, theirs} {
		kept[s.name] = testbed.NewVolume(tb)
		measureStart(tb, s, kept[s.name]) // initialises it, and warms the page cache
	}
	for round := range o.rounds {
		progress("start, round %d of %d", round+1, o.rounds)
		inTurn(round, ours, theirs, func(s side) {
			fresh := testbed.NewVolume(tb)
			empty[s.name] = append(empty[s.name], measureStart(tb, s, fresh))
			fresh.Remove()
			again[s.name] = append(again[s.name], measureStart(tb, s, kept[s.name]))
		})
	}
	compare := func(what string, all map[string][]start) {
		r1, i1 := split(all[ours.name])
		r2, i2 := split(all[theirs.name])
		t.times("docker run to select 1, "+what, r1, r2, "≤ 1.0")
		t.times("  of it since PID 1 started", i1, i2, "")
	}
	compare("initialised volume", again)
	compare("empty volume", empty)
}

// measureStart starts a container, waits for its first answer, stops it
// cleanly and removes it.
func measureStart(tb testbed.TB, s side, v *testbed.Volume) start {
	ctx, cancel := context.WithTimeout(tb.Context(), 2*time.Minute)
	defer cancel()
	began := time.Now()
	c := testbed.Run(tb, s.spec(v))
	at, err := c.FirstSelect(ctx, poll)
	if err != nil {
		tb.Fatalf("start %s: %v", s.name, err)
	}
	inside := at.Sub(c.Inspect().StartedAt)
	c.Stop(time.Minute)
	c.Remove()
	return start{at.Sub(began), inside}
}

func split(all []start) (run, inside []time.Duration) {
	for _, s := range all {
		run, inside = append(run, s.run), append(inside, s.inside)
	}
	return run, inside
}
