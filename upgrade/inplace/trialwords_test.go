package inplace

import (
	"errors"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
)

// In the form in which pg_restore prints; the error is what 18.6 says to a table of 17.12.
const markedRestore = `pg_restore: creating TABLE "public.t"
pg_restore: while PROCESSING TOC:
pg_restore: from TOC entry 217; 1259 16388 TABLE t postgres
pg_restore: error: could not execute query: ERROR:  unrecognized parameter "pg_attver"
Command was: 
-- For binary upgrade, must preserve pg_type oid
`

func TestAnOptionThatTheNewReleaseDoesNotKnowIsNoReasonToDropAnything(t *testing.T) {
	o := &restoreOutput{restored: func() {}}
	_, _ = o.Write([]byte(markedRestore))
	marked := o.failure("app", errors.New("exit status 1"))
	r := releases{"17.12", "18.6"}
	for _, c := range []struct {
		name    string
		failure trialFailure
		text    string
		option  string // empty: another failure
	}{
		{"a marked table", marked, `database "app": table t postgres cannot be restored in PostgreSQL 18: PostgreSQL 18.6 does not know the option "pg_attver"`, "pg_attver"},
		{
			"a view",
			trialFailure{Database: "app", Kind: "VIEW", Object: "v me", Whole: "view s.v", Detail: `ERROR:  unrecognized parameter "pg_attver"`},
			`database "app": view s.v cannot be restored in PostgreSQL 18: PostgreSQL 18.6 does not know the option "pg_attver"`, "pg_attver",
		},
		{
			"without an object, with more lines",
			trialFailure{Database: "app", Detail: "ERROR:  unrecognized parameter \"odd one\"\nHINT:  none"},
			`database "app": its schema cannot be restored in PostgreSQL 18: PostgreSQL 18.6 does not know the option "odd one"`, "odd one",
		},
		{
			"a tablespace",
			trialFailure{Detail: `ERROR:  unrecognized parameter "cost"`},
			`the roles, their settings or the tablespaces cannot be restored in PostgreSQL 18: PostgreSQL 18.6 does not know the option "cost"`, "cost",
		},
		{"another error", trialFailure{Database: "app", Kind: "TABLE", Object: "t me", Detail: `ERROR:  unrecognized parameter namespace "x"`}, `database "app": table t me cannot be restored in PostgreSQL 18`, ""},
		{"a name in a text", trialFailure{Database: "app", Kind: "TABLE", Object: "t me", Detail: `ERROR:  it says: unrecognized parameter "x"`}, `database "app": table t me cannot be restored in PostgreSQL 18`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.failure.finding(r)
			if got.Text != c.text || got.Level != node.Refuse || got.Code != "schema-trial" || got.Detail != c.failure.Detail {
				t.Errorf("%+v", got)
			}
			if c.option == "" {
				if !strings.HasPrefix(got.Hint, "drop or change it") {
					t.Errorf("the hint: %s", got.Hint)
				}
				return
			}
			for _, want := range []string{`option "` + c.option + `"`, "set by PostgreSQL 17.12", "unknown to PostgreSQL 18.6", "later minor release of PostgreSQL 18", "nothing was stopped", "nothing in the database is wrong or has to be changed"} {
				if !strings.Contains(got.Hint, want) {
					t.Errorf("the hint does not say %q: %s", want, got.Hint)
				}
			}
			for _, bad := range []string{"drop", "revoke", "remove"} {
				if strings.Contains(got.Hint, bad) {
					t.Errorf("the hint says %q: %s", bad, got.Hint)
				}
			}
		})
	}
}

func TestReleasesAreThoseOfTheServerAndOfThePrograms(t *testing.T) {
	for _, c := range []struct {
		server, programs string
		want             releases
		major            string
	}{
		{"17.12 (Debian 17.12-0+deb13u1)", "18.6", releases{"17.12", "18.6"}, "18"},
		{"15.18", "19beta1", releases{"15.18", "19beta1"}, "19"},
		{"", "", releases{"17", "18"}, "18"},
	} {
		tr := &trial{Site: &Site{Old: pg.Binaries{Major: 17}, New: pg.Binaries{Major: 18}}}
		tr.facts.Server.VersionText, tr.facts.NewVersion = c.server, c.programs
		if got := tr.releases(); got != c.want || got.newMajor() != c.major {
			t.Errorf("%q, %q: %+v, %s", c.server, c.programs, got, got.newMajor())
		}
	}
}
