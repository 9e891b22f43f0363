package inplace

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
)

const failedRestore = `pg_restore: connecting to database for restore
pg_restore: creating DATABASE "d b"
pg_restore: creating VIEW "s q.my v"
pg_restore: while PROCESSING TOC:
pg_restore: from TOC entry 215; 1259 16395 VIEW my v postgres
pg_restore: error: could not execute query: ERROR:  column pg_stat_bgwriter.checkpoints_timed does not exist
LINE 14:  SELECT "pg_stat_bgwriter"."checkpoints_timed",
                 ^
Command was: 
-- For binary upgrade, must preserve pg_type oid
pg_restore: creating nothing
`

func TestWhatPgRestorePrintsTellsTheObjectAndTheServersWords(t *testing.T) {
	n := 0
	o := &restoreOutput{restored: func() { n++ }}
	for _, part := range strings.SplitAfter(failedRestore, "e") { // in odd pieces
		_, _ = o.Write([]byte(part))
	}
	f := o.failure("d b", errors.New("exit status 1"))
	want := trialFailure{
		Database: "d b", Kind: "VIEW", Object: "my v postgres", Class: 1259, OID: 16395,
		Detail: "ERROR:  column pg_stat_bgwriter.checkpoints_timed does not exist\nLINE 14:  SELECT \"pg_stat_bgwriter\".\"checkpoints_timed\",\n                 ^",
	}
	if f != want || n != 2 {
		t.Errorf("%d, %+v", n, f)
	}
	got := f.finding(releases{"15.18", "17.12"})
	if got.Text != `database "d b": view my v postgres cannot be restored in PostgreSQL 17` || !strings.HasPrefix(got.Hint, "drop it") {
		t.Errorf("%+v", got)
	}
}

func TestAFailureWithoutAnObjectOrWithoutWordsIsStillOne(t *testing.T) {
	for text, detail := range map[string]string{
		"": "exit status 1",
		"pg_restore: error: connection to server failed: FATAL:  sorry\n": "connection to server failed: FATAL:  sorry",
		"pg_restore: while INITIALIZING:\npg_restore: error: no":          "no",
		"pg_restore: creating X\npg_restore: warn":                        "exit status 1",
	} {
		o := &restoreOutput{restored: func() {}}
		_, _ = o.Write([]byte(text))
		f := o.failure("db", errors.New("exit status 1"))
		if f.Detail != detail || f.Object != "" || f.finding(releases{"17.12", "18.6"}).Level != node.Refuse {
			t.Errorf("%q: %+v", text, f)
		}
	}
	f := globalsFailure("psql:/a b/globals:12: ERROR:  role \"x\" is odd\nLINE 1: …\n", errors.New("exit status 3"))
	if f.Detail != "ERROR:  role \"x\" is odd\nLINE 1: …" || !strings.HasPrefix(f.finding(releases{"17.12", "18.6"}).Text, "the roles") {
		t.Errorf("%+v", f)
	}
}

func TestKindsOfSeveralWordsAreToldFromNames(t *testing.T) {
	for entry, want := range map[string]string{
		"MATERIALIZED VIEW a b owner": "MATERIALIZED VIEW|a b owner", "VIEW data x": "VIEW|data x",
		"DEFAULT ACL DEFAULT PRIVILEGES FOR TABLES x": "DEFAULT ACL|DEFAULT PRIVILEGES FOR TABLES x",
		"DEFAULT t a owner":                           "DEFAULT|t a owner", "TABLE t": "TABLE|t",
	} {
		if kind, rest := splitEntry(entry); kind+"|"+rest != want {
			t.Errorf("%s: %s|%s", entry, kind, rest)
		}
	}
}

func TestAsManyDumpsRunAtATimeAsTheLockTableHasRoomFor(t *testing.T) {
	dbs := []pg.SchemaDatabase{{Relations: 100}, {Relations: 5000}, {Relations: 900}}
	for _, c := range []struct{ per, held, jobs, want int }{
		{64, 0, 8, 2}, {64, 201, 8, 1}, {64, 1300, 8, 0}, {64, 0, 1, 1}, {640, 0, 8, 3}, {51, 0, 8, 0},
	} {
		table := pg.LockTable{PerTransaction: c.per, Sessions: 100, Held: c.held}
		if n := parallelDumps(table, dbs, c.jobs); n != c.want {
			t.Errorf("%+v: %d", c, n)
		}
	}
	f := lockTableFinding(pg.LockTable{PerTransaction: 51, Sessions: 100}, dbs)
	if f.Level != node.Note || !strings.Contains(f.Hint, "max_locks_per_transaction to 57 ") {
		t.Errorf("%+v", f)
	}
}

func TestDatabasesOfAnyNameAreReached(t *testing.T) {
	if got := inDatabase(`o'd\d = x`); got != `--dbname=dbname='o\'d\\d = x'` {
		t.Error(got)
	}
}

func TestTheFirstErrorEndsTheOthersAndIsTheOneReturned(t *testing.T) {
	first := errors.New("first")
	var ran atomic.Int32
	err := each(t.Context(), 100, 2, func(ctx context.Context, i int) error {
		ran.Add(1)
		if i == 3 {
			return first
		}
		if i > 3 {
			<-ctx.Done()
			return fmt.Errorf("killed: %d", i)
		}
		return nil
	})
	if !errors.Is(err, first) || ran.Load() > 6 {
		t.Error(err, ran.Load())
	}
	if err := each(t.Context(), 5, 9, func(context.Context, int) error { return nil }); err != nil {
		t.Error(err)
	}
}
