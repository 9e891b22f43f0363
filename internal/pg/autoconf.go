package pg

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// The parameters of replication that this product sets, all in
// postgresql.auto.conf: it is read last, so it wins over the user's files.
const (
	PrimaryConnInfo = "primary_conninfo"
	PrimarySlotName = "primary_slot_name"
	SyncNames       = "synchronous_standby_names"
)

const autoConf = "postgresql.auto.conf"

// autoParameters are those that may be set; no other is touched.
var autoParameters = []string{PrimaryConnInfo, PrimarySlotName, SyncNames}

func checkAuto(set map[string]string) error {
	for name, value := range set {
		if !slices.Contains(autoParameters, name) {
			return fmt.Errorf("%s is not set by pgbaton", name)
		}
		if strings.ContainsAny(value, "\r\n\x00") {
			return fmt.Errorf("%s: the value spans lines, which %s cannot hold", name, autoConf)
		}
	}
	return nil
}

// ReadAuto reads those of our parameters that stand in postgresql.auto.conf.
// One that is missing there has its value from the user's files.
func ReadAuto(pgdata string) (map[string]string, error) {
	raw, err := readRegular(filepath.Join(pgdata, autoConf), maxUserFile)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	res := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		if name, value, ok := autoLine(line); ok && slices.Contains(autoParameters, name) {
			res[name] = value // the last one wins, as for the server
		}
	}
	return res, nil
}

// WriteAuto sets parameters in postgresql.auto.conf durably, for a server that
// is down; with one that is up an ALTER SYSTEM at the same moment could be lost,
// see Login.SetAuto. All other lines stay. A
// value that is empty is set so: it hides what the user's files say. uid and
// gid own the file; -1 leaves them. Nothing is written where nothing differs.
func WriteAuto(pgdata string, set map[string]string, uid, gid int) error {
	var u *proc.User
	if uid >= 0 { // whose directories lead there
		u = &proc.User{UID: uint32(uid), GID: uint32(gid)}
	}
	err := asUser(u, func() error { return writeAuto(pgdata, set, uid, gid) })
	if err != nil {
		return fmt.Errorf("change %s: %w", filepath.Join(pgdata, autoConf), err)
	}
	return nil
}

func writeAuto(pgdata string, set map[string]string, uid, gid int) error {
	if err := checkAuto(set); err != nil {
		return err
	}
	raw, err := readRegular(filepath.Join(pgdata, autoConf), maxUserFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text := mergeAuto(string(raw), set)
	if err == nil && text == string(raw) {
		return nil
	}
	root, err := os.OpenRoot(pgdata)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // only a handle
	return durable.WriteFile(root, autoConf, []byte(text), uid, gid)
}

// mergeAuto replaces the parameters where they stand, and appends the others.
func mergeAuto(text string, set map[string]string) string {
	var out strings.Builder
	left := maps.Clone(set)
	for line := range strings.Lines(text) {
		name, _, ok := autoLine(line)
		value, ours := set[name]
		if !ok || !ours {
			out.WriteString(strings.TrimSuffix(line, "\n") + "\n")
			continue
		}
		if _, first := left[name]; first {
			out.WriteString(name + " = " + quoteSetting(value) + "\n")
			delete(left, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		out.WriteString(name + " = " + quoteSetting(left[name]) + "\n")
	}
	return out.String()
}

// quoteSetting writes a value for a configuration file (escape_single_quotes_ascii).
func quoteSetting(s string) string {
	return "'" + strings.NewReplacer(`'`, `''`, `\`, `\\`).Replace(s) + "'"
}

// autoLine reads a line as guc-file.l does: name, = or blanks, value. Names of
// parameters are not case sensitive.
func autoLine(line string) (name, value string, ok bool) {
	line = strings.TrimSpace(line)
	end := strings.IndexAny(line, " \t=")
	if end <= 0 || line[0] == '#' {
		return "", "", false
	}
	name = strings.ToLower(line[:end])
	rest := strings.TrimLeft(line[end:], " \t")
	rest = strings.TrimLeft(strings.TrimPrefix(rest, "="), " \t")
	if !strings.HasPrefix(rest, "'") {
		value, _, _ = strings.Cut(rest, "#")
		return name, strings.TrimSpace(value), true
	}
	value, ok = unquoteSetting(rest[1:])
	return name, value, ok
}

// unquoteSetting reads up to the closing quote (DeescapeQuotedString in
// guc-file.l; octal numbers do not occur in what ALTER SYSTEM writes).
func unquoteSetting(s string) (string, bool) {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\'' && i+1 < len(s) && s[i+1] == '\'':
			i++
			out.WriteByte('\'')
		case c == '\'':
			return out.String(), true
		case c == '\\' && i+1 < len(s):
			i++
			if at := strings.IndexByte("bfnrt", s[i]); at >= 0 {
				out.WriteByte("\b\f\n\r\t"[at])
			} else {
				out.WriteByte(s[i])
			}
		default:
			out.WriteByte(c)
		}
	}
	return "", false
}
