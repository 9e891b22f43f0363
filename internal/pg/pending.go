package pg

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pgbaton/pgbaton/internal/node"
)

// limitNames are the settings of which a standby needs at least as much as its
// primary: with less it does not start, or its replay pauses
// (https://www.postgresql.org/docs/current/hot-standby.html, Administrator's Overview).
var limitNames = func() (names []string) {
	for _, l := range (node.Needs{}).Each() {
		names = append(names, l.Name)
	}
	return names
}()

// faultQuery comes first: looking at pg_file_settings makes this session
// compare the files with what is in effect, as a reload would
// (show_all_file_settings and ProcessConfigFileInternal in guc.c), and sets
// pending_restart in it, whether somebody has reloaded or not.
const faultQuery = `
select coalesce(sourcefile, ''), coalesce(sourceline, 0), lower(coalesce(name, '')), error
  from pg_file_settings where error is not null order by seqno`

// nextQuery: what a start would take is the last value in the files, or the
// default where it has gone from them. What the command line says wins over
// the files, which that look does not consider (set_config_with_handle in guc.c).
const nextQuery = `
with f as materialized (select lower(name) as name, setting, seqno from pg_file_settings)
select s.name, s.setting, s.pending_restart, s.source in ('command line', 'override'),
       case when s.pending_restart and s.source not in ('command line', 'override')
            then coalesce((select f.setting from f where f.name = lower(s.name) order by f.seqno desc limit 1), s.boot_val, '')
            else s.setting end,
       coalesce((select f.setting from f where f.name = lower(s.name) order by f.seqno desc limit 1), s.boot_val, '')
  from pg_settings s
 where s.pending_restart or s.name = any (string_to_array($1, ','))
 order by s.name`

// askPending asks what the next start would change, and why it would fail.
func askPending(ctx context.Context, db *sql.DB, s *node.Server) error {
	type fault struct{ name, text string }
	var faults []fault
	err := each(ctx, db, faultQuery, func(scan func(...any) error) error {
		var file, name, text string
		var line int
		err := scan(&file, &line, &name, &text)
		if file != "" { // else it is about a setting that has gone from the files, which is no fault
			faults = append(faults, fault{name, fmt.Sprintf("%s, line %d: %s", file, line, strings.TrimSpace(name+" "+text))})
		}
		return err
	})
	if err != nil {
		return err
	}
	rows, err := db.QueryContext(ctx, nextQuery, strings.Join(limitNames, ","))
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells
	differs := map[string]bool{}
	for rows.Next() {
		var p node.Pending
		var pending, overridden bool
		var filed string
		if err := rows.Scan(&p.Name, &p.Now, &pending, &overridden, &p.Next, &filed); err != nil {
			return err
		}
		differs[strings.ToLower(p.Name)] = pending
		if pending && !overridden {
			s.Pending = append(s.Pending, p)
		}
		if slices.Contains(limitNames, p.Name) {
			s.Limits = append(s.Limits, limitOf(p, filed))
		}
	}
	for _, f := range faults {
		if !differs[f.name] { // of those that do, PostgreSQL says too that they could not be applied
			s.Faults = append(s.Faults, f.text)
		}
	}
	return rows.Err()
}

// limitOf reads numbers as guc.c does, hexadecimal and octal ones too. One that
// is no number is among the faults.
func limitOf(p node.Pending, filed string) node.Limit {
	l := node.Limit{Name: p.Name}
	l.Now, _ = strconv.ParseInt(strings.TrimSpace(p.Now), 0, 64)
	number := func(text string) int64 {
		n, err := strconv.ParseInt(strings.TrimSpace(text), 0, 64)
		if err != nil {
			return l.Now
		}
		return n
	}
	l.Next, l.Filed = number(p.Next), number(filed)
	return l
}
