package main

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// everyLine and stepsOnly choose what of a followed upgrade is shown.
func everyLine(string) bool { return true }

func stepsOnly(line string) bool {
	return !strings.HasPrefix(line, "step ") || strings.Contains(line, ": done in ")
}

// printProgress prints lines of a followed upgrade up to its JSON.
func printProgress(w io.Writer, r io.Reader, show func(string) bool) {
	began := time.Now()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	quiet := false
	for lines.Scan() {
		quiet = quiet || lines.Text() == "{"
		if !quiet && show(lines.Text()) {
			fmt.Fprintf(w, "   %6.1f s  %s\n", time.Since(began).Seconds(), lines.Text())
		}
	}
	_, _ = io.Copy(io.Discard, r) // the writer must not wait
}

// table prints everything that counts of the upgrade.
func (s *story) table(rep testbed.Report, after testbed.Contents) {
	u := s.upgrade
	tw := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(tw, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Println()
	row("upgrade", "PostgreSQL %d to %d, mode %s, asked for by %s", u.From, u.To, u.Mode, u.Trigger)
	for i, step := range u.Steps {
		if step.State != node.StepPending {
			row(fmt.Sprintf("step %d, %s", i+1, step.Name), "%s in %s", step.State, seconds(step.Took))
		}
	}
	row("outage, by the journal", "%s", seconds(u.Outage))
	row("outage, as the load saw it", "%s (worst writer %s)", seconds(s.seen.Gap), seconds(s.seen.WorstWriter))
	row("outage, as rehearsed", "%s, %.2f of what it was", seconds(s.forecast.Forecast), s.forecast.Forecast.Seconds()/s.seen.WorstWriter.Seconds())
	row("contents before", "%s", contentsText(s.before))
	row("contents after", "%s", contentsText(after))
	row("commits", "%d acknowledged, %d lost, %d duplicated; %d failed, %d refused connects",
		rep.Acked, rep.Lost, rep.Duplicated, rep.Failed, rep.Refused)
	row("old cluster", "%s", u.Retired)
	row("undo", "%s", cmp.Or(u.Undo, "-"))
	row("finish", "pgbaton upgrade finish removes the old cluster")
	for _, r := range u.Reminders {
		row("remember", "%s", r)
	}
	tw.Flush()
}

// rowsOf is how the snapshot tells of a table.
var rowsOf = regexp.MustCompile(`: (\d+) rows, md5 `)

// contentsText sums up a snapshot: tables, rows, and one checksum over those
// of all tables.
func contentsText(c testbed.Contents) string {
	tables, rows := 0, 0
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(c)) {
		for _, line := range c[name] {
			m := rowsOf.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			n, _ := strconv.Atoi(m[1])
			tables, rows = tables+1, rows+n
			fmt.Fprintln(sum, name, line)
		}
	}
	return strings.TrimSpace(fmt.Sprintf("%d tables, %d rows, checksum %.16x", tables, rows, sum.Sum(nil)))
}
