package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// maxDetail bounds a server's own words in a table, in characters; the JSON has
// all of them.
const maxDetail = 600

// printUpgrade prints an upgrade: all of it, the outcome last.
func printUpgrade(w io.Writer, u node.Upgrade, f format) error {
	if f == jsonText {
		return printUpgradeJSON(w, &u)
	}
	var p sheet
	p.row("upgrade", join(strings.TrimPrefix(title(u, ""), "upgrade "), "asked for by "+triggerText(u.Trigger), u.ID))
	for _, s := range u.Steps {
		if s.State != node.StepPending {
			text := fmt.Sprintf("%-*s%-11s %-8s %8s", labelWidth, "step", s.Name, s.State, stepTime(s, time.Now()))
			p.b.WriteString(strings.TrimRight(text, " ") + "\n")
		}
	}
	p.row("outage", outageText(u))
	for _, found := range u.Findings {
		p.row(string(found.Level), found.Text)
		p.row("hint", found.Hint)
		p.row("server", detail(found.Detail))
	}
	p.row("old cluster", keptText(u))
	p.row("way back", u.Undo)
	for _, reminder := range u.Reminders {
		p.row("remember", reminder)
	}
	p.last(string(u.Outcome)+took(u)+": "+u.Why, isTerminal(w))
	_, err := io.WriteString(w, p.b.String())
	return err
}

// took says how long the whole took.
func took(u node.Upgrade) string {
	switch u.Outcome {
	case node.UpgradeUndone, node.UpgradeFinished: // days may lie between
		return ""
	}
	if u.Ended.IsZero() || u.Started.IsZero() || u.Ended.Before(u.Started) {
		return ""
	}
	return " after " + tookText(u.Ended.Sub(u.Started))
}

func triggerText(t node.Trigger) string {
	if t == node.ByMarker {
		return "marker file"
	}
	return string(t)
}

func outageText(u node.Upgrade) string {
	var text string
	if u.Outage > 0 {
		text = tookText(u.Outage) + " without service"
	}
	if u.Forecast > 0 {
		text = join(text, tookText(u.Forecast)+" expected")
	}
	return text
}

// keptText says where the old cluster is and for how long.
func keptText(u node.Upgrade) string {
	switch {
	case u.Retired == "":
		return ""
	case u.FinishAt.IsZero():
		return u.Retired + ", kept until `pgbaton upgrade finish`"
	}
	return fmt.Sprintf("%s, kept until %s or `pgbaton upgrade finish`", u.Retired, u.FinishAt.UTC().Format("2006-01-02 15:04 UTC"))
}

func detail(text string) string {
	if runes := []rune(text); len(runes) > maxDetail {
		return string(runes[:maxDetail]) + "…"
	}
	return text
}

// upgradeText is the line of `pgbaton status` about an upgrade: the one that
// runs, the old cluster that one left, or that one is possible.
func upgradeText(st node.State) string {
	u := st.Upgrade
	switch {
	case u != nil && u.Outcome == node.UpgradeRunning:
		return join(title(*u, ""), runningText(*u, st.Time), "see `pgbaton upgrade status --watch`")
	case u != nil && u.Outcome == node.UpgradeHeld:
		return title(*u, "") + " is held: " + u.Why
	case u != nil && u.Retired != "":
		return strings.Join(nonEmpty(fmt.Sprintf("the old cluster, %d, is in %s", u.From, keptText(*u)), newerText(st)), "; ")
	}
	return newerText(st)
}

// runningText is the step that runs, how long and how far.
func runningText(u node.Upgrade, now time.Time) string {
	steps := shownSteps(u)
	for i, s := range steps {
		if s.State == node.StepRunning {
			return join(fmt.Sprintf("step %d of %d (%s) for %s", i+1, len(steps), s.Name, stepTime(s, now)), doingText(u))
		}
	}
	return u.Why
}

// statisticsText says that the planner lacks statistics; or nothing.
func statisticsText(s *node.Server) string {
	if s == nil || s.StatisticsMissing == 0 {
		return ""
	}
	return fmt.Sprintf("missing for %d relations: queries may be slow until ANALYZE has run", s.StatisticsMissing)
}

// sheet is a page of labelled rows.
type sheet struct{ b strings.Builder }

// row adds a row, wrapped, where there is a text.
func (p *sheet) row(label, text string) {
	if text != "" {
		fmt.Fprintf(&p.b, "%-*s%s\n", labelWidth, label, wrap(text, tableWidth-labelWidth, strings.Repeat(" ", labelWidth)))
	}
}

// last ends the page with the sentence that matters most, where the eye is.
func (p *sheet) last(text string, bold bool) {
	text = wrap(text, tableWidth, "")
	if bold && os.Getenv("NO_COLOR") == "" {
		text = "\x1b[1m" + text + "\x1b[0m"
	}
	fmt.Fprintf(&p.b, "\n%s\n", text)
}
