package inplace

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
)

// usedAsBuilt lists the collations in use, with the versions that the indexes
// were built with: where pg_upgrade did not carry those over, they are written
// into the new catalogs, so that the server itself knows.
func usedAsBuilt(
	ctx context.Context, before upgrade.Census, login func(db string) pg.Login,
) ([]pg.DatabaseCollations, error) {
	dbs, err := pg.UsedCollations(ctx, login)
	if err != nil {
		return nil, err
	}
	lost := upgrade.LostVersions(before, dbs)
	for db, collations := range lost {
		for _, c := range collations {
			if err := login(db).RecordCollationVersion(ctx, c.OID, c.Recorded); err != nil {
				return nil, err
			}
		}
	}
	if len(lost) == 0 {
		return dbs, nil
	}
	return pg.UsedCollations(ctx, login)
}

// refreshVersions records the library's version of every collation on which
// nothing stale depends. What cannot be is a finding. stale is by database.
func refreshVersions(
	ctx context.Context, dbs []pg.DatabaseCollations, stale map[string][]pg.Index, login func(db string) pg.Login,
) (found []node.Finding, err error) {
	for _, d := range dbs { // template0, which nobody can have put an index into
		if !d.Connect && d.Default.Recorded != "" && d.Default.Recorded != d.Default.Actual && d.Database == "template0" {
			if err := login("template1").RefreshDatabase(ctx, d.Database); err != nil {
				found = append(found, failed("collation-refresh", "the collation version of template0 was not refreshed", err))
			}
		}
	}
	for _, c := range upgrade.ChangedNow(dbs) {
		for _, x := range c.Changed {
			free, err := nothingStale(ctx, login(c.Database), x.OID, stale[c.Database])
			if err == nil && free {
				err = refresh(ctx, login, c.Database, x)
			}
			if err != nil {
				if ctx.Err() != nil {
					return found, err
				}
				found = append(found, failed("collation-refresh", fmt.Sprintf("in database %q the version of %s was not refreshed", c.Database, x), err))
			}
		}
	}
	return found, nil
}

func refresh(ctx context.Context, login func(db string) pg.Login, db string, c upgrade.ChangedCollation) error {
	if c.OID == pg.DefaultCollation {
		return login("template1").RefreshDatabase(ctx, db)
	}
	return login(db).RefreshCollation(ctx, c.Name)
}

func nothingStale(ctx context.Context, l pg.Login, collation uint32, stale []pg.Index) (bool, error) {
	bounds, err := l.AffectedBounds(ctx, []uint32{collation})
	if err != nil || len(upgrade.Unmovable(bounds)) > 0 {
		return false, err
	}
	if len(stale) == 0 {
		return true, nil
	}
	depend, err := l.AffectedIndexes(ctx, []uint32{collation})
	return err == nil && !slices.ContainsFunc(depend, func(i pg.Index) bool {
		return slices.ContainsFunc(stale, func(s pg.Index) bool { return s.OID == i.OID })
	}), err
}

// leftFindings name what is stale still.
func leftFindings(ctx context.Context, stale map[string][]pg.Index, login func(db string) pg.Login) ([]node.Finding, error) {
	if len(stale) == 0 {
		return nil, nil
	}
	dbs, err := pg.UsedCollations(ctx, login)
	var found []node.Finding
	for _, d := range dbs {
		if len(stale[d.Database]) == 0 {
			continue
		}
		c := upgrade.CollationImpact{Database: d.Database}
		if now := upgrade.ChangedNow([]pg.DatabaseCollations{d}); len(now) > 0 {
			c = now[0]
		}
		c.Indexes = stale[d.Database]
		found = append(found, upgrade.UnrebuiltFinding(c))
	}
	return found, err
}

// failed is a finding about something that did not work and stops nothing.
func failed(code, text string, err error) node.Finding {
	f := node.Finding{Level: node.Note, Code: code, Text: text + ": " + pg.ServerWords(err)}
	if errors.Is(err, context.DeadlineExceeded) {
		f.Hint = "run it again by hand"
	}
	return f
}
