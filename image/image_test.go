// Package image_test holds the official postgres image's contract, case by
// case, against real containers of our image and, where that is the clearest
// way to say it, beside a container of the official layout.
package image_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

const (
	// patience bounds every wait; nothing here is meant to take that long.
	patience = 4 * time.Minute
	// home is where both images keep their data, data the mount point up to 17.
	home = "/var/lib/postgresql"
	data = home + "/data"
)

// TestMain lets four containers run at a time whatever the number of cores:
// these tests wait more than they work.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "4"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(testbed.Main(m))
}

func ours(major int) string     { return fmt.Sprintf("pgbaton:%d", major) }
func official(major int) string { return fmt.Sprintf("pgbaton-official:%d", major) }

// ourSpec is a container of our image with the least that it needs.
func ourSpec(major int, mounts ...testbed.Mount) testbed.Spec {
	return testbed.Spec{
		Image: ours(major), Env: map[string]string{"POSTGRES_PASSWORD": testbed.Password},
		Mounts: mounts, Stop: time.Minute,
	}
}

func officialSpec(major int, mounts ...testbed.Mount) testbed.Spec {
	s := ourSpec(major, mounts...)
	s.Image = official(major)
	return s
}

// officialMount is where Compose files mount the official image's volume.
func officialMount(major int) string {
	if major >= 18 {
		return home
	}
	return data
}

// officialData is a volume that the official layout initialised, as a mount,
// and its data directory.
func officialData(t *testing.T, major int) (at testbed.Mount, pgdata string) {
	t.Helper()
	mount := officialMount(major)
	pgdata = mount
	if major >= 18 {
		pgdata = fmt.Sprintf("%s/%d/docker", home, major)
	}
	return testbed.Initialized(t, official(major), mount).At(mount), pgdata
}

// serve runs a container and waits until it serves over TCP.
func serve(t *testing.T, s testbed.Spec) *testbed.Container {
	t.Helper()
	c := testbed.Run(t, s)
	c.WaitReady(patience)
	return c
}

// stop is docker stop; it has to be a clean one.
func stop(t *testing.T, c *testbed.Container) {
	t.Helper()
	if code, took := c.Stop(time.Minute); code != 0 {
		t.Fatalf("docker stop ended with exit code %d after %v", code, took)
	}
}

// ends waits for the end of a container and returns what it printed.
func ends(t *testing.T, c *testbed.Container, want int) string {
	t.Helper()
	code := c.Wait(patience)
	log := c.Logs()
	if code != want {
		t.Fatalf("exit code %d, not %d; the log:\n%s", code, want, log)
	}
	return log
}

// psql asks over the socket, as docker exec by root, the superuser of Spec.Env.
func psql(t *testing.T, c *testbed.Container, sql string) string {
	t.Helper()
	user := c.Spec.Env["POSTGRES_USER"]
	if user == "" {
		user = "postgres"
	}
	return psqlIn(t, c, user, "postgres", sql)
}

func psqlIn(t *testing.T, c *testbed.Container, user, db, sql string) string {
	t.Helper()
	r := c.Do(testbed.Command{
		Args: []string{"psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", user, "-d", db, "-c", sql},
		Env:  []string{"PGPASSWORD=" + c.Spec.Env["POSTGRES_PASSWORD"]},
	})
	if r.Code != 0 {
		t.Fatalf("psql %q: exit code %d\n%s%s", sql, r.Code, r.Stdout, r.Stderr)
	}
	return strings.TrimSuffix(r.Stdout, "\n")
}

// login asks one question over TCP.
func login(t *testing.T, c *testbed.Container, user, password, db, sql string) (answer string, err error) {
	t.Helper()
	dsn, err := c.DSNFor(t.Context(), user, password, db)
	if err != nil {
		return "", err
	}
	conn, err := testbed.OpenDB(dsn)
	if err != nil {
		return "", err
	}
	defer conn.Close() //nolint:errcheck // the answer is what counts
	err = conn.QueryRowContext(t.Context(), sql).Scan(&answer)
	return answer, err
}

// noAnswer is pgbaton's exit code while no supervisor answers.
const noAnswer = 3

// status is what pgbaton status says about the node, as soon as its supervisor
// answers.
func status(t *testing.T, c *testbed.Container, program ...string) node.State {
	t.Helper()
	if len(program) == 0 {
		program = []string{"pgbaton"}
	}
	var st node.State
	var r testbed.Result
	c.Eventually(patience, "the supervisor answers", func() bool {
		r = c.Exec(append(program, "status", "-o", "json")...)
		return r.Code != noAnswer
	})
	if err := json.Unmarshal([]byte(r.Stdout), &st); err != nil {
		t.Fatalf("pgbaton status: exit code %d, %v\n%s%s", r.Code, err, r.Stdout, r.Stderr)
	}
	return st
}

// asked waits until the supervisor has asked its server, which takes SQL.
func asked(t *testing.T, c *testbed.Container, program ...string) node.State {
	t.Helper()
	var st node.State
	deadline := time.Now().Add(patience)
	for st.Server == nil {
		if time.Now().After(deadline) {
			t.Fatalf("the supervisor's own SQL does not get through: %q", st.Warnings)
		}
		st = status(t, c, program...)
	}
	return st
}

// phase waits until the supervisor says so.
func phase(t *testing.T, c *testbed.Container, want node.Phase) node.State {
	t.Helper()
	var st node.State
	c.Eventually(patience, "phase "+string(want), func() bool {
		r := c.Exec("pgbaton", "status", "-o", "json")
		return json.Unmarshal([]byte(r.Stdout), &st) == nil && st.Phase == want
	})
	return st
}

// read is a file of the container.
func read(c *testbed.Container, path string) string { return c.MustExec("cat", path) }

// environ is the environment of a process; another uid's is seen by the
// host's root only.
func environ(t *testing.T, p testbed.Process) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.HostPID))
	if err != nil || len(raw) == 0 {
		t.Fatalf("read the environment of %d (%s): %d bytes, %v; these tests are run by root", p.PID, p.Comm, len(raw), err)
	}
	env := map[string]string{}
	for kv := range strings.SplitSeq(strings.TrimSuffix(string(raw), "\x00"), "\x00") {
		name, value, _ := strings.Cut(kv, "=")
		env[name] = value
	}
	return env
}

func postmaster(t *testing.T, c *testbed.Container) testbed.Process {
	t.Helper()
	p, ok := c.Postmaster()
	if !ok {
		t.Fatal("there is no postmaster")
	}
	return p
}

// binary is the static binary itself, for images that have none of ours.
func binary(t *testing.T) string {
	t.Helper()
	path := os.Getenv("PGBATON_TEST_BINARY")
	if path == "" {
		path = "../bin/pgbaton"
	}
	path, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("%v; `make build` makes it", err)
	}
	return path
}

func count(text, part string) int { return bytes.Count([]byte(text), []byte(part)) }
