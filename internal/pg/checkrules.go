package pg

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// CheckRules has another major's program read a pg_hba.conf and, from 15 on, a
// pg_ident.conf. A server does not start with a pg_hba.conf that it does not
// understand (badHBA), and starts with no map at all where that is so with
// pg_ident.conf (badIdent), which need not exist. The problems are in the
// server's words, one a line; lines that merely cannot match are none.
//
// dir is a cluster that initdb of b made and that never ran nor runs:
// `postgres --single` works in it, some 200 ms.
func CheckRules(
	ctx context.Context, b Binaries, dir, hba, ident string, user *proc.User, env []string,
) (badHBA, badIdent []string, err error) {
	if badHBA, err = askRules(ctx, b, dir, user, env, "hba_file="+hba, "pg_hba_file_rules", "type"); err != nil {
		return nil, nil, fmt.Errorf("ask PostgreSQL %d about %s: %w", b.Major, hba, err)
	}
	if b.Major < 15 {
		return badHBA, nil, nil
	}
	if badIdent, err = askRules(ctx, b, dir, user, env, "ident_file="+ident, "pg_ident_file_mappings", "map_name"); err != nil {
		return nil, nil, fmt.Errorf("ask PostgreSQL %d about %s: %w", b.Major, ident, err)
	}
	badIdent = slices.DeleteFunc(badIdent, func(s string) bool { return strings.Contains(s, "No such file or directory") })
	return badHBA, badIdent, nil
}

func askRules(
	ctx context.Context, b Binaries, dir string, user *proc.User, env []string, file, view, column string,
) (problems []string, err error) {
	name := "''"
	if b.Major >= 16 { // which follows includes
		name = "file_name || ' '"
	}
	// A line with an error and its columns is one that works and cannot match.
	// Some lines that are not understood have no error (parse_hba_auth_opt in
	// hba.c does not always set it).
	query := fmt.Sprintf("select 'rules ' || %s || 'line ' || line_number || ': ' || coalesce(error, 'not understood') from %s where %s is null\n",
		name, view, column)
	var log bytes.Buffer
	out, err := proc.Output(ctx, proc.Spec{
		User: user, Env: inEnglish(env), Dir: "/", Stderr: &log, Stdin: strings.NewReader(query), Group: true,
		Args: []string{
			b.Path("postgres"), "--single", "-D", dir, "-c", "fsync=off", "-c", "archive_mode=off", "-c", file,
			// With TLS off, that alone would be the server's word about each
			// hostssl line. Nothing is loaded: only a postmaster does that.
			"-c", "ssl=on", "template1",
		},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(log.String()))
	}
	for _, m := range rulesAnswer.FindAllStringSubmatch(string(out), -1) {
		problems = append(problems, m[1])
	}
	// What cannot be read at all is an error instead of rows.
	for line := range strings.Lines(log.String()) {
		if _, text, ok := strings.Cut(line, "ERROR:  "); ok {
			problems = append(problems, strings.TrimSpace(text))
		}
	}
	return problems, nil
}

// rulesAnswer is a value as debugtup in printtup.c prints it.
var rulesAnswer = regexp.MustCompile(`(?m)= "rules (.*)"\t\(typeid`)
