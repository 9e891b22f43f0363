package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
)

func newSwitchover() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "switchover",
		Short: "Make another node the primary, without losing a commit",
		Long: `switchover hands the primary over to the heir, or to the node of --to. It returns
when the cluster is whole again: the old primary follows the new one, and an heir
is armed, so that the next fault is covered too. Run it on the primary. Until the
old primary has given its right away every failure brings it back; no acknowledged
commit is lost. Its sessions end, and clients connect again.`,
		Example: `  pgbaton switchover
  pgbaton switchover --to db2
  pgbaton switchover --yes        do not ask`,
	}
	cmd.Flags().StringVar(&to, "to", "", "the `node` that becomes the primary (default the heir)")
	return changing(cmd, func(cmd *cobra.Command) (node.Order, error) {
		if cmd.Flags().Changed("to") && to == "" {
			return node.Order{}, errors.New("--to has no value")
		}
		return node.Order{Do: node.Switchover, To: to}, nil
	}, switchoverCost)
}

func newPromote() *cobra.Command {
	return forcible(&cobra.Command{
		Use:   "promote",
		Short: "Make this standby the primary, where the present one is gone",
		Long: `promote makes this standby the primary. It is refused where a primary answers (use
pgbaton switchover) and where this standby is not armed, because commits may be
missing here then.

--force accepts both: commits that this node has not received are lost, and a
primary that lives on makes a second history, of which one is given up later.`,
		Example: `  pgbaton promote
  pgbaton promote --force         I accept what that loses`,
	}, node.Promote, "promote although commits may be missing here, or a\nprimary may live", promoteCost)
}

func newAlone() *cobra.Command {
	return forcible(&cobra.Command{
		Use:   "alone",
		Short: "Let this primary go on without its heir",
		Long: `alone ends the waiting of a primary for an heir that is silent: from then on
commits are on this node alone, until another standby is armed. An heir that
answers gives its right to promote back by itself where it is no good any more,
so without --force this order is refused, and the refusal says what is the case.

--force does not wait for the heir's answer. Where the heir has promoted
meanwhile, or does so later, the cluster has two histories, of which one is
given up later: make sure that it is down, and stays down until it sees this
node. On a node that holds because its right to open is unknown, --force makes
its data the cluster's.`,
		Example: `  pgbaton alone --force           the heir is down; I have made sure`,
	}, node.Alone, "do not wait for the heir's answer; I have made sure that\nit is down", aloneCost)
}

func newReclone() *cobra.Command {
	return changing(&cobra.Command{
		Use:   "reclone",
		Short: "Replace this node's data by a copy of the primary's",
		Long: `reclone stops postgres here and makes a new copy of the primary's data. The old
data is kept aside until the copy runs, so the volume needs room for both. Until
then this node cannot take over. On a running primary it is refused.`,
		Example: `  pgbaton reclone
  pgbaton reclone --yes           do not ask`,
	}, func(*cobra.Command) (node.Order, error) { return node.Order{Do: node.Reclone}, nil }, recloneCost)
}

func newPause() *cobra.Command {
	return changing(&cobra.Command{
		Use:   "pause",
		Short: "Let this node change no role by itself",
		Long: `pause keeps this node from changing its role by itself, until pgbaton resume:
for work on the network or on the other nodes. It holds across restarts.`,
		Example: `  pgbaton pause
  pgbaton pause --yes             do not ask`,
	}, func(*cobra.Command) (node.Order, error) { return node.Order{Do: node.Pause}, nil }, pauseCost)
}

func newResume() *cobra.Command {
	return changing(&cobra.Command{
		Use:   "resume",
		Short: "Let this node change its role by itself again",
		Long: `resume ends a pause. What the pause held back may happen at once: a standby that
is the heir of a silent primary promotes.`,
		Example: `  pgbaton resume
  pgbaton resume --yes            do not ask`,
	}, func(*cobra.Command) (node.Order, error) { return node.Order{Do: node.Resume}, nil }, resumeCost)
}

func newForget() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "forget NODE",
		Short: "Take a node that is gone for good out of the cluster",
		Long: `forget takes a node that is gone for good out of the cluster: it does not count as
silent any more, and its replication slots are dropped, on every node, on those
that are away as soon as they are back. Until it is given a node that was once
one of the cluster's is never taken for absent, whatever its name resolves to.

Run it on any other node. It is refused while the node answers, and where it may
hold a right: as the primary, or as an heir that may have promoted. --force
accepts that.

A node that comes back with its data is one of the cluster's again as soon as it
answers.`,
		Example: `  pgbaton forget db3
  pgbaton forget db3 --force      it is gone, whatever it may have been`,
	}
	cmd.Flags().BoolVar(&force, "force", false, "forget it although it may be the primary, or may have\npromoted; I have made sure that it never comes back")
	yes, s := addYes(cmd), addSettling(cmd, settleWithin)
	cmd.Args = cobra.ExactArgs(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return changeRole(cmd, node.Order{Do: node.Forget, To: args[0], Force: force}, *yes, s, forgetCost)
	}
	return cmd
}

// forcible makes a command that has a --force.
func forcible(cmd *cobra.Command, do node.Verb, usage string, cost func(nodeapi.Fleet, node.Order) string) *cobra.Command {
	var force bool
	cmd.Flags().BoolVar(&force, "force", false, usage)
	return changing(cmd, func(*cobra.Command) (node.Order, error) {
		return node.Order{Do: do, Force: force}, nil
	}, cost)
}

// changing makes a command that changes roles: it says what that may cost, asks
// before it gives the order, and ends when the cluster is whole again.
func changing(cmd *cobra.Command, order func(*cobra.Command) (node.Order, error), cost func(nodeapi.Fleet, node.Order) string) *cobra.Command {
	yes := addYes(cmd)
	within := settleWithin
	if cmd.Name() == string(node.Reclone) {
		within = copyWithin
	}
	s := addSettling(cmd, within)
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o, err := order(cmd)
		if err == nil {
			err = s.check(cmd)
		}
		if err != nil {
			return err
		}
		return changeRole(cmd, o, *yes, s, cost)
	}
	return cmd
}

// changeRole gives the order, after a question unless yes is said already.
func changeRole(cmd *cobra.Command, o node.Order, yes bool, s *settling, cost func(nodeapi.Fleet, node.Order) string) error {
	if !yes {
		if err := askForRole(cmd, o, cost); err != nil {
			return err
		}
	}
	return give(cmd, o, s)
}

// askForRole asks with the facts of this moment.
func askForRole(cmd *cobra.Command, o node.Order, cost func(nodeapi.Fleet, node.Order) string) error {
	if err := mayAsk(cmd, string(o.Do)); err != nil {
		return err
	}
	f, err := newClient().Fleet(cmd.Context())
	switch {
	case err != nil:
		return refused(err)
	case f.Node.Cluster == nil:
		return &failed{exitNo, errors.New("this node has no peers (PGBATON_PEERS), so there are no roles to change; nothing was done")}
	}
	return ask(cmd.InOrStdin(), cmd.ErrOrStderr(), cost(f, o))
}
