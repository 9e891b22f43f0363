package upgrade

import (
	"fmt"
	"maps"
	"slices"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
)

// Census is what a cluster holds, counted before and after an upgrade.
type Census = pg.Census

// emptied is the size above which it says something that a database is less than
// half as large as before: catalogs alone are some 10 MB, of another size in
// each major.
const emptied = 64 << 20

// CompareCensus compares what the new cluster holds with what the old one held.
// What is missing refuses: the new cluster is not opened. Clients may have gone
// on until the old server stopped, so single objects that are no more there are
// a note; pg_upgrade restores a schema whole or not at all. More than before is
// nothing to say, and neither is another row estimate: before 18 there is none
// until statistics were made.
func CompareCensus(before, after Census) []node.Finding {
	var c comparison
	if after.Major <= before.Major {
		c.missing("major %d answers where the new major was expected, and the old one was %d", after.Major, before.Major)
	}
	for _, r := range before.Roles {
		if !slices.Contains(after.Roles, r) {
			c.missing("role %q is missing", r)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before.Tablespaces)) {
		dir, ok := after.Tablespaces[name]
		switch {
		case !ok:
			c.missing("tablespace %q is missing", name)
		case dir != before.Tablespaces[name]:
			c.note("tablespace %q was at %s and is at %s", name, before.Tablespaces[name], dir)
		}
	}
	now := map[string]pg.DatabaseCensus{}
	for _, d := range after.Databases {
		now[d.Name] = d
	}
	for _, d := range before.Databases {
		if n, ok := now[d.Name]; ok {
			c.database(d, n)
		} else {
			c.missing("database %q is missing", d.Name)
		}
	}
	return c.found
}

type comparison struct{ found []node.Finding }

func (c *comparison) missing(format string, args ...any) {
	c.found = append(c.found, node.Finding{
		Level: node.Refuse, Code: "verification", Text: fmt.Sprintf(format, args...),
		Hint: "the new cluster stays closed to clients; see pg_upgrade's log. If somebody dropped it in the moment before the old server was stopped, open the new cluster",
	})
}

func (c *comparison) note(format string, args ...any) {
	c.found = append(c.found, node.Finding{Level: node.Note, Code: "verification", Text: fmt.Sprintf(format, args...)})
}

func (c *comparison) database(was, is pg.DatabaseCensus) {
	if was.Encoding != is.Encoding || was.Provider != is.Provider {
		c.missing("database %q had encoding %s and locale provider %s and has %s and %s",
			was.Name, was.Encoding, was.Provider, is.Encoding, is.Provider)
	}
	if was.Collate != is.Collate || was.Ctype != is.Ctype || was.Locale != is.Locale {
		c.note("database %q had the locale %s and has %s", was.Name, localeOf(was), localeOf(is))
	}
	if was.Owner != is.Owner {
		c.note("database %q belonged to %q and belongs to %q", was.Name, was.Owner, is.Owner)
	}
	if was.Connect && !is.Connect {
		c.missing("database %q let clients in and does so no more", was.Name)
		return
	}
	if !was.Connect {
		return
	}
	if was.ConnLimit != is.ConnLimit {
		c.note("database %q had the connection limit %d and has %d", was.Name, was.ConnLimit, is.ConnLimit)
	}
	for _, name := range slices.Sorted(maps.Keys(was.Extensions)) {
		if _, ok := is.Extensions[name]; !ok {
			c.missing("extension %q is missing in database %q", name, was.Name)
		}
	}
	c.objects(was, is)
}

// objects refuses where most are gone: that is another cluster, or an empty one.
func (c *comparison) objects(was, is pg.DatabaseCensus) {
	var before, after int64
	for _, kind := range slices.Sorted(maps.Keys(was.Objects)) {
		before += was.Objects[kind]
		after += min(was.Objects[kind], is.Objects[kind])
	}
	if after < before-before/2 {
		c.missing("database %q held %d objects and holds %d of them", was.Name, before, after)
		return
	}
	for _, kind := range slices.Sorted(maps.Keys(was.Objects)) {
		if is.Objects[kind] < was.Objects[kind] {
			c.note("database %q held %d %s when they were counted and holds %d", was.Name, was.Objects[kind], kind, is.Objects[kind])
		}
	}
	if is.Bytes < was.Bytes/2 && was.Bytes >= emptied {
		c.note("database %q held %s when it was counted and holds %s", was.Name, size(was.Bytes), size(is.Bytes))
	}
}

func localeOf(d pg.DatabaseCensus) string {
	if d.Provider == "c" || d.Locale == "" {
		return d.Collate + "/" + d.Ctype
	}
	return d.Locale + " (" + d.Collate + "/" + d.Ctype + ")"
}

// size writes bytes as people read them.
func size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d bytes", n)
	}
	f, unit := float64(n)/1024, "kB"
	for _, next := range []string{"MB", "GB", "TB"} {
		if f < 1024 {
			break
		}
		f, unit = f/1024, next
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}
