package pg

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// Initdb makes a cluster that matches another, for pg_upgrade.
type Initdb struct {
	Binaries  Binaries
	Data      string // absolute; missing or empty
	WAL       string // absolute; missing or empty; "" for inside Data
	Superuser string
	Like      Database // encoding and locale of template0
	Checksums bool
	Segment   int64 // bytes of a WAL segment
	Group     bool  // the group may read (mode 0750)
}

// Run runs initdb (https://www.postgresql.org/docs/current/app-initdb.html) as
// user. Nothing is synced to disk: `initdb --sync-only` does that later. The
// generated pg_hba.conf lets everybody in over the socket and nobody over TCP.
// The error is a *proc.Error with initdb's own words where it ran.
func (i Initdb) Run(ctx context.Context, user *proc.User, env []string) error {
	name := i.Superuser
	// initdb's SQL breaks on such names (setup_privileges in initdb.c).
	odd := strings.ContainsAny(name, `"\`)
	if odd {
		i.Superuser = "pgbaton"
	}
	err := proc.Run(ctx, proc.Spec{Args: i.args(), Env: plainMessages(env), Dir: "/", User: user, Group: true})
	if err == nil && odd {
		err = i.rename(ctx, name, user, env)
	}
	if err != nil {
		return fmt.Errorf("make an empty cluster of PostgreSQL %d in %s: %w", i.Binaries.Major, i.Data, err)
	}
	return nil
}

// rename gives the superuser its name in single-user mode, where it is the
// session's own, which ALTER ROLE … RENAME refuses. Such a server reports no
// errors by its exit code, so what it did is looked at.
func (i Initdb) rename(ctx context.Context, name string, user *proc.User, env []string) error {
	quoted := strings.ReplaceAll(name, "'", "''")
	out, err := proc.Output(ctx, proc.Spec{
		Args: []string{i.Binaries.Path("postgres"), "--single", "-F", "-D", i.Data, "template1"},
		Env:  plainMessages(env), Dir: "/", User: user,
		Stdin: strings.NewReader("update pg_catalog.pg_authid set rolname = '" + quoted + "' where oid = 10\n"),
	})
	if err != nil {
		return err
	}
	got, err := BootstrapSuperuser(i.Data)
	if err == nil && got != name {
		err = fmt.Errorf("the superuser is called %q instead of %q: %s", got, name, out)
	}
	return err
}

func (i Initdb) args() []string {
	args := []string{
		i.Binaries.Path("initdb"), "--pgdata=" + filepath.Clean(i.Data), "--username=" + i.Superuser,
		"--no-sync", "--no-instructions", "--auth-local=trust", "--auth-host=reject",
		"--encoding=" + i.Like.Encoding, "--lc-collate=" + i.Like.Collate, "--lc-ctype=" + i.Like.CType,
		// What the settings are called lc_… in the carried configuration wins.
		"--lc-messages=C", "--lc-monetary=C", "--lc-numeric=C", "--lc-time=C",
	}
	if i.Segment > 0 {
		args = append(args, "--wal-segsize="+strconv.FormatInt(i.Segment>>20, 10))
	}
	if i.WAL != "" {
		args = append(args, "--waldir="+i.WAL)
	}
	if i.Group {
		args = append(args, "--allow-group-access")
	}
	return append(args, append(i.checksums(), i.provider()...)...)
}

// checksums: on by default from 18 on, which is also when the option to leave
// them out came.
func (i Initdb) checksums() []string {
	switch {
	case i.Checksums:
		return []string{"--data-checksums"}
	case i.Binaries.Major >= 18:
		return []string{"--no-data-checksums"}
	}
	return nil
}

func (i Initdb) provider() []string {
	if i.Binaries.Major < 15 {
		return nil
	}
	switch i.Like.Provider {
	case "i":
		args := []string{"--locale-provider=icu", "--icu-locale=" + i.Like.Locale}
		if i.Like.Rules != "" {
			args = append(args, "--icu-rules="+i.Like.Rules)
		}
		return args
	case "b":
		return []string{"--locale-provider=builtin", "--builtin-locale=" + i.Like.Locale}
	}
	return []string{"--locale-provider=libc"}
}
