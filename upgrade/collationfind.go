package upgrade

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
)

// CollationFindings says what another version of collations means to databases
// when they are upgraded: refusals and notes.
func CollationFindings(impacts []CollationImpact, mode node.ReindexMode, jobs int) (res []node.Finding) {
	var first []pg.Index
	for _, c := range impacts {
		res = append(res, changedFinding(c, mode))
		if tables := Unmovable(c.Bounds); len(tables) > 0 {
			res = append(res, boundsFinding(c, tables))
		}
		if len(c.Others) > 0 {
			res = append(res, othersFinding(c))
		}
		for _, i := range c.Indexes {
			if BeforeOpening(i, mode) {
				first = append(first, i)
			}
		}
	}
	if takes := RebuildTime(first, jobs); takes > RebuildBound {
		res = append(res, slowFinding(first, takes, mode))
	}
	return res
}

func changedFinding(c CollationImpact, mode node.ReindexMode) node.Finding {
	var what []string
	for _, x := range c.Changed {
		what = append(what, x.String())
	}
	text := fmt.Sprintf("under the new major, database %q has another version of %s: text may sort in another order", c.Database, some(what))
	if len(c.Indexes) == 0 {
		return node.Finding{Level: node.Note, Code: "collation-version", Text: text + "; no index depends on it", Hint: "nothing is to be done"}
	}
	var first, later []pg.Index
	for _, i := range c.Indexes {
		if BeforeOpening(i, mode) {
			first = append(first, i)
		} else {
			later = append(later, i)
		}
	}
	text += "; these indexes are in the old one: " + describe(c.Indexes)
	return node.Finding{Level: node.Note, Code: "collation-version", Text: text, Hint: plan(c, mode, first, later)}
}

func plan(c CollationImpact, mode node.ReindexMode, first, later []pg.Index) string {
	if mode == node.ReindexOff {
		return "reindex: off leaves them as they are, and queries may miss rows until they are rebuilt: " + MendHint(c)
	}
	var parts []string
	if len(first) > 0 {
		parts = append(parts, fmt.Sprintf("%d of them (%s) are rebuilt before clients are let in", len(first), size(sum(first))))
	}
	if len(later) > 0 {
		parts = append(parts, fmt.Sprintf("%d (%s) concurrently after it, and until then queries by them may miss rows; reindex: changed rebuilds all of them before clients are let in",
			len(later), size(sum(later))))
	}
	return strings.Join(parts, ", ")
}

func boundsFinding(c CollationImpact, tables []string) node.Finding {
	return node.Finding{
		Level: node.Refuse, Code: "collation-partition-bounds",
		Text: fmt.Sprintf("in database %q partitions are chosen by a collation whose version is another under the new major: %s. Rows would lie in partitions where they are not looked for, and no rebuild of an index mends that",
			c.Database, some(tables)),
		Hint: `make the partition key of a type or a collation that does not change (COLLATE "C"), or move this database by dump and restore or by logical replication`,
	}
}

func othersFinding(c CollationImpact) node.Finding {
	var names []string
	for _, o := range c.Others {
		names = append(names, o.Kind+" "+o.Name)
	}
	return node.Finding{
		Level: node.Note, Code: "collation-dependents",
		Text: fmt.Sprintf("in database %q these were computed by a collation whose version is another under the new major: %s", c.Database, some(names)),
		Hint: "after the upgrade refresh materialized views, and look whether constraints, generated columns and ranges still hold what they should",
	}
}

func slowFinding(first []pg.Index, takes time.Duration, mode node.ReindexMode) node.Finding {
	hint := "say reindex: off in the request and rebuild the indexes yourself after it (until then queries may miss rows, and unique ones may let duplicates in), or make fewer or smaller unique indexes depend on ICU"
	if mode == node.ReindexChanged {
		hint = "say reindex: auto in the request, which rebuilds only unique and exclusion indexes before clients are let in, or reindex: off to rebuild them yourself after it"
	}
	slices.SortFunc(first, func(a, b pg.Index) int { return int(min(1, max(-1, b.Bytes-a.Bytes))) })
	return node.Finding{
		Level: node.Refuse, Code: "collation-rebuild-time",
		Text: fmt.Sprintf("indexes of %s have to be rebuilt before clients are let in, since their collation has another version under the new major; that may take %s, and the bound is %s: %s",
			size(sum(first)), takes.Round(time.Second), RebuildBound, describe(first)),
		Hint: hint,
	}
}

// UnrebuiltFinding names the indexes of one database that are still in the old
// order, and the commands that mend it.
func UnrebuiltFinding(c CollationImpact) node.Finding {
	return node.Finding{
		Level: node.Note, Code: "collation-stale-indexes",
		Text: fmt.Sprintf("in database %q these indexes are still in the order of another collation version, and queries by them may miss rows: %s",
			c.Database, describe(c.Indexes)),
		Hint: MendHint(c),
	}
}

// MendHint is what an operator runs in a database, in this order: the version is
// recorded last, since from then on nothing shows any more that an index is in
// the old order.
func MendHint(c CollationImpact) string {
	var parts []string
	for _, i := range c.Indexes {
		parts = append(parts, pg.ReindexSQL(i.Name, !i.Exclusion))
	}
	if len(parts) > 20 { // a command for the database leaves exclusion constraints out when it runs concurrently
		parts = append([]string{"REINDEX DATABASE CONCURRENTLY " + pg.QuoteIdentifier(c.Database)},
			slices.DeleteFunc(parts, func(s string) bool { return strings.Contains(s, "CONCURRENTLY") })...)
	}
	for _, x := range c.Changed {
		if x.OID == pg.DefaultCollation {
			parts = append(parts, pg.RefreshDatabaseSQL(c.Database))
		} else {
			parts = append(parts, pg.RefreshCollationSQL(x.Name))
		}
	}
	return fmt.Sprintf("connect to database %s and run: %s", pg.QuoteIdentifier(c.Database), strings.Join(parts, "; "))
}

func describe(indexes []pg.Index) string {
	var names []string
	for _, i := range indexes {
		kind := ""
		switch {
		case i.Exclusion:
			kind = "exclusion, "
		case i.Unique:
			kind = "unique, "
		}
		names = append(names, fmt.Sprintf("%s (%s%s)", i.Name, kind, size(i.Bytes)))
	}
	return some(names)
}

func sum(indexes []pg.Index) (n int64) {
	for _, i := range indexes {
		n += i.Bytes
	}
	return n
}
