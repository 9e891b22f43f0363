package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
	"github.com/pgbaton/pgbaton/internal/rolling"
)

const (
	// wholeWithin is how long a cluster may be on its way to being whole when
	// the command begins, after a command before it that was interrupted.
	wholeWithin = 15 * time.Second
	// snapshotAge is how much older than its time of arrival an answer may be:
	// supervisors look at themselves once a second at least.
	snapshotAge = 2 * time.Second
	// stepTries is how often a switchover that is refused or undone is tried:
	// what was in its way may be over a moment later.
	stepTries = 3
)

// rollingFlags are those of restart that belong to --rolling.
type rollingFlags struct {
	rolling, all bool
	since        string
	settling     *settling
	output       *format
	yes          *bool
}

// stepWithin is how long a step may take, where --wait does not say.
const stepWithin = 10 * time.Minute

func (f *rollingFlags) add(cmd *cobra.Command, s *settling) {
	f.settling = s
	flags := cmd.Flags()
	flags.BoolVar(&f.rolling, "rolling", false, "restart the servers of all nodes of the cluster, one after\nthe other, the primary's by a switchover")
	flags.BoolVar(&f.all, "all", false, "with --rolling: every server, and not only those with\nsettings that wait for a restart")
	flags.StringVar(&f.since, "since", "", "with --rolling: every server that was started before this\n`time`, to go on where a --rolling --all was interrupted")
	f.output = addFormat(cmd)
	f.yes = addYes(cmd)
}

// check refuses flags that mean nothing together.
func (f *rollingFlags) check(cmd *cobra.Command) (since time.Time, err error) {
	for _, name := range []string{"all", "since", "output", "yes"} {
		if cmd.Flags().Changed(name) && !f.rolling {
			return since, fmt.Errorf("--%s belongs to --rolling", name)
		}
	}
	for _, name := range []string{"mode", "timeout", "no-wait"} {
		if cmd.Flags().Changed(name) && f.rolling {
			return since, fmt.Errorf("--%s does not go with --rolling, which restarts fast and waits after each step", name)
		}
	}
	switch {
	case !f.rolling:
		return since, nil
	case f.settling.within <= 0:
		return since, fmt.Errorf("--wait %s is not a time to wait", f.settling.within)
	case f.since != "" && f.all:
		return since, errors.New("--since and --all: only one can be meant")
	case f.all:
		return time.Now(), nil
	case f.since == "":
		return since, nil
	}
	if since, err = time.Parse(time.RFC3339, f.since); err != nil {
		return since, fmt.Errorf("--since %q is no time such as 2026-01-02T15:04:05Z", f.since)
	}
	return since, nil
}

func (f *rollingFlags) stepWithin(cmd *cobra.Command) time.Duration {
	if cmd.Flags().Changed("wait") {
		return f.settling.within
	}
	return stepWithin
}

// roller takes one step after the other. It remembers nothing that matters:
// what comes next is what the nodes say now.
type roller struct {
	c     *nodeapi.Client
	show  rollingView
	since time.Time // see rolling.Facts
	begun time.Time
	wait  time.Duration
	ask   func(cost string) error // nil: do not

	steps    int       // begun
	failures int       // of the present step in a row
	idle     time.Time // since when no step runs
	heard    time.Time // the supervisor's last answer
	told     string    // what was said about the waiting
}

func runRolling(cmd *cobra.Command, f rollingFlags, since time.Time) error {
	now := time.Now()
	r := &roller{c: newClient(), show: newRollingView(cmd, *f.output), since: since, begun: now, wait: f.stepWithin(cmd), heard: now, idle: now}
	if !*f.yes {
		if err := mayAsk(cmd, "restart --rolling"); err != nil {
			return err
		}
		r.ask = func(cost string) error { return ask(cmd.InOrStdin(), cmd.ErrOrStderr(), cost) }
	}
	if f.all {
		fmt.Fprintf(cmd.ErrOrStderr(), "should this be interrupted, %s goes on\n", r.again())
	}
	err := r.run(cmd.Context())
	if cmd.Context().Err() != nil {
		return &failed{exitNo, fmt.Errorf("interrupted; a step that was begun goes on, and no other begins\nhint: %s goes on", r.again())}
	}
	return err
}

// again is the command that goes on.
func (r *roller) again() string {
	if r.since.IsZero() {
		return "`pgbaton restart --rolling`"
	}
	return "`pgbaton restart --rolling --since " + r.since.UTC().Format(time.RFC3339) + "`"
}

func (r *roller) run(ctx context.Context) error {
	for ctx.Err() == nil {
		f, err := r.c.Fleet(ctx)
		if err == nil {
			r.heard = time.Now()
			done, err := r.step(ctx, rolling.Next(rollingFacts(f, time.Now(), r.since, r.begun.Add(snapshotAge))))
			if done || err != nil {
				return err
			}
		} else if silent := time.Since(r.heard); r.steps == 0 || silent > patience || !errors.Is(err, nodeapi.ErrNoSupervisor) {
			return refused(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(lookInterval):
		}
	}
	return ctx.Err()
}

// step takes one, or waits.
func (r *roller) step(ctx context.Context, s rolling.Step) (done bool, err error) {
	switch s.Do {
	case rolling.Done:
		r.show.line("", "done", "done", s.Why, 0)
		return true, nil
	case rolling.Refuse:
		return true, r.giveUp(s.Why)
	case rolling.Wait:
		return false, r.waiting(s.Why)
	}
	r.told = ""
	if r.steps == 0 && r.ask != nil {
		if err := r.ask(rollingCost(s)); err != nil {
			return true, err
		}
		r.ask, r.idle = nil, time.Now()
		return false, nil // the answer took its time: look again
	}
	return false, r.order(ctx, s)
}

// order lets the node take the step.
func (r *roller) order(ctx context.Context, s rolling.Step) error {
	o := node.Order{Do: node.Restart, Node: s.Node}
	if s.Do == rolling.Switchover {
		o.Do = node.Switchover
	}
	r.steps++
	if r.failures == 0 {
		r.show.line(s.Node, string(s.Do), "begun", s.Why, 0)
	}
	bounded, cancel := context.WithTimeout(ctx, r.wait)
	defer cancel()
	begun := time.Now()
	_, err := r.c.Do(bounded, o)
	var refusal *nodeapi.Refusal
	switch {
	case err == nil:
		r.failures = 0
		r.show.line(s.Node, string(s.Do), "done", "", time.Since(begun))
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &refusal):
		if r.failures++; r.failures >= stepTries || s.Do == rolling.Restart {
			return r.giveUp(fmt.Sprintf("%s of %s: %s", s.Do, s.Node, refusal.Why))
		}
	default: // the supervisor here was restarted, or the way to it broke: the nodes tell what became of it
		r.show.line(s.Node, string(s.Do), "unknown", "no answer; looking at what became of it", time.Since(begun))
	}
	r.idle = time.Now()
	return nil
}

// waiting says what for, and gives up when it takes too long.
func (r *roller) waiting(why string) error {
	within, idle := r.wait, time.Since(r.idle)
	if r.steps == 0 {
		within = wholeWithin
	}
	if idle > within {
		return r.giveUp("the cluster is not whole: " + why)
	}
	if why != r.told && idle > time.Second {
		r.told = why
		r.show.line("", "wait", "begun", why, 0)
	}
	return nil
}

// giveUp says what is left as it is.
func (r *roller) giveUp(why string) error {
	if r.steps == 0 {
		return &failed{exitNo, fmt.Errorf("%s; nothing was done\nhint: see `pgbaton status`", why)}
	}
	return &failed{exitNo, fmt.Errorf("%s; no further server is restarted\nhint: mend that, then %s goes on", why, r.again())}
}

// rollingFacts is what the node that was asked knows of its cluster. Nodes tell
// times by their own clocks: what counts is how long ago something was.
func rollingFacts(f nodeapi.Fleet, now, since, begun time.Time) rolling.Facts {
	facts := rolling.Facts{Since: since, Asked: begun.Add(-snapshotAge), Begun: begun}
	add := func(st node.State, age time.Duration) {
		n := rolling.Node{State: st, Seen: f.Node.Time.Add(-age)}
		here := func(t time.Time) time.Time { return now.Add(-age - st.Time.Sub(t)) }
		if st.Postmaster != nil {
			n.Started = here(st.Postmaster.Started)
		}
		if st.Server != nil {
			n.Told = here(st.Server.Asked)
		}
		facts.Nodes = append(facts.Nodes, n)
	}
	add(f.Node, 0)
	if f.Node.Cluster == nil {
		return facts
	}
	quiet := map[string]bool{}
	for _, p := range f.Node.Cluster.Peers {
		if p.Error == "" && p.Age >= 0 {
			continue
		}
		quiet[p.Node] = true
		facts.Silent = append(facts.Silent, join(p.Node, orUnasked(p)))
	}
	for _, st := range f.Peers {
		if !quiet[st.Node] {
			add(st, f.Age(st.Node))
		}
	}
	return facts
}

func orUnasked(p node.Peer) string {
	if p.Error == "" {
		return p.Address + " was not asked yet"
	}
	return p.Error
}

// rollingCost is what the whole of it may cost.
func rollingCost(first rolling.Step) string {
	return fmt.Sprintf("This restarts servers of the cluster one after the other, each once the cluster is whole again, and the primary's last, by a switchover: "+
		"every session on the primary ends then, and writes wait until the next one serves. The sessions on a standby end when it is restarted. "+
		"No acknowledged commit is lost; while a standby is restarted, one copy fewer can take over. The first step: %s of %s (%s).", first.Do, first.Node, first.Why)
}
