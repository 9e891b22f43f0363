package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"
)

// table is what the bench prints at the end.
type table struct {
	first, other string // heads of the first column and of the one beside ours
	rows         []row
}

type row struct{ what, ours, theirs, ratio, goal string }

// times adds a row that compares two sets of durations by their medians.
func (t *table) times(what string, ours, theirs []time.Duration, goal string) {
	a, b := median(ours), median(theirs)
	t.rows = append(t.rows, row{what, spread(ours), spread(theirs), ratio(a.Seconds(), b.Seconds()), goal})
}

// add adds a row of finished texts.
func (t *table) add(what, ours, theirs, ratio, goal string) {
	t.rows = append(t.rows, row{what, ours, theirs, ratio, goal})
}

func (t *table) print(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "\n%s\tpgbaton\t%s\tratio\tgoal\n", t.first, t.other)
	for _, r := range t.rows {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", r.what, r.ours, r.theirs, r.ratio, r.goal)
	}
	tw.Flush()
}

func median[T ~int64 | ~float64](all []T) T {
	if len(all) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(all))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// spread prints a median with its range.
func spread(all []time.Duration) string {
	if len(all) == 0 {
		return "-"
	}
	ms := func(d time.Duration) int64 { return d.Milliseconds() }
	return fmt.Sprintf("%d ms (%d…%d, n=%d)", ms(median(all)), ms(slices.Min(all)), ms(slices.Max(all)), len(all))
}

// tenths is spread for what takes a few milliseconds.
func tenths(all []time.Duration) string {
	if len(all) == 0 {
		return "-"
	}
	ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
	return fmt.Sprintf("%.1f ms (%.1f…%.1f, n=%d)", ms(median(all)), ms(slices.Min(all)), ms(slices.Max(all)), len(all))
}

// quantile is the smallest value that a share of all does not exceed.
func quantile(all []time.Duration, share float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(all))
	return s[max(0, int(math.Ceil(share*float64(len(s))))-1)]
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

func ratio(ours, theirs float64) string {
	if theirs == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", ours/theirs)
}

func percent(cpu, of time.Duration) string {
	return fmt.Sprintf("%.2f %%", 100*cpu.Seconds()/of.Seconds())
}
