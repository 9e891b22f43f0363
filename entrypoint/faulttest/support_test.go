package faulttest

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

const (
	image    = "pgbaton:17"
	home     = "/var/lib/postgresql"
	pgdata   = "17/docker" // on the volume
	password = "correct horse"
	// long bounds every wait for something that has to happen; what is waited
	// for takes a second or a few on an idle machine.
	long = 3 * time.Minute
)

// initScript makes what proves that a cluster is a whole one.
const initScript = "create table born as select n from generate_series(1, 1000) n;\n"

var bornFile = testbed.File{Path: "/docker-entrypoint-initdb.d/born.sql", Data: initScript}

var template struct {
	sync.Mutex
	dir string // holds volume: an initialised cluster, cleanly shut down
}

func TestMain(m *testing.M) {
	flag.Parse()
	// The tests wait more than they work, but each has a server or two.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	code := m.Run()
	if template.dir != "" {
		_ = os.RemoveAll(template.dir)
	}
	os.Exit(code)
}

// environ is the environment of a node, with what differs.
func environ(extra ...string) map[string]string {
	env := map[string]string{
		"POSTGRES_PASSWORD":    password,
		"POSTGRES_INITDB_ARGS": "--wal-segsize=1", // small volumes, and WAL that soon needs a new file
		"PGBATON_NODE":         "n1",
	}
	for _, kv := range extra {
		name, value, _ := strings.Cut(kv, "=")
		env[name] = value
	}
	return env
}

// spec is a node on a volume.
func spec(m testbed.Mount, env ...string) testbed.Spec {
	return testbed.Spec{Image: image, Env: environ(env...), Mounts: []testbed.Mount{m}, Stop: time.Minute}
}

// cluster returns a directory with an initialised cluster, made once.
func cluster(t *testing.T) string {
	t.Helper()
	template.Lock()
	defer template.Unlock()
	if template.dir != "" {
		return filepath.Join(template.dir, "volume")
	}
	v := testbed.NewVolume(t)
	s := spec(v.At(home))
	s.Files = []testbed.File{bornFile}
	c := testbed.Run(t, s)
	c.WaitReady(long)
	// Standbys and backups come over TCP.
	c.MustExec("bash", "-c", "echo 'host replication all all scram-sha-256' >>$PGDATA/pg_hba.conf")
	if code, _ := c.Stop(time.Minute); code != 0 {
		t.Fatalf("the template's container ended with %d", code)
	}
	c.Remove()
	dir, err := os.MkdirTemp("", "pgbaton-template-")
	if err != nil {
		t.Fatal(err)
	}
	copyTree(t, v.Path(), filepath.Join(dir, "volume"))
	template.dir = dir
	return filepath.Join(dir, "volume")
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	host(t, "cp", "-a", "--reflink=auto", from, to)
}

// host runs a program of the host.
func host(t *testing.T, args ...string) {
	t.Helper()
	if out, err := proc.Output(t.Context(), proc.Spec{Args: args}); err != nil {
		t.Fatalf("%v: %v %s", args, err, out)
	}
}

// seeded returns a directory of the host with a copy of the cluster, to be
// mounted at home.
func seeded(t *testing.T) string {
	t.Helper()
	from := cluster(t)
	dir := filepath.Join(t.TempDir(), "volume")
	copyTree(t, from, dir)
	return dir
}

// seededLoop is a file system of its own with a copy of the cluster.
func seededLoop(t *testing.T, fs string, size int64) *testbed.Loop {
	t.Helper()
	from := cluster(t)
	l := testbed.NewLoop(t, fs, size)
	host(t, "cp", "-a", from+"/.", l.Path())
	host(t, "sync", "-f", l.Path())
	return l
}

// served fails unless the node serves the whole cluster with its own data.
func served(t *testing.T, c *testbed.Container) {
	t.Helper()
	c.WaitReady(long)
	var n, sum int
	if err := c.DB().QueryRowContext(t.Context(), "select count(*), sum(n) from born").Scan(&n, &sum); err != nil {
		t.Fatalf("read what the init script made: %v", err)
	}
	if n != 1000 || sum != 500500 {
		t.Fatalf("the init script's table has %d rows with the sum %d", n, sum)
	}
}

// state asks the supervisor over its socket.
func state(t *testing.T, c *testbed.Container) (node.State, error) {
	t.Helper()
	var st node.State
	r, err := c.TryDo(t.Context(), testbed.Command{Args: []string{"pgbaton", "status", "-o", "json"}})
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("pgbaton status: exit code %d: %s", r.Code, r.Stderr)
	}
	if err == nil {
		err = json.Unmarshal([]byte(r.Stdout), &st)
	}
	return st, err
}

// waitPhase waits until the node is in a phase.
func waitPhase(t *testing.T, c *testbed.Container, want node.Phase) node.State {
	t.Helper()
	var st node.State
	c.Eventually(long, "phase is "+string(want), func() bool {
		var err error
		st, err = state(t, c)
		if err != nil && !c.Inspect().Running {
			t.Fatalf("the container ended: %v", err)
		}
		return err == nil && st.Phase == want
	})
	return st
}

// stays fails unless the container lives, says that it lives, and is not ready.
func stays(t *testing.T, c *testbed.Container) {
	t.Helper()
	if r := c.Exec("pgbaton", "status", "--live"); r.Code != 0 {
		t.Errorf("status --live ends with %d: %s", r.Code, r.Stderr)
	}
	if r := c.Exec("pgbaton", "status", "--ready"); r.Code != 1 {
		t.Errorf("status --ready ends with %d, want 1: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if _, runs := c.Postmaster(); runs {
		t.Error("a postmaster runs")
	}
}

// says fails unless the text has each of the words.
func says(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q does not say %q", text, w)
		}
	}
}

// fingerprint is what a directory looks like: a change to any file, owner or mode
// shows. Names in without are left out.
func fingerprint(t *testing.T, dir string, without ...string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		for _, w := range without {
			if rel == w {
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := fmt.Sprintf("%v %d", info.Mode(), owner(info))
		if !d.IsDir() {
			text += fmt.Sprintf(" %d %v", info.Size(), info.ModTime())
		}
		found[rel] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// unchanged compares a directory with its fingerprint.
func unchanged(t *testing.T, before, after map[string]string) {
	t.Helper()
	if maps.Equal(before, after) {
		return
	}
	for path, was := range before {
		if now, there := after[path]; !there {
			t.Errorf("%s is gone", path)
		} else if now != was {
			t.Errorf("%s was %s and is %s", path, was, now)
		}
	}
	for path := range after {
		if _, there := before[path]; !there {
			t.Errorf("%s is new", path)
		}
	}
}

// client makes a connection for each request: one that it kept would have its
// place already.
var client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// get asks the TCP side of the API; code 0: no answer.
func get(ctx context.Context, addr, path string, header ...string) (code int, body string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+":8008"+path, nil)
	if err != nil {
		return 0, err.Error()
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	var b strings.Builder
	_, _ = fmt.Fprint(&b, readAll(resp.Body))
	return resp.StatusCode, b.String()
}
