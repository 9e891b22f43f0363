package testbed_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// bare runs PostgreSQL's own programs in a container without a supervisor.
type bare struct {
	*testbed.Container
	t *testing.T
}

func newBare(t *testing.T) bare {
	c := testbed.Run(t, testbed.Spec{Image: "pgbaton:dev", Entrypoint: []string{"sleep", "infinity"}, User: "postgres", Env: map[string]string{"PGDATA": "/tmp/none"}})
	return bare{c, t}
}

func (b bare) sh(script string, args ...any) {
	b.t.Helper()
	r := b.Do(testbed.Command{Args: []string{"bash", "-c", "set -e; cd /tmp; " + fmt.Sprintf(script, args...)}, Timeout: 5 * 60e9})
	if r.Code != 0 {
		b.t.Fatalf("%s: exit code %d\n%s%s", script, r.Code, r.Stdout, r.Stderr)
	}
}

func (b bare) initdb(major int) {
	b.t.Helper()
	flags := ""
	if major >= 18 {
		flags = "--no-data-checksums"
	}
	b.sh("/usr/lib/postgresql/%[1]d/bin/initdb %[2]s -N -D d%[1]d -U postgres -A trust >/dev/null", major, flags)
}

func (b bare) start(major int) {
	b.t.Helper()
	b.sh("/usr/lib/postgresql/%[1]d/bin/pg_ctl -w -D d%[1]d -l log -o '-k /tmp -c listen_addresses= -c fsync=off -c wal_level=logical' start >/dev/null", major)
}

func (b bare) stop(major int) {
	b.t.Helper()
	b.sh("/usr/lib/postgresql/%[1]d/bin/pg_ctl -w -D d%[1]d stop >/dev/null", major)
}

var bareAccess = testbed.Access{Socket: "/tmp"}

// The kit's own measure: what a plain pg_upgrade keeps compares as the same,
// and a change of any kind shows.
func TestContentsCompareAsTheSameAfterAPlainPgUpgradeBetweenAllMajors(t *testing.T) {
	for _, majors := range [][]int{{15, 17, 18}, {15, 18}} {
		t.Run(fmt.Sprint(majors), func(t *testing.T) {
			t.Parallel()
			b := newBare(t)
			old := majors[0]
			b.initdb(old)
			b.start(old)
			b.sh("mkdir space")
			testbed.LoadContents(b.Container, bareAccess, "/tmp/space")
			before := testbed.Snapshot(b.Container, bareAccess)
			if again := testbed.Compare(before, testbed.Snapshot(b.Container, bareAccess)); again != "" {
				t.Fatalf("two looks at the same differ:\n%s", again)
			}
			if len(before) < 13 {
				t.Errorf("only %d sections", len(before))
			}
			for _, major := range majors[1:] {
				b.stop(old)
				b.initdb(major)
				b.sh("/usr/lib/postgresql/%[2]d/bin/pg_upgrade --link -U postgres -b /usr/lib/postgresql/%[1]d/bin -B /usr/lib/postgresql/%[2]d/bin -d d%[1]d -D d%[2]d -s /tmp", old, major)
				b.start(major)
				for _, db := range []string{"everything", "icu"} {
					b.sh(`/usr/lib/postgresql/%[1]d/bin/psql -XAtqh /tmp -d %[2]s -c 'reindex database %[2]s' -c "select format('alter collation %%s refresh version;', oid::regcollation) from pg_collation where collversion <> pg_collation_actual_version(oid)" -c 'alter database %[2]s refresh collation version' >sql; grep ^alter sql | /usr/lib/postgresql/%[1]d/bin/psql -Xqh /tmp -d %[2]s`, major, db)
				}
				if diff := testbed.Compare(before, testbed.Snapshot(b.Container, bareAccess)); diff != "" {
					t.Errorf("%d to %d differs:\n%s", old, major, diff)
				}
				old = major
			}
		})
	}
}

func TestAChangeOfAnyKindShowsWhenContentsAreCompared(t *testing.T) {
	t.Parallel()
	b := newBare(t)
	b.initdb(17)
	b.start(17)
	testbed.LoadRows(b.Container, bareAccess)
	before := testbed.Snapshot(b.Container, bareAccess)
	for _, change := range [][2]string{
		{"delete from whole where id = 7", "table whole"},
		{"update toasted set t = t || 'x' where id = 3", "table toasted"},
		{"truncate scratch", "unlogged table scratch"},
		{"select nextval('numbers')", "sequence numbers"},
		{"select lo_put(4000000001, 10, 'X')", "large object 4000000001"},
		{"alter role reader password 'other'", "ALTER ROLE reader"},
		{"revoke select on whole from reader", "acl TABLE whole"},
		{"alter table whole drop constraint whole_t_key", "whole_t_key"},
		{"alter database postgres set work_mem = '5MB'", "work_mem"},
	} {
		b.sh(`/usr/lib/postgresql/17/bin/psql -Xqh /tmp -v ON_ERROR_STOP=1 -o /dev/null -c "%s"`, change[0])
		after := testbed.Snapshot(b.Container, bareAccess)
		if diff := testbed.Compare(before, after); !strings.Contains(diff, change[1]) {
			t.Errorf("%s shows as %q", change[0], diff)
		}
		before = after
	}
}
