package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
)

func newUpgradeStatus() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "How far the upgrade is, or what became of the latest one",
		Long: `status shows the latest upgrade, check or rehearsal of this node: its steps and
their times, what was found, the outage, where the old cluster is, and how to
undo or finish. With --watch it follows one that runs, or one that a marker file
on the volume asks for, until its end, and its exit code is that of the upgrade.
Where there was none, the exit code is 1.`,
		Example: `  pgbaton upgrade status
  pgbaton upgrade status --watch
  pgbaton upgrade status -o json`,
		Args: cobra.NoArgs,
	}
	output := addFormat(cmd)
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "follow it until it ends")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		st, err := newClient().State(cmd.Context())
		if err == nil && watch {
			st, err = awaitMarker(cmd.Context(), newClient(), st)
		}
		if err != nil {
			return refused(err)
		}
		if st.Upgrade == nil {
			return &failed{exitNo, errors.New("this node knows of no upgrade" + hintNewer(st))}
		}
		u := *st.Upgrade
		if watch {
			f := newFollower(newClient(), newView(cmd.ErrOrStderr(), ""))
			if u, err = f.follow(cmd.Context(), st); err != nil {
				return err
			}
		}
		if err := printUpgrade(cmd.OutOrStdout(), u, *output); err != nil || !watch {
			return err
		}
		return verdict(u.Do, u)
	}
	return cmd
}

// awaitMarker waits until what becomes of a marker is told, where one lies on the
// volume or was taken a moment ago.
func awaitMarker(ctx context.Context, c *nodeapi.Client, st node.State) (node.State, error) {
	before := markOf(st.Upgrade)
	begun, gone := time.Now(), 0
	for time.Since(begun) < patience && markOf(st.Upgrade) == before && (st.Upgrade == nil || st.Upgrade.Outcome != node.UpgradeRunning) {
		if gone++; marked(st.Volume) {
			gone = 0
		}
		if gone > 2 { // what was taken is told by now
			break
		}
		select {
		case <-ctx.Done():
			return st, ctx.Err()
		case <-time.After(lookInterval):
		}
		var err error
		if st, err = c.State(ctx); err != nil {
			return st, err
		}
	}
	return st, nil
}

// marked reports whether a marker lies on the volume, taken already or not.
func marked(volume string) bool {
	for _, name := range []string{"upgrade", ".pgbaton/upgrade.claimed"} {
		if _, err := os.Lstat(filepath.Join(volume, name)); volume != "" && err == nil {
			return true
		}
	}
	return false
}

// hintNewer says that an upgrade is possible, as a hint; or nothing.
func hintNewer(st node.State) string {
	if text := newerText(st); text != "" {
		return "\nhint: " + text
	}
	return ""
}

// newerText names the majors that the node could be upgraded to, in the
// supervisor's words where it has some; or nothing.
func newerText(st node.State) string {
	if st.Offer != "" {
		return st.Offer
	}
	var newer []string
	for _, major := range st.Available {
		if st.Major > 0 && major > st.Major {
			newer = append(newer, fmt.Sprint(major))
		}
	}
	last := len(newer) - 1
	switch {
	case last < 0:
		return ""
	case last == 0:
		return "an upgrade to " + newer[0] + " is available: `pgbaton upgrade check`"
	}
	return "upgrades to " + strings.Join(newer[:last], ", ") + " and " + newer[last] + " are available: `pgbaton upgrade check`"
}
