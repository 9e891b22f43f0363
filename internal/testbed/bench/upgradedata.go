package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

const (
	home     = "/var/lib/postgresql"
	password = "bench"
)

// tablesSQL makes tables with a hundred rows each, or empty ones where they
// are many; commits in between keep the locks few.
const tablesSQL = `set synchronous_commit = off;
do $$ begin
	for i in 1..%[1]d loop
		execute format('create table t%%s (id int primary key, v text)', i);
		if %[1]d <= 1000 then
			execute format('insert into t%%s select g, md5(g::text) from generate_series(1, 100) g', i);
		end if;
		if i %% 500 = 0 then commit; end if;
	end loop;
end $$;
vacuum analyze;
checkpoint`

// makeOriginal makes a volume with a cluster that was shut down cleanly. Every
// side upgrades a copy of it.
func makeOriginal(tb testbed.TB, o upgradeOptions, tables int) *testbed.Volume {
	progress("a cluster of %d with %d tables and pgbench scale %d", o.from, tables, o.scale)
	v := testbed.NewVolume(tb)
	c := testbed.Run(tb, ourSpec(o, v, ""))
	c.WaitReady(long)
	must(tb, c, "postgres", "pgbench", "-i", "-q", "-s", strconv.Itoa(o.scale), "postgres")
	must(tb, c, "postgres", "psql", "-qXU", "postgres", "-v", "ON_ERROR_STOP=1", "-f", "-", "<<<", fmt.Sprintf(tablesSQL, tables))
	c.Stop(time.Minute)
	c.Remove()
	return v
}

// ourSpec is a node on a volume; policy is PGBATON_UPGRADE, or empty.
func ourSpec(o upgradeOptions, v *testbed.Volume, policy string) testbed.Spec {
	s := testbed.Spec{
		Image: o.image, Env: map[string]string{"POSTGRES_PASSWORD": password},
		Mounts: []testbed.Mount{v.At(home)}, ShmSize: 256 << 20, Stop: time.Minute,
	}
	if policy != "" {
		s.Env["PGBATON_UPGRADE"] = policy
	}
	return s
}

// copyOf copies a volume. What was copied is on disk when it returns, so that
// no sync of an upgrade pays for it.
func copyOf(tb testbed.TB, o upgradeOptions, from *testbed.Volume) *testbed.Volume {
	to := testbed.NewVolume(tb)
	c := testbed.Create(tb, testbed.Spec{
		Image: o.image, Entrypoint: []string{"bash", "-ec"},
		Args:   []string{"cp -a --reflink=auto /from/. /to/ && sync -f /to"},
		Mounts: []testbed.Mount{from.At("/from").ReadOnly(), to.At("/to")},
	})
	c.Start()
	if code := c.Wait(long); code != 0 {
		tb.Fatalf("copy a volume: exit code %d", code)
	}
	c.Remove()
	return to
}

// plainContainer is a container of the same image with nothing of ours in it:
// a shell's way of running PostgreSQL.
func plainContainer(tb testbed.TB, o upgradeOptions, v *testbed.Volume) *testbed.Container {
	spec := ourSpec(o, v, "")
	spec.Entrypoint, spec.Args, spec.Init = []string{"sleep"}, []string{"infinity"}, true
	return testbed.Run(tb, spec)
}

// must runs a program in the container as a user, and returns what it printed.
// What follows the word <<< is its standard input.
func must(tb testbed.TB, c *testbed.Container, user string, args ...string) string {
	cmd := testbed.Command{Args: args, User: user, Timeout: long}
	if n := len(args); n > 2 && args[n-2] == "<<<" {
		cmd.Args, cmd.Stdin = args[:n-2], args[n-1]
	}
	r := c.Do(cmd)
	if r.Code != 0 {
		tb.Fatalf("%v in %s: exit code %d\n%s\n%s", cmd.Args, c.Name, r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}
