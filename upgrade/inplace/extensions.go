package inplace

import (
	"context"
	"fmt"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
)

// updateExtensions brings every extension to the version that the new major's
// files install. One that fails stays as it was.
func (s *Site) updateExtensions(ctx context.Context, login func(db string) pg.Login, progress Progress) (found []node.Finding, err error) {
	dbs, err := pg.Databases(ctx, login("template1"))
	if err != nil {
		return nil, err
	}
	for _, db := range dbs {
		old, err := login(db).OutdatedExtensions(ctx)
		if err != nil {
			found = append(found, failed("extension-update", fmt.Sprintf("the extensions of database %q could not be compared", db), err))
			continue
		}
		for _, e := range old {
			if ctx.Err() != nil {
				return found, ctx.Err()
			}
			if !upgrade.NewerVersion(e.Default, e.Installed) {
				continue
			}
			if f, ok := updateExtension(ctx, login(db), db, e, progress); !ok {
				found = append(found, f)
			}
		}
	}
	return found, nil
}

func updateExtension(ctx context.Context, l pg.Login, db string, e pg.OutdatedExtension, progress Progress) (f node.Finding, ok bool) {
	what := fmt.Sprintf("extension %s in database %q", e.Name, db)
	if !e.Path {
		return node.Finding{
			Level: node.Note, Code: "extension-update",
			Text: fmt.Sprintf("%s stays at version %s: its files know no way to %s", what, e.Installed, e.Default),
			Hint: "see the extension's own documentation",
		}, false
	}
	progress("updating "+what+" to "+e.Default, 0)
	if err := l.UpdateExtension(ctx, e); err != nil {
		f = failed("extension-update", fmt.Sprintf("%s stays at version %s", what, e.Installed), err)
		f.Hint = fmt.Sprintf("connect to database %q, mend what the server names, and run: %s", db, pg.UpdateExtensionSQL(e))
		return f, false
	}
	return f, true
}
