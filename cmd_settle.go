package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
	"github.com/pgbaton/pgbaton/internal/whole"
)

const (
	// settleWithin is how long a cluster may take to be whole after an order.
	settleWithin = time.Minute
	// copyWithin is the same where the order is about a copy of all data.
	copyWithin = 24 * time.Hour
)

// settledCodes follow the help of the commands that wait for a whole cluster.
const settledCodes = exitCodes + `  6  carried out, and the cluster is not whole again in time
`

// settling is how long an order's command waits for what the order was for.
type settling struct {
	noWait bool
	within time.Duration
}

// addSettling gives an order its --wait and --no-wait.
func addSettling(cmd *cobra.Command, within time.Duration) *settling {
	s := &settling{within: within}
	cmd.Flags().BoolVar(&s.noWait, "no-wait", false, "do not wait until the cluster is whole again")
	cmd.Flags().DurationVar(&s.within, "wait", within, "how long to wait until the cluster is whole again")
	cmd.SetUsageTemplate(cmd.UsageTemplate() + settledCodes)
	return s
}

// check refuses flags that mean nothing together.
func (s *settling) check(cmd *cobra.Command) error {
	switch {
	case s.within <= 0:
		return fmt.Errorf("--wait %s is not a time to wait", s.within)
	case s.noWait && cmd.Flags().Changed("wait"):
		return errors.New("--wait and --no-wait: only one can be meant")
	}
	return nil
}

// ordered is what an order has brought about by itself.
func ordered(o node.Order, name string) string {
	switch o.Do {
	case node.Switchover:
		return name + " has handed over"
	case node.Promote:
		return name + " was promoted"
	case node.Alone:
		return name + " waits for no heir"
	case node.Reclone:
		return "the data of " + name + " gives way to a copy"
	case node.Pause:
		return name + " is paused"
	case node.Resume:
		return name + " changes its role by itself again"
	case node.Forget:
		return o.To + " is no node of the cluster any more"
	case node.Restart:
		return "postgres on " + name + " was restarted"
	}
	return "postgres on " + name + " accepts connections"
}

// settle waits until the cluster is whole, as far as its nodes answer and an
// operator wants it, and says who is the primary and who its armed heir.
func (s *settling) settle(cmd *cobra.Command, c *nodeapi.Client, o node.Order, name string) error {
	done := ordered(o, name)
	if s.noWait {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s; whether the cluster is whole again was not waited for: see `pgbaton status`\n", done)
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), s.within)
	defer cancel()
	w := waitFor{c: c, w: cmd.ErrOrStderr(), ended: time.Now()}
	reached, missing, err := w.whole(ctx)
	switch {
	case reached != "":
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", done, reached)
		return err
	case cmd.Context().Err() != nil:
		return &failed{exitNo, fmt.Errorf("no longer waiting; %s\nhint: see `pgbaton status`", done)}
	case err != nil:
		return refused(err)
	}
	return &failed{exitNotYet, fmt.Errorf("%s, and after %s the cluster is not whole: %s\nhint: what can mend itself goes on doing so; see `pgbaton status`", done, span(s.within), missing)}
}

// waitFor looks at the cluster again and again.
type waitFor struct {
	c     *nodeapi.Client
	w     io.Writer
	ended time.Time // of the order: what nodes said before it does not count
	told  string
}

// whole returns what was reached; where that is nothing, what was missing last,
// or why nobody could tell.
func (w *waitFor) whole(ctx context.Context) (reached, missing string, err error) {
	for {
		f, e := w.c.Fleet(ctx)
		switch {
		case ctx.Err() != nil:
			return "", missing, err
		case e != nil: // the supervisor may be restarting
			err = e
		default:
			facts := whole.Facts{Node: f.Node, Peers: f.Peers}
			err, missing = nil, w.stale(f)
			if missing == "" {
				missing = whole.Missing(facts)
			}
			if missing == "" {
				return whole.Reached(facts), "", nil
			}
			w.tell(missing)
		}
		select {
		case <-ctx.Done():
			return "", missing, err
		case <-time.After(lookInterval):
		}
	}
}

// stale says who has not answered since the order; empty: whoever answers has.
func (w *waitFor) stale(f nodeapi.Fleet) string {
	if f.Node.Time.Before(w.ended) {
		return f.Node.Node + " has not looked since"
	}
	if f.Node.Cluster == nil {
		return f.Node.Node + " has not looked at its volume yet"
	}
	for _, p := range f.Node.Cluster.Peers {
		if p.Error == "" && p.Age >= 0 && f.Node.Time.Add(-p.Age).Before(w.ended) {
			return p.Node + " has not answered since"
		}
	}
	return ""
}

// tell says what it waits for, once that has taken a second.
func (w *waitFor) tell(missing string) {
	if missing != w.told && time.Since(w.ended) > time.Second {
		w.told = missing
		fmt.Fprintf(w.w, "waiting: %s\n", missing)
	}
}
