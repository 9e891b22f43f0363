package pg

import (
	"context"
	"database/sql"

	"github.com/lib/pq"
)

// OutdatedExtension is an installed extension whose files offer another version.
type OutdatedExtension struct {
	Name      string
	Installed string
	Default   string // what the control file of this major installs
	Path      bool   // the files know a way from Installed to Default
}

// OutdatedExtensions lists the extensions of the login's database that are of
// another version than the installed files make by default, by name.
func (l Login) OutdatedExtensions(ctx context.Context) (res []OutdatedExtension, err error) {
	err = l.with(ctx, "compare versions of extensions", func(db *sql.DB) error {
		return each(ctx, db, `
			select e.extname, e.extversion, a.default_version,
			       exists (select from pg_extension_update_paths(e.extname) p
			                where p.source = e.extversion and p.target = a.default_version and p.path is not null)
			  from pg_extension e join pg_available_extensions a on a.name = e.extname
			 where a.default_version <> e.extversion
			 order by 1`,
			func(scan func(...any) error) error {
				var e OutdatedExtension
				err := scan(&e.Name, &e.Installed, &e.Default, &e.Path)
				res = append(res, e)
				return err
			})
	})
	return res, err
}

// UpdateExtensionSQL is the command that updates an extension.
func UpdateExtensionSQL(e OutdatedExtension) string {
	return "ALTER EXTENSION " + pq.QuoteIdentifier(e.Name) + " UPDATE TO " + pq.QuoteIdentifier(e.Default)
}

// UpdateExtension brings one to the files' default version.
func (l Login) UpdateExtension(ctx context.Context, e OutdatedExtension) error {
	return l.long(ctx, changeLock, UpdateExtensionSQL(e))
}
