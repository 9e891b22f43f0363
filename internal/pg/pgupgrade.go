package pg

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// PgUpgrade is one run of pg_upgrade
// (https://www.postgresql.org/docs/current/pgupgrade.html), the new major's.
type PgUpgrade struct { //nolint:revive // the name of the program
	Old, New         Binaries
	OldData, NewData string           // absolute
	Superuser        string           // of both clusters: the role that initdb made
	SocketDir        string           // of the servers it starts, absolute, closed to others
	OldPort, NewPort int              // of the servers it starts; 0: its default, 50432. The live server's own port is found by Check
	Jobs             int              // 0: one
	Mode             node.UpgradeMode // clone, link or copy
	OldOptions       []string         // of the old server it starts: "-c", "name=value", …
	NewOptions       []string         // of the new one
	Check            bool             // only check; the old server may be running
	NoSync           bool             // leave fsync of the new cluster to the caller
}

// PgUpgradeError is a pg_upgrade that did not succeed.
type PgUpgradeError struct { //nolint:revive // as above
	Output string // the end of what it printed
	Err    error
}

func (e *PgUpgradeError) Error() string {
	if e.Output == "" {
		return "pg_upgrade: " + e.Err.Error()
	}
	return "pg_upgrade: " + e.Err.Error() + ": " + e.Output
}

func (e *PgUpgradeError) Unwrap() error { return e.Err }

// maxSocketPath is what fits into sun_path with its final zero (unix(7)).
const maxSocketPath = 107

// plainWord is what the shell leaves alone, unquoted and in double quotes:
// pg_upgrade puts options into a command for the shell, and pg_ctl puts them
// into a second one (start_postmaster in pg_upgrade/server.c and pg_ctl.c).
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./,:@%+=-]+$`)

// blankWord is one that both shells leave alone in single quotes: a path with
// blanks in it. Other characters are refused rather than trusted.
var blankWord = regexp.MustCompile(`^[A-Za-z0-9_./,:@%+= -]+$`)

// quoteWord is a word as pg_upgrade's options take it.
func quoteWord(w string) string {
	if plainWord.MatchString(w) {
		return w
	}
	return "'" + w + "'"
}

// Run runs it as user in the working directory dir, which user must be able to
// write and nobody else should. What it prints goes to line as it comes; a
// check that is being made is given twice, when it begins ("Checking for
// prepared transactions") and with its result appended when it has ended.
// Reports and logs of a failed run stay in pg_upgrade_output.d of the new
// cluster; a successful run removes them.
//
// Servers that it started outlive a pg_upgrade that is killed: the caller looks
// for them by data directory. The error is a *PgUpgradeError where it ran.
func (u PgUpgrade) Run(ctx context.Context, user *proc.User, env []string, dir string, line func(string)) error {
	args, err := u.args()
	if err != nil {
		return err
	}
	out := &lineWriter{line: line}
	err = proc.Run(ctx, proc.Spec{
		Args: args, Env: plainMessages(env), Dir: dir, User: user,
		Stdout: out, Stderr: out, Group: true,
	})
	out.end()
	if err == nil {
		return nil
	}
	return &PgUpgradeError{Output: out.failure(), Err: err}
}

// Possible says why Run would not even begin; nil where it would.
func (u PgUpgrade) Possible() error {
	_, err := u.args()
	return err
}

func (u PgUpgrade) args() ([]string, error) {
	args := []string{
		u.New.Path("pg_upgrade"), "--old-bindir", u.Old.Bin, "--new-bindir", u.New.Bin,
		"--old-datadir", u.OldData, "--new-datadir", u.NewData,
		"--username", u.Superuser, "--socketdir", u.SocketDir, "--jobs", strconv.Itoa(max(1, u.Jobs)),
	}
	switch u.Mode {
	case node.ModeClone, node.ModeLink:
		args = append(args, "--"+string(u.Mode))
	case node.ModeCopy: // --copy is the default, and unknown before 16
	default:
		return nil, fmt.Errorf("pg_upgrade: mode %q: only clone, link and copy can be run", u.Mode)
	}
	for _, f := range []struct {
		on   bool
		flag string
	}{{u.Check, "--check"}, {u.NoSync, "--no-sync"}} {
		if f.on {
			args = append(args, f.flag)
		}
	}
	args = portArg(portArg(args, "--old-port", u.OldPort), "--new-port", u.NewPort)
	for _, o := range []struct {
		flag  string
		words []string
	}{{"--old-options", u.OldOptions}, {"--new-options", u.NewOptions}} {
		if err := plainOptions(o.words); err != nil {
			return nil, fmt.Errorf("pg_upgrade: %s: %w", o.flag, err)
		}
		if len(o.words) > 0 {
			args = append(args, o.flag, quoteWords(o.words))
		}
	}
	return args, u.checkPaths()
}

func quoteWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quoteWord(w)
	}
	return strings.Join(quoted, " ")
}

func portArg(args []string, flag string, port int) []string {
	if port == 0 {
		return args
	}
	return append(args, flag, strconv.Itoa(port))
}

// checkPaths refuses what pg_upgrade would put into its shell commands and
// break on: it quotes paths with " only.
func (u PgUpgrade) checkPaths() error {
	for _, p := range []string{u.Old.Bin, u.New.Bin, u.OldData, u.NewData, u.SocketDir} {
		if !filepath.IsAbs(p) || strings.ContainsAny(p, "\"$`\\'\n\r") {
			return fmt.Errorf("pg_upgrade: the path %q has a character that its shell commands cannot carry: use another path", p)
		}
	}
	longest := filepath.Join(u.SocketDir, ".s.PGSQL.65535")
	if len(longest) > maxSocketPath {
		return fmt.Errorf("pg_upgrade: the socket directory %s is too long: a socket's path may have %d bytes", u.SocketDir, maxSocketPath)
	}
	return nil
}

// plainOptions accepts "-c name=value" pairs in words that no shell touches.
func plainOptions(words []string) error {
	for i, w := range words {
		switch {
		case !blankWord.MatchString(w):
			return fmt.Errorf("the word %q does not pass a shell unchanged", w)
		case i%2 == 0 && w != "-c", i%2 == 1 && !strings.Contains(w, "="):
			return fmt.Errorf("%q: only -c name=value is understood", w)
		}
	}
	if len(words)%2 != 0 {
		return errors.New("-c without name=value")
	}
	return nil
}

// plainMessages is env with untranslated messages: progress and reports are
// read. A cluster's own locale does not come from it.
func plainMessages(env []string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name == "LC_ALL" || name == "LC_MESSAGES" || name == "LANGUAGE" || name == "LANG"
	})
	return append(env, "LC_ALL=C")
}
