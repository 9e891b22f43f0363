package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// rollingView shows the steps of a rolling restart as they come.
type rollingView struct {
	w      io.Writer
	output format
}

func newRollingView(cmd *cobra.Command, output format) rollingView {
	return rollingView{w: cmd.OutOrStdout(), output: output}
}

// rollingLine is one line of `pgbaton restart --rolling -o json`.
type rollingLine struct {
	Time  time.Time     `json:"time"`
	Step  string        `json:"step"`           // restart, switchover, wait, done
	Node  string        `json:"node,omitempty"` // that takes it
	State string        `json:"state"`          // begun, done, unknown
	Why   string        `json:"why,omitempty"`  // a sentence
	Took  time.Duration `json:"took,omitzero"`  // nanoseconds
}

func (v rollingView) line(name, step, state, why string, took time.Duration) {
	if v.output == jsonText {
		_ = json.NewEncoder(v.w).Encode(rollingLine{time.Now().UTC(), step, name, state, why, took}) // nobody is left to tell
		return
	}
	switch {
	case step == "done":
		fmt.Fprintf(v.w, "done: %s\n", why)
	case step == "wait":
		fmt.Fprintf(v.w, "waiting: %s\n", why)
	case state == "begun":
		fmt.Fprintf(v.w, "%s: %s: %s\n", name, step, why)
	case state == "done":
		fmt.Fprintf(v.w, "%s: %s done in %s\n", name, step, tookText(took))
	default:
		fmt.Fprintf(v.w, "%s: %s: %s\n", name, step, why)
	}
}
