package pg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// ErrNoCheckpoint is returned where the source has made no checkpoint since it
// was promoted: pg_rewind would take it for what it was before. Login.Checkpoint
// there, then again.
var ErrNoCheckpoint = errors.New("the source has made no checkpoint since its promotion")

// ErrNothingRewound is returned where pg_rewind found nothing to do.
var ErrNothingRewound = errors.New("pg_rewind found nothing to do although this data goes on after the branch: " +
	"its timeline has the number of the source's and another history, so only a copy can tell them apart")

// RewindSpec says how a former primary's data becomes that of a standby.
type RewindSpec struct {
	Binaries Binaries
	Data     string     // of the server that is down, shut down cleanly; absolute
	From     Source     // the new primary
	User     *proc.User // the server's user; nil is this process's
	Env      []string   //

	Auto map[string]string // our parameters in postgresql.auto.conf, see WriteAuto

	// Ours are entries at the top of a data directory that are no part of a
	// cluster. None may be in Data: pg_rewind removes or replaces whatever the
	// source has not, or has otherwise. Those of the source are removed.
	Ours []string

	// Progress is told bytes copied and bytes in all, about once a second.
	Progress func(done, total int64)
}

// Rewind brings Data back to the history of the source with pg_rewind
// (https://www.postgresql.org/docs/current/app-pgrewind.html), which the kernel
// ends together with this process, and makes it a standby. The caller knows that
// Data has WAL that the source lacks, so a pg_rewind that finds nothing to do is
// an error (ErrNothingRewound): it goes by the numbers of timelines, and two
// histories have the same one.
//
// begun tells whether pg_rewind was run: after an error with begun the data
// directory may be neither the old one nor the new one and has to be cloned.
// Configuration files in the data directory
// become the source's, and files that the source does not have are removed.
func Rewind(ctx context.Context, r RewindSpec) (begun bool, err error) {
	begun, err = r.run(ctx)
	if err != nil {
		err = fmt.Errorf("rewind %s onto %s: %w", r.Data, r.From, err)
	}
	return begun, err
}

func (r RewindSpec) run(ctx context.Context) (begun bool, err error) {
	database, err := r.check(ctx)
	if err != nil {
		return false, err
	}
	before, err := ReadControl(r.Data)
	if err != nil {
		return false, err
	}
	if err := r.rewind(ctx, database); err != nil {
		return true, err
	}
	after, err := ReadControl(r.Data)
	if err != nil {
		return true, err
	}
	if before == after {
		return true, ErrNothingRewound
	}
	return true, becomeStandby(r.Data, r.Ours, r.Auto, r.User)
}

// check refuses before anything is touched. It returns the database to use.
func (r RewindSpec) check(ctx context.Context) (database string, err error) {
	for _, name := range r.Ours {
		if _, err := os.Lstat(filepath.Join(r.Data, name)); !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%s lies in the data directory, where pg_rewind would replace or remove it; nothing was done", name)
		}
	}
	if _, err := os.Lstat(filepath.Join(r.Data, "postmaster.pid")); !errors.Is(err, fs.ErrNotExist) {
		return "", errors.New("a postmaster.pid is there; nothing was done")
	}
	c, err := ReadControl(r.Data)
	if err != nil {
		return "", err
	}
	if !CleanShutdown(c) {
		return "", fmt.Errorf("its server was not shut down cleanly (%s): start it closed to all and stop it, or clone; nothing was done", c.State)
	}
	if !c.Checksums && !c.WALLogHints {
		return "", errors.New("it has neither data checksums nor wal_log_hints, so pg_rewind cannot tell what changed: clone; nothing was done")
	}
	f, err := r.From.facts(ctx, true)
	switch {
	case err != nil:
		return "", err
	case f.standby:
		return "", errors.New("the source is a standby; nothing was done")
	case f.system != c.SystemIdentifier:
		return "", fmt.Errorf("the source is another cluster: its system identifier is %d, not %d; nothing was done", f.system, c.SystemIdentifier)
	case f.major != r.Binaries.Major:
		return "", fmt.Errorf("the source is PostgreSQL %d, not %d; nothing was done", f.major, r.Binaries.Major)
	case !f.checkpointed:
		return "", fmt.Errorf("%w; nothing was done", ErrNoCheckpoint)
	}
	return f.database, nil
}

func (r RewindSpec) rewind(ctx context.Context, database string) error {
	out := &lineWriter{line: func(line string) {
		if done, total, ok := copied(line); ok && r.Progress != nil {
			r.Progress(done, max(done, total))
		}
	}}
	err := proc.Run(ctx, proc.Spec{
		Args: []string{
			r.Binaries.Path("pg_rewind"), "--target-pgdata=" + r.Data, "--progress", "--no-ensure-shutdown",
			"--source-server=" + r.From.toolInfo("dbname", database),
		},
		Env: helperEnv(r.Env), Dir: "/", User: r.User, Stdout: out, Stderr: out, Group: true,
	})
	out.end()
	return programError("pg_rewind", out, ctx, err)
}
