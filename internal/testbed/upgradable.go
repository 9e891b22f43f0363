package testbed

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Upgradable reports whether PostgreSQL's own programs in the image can bring a
// cluster from one major to the other, and if not says why in one sentence. A
// minor release of the old major can mark the tables that it makes with an
// option that the packaged release of the new major does not know yet: until one
// that does is packaged no upgrade of such tables is possible, pgbaton or not.
// Any other failure ends the test: it is news.
//
// The answer is found once in each test binary (some five seconds), by a
// container that dumps a schema of the old major with the new one's pg_dump and
// restores it.
func Upgradable(tb TB, from, to int) (ok bool, why string) {
	tb.Helper()
	probes.Lock()
	p := probes.byPair[[2]int{from, to}]
	if p == nil {
		p = &upgradeProbe{}
		probes.byPair[[2]int{from, to}] = p
	}
	probes.Unlock()
	p.once.Do(func() {
		p.why = tryUpgrade(tb, from, to)
		p.known = true
	})
	if !p.known { // a test that failed in it
		tb.Fatalf("testbed: it is not known whether %d can be upgraded to %d; see the first failure", from, to)
	}
	return p.why == "", p.why
}

// probes are what Upgradable has found out.
var probes = struct {
	sync.Mutex
	byPair map[[2]int]*upgradeProbe
}{byPair: map[[2]int]*upgradeProbe{}}

type upgradeProbe struct {
	once  sync.Once
	known bool
	why   string
}

// unknownMark is the refusal of an option that the new server does not know.
var unknownMark = regexp.MustCompile(`ERROR: +unrecognized parameter "[^"]*"`)

const probeScript = `set -e
cd /tmp
of() { echo /usr/lib/postgresql/$1/bin/$2; }
for major in $1 $2; do
	$(of $major initdb) -N -D d$major -U postgres -A trust >/dev/null
	$(of $major pg_ctl) -w -D d$major -l log$major -o "-k /tmp -p 54$major -c listen_addresses= -c fsync=off" start >/dev/null
done
$(of $1 psql) -Xq -v ON_ERROR_STOP=1 -h /tmp -p 54$1 -U postgres -c 'create table t (a int primary key, b text)' -c 'create view v as select * from t'
$(of $2 pg_dump) -h /tmp -p 54$1 -U postgres -f schema --schema-only postgres
$(of $1 psql) -XAtq -h /tmp -p 54$1 -U postgres -c 'show server_version'
$(of $2 psql) -XAtq -h /tmp -p 54$2 -U postgres -c 'show server_version'
$(of $2 psql) -Xq -v ON_ERROR_STOP=1 -h /tmp -p 54$2 -U postgres -o /dev/null -f schema
`

func tryUpgrade(tb TB, from, to int) string {
	tb.Helper()
	c := Run(tb, Spec{
		Image: "pgbaton:dev", Entrypoint: []string{"sleep", "infinity"}, User: "postgres", Env: map[string]string{"PGDATA": "/tmp/none"},
	})
	defer c.Remove()
	r := c.Do(Command{Args: []string{"bash", "-c", probeScript, "probe", fmt.Sprint(from), fmt.Sprint(to)}, Timeout: 5 * time.Minute})
	mark := unknownMark.FindString(r.Stderr)
	releases := strings.Split(strings.TrimSpace(r.Stdout), "\n")
	switch {
	case r.Code == 0:
		return ""
	case mark == "" || len(releases) != 2:
		tb.Fatalf("testbed: a schema of %d cannot be restored in %d: exit code %d\n%s%s", from, to, r.Code, r.Stdout, r.Stderr)
	}
	return fmt.Sprintf("the packaged PostgreSQL releases cannot do this upgrade: what %s dumps, %s refuses (%s)", releases[0], releases[1], mark)
}
