package pg

import (
	"context"
	"fmt"
	"strconv"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// ReplayAll are arguments of a server in recovery that replays to the end of
// its WAL and can be promoted there, whatever a restore has left in the
// configuration files: a target would end its replay, or pause it, long before
// what it has received and told its primary to have. All are known to every
// PostgreSQL since 12. An empty value on the command line hides the files' one,
// whichever of the targets it is, before they are found to be too many.
//
// recovery_end_command would keep each promotion waiting, or end the server,
// and archive_cleanup_command of every standby remove from an archive that is
// the primary's: both were written for another recovery. restore_command stays:
// an archive may have what the primary has removed.
func ReplayAll() []string {
	args := []string{"-c", "recovery_target_timeline=latest", "-c", "recovery_end_command=", "-c", "archive_cleanup_command="}
	for _, kind := range []string{"", "_lsn", "_name", "_time", "_xid"} {
		args = append(args, "-c", "recovery_target"+kind+"=")
	}
	return args
}

// ReplayOwn are arguments of a server in recovery that replays the WAL that lies
// in its own directory and nothing else, along the timeline that its data is in.
// An archive may know of a newer one that this data is no beginning of.
func ReplayOwn() []string {
	return append(ReplayAll(), "-c", "restore_command=", "-c", "recovery_target_timeline=current", "-c", "recovery_min_apply_delay=0")
}

// FinishRestore are arguments of a server that ends a restore as its
// configuration says, and is promoted then, closed to everybody.
func FinishRestore() []string {
	return []string{"-c", "hot_standby=off", "-c", "recovery_target_action=promote"}
}

// Raised are arguments that give a standby no less of each setting than its
// WAL's primary had, where its own configuration, with args, has less: it would
// not start, or its replay would pause, and it could not be promoted.
func Raised(
	ctx context.Context, b Binaries, dir string, args []string, user *proc.User, env []string,
) (raised []string, err error) {
	c, err := ReadControl(dir)
	if err != nil {
		return nil, err
	}
	own, err := ShowSettings(ctx, b, dir, args, user, env, limitNames...)
	if err != nil {
		return nil, err
	}
	return raise(own, c.Needs), nil
}

func raise(own map[string]string, needs node.Needs) (args []string) {
	for _, l := range needs.Each() {
		if has, err := strconv.ParseInt(own[l.Name], 0, 64); err == nil && has < l.Now {
			args = append(args, "-c", fmt.Sprintf("%s=%d", l.Name, l.Now))
		}
	}
	return args
}
