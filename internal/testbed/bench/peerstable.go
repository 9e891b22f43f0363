package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// printScores prints a table that a README can take as it is.
func printScores(w io.Writer, scores []*score) {
	ours := scores[0]
	head, rule := "| the worst writer's stall, p50 / worst |", "|---|"
	for _, s := range scores {
		head, rule = head+" "+s.name+" |", rule+"---|"
	}
	fmt.Fprintf(w, "\n%s\n%s\n", head, rule)
	line := func(what string, cell func(*score) string) {
		cells := []string{what}
		for _, s := range scores {
			cells = append(cells, cell(s))
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	}
	for _, op := range operations {
		line(op.name, func(s *score) string {
			if s == ours {
				return stall(s.worst[op.name], nil)
			}
			return stall(s.worst[op.name], ours.worst[op.name])
		})
	}
	line("commits acknowledged, lost, duplicated", func(s *score) string {
		text := fmt.Sprintf("%d, %d, %d", s.acked, s.lost, s.duplicated)
		if s.unaudited > 0 {
			text += fmt.Sprintf(" (and %d series not compared)", s.unaudited)
		}
		return text
	})
	line("series that failed", func(s *score) string { return fmt.Sprint(len(s.failures)) })
	for _, s := range scores {
		for _, f := range s.failures {
			fmt.Fprintf(w, "\nfailed: %s\n", f)
		}
	}
}

// stall prints what was measured and how much longer it is than beside it.
func stall(all, beside []time.Duration) string {
	if len(all) == 0 {
		return "-"
	}
	text := fmt.Sprintf("%s / %s", readable(median(all)), readable(slices.Max(all)))
	if m := median(beside); m > 0 {
		text += fmt.Sprintf(", × %.1f", median(all).Seconds()/m.Seconds())
	}
	return text + fmt.Sprintf(" (n=%d)", len(all))
}

// readable prints what people compare: milliseconds, or seconds where there
// are many.
func readable(d time.Duration) string {
	if d < 10*time.Second {
		return milliseconds(d)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
