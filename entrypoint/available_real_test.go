//go:build realpg

// These tests need root, an operating system user postgres, and PostgreSQL in
// /usr/lib/postgresql, so they run in a container of the image (image/).
package entrypoint

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

const installed = "/usr/lib/postgresql"

func realCatalogue(t *testing.T, roots ...string) *catalogue {
	u, err := proc.LookupUser("postgres")
	must(t, err)
	return newCatalogue(roots, u, nil)
}

func TestRealMajorsOfTheImageAreAvailableAtTheFirstLook(t *testing.T) {
	c := realCatalogue(t, installed)
	began := time.Now()
	got := c.Look(t.Context(), began, 0)
	first := time.Since(began)
	if want := pg.Find([]string{installed}); len(want) == 0 || !slices.Equal(got, want) || len(c.Problems()) != 0 {
		t.Fatalf("available are %v and not %v; problems: %q", got, want, c.Problems())
	}
	before := c.Identities()
	began = time.Now()
	const looks = 100
	for range looks {
		c.Look(t.Context(), time.Now(), 0)
	}
	t.Logf("the first look took %v, any other %v", first, time.Since(began)/looks)
	if after := c.Identities(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the identities changed from %v to %v", before, after)
	}
}

func TestRealMajorThatIsCopiedInSlowlyIsAvailableOnlyWhenItIsWhole(t *testing.T) {
	root := filepath.Join(t.TempDir(), "mounted")
	must(t, openWay(root))
	source := filepath.Join(installed, fmt.Sprint(pg.Find([]string{installed})[0].Major))
	target := filepath.Join(root, filepath.Base(source))
	var files []string
	must(t, filepath.WalkDir(source, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && !strings.Contains(path, "/bitcode/") {
			files = append(files, path)
		}
		return err
	}))
	c := realCatalogue(t, root)
	copied := time.Now()
	for i, path := range files {
		rel, _ := filepath.Rel(source, path)
		to := filepath.Join(target, rel)
		data, err := os.ReadFile(path)
		must(t, err)
		must(t, os.MkdirAll(filepath.Dir(to), 0o755))
		must(t, os.WriteFile(to, data, 0o755))
		copied = time.Now()
		if got := c.Look(t.Context(), time.Now(), 0); len(got) != 0 {
			t.Fatalf("available after %d of %d files, the last of them %s", i+1, len(files), rel)
		}
	}
	for len(c.Look(t.Context(), time.Now(), 0)) == 0 {
		if time.Since(copied) > patient {
			t.Fatalf("still not available; problems: %q", c.Problems())
		}
		time.Sleep(100 * time.Millisecond)
	}
	if waited := time.Since(copied); waited < availableSettle {
		t.Errorf("available %v after the last file", waited)
	}
}

// openWay makes a directory that every user can reach.
func openWay(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func TestRealLoadersWordsNameAMissingLibrary(t *testing.T) {
	found, err := filepath.Glob("/usr/lib/*/libpq.so.5")
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("libpq is in %q", found)
	}
	hidden := found[0] + ".hidden"
	must(t, os.Rename(found[0], hidden))
	defer func() { _ = os.Rename(hidden, found[0]) }()
	c := realCatalogue(t, installed)
	all := pg.Find([]string{installed})
	now := time.Now()
	if got := c.Look(t.Context(), now, all[0].Major); !slices.Equal(got, all[:1]) {
		t.Errorf("available are %v: all but the one that serves need the library", got)
	}
	p := c.Problems()
	if len(p) != len(all) || !strings.Contains(p[0], "libpq.so.5: cannot open shared object file") {
		t.Fatalf("problems: %q", p)
	}
	t.Log(p[0])
	must(t, os.Rename(hidden, found[0]))
	if got := c.Look(t.Context(), now.Add(brokenAgain), 0); !slices.Equal(got, all) {
		t.Errorf("with the library back available are %v; problems: %q", got, c.Problems())
	}
}
