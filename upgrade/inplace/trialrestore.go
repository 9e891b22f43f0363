package inplace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// restore makes the throw-away cluster and restores all dumps.
func (t *trial) restore(ctx context.Context) (err error) {
	for i := range t.dbs {
		n, err := t.entries(ctx, i)
		if err != nil {
			return fmt.Errorf("read the dump of database %q: %w", t.dbs[i].Name, err)
		}
		t.tell.total += n
	}
	t.tell.restoring(fmt.Sprintf("making a throw-away cluster of PostgreSQL %d", t.New.Major))
	if err := MakeCluster(ctx, t.Site, t.facts, t.Scratch("trial/data"), ""); err != nil {
		return err
	}
	h, err := pg.StartHelper(ctx, pg.HelperSpec{
		Binaries: t.New, Data: t.Scratch("trial/data"), User: &t.User, Env: t.Environ, Superuser: t.Superuser,
		Dirs: []string{filepath.Dir(t.Sockets), "/tmp", t.Scratch("trial")}, BinaryUpgrade: true,
		Preload: strings.Join(t.preload, ", "), Settings: t.settings(),
	})
	if err != nil {
		return err
	}
	defer func() {
		now, cancel := context.WithCancel(context.WithoutCancel(ctx))
		cancel() // at once, without a checkpoint: nothing of it is kept
		if e := h.Stop(now); e != nil {
			err = errors.Join(err, e)
		}
	}()
	if ok, err := t.restoreGlobals(ctx, h); !ok || err != nil {
		return err
	}
	return t.restoreDatabases(ctx, h)
}

// restoreGlobals reports whether roles and tablespaces are there.
func (t *trial) restoreGlobals(ctx context.Context, h *pg.Helper) (bool, error) {
	for _, name := range []string{"globals", "tablespaces"} {
		var out bytes.Buffer
		spec := t.program(h.Login(""), "psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=on",
			"--dbname=template1", "--file", t.file(name))
		spec.Stderr = &out
		err := proc.Run(ctx, spec)
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return false, err
		}
		return false, t.fail(globalsFailure(out.String(), err))
	}
	return true, nil
}

// restoreDatabases: template1 first and alone, for the others are restored
// through a session in it (create_new_objects in pg_upgrade.c).
func (t *trial) restoreDatabases(ctx context.Context, h *pg.Helper) error {
	rest := 0
	if len(t.dbs) > 0 && t.dbs[0].Name == "template1" {
		if err := t.restoreDatabase(ctx, h, 0); err != nil {
			return err
		}
		rest = 1
	}
	return each(ctx, len(t.dbs)-rest, t.jobs, func(ctx context.Context, i int) error {
		return t.restoreDatabase(ctx, h, rest+i)
	})
}

func (t *trial) restoreDatabase(ctx context.Context, h *pg.Helper, i int) error {
	name := t.dbs[i].Name
	t.tell.restoring(fmt.Sprintf("restoring the schema of database %q, %d of %d", name, i+1, len(t.dbs)))
	out := &restoreOutput{restored: t.tell.restored}
	spec := t.program(h.Login(""), append([]string{"pg_restore"}, t.restoreOptions(name, i)...)...)
	spec.Stderr = out
	err := proc.Run(ctx, spec)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return err
	}
	f := out.failure(name, err)
	if log := h.Log(); !strings.Contains(f.Detail, "ERROR:") && log != "" { // the session ended, and only the server knows why
		f.Detail += "\n" + log
	}
	return t.fail(f)
}

// transactionSize is RESTORE_TRANSACTION_SIZE of pg_upgrade.c, from 17 on.
const transactionSize = 1000

// restoreOptions: template1 and postgres are there already and have to go
// first, with what was set for them.
func (t *trial) restoreOptions(name string, i int) []string {
	through, opts := "template1", []string{"--create", "--exit-on-error", "--verbose"}
	if name == "template1" {
		through = "postgres"
	}
	if name == "template1" || name == "postgres" {
		opts = append(opts, "--clean")
	}
	if t.New.Major >= 17 {
		size := transactionSize
		if name != "template1" {
			size = max(10, size/t.jobs)
		}
		opts = append(opts, fmt.Sprintf("--transaction-size=%d", size))
	}
	return append(opts, "--dbname", through, t.file(fmt.Sprint(i)))
}

// fail notes a failure; a full disk ends the trial.
func (t *trial) fail(f trialFailure) error {
	if diskFull(f.Detail) {
		return errors.New(f.Detail)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures = append(t.failures, f)
	return nil
}
