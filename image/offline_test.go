package image_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// Containers of our image that run another command than postgres.

func TestOfflineToolsFindTheClusterOfTheVolumeAndItsPrograms(t *testing.T) {
	t.Parallel()
	at, _ := officialData(t, 15) // in an image for 17
	ours := testbed.Initialized(t, ours(17), home).At(home)
	for _, test := range []struct {
		name, user, command string
		mount               testbed.Mount
		want                string
	}{
		{"pg_controldata", "", `pg_controldata "$PGDATA"`, at, "pg_control version number:            1300"},
		{"pg_controldata without an argument", "postgres", `pg_controldata`, at, "Database cluster state:               shut down"},
		{"pg_resetwal", "postgres", `pg_resetwal -n "$PGDATA"`, at, "Current pg_control values:"},
		{"pg_checksums", "postgres", `pg_checksums --enable && pg_checksums --check`, ours, "Checksum operation completed"},
		{"gosu and another one", "", `gosu postgres pg_resetwal --version; echo "$PGDATA"`, at, "pg_resetwal (PostgreSQL) 15."},
		{"postgres --single", "postgres", `echo "select 'it is ' || 42" | postgres --single postgres`, at, `"it is 42"`},
		{"in the directory of the volume", "", `echo "it is $PGDATA"`, ours, "it is " + home + "/17/docker\n"},
	} {
		spec := testbed.Spec{Image: "pgbaton:17", Mounts: []testbed.Mount{test.mount}, User: test.user, Args: []string{"bash", "-c", test.command}}
		if log := ends(t, testbed.Run(t, spec), 0); !strings.Contains(log, test.want) {
			t.Errorf("%s: %q is missing in\n%s", test.name, test.want, log)
		}
	}
	// With a setting that a server refuses a shell still opens, and knows where it is.
	spec := testbed.Spec{
		Image: "pgbaton:17", Mounts: []testbed.Mount{at}, Args: []string{"bash", "-c", "echo $PGDATA"},
		Env: map[string]string{"POSTGRES_PASSWORD_FILE": "/nowhere"},
	}
	if log := ends(t, testbed.Run(t, spec), 0); log != data+"\n" {
		t.Errorf("with a secret that is missing: %q", log)
	}
}

// As many Compose files make a standby.
const standby = `until pg_basebackup --pgdata=$PGDATA -R --slot=replica%d --create-slot --host=primary --username=replicator
do sleep 0.2; done; chmod 0700 "$PGDATA"; exec postgres`

func TestAServerOfOnesOwnInTheVolumeIsAStandbyOfAnother(t *testing.T) {
	t.Parallel()
	n := testbed.NewNetwork(t)
	primary := ourSpec(17, testbed.NewVolume(t).At(home))
	primary.Net, primary.Aliases = n, []string{"primary"}
	primary.IP = n.Address(10)
	primary.Files = []testbed.File{{Path: scripts + "a.sh", Data: `
psql -c "create role replicator replication login password 'baton'"
echo "host replication replicator all scram-sha-256" >> "$PGDATA/pg_hba.conf"
`}}
	p := serve(t, primary)
	for i, mount := range []string{home, data} {
		spec := testbed.Spec{
			Image: "pgbaton:17", Net: n, IP: n.Address(11 + i), User: "postgres", Args: []string{"bash", "-c", fmt.Sprintf(standby, i)},
			Env: map[string]string{"PGPASSWORD": "baton"}, Mounts: []testbed.Mount{testbed.NewVolume(t).At(mount)},
		}
		s := testbed.Run(t, spec)
		s.Eventually(patience, "the standby answers, in docker exec too", func() bool {
			r := s.Exec("psql", "-h", "/var/run/postgresql", "-XAtqU", "postgres", "-c", "select pg_is_in_recovery()")
			return r.Stdout == "t\n"
		})
		if got, want := s.MustExec("sh", "-c", `head -1 "$PGDATA/PG_VERSION"; readlink "$PGDATA"`), map[string]string{home: home + "/17/docker", data: data}[mount]; got != "17\n"+want {
			t.Errorf("at %s: %q", mount, got)
		}
		psql(t, p, "create table if not exists seen (n int)")
		s.Eventually(patience, "the table is there", func() bool {
			return s.Exec("psql", "-U", "postgres", "-c", "table seen").Code == 0
		})
	}
}
