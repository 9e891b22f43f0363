package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
)

// upgradeHelp follows the help of the commands of upgrade.
const upgradeHelp = `
Exit codes:
  0  done, checked, rehearsed, undone on request, or finished
  1  refused, or the answer is no; nothing was touched
  2  the command line is wrong; nothing was done
  3  no supervisor answers
  4  failed, and the old cluster serves (again); an undo or a finish that failed
  5  held: it goes neither on nor back without an operator
`

func newUpgrade() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Upgrade to another major of PostgreSQL, in place",
		Long: `upgrade upgrades the cluster of this container to another major of PostgreSQL,
in place, and shows how far that is. A file named upgrade on the volume asks for
the same.`,
		Example: `  pgbaton upgrade check           would it succeed? The server serves on
  pgbaton upgrade rehearse        all of it on a copy: findings, expected outage
  pgbaton upgrade now             to the newest major whose programs are here
  pgbaton upgrade now --target 17 --mode link
  pgbaton upgrade status --watch  how far it is
  pgbaton upgrade undo            back to the old cluster
  pgbaton upgrade finish          remove the old cluster`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetUsageTemplate(cmd.UsageTemplate() + upgradeHelp)
	cmd.AddCommand(newUpgradeNow(), newUpgradeCheck(), newUpgradeRehearse(),
		newUpgradeStatus(), newUpgradeUndo(), newUpgradeFinish())
	return cmd
}

func newUpgradeNow() *cobra.Command {
	return upgrading(&cobra.Command{
		Use:   "now",
		Short: "Upgrade, and wait until it is done",
		Long: `now upgrades. What can be known beforehand is checked while the server serves on,
and an upgrade that would fail is refused there. Until clients are let in to the
new major every failure brings the old cluster back by itself; only in mode link
that ends a moment earlier, with the first start of the new server.

On a terminal it asks first, and says which way back there will be. The command
only watches: interrupting it does not interrupt the upgrade.`,
		Example: `  pgbaton upgrade now
  pgbaton upgrade now --yes       do not ask; as where there is no terminal
  pgbaton upgrade now --target 17 --mode copy --keep 72h
  pgbaton upgrade now --no-wait && pgbaton upgrade status --watch`,
	}, node.UpgradeNow)
}

func newUpgradeCheck() *cobra.Command {
	return upgrading(&cobra.Command{
		Use:   "check",
		Short: "Would an upgrade succeed?",
		Long: `check does what an upgrade does first, beside the running server: it looks for
everything that would make the upgrade fail, restores every schema into a
throw-away cluster of the new major, and says what it found. It changes nothing.
The flags are those of now, so that what was checked can be run.`,
		Example: `  pgbaton upgrade check
  pgbaton upgrade check --target 17 --mode link -o json`,
	}, node.UpgradeCheck)
}

func newUpgradeRehearse() *cobra.Command {
	return upgrading(&cobra.Command{
		Use:   "rehearse",
		Short: "Upgrade a copy, and tell the expected outage",
		Long: `rehearse takes a copy of the cluster beside the running server, upgrades the copy,
removes it, and tells findings, the time of each step and the expected outage.
It needs the room of a copy on the volume. The flags are those of now.`,
		Example: `  pgbaton upgrade rehearse
  pgbaton upgrade rehearse --target 18 --mode link`,
	}, node.UpgradeRehearse)
}

// upgrading adds what now, check and rehearse have in common.
func upgrading(cmd *cobra.Command, do node.UpgradeVerb) *cobra.Command {
	r := node.UpgradeRequest{Do: do}
	flags := cmd.Flags()
	flags.IntVar(&r.Target, "target", 0, "the `major` to upgrade to (default the newest one whose\nprograms are here)")
	flags.StringVar((*string)(&r.Mode), "mode", "", "`how` files are taken over: auto, clone, link or copy;\nauto clones where the file system can, else links\n(default auto)")
	flags.IntVar(&r.Jobs, "jobs", 0, "how many `processes` work at once (default the\nprocessors that the container may use)")
	flags.StringVar((*string)(&r.Analyze), "analyze", "", "how statistics are `made` afterwards: stages, full or off\n(default stages)")
	flags.StringVar((*string)(&r.Reindex), "reindex", "", "`which` indexes of changed collations are rebuilt: auto,\nchanged or off (default auto)")
	flags.DurationVar(&r.Keep, "keep", 0, "how long the old cluster is kept, such as 72h\n(default PGBATON_UPGRADE_KEEP, until finish)")
	flags.BoolVar(&r.NoTrial, "no-trial", false, "do not restore the schemas into a throw-away cluster first")
	yes := new(bool)
	if do == node.UpgradeNow {
		yes = addYes(cmd)
	}
	asking(cmd, func(cmd *cobra.Command, c *nodeapi.Client) (node.UpgradeRequest, error) {
		if do != node.UpgradeNow || *yes || mayAsk(cmd, string(do)) != nil {
			return r, nil
		}
		st, err := c.State(cmd.Context())
		if err != nil {
			return r, refused(err)
		}
		return r, ask(cmd.InOrStdin(), cmd.ErrOrStderr(), begins(r, st))
	})
	check := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkFlags(cmd, r); err != nil {
			return err
		}
		return check(cmd, args)
	}
	return cmd
}

// checkFlags refuses what the supervisor would refuse, in the command line's
// words: a flag with a zero value was meant, too.
func checkFlags(cmd *cobra.Command, r node.UpgradeRequest) error {
	for _, name := range []string{"target", "mode", "analyze", "reindex"} {
		if f := cmd.Flags().Lookup(name); f.Changed && (f.Value.String() == "" || f.Value.String() == "0") {
			return fmt.Errorf("--%s has no value", name)
		}
	}
	if err := r.Check(); err != nil {
		return fmt.Errorf("--%w", err)
	}
	return nil
}

// asking makes a command that asks for something and follows it. prepare makes
// the request.
func asking(cmd *cobra.Command, prepare func(*cobra.Command, *nodeapi.Client) (node.UpgradeRequest, error)) {
	var noWait bool
	output := addFormat(cmd)
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "return as soon as the supervisor has accepted it")
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, c := cmd.Context(), newClient()
		r, err := prepare(cmd, c)
		if err != nil {
			return err
		}
		f := newFollower(c, newView(cmd.ErrOrStderr(), r.Do))
		f.asked = r.Do
		st, err := f.give(ctx, r)
		switch {
		case errors.Is(err, context.Canceled):
			return &failed{exitNo, errors.New("no longer waiting; the supervisor may have accepted the request\nhint: see `pgbaton upgrade status`")}
		case err != nil:
			return refused(err)
		case noWait:
			return accepted(cmd.OutOrStdout(), r, st, *output)
		}
		u, err := f.follow(ctx, st)
		if err != nil {
			return err
		}
		if err := printUpgrade(cmd.OutOrStdout(), u, *output); err != nil {
			return err
		}
		return verdict(r.Do, u)
	}
}

// accepted is what --no-wait prints.
func accepted(w io.Writer, r node.UpgradeRequest, st node.State, f format) error {
	if f == jsonText {
		return printUpgradeJSON(w, st.Upgrade)
	}
	_, err := fmt.Fprintf(w, "accepted: %s; `pgbaton upgrade status --watch` shows how far it is\n", r.Do)
	return err
}

// verdict is the exit code of an upgrade that ended; the summary was printed.
func verdict(asked node.UpgradeVerb, u node.Upgrade) error {
	back := asked == node.UpgradeUndo
	switch u.Outcome {
	case node.UpgradeRefused:
		return &failed{code: exitNo}
	case node.UpgradeHeld:
		return &failed{code: exitHeld}
	case node.UpgradeFailed:
		return &failed{code: exitUndone}
	case node.UpgradeUndone:
		if !back {
			return &failed{code: exitUndone}
		}
	case node.UpgradeDone:
		if back || asked == node.UpgradeFinish { // neither came about
			return &failed{code: exitUndone}
		}
	}
	return nil
}

func printUpgradeJSON(w io.Writer, u *node.Upgrade) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(u)
}
