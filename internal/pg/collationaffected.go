package pg

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/lib/pq"
)

// Index is an index whose order depends on a collation.
type Index struct {
	OID       uint32 `json:"oid"`
	Table     uint32 `json:"table"`
	File      uint32 `json:"file"`  // relfilenode: every rebuild gives another
	Name      string `json:"name"`  // as SQL writes it, with its schema
	Bytes     int64  `json:"bytes"` //
	Unique    bool   `json:"unique,omitempty"`
	Exclusion bool   `json:"exclusion,omitempty"`
}

// PartitionKey is a partitioned table whose bounds depend on a collation.
type PartitionKey struct {
	Table         string // as SQL writes it
	Strategy      string // r range, l list, h hash (pg_partitioned_table.partstrat)
	Deterministic bool   // every affected collation of the key is
}

// Dependent is something else that was computed by a collation and cannot be
// rebuilt by REINDEX.
type Dependent struct {
	Kind string // materialized view, check constraint, generated column, range type
	Name string // as SQL writes it, of the table where Kind belongs to one
}

// tainted are the types that sort by one of the collations in $1 without being
// collatable themselves: ranges over text, composites with a text attribute,
// and whatever is made of these. Each table makes a composite type, so there may
// be tens of thousands: made is joined as a whole.
const tainted = `
with recursive made(from_type, type) as materialized (
	select typbasetype, oid from pg_type where typbasetype <> 0
	union all
	select typelem, oid from pg_type where typelem <> 0 and typlen = -1
	union all
	select rngsubtype, rngtypid from pg_range
	union all
	select rngtypid, (to_jsonb(r)->>'rngmultitypid')::oid from pg_range r
	union all
	select a.atttypid, c.reltype from pg_attribute a join pg_class c on c.oid = a.attrelid
	 where a.attnum > 0 and c.reltype <> 0 and c.oid >= 16384),
tainted(t) as (
	select rngtypid from pg_range where rngcollation = any($1::oid[])
	union
	select c.reltype from pg_attribute a join pg_class c on c.oid = a.attrelid
	 where a.attcollation = any($1::oid[]) and a.attnum > 0 and c.reltype <> 0 and c.oid >= 16384
	union
	select made.type from tainted join made on made.from_type = tainted.t where made.type is not null)`

// affectedIndexes is a union of sets, each found by joins of whole catalogs: an
// OR of subqueries takes minutes where there are ten thousand tables. The
// expressions of an index may use a collation without a column of it:
// length(lower(x)). Node trees name it, see outfuncs.c.
const affectedIndexes = tainted + `,
affected(index) as (
	select i.indexrelid
	  from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am am on am.oid = c.relam,
	       unnest(i.indcollation::oid[]) u(o) left join pg_collation l on l.oid = u.o
	 where u.o = any($1::oid[]) and (am.amname <> 'hash' or not l.collisdeterministic)
	union
	select indexrelid from pg_index where indexprs::text ~ $2 or indpred::text ~ $2
	union
	select a.attrelid from pg_attribute a join tainted on t = a.atttypid where a.attrelid >= 16384
	union
	select i.indexrelid from pg_attribute a join tainted on t = a.atttypid
	  join pg_index i on i.indrelid = a.attrelid and a.attnum = any(i.indkey::int2[])
	 where a.attrelid >= 16384)
select i.indexrelid, i.indrelid, c.relfilenode, quote_ident(n.nspname) || '.' || quote_ident(c.relname),
       pg_relation_size(i.indexrelid), i.indisunique, i.indisexclusion
  from affected
  join pg_index i on i.indexrelid = affected.index
  join pg_class c on c.oid = i.indexrelid
  join pg_namespace n on n.oid = c.relnamespace
 where c.relkind = 'i' and c.relpersistence <> 't' and c.oid >= 16384 and i.indisvalid
 order by 5 desc, 4`

// AffectedIndexes lists the indexes of the login's database that have to be
// rebuilt when these collations change their order, the largest first. Hash
// indexes compare bytes unless the collation is nondeterministic. Invalid
// indexes are left out: no query uses them.
func (l Login) AffectedIndexes(ctx context.Context, collations []uint32) (res []Index, err error) {
	err = l.with(ctx, "find the indexes of changed collations", func(db *sql.DB) error {
		return eachOf(ctx, db, affectedIndexes, collations, func(scan func(...any) error) error {
			var i Index
			err := scan(&i.OID, &i.Table, &i.File, &i.Name, &i.Bytes, &i.Unique, &i.Exclusion)
			res = append(res, i)
			return err
		})
	})
	return res, err
}

const affectedBounds = tainted + `
select quote_ident(n.nspname) || '.' || quote_ident(c.relname), p.partstrat::text,
       not exists (select from unnest(p.partcollation::oid[]) u(o) join pg_collation l on l.oid = u.o
                    where u.o = any($1::oid[]) and not l.collisdeterministic)
       and coalesce(not p.partexprs::text ~ $2, true)
       and not exists (select from pg_attribute a where a.attrelid = p.partrelid and a.attnum = any(p.partattrs::int2[])
                          and a.atttypid in (select t from tainted))
  from pg_partitioned_table p
  join pg_class c on c.oid = p.partrelid
  join pg_namespace n on n.oid = c.relnamespace
 where p.partcollation::oid[] && $1::oid[] or p.partexprs::text ~ $2
    or exists (select from pg_attribute a where a.attrelid = p.partrelid and a.attnum = any(p.partattrs::int2[])
                  and a.atttypid in (select t from tainted))
 order by 1`

// AffectedBounds lists the partitioned tables of the login's database whose
// keys are compared by these collations.
func (l Login) AffectedBounds(ctx context.Context, collations []uint32) (res []PartitionKey, err error) {
	err = l.with(ctx, "find partition keys of changed collations", func(db *sql.DB) error {
		return eachOf(ctx, db, affectedBounds, collations, func(scan func(...any) error) error {
			var p PartitionKey
			err := scan(&p.Table, &p.Strategy, &p.Deterministic)
			res = append(res, p)
			return err
		})
	})
	return res, err
}

const affectedOthers = `
select kind, name from (
	select 'materialized view' as kind, c.relnamespace as ns, c.relname::text as rel, '' as part
	  from pg_class c join pg_rewrite w on w.ev_class = c.oid
	 where c.relkind = 'm' and (w.ev_action::text ~ $2
	    or w.ev_action::text ~ ':(sortClause|distinctClause|groupClause) \(\{' and w.ev_action::text ~ $3)
	union all
	select 'check constraint', o.connamespace, coalesce(c.relname::text, t.typname::text), o.conname::text
	  from pg_constraint o left join pg_class c on c.oid = o.conrelid left join pg_type t on t.oid = o.contypid
	 where o.contype = 'c' and o.conbin::text ~ $2
	union all
	select 'generated column', c.relnamespace, c.relname::text, a.attname::text
	  from pg_attrdef d join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
	  join pg_class c on c.oid = d.adrelid
	 where a.attgenerated = 's' and d.adbin::text ~ $2
	union all
	select 'range type', t.typnamespace, t.typname::text, ''
	  from pg_range r join pg_type t on t.oid = r.rngtypid
	 where r.rngcollation = any($1::oid[])) x
  join pg_namespace n on n.oid = x.ns
 cross join lateral (select quote_ident(n.nspname) || '.' || quote_ident(rel)
                            || case when part <> '' then ' (' || quote_ident(part) || ')' else '' end as name) q
 where n.nspname not in ('pg_catalog', 'information_schema')
 order by 1, 2`

// CollationDependents lists what else was computed by these collations in the
// login's database: it is not wrong to read, but may not be what a new
// computation would give.
func (l Login) CollationDependents(ctx context.Context, collations []uint32) (res []Dependent, err error) {
	err = l.with(ctx, "find dependents of changed collations", func(db *sql.DB) error {
		varying := fmt.Sprintf(`:varcollid (%s)\y`, alternatives(collations))
		return eachOf(ctx, db, affectedOthers, collations, func(scan func(...any) error) error {
			var d Dependent
			err := scan(&d.Kind, &d.Name)
			res = append(res, d)
			return err
		}, varying)
	})
	return res, err
}

func alternatives(oids []uint32) string {
	s := make([]string, len(oids))
	for i, o := range oids {
		s[i] = strconv.FormatUint(uint64(o), 10)
	}
	return strings.Join(s, "|")
}

// eachOf runs a query whose $1 are the collations and whose $2 finds a use of
// one of them in a node tree.
func eachOf(
	ctx context.Context, db *sql.DB, query string, collations []uint32, do func(scan func(...any) error) error, more ...any,
) error {
	ids := make([]int64, len(collations))
	for i, o := range collations {
		ids[i] = int64(o)
	}
	alt := alternatives(collations)
	use := fmt.Sprintf(`:inputcollid (%s)\y|:inputcollids \(o[ 0-9]*\y(%s)\y`, alt, alt)
	rows, err := db.QueryContext(ctx, query, append([]any{pq.Array(ids), use}, more...)...)
	if err != nil {
		return err
	}
	return scanAll(rows, do)
}
