package inplace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// trialApplication is the application_name of the dumps.
const trialApplication = "pgbaton-schema-trial"

// How long the dump may wait for a lock, and how long somebody else may wait
// for one that the dump has: an ALTER TABLE that waits makes every later
// statement on that table wait too.
const (
	dumpWaits  = 10 * time.Second
	dumpBlocks = 5 * time.Second
)

// dump writes everything that is to be restored. It goes to files and not into
// the restore, so that the locks on all tables last as short as they can.
func (t *trial) dump(ctx context.Context, login func(db string) pg.Login) error {
	dbs, err := pg.SchemaDatabases(ctx, login)
	if err != nil {
		return err
	}
	slices.SortStableFunc(dbs, func(a, b pg.SchemaDatabase) int { return templateFirst(a.Name) - templateFirst(b.Name) })
	t.dbs = dbs
	table, err := login("").LockTable(ctx)
	if err != nil {
		return err
	}
	jobs := parallelDumps(table, dbs, t.jobs)
	if jobs == 0 {
		return verdict{lockTableFinding(table, dbs)}
	}
	if t.preload, err = t.preloads(ctx, login("")); err != nil {
		return err
	}
	t.tell.say("dumping roles and tablespaces", 0)
	if err := t.dumpGlobals(ctx, login("")); err != nil {
		return err
	}
	return each(ctx, len(dbs), jobs, func(ctx context.Context, i int) error {
		t.tell.say(fmt.Sprintf("dumping the schema of database %q, %d of %d", dbs[i].Name, i+1, len(dbs)),
			dumpPercent*float64(i)/float64(len(dbs)))
		return t.dumpDatabase(ctx, login(dbs[i].Name), i)
	})
}

func templateFirst(name string) int {
	if name == "template1" {
		return 0
	}
	return 1
}

// dumpLocks is how many locks a dump takes besides those on relations of
// users: on the catalogs and their indexes (about 100 in 15 to 18).
const dumpLocks = 150

// parallelDumps is how many databases can be dumped at a time with the locks
// that the old server has room for, at most jobs. 0: not even the largest one.
func parallelDumps(table pg.LockTable, dbs []pg.SchemaDatabase, jobs int) int {
	sorted := slices.SortedFunc(slices.Values(dbs), func(a, b pg.SchemaDatabase) int { return b.Relations - a.Relations })
	room := table.Size() - table.Held
	n := 0
	for _, d := range sorted {
		room -= d.Relations + dumpLocks
		if n == jobs || room < 0 {
			break
		}
		n++
	}
	return n
}

// dumpGlobals leaves the tablespaces to InPlaceTablespaces: restored as they
// are they would make directories in the real ones, and pg_upgrade would then
// refuse.
func (t *trial) dumpGlobals(ctx context.Context, l pg.Login) error {
	spec := t.program(l, "pg_dumpall", "--globals-only", "--no-tablespaces", "--quote-all-identifiers",
		"--binary-upgrade", "--no-sync", "--file", t.file("globals"))
	if err := proc.Run(ctx, spec); err != nil {
		return fmt.Errorf("dump roles and settings: %w", err)
	}
	script, err := l.InPlaceTablespaces(ctx)
	if err != nil {
		return err
	}
	name := filepath.Join(trialDir, "dump", "tablespaces")
	if err := t.Root.WriteFile(name, script, 0o600); err != nil {
		return err
	}
	if uid, gid := t.owner(); uid >= 0 {
		return t.Root.Lchown(name, uid, gid)
	}
	return nil
}

func (t *trial) dumpDatabase(ctx context.Context, l pg.Login, i int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		t.watchDump(ctx, l, cancel)
	}()
	err := proc.Run(ctx, t.program(l, slices.Concat(
		[]string{"pg_dump"}, dumpContents(t.New.Major),
		[]string{
			"--quote-all-identifiers", "--binary-upgrade", "--format=custom", "--no-sync",
			fmt.Sprintf("--lock-wait-timeout=%d", dumpWaits.Milliseconds()),
			"--file", t.file(fmt.Sprint(i)), inDatabase(l.Database),
		})...))
	cause := context.Cause(ctx)
	cancel(nil)
	<-watched
	var v verdict
	switch {
	case err == nil:
		return nil
	case errors.As(cause, &v):
		return v
	default:
		return &dumpError{l.Database, err}
	}
}

// dumpContents are the options by which the new major's pg_upgrade chooses what
// to dump (generate_old_dump in pg_upgrade/dump.c).
func dumpContents(major int) []string {
	if major < 18 {
		return []string{"--schema-only"}
	}
	return []string{"--no-data", "--statistics", "--sequence-data"}
}

// watchDump ends a dump that waits, or that others wait for, for too long. Its
// own --lock-wait-timeout is for tables alone, not for what the server locks on
// its behalf.
func (t *trial) watchDump(ctx context.Context, l pg.Login, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		d, err := l.DumpLocks(ctx, trialApplication)
		if err != nil {
			continue // too many sessions: pg_dump's own limit is left
		}
		// A second before pg_dump gives up by itself, for it does not say who is in its way.
		if d.Waits > (dumpWaits-2*time.Second).Seconds() || d.Blocks > dumpBlocks.Seconds() {
			cancel(verdict{lockWaitFinding(l.Database, d)})
			return
		}
	}
}

// entries counts the entries of a dump.
func (t *trial) entries(ctx context.Context, i int) (int, error) {
	spec := t.spec(t.New, "pg_restore", "--list", t.file(fmt.Sprint(i)))
	var n lineCounter
	spec.Stdout = &n
	err := proc.Run(ctx, spec)
	return int(n), err
}

// lineCounter counts lines; some are comments, which is of no matter for a
// percentage.
type lineCounter int

func (n *lineCounter) Write(p []byte) (int, error) {
	*n += lineCounter(bytes.Count(p, []byte("\n")))
	return len(p), nil
}
