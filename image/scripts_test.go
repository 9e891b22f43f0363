package image_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// What is in /docker-entrypoint-initdb.d, and what happens around it.

const scripts = "/docker-entrypoint-initdb.d/"

func tell(who string) string { return "insert into told (who) values ('" + who + "');\n" }

// tell("B.sql.xz") and tell("c.sql.zst"), compressed.
const (
	tellXZ   = "/Td6WFoAAATm1rRGAgAhARYAAAB0L+WjAQAraW5zZXJ0IGludG8gdG9sZCAod2hvKSB2YWx1ZXMgKCdCLnNxbC54eicpOwoAxjldMkXNrqMAAUQsyVNLhh+2830BAAAAAARZWg=="
	tellZstd = "KLUv/QRYaQEAaW5zZXJ0IGludG8gdG9sZCAod2hvKSB2YWx1ZXMgKCdjLnNxbC56c3QnKTsKoj8MSQ=="
)

func unpacked(t *testing.T, text string) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func everyKind(t *testing.T) []testbed.File {
	t.Helper()
	return []testbed.File{
		{Path: scripts + "10-b.sh", Mode: 0o755, Data: `#!/bin/bash
set -eu
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<-SQL
	create table told (n serial, who text);
	insert into told (who) values ('10-b.sh');
	create table seen as select current_setting('listen_addresses') as addresses, current_setting('work_mem') as work_mem,
		'$(id -un)' as os_user, '$PGDATA' as pgdata, '$POSTGRES_PASSWORD' as password;
SQL
! pg_isready -q -h 127.0.0.1
env | grep -E '^(PGBATON_|POSTGRES_)' | cut -d= -f1 | sort | tr '\n' ' ' | sed 's/^/VARIABLES /'
`},
		{Path: scripts + "2-a.sql", Data: tell("2-a.sql")},
		{Path: scripts + "a.sql.gz", Data: zipped(t, tell("a.sql.gz"))},
		{Path: scripts + "B.sql.xz", Data: unpacked(t, tellXZ)},
		{Path: scripts + "c.sql.zst", Data: unpacked(t, tellZstd)},
		{Path: scripts + "_c.sh", Data: `
echo "insert into told (who) values ('_c.sh')" | "${psql[@]}"
docker_process_sql --quiet -c "create database other"
docker_process_sql --dbname other -c "create table in_other ()"
export GREETING="hello, 'server'"
unset LEFTOVER
`},
		{Path: scripts + "d.sh", Mode: 0o755, Data: `#!/bin/sh
echo "insert into told (who) values ('d.sh ' || :'greeting')" | psql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -v greeting="$GREETING"
`},
		{Path: scripts + "README.txt", Data: "no script\n"},
		{Path: scripts + ".hidden.sh", Mode: 0o755, Data: "#!/bin/sh\nexit 9\n"},
	}
}

var scriptLine = regexp.MustCompile(`(?m)^/usr/local/bin/docker-entrypoint\.sh: (running|sourcing|ignoring) .*$`)

func TestInitScriptsOfEveryKindRunInTheLocalesOrderAsInTheOfficialImage(t *testing.T) {
	t.Parallel()
	spec := ourSpec(17)
	spec.Env = map[string]string{"POSTGRES_PASSWORD": "plain", "POSTGRES_USER": "app", "POSTGRES_DB": "my app", "LEFTOVER": "x", "PGBATON_NODE": "n1"}
	spec.Args = []string{"postgres", "-c", "work_mem=5MB"}
	spec.Files = everyKind(t)
	theirs := spec
	theirs.Image = official(17)
	c, o := testbed.Run(t, spec), testbed.Run(t, theirs)
	c.WaitReady(patience)
	o.WaitReady(patience)

	stdout, _ := c.Output()
	theirOut, _ := o.Output()
	got, want := scriptLine.FindAllString(stdout, -1), scriptLine.FindAllString(theirOut, -1)
	if len(want) != 8 || !slices.Equal(got, want) {
		t.Errorf("the scripts in order:\n%s\nof the official image:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	told := psqlIn(t, c, "app", "my app", "select string_agg(who, '|' order by n) from told")
	if want := "10-b.sh|2-a.sql|a.sql.gz|B.sql.xz|_c.sh|c.sql.zst|d.sh hello, 'server'"; told != want {
		t.Errorf("the scripts did %q, not %q", told, want)
	}
	if seen := psqlIn(t, c, "app", "my app", "select * from seen"); seen != "|5MB|postgres|"+home+"/17/docker|plain" {
		t.Errorf("a script saw %q", seen)
	}
	psqlIn(t, c, "app", "other", "table in_other")
	if line := regexp.MustCompile(`VARIABLES .*`).FindString(stdout); line != "VARIABLES POSTGRES_DB POSTGRES_INITDB_ARGS POSTGRES_PASSWORD POSTGRES_USER " && line != "VARIABLES PGBATON_BINARY POSTGRES_DB POSTGRES_INITDB_ARGS POSTGRES_PASSWORD POSTGRES_USER " {
		t.Errorf("scripts see %q", line)
	}
	// What a sourced script exports or unsets, postgres sees.
	env := environ(t, postmaster(t, c))
	if _, there := env["LEFTOVER"]; there || env["GREETING"] != "hello, 'server'" {
		t.Errorf("the environment of postgres: %q", env)
	}
	for name := range env {
		if strings.HasPrefix(name, "POSTGRES_") || strings.HasPrefix(name, "PGBATON_") || name == "PGPASSWORD" {
			t.Errorf("%s is in the environment of postgres", name)
		}
	}
}

func TestTheMessagesThatToolsLookForAreThere(t *testing.T) {
	t.Parallel()
	const (
		ready    = "database system is ready to accept connections"
		complete = "\nPostgreSQL init process complete; ready for start up.\n\n"
		skipping = "\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n"
	)
	// As testcontainers starts it; it waits for the second "ready" in the log.
	spec := testbed.Spec{
		Image: ours(18), Args: []string{"postgres", "-c", "fsync=off"},
		Env: map[string]string{"POSTGRES_USER": "test", "POSTGRES_PASSWORD": "test", "POSTGRES_DB": "test"},
	}
	c := testbed.Run(t, spec)
	var stdout, stderr string
	c.Eventually(patience, "the second "+ready, func() bool {
		stdout, stderr = c.Output()
		return count(stderr, ready) == 2
	})
	// Whoever waited for that connects now, and only once.
	if got, err := login(t, c, "test", "test", "test", "show fsync"); err != nil || got != "off" {
		t.Errorf("fsync is %q, %v", got, err)
	}
	if count(stdout, complete) != 1 || count(stdout, skipping) != 0 {
		t.Errorf("stdout of a fresh volume:\n%s", stdout)
	}
	if after := stderr[strings.LastIndex(stderr, ready):]; strings.Contains(after, "shut down") {
		t.Errorf("after the second message the server is not up:\n%s", after)
	}
	// A backend whose client has just left may still be told to end: no trouble.
	quiet := strings.ReplaceAll(stderr, "FATAL:  terminating connection due to administrator command", "")
	for _, bad := range []string{"ERROR", "FATAL"} {
		if strings.Contains(quiet, bad) {
			t.Errorf("an undisturbed start says %s:\n%s", bad, stderr)
		}
	}
	stop(t, c)
	c.Start()
	c.WaitReady(patience)
	c.Eventually(patience, "the third "+ready, func() bool { // the engine may be behind with the log
		stdout, stderr = c.Output()
		return count(stderr, ready) > 2
	})
	if count(stdout, complete) != 1 || count(stdout, skipping) != 1 || count(stderr, ready) != 3 {
		t.Errorf("after the second start:\n%s\n%s", stdout, stderr)
	}
}

func TestAnInitScriptThatFailsEndsTheContainerAndTheNextStartBeginsAgain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		file testbed.File
		code int
	}{
		{"executable", testbed.File{Path: scripts + "b.sh", Mode: 0o755, Data: "#!/bin/sh\nexit 5\n"}, 5},
		{"sourced", testbed.File{Path: scripts + "b.sh", Data: "false\n"}, 1},
		{"exit of a sourced one", testbed.File{Path: scripts + "b.sh", Data: "exit 7\n"}, 7},
		{"sql", testbed.File{Path: scripts + "b.sql", Data: "select 1/0;\n"}, 3},
		{"broken archive", testbed.File{Path: scripts + "b.sql.gz", Data: "no gzip"}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			v := testbed.NewVolume(t)
			first := testbed.File{Path: scripts + "a.sql", Data: "create table once (n int); insert into once values (1);"}
			spec := ourSpec(17, v.At(home))
			spec.Files = []testbed.File{first, test.file}
			bad := testbed.Run(t, spec)
			log := ends(t, bad, test.code)
			if strings.Contains(log, "init process complete") || count(log, "ready to accept connections") != 1 {
				t.Errorf("after the failure:\n%s", log)
			}
			if test.name != "sql" { // the rest is the same for all
				return
			}
			// The same container fails the same way: never served half-made.
			bad.Start()
			if log := ends(t, bad, test.code); strings.Contains(log, "Skipping initialization") {
				t.Errorf("a half-made cluster was served:\n%s", log)
			}
			spec.Files = []testbed.File{first}
			c := serve(t, spec)
			if log := c.Logs(); !strings.Contains(log, "init process complete") {
				t.Errorf("the initialisation was not done again:\n%s", log)
			}
			if n := psql(t, c, "select count(*) from once"); n != "1" {
				t.Errorf("the table has %s rows", n)
			}
		})
	}
}

// As many images do after ALTER SYSTEM: the restarted server is no child of the
// supervisor and has the options of the temporary one.
func TestAServerThatAnInitScriptRestartedNeverServes(t *testing.T) {
	t.Parallel()
	spec := ourSpec(17, testbed.NewVolume(t).At(home))
	spec.Files = []testbed.File{
		{Path: scripts + "a.sh", Mode: 0o755, Data: `#!/bin/bash
set -e
psql -c "alter system set max_connections = 33"
pg_ctl -D "$PGDATA" -m fast -w restart
`},
		{Path: scripts + "b.sql", Data: "create table after_it as select current_setting('max_connections') as n;"},
	}
	c := serve(t, spec) // over TCP
	if got := psql(t, c, "select concat_ws('|', n, current_setting('max_connections'), current_setting('listen_addresses')) from after_it"); got != "33|33|*" {
		t.Errorf("the settings are %s", got)
	}
	st := phase(t, c, node.Running)
	if st.Postmaster == nil || st.Postmaster.Adopted || st.Restarts.Postgres != 0 {
		t.Errorf("the server that serves: %+v, restarts %+v", st.Postmaster, st.Restarts)
	}
	if log := c.Logs(); !strings.Contains(log, "init process complete") || count(log, "ready to accept connections") != 3 {
		t.Errorf("the log:\n%s", log)
	}
	stop(t, c)
}

func TestInitScriptsThatCannotBeReadAreRefusedBeforeAnythingIsMade(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	spec := ourSpec(17, testbed.NewVolume(t).At(home), testbed.Bind(dir, scripts))
	put := func(mode, scriptMode os.FileMode) {
		t.Helper()
		err := os.WriteFile(dir+"/a.sql", []byte("create table made as select 1 as n;"), 0o600)
		if err := errors.Join(err, os.Chmod(dir+"/a.sql", scriptMode), os.Chmod(dir, mode)); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(want ...string) {
		t.Helper()
		log := ends(t, testbed.Run(t, spec), 1)
		for _, w := range append(want, "nothing was made") {
			if !strings.Contains(log, w) {
				t.Errorf("%q is missing in\n%s", w, log)
			}
		}
		if strings.Contains(log, "Success.") {
			t.Errorf("initdb ran:\n%s", log)
		}
	}
	put(0o700, 0o644)
	refused("ls: cannot open directory '/docker-entrypoint-initdb.d/': Permission denied", "chmod a+rx")
	put(0o755, 0o600)
	refused("the init script /docker-entrypoint-initdb.d/a.sql cannot be read by uid 999", "chmod a+r")
	put(0o755, 0o644)
	c := serve(t, spec)
	if got := psql(t, c, "table made"); got != "1" {
		t.Errorf("the script made %q", got)
	}
	if log := c.Logs(); strings.Contains(log, "kept") {
		t.Errorf("the refusals left something behind:\n%s", log)
	}
}

func TestInitOnlyModeAndItsOfficialScriptsInitialiseAndEnd(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		args     []string
		env      string
		existing int // exit code where there is a database
	}{
		{"PGBATON_INIT_ONLY", nil, "PGBATON_INIT_ONLY", 0},
		{"docker-ensure-initdb.sh", []string{"docker-ensure-initdb.sh", "-c", "work_mem=5MB"}, "", 0},
		{"docker-enforce-initdb.sh", []string{"docker-enforce-initdb.sh"}, "", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			v := testbed.NewVolume(t)
			spec := ourSpec(17, v.At(home))
			spec.Args = test.args
			if test.env != "" {
				spec.Env[test.env] = "true"
			}
			spec.Files = []testbed.File{{Path: scripts + "a.sql", Data: "create table made as select current_setting('work_mem') as work_mem;"}}
			if log := ends(t, testbed.Run(t, spec), 0); !strings.Contains(log, "init process complete") || count(log, "ready to accept connections") != 1 {
				t.Errorf("the first run:\n%s", log)
			}
			says := map[int]string{0: "note: database already initialized in '", 1: "error: (unexpected) database found in '"}[test.existing] + home + "/17/docker'!\n"
			if log := ends(t, testbed.Run(t, spec), test.existing); strings.Contains(log, "ready to accept connections") || !strings.Contains(log, says) {
				t.Errorf("the second run started a server, or does not say %q:\n%s", says, log)
			}
			if len(test.args) < 2 {
				return
			}
			c := serve(t, ourSpec(17, v.At(home)))
			if got := psql(t, c, "table made"); got != "5MB" {
				t.Errorf("the script saw work_mem %s", got)
			}
		})
	}
}

// derived is an entrypoint as images derived from the official one have it.
const derived = `#!/usr/bin/env bash
set -Eeo pipefail
source /usr/local/bin/docker-entrypoint.sh
docker_setup_env
docker_create_db_directories
if [ "$(id -u)" = '0' ]; then
	exec gosu postgres "$BASH_SOURCE" "$@"
fi
echo "AS $(id -un) $POSTGRES_USER/$POSTGRES_DB/$POSTGRES_PASSWORD exists=$DATABASE_ALREADY_EXISTS"
_pg_want_help --version && ! _pg_want_help postgres -c a=b && echo HELP
if [ -z "$DATABASE_ALREADY_EXISTS" ]; then
	docker_verify_minimum_env
	docker_init_database_dir --wal-segsize=8
	pg_setup_hba_conf "$@"
	export PGPASSWORD="${PGPASSWORD:-$POSTGRES_PASSWORD}"
	docker_temp_server_start "$@" -c max_locks_per_transaction=77
	docker_setup_db
	docker_process_sql -c "create table by_hand as select current_setting('max_locks_per_transaction') as n, current_setting('listen_addresses') as a"
	docker_process_init_files /docker-entrypoint-initdb.d/* /always/*
	docker_temp_server_stop
	unset PGPASSWORD
else
	file_env EXTRA nothing
	echo "EXTRA $EXTRA"
fi
exec "$@"
`

func TestAnEntrypointThatSourcesTheOfficialOneWorksInOurImage(t *testing.T) {
	t.Parallel()
	for _, image := range []string{ours(17), ours(15), official(17)} {
		t.Run(image, func(t *testing.T) {
			t.Parallel()
			v := testbed.NewVolume(t)
			spec := testbed.Spec{
				Image: image, Entrypoint: []string{"/usr/local/bin/derived.sh"}, Args: []string{"postgres", "-c", "work_mem=6MB"},
				Env:    map[string]string{"POSTGRES_PASSWORD_FILE": "/pw", "POSTGRES_USER": "app", "POSTGRES_DB": "the db", "PGDATA": home + "/data/pg"},
				Mounts: []testbed.Mount{v.At(data)},
				Files: []testbed.File{
					{Path: "/usr/local/bin/derived.sh", Data: derived, Mode: 0o755},
					{Path: "/pw", Data: "pass'word\n", Mode: 0o400},
					{Path: scripts + "a.sql", Data: "create table by_file ();"},
					{Path: "/always/b.sh", Data: `docker_process_sql <<<'create table by_source ();'`},
					{Path: "/extra", Data: "from a file\n"},
				},
			}
			c := testbed.Run(t, spec)
			served := func(c *testbed.Container) {
				t.Helper()
				c.Eventually(patience, "a login with the password", func() bool {
					_, err := login(t, c, "app", "pass'word", "the db", "select '1'")
					return err == nil
				})
			}
			served(c)
			got, err := login(t, c, "app", "pass'word", "the db", `select concat_ws('|', n, '<'||a||'>', current_setting('work_mem'), current_setting('wal_segment_size'),
				to_regclass('by_file'), to_regclass('by_source'), current_setting('data_directory')) from by_hand`)
			if want := "77|<>|6MB|8MB|by_file|by_source|" + home + "/data/pg"; err != nil || got != want {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
			if log := c.Logs(); !strings.Contains(log, "AS postgres app/the db/pass'word exists=\n") || !strings.Contains(log, "HELP\n") {
				t.Errorf("the first start:\n%s", log)
			}
			stop(t, c)
			spec.Env["EXTRA_FILE"] = "/extra"
			c = testbed.Run(t, spec)
			served(c)
			if log := c.Logs(); !strings.Contains(log, "exists=true\n") || !strings.Contains(log, "EXTRA from a file\n") {
				t.Errorf("the second start:\n%s", log)
			}
		})
	}
}
