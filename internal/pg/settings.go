package pg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// ShowSettings asks the server's own program what settings it would start
// with: `postgres -C name`, about 20 ms each. args are the server's, without
// the program's name; a nil user is this process's. Nothing is started or
// changed, and no library is loaded.
func ShowSettings(
	ctx context.Context, b Binaries, dir string, args []string, user *proc.User, env []string, names ...string,
) (map[string]string, error) {
	res := make(map[string]string, len(names))
	for _, name := range names {
		// -C comes first: root may only ask then (main.c). The user's own -D,
		// if there is one, comes last and wins, as it will for the server.
		argv := append([]string{b.Path("postgres"), "-C", name, "-D", dir}, args...)
		out, err := proc.Output(ctx, proc.Spec{Args: argv, Env: env, Dir: "/", User: user})
		if err != nil {
			return nil, fmt.Errorf("ask PostgreSQL %d for %s: %w", b.Major, name, err)
		}
		res[name] = strings.TrimSuffix(string(out), "\n")
	}
	return res, nil
}

// UserRules returns the hba_file and ident_file that a server started with
// args would use, absolute: read from the configuration where that is plain,
// else by ShowSettings.
func UserRules(
	ctx context.Context, b Binaries, dir string, args []string, user *proc.User, env []string,
) (hba, ident string, err error) {
	if hba, ident, ok := UserFiles(dir, args); ok {
		return hba, ident, nil
	}
	got, err := ShowSettings(ctx, b, dir, args, user, env, "hba_file", "ident_file")
	if err != nil {
		return "", "", err
	}
	// The server changes to its data directory, to which relative names refer.
	abs := func(p string) string {
		if p == "" || filepath.IsAbs(p) {
			return p
		}
		return filepath.Join(dir, p)
	}
	return abs(got["hba_file"]), abs(got["ident_file"]), nil
}

// UserFiles returns the default hba_file and ident_file where nothing can have
// changed them; ok is false where only the server itself can tell.
func UserFiles(dir string, args []string) (hba, ident string, ok bool) {
	for _, arg := range args {
		if strings.HasPrefix(arg, "-D") || movesFiles(arg) {
			return "", "", false
		}
	}
	if !plainConfig(filepath.Join(dir, "postgresql.conf"), true) ||
		!plainConfig(filepath.Join(dir, "postgresql.auto.conf"), false) {
		return "", "", false
	}
	return filepath.Join(dir, "pg_hba.conf"), filepath.Join(dir, "pg_ident.conf"), true
}

// movesFiles reports whether text may say where files are. Names of settings
// are not case sensitive, and --hba-file means hba_file.
func movesFiles(text string) bool {
	text = strings.ReplaceAll(strings.ToLower(text), "-", "_")
	for _, word := range []string{"hba_file", "ident_file", "config_file", "data_directory"} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// plainConfig reports whether a configuration file can be read here and
// neither moves files nor includes others.
func plainConfig(path string, must bool) bool {
	raw, err := readConfig(path, 4<<20)
	if err != nil {
		return !must && errors.Is(err, fs.ErrNotExist)
	}
	for line := range strings.Lines(string(raw)) {
		line = strings.ToLower(strings.TrimSpace(line))
		if strings.HasPrefix(line, "#") {
			continue
		}
		if strings.HasPrefix(line, "include") || movesFiles(line) {
			return false
		}
	}
	return true
}
