package inplace

import (
	"context"
	"errors"
	"path"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
)

// collationDir holds the empty cluster that tells the new major's versions.
const collationDir = "collations"

// CollationFindings says, beside the running old server, which collations have
// another version under the new major and what follows from that. Where nothing
// but libc is in use it costs a query in each database, else a second or so.
func CollationFindings(
	ctx context.Context, s *Site, open Session, req node.UpgradeRequest, progress Progress,
) (found []node.Finding, err error) {
	var dbs []pg.DatabaseCollations
	err = open(ctx, func(ctx context.Context, login func(db string) pg.Login) error {
		dbs, err = pg.UsedCollations(ctx, login)
		return err
	})
	if err != nil {
		return nil, err
	}
	versions, err := s.newVersions(ctx, upgrade.LocalesToAsk(dbs), progress)
	if err != nil {
		return nil, err
	}
	impacts := upgrade.ChangedUnder(dbs, versions)
	if len(impacts) == 0 {
		return nil, nil
	}
	progress("looking for indexes whose order changes", 0)
	err = open(ctx, func(ctx context.Context, login func(db string) pg.Login) error {
		for i := range impacts {
			if err := weigh(ctx, &impacts[i], login); err != nil {
				return err
			}
		}
		return nil
	})
	return upgrade.CollationFindings(impacts, req.Reindex, req.Jobs), err
}

// newVersions asks the new major's own programs, in an empty cluster of theirs.
func (s *Site) newVersions(ctx context.Context, locales []pg.Locale, progress Progress) (res map[pg.Locale]string, err error) {
	if len(locales) == 0 {
		return nil, nil
	}
	progress("asking the new major for versions of collations", 0)
	if err := s.makeDir(collationDir); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Root.RemoveAll(path.Join(ScratchDir, collationDir))) }()
	return pg.LocaleVersions(ctx, s.New, s.Scratch(collationDir), &s.User, s.Environ, locales)
}

// weigh finds all that depends on changed collations in one database.
func weigh(ctx context.Context, c *upgrade.CollationImpact, login func(db string) pg.Login) (err error) {
	l, ids := login(c.Database), c.OIDs()
	if c.Indexes, err = l.AffectedIndexes(ctx, ids); err != nil {
		return err
	}
	if c.Bounds, err = l.AffectedBounds(ctx, ids); err != nil {
		return err
	}
	c.Others, err = l.CollationDependents(ctx, ids)
	return err
}
