package main

import (
	"fmt"
	"io"

	"github.com/pgbaton/pgbaton/internal/node"
)

// lines prints a line for each change.
type lines struct {
	w       io.Writer
	asked   node.UpgradeVerb
	title   string
	attempt int
	states  map[node.StepName]node.StepState
	doing   string
	decade  int // of the percentage
	ready   bool
	waiting bool // for a supervisor
}

func (l *lines) show(st node.State) {
	u := *st.Upgrade
	l.waiting = false
	if t := title(u, l.asked); t != l.title {
		l.title = t
		fmt.Fprintln(l.w, t)
	}
	if u.Attempt != l.attempt { // all steps come once more
		l.attempt, l.states, l.doing = u.Attempt, map[node.StepName]node.StepState{}, ""
	}
	steps := shownSteps(u)
	for i, s := range steps {
		l.step(fmt.Sprintf("step %d of %d, %s", i+1, len(steps), s.Name), s, u)
	}
	if st.Ready != l.ready {
		l.ready = st.Ready
		fmt.Fprintln(l.w, serviceText(st))
	}
}

// step prints what changed of one step.
func (l *lines) step(label string, s node.UpgradeStep, u node.Upgrade) {
	old := l.states[s.Name]
	l.states[s.Name] = s.State
	switch {
	case s.State == node.StepRunning:
		decade := int(u.Percent) / 10
		if old == s.State && u.Doing == l.doing && decade <= l.decade {
			return
		}
		l.doing, l.decade = u.Doing, decade
		text := doingText(u)
		if text == "" {
			text = "begun"
		}
		fmt.Fprintf(l.w, "%s: %s\n", label, text)
	case old == "" && later(l.asked): // it came about before
	case s.State != old && s.State != node.StepPending:
		text := string(s.State)
		if s.Took > 0 && s.State == node.StepDone {
			text += " in " + tookText(s.Took)
		}
		fmt.Fprintf(l.w, "%s: %s\n", label, text)
	}
}

func (l *lines) silent() {
	if !l.waiting {
		l.waiting = true
		fmt.Fprintln(l.w, "the supervisor does not answer; waiting for it")
	}
}

func (l *lines) end() {}
