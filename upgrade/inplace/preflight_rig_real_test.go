//go:build realpg

package inplace

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/upgrade"
)

// live is a volume with an old cluster whose server runs as users run it: with
// its own configuration.
type live struct {
	t    *testing.T
	site Site
	dir  string
}

// newLive makes the cluster in parent, which must be the server's user's, and
// does not start it.
func newLive(t *testing.T, from, to int, initdb ...string) *live {
	t.Helper()
	return newLiveIn(t, "/tmp", from, to, "postgres", initdb...)
}

func newLiveIn(t *testing.T, parent string, from, to int, superuser string, initdb ...string) *live {
	t.Helper()
	u, err := proc.LookupUser("postgres")
	if err != nil {
		t.Fatal(err)
	}
	all := pg.Find([]string{"/usr/lib/postgresql"})
	old, okOld := pg.Pick(all, from)
	next, okNext := pg.Pick(all, to)
	if !okOld || !okNext {
		t.Fatalf("no majors %d and %d here", from, to)
	}
	dir, err := os.MkdirTemp(parent, "live")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	control, err := os.MkdirTemp("/tmp", "ctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(control) })
	for _, d := range []string{dir, control} {
		if err := errors.Join(os.Chmod(d, 0o755), os.Chown(d, int(u.UID), int(u.GID))); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	l := &live{t: t, dir: dir, site: Site{
		Root: root, Volume: dir, PGData: filepath.Join(dir, "old"), Old: old, New: next, User: u, Superuser: superuser,
		Environ: []string{"PATH=/usr/bin:/bin", "LANG=en_US.UTF-8"}, Sockets: control + "/s",
	}}
	args := append([]string{"initdb", "-D", l.site.PGData, "-U", superuser, "-A", "trust", "-N"}, initdb...)
	if !slices.ContainsFunc(initdb, func(a string) bool { return strings.Contains(a, "locale") }) {
		args = append(args, "--locale=en_US.UTF-8")
	}
	l.run(old, args...)
	return l
}

func (l *live) run(b pg.Binaries, args ...string) string {
	l.t.Helper()
	out, err := proc.Output(context.WithoutCancel(l.t.Context()), l.site.spec(b, args...))
	if err != nil {
		l.t.Fatalf("%s: %v\n%s", args[0], err, out)
	}
	return string(out)
}

// start runs the server with a socket in the volume and the user's arguments.
func (l *live) start(args ...string) {
	l.t.Helper()
	l.site.Args = args
	opts := []string{"-k", l.dir, "-c", "listen_addresses="}
	for _, a := range args {
		opts = append(opts, "'"+strings.ReplaceAll(a, "'", `'\''`)+"'")
	}
	l.run(l.site.Old, "pg_ctl", "-D", l.site.PGData, "-w", "-l", l.dir+"/log", "-o", strings.Join(opts, " "), "start")
	l.t.Cleanup(l.stop)
}

func (l *live) stop() {
	if _, err := pg.ReadPidFile(l.site.PGData); err == nil {
		l.run(l.site.Old, "pg_ctl", "-D", l.site.PGData, "-w", "-m", "fast", "stop")
	}
}

func (l *live) login(db string) pg.Login {
	return pg.Login{SocketDir: l.dir, Port: 5432, User: l.site.Superuser, Database: db, PeerUID: int(l.site.User.UID)}
}

func (l *live) open(ctx context.Context, do func(context.Context, func(string) pg.Login) error) error {
	return do(ctx, l.login)
}

// sql runs statements one by one.
func (l *live) sql(db string, statements ...string) string {
	l.t.Helper()
	out := ""
	for _, q := range statements {
		out = l.run(l.site.Old, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", l.dir, "-p", "5432", "-U", l.site.Superuser, "-d", db, "-c", q)
	}
	return strings.TrimSpace(out)
}

func (l *live) conf(text string) {
	l.t.Helper()
	f, err := os.OpenFile(filepath.Join(l.site.PGData, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		l.t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		l.t.Fatal(err)
	}
	_ = f.Close()
}

func (l *live) tell(doing string, percent float64) { l.t.Logf("%3.0f%% %s", percent, doing) }

func (l *live) gather(req node.UpgradeRequest) upgrade.Facts {
	l.t.Helper()
	f, err := Gather(l.t.Context(), &l.site, l.open, req, l.tell)
	if err != nil {
		l.t.Fatal(err)
	}
	return f
}

func (l *live) preflight(req node.UpgradeRequest) []node.Finding {
	l.t.Helper()
	_ = l.site.clearScratch()
	_, found, err := Preflight(l.t.Context(), &l.site, l.open, req, l.tell)
	for _, f := range found {
		l.t.Logf("%s %s: %s | %s | %s", f.Level, f.Code, f.Text, f.Hint, f.Detail)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return found
}

// check runs gather, initdb and --check alone.
func (l *live) check(req node.UpgradeRequest) []node.Finding {
	l.t.Helper()
	_ = l.site.clearScratch()
	f := l.gather(req)
	if err := MakeCluster(l.t.Context(), &l.site, f, l.site.Scratch("new"), ""); err != nil {
		l.t.Fatal(err)
	}
	found, err := Check(l.t.Context(), &l.site, l.open, f, l.site.Scratch("new"), l.tell)
	for _, f := range found {
		l.t.Logf("%s %s: %s | %s | %s", f.Level, f.Code, f.Text, f.Hint, f.Detail)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	if _, err := pg.ReadPidFile(l.site.Scratch("new")); err == nil {
		l.t.Error("a server was left behind")
	}
	return found
}

func codesOf(found []node.Finding, level node.Level) string {
	var res []string
	for _, f := range found {
		if f.Level == level {
			res = append(res, f.Code)
		}
	}
	return strings.Join(res, " ")
}

// upgrade stops the old server and runs pg_upgrade as an upgrade does.
func (l *live) upgrade(f upgrade.Facts, mode node.UpgradeMode) error {
	l.t.Helper()
	l.stop()
	if err := errors.Join(l.site.makeDir("work"), l.site.makeSockets()); err != nil {
		l.t.Fatal(err)
	}
	oldOptions, newOptions, err := HelperOptions(l.t.Context(), &l.site, f)
	if err != nil {
		l.t.Fatal(err)
	}
	run := pg.PgUpgrade{
		Old: l.site.Old, New: l.site.New, OldData: l.site.PGData, NewData: l.site.Scratch("new"), Superuser: l.site.Superuser,
		SocketDir: l.site.Sockets, Jobs: 2, Mode: mode, OldOptions: oldOptions, NewOptions: newOptions, NoSync: true,
	}
	return run.Run(l.t.Context(), &l.site.User, l.site.Environ, l.site.Scratch("work"), func(s string) { l.t.Log(s) })
}
