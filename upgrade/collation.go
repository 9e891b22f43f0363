package upgrade

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
)

const (
	// RebuildRate is how many bytes of indexes one connection rebuilds in a
	// second, at least: a quarter of what md5 texts under ICU took on two busy
	// processors, for longer texts and slower disks.
	RebuildRate = 8 << 20
	// RebuildEach is what each index takes however small it is.
	RebuildEach = 20 * time.Millisecond
	// RebuildBound is how long clients may be kept out by rebuilds at most.
	RebuildBound = 10 * time.Minute
)

// ChangedCollation is a collation whose order may be another than the one that
// its indexes were built in.
type ChangedCollation struct {
	pg.Collation
	New string // version under the new major; empty where that does not know the locale
}

// CollationImpact is what the new order means to one database.
type CollationImpact struct {
	Database string
	Changed  []ChangedCollation
	Indexes  []pg.Index
	Bounds   []pg.PartitionKey
	Others   []pg.Dependent
}

// OIDs are those of the changed collations.
func (c CollationImpact) OIDs() []uint32 { return oids(c.Changed) }

func oids(changed []ChangedCollation) (res []uint32) {
	for _, c := range changed {
		res = append(res, c.OID)
	}
	return res
}

// LocalesToAsk lists the locales whose version under another major is not known
// beforehand: those of ICU, which each major brings along. libc is the same for
// all majors of one image, and the builtin provider sorts by code points.
func LocalesToAsk(dbs []pg.DatabaseCollations) (res []pg.Locale) {
	for _, d := range dbs {
		if !d.Connect {
			continue
		}
		for _, c := range append([]pg.Collation{d.Default}, d.Used...) {
			l := pg.Locale{Provider: c.Provider, Locale: c.Locale}
			if c.Provider == "i" && c.Recorded != "" && !slices.Contains(res, l) {
				res = append(res, l)
			}
		}
	}
	return res
}

// ChangedUnder lists, by database, the collations whose recorded version is not
// the one that the new major gives. asked is its answer to LocalesToAsk. A
// locale that it does not know counts as changed.
func ChangedUnder(dbs []pg.DatabaseCollations, asked map[pg.Locale]string) []CollationImpact {
	return changed(dbs, func(c pg.Collation) string {
		if c.Provider == "i" {
			return asked[pg.Locale{Provider: c.Provider, Locale: c.Locale}]
		}
		return c.Actual
	})
}

// ChangedNow lists, by database, the collations whose recorded version is not
// the one that the server itself gives.
func ChangedNow(dbs []pg.DatabaseCollations) []CollationImpact {
	return changed(dbs, func(c pg.Collation) string { return c.Actual })
}

func changed(dbs []pg.DatabaseCollations, version func(pg.Collation) string) (res []CollationImpact) {
	for _, d := range dbs {
		impact := CollationImpact{Database: d.Database}
		for _, c := range append([]pg.Collation{d.Default}, d.Used...) {
			if v := version(c); c.Recorded != "" && v != c.Recorded {
				impact.Changed = append(impact.Changed, ChangedCollation{c, v})
			}
		}
		if d.Connect && len(impact.Changed) > 0 {
			res = append(res, impact)
		}
	}
	return res
}

// LostVersions lists the collations whose recorded version pg_upgrade did not
// carry over: those of initdb, pg_catalog."de-x-icu" and so on, which the new
// major's initdb made with the new version while the indexes are in the old
// order. before is the old cluster, now the new one; the result has the oids of
// the new and the versions of the old.
func LostVersions(before Census, now []pg.DatabaseCollations) map[string][]pg.Collation {
	was := map[[2]string]pg.Collation{}
	for _, d := range before.Databases {
		for _, c := range d.Collations {
			was[[2]string{d.Name, c.Name}] = c
		}
	}
	res := map[string][]pg.Collation{}
	for _, d := range now {
		for _, c := range d.Used {
			old, ok := was[[2]string{d.Database, c.Name}]
			if ok && old.Provider == c.Provider && old.Recorded != "" && old.Recorded != c.Recorded {
				c.Recorded = old.Recorded
				res[d.Database] = append(res[d.Database], c)
			}
		}
	}
	return res
}

// BeforeOpening reports whether an index must be right before the first client:
// a unique or an exclusion constraint in the wrong order lets duplicates in,
// and no later rebuild can undo that. Others only miss rows, for a while.
func BeforeOpening(i pg.Index, mode node.ReindexMode) bool {
	switch mode {
	case node.ReindexOff:
		return false
	case node.ReindexChanged:
		return true
	}
	return i.Unique || i.Exclusion
}

// RebuildTime estimates, from the sizes of indexes, how long rebuilding takes
// over so many connections. One index is rebuilt by one connection.
func RebuildTime(indexes []pg.Index, jobs int) time.Duration {
	var sum, largest int64
	for _, i := range indexes {
		sum += i.Bytes
		largest = max(largest, i.Bytes)
	}
	jobs = max(1, jobs)
	bytes := max(largest, sum/int64(jobs))
	each := time.Duration((len(indexes)+jobs-1)/jobs) * RebuildEach
	return time.Duration(float64(bytes)/RebuildRate*float64(time.Second)) + each
}

// moves reports whether rows can be in another partition under the new order.
// A list compares for equality, and values of a deterministic collation are
// equal only where their bytes are, whatever the library's version; the same
// for a hash (varstr_cmp in varlena.c). The order of a list's bounds is made
// anew whenever they are loaded (partbounds.c).
func moves(p pg.PartitionKey) bool { return p.Strategy == "r" || !p.Deterministic }

// Unmovable lists the partitioned tables that no rebuild of an index mends.
func Unmovable(keys []pg.PartitionKey) (tables []string) {
	for _, p := range keys {
		if moves(p) {
			tables = append(tables, p.Table)
		}
	}
	return tables
}

// name is a changed collation for people.
func (c ChangedCollation) String() string {
	what := "collation " + c.Name
	if c.OID == pg.DefaultCollation {
		what = "its default collation " + c.Locale
	}
	to := c.New
	if to == "" {
		to = "none that is known"
	}
	return fmt.Sprintf("%s (version %s → %s)", what, c.Recorded, to)
}

// some names a few things and counts the others.
func some(names []string) string {
	const most = 8
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d others", strings.Join(names[:most], ", "), len(names)-most)
}
