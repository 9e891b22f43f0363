package testbed

import (
	"errors"
	"testing"
	"time"
)

func TestLongestGap(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name     string
		acks     []time.Duration
		from, to time.Duration
		want     time.Duration
	}{
		{"nothing acknowledged is one gap", nil, 2 * s, 5 * s, 3 * s},
		{"time before the first acknowledgement is no gap", []time.Duration{3 * s, 4 * s}, 0, 4 * s, s},
		{"the longest pause counts", []time.Duration{s, 2 * s, 5 * s, 6 * s}, 0, 6 * s, 3 * s},
		{"silence until the end counts", []time.Duration{s, 2 * s}, 0, 9 * s, 7 * s},
		{"a gap over the beginning counts in full", []time.Duration{s, 6 * s, 7 * s}, 5 * s, 7 * s, 5 * s},
		{"a gap over the end counts in full", []time.Duration{s, 2 * s, 6 * s}, 0, 3 * s, 4 * s},
		{"a gap before the part does not count", []time.Duration{s, 6 * s, 7 * s, 8 * s}, 7 * s, 8 * s, s},
		{"a gap after the part does not count", []time.Duration{s, 2 * s, 3 * s, 9 * s}, 0, 2 * s, s},
		{"silence since before the part counts in full", []time.Duration{s}, 4 * s, 6 * s, 5 * s},
		{"a writer that ended before the part misses nothing", []time.Duration{s}, 4 * s, 2 * s, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := longestGap(tt.acks, tt.from, tt.to); got != tt.want {
				t.Errorf("longestGap = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestSummarizeCountsWhatEndedInThePart(t *testing.T) {
	const s = time.Second
	l := &ledger{
		entries: []entry{
			{end: 1 * s, out: acked}, {end: 2 * s, out: failed}, {end: 3 * s, out: inDoubt}, {end: 4 * s, out: acked}, {end: 9 * s, out: acked}, {end: 0, out: inDoubt},
		},
		refusals: []refusal{{3 * s}, {8 * s}},
		errors:   []failure{{3 * s, errors.New("refused")}, {2 * s, errors.New("refused")}, {2 * s, errors.New("once")}},
	}
	got := summarize([]*ledger{l, {done: s, entries: []entry{{end: s, out: acked}}}}, 2*s, 5*s)
	if got.Acked != 1 || got.Failed != 2 || got.InDoubt != 1 || got.Refused != 1 {
		t.Errorf("summarize = %+v", got)
	}
	if got.WorstWriter != 5*s || got.Gap != 5*s {
		t.Errorf("gap %v, worst writer %v, want 5s both", got.Gap, got.WorstWriter)
	}
	if len(got.Errors) != 2 || got.Errors[0] != "2 x refused" {
		t.Errorf("errors = %q", got.Errors)
	}
}
