package inplace

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/upgrade"
)

// trialDir is the schema trial's own directory, relative to the volume.
const trialDir = ScratchDir + "/trial"

// trial is one schema trial.
type trial struct {
	*Site
	open     Session
	facts    upgrade.Facts
	tell     *trialProgress
	jobs     int
	dbs      []pg.SchemaDatabase
	preload  []string // libraries that a restore needs and the new server loads first
	mu       sync.Mutex
	failures []trialFailure
}

// Trial restores what pg_upgrade will restore, while the old server runs: every
// database's schema and the roles are dumped as pg_upgrade dumps them
// (generate_old_dump in pg_upgrade/dump.c) and restored into a throw-away cluster of
// the new major as it restores them (create_new_objects in pg_upgrade.c).
// pg_upgrade --check lets schemas pass that the restore then refuses.
//
// The old cluster is only read; no tablespace directory of it is touched.
// Needed on the volume: an empty cluster (about 100 MB), some 20 kB for each
// relation, and the compressed dumps. All of it is gone when Trial returns, and
// a reserve is left to the old server meanwhile. An error is what kept the trial
// from being made, not what it found.
func Trial(ctx context.Context, s *Site, open Session, f upgrade.Facts, progress Progress) (found []node.Finding, err error) {
	t := &trial{Site: s, open: open, facts: f, tell: &trialProgress{tell: progress}, jobs: min(runtime.GOMAXPROCS(0), 8)}
	defer func() {
		if e := s.Root.RemoveAll(trialDir); e != nil {
			err = errors.Join(err, fmt.Errorf("remove the directory of the schema trial: %w", e))
		}
	}()
	found, err = t.watched(ctx)
	if err == nil {
		return found, nil
	}
	if f, ok := trialVerdict(err); ok && ctx.Err() == nil {
		return []node.Finding{f}, nil
	}
	return nil, fmt.Errorf("schema trial: %w", err)
}

// watched makes the trial as long as there is room.
func (t *trial) watched(ctx context.Context) ([]node.Finding, error) {
	for _, name := range []string{"trial", "trial/dump"} {
		if err := t.makeDir(name); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { watchSpace(ctx, t.Scratch("trial"), cancel) })
	found, err := t.run(ctx)
	cause := context.Cause(ctx)
	cancel(nil)
	wg.Wait()
	var v verdict
	if errors.As(cause, &v) { // what was under way then says only that it was killed
		return nil, v
	}
	return found, err
}

func (t *trial) run(ctx context.Context) ([]node.Finding, error) {
	if err := t.open(ctx, t.dump); err != nil {
		return nil, err
	}
	if err := t.restore(ctx); err != nil {
		return nil, err
	}
	if len(t.failures) == 0 {
		return nil, nil
	}
	if err := t.open(ctx, t.describe); err != nil {
		return nil, err
	}
	slices.SortFunc(t.failures, func(a, b trialFailure) int { return strings.Compare(a.Database, b.Database) })
	found := make([]node.Finding, len(t.failures))
	for i, f := range t.failures {
		found[i] = f.finding(t.releases())
	}
	return found, nil
}

// describe asks the old server for the whole names of the objects that failed:
// pg_restore gives them without schema.
func (t *trial) describe(ctx context.Context, login func(db string) pg.Login) error {
	for i := range t.failures {
		f := &t.failures[i]
		if f.Class == 0 {
			continue
		}
		name, err := login(f.Database).DescribeObject(ctx, f.Class, f.OID)
		if err != nil && ctx.Err() != nil {
			return err
		}
		if err == nil && name != "" { // else it was dropped meanwhile: pg_restore's words do
			f.Whole = name
		}
	}
	return nil
}

// file is the absolute path of a dump.
func (t *trial) file(name string) string { return t.Scratch("trial/dump/" + name) }

// program is one of the new major's, as a client of the server behind l; its
// last argument names the database of l.
func (t *trial) program(l pg.Login, args ...string) proc.Spec {
	args = append(args, "--host", l.SocketDir, "--port", fmt.Sprint(l.Port), "--username", l.User, "--no-password")
	spec := t.spec(t.New, args...)
	spec.Env = append(slices.Clone(spec.Env), "LC_ALL=C", "PGAPPNAME="+trialApplication, "PGOPTIONS=-c lc_messages=C",
		"PGPASSFILE=/nonexistent", "PGCONNECT_TIMEOUT=10")
	if l.Password != "" {
		spec.Env = append(spec.Env, "PGPASSWORD="+l.Password)
	}
	return spec
}

// inDatabase is the connection string for a database of any name.
func inDatabase(name string) string {
	return "--dbname=dbname='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(name) + "'"
}

// each runs do for the numbers below n, at most jobs at a time, and stops at
// the first error, which it returns once all have ended.
func each(ctx context.Context, n, jobs int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	slots := make(chan struct{}, max(1, jobs))
	for i := range n {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := do(ctx, i); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// trialProgress turns counts into percent: the dumps are the first forty.
type trialProgress struct {
	mu    sync.Mutex
	tell  Progress
	doing string
	told  time.Time
	total int // entries of all dumps
	done  int // of them restored
}

const dumpPercent = 40

func (p *trialProgress) say(doing string, percent float64) {
	if p.tell != nil {
		p.tell(doing, percent)
	}
}

func (p *trialProgress) restoring(doing string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doing, p.told = doing, time.Now()
	p.say(doing, p.percent())
}

func (p *trialProgress) restored() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	if time.Since(p.told) > time.Second {
		p.told = time.Now()
		p.say(p.doing, p.percent())
	}
}

func (p *trialProgress) percent() float64 {
	return dumpPercent + (100-dumpPercent)*float64(p.done)/float64(max(1, p.done, p.total))
}
