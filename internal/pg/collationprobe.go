package pg

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/lib/pq"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// Locale is a collation's order in its provider's words.
type Locale struct {
	Provider string // c, i or b, as in Collation
	Locale   string
}

// providers are their names in CREATE COLLATION.
var providers = map[string]string{"c": "libc", "i": "icu", "b": "builtin"}

// LocaleVersions asks the programs of another major which versions their
// libraries give to locales. It makes an empty cluster in dir, which must exist,
// be empty and belong to user, and runs `postgres --single` in it: no server, no
// socket, no port. It takes about a second and 50 MB; the caller removes dir. A
// locale that this major does not know is not in the result.
func LocaleVersions(
	ctx context.Context, b Binaries, dir string, user *proc.User, env []string, locales []Locale,
) (map[Locale]string, error) {
	spec := proc.Spec{User: user, Env: env, Dir: "/", Group: true, Args: []string{
		b.Path("initdb"), "-D", dir, "-U", "postgres", "-E", "UTF8", "--locale=C", "-A", "reject", "-N", "--no-instructions",
	}}
	if _, err := proc.Output(ctx, spec); err != nil {
		return nil, fmt.Errorf("make an empty cluster of major %d to ask it for collation versions: %w", b.Major, err)
	}
	var script bytes.Buffer
	for i, l := range locales {
		if strings.ContainsAny(l.Locale, "\n\x00") || providers[l.Provider] == "" {
			continue // a line is a statement; nothing has such a name
		}
		name := "pgbaton_" + strconv.Itoa(i)
		fmt.Fprintf(&script, "create collation public.%s (provider = %s, locale = %s)\n",
			name, providers[l.Provider], pq.QuoteLiteral(l.Locale))
		fmt.Fprintf(&script, "select 'version ' || %d || ' ' || pg_collation_actual_version(oid) from pg_collation where collname = '%s'\n",
			i, name)
	}
	var log bytes.Buffer
	out, err := proc.Output(ctx, proc.Spec{
		User: user, Env: env, Dir: "/", Stdin: &script, Stderr: &log,
		Args: []string{b.Path("postgres"), "--single", "-D", dir, "-c", "fsync=off", "-c", "archive_mode=off", "template1"},
	})
	if err != nil {
		return nil, fmt.Errorf("ask major %d for collation versions: %w: %s", b.Major, err, strings.TrimSpace(log.String()))
	}
	res := map[Locale]string{}
	for _, m := range singleAnswer.FindAllStringSubmatch(string(out), -1) {
		if i, err := strconv.Atoi(m[1]); err == nil && i < len(locales) {
			res[locales[i]] = m[2]
		}
	}
	return res, nil
}

// singleAnswer is a value as debugtup in printtup.c prints it.
var singleAnswer = regexp.MustCompile(`= "version ([0-9]+) (.*)"\t\(typeid`)
