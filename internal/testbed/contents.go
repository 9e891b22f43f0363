package testbed

import (
	"cmp"
	"embed"
	"fmt"
	"path"
	"strings"
	"time"
)

// contentsFiles are SQL scripts: every kind of object that PostgreSQL has and
// a user may have made, as 15, 17 and 18 understand them. Security labels are
// not among them: no provider of any is in Debian's packages (sepgsql needs
// SELinux, dummy_seclabel is a test module).
//
//go:embed contents/*
var contentsFiles embed.FS

// oddDatabase is a name that breaks quoting.
const oddDatabase = `Odd "db" 'q' $(x) \ Ünïcödé = %s`

// Access is how a superuser reaches the server inside a container. The zero
// value is what Spec.Env says, over the usual socket.
type Access struct {
	User     string // default: POSTGRES_USER of Spec.Env, else postgres
	Password string // default: POSTGRES_PASSWORD of Spec.Env
	Socket   string // directory; default: the image's
	As       string // the user of the programs in the container; default: the image's
	Major    int    // of the programs psql and pg_dump; default: the newest in the container
}

// env is the environment of libpq's programs.
func (a Access) env(c *Container) []string {
	env := []string{
		"PGUSER=" + cmp.Or(a.User, c.Spec.Env["POSTGRES_USER"], "postgres"),
		"PGPASSWORD=" + cmp.Or(a.Password, c.Spec.Env["POSTGRES_PASSWORD"]),
		"PGHOST=" + cmp.Or(a.Socket, "/var/run/postgresql"),
		"PGPORT=5432", "PGCLIENTENCODING=UTF8", "LC_ALL=C.UTF-8", "PGOPTIONS=-c default_transaction_read_only=off",
	}
	if a.Major != 0 {
		env = append(env, fmt.Sprintf("BIN=/usr/lib/postgresql/%d/bin", a.Major))
	}
	return env
}

const newest = `BIN=${BIN:-$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)}` + "\n"

// LoadContents fills a running server with every kind of object: roles,
// databases and what is in them. space is an empty directory of the container
// that belongs to the server's user, for a tablespace; empty: none.
func LoadContents(c *Container, a Access, space string) {
	c.tb.Helper()
	for _, step := range [][2]string{
		{"postgres", "cluster"},
		{"everything", "types"},
		{"everything", "code"},
		{"everything", "more"},
		{"everything", "finish"},
		{"icu", "icu"},
		{"latin1", "latin1"},
		{oddDatabase, "odd"},
	} {
		loadFile(c, a, step[0], step[1], space)
	}
}

// LoadRows makes one database with tables, sequences, a materialized view,
// an unlogged table and large objects: enough to see that nothing is missing
// where a test asks it many times.
func LoadRows(c *Container, a Access) {
	c.tb.Helper()
	loadFile(c, a, "postgres", "rows", "")
}

func loadFile(c *Container, a Access, db, file, space string) {
	c.tb.Helper()
	sql, err := contentsFiles.ReadFile(path.Join("contents", file+".sql"))
	if err != nil {
		c.tb.Fatalf("testbed: %v", err)
	}
	r := c.Do(Command{
		Args:  []string{"bash", "-c", newest + `exec "$BIN/psql" -Xq -v ON_ERROR_STOP=1 -v "space=$2" -d "$1" -o /dev/null`, "bash", "dbname=" + quote(db), space},
		Env:   a.env(c),
		User:  a.As,
		Stdin: string(sql), Timeout: 5 * time.Minute,
	})
	if r.Code != 0 {
		c.tb.Fatalf("testbed: load %s.sql into %s: exit code %d\n%s", file, c.Name, r.Code, lastLines(r.Stderr, 20))
	}
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
