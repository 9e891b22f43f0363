package upgradetest

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

const (
	home     = "/var/lib/postgresql"
	legacy   = home + "/data"
	password = "correct horse"
	// long bounds every wait for something that has to happen; an upgrade
	// takes some ten seconds on an idle machine.
	long = 5 * time.Minute
)

// templates are directories with initialised clusters, made once.
var templates struct {
	sync.Mutex
	dir  string
	made map[string]*sync.Once
}

func TestMain(m *testing.M) {
	flag.Parse()
	// Upgrades work hard, and wait for the disk.
	if err := flag.Set("test.parallel", strconv.Itoa(max(3, runtime.NumCPU()))); err != nil {
		panic(err)
	}
	code := m.Run()
	if templates.dir != "" {
		_ = os.RemoveAll(templates.dir)
	}
	os.Exit(code)
}

func image(major int) string    { return fmt.Sprintf("pgbaton:%d", major) }
func official(major int) string { return fmt.Sprintf("pgbaton-official:%d", major) }

// environ is the environment of a node, with what differs.
func environ(extra ...string) map[string]string {
	env := map[string]string{
		"POSTGRES_PASSWORD":    password,
		"POSTGRES_INITDB_ARGS": "--wal-segsize=1", // small volumes
		"PGBATON_NODE":         "n1",
	}
	for _, kv := range extra {
		name, value, _ := strings.Cut(kv, "=")
		env[name] = value
	}
	return env
}

// spec is a node whose volume is mounted at the usual place.
func spec(major int, m testbed.Mount, env ...string) testbed.Spec {
	return testbed.Spec{Image: image(major), Env: environ(env...), Mounts: []testbed.Mount{m}, Stop: time.Minute}
}

// template is a kind of initialised cluster: how its node runs, and what it is
// loaded with.
type template struct {
	name string
	spec func(dir string) testbed.Spec
	load func(t *testing.T, c *testbed.Container)
}

// rows is a small cluster of a major, in the image's own layout.
func rows(major int, env ...string) template {
	return template{
		name: fmt.Sprintf("rows-%d%s", major, strings.Join(env, " ")),
		spec: func(dir string) testbed.Spec { return spec(major, testbed.Bind(dir, home), env...) },
		load: func(_ *testing.T, c *testbed.Container) { testbed.LoadRows(c, testbed.Access{}) },
	}
}

// everything is a cluster with every kind of object, a tablespace too.
func everything(major int) template {
	return template{
		name: fmt.Sprintf("everything-%d", major),
		spec: func(dir string) testbed.Spec { return spec(major, testbed.Bind(dir, home)) },
		load: func(_ *testing.T, c *testbed.Container) {
			c.MustExec("install", "-d", "-o", "postgres", "-g", "postgres", "-m", "0700", home+"/space")
			testbed.LoadContents(c, testbed.Access{}, home+"/space")
		},
	}
}

// carried is a cluster of 15, with the tables of loads, that was upgraded to 17.
// What 17 makes itself the packages may not be able to bring to 18 (see
// testbed.Upgradable); what it was brought they can.
func carried(tp template) template {
	load := tp.load
	tp.name = "carried-" + tp.name
	tp.load = func(t *testing.T, c *testbed.Container) {
		load(t, c)
		for _, table := range []string{"", "fed"} {
			prepared(t, c, table)
		}
		if u := order(t, c, 0, "now", "--target", "17", "--mode", "link"); u.Outcome != node.UpgradeDone {
			t.Fatal(describe(u))
		}
		if u := order(t, c, 0, "finish", "--yes"); u.Outcome != node.UpgradeFinished {
			t.Fatal(describe(u))
		}
		serves(t, c, 17)
	}
	return tp
}

// upgradable skips the test where the packages cannot do this upgrade.
func upgradable(t *testing.T, from, to int) {
	t.Helper()
	if ok, why := testbed.Upgradable(t, from, to); !ok {
		t.Skip(why)
	}
}

// path returns the template's directory, which nobody may write to.
func (tp template) path(t *testing.T) string {
	t.Helper()
	templates.Lock()
	if templates.dir == "" {
		dir, err := os.MkdirTemp("", "pgbaton-upgrade-")
		if err != nil {
			t.Fatal(err)
		}
		templates.dir, templates.made = dir, map[string]*sync.Once{}
	}
	once := templates.made[tp.name]
	if once == nil {
		once = &sync.Once{}
		templates.made[tp.name] = once
	}
	templates.Unlock()
	done := filepath.Join(templates.dir, tp.name)
	once.Do(func() { tp.make(t, done) })
	if _, err := os.Stat(done); err != nil {
		t.Fatalf("there is no template %s; see the first failure", tp.name)
	}
	return done
}

func (tp template) make(t *testing.T, done string) {
	t.Helper()
	dir := done + ".new"
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c := testbed.Run(t, tp.spec(dir))
	c.WaitReady(long)
	if tp.load != nil {
		tp.load(t, c)
	}
	stopped(t, c)
	c.Remove()
	if err := os.Rename(dir, done); err != nil {
		t.Fatal(err)
	}
}

// seeded is a directory of the host with a copy of the template, for a bind mount.
func seeded(t *testing.T, tp template) string {
	t.Helper()
	from := tp.path(t)
	dir := filepath.Join(t.TempDir(), "volume")
	host(t, "cp", "-a", "--reflink=auto", from, dir)
	return dir
}

// seededLoop is a file system of its own with a copy of the template.
func seededLoop(t *testing.T, tp template, fs string, size int64) *testbed.Loop {
	t.Helper()
	from := tp.path(t)
	l := testbed.NewLoop(t, fs, size)
	host(t, "cp", "-a", from+"/.", l.Path())
	host(t, "sync", "-f", l.Path())
	return l
}

// host runs a program of the host.
func host(t *testing.T, args ...string) {
	t.Helper()
	if out, err := proc.Output(t.Context(), proc.Spec{Args: args}); err != nil {
		t.Fatalf("%v: %v %s", args, err, out)
	}
}

// put writes a file of the server's user on a volume.
func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 999, 999); err != nil {
		t.Fatal(err)
	}
}

// stopped ends a container; it has to be a clean end.
func stopped(t *testing.T, c *testbed.Container) {
	t.Helper()
	if code, took := c.Stop(long); code != 0 {
		t.Fatalf("docker stop ended with exit code %d after %v", code, took)
	}
}

// result reads the result file of a volume; the zero value if there is none.
func result(t *testing.T, volume string) node.Upgrade {
	t.Helper()
	return readUpgrade(t, filepath.Join(volume, "upgrade.result.json"))
}

// journal reads how far an upgrade is; the zero value if there is none.
func journal(t *testing.T, volume string) node.Upgrade {
	t.Helper()
	return readUpgrade(t, filepath.Join(volume, ".pgbaton/journal/upgrade.json"))
}

func readUpgrade(t *testing.T, path string) node.Upgrade {
	t.Helper()
	var u node.Upgrade
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return u
	}
	if err == nil {
		err = json.Unmarshal(text, &u)
	}
	if err != nil {
		t.Fatalf("%s: %v: %.300q", path, err, text)
	}
	return u
}

// drop drops a marker, as a user does, and returns what the result file said before.
func drop(t *testing.T, volume, text string) (before node.Upgrade) {
	t.Helper()
	before = result(t, volume)
	if err := os.WriteFile(filepath.Join(volume, "upgrade"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return before
}

// became waits until the request after before has ended, and fails unless its
// outcome is one of those wanted.
func became(t *testing.T, c *testbed.Container, volume string, before node.Upgrade, want ...node.Outcome) node.Upgrade {
	t.Helper()
	var u node.Upgrade
	deadline := time.Now().Add(long)
	for {
		u = result(t, volume)
		if u.ID != "" && u.ID != before.ID && u.Outcome != node.UpgradeRunning && !u.Ended.IsZero() {
			break
		}
		if !c.Inspect().Running {
			t.Fatalf("the container ended; the upgrade: %s", describe(u))
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v the upgrade is: %s", long, describe(u))
		}
		time.Sleep(50 * time.Millisecond)
	}
	if !slices.Contains(want, u.Outcome) {
		t.Fatalf("the upgrade is %s, not %v", describe(u), want)
	}
	return u
}

// describe says in some lines what became of an upgrade.
func describe(u node.Upgrade) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q (%d to %d, %s, attempt %d): %s", u.Outcome, u.From, u.To, u.Mode, u.Attempt, u.Why)
	for _, s := range u.Steps {
		fmt.Fprintf(&b, "\n  step %s %s %v", s.Name, s.State, s.Took.Round(time.Millisecond))
	}
	for _, f := range u.Findings {
		fmt.Fprintf(&b, "\n  %s %s: %s (%s) %.500s", f.Level, f.Code, f.Text, f.Hint, f.Detail)
	}
	return b.String()
}

// psql asks over the socket, as docker exec by root, the superuser of Spec.Env.
func psql(t *testing.T, c *testbed.Container, sql string) string {
	t.Helper()
	return psqlIn(t, c, "postgres", sql)
}

func psqlIn(t *testing.T, c *testbed.Container, db, sql string) string {
	t.Helper()
	user := c.Spec.Env["POSTGRES_USER"]
	if user == "" {
		user = "postgres"
	}
	r := c.Do(testbed.Command{
		Args: []string{"psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "/var/run/postgresql", "-p", "5432", "-U", user, "-d", db, "-c", sql},
		Env:  []string{"PGPASSWORD=" + c.Spec.Env["POSTGRES_PASSWORD"]},
	})
	if r.Code != 0 {
		t.Fatalf("psql %q: exit code %d\n%s%s", sql, r.Code, r.Stdout, r.Stderr)
	}
	return strings.TrimSuffix(r.Stdout, "\n")
}

// serves fails unless a server of this major answers.
func serves(t *testing.T, c *testbed.Container, major int) {
	t.Helper()
	c.WaitReady(long)
	if got := psql(t, c, "select current_setting('server_version_num')::int / 10000"); got != fmt.Sprint(major) {
		t.Fatalf("PostgreSQL %s serves, not %d", got, major)
	}
}

// same fails unless the server holds what it held before.
func same(t *testing.T, before, after testbed.Contents) {
	t.Helper()
	if diff := testbed.Compare(before, after); diff != "" {
		t.Errorf("the contents differ:\n%s", diff)
	}
}

// writing is a load of a container; without a name into the usual table.
func writing(c *testbed.Container, table string) testbed.Load {
	return testbed.Load{Target: c.DSN, Think: 2 * time.Millisecond, Writers: 2, Table: table}
}

// prepared is a load whose table was made.
func prepared(t *testing.T, c *testbed.Container, table string) testbed.Load {
	t.Helper()
	load := writing(c, table)
	if err := load.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return load
}

// begin lets a load loose on a container.
func begin(t *testing.T, c *testbed.Container) *testbed.Running {
	t.Helper()
	prepared(t, c, "")
	return loose(t, c)
}

// loose is begin where the table is there already and empty.
func loose(t *testing.T, c *testbed.Container) *testbed.Running {
	t.Helper()
	r := writing(c, "").Start(t.Context())
	flowing(t, r)
	return r
}

func flowing(t *testing.T, r *testbed.Running) {
	t.Helper()
	if err := r.Flowing(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
}

// audited ends a load; nothing that was acknowledged may be missing or there twice.
func audited(t *testing.T, r *testbed.Running, c *testbed.Container) testbed.Report {
	t.Helper()
	r.Stop()
	c.WaitReady(long)
	rep, err := r.Audit(t.Context(), c.DB())
	if err != nil {
		t.Fatal(err)
	}
	if err := rep.Err(); err != nil {
		t.Error(err)
	}
	t.Log(rep)
	return rep
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
