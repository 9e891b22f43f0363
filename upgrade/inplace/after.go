package inplace

import (
	"context"
	"fmt"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
)

// After does what is left beside the open new server: updates extensions, makes
// statistics, rebuilds the other indexes whose collation changed, and records
// the new versions where all that depends on them was rebuilt. Nothing in it
// vetoes: what fails is a finding. It can be killed at any moment and begun
// again. The error is of the context, or where the server cannot be asked at all.
//
// Statistics come before rebuilds: queries are slow without them, whereas the
// rebuilds may take hours.
func After(
	ctx context.Context, s *Site, open Session, req node.UpgradeRequest, jobs int, progress Progress,
) (found []node.Finding, err error) {
	err = open(ctx, func(ctx context.Context, login func(db string) pg.Login) error {
		for _, part := range []func() ([]node.Finding, error){
			func() ([]node.Finding, error) { return s.updateExtensions(ctx, login, progress) },
			func() ([]node.Finding, error) { return s.analyze(ctx, login, req.Analyze, jobs, progress) },
			func() ([]node.Finding, error) { return s.rebuildRest(ctx, login, req.Reindex, progress) },
		} {
			more, err := part()
			found = append(found, more...)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				found = append(found, failed("after", "something after the upgrade could not be done", err))
			}
		}
		return nil
	})
	return found, err
}

// rebuildRest rebuilds concurrently what is stale still, one index after the
// other: clients are at work.
func (s *Site) rebuildRest(
	ctx context.Context, login func(db string) pg.Login, mode node.ReindexMode, progress Progress,
) (found []node.Finding, err error) {
	dbs, err := pg.UsedCollations(ctx, login)
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
	if mode != node.ReindexOff {
		found = dropAborted(ctx, login, list)
		found = append(found, rebuildConcurrently(ctx, login, list, left, mode, progress)...)
		if err := ctx.Err(); err != nil {
			return found, err
		}
		if left, err = list.left(ctx, login); err != nil {
			return found, err
		}
	}
	more, err := refreshVersions(ctx, dbs, left, login)
	found = append(found, more...)
	if err != nil {
		return found, err
	}
	if len(left) == 0 {
		return found, s.removeStale()
	}
	if mode != node.ReindexOff { // off named them before
		more, err = leftFindings(ctx, left, login)
	}
	return append(found, more...), err
}

// dropAborted removes what concurrent rebuilds of ours left when they were
// killed.
func dropAborted(ctx context.Context, login func(db string) pg.Login, list staleList) (found []node.Finding) {
	for db, indexes := range list.Indexes {
		var tables []uint32
		for _, i := range indexes {
			tables = append(tables, i.Table)
		}
		if _, err := login(db).DropAborted(ctx, tables); err != nil && ctx.Err() == nil {
			found = append(found, failed("reindex-leftover",
				fmt.Sprintf("in database %q invalid indexes that an interrupted rebuild left could not be dropped", db), err))
		}
	}
	return found
}

func rebuildConcurrently(
	ctx context.Context, login func(db string) pg.Login, list staleList, left map[string][]pg.Index, mode node.ReindexMode, progress Progress,
) (found []node.Finding) {
	var total, done int64
	for _, indexes := range left {
		for _, i := range indexes {
			total += weight(i)
		}
	}
	for db, indexes := range left {
		for _, i := range indexes {
			// An exclusion constraint cannot be rebuilt beside clients. What was
			// tried before opening and failed waits for an operator.
			if ctx.Err() != nil || i.Exclusion || list.Tried && upgrade.BeforeOpening(i, mode) {
				continue
			}
			progress(fmt.Sprintf("rebuilding index %s in database %s, beside clients", i.Name, db), 100*float64(done)/float64(total))
			if err := login(db).Reindex(ctx, i.Name, true); err != nil && ctx.Err() == nil {
				found = append(found, rebuildFailed(rebuild{db, i}, err, true))
				if _, err := login(db).DropAborted(ctx, []uint32{i.Table}); err != nil {
					found = append(found, failed("reindex-leftover", fmt.Sprintf("what the rebuild of %s left could not be dropped", i.Name), err))
				}
			}
			done += weight(i)
		}
	}
	return found
}
