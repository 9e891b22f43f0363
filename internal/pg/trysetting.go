package pg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// Setting is a name and a value as in `-c name=value`.
type Setting struct{ Name, Value string }

// Verdict is what the server's program said about settings.
type Verdict struct {
	Answer Answer
	Said   string // its own words; empty where it takes them
}

// Answer sorts what the server's program said.
type Answer int

// The answers. The texts are those of find_option, set_config_option and
// parse_and_validate_value in guc.c, asked for in English.
const (
	Taken     Answer = iota
	NoSetting        // it has no setting of that name, or one that cannot be set
	BadValue         // it has one that cannot have this value
	Unclear          // refused in other words: other settings may be the reason
)

// TrySettings asks the server's own program whether it would start with these
// settings, about 15 ms: `postgres -C config_file -c name=value …`. dir holds
// nothing but a postgresql.conf, which may be empty. Only the values are
// looked at: nothing is started, no library is loaded, and combinations that
// the server refuses later (wal_level with max_wal_senders) pass. The Answer
// is exact for a single setting. An error means that nothing was learned.
func TrySettings(
	ctx context.Context, b Binaries, dir string, user *proc.User, env []string, settings ...Setting,
) (Verdict, error) {
	argv := []string{b.Path("postgres"), "-C", "config_file", "-D", dir}
	for _, s := range settings {
		argv = append(argv, "-c", s.Name+"="+s.Value)
	}
	said, err := complaint(ctx, proc.Spec{Args: argv, Env: inEnglish(env), Dir: "/", User: user})
	if err != nil {
		return Verdict{}, fmt.Errorf("ask PostgreSQL %d about settings: %w", b.Major, err)
	}
	return Verdict{answer(said), said}, nil
}

// CheckConfig asks the server's own program to read the configuration in dir
// as it would at its start, with its arguments. problems are its complaints in
// its own words, empty where it has none. Nothing is started or loaded, and
// pg_hba.conf is not read.
func CheckConfig(
	ctx context.Context, b Binaries, dir string, args []string, user *proc.User, env []string,
) (problems string, err error) {
	argv := append([]string{b.Path("postgres"), "-C", "config_file", "-D", dir}, args...)
	// The user's own settings must not silence the answer.
	argv = append(
		argv, "-c", "log_destination=stderr", "-c", "log_min_messages=warning", "-c", "log_line_prefix=", "-c", "lc_messages=C",
	)
	said, err := complaint(ctx, proc.Spec{Args: argv, Env: inEnglish(env), Dir: "/", User: user})
	if err != nil {
		return "", fmt.Errorf("ask PostgreSQL %d about its configuration: %w", b.Major, err)
	}
	return said, nil
}

// complaint runs the program and returns what it said where it refused.
func complaint(ctx context.Context, s proc.Spec) (string, error) {
	var stderr bytes.Buffer
	s.Stderr = &stderr
	_, err := proc.Output(ctx, s)
	if err == nil {
		return "", nil
	}
	var failed *proc.Error
	if !errors.As(err, &failed) || ctx.Err() != nil || !failed.Status.Known || failed.Status.Signal != 0 {
		return "", err
	}
	said := serverLines(stderr.String())
	if said == "" {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String())) // it never came to reading settings
	}
	return said, nil
}

// serverLines keeps what a server complains about: the text of its LOG and
// FATAL lines and what explains them, without prefixes.
func serverLines(stderr string) string {
	var res []string
	for line := range strings.Lines(stderr) {
		line = strings.TrimRight(line, "\r\n")
		if at := severity(line); at >= 0 {
			res = append(res, strings.TrimSpace(line[at:]))
		}
	}
	// An unknown option is refused by getopt, before there is a log.
	if res == nil {
		if _, text, ok := strings.Cut(stderr, ": invalid option "); ok {
			text, _, _ = strings.Cut(text, "\n")
			res = append(res, "invalid option "+strings.TrimSpace(text))
		}
	}
	return strings.Join(res, "\n")
}

// severity returns where the text after the first LOG:, FATAL: or DETAIL: begins.
func severity(line string) int {
	best := -1
	for _, word := range []string{"LOG:  ", "FATAL:  ", "ERROR:  ", "DETAIL:  ", "HINT:  "} {
		if at := strings.Index(line, word); at >= 0 && (best < 0 || at+len(word) < best) {
			best = at + len(word)
		}
	}
	return best
}

func answer(said string) Answer {
	if said == "" {
		return Taken
	}
	first, _, _ := strings.Cut(said, "\n")
	switch {
	case strings.HasPrefix(first, `unrecognized configuration parameter "`),
		strings.HasPrefix(first, `invalid configuration parameter name "`),
		strings.HasPrefix(first, `parameter "`) && strings.HasSuffix(first, `" cannot be changed`):
		return NoSetting
	case strings.HasPrefix(first, `invalid value for parameter "`),
		strings.HasPrefix(first, `parameter "`) && strings.HasSuffix(first, `" requires a Boolean value`),
		strings.Contains(first, ` is outside the valid range for parameter "`):
		return BadValue
	}
	return Unclear
}

// inEnglish is env with the messages of the source.
func inEnglish(env []string) []string {
	res := make([]string, 0, len(env)+2)
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if name != "LANGUAGE" && name != "LC_ALL" && name != "LC_MESSAGES" {
			res = append(res, kv)
		}
	}
	return append(res, "LC_ALL=C", "LC_MESSAGES=C")
}
