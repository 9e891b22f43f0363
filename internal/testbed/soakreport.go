package testbed

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// SoakReport is what random faults brought about.
type SoakReport struct {
	Audits  []Report // one for each cluster
	Doubles int      // times that the acknowledging server changed without a promotion
	Stuck   int      // clusters that needed an operator after everything was healed

	outages map[string][]time.Duration // by kind of fault, one for each round
}

// Add takes a round in: the kind of its fault, and how long no writer had a
// commit acknowledged.
func (s *SoakReport) Add(kind string, outage time.Duration) {
	if s.outages == nil {
		s.outages = map[string][]time.Duration{}
	}
	s.outages[kind] = append(s.outages[kind], outage)
}

// String is the table that a soak ends with.
func (s *SoakReport) String() string {
	var b strings.Builder
	rounds, acked, lost, duplicated, unknown := 0, 0, 0, 0, 0
	for _, all := range s.outages {
		rounds += len(all)
	}
	for _, a := range s.Audits {
		acked, lost, duplicated, unknown = acked+a.Acked+a.Beside, lost+a.Lost, duplicated+a.Duplicated, unknown+a.Unknown
	}
	fmt.Fprintf(&b, "%d rounds, %d commits acknowledged: %d lost, %d duplicated, %d unknown, %d double primaries, %d stuck\n",
		rounds, acked, lost, duplicated, unknown, s.Doubles, s.Stuck)
	fmt.Fprintf(&b, "%-24s %6s  %13s  %14s\n", "FAULT", "ROUNDS", "MEDIAN OUTAGE", "LONGEST OUTAGE")
	for _, kind := range slices.Sorted(maps.Keys(s.outages)) {
		all := slices.Sorted(slices.Values(s.outages[kind]))
		fmt.Fprintf(&b, "%-24s %6d  %13s  %14s\n", kind, len(all), inMs(median(all)), inMs(all[len(all)-1]))
	}
	return b.String()
}

// median of what is sorted and not empty.
func median(all []time.Duration) time.Duration {
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

func inMs(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
