//go:build realpg

// These tests need root, an operating system user postgres, and PostgreSQL 15,
// 17 and 18 in /usr/lib/postgresql, so they run in a container of the image:
//
//	CGO_ENABLED=0 go test -c -tags realpg -o inplace.test ./upgrade/inplace
//	docker run --rm --entrypoint /inplace.test -v "$PWD/inplace.test:/inplace.test:ro" IMAGE -test.v -test.run ^TestReal
package inplace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/upgrade"
)

// rig is a volume with an old cluster, upgraded by plain pg_upgrade.
type rig struct {
	t    *testing.T
	site Site
	srv  *pg.Helper
	data string
	b    pg.Binaries
	init []string // more arguments of initdb
}

func newRig(t *testing.T, from, to int, init ...string) *rig {
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
	dir, err := os.MkdirTemp("/tmp", "rig")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chown(dir, int(u.UID), int(u.GID))); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	r := &rig{t: t, init: init, data: filepath.Join(dir, "old"), b: old, site: Site{
		Root: root, Volume: dir, PGData: filepath.Join(dir, "old"), Old: old, New: next, User: u,
		Environ: []string{"PATH=/usr/bin:/bin", "LANG=en_US.UTF-8"}, Superuser: "postgres",
	}}
	r.run(old, append([]string{"initdb"}, r.initArgs(old, r.data)...)...)
	return r
}

func (r *rig) initArgs(b pg.Binaries, dir string) []string {
	args := []string{"-D", dir, "-U", "postgres", "-E", "UTF8", "--locale=en_US.UTF-8", "-N", "-A", "trust"}
	args = append(args, r.init...)
	if b.Major >= 18 {
		args = append(args, "--no-data-checksums")
	}
	return args
}

func (r *rig) run(b pg.Binaries, args ...string) string {
	r.t.Helper()
	s := r.site.spec(b, args...)
	s.Dir = r.site.Volume
	out, err := proc.Output(r.t.Context(), s)
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", args[0], err, out)
	}
	return string(out)
}

func (r *rig) start() {
	r.t.Helper()
	srv, err := pg.StartHelper(r.t.Context(), pg.HelperSpec{
		Binaries: r.b, Data: r.data, User: &r.site.User, Env: r.site.Environ,
		Settings: map[string]string{"max_wal_senders": "0", "wal_level": "minimal"},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.srv = srv
	r.t.Cleanup(r.stop)
}

func (r *rig) stop() {
	if r.srv == nil {
		return
	}
	if err := r.srv.Stop(context.WithoutCancel(r.t.Context())); err != nil {
		r.t.Error(err)
	}
	r.srv = nil
}

// upgrade stops the old cluster, runs plain pg_upgrade, and starts the new one.
func (r *rig) upgrade() {
	r.t.Helper()
	r.stop()
	dir := filepath.Join(r.site.Volume, "new")
	r.run(r.site.New, append([]string{"initdb"}, r.initArgs(r.site.New, dir)...)...)
	r.run(r.site.New, "pg_upgrade", "-b", r.site.Old.Bin, "-B", r.site.New.Bin, "-d", r.data, "-D", dir,
		"-U", "postgres", "-s", r.site.Volume, "--link", "--no-sync")
	r.data, r.b = dir, r.site.New
	r.start()
}

func (r *rig) session(ctx context.Context, do func(context.Context, func(string) pg.Login) error) error {
	return do(ctx, r.srv.Login)
}

func (r *rig) psql(db string, args ...string) (string, error) {
	s := r.site.spec(r.b, append([]string{
		"psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", r.srv.SocketDir(), "-p", fmt.Sprint(r.srv.Port()), "-U", "postgres",
		"-d", db,
	}, args...)...)
	out, err := proc.Output(r.t.Context(), s)
	return strings.TrimSpace(string(out)), err
}

// sql runs statements one by one in a database and returns what the last gave.
func (r *rig) sql(db string, statements ...string) (out string) {
	r.t.Helper()
	for _, q := range statements {
		var err error
		if out, err = r.psql(db, "-c", q); err != nil {
			r.t.Fatalf("%s: %s: %v", db, q, err)
		}
	}
	return out
}

func (r *rig) same(db, query, want string) {
	r.t.Helper()
	if got := r.sql(db, query); got != want {
		r.t.Errorf("%s: %s gave %q, not %q", db, query, got, want)
	}
}

func (r *rig) progress(doing string, percent float64) { r.t.Logf("%3.0f%% %s", percent, doing) }

func (r *rig) census() upgrade.Census {
	r.t.Helper()
	begin := time.Now()
	c, err := TakeCensus(r.t.Context(), r.session)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Logf("census of %d databases: %v", len(c.Databases), time.Since(begin))
	return c
}

func (r *rig) found(found []node.Finding, err error) []node.Finding {
	r.t.Helper()
	for _, f := range found {
		r.t.Logf("%s %s: %s | %s | %s", f.Level, f.Code, f.Text, f.Hint, f.Detail)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return found
}

func (r *rig) verified(before upgrade.Census) {
	r.t.Helper()
	begin := time.Now()
	found := r.found(Verify(r.t.Context(), &r.site, r.session, before))
	r.t.Logf("verify: %v", time.Since(begin))
	if len(found) != 0 {
		r.t.Errorf("a faithful upgrade has findings: %v", found)
	}
}

func (r *rig) rebuild(before upgrade.Census, mode node.ReindexMode) []node.Finding {
	r.t.Helper()
	begin := time.Now()
	found := r.found(RebuildBeforeOpening(r.t.Context(), &r.site, r.session, before, node.UpgradeRequest{Reindex: mode}, 2, r.progress))
	r.t.Logf("rebuild before opening: %v", time.Since(begin))
	return found
}

func (r *rig) after(req node.UpgradeRequest) []node.Finding {
	r.t.Helper()
	return r.found(After(r.t.Context(), &r.site, r.session, req, 2, r.progress))
}

// wrong lists the btree indexes of a database that amcheck finds out of order
// or incomplete.
func (r *rig) wrong(db string) (names []string) {
	r.t.Helper()
	r.sql(db, "create extension if not exists amcheck")
	list := r.sql(db, `select i.indexrelid::regclass from pg_index i join pg_class c on c.oid = i.indexrelid
		join pg_am a on a.oid = c.relam where a.amname = 'btree' and c.relkind = 'i' and c.oid >= 16384 order by 1::text`)
	for name := range strings.SplitSeq(list, "\n") {
		if _, err := r.psql(db, "-c", "select bt_index_check('"+strings.ReplaceAll(name, "'", "''")+"', true)"); err != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// mismatches are the server's own view of recorded and actual versions.
func (r *rig) mismatches() []string {
	r.t.Helper()
	found, err := pg.CollationMismatches(r.t.Context(), r.srv.Login)
	if err != nil {
		r.t.Fatal(err)
	}
	return found
}

func levelsAndCodes(found []node.Finding) (res []string) {
	for _, f := range found {
		res = append(res, string(f.Level)+" "+f.Code)
	}
	slices.Sort(res)
	return res
}

func (r *rig) codes(found []node.Finding, want ...string) {
	r.t.Helper()
	if got := levelsAndCodes(found); !slices.Equal(got, want) {
		r.t.Errorf("found %q, not %q", got, want)
	}
}

func (r *rig) staleFile() bool {
	_, err := os.Stat(filepath.Join(r.site.Volume, StaleFile))
	return err == nil
}

// until waits for a query's answer.
func (r *rig) until(query, want string) {
	r.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		got := r.sql("postgres", query)
		if got == want {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("%s gave %q, not %q", query, got, want)
		}
	}
}
