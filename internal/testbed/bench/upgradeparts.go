package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"
)

// part is a part of an outage.
type part struct {
	name string
	took time.Duration
}

// cuts are the log lines that end the parts of an outage, in their order. A
// line that did not come counts to the part after it.
var cuts = []struct{ name, line string }{
	{"stop: the server's own shutdown", `msg="postgres has stopped"`},
	{"journal, hooks, sockets", `msg="upgrade: step begins" step=pg_upgrade`},
	{"pg_upgrade", `msg="upgrade: making the new cluster durable"`},
	{"sync", `msg="upgrade: carrying the configuration over"`},
	{"configuration", `msg="upgrade: step done" step=pg_upgrade`},
	{"journal, hooks before the switch", `msg="upgrade: step begins" step=switch`},
	{"switch: renames", `msg="upgrade: step done" step=switch`},
	{"journal, what the volume holds now", `msg="starting the new server, closed`},
	{"start: until the new server is ready", `msg="postgres is ready"`},
	{"verify and rebuild, open", `msg="upgrade: clients are let in"`},
}

// beginning is the line with which an outage begins.
const beginning = `msg="the upgrade needs postgres down`

var lineTime = regexp.MustCompile(`^time=(\S+) `)

// partsOf reads the parts of an outage from the log. What the clients saw
// beyond it is a part too: until they had noticed, and had connected again.
func partsOf(log string, outage time.Duration) []part {
	var parts []part
	var last time.Time
	var sum time.Duration
	next := 0
	for line := range strings.Lines(log) {
		m := lineTime.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, m[1])
		if err != nil {
			continue
		}
		if strings.Contains(line, beginning) {
			parts, last, sum, next = nil, at, 0, 0
		}
		for i := next; !last.IsZero() && i < len(cuts); i++ {
			if strings.Contains(line, cuts[i].line) {
				parts, sum = append(parts, part{cuts[i].name, at.Sub(last)}), sum+at.Sub(last)
				last, next = at, i+1
				break
			}
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return append(parts, part{"clients: until all write again", outage - sum})
}

// medianParts takes the median of each part.
func medianParts(rounds [][]part) []part {
	var names []string
	all := map[string][]time.Duration{}
	for _, parts := range rounds {
		for _, p := range parts {
			if all[p.name] == nil {
				names = append(names, p.name)
			}
			all[p.name] = append(all[p.name], p.took)
		}
	}
	var parts []part
	for _, name := range names {
		parts = append(parts, part{name, median(all[name])})
	}
	return parts
}

func printParts(w io.Writer, title string, parts []part) {
	if len(parts) == 0 {
		return
	}
	var sum time.Duration
	for _, p := range parts {
		sum += p.took
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "\n%s\ttime\tshare\n", title)
	for _, p := range parts {
		fmt.Fprintf(tw, "%s\t%d ms\t%s\n", p.name, p.took.Milliseconds(), percent(p.took, sum))
	}
	tw.Flush()
}
