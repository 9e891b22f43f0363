package entrypoint

import (
	"fmt"
	"path/filepath"
	"sort"
	"strings"

	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
)

const (
	// tiedFiles bounds how many configuration files are read, tiedBytes each.
	tiedFiles = 100
	tiedBytes = 16 << 20
)

// tiedSetting names an argument of the server, or a line of its configuration,
// that holds the data directory's path: once the cluster has moved it would
// lead to nowhere, or to something else (an archive_command, a certificate).
func (s *supervisor) tiedSetting(dir, to string) string {
	for _, a := range upgrade.ParseServerArgs(s.args) {
		if pointsInto(a.Value, dir, to) {
			return fmt.Sprintf("the argument %q holds its path: write that relative to the data directory, or leave it out", a.Text)
		}
	}
	r := tiedReader{s: s, dir: dir, to: to, seen: map[string]bool{}}
	for _, a := range upgrade.ParseServerArgs(s.args) {
		if a.Name == "config_file" && filepath.IsAbs(a.Value) {
			r.conf(a.Value)
		}
	}
	for _, name := range []string{"postgresql.conf", "postgresql.auto.conf"} {
		r.conf(filepath.Join(dir, name))
	}
	for _, name := range []string{"pg_hba.conf", "pg_ident.conf"} {
		r.rules(filepath.Join(dir, name))
	}
	return r.found
}

// tiedReader reads configuration files until one is found to be tied.
type tiedReader struct {
	s       *supervisor
	dir, to string
	seen    map[string]bool
	found   string
}

func (r *tiedReader) read(name string) []byte {
	if r.found != "" || r.seen[name] {
		return nil
	}
	r.seen[name] = true
	if len(r.seen) > tiedFiles {
		r.found = "its configuration consists of too many files to be sure that none holds its path"
		return nil
	}
	data, err := pg.ReadUserFile(&r.s.user, name, tiedBytes)
	if err != nil {
		return nil // a server that needs it says so, there as here
	}
	return data
}

// conf reads a file in the form of postgresql.conf, and what it includes.
func (r *tiedReader) conf(name string) {
	for _, l := range upgrade.ParseConf(r.read(name)) {
		switch directive, included := upgrade.ConfInclude(l.Name); {
		case pointsInto(l.Value, r.dir, r.to), strings.EqualFold(l.Name, "data_directory"):
			r.tied(name, l.Number, l.Name)
		case !included:
		case directive == "include_dir":
			r.confDir(besides(name, l.Value))
		default:
			r.conf(besides(name, l.Value))
		}
	}
}

func (r *tiedReader) confDir(dir string) {
	names, _ := pg.ListAs(&r.s.user, dir) // unreadable: a server that needs it says so
	sort.Strings(names)
	for _, n := range names {
		if strings.HasSuffix(n, ".conf") {
			r.conf(filepath.Join(dir, n))
		}
	}
}

// rules reads a file in the form of pg_hba.conf. What it includes by a relative
// name moves with it.
func (r *tiedReader) rules(name string) {
	number := 0
	for line := range strings.Lines(string(r.read(name))) {
		number++
		text, _, _ := strings.Cut(line, "#")
		if pointsInto(text, r.dir, r.to) {
			r.tied(name, number, "that line")
		}
	}
}

func (r *tiedReader) tied(file string, line int, what string) {
	if r.found == "" {
		r.found = fmt.Sprintf("%s in line %d of %s holds its path: write that relative to the data directory, or as the new path", what, line, file)
	}
}

// besides is a path as an include directive in a file means it.
func besides(file, name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(filepath.Dir(file), name)
}

// pointsInto reports whether a text holds the path of dir, or of anything in it
// but what lies in to already.
func pointsInto(text, dir, to string) bool {
	for rest := text; ; {
		at := strings.Index(rest, dir)
		if at < 0 {
			return false
		}
		before, after := rest[:at], rest[at+len(dir):]
		rest = after
		if before != "" && isPathByte(before[len(before)-1]) || after != "" && after[0] != '/' && isPathByte(after[0]) {
			continue // a part of another path
		}
		tail, inside := strings.CutPrefix(after, "/"+to)
		if !inside || tail != "" && tail[0] != '/' && isPathByte(tail[0]) {
			return true
		}
	}
}

func isPathByte(c byte) bool {
	return c == '_' || c == '-' || c == '.' || c == '/' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
