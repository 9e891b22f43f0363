package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
	"github.com/pgbaton/pgbaton/upgrade"
)

func newUpgradeUndo() *cobra.Command {
	return confirmed(&cobra.Command{
		Use:   "undo",
		Short: "Go back to the old cluster",
		Long: `undo stops the new cluster and serves the old one again, where the upgrade kept it
whole (modes clone and copy). Every write since the upgrade stays behind in the
new cluster, which is kept aside. In mode link there is no way back once the new
server has started: undo is refused.`,
		Example: `  pgbaton upgrade undo
  pgbaton upgrade undo --yes      do not ask`,
	}, node.UpgradeUndo)
}

func newUpgradeFinish() *cobra.Command {
	return confirmed(&cobra.Command{
		Use:   "finish",
		Short: "Remove the old cluster",
		Long: `finish removes the old cluster that an upgrade kept. That gives back its room, and
takes the way back that modes clone and copy leave.`,
		Example: `  pgbaton upgrade finish
  pgbaton upgrade finish --yes    do not ask`,
	}, node.UpgradeFinish)
}

// confirmed makes a command that asks before it acts.
func confirmed(cmd *cobra.Command, do node.UpgradeVerb) *cobra.Command {
	yes := addYes(cmd)
	asking(cmd, func(cmd *cobra.Command, c *nodeapi.Client) (node.UpgradeRequest, error) {
		r := node.UpgradeRequest{Do: do, Force: true}
		if *yes {
			return r, nil
		}
		if err := mayAsk(cmd, string(do)); err != nil {
			return r, err
		}
		st, err := c.State(cmd.Context())
		if err != nil {
			return r, refused(err)
		}
		if st.Upgrade == nil { // nothing to lose: the supervisor says what is wrong
			return node.UpgradeRequest{Do: do}, nil
		}
		return r, ask(cmd.InOrStdin(), cmd.ErrOrStderr(), cost(do, *st.Upgrade, st.Kept))
	})
	return cmd
}

// cost says what an undo or a finish takes away. The latest upgrade may be a
// mere check: then nothing is known here of the old cluster.
func cost(do node.UpgradeVerb, u node.Upgrade, all []node.Kept) string {
	kept := u.Outcome == node.UpgradeDone && u.Retired != ""
	switch {
	case do == node.UpgradeFinish && kept && len(all) == 0:
		return removes([]node.Kept{{Major: u.From, Mode: u.Mode, Path: u.Retired}})
	case do == node.UpgradeFinish:
		return removes(all)
	case !kept:
		return "This stops the server and serves the old cluster again. Every write since the upgrade stays behind."
	}
	text := fmt.Sprintf("This stops PostgreSQL %d and serves the old cluster of PostgreSQL %d in %s again.", u.To, u.From, u.Retired)
	if u.Undo != "" {
		return text + " " + strings.ToUpper(u.Undo[:1]) + u.Undo[1:] + "."
	}
	return text + " Every write since the upgrade stays behind."
}

// removes says what a finish takes away of each old cluster.
func removes(kept []node.Kept) string {
	if len(kept) == 0 {
		return "This removes every old cluster that is kept, and with it the way back that modes clone and copy leave."
	}
	var texts []string
	for _, k := range kept {
		text := fmt.Sprintf("This removes the old cluster of PostgreSQL %d in %s.", k.Major, k.Path)
		if k.Mode == node.ModeLink {
			text += " It is no way back any more: it shares its files with the new one (mode link)."
		} else {
			text += " It is the only way back except a restore."
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, " ")
}

// begins says what an upgrade that is asked for now will do, as far as it is
// known before preflight.
func begins(r node.UpgradeRequest, st node.State) string {
	target := r.Target
	if target == 0 {
		for _, major := range st.Available {
			target = max(target, major)
		}
	}
	text := fmt.Sprintf("This upgrades PostgreSQL %d to %d in place; clients are not served meanwhile.", st.Major, target)
	if u := st.Upgrade; u != nil && u.Outcome == node.Rehearsed && u.To == target && u.From == st.Major {
		text += fmt.Sprintf(" The rehearsal expects %s without service.", tookText(u.Forecast))
	} else {
		text += " For how long, `pgbaton upgrade rehearse` tells."
	}
	mode := r.Mode
	if mode == "" || mode == node.ModeAuto {
		mode = st.AutoMode
	}
	if way := upgrade.WayBackText(mode); way != "" {
		return text + " Mode " + string(mode) + "; way back: " + way + "."
	}
	return text + " Mode auto: it clones where the file system can, which leaves a way back, else it links, which leaves none."
}

// addYes gives a command that asks its --yes.
func addYes(cmd *cobra.Command) *bool {
	var yes bool
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask: I accept what it costs")
	return &yes
}

// mayAsk refuses to ask where nobody can answer.
func mayAsk(cmd *cobra.Command, do string) error {
	if f, ok := cmd.InOrStdin().(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return fmt.Errorf("%s asks before it acts, and standard input is no terminal; give --yes", do)
	}
	return nil
}

// ask asks on a terminal; anything but yes is a no.
func ask(in io.Reader, out io.Writer, cost string) error {
	fmt.Fprintf(out, "%s\nType yes to go on: ", wrap(cost, tableWidth, ""))
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	if strings.TrimSpace(answer) != "yes" {
		return &failed{exitNo, errors.New("not confirmed; nothing was done")}
	}
	return nil
}
