package testbed

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"sort"
	"time"
)

// Stats are a load's numbers over a part of its life.
type Stats struct {
	Elapsed time.Duration
	Acked   int // commits that the server acknowledged
	Failed  int // transactions that ended in an error, those in doubt included
	InDoubt int // of Failed: nobody knows whether they are committed
	Refused int // connects that did not succeed

	// Gap is the longest time in which no writer had a commit acknowledged,
	// WorstWriter the longest in which one of them had none. Both contain
	// the pace of an undisturbed load: think time and one commit. A gap that
	// reaches over a border of this part counts in full.
	Gap         time.Duration
	WorstWriter time.Duration

	Errors []string // what clients were told, the most frequent first
}

// Rate is the number of acknowledged commits in a second.
func (s Stats) Rate() float64 {
	if s.Elapsed <= 0 {
		return 0
	}
	return float64(s.Acked) / s.Elapsed.Seconds()
}

func (s Stats) String() string {
	return fmt.Sprintf("longest write gap %s (worst writer %s), %d acknowledged (%.0f/s), %d failed (%d in doubt), %d refused connects",
		ms(s.Gap), ms(s.WorstWriter), s.Acked, s.Rate(), s.Failed, s.InDoubt, s.Refused)
}

// ms prints a duration as people compare them.
func ms(d time.Duration) string { return fmt.Sprintf("%.0f ms", float64(d)/float64(time.Millisecond)) }

// summarize computes the numbers from one moment of the load to another.
func summarize(ledgers []*ledger, from, to time.Duration) Stats {
	s := Stats{Elapsed: to - from}
	var all []time.Duration
	var last time.Duration // end of the last writer
	told := map[string]int{}
	for _, l := range ledgers {
		acks, end := l.collect(&s, told, from, to)
		s.WorstWriter = max(s.WorstWriter, longestGap(acks, from, end))
		all, last = append(all, acks...), max(last, end)
	}
	slices.Sort(all)
	s.Gap = longestGap(all, from, last)
	for text := range told {
		s.Errors = append(s.Errors, text)
	}
	slices.SortFunc(s.Errors, func(a, b string) int {
		return cmp.Or(cmp.Compare(told[b], told[a]), cmp.Compare(a, b))
	})
	for i, text := range s.Errors {
		s.Errors[i] = fmt.Sprintf("%d x %s", told[text], text)
	}
	return s
}

// collect adds what ended between from and to, and returns the times of all
// acknowledgements, ascending, and the end of the part: the writer's own if it
// ended before.
func (l *ledger) collect(s *Stats, told map[string]int, from, to time.Duration) ([]time.Duration, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var acks []time.Duration
	for _, e := range l.entries {
		if e.out == acked {
			acks = append(acks, e.end)
		}
		switch {
		case e.end == 0 || e.end < from || e.end > to:
		case e.out == acked:
			s.Acked++
		case e.out == failed:
			s.Failed++
		default:
			s.Failed++
			s.InDoubt++
		}
	}
	for _, r := range l.refusals {
		if r.at >= from && r.at <= to {
			s.Refused++
		}
	}
	for _, f := range l.errors {
		if f.at >= from && f.at <= to {
			told[plain(f.err)]++
		}
	}
	if l.done > 0 {
		to = min(to, l.done)
	}
	return acks, to
}

// plain leaves the addresses out, so that equal errors count as such.
func plain(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}

// longestGap is the longest time between two acknowledgements that touches
// the part from..to. Before the first one there is nothing to be missed; after
// the last one the gap lasts until the part ends. None at all is one gap.
func longestGap(acks []time.Duration, from, to time.Duration) time.Duration {
	if to < from {
		return 0
	}
	first := sort.Search(len(acks), func(i int) bool { return acks[i] >= from })
	if first > 0 {
		first-- // the gap that the part begins in
	}
	if first == len(acks) {
		return to - from
	}
	var gap time.Duration
	last := acks[first]
	for _, at := range acks[first+1:] {
		if last > to {
			break
		}
		gap = max(gap, at-last)
		last = at
	}
	return max(gap, to-last)
}
