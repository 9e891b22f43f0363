package pg

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// Programs that an upgrade runs: of the old major and of the new one
// (check_bin_dir in pg_upgrade/exec.c, and our own steps).
var (
	OldPrograms = []string{"postgres", "pg_ctl", "pg_controldata", "pg_resetwal"}
	NewPrograms = []string{
		"postgres", "pg_upgrade", "initdb", "pg_ctl", "pg_controldata", "pg_resetwal",
		"pg_dump", "pg_dumpall", "pg_restore", "psql", "vacuumdb",
	}
)

// Program is one that does not work.
type Program struct {
	Path    string
	Problem string
}

// CheckPrograms runs each of the programs for its version and returns the
// version of postgres and those that are missing, do not run, or are of another
// version: an installation that goes on right now, or one that went wrong.
func CheckPrograms(ctx context.Context, b Binaries, names []string, user *proc.User, env []string) (string, []Program) {
	var version string
	var broken []Program
	for _, name := range names {
		got, problem := programVersion(ctx, b, name, user, env)
		switch {
		case problem != "":
		case !strings.HasPrefix(got, strconv.Itoa(b.Major)):
			problem = fmt.Sprintf("is of version %s, not %d", got, b.Major)
		case version == "":
			version = got
		case got != version:
			// pg_upgrade demands the very same minor version of all of them.
			problem = fmt.Sprintf("is of version %s, and others are of %s", got, version)
		}
		if problem != "" {
			broken = append(broken, Program{Path: b.Path(name), Problem: problem})
		}
	}
	return version, broken
}

// programVersion reads "pg_dump (PostgreSQL) 17.2 (Debian 17.2-1)".
func programVersion(ctx context.Context, b Binaries, name string, user *proc.User, env []string) (version, problem string) {
	out, err := proc.Output(ctx, proc.Spec{Args: []string{b.Path(name), "--version"}, Env: env, Dir: "/", User: user})
	var failed *proc.Error
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", "is missing"
	case errors.As(err, &failed):
		return "", "does not run: " + strings.TrimSpace(failed.Status.String()+" "+failed.Stderr)
	case err != nil:
		return "", "does not run: " + err.Error()
	}
	words := strings.Fields(string(out))
	if len(words) < 3 || words[1] != "(PostgreSQL)" {
		return "", fmt.Sprintf("is no program of PostgreSQL: it says %q", lastPrinted(string(out), 200))
	}
	return words[2], ""
}

// Install is where the files of a major are, beside its programs.
type Install struct {
	Share string // has extension/*.control
	Lib   string // what $libdir stands for
	ICU   bool   // built with ICU
}

// FindInstall asks pg_config, which knows also when the whole tree was moved;
// without pg_config it looks at the usual places.
func FindInstall(ctx context.Context, b Binaries, user *proc.User, env []string) (Install, error) {
	in := Install{ICU: linksICU(b.Path("postgres"))}
	for _, f := range []struct {
		flag string
		to   *string
	}{{"--sharedir", &in.Share}, {"--pkglibdir", &in.Lib}} {
		out, err := proc.Output(ctx, proc.Spec{
			Args: []string{b.Path("pg_config"), f.flag}, Env: env, Dir: "/", User: user,
		})
		if err == nil {
			*f.to = strings.TrimSpace(string(out))
		}
	}
	base := filepath.Dir(b.Bin)
	in.Share = firstWith("extension/plpgsql.control", in.Share, filepath.Join(base, "share/postgresql"),
		filepath.Join(base, "share"), "/usr/share/postgresql/"+strconv.Itoa(b.Major))
	in.Lib = firstWith("plpgsql.so", in.Lib, filepath.Join(base, "lib/postgresql"), filepath.Join(base, "lib"))
	if in.Share == "" || in.Lib == "" {
		return in, fmt.Errorf("PostgreSQL %d's extensions were not found (plpgsql.control and plpgsql.so): is %s a whole installation?", b.Major, base)
	}
	return in, nil
}

func firstWith(file string, dirs ...string) string {
	i := slices.IndexFunc(dirs, func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, file))
		return dir != "" && err == nil
	})
	if i < 0 {
		return ""
	}
	return dirs[i]
}

// linksICU reports whether a program was linked with ICU, or cannot be read:
// then the new server itself will say.
func linksICU(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return true
	}
	defer f.Close() //nolint:errcheck // read only
	libs, err := f.ImportedLibraries()
	return err != nil || len(libs) == 0 || slices.ContainsFunc(libs, func(l string) bool { return strings.HasPrefix(l, "libicu") })
}

// HasExtension reports whether the control file of an extension is there.
func (in Install) HasExtension(name string) bool {
	if strings.ContainsRune(name, '/') {
		return false
	}
	_, err := os.Stat(filepath.Join(in.Share, "extension", name+".control"))
	return err == nil
}

// HasLibrary reports whether a library would be found under a name as it
// stands in a setting or in pg_proc.probin (expand_dynamic_library_name in
// dfmgr.c): path is dynamic_library_path.
func (in Install) HasLibrary(name, path string) bool {
	var dirs []string
	switch {
	case strings.HasPrefix(name, "$libdir/"):
		name, dirs = strings.TrimPrefix(name, "$libdir/"), []string{in.Lib}
	case strings.Contains(name, "/"):
		dirs = []string{"/"}
	default:
		if path == "" {
			path = "$libdir"
		}
		for dir := range strings.SplitSeq(path, ":") {
			dirs = append(dirs, strings.Replace(dir, "$libdir", in.Lib, 1))
		}
	}
	return slices.ContainsFunc(dirs, func(dir string) bool {
		for _, suffix := range []string{"", ".so"} {
			if info, err := os.Stat(filepath.Join(dir, name+suffix)); err == nil && info.Mode().IsRegular() {
				return true
			}
		}
		return false
	})
}
