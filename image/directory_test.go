package image_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// Which directory is PGDATA: docs/architecture.md.

func TestTheDataDirectoryOfAFreshVolumeIsFoundByItsMount(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, mount, env, pgdata, volume string
		major                            int
	}{
		{"a volume at the image's own place holds major/docker", home, "", home + "/15/docker", home, 15},
		{"an empty volume at data is the data directory, as up to 17", data, "", data, data, 17},
		{"an empty volume at data is the data directory on 18 too", data, "", data, data, 18},
		{"PGDATA below a mount", "/srv", "/srv/some/pg", "/srv/some/pg", "/srv", 17},
		{"PGDATA below the official mount", data, data + "/pgdata", data + "/pgdata", data, 17},
		{"PGDATA is the mount", "/srv/pg", "/srv//pg/", "/srv/pg", "/srv/pg", 15},
		{"PGDATA as up to 17, said aloud", data, data, data, data, 17},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			v := testbed.NewVolume(t)
			spec := ourSpec(test.major, v.At(test.mount))
			if test.env != "" {
				spec.Env["PGDATA"] = test.env
			}
			c := serve(t, spec)
			st := status(t, c)
			if st.PGData != test.pgdata || st.Volume != test.volume || st.Major != test.major {
				t.Errorf("PGDATA %s on the volume %s, major %d", st.PGData, st.Volume, st.Major)
			}
			if got := psql(t, c, "show data_directory"); got != test.pgdata {
				t.Errorf("postgres says %s", got)
			}
			if got := c.MustExec("sh", "-c", `cd "$PGDATA" && pwd -P && cat PG_VERSION`); got != fmt.Sprintf("%s\n%d", test.pgdata, test.major) {
				t.Errorf("$PGDATA in docker exec leads to %q", got)
			}
			if got := c.MustExec("stat", "-c", "%a %U:%G", test.pgdata, test.volume+"/.pgbaton"); got != "700 postgres:postgres\n700 postgres:postgres" {
				t.Errorf("modes and owners of PGDATA and .pgbaton: %q", got)
			}
			if test.mount != home {
				// The image's own VOLUME is an anonymous one here: whatever landed
				// in it would be gone with the container.
				if c.Inspect().Volumes[home] == v.Name || c.Inspect().Volumes[home] == "" {
					t.Fatal("there is no anonymous volume to look into")
				}
				inside := slices.DeleteFunc(strings.Fields(c.MustExec("ls", "-A", home)), func(e string) bool { return e == "data" })
				if len(inside) > 0 {
					t.Errorf("this landed in the anonymous volume: %q", inside)
				}
			}
			programs(t, c, test.major, test.pgdata)
			if test.env == "" && test.major < 18 { // as the others do
				psql(t, c, "create table kept ()")
				stop(t, c)
				c = serve(t, spec)
				psql(t, c, "table kept")
			}
		})
	}
}

// official layout, contents that a dump shows, a second superuser file edit.
const someData = `
	create table t (id int primary key, txt text collate "en_US.utf8");
	insert into t select n, 'ä' || n from generate_series(1, 1000) n;
	create index on t (txt);
	create role app login password 'app';
	grant select on t to app`

// cluster is what must not change when a volume changes hands.
type cluster struct{ dump, hba, conf, auto, ident, identifier, version string }

func look(t *testing.T, c *testbed.Container, dir string) cluster {
	t.Helper()
	var lines []string
	for line := range strings.Lines(c.MustExec("sh", "-c", "exec /usr/lib/postgresql/$(cat "+dir+"/PG_VERSION)/bin/pg_dumpall -U postgres")) {
		// pg_dump's own version and a random word per dump.
		if !strings.HasPrefix(line, `\restrict`) && !strings.HasPrefix(line, `\unrestrict`) && !strings.HasPrefix(line, "-- Dumped") {
			lines = append(lines, line)
		}
	}
	return cluster{
		dump: strings.Join(lines, ""),
		hba:  read(c, dir+"/pg_hba.conf"), conf: read(c, dir+"/postgresql.conf"),
		auto: read(c, dir+"/postgresql.auto.conf"), ident: read(c, dir+"/pg_ident.conf"),
		identifier: psql(t, c, "select system_identifier from pg_control_system()"),
		version:    psql(t, c, "show server_version"),
	}
}

func compare(t *testing.T, what string, got, want cluster) {
	t.Helper()
	for _, f := range []struct{ name, got, want string }{
		{"dump", got.dump, want.dump},
		{"pg_hba.conf", got.hba, want.hba},
		{"postgresql.conf", got.conf, want.conf},
		{"postgresql.auto.conf", got.auto, want.auto},
		{"pg_ident.conf", got.ident, want.ident},
		{"system identifier", got.identifier, want.identifier},
		{"version", got.version, want.version},
	} {
		if f.got != f.want {
			t.Errorf("%s: the %s changed: %s", what, f.name, firstDifference(f.want, f.got))
		}
	}
}

func firstDifference(from, to string) string {
	a, b := strings.Split(from, "\n"), strings.Split(to, "\n")
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			return fmt.Sprintf("line %d\n%q\n%q", i+1, a[i:min(i+3, len(a))], b[min(i, len(b)):min(i+3, len(b))])
		}
	}
	return fmt.Sprintf("%q was added", b[len(a):])
}

func TestAVolumeOfTheOfficialImageIsServedUnchangedAndItCanServeItAgain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name          string
		major, tag    int
		mount, pgdata string
		env           string
	}{
		{"15 at data under tag 17 stays 15", 15, 17, data, data, ""},
		{"17 at data under tag 17", 17, 17, data, data, ""},
		{"17 in a directory below data", 17, 17, data, data + "/pgdata", data + "/pgdata"},
		{"18 under tag 18", 18, 18, home, home + "/18/docker", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			at, _ := officialData(t, test.major)
			if test.env != "" {
				at = testbed.NewVolume(t).At(test.mount)
			}
			theirs, spec := officialSpec(test.major, at), ourSpec(test.tag, at)
			if test.env != "" {
				theirs.Env["PGDATA"], spec.Env["PGDATA"] = test.env, test.env
			}
			o := serve(t, theirs)
			psql(t, o, someData)
			psql(t, o, "alter system set work_mem = '7MB'")
			o.MustExec("sh", "-c", `printf '# mine\nlocal all app scram-sha-256\n' >>"$PGDATA/pg_hba.conf"; echo "autovacuum = off # mine" >>"$PGDATA/postgresql.conf"`)
			before := look(t, o, test.pgdata)
			stop(t, o)

			c := serve(t, spec)
			compare(t, "served by us", look(t, c, test.pgdata), before)
			st := asked(t, c)
			if st.Major != test.major || st.PGData != test.pgdata || st.Volume != test.mount {
				t.Errorf("served %s of major %d on %s", st.PGData, st.Major, st.Volume)
			}
			if st.Server.Mismatch != 0 {
				t.Errorf("a mismatch of collations where there is none: %q", st.Warnings)
			}
			if got := psql(t, c, "show work_mem"); got != "7MB" {
				t.Errorf("work_mem is %s", got)
			}
			programs(t, c, test.major, test.pgdata)
			if log := c.Logs(); !strings.Contains(log, "Skipping initialization") {
				t.Errorf("the log does not say that initialisation was skipped:\n%s", log)
			}
			psql(t, c, "insert into t values (0, 'ours')")
			before.dump = look(t, c, test.pgdata).dump
			stop(t, c)

			o = serve(t, theirs)
			compare(t, "served by the official layout again", look(t, o, test.pgdata), before)
		})
	}
}

// programs checks that docker exec finds the running major's programs and PGDATA.
func programs(t *testing.T, c *testbed.Container, major int, pgdata string) {
	t.Helper()
	for _, program := range []string{"psql", "pg_dump", "pg_ctl", "postgres", "pg_basebackup"} {
		if got := c.MustExec(program, "--version"); !strings.Contains(got, fmt.Sprintf("(PostgreSQL) %d.", major)) {
			t.Errorf("docker exec %s is %s, not of %d", program, got, major)
		}
	}
	if got := c.MustExec("sh", "-c", `realpath "$PGDATA"`); got != pgdata {
		t.Errorf("docker exec has PGDATA %s, not %s", got, pgdata)
	}
	// $PGDATA is enough for pg_ctl, as in the official image.
	r := c.Do(testbed.Command{Args: []string{"pg_ctl", "status"}, User: "postgres"})
	if r.Code != 0 || !strings.Contains(r.Stdout, "server is running") {
		t.Errorf("pg_ctl status: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

func TestOfSeveralClustersTheRecordedOneIsServedAndWithoutARecordNone(t *testing.T) {
	t.Parallel()
	v := testbed.NewVolume(t)
	for _, major := range []int{15, 17} {
		from, to := testbed.Initialized(t, official(major), data).Path(), fmt.Sprintf("%s/%d/docker", v.Path(), major)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.CopyFS(to, os.DirFS(from)), os.Chmod(to, 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	c := testbed.Run(t, ourSpec(18, v.At(home)))
	st := phase(t, c, node.Holding)
	if !strings.Contains(st.Why, home+"/15/docker") || !strings.Contains(st.Why, home+"/17/docker") || !strings.Contains(st.Why, "PGDATA") {
		t.Errorf("why: %s", st.Why)
	}
	if r := c.Exec("pgbaton", "status", "--ready"); r.Code == 0 {
		t.Error("a node that holds is ready")
	}
	if _, there := c.Postmaster(); there {
		t.Error("a server was started")
	}
	stop(t, c)

	chosen := ourSpec(18, v.At(home))
	chosen.Env["PGDATA"] = home + "/15/docker"
	c = serve(t, chosen)
	psql(t, c, "create table of_15 ()")
	programs(t, c, 15, home+"/15/docker")
	stop(t, c)

	c = serve(t, ourSpec(17, v.At(home)))
	psql(t, c, "table of_15")
	if st := status(t, c); st.Major != 15 || st.PGData != home+"/15/docker" {
		t.Errorf("served %s of major %d", st.PGData, st.Major)
	}
}

func TestACollationThatChangedSinceTheVolumeWasMadeIsNamedWithTheRemedy(t *testing.T) {
	t.Parallel()
	for _, major := range []int{15, 17} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			at, _ := officialData(t, major)
			o := serve(t, officialSpec(major, at))
			psql(t, o, `create database "odd db"`)
			psql(t, o, "update pg_database set datcollversion = '1.0' where datname = 'odd db'")
			// Of collations only those count that something uses.
			psqlIn(t, o, "postgres", "odd db", `create table used (x text collate "en_US.utf8"); update pg_collation set collversion = '0.5' where collname = 'en_US.utf8'`)
			// What asks the supervisor for a password must not keep it from looking.
			o.MustExec("sed", "-i", `s/^\(local.*\)trust/\1scram-sha-256/`, data+"/pg_hba.conf")
			stop(t, o)
			c := serve(t, ourSpec(major, at))
			st := asked(t, c)
			warnings := strings.Join(st.Warnings, "\n")
			if st.Server.Mismatch != 2 {
				t.Errorf("%d mismatches", st.Server.Mismatch)
			}
			for _, want := range []string{`ALTER DATABASE "odd db" REFRESH COLLATION VERSION`, `REFRESH COLLATION VERSION`, "REINDEX", `ALTER COLLATION pg_catalog."en_US.utf8" REFRESH VERSION`} {
				if !strings.Contains(warnings, want) {
					t.Errorf("%q is missing in the warnings:\n%s", want, warnings)
				}
			}
			if log := c.Logs(); !strings.Contains(log, "REFRESH COLLATION VERSION") {
				t.Errorf("nothing of it is in the log:\n%s", log)
			}
		})
	}
}
