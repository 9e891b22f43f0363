package entrypoint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// As root, whom no mode keeps out, for another user.
func TestInitScriptsThatTheServersUserCannotReadAreRefused(t *testing.T) {
	t.Parallel()
	u := proc.CurrentUser()
	if u.UID == 0 {
		u = proc.User{UID: 65534, GID: 65534}
	}
	check := func(dir string) string {
		err := pg.AsUser(&u, func() error { return readableScripts(dir, u) })
		if err == nil {
			return ""
		}
		return err.Error()
	}
	base, err := os.MkdirTemp("/tmp", "scripts")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	dir := filepath.Join(base, "initdb.d")
	mode := func(path string, m os.FileMode) {
		t.Helper()
		if err := os.Chmod(path, m); err != nil {
			t.Fatal(err)
		}
	}
	mode(base, 0o755)
	if got := check(dir); got != "" {
		t.Errorf("no directory at all: %q", got)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README", ".hidden.sh", "a.sql", "b.sh"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mode(filepath.Join(dir, "README"), 0o000)
	mode(filepath.Join(dir, ".hidden.sh"), 0o000)
	if got := check(dir); got != "" {
		t.Errorf("what is no script need not be read: %q", got)
	}
	mode(filepath.Join(dir, "a.sql"), 0o000)
	if got := check(dir); !strings.Contains(got, "the init script "+dir+"/a.sql cannot be read") || !strings.Contains(got, "nothing was made") {
		t.Errorf("a script that cannot be read: %q", got)
	}
	mode(filepath.Join(dir, "a.sql"), 0o444)
	if err := os.Symlink("nowhere", filepath.Join(dir, "c.sql.gz")); err != nil {
		t.Fatal(err)
	}
	if got := check(dir); !strings.Contains(got, "c.sql.gz") || !strings.Contains(got, "no such file") {
		t.Errorf("a link that leads nowhere: %q", got)
	}
	for _, m := range []os.FileMode{0o000, 0o111} {
		mode(dir, m)
		if got := check(dir); !strings.Contains(got, "ls: cannot open directory '"+dir+"/': Permission denied\n") {
			t.Errorf("a directory of mode %o: %q", m, got)
		}
	}
	mode(dir, 0o755)
}
