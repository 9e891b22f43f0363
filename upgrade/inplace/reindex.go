package inplace

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
)

// RebuildBeforeOpening rebuilds, on the new server and before clients are let
// in, the indexes that must be right from the first moment, over jobs
// connections. before is the census of the old cluster: it knows the versions
// that pg_upgrade forgets. An index that cannot be rebuilt is a finding, and the
// next one is gone on with. The error is of what could not be looked at.
//
// It can be killed at any moment and begun again. It costs a few queries where
// no version changed.
func RebuildBeforeOpening(
	ctx context.Context, s *Site, open Session, before upgrade.Census, req node.UpgradeRequest, jobs int, progress Progress,
) (found []node.Finding, err error) {
	err = open(ctx, func(ctx context.Context, login func(db string) pg.Login) error {
		found, err = s.rebuildFirst(ctx, login, before, req, jobs, progress)
		return err
	})
	return found, err
}

func (s *Site) rebuildFirst(
	ctx context.Context, login func(db string) pg.Login, before upgrade.Census, req node.UpgradeRequest, jobs int, progress Progress,
) (found []node.Finding, err error) {
	dbs, err := usedAsBuilt(ctx, before, login)
	if err != nil {
		return nil, err
	}
	list, err := s.listStale(ctx, dbs, login)
	if err != nil {
		return nil, err
	}
	left, err := list.left(ctx, login)
	if err != nil {
		return nil, err
	}
	var todo []rebuild
	for db, indexes := range left {
		for _, i := range indexes {
			if upgrade.BeforeOpening(i, req.Reindex) {
				todo = append(todo, rebuild{db, i})
			}
		}
	}
	found = rebuildAll(ctx, login, todo, jobs, progress)
	if err := ctx.Err(); err != nil {
		return found, context.Cause(ctx)
	}
	if len(list.Indexes) > 0 && !list.Tried {
		list.Tried = true
		if err := s.writeStale(list); err != nil {
			return found, err
		}
	}
	if left, err = list.left(ctx, login); err != nil {
		return found, err
	}
	// The others are looked at once clients are in.
	free := slices.DeleteFunc(dbs, func(d pg.DatabaseCollations) bool { return len(left[d.Database]) > 0 })
	more, err := refreshVersions(ctx, free, left, login)
	found = append(found, more...)
	if err == nil && req.Reindex == node.ReindexOff {
		more, err = leftFindings(ctx, left, login)
		found = append(found, more...)
	}
	return found, err
}

// rebuild is one index to rebuild.
type rebuild struct {
	db    string
	index pg.Index
}

// rebuildAll rebuilds indexes plainly, database by database, over several
// connections at once.
func rebuildAll(
	ctx context.Context, login func(db string) pg.Login, todo []rebuild, jobs int, progress Progress,
) []node.Finding {
	t := tally{progress: progress}
	byDB := map[string][]pg.Index{}
	for _, r := range todo {
		byDB[r.db] = append(byDB[r.db], r.index)
		t.total += weight(r.index)
	}
	for _, db := range slices.Sorted(maps.Keys(byDB)) {
		indexes := make(chan pg.Index, len(byDB[db]))
		for _, i := range byDB[db] {
			indexes <- i
		}
		close(indexes)
		var workers sync.WaitGroup
		for range max(1, min(jobs, len(indexes))) {
			workers.Go(func() {
				err := login(db).ReindexEach(ctx, indexes, func(i pg.Index, err error) { t.note(ctx, rebuild{db, i}, err) })
				for i := range indexes { // nobody could be asked
					t.note(ctx, rebuild{db, i}, err)
				}
			})
		}
		workers.Wait()
	}
	return t.found
}

// tally is what became of rebuilds so far.
type tally struct {
	mu          sync.Mutex
	progress    Progress
	found       []node.Finding
	done, total int64
}

func (t *tally) note(ctx context.Context, r rebuild, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done += weight(r.index)
	if err != nil && ctx.Err() == nil {
		t.found = append(t.found, rebuildFailed(r, err, false))
	}
	t.progress("rebuilding indexes in database "+r.db, 100*float64(t.done)/float64(t.total))
}

func weight(i pg.Index) int64 { return max(1, i.Bytes) }

// rebuildFailed says what to do about an index that could not be rebuilt.
func rebuildFailed(r rebuild, err error, concurrently bool) node.Finding {
	f := node.Finding{
		Level: node.Note, Code: "reindex-failed",
		Text:   fmt.Sprintf("index %s in database %q could not be rebuilt in the order of its collation's new version, and is as it was", r.index.Name, r.db),
		Hint:   fmt.Sprintf("connect to database %q, mend what the server names, and run: %s", r.db, pg.ReindexSQL(r.index.Name, concurrently)),
		Detail: pg.ServerWords(err),
	}
	if pg.DuplicateKey(err) {
		f.Text += ": it holds rows that its constraint forbids"
		f.Hint = fmt.Sprintf("connect to database %q; set enable_indexscan, enable_bitmapscan and enable_indexonlyscan to off so that the rows are found; "+
			"delete or change the duplicates that the server names; then run: %s", r.db, pg.ReindexSQL(r.index.Name, concurrently))
	}
	return f
}
