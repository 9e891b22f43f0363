//go:build realpg

package inplace

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// configRig is a volume with an old cluster that never runs and an empty new one.
type configRig struct {
	t            *testing.T
	site         *Site
	build, final string
}

// newConfigRig lays the old cluster out as <volume>/15/docker, or as the
// volume itself (legacy).
func newConfigRig(t *testing.T, from, to int, legacy bool) *configRig {
	t.Helper()
	u := proc.CurrentUser()
	if u.UID == 0 {
		var err error
		if u, err = proc.LookupUser("postgres"); err != nil {
			t.Fatal(err)
		}
	}
	all := pg.Find([]string{"/usr/lib/postgresql"})
	old, okOld := pg.Pick(all, from)
	next, okNext := pg.Pick(all, to)
	if !okOld || !okNext {
		t.Fatalf("no majors %d and %d here", from, to)
	}
	volume, err := os.MkdirTemp("/tmp", "config")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(volume) })
	root, err := os.OpenRoot(volume)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	r := &configRig{t: t, site: &Site{
		Root: root, Volume: volume, PGData: filepath.Join(volume, fmt.Sprint(from), "docker"), Old: old, New: next, User: u,
		Environ: []string{"PATH=/usr/bin:/bin", "LANG=en_US.UTF-8"},
	}, final: filepath.Join(volume, fmt.Sprint(to), "docker")}
	if legacy {
		r.site.PGData, r.final = volume, volume
	}
	r.build = r.site.Scratch("new")
	r.own(volume)
	r.initdb(old, r.site.PGData)
	if err := durable.MkdirAll(root, ScratchDir, r.uid(), -1); err != nil {
		t.Fatal(err)
	}
	r.initdb(next, r.build)
	return r
}

func (r *configRig) uid() int {
	uid, _ := r.site.owner()
	return uid
}

func (r *configRig) own(path string) {
	r.t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	if err := os.Lchown(path, int(r.site.User.UID), int(r.site.User.GID)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *configRig) initdb(b pg.Binaries, dir string) {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if filepath.Dir(dir) != "/tmp" {
		r.own(filepath.Dir(dir))
	}
	out, err := proc.Output(r.t.Context(), r.site.spec(b, "initdb", "-N", "-D", dir, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"))
	if err != nil {
		r.t.Fatalf("%v\n%s", err, out)
	}
}

// old writes a file of the old data directory, with directories as needed.
func (r *configRig) old(name, text string) {
	r.t.Helper()
	r.put(filepath.Join(r.site.PGData, name), text)
}

func (r *configRig) put(path, text string) {
	r.t.Helper()
	made := []string{path}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		made = append(made, dir)
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		r.t.Fatal(err)
	}
	for _, name := range made {
		r.own(name)
	}
}

func (r *configRig) add(name, text string) {
	r.t.Helper()
	old, err := os.ReadFile(filepath.Join(r.site.PGData, name))
	if err != nil {
		r.t.Fatal(err)
	}
	r.old(name, string(old)+text)
}

func (r *configRig) plan() (*ConfigPlan, []node.Finding) {
	r.t.Helper()
	c, findings, err := PlanConfig(r.t.Context(), r.site, r.final)
	if err != nil {
		r.t.Fatal(err)
	}
	if left, _ := filepath.Glob(r.site.Scratch("config-*")); len(left) > 0 {
		r.t.Errorf("left behind: %s", left)
	}
	return c, findings
}

// refused expects exactly one refusal.
func (r *configRig) refused(code, says string) {
	r.t.Helper()
	_, findings := r.plan()
	var got []node.Finding
	for _, f := range findings {
		if f.Level == node.Refuse {
			got = append(got, f)
		}
	}
	if len(got) != 1 || got[0].Code != code || !strings.Contains(got[0].Text+got[0].Detail, says) || got[0].Hint == "" {
		r.t.Errorf("want %s: %s\ngot %+v", code, says, findings)
	}
}

// carry applies the plan and does what the switch would do.
func (r *configRig) carry(c *ConfigPlan) (moved []string) {
	r.t.Helper()
	moved, err := c.Apply(r.t.Context(), r.site, r.build, r.final)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, name := range moved {
		if err := os.Rename(filepath.Join(r.site.PGData, name), filepath.Join(r.build, name)); err != nil {
			r.t.Error(err)
		}
	}
	return moved
}

// switchOver puts the new cluster where it will be.
func (r *configRig) switchOver() {
	r.t.Helper()
	aside := r.site.Volume + "-old"
	r.t.Cleanup(func() { _ = os.RemoveAll(aside) })
	if err := errors.Join(
		os.Rename(r.build, aside+"-new"), os.Rename(r.site.PGData, aside),
		os.MkdirAll(filepath.Dir(r.final), 0o755), os.Rename(aside+"-new", r.final),
	); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = os.RemoveAll(r.final) })
}

// show asks the new major what it would start with.
func (r *configRig) show(names ...string) map[string]string {
	r.t.Helper()
	got, err := pg.ShowSettings(r.t.Context(), r.site.New, r.final, r.site.Args, &r.site.User, r.site.Environ, names...)
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

func (r *configRig) text(dir, name string) string {
	r.t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(data)
}
