package image_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// The static binary in an image that has nothing of ours.

func TestTheBinaryMountedIntoTheOfficialImageServesFreshAndExistingVolumes(t *testing.T) {
	t.Parallel()
	for _, major := range []int{15, 17, 18} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			mount := officialMount(major)
			mounted := func(at testbed.Mount) testbed.Spec {
				spec := officialSpec(major, at, testbed.Bind(binary(t), "/pgbaton").ReadOnly())
				spec.Entrypoint, spec.Args = []string{"/pgbaton"}, []string{"entrypoint", "postgres", "-c", "work_mem=9MB"}
				spec.Files = []testbed.File{
					{Path: scripts + "a.sh", Data: `docker_process_sql -c "create table by_source ()"; export FROM_SCRIPT=yes`},
					{Path: scripts + "b.sql", Data: "create table by_file ();"},
				}
				return spec
			}
			check := func(c *testbed.Container) {
				t.Helper()
				st := asked(t, c, "/pgbaton")
				if st.Phase != node.Running || st.Major != major || st.Volume != mount {
					t.Errorf("status: %+v", st)
				}
				if got := psql(t, c, "show work_mem"); got != "9MB" {
					t.Errorf("work_mem is %s", got)
				}
				if got := c.MustExec("sh", "-c", `cat "$PGDATA/PG_VERSION"`); got != fmt.Sprint(major) {
					t.Errorf("$PGDATA of docker exec is of %s", got)
				}
				if init, ok := c.Find(func(p testbed.Process) bool { return p.PID == 1 }); !ok || !strings.HasPrefix(strings.Join(init.Cmdline, " "), "/pgbaton entrypoint") {
					t.Errorf("PID 1 is %v", init)
				}
			}
			fresh := testbed.NewVolume(t).At(mount)
			c := serve(t, mounted(fresh))
			check(c)
			psql(t, c, "table by_source")
			psql(t, c, "table by_file")
			if env := environ(t, postmaster(t, c)); env["FROM_SCRIPT"] != "yes" || env["POSTGRES_PASSWORD"] != "" {
				t.Errorf("the environment of postgres: %q", env)
			}
			c.MustExec("/pgbaton", "stop")
			c.MustExec("/pgbaton", "start")
			stop(t, c)
			// And back to the image's own entrypoint.
			c = serve(t, officialSpec(major, fresh))
			psql(t, c, "table by_source")

			existing, _ := officialData(t, major)
			c = serve(t, mounted(existing))
			check(c)
			if got := psql(t, c, "select to_regclass('by_file') is null"); got != "t" {
				t.Error("init scripts ran on an existing volume")
			}
			stop(t, c)
		})
	}
}
