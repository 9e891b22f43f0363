package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
)

const watchInterval = 2 * time.Second

type statusFlags struct {
	output      *format
	ready, live bool
	watch       time.Duration
}

func newStatus() *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "What the node does, and why",
		Long: `status shows what this node does, and why. In a cluster it shows every node, as
this one sees it, and what the present setting can lose.

--ready answers whether clients are served, by the exit code: for the
healthcheck of a Compose service that others depend on. --live answers whether
the supervisor lives, whatever postgres does: the image's own HEALTHCHECK.`,
		Example: `  pgbaton status
  pgbaton status -o json
  pgbaton status --watch          again every two seconds, until ^C
  pgbaton status --watch=500ms
  pgbaton status --ready && psql -c 'select 1'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), newClient(), cmd.OutOrStdout())
		},
	}
	f.output = addFormat(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&f.ready, "ready", false, "exit 0 when clients are served, else 1 and one line why")
	flags.BoolVar(&f.live, "live", false, "exit 0 when the supervisor lives")
	flags.DurationVarP(&f.watch, "watch", "w", 0, "print again at this interval (2s when none is given)")
	flags.Lookup("watch").NoOptDefVal = watchInterval.String()
	cmd.MarkFlagsMutuallyExclusive("ready", "live", "watch")
	cmd.MarkFlagsMutuallyExclusive("ready", "live", "output")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("watch") && f.watch < 100*time.Millisecond {
			return fmt.Errorf("--watch=%s is shorter than 100ms", f.watch)
		}
		return nil
	}
	return cmd
}

func (f *statusFlags) run(ctx context.Context, c *nodeapi.Client, w io.Writer) error {
	switch {
	case f.live:
		return refused(c.Alive(ctx))
	case f.ready:
		return ready(ctx, c, w)
	case f.watch > 0:
		return f.again(ctx, c, w)
	}
	fleet, err := c.Fleet(ctx)
	if err != nil {
		return refused(err)
	}
	return f.print(w, fleet)
}

func ready(ctx context.Context, c *nodeapi.Client, w io.Writer) error {
	st, err := c.State(ctx)
	switch {
	case err != nil:
		return refused(err)
	case !st.Ready:
		why := st.Why
		if st.Phase == node.Running { // its server serves; its commits do not return
			why = st.Verdict.Why
		}
		return &failed{exitNo, fmt.Errorf("not ready: %s: %s", st.Phase, why)}
	}
	_, err = fmt.Fprintln(w, "ready")
	return err
}

// again prints until ^C. A supervisor that goes away on the way is no reason
// to stop looking: it will be restarted.
func (f *statusFlags) again(ctx context.Context, c *nodeapi.Client, w io.Writer) error {
	tick := time.NewTicker(f.watch)
	defer tick.Stop()
	wipe := ""
	if *f.output == table && isTerminal(w) {
		wipe = "\x1b[H\x1b[2J"
	}
	for first := true; ; first = false {
		fleet, err := c.Fleet(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && first:
			return refused(err)
		case err != nil:
			fmt.Fprintf(os.Stderr, "pgbaton: %v\n", err)
		default:
			if !first && wipe == "" && *f.output == table {
				fmt.Fprintln(w)
			}
			fmt.Fprint(w, wipe)
			if err := f.print(w, fleet); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (f *statusFlags) print(w io.Writer, fleet nodeapi.Fleet) error {
	if *f.output == table {
		return printFleet(w, fleet, isTerminal(w))
	}
	enc := json.NewEncoder(w)
	if f.watch == 0 { // else one line for each look
		enc.SetIndent("", "  ")
	}
	return enc.Encode(fleet.Node)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
