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
)

func newStop() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "Stop postgres; the container stays",
		Long: `stop stops postgres and returns when it is down. The container stays, and
postgres stays down, across restarts of the supervisor too, until
` + "`pgbaton start`.",
		Example: `  pgbaton stop
  pgbaton stop --mode smart                 wait until the clients have left
  pgbaton stop --mode smart --timeout 5m    … but not longer than five minutes`,
	}
	return stopping(cmd, node.Stop, nil)
}

func newRestart() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restart",
		Short: "Stop postgres and start it again; the container stays",
		Long: `restart stops postgres and starts it again, for settings that need it. It
returns when postgres accepts connections, in a cluster when that is whole again.

--rolling restarts the servers of all nodes of a cluster that have settings which
wait for a restart: the standbys one after the other, then the primary by a
switchover, which is the only outage. Each step waits until the cluster is whole
again: all standbys stream, the heir is armed. Run it on any node. Stopping it
at any moment harms nothing; started again it goes on.`,
		Example: `  pgbaton restart
  pgbaton restart --mode smart --timeout 30s
  pgbaton restart --rolling           all nodes, for settings that need it
  pgbaton restart --rolling --all     all nodes, in any case`,
	}
	var f rollingFlags
	s := addSettling(cmd, settleWithin)
	cmd.Flags().Lookup("wait").Usage = "how long to wait until the cluster is whole again; with\n--rolling after each step, and 10m if not given"
	f.add(stopping(cmd, node.Restart, s), s)
	here := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		since, err := f.check(cmd)
		switch {
		case err != nil:
			return err
		case f.rolling:
			return runRolling(cmd, f, since)
		}
		return here(cmd, args)
	}
	return cmd
}

// stopping adds what stop and restart have in common; s is for what is to run
// again.
func stopping(cmd *cobra.Command, verb node.Verb, s *settling) *cobra.Command {
	var mode string
	var timeout time.Duration
	flags := cmd.Flags()
	flags.StringVar(&mode, "mode", string(node.Fast), "`how` to stop: smart waits for clients to leave, fast\n"+
		"ends their sessions, immediate skips the\ncheckpoint (recovery at the next start)")
	flags.DurationVar(&timeout, "timeout", 0, `with --mode smart: become fast after this time
(default PGBATON_SMART_TIMEOUT, 60s)`)
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o := node.Order{Do: verb, Mode: node.Mode(mode), Timeout: timeout}
		if err := checkStop(o, cmd.Flags().Changed("timeout")); err != nil {
			return err
		}
		return give(cmd, o, s)
	}
	return cmd
}

func checkStop(o node.Order, timed bool) error {
	switch {
	case !o.Mode.Valid():
		return fmt.Errorf("--mode %q is none of smart, fast, immediate", o.Mode)
	case timed && o.Mode != node.Smart:
		return fmt.Errorf("--timeout belongs to --mode smart, not to --mode %s", o.Mode)
	case timed && o.Timeout <= 0:
		return fmt.Errorf("--timeout %s is not a time to wait", o.Timeout)
	}
	return nil
}

func newStart() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Start postgres",
		Long: `start starts a postgres that was stopped, at once where it waits for its next
attempt, and returns when it accepts connections, in a cluster when that is
whole again.

--force says that you have made sure that no other server, in whatever
container or on whatever host, uses the data directory, although a
postmaster.pid in it says so. Two servers on one data directory destroy it.`,
		Example: `  pgbaton start
  pgbaton start --force`,
		Args: cobra.NoArgs,
	}
	s := addSettling(cmd, settleWithin)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return give(cmd, node.Order{Do: node.Start, Force: force}, s)
	}
	cmd.Flags().BoolVar(&force, "force", false, "the postmaster.pid of somebody else is stale; I have made sure")
	return cmd
}

func newReload() *cobra.Command {
	return &cobra.Command{
		Use:     "reload",
		Short:   "Let postgres read its configuration files again",
		Long:    "reload lets postgres read postgresql.conf, pg_hba.conf and the like again.",
		Example: "  pgbaton reload",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return give(cmd, node.Order{Do: node.Reload}, nil) },
	}
}

// outcome is the end of an order.
type outcome struct {
	st  node.State
	err error
}

// give gives an order and says, while it lasts, what it waits for. In a cluster
// it ends when what the order was for is true; s is nil where that is the order
// itself.
func give(cmd *cobra.Command, o node.Order, s *settling) error {
	if s != nil {
		if err := s.check(cmd); err != nil {
			return err
		}
	}
	ctx, c := cmd.Context(), newClient()
	ended := make(chan outcome, 1)
	go func() {
		st, err := c.Do(ctx, o)
		ended <- outcome{st, err}
	}()
	end := watchOrder(ctx, c, ended, cmd.ErrOrStderr())
	if errors.Is(end.err, context.Canceled) {
		return &failed{exitNo, fmt.Errorf("no longer waiting; the supervisor may still carry out the %s\nhint: see `pgbaton status`", o.Do)}
	}
	if end.err != nil {
		return refused(end.err)
	}
	if s != nil && end.st.Cluster != nil {
		return s.settle(cmd, c, o, end.st.Node)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", end.st.Phase, end.st.Why)
	return err
}

// watchOrder looks every second and prints what changed, until the order ends.
func watchOrder(ctx context.Context, c *nodeapi.Client, ended <-chan outcome, w io.Writer) outcome {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for last := ""; ; {
		select {
		case end := <-ended:
			return end
		case <-tick.C:
		}
		st, err := c.State(ctx)
		if err != nil {
			continue // the order's own answer will say what is wrong
		}
		if text := progress(st); text != last {
			last = text
			fmt.Fprintln(w, text)
		}
	}
}

// progress is one line about what the node does now.
func progress(st node.State) string {
	text := fmt.Sprintf("%s: %s", st.Phase, st.Why)
	if st.Phase == node.Stopping && st.Server != nil {
		text += fmt.Sprintf(" (connections: %d)", st.Server.Connections)
	}
	return text
}
