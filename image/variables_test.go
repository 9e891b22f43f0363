package image_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// The variables of the official image: section "Environment Variables" of its
// page, and file_env of its entrypoint.

// secret is a password that quoting could break.
const secret = `it's a "$ecret" \ ü`

func TestEveryVariableOfTheOfficialImageMayComeFromAFileThatOnlyRootReads(t *testing.T) {
	t.Parallel()
	// initdb itself cannot do with ", ', $, \, -- and /* in the user's name, who
	// owns plpgsql.
	const user, db = "/Ünsal (O Hara); - `id` & #%s|*,+", `select a "db" ü`
	values := map[string]string{
		"POSTGRES_PASSWORD":    secret,
		"POSTGRES_USER":        user,
		"POSTGRES_DB":          db,
		"POSTGRES_INITDB_ARGS": `--data-checksums --auth-local='scram-sha-256' --set "log_line_prefix=a b$(echo c) " --wal-segsize=$((2+2))`,
	}
	direct := testbed.Spec{Image: ours(17), Env: maps.Clone(values)}
	files := testbed.Spec{Image: ours(17), Env: map[string]string{}}
	for name, value := range values {
		path := "/secrets/" + name
		files.Env[name+"_FILE"] = path
		files.Env[name] = "" // empty counts as unset
		// Newlines at the end go, as in the shell; nothing else does.
		files.Files = append(files.Files, testbed.File{Path: path, Data: value + "\n\n", Mode: 0o400})
	}
	for how, spec := range map[string]testbed.Spec{"direct": direct, "from files": files} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			c := testbed.Run(t, spec)
			c.WaitLog("PostgreSQL init process complete; ready for start up.", patience)
			var got string
			c.Eventually(patience, "a login over TCP with the password", func() (ok bool) {
				var err error
				got, err = login(t, c, user, secret, db, `select concat_ws('|', current_user, current_database(),
					current_setting('data_checksums'), current_setting('log_line_prefix'), current_setting('wal_segment_size'),
					(select rolsuper from pg_roles where rolname = current_user), (select count(*) from pg_roles where rolname = 'postgres'))`)
				return err == nil
			})
			if want := user + "|" + db + "|on|a bc |4MB|t|0"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if _, err := login(t, c, user, "wrong", db, "select '1'"); err == nil {
				t.Error("a wrong password was good enough")
			}
			if hba := read(c, "/run/pgbaton/data/pg_hba.conf"); !strings.Contains(hba, "local   all             all                                     scram-sha-256\n") {
				t.Errorf("--auth-local of POSTGRES_INITDB_ARGS did not arrive:\n%s", hba)
			}
			// Local logins ask for a password here, and the supervisor has none.
			if st := asked(t, c); st.Server.Superuser != user {
				t.Errorf("the supervisor takes %q for the superuser", st.Server.Superuser)
			}
			env := environ(t, postmaster(t, c))
			for name := range env {
				if strings.HasPrefix(name, "POSTGRES_") || strings.HasPrefix(name, "PGBATON_") || name == "PGPASSWORD" {
					t.Errorf("%s is in the environment of postgres", name)
				}
			}
		})
	}
}

func TestAVariableAndItsFileExcludeEachOther(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"POSTGRES_PASSWORD", "POSTGRES_USER", "POSTGRES_DB", "POSTGRES_INITDB_ARGS"} {
		c := testbed.Run(t, testbed.Spec{
			Image: ours(17), Env: map[string]string{name: "x", name + "_FILE": "/secret"},
			Files: []testbed.File{{Path: "/secret", Data: "x"}},
		})
		line := fmt.Sprintf("error: both %s and %s_FILE are set (but are exclusive)\n", name, name)
		if log := ends(t, c, 1); !strings.Contains(log, line) {
			t.Errorf("%s: the official image's line is missing in\n%s", name, log)
		}
	}
}

func TestASecretThatCannotBeReadIsRefusedOnAnInitialisedVolumeToo(t *testing.T) {
	t.Parallel()
	initialized, _ := officialData(t, 17)
	for _, at := range []testbed.Mount{testbed.NewVolume(t).At(data), initialized} {
		spec := ourSpec(17, at)
		spec.Env = map[string]string{"POSTGRES_PASSWORD_FILE": "/nowhere/secret"}
		log := ends(t, testbed.Run(t, spec), 1)
		if !strings.Contains(log, "/nowhere/secret") || strings.Contains(log, "starting PostgreSQL") || strings.Contains(log, "Success.") {
			t.Errorf("the log:\n%s", log)
		}
		serve(t, ourSpec(17, at)) // nothing is in the way of doing it right
	}
}

func TestWithoutAPasswordNothingIsInitialised(t *testing.T) {
	t.Parallel()
	v := testbed.NewVolume(t)
	spec := ourSpec(17, v.At(home))
	spec.Env = nil
	log := ends(t, testbed.Run(t, spec), 1)
	if !strings.Contains(log, "Error: Database is uninitialized and superuser password is not specified.\n       You must specify POSTGRES_PASSWORD to a non-empty value for the\n") || strings.Contains(log, "Success.") {
		t.Errorf("the log:\n%s", log)
	}
	// Nothing is in the way of doing it right.
	c := serve(t, ourSpec(17, v.At(home)))
	if log := c.Logs(); strings.Contains(log, "kept aside") {
		t.Errorf("the refusal left something behind:\n%s", log)
	}
}

func TestTheWALDirectoryIsWherePOSTGRES_INITDB_WALDIRSays(t *testing.T) {
	t.Parallel()
	v, wal := testbed.NewVolume(t), testbed.NewVolume(t)
	spec := ourSpec(17, v.At(home), wal.At("/wal"))
	spec.Env["POSTGRES_INITDB_WALDIR"] = "/wal/dir"
	c := serve(t, spec)
	if got := c.MustExec("readlink", home+"/17/docker/pg_wal"); got != "/wal/dir" {
		t.Errorf("pg_wal leads to %q", got)
	}
	if got := c.MustExec("stat", "-c", "%a %U:%G", "/wal/dir"); got != "700 postgres:postgres" {
		t.Errorf("the WAL directory is %s", got)
	}
	if got := c.MustExec("sh", "-c", "ls /wal/dir | grep -cE '^[0-9A-F]{24}$'"); got == "0" {
		t.Error("no WAL in the WAL directory")
	}
	stop(t, c)
	c = serve(t, spec)
	psql(t, c, "create table t ()")
}

func TestPgHbaConfIsByteForByteTheOneOfTheOfficialImage(t *testing.T) {
	t.Parallel()
	const trust = "host all all all trust\n"
	for _, test := range []struct {
		name, method, tail string
		major              int
		args               []string
	}{
		{name: "by default", major: 18, tail: "\n\nhost all all all scram-sha-256\n"},
		{name: "named", method: "password", major: 15, tail: "\n\nhost all all all password\n"},
		{name: "password_encryption", major: 17, args: []string{"-c", "password_encryption=md5"}, tail: "\n\nhost all all all md5\n"},
		{
			name: "trust", method: "trust", major: 17,
			tail: "\n\n# warning trust is enabled for all connections\n# see https://www.postgresql.org/docs/current/auth-trust.html\n" + trust,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			spec := ourSpec(test.major)
			spec.Args = test.args
			if test.method != "" {
				spec.Env["POSTGRES_HOST_AUTH_METHOD"] = test.method
			}
			if test.method == "trust" {
				delete(spec.Env, "POSTGRES_PASSWORD")
			}
			c := testbed.Run(t, spec)
			spec.Image = official(test.major)
			o := testbed.Run(t, spec)
			c.WaitReady(patience)
			o.WaitReady(patience)
			got := c.Exec("sh", "-c", `cat "$PGDATA/pg_hba.conf"`).Stdout
			want := o.Exec("sh", "-c", `cat "$PGDATA/pg_hba.conf"`).Stdout
			if got != want || !strings.HasSuffix(got, test.tail) {
				t.Errorf("pg_hba.conf:\n%s\nof the official image:\n%s", got, want)
			}
			if warned := strings.Contains(c.Logs(), `WARNING: POSTGRES_HOST_AUTH_METHOD has been set to "trust".`); warned != (test.method == "trust") {
				t.Errorf("warned about trust: %v", warned)
			}
			if _, err := login(t, c, "postgres", "wrong", "postgres", "select '1'"); (err == nil) != (test.method == "trust") {
				t.Errorf("a login with a wrong password: %v", err)
			}
		})
	}
}

func TestNamesOfDatabaseAndUserMayBeKeywordsAndOddities(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		major    int
		user, db string
	}{
		{18, `all`, `o'ne "two" \three;--`},
		{15, `Groß mit Raum`, ``},
		{17, `/^x.*,y#`, `$(touch /tmp/gotcha)`},
		{15, `+grp`, `sameuser`},
	} {
		t.Run(test.user, func(t *testing.T) {
			t.Parallel()
			spec := ourSpec(test.major)
			spec.Env["POSTGRES_USER"] = test.user
			// Peer and password only: the supervisor has to find a way of its own.
			spec.Env["POSTGRES_INITDB_ARGS"] = "--auth-local=scram-sha-256"
			want := test.user
			if test.db != "" {
				spec.Env["POSTGRES_DB"], want = test.db, test.db
			}
			c := serve(t, spec)
			got, err := login(t, c, test.user, testbed.Password, want, "select current_user || '|' || current_database()")
			if err != nil || got != test.user+"|"+want {
				t.Errorf("logged in as %q, %v", got, err)
			}
			if st := asked(t, c); st.Server.Superuser != test.user {
				t.Errorf("the supervisor takes %q for the superuser", st.Server.Superuser)
			}
			if c.Exec("test", "-e", "/tmp/gotcha").Code == 0 {
				t.Error("a name was run as a command")
			}
		})
	}
}
