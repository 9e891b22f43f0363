package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/pgbaton/pgbaton/internal/node"
)

// view shows how far an upgrade is. The state has one.
type view interface {
	show(st node.State)
	silent() // nobody answers at the moment
	end()
}

// newView draws in place on a terminal and prints a line for each change
// elsewhere. asked is what the command asked for, if anything.
func newView(w io.Writer, asked node.UpgradeVerb) view {
	if isTerminal(w) {
		return &drawing{w: w, asked: asked, width: func() int {
			width, _, err := term.GetSize(int(w.(*os.File).Fd()))
			if err != nil || width < 20 {
				return tableWidth
			}
			return width
		}}
	}
	return &lines{w: w, asked: asked, ready: true, attempt: -1}
}

// shownSteps are the steps that the request can come to: a check is one step,
// and the last one waits for a command of its own.
func shownSteps(u node.Upgrade) []node.UpgradeStep {
	steps := u.Steps
	for len(steps) > 1 && steps[len(steps)-1].State == node.StepPending &&
		(u.Do == node.UpgradeCheck || steps[len(steps)-1].Name == node.StepFinish) {
		steps = steps[:len(steps)-1]
	}
	return steps
}

// title says what is upgraded to what. An undo and a finish are of an upgrade
// that was asked for before.
func title(u node.Upgrade, asked node.UpgradeVerb) string {
	if !later(asked) {
		asked = u.Do
	}
	what := map[node.UpgradeVerb]string{
		node.UpgradeCheck: "check of an upgrade", node.UpgradeRehearse: "rehearsal of an upgrade",
		node.UpgradeUndo: "undo of the upgrade", node.UpgradeFinish: "finish of the upgrade",
	}[asked]
	if what == "" {
		what = "upgrade"
	}
	text := fmt.Sprintf("%s from %d", what, u.From)
	if u.To > 0 {
		text += fmt.Sprintf(" to %d", u.To)
	}
	if u.Mode != "" {
		text += ", mode " + string(u.Mode)
	}
	if u.Attempt > 1 {
		text += fmt.Sprintf(", attempt %d", u.Attempt)
	}
	return text
}

// later reports whether the request is about an upgrade that was.
func later(asked node.UpgradeVerb) bool {
	return asked == node.UpgradeUndo || asked == node.UpgradeFinish
}

// doingText is what the running step does, with the percentage where it is known.
func doingText(u node.Upgrade) string {
	text := u.Doing
	if u.Percent > 0 {
		text = strings.TrimSpace(fmt.Sprintf("%s %.0f %%", text, u.Percent))
	}
	return text
}

// percentText is the percentage in front of other words, where it is known.
func percentText(u node.Upgrade) string {
	if u.Percent > 0 {
		return fmt.Sprintf("%2.0f %%  ", u.Percent)
	}
	return ""
}

// tookText prints how long something took; shorter times have tenths.
func tookText(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", max(0, d).Seconds())
	}
	return span(d)
}

// stepTime is how long a step took or has taken until now.
func stepTime(s node.UpgradeStep, now time.Time) string {
	switch {
	case s.State == node.StepRunning && !s.Started.IsZero():
		return tookText(now.Sub(s.Started))
	case s.Took > 0:
		return tookText(s.Took)
	}
	return ""
}

// drawing redraws one line for each step in place.
type drawing struct {
	w     io.Writer
	asked node.UpgradeVerb
	width func() int
	drawn int // lines on the screen
}

func (d *drawing) show(st node.State) {
	u := *st.Upgrade
	head := title(u, d.asked)
	if !u.Started.IsZero() && u.Ended.IsZero() {
		head += ", " + tookText(st.Time.Sub(u.Started))
	}
	rows := []string{head}
	for i, s := range shownSteps(u) {
		row := fmt.Sprintf("  %d  %-11s %-8s %8s", i+1, s.Name, s.State, stepTime(s, st.Time))
		if s.State == node.StepRunning {
			row += "  " + percentText(u) + u.Doing // a narrow terminal cuts the end off
		}
		rows = append(rows, strings.TrimRight(row, " "))
	}
	rows = append(rows, serviceText(st))
	d.draw(rows)
}

func (d *drawing) silent() {
	if d.drawn > 0 {
		fmt.Fprintf(d.w, "\x1b[1A\r%s\x1b[K\n", cut("the supervisor does not answer; waiting for it", d.width()))
	}
}

// draw puts rows over those before.
func (d *drawing) draw(rows []string) {
	var b strings.Builder
	if d.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r", d.drawn)
	}
	for _, row := range rows {
		b.WriteString(cut(row, d.width()) + "\x1b[K\n")
	}
	b.WriteString("\x1b[J") // fewer rows than before leave none behind
	d.drawn = len(rows)
	_, _ = io.WriteString(d.w, b.String())
}

func (d *drawing) end() {
	if d.drawn > 0 {
		fmt.Fprintln(d.w)
	}
}

// cut shortens a line to a width: one that wraps would break the drawing.
func cut(text string, width int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) >= width {
		return string(runes[:width-1])
	}
	return text
}

// serviceText says whether clients are served meanwhile.
func serviceText(st node.State) string {
	if st.Ready {
		return "clients are served"
	}
	return "clients are not served: " + st.Why
}
