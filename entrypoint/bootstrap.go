package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/internal/config"
	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// tempServerStep is the step before postmaster.opts is sure to survive a loss
// of power.
const tempServerStep = "temporary server"

// initState is the record of an initialisation that is under way. As long as
// it is there the data directory counts as half-made.
type initState struct {
	PGData  string    `json:"pgdata"`
	Major   int       `json:"major"`
	Started time.Time `json:"started"`
	Step    string    `json:"step"` // what was begun last
}

// bootstrap initialises an empty data directory as the official entrypoint does.
type bootstrap struct {
	root    *os.Root // the volume
	place   place
	bin     pg.Binaries
	off     config.Official
	env     []string // for initdb, the temporary server and scripts
	args    []string // of postgres
	extra   []string // of initdb, after the user's
	user    proc.User
	control string // the control directory
	dir     string // where the container was told to work
	lock    *os.File
	scripts func(group) // told the process group of the init scripts
}

// exitError ends the container with a code of its own: an init script's.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// run initialises and returns what init scripts exported. It can be cancelled
// at any moment; what it leaves is recognised by init.json.
func (b *bootstrap) run(ctx context.Context) (exported []string, err error) {
	warning, err := b.off.VerifyMinimum()
	if err != nil {
		return nil, err
	}
	if warning != "" {
		fmt.Fprintln(os.Stderr, warning)
	}
	if err := pg.AsUser(&b.user, func() error { return readableScripts(scriptsDir, b.user) }); err != nil {
		return nil, err
	}
	if err := b.enter("initdb"); err != nil {
		return nil, err
	}
	if err := b.makeCluster(ctx); err != nil {
		return nil, err
	}
	if err := b.setupHBA(ctx); err != nil {
		return nil, err
	}
	if err := b.enter(tempServerStep); err != nil {
		return nil, err
	}
	exported, err = b.fill(ctx)
	if err != nil {
		return nil, err
	}
	if err := b.finish(); err != nil {
		return nil, err
	}
	fmt.Print("\nPostgreSQL init process complete; ready for start up.\n\n")
	return exported, nil
}

// enter records the step that begins.
func (b *bootstrap) enter(step string) error {
	st := initState{PGData: b.place.pgdata, Major: b.bin.Major, Started: time.Now().UTC(), Step: step}
	return durable.WriteJSON(b.root, initFile, st, owner(b.user), int(b.user.GID))
}

// finish makes the cluster one that is served.
func (b *bootstrap) finish() error {
	if err := writeRecord(b.root, b.place, b.user); err != nil {
		return err
	}
	return durable.Remove(b.root, initFile)
}

// makeCluster runs initdb into a directory of ours and moves the result into
// PGDATA, PG_VERSION last: a directory with that file was complete once, even
// where PGDATA is the volume itself and .pgbaton lies in it.
func (b *bootstrap) makeCluster(ctx context.Context) error {
	if err := b.root.RemoveAll(stagingDir); err != nil {
		return fmt.Errorf("clear the staging directory: %w", err)
	}
	if err := durable.MkdirAll(b.root, stagingDir, owner(b.user), int(b.user.GID)); err != nil {
		return err
	}
	if err := b.initdb(ctx, filepath.Join(b.place.volume, stagingDir)); err != nil {
		return err
	}
	durable.Point("initdb", "done")
	rel, err := filepath.Rel(b.place.volume, b.place.pgdata)
	if err != nil {
		return err
	}
	if err := moveEntries(b.root, stagingDir, rel, nil); err != nil {
		return fmt.Errorf("move the new cluster into place: %w", err)
	}
	return b.root.Remove(stagingDir)
}

// initdb makes a cluster in dir. The password goes through memory that only
// the server's user can open, never through a command line or a disk.
func (b *bootstrap) initdb(ctx context.Context, dir string) error {
	extra, err := b.shellWords(ctx, b.off.InitdbArgs)
	if err != nil {
		return fmt.Errorf("read POSTGRES_INITDB_ARGS: %w", err)
	}
	secret, err := secretFile(b.off.Password.Reveal()+"\n", b.user)
	if err != nil {
		return err
	}
	defer func() { _ = secret.Close() }()
	args := []string{"initdb", "--username=" + b.off.User, "--pwfile=/proc/self/fd/3"}
	if b.off.WalDir != "" {
		args = append(args, "--waldir="+b.off.WalDir)
	}
	out := &renamer{w: os.Stdout, from: dir, to: b.place.pgdata} // the user's from a moment later on
	defer out.flush()
	return proc.Run(ctx, proc.Spec{
		Path: b.bin.Path("initdb"), Args: slices.Concat(args, extra, b.extra),
		Env: setEnv(b.env, "PGDATA", dir), Dir: "/", User: &b.user,
		Stdout: out, Stderr: os.Stderr, Extra: []*os.File{secret},
	})
}

// secretFile is an anonymous file in memory that belongs to u.
func secretFile(content string, u proc.User) (*os.File, error) {
	fd, err := unix.MemfdCreate("password", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "password")
	_, err = f.WriteString(content)
	if os.Geteuid() == 0 {
		err = errors.Join(err, f.Chown(int(u.UID), int(u.GID)))
	}
	err = errors.Join(err, f.Chmod(0o400))
	if _, e := f.Seek(0, 0); e != nil {
		err = errors.Join(err, e)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a file in memory: %w", err), f.Close())
	}
	return f, nil
}

// shellWords splits a text as the shell does, because the official entrypoint
// evaluates POSTGRES_INITDB_ARGS: quotes, variables and substitutions count.
func (b *bootstrap) shellWords(ctx context.Context, text string) ([]string, error) {
	if !strings.ContainsAny(text, "'\"\\$`*?[#~=<>|&;(){}!\n") || strings.TrimSpace(text) == "" {
		return strings.Fields(text), nil
	}
	out, err := proc.Output(ctx, proc.Spec{
		Args: []string{"sh", "-c", `eval "set -- $1"; for w; do printf '%s\0' "$w"; done`, "sh", text},
		Env:  b.env, Dir: "/", User: &b.user,
	})
	if err != nil {
		return nil, err
	}
	return splitNul(out), nil
}

// setupHBA appends the official image's line, which lets clients in over TCP.
func (b *bootstrap) setupHBA(ctx context.Context) error {
	rel, err := filepath.Rel(b.place.volume, filepath.Join(b.place.pgdata, "pg_hba.conf"))
	if err != nil {
		return err
	}
	text, err := b.root.ReadFile(rel)
	if err != nil {
		return fmt.Errorf("read pg_hba.conf: %w", err)
	}
	method := b.off.HostAuthMethod
	if method == "" {
		shown, err := pg.ShowSettings(ctx, b.bin, b.place.pgdata, b.args, &b.user, b.env, "password_encryption")
		if err != nil {
			return err
		}
		method = shown["password_encryption"]
	}
	lines := "\n"
	if method == "trust" {
		lines += "# warning trust is enabled for all connections\n" +
			"# see https://www.postgresql.org/docs/current/auth-trust.html\n"
	}
	lines += "host all all all " + method + "\n"
	return durable.WriteFile(b.root, rel, append(text, lines...), owner(b.user), int(b.user.GID))
}

// fill runs the temporary server for the database and the init scripts.
func (b *bootstrap) fill(ctx context.Context) (exported []string, err error) {
	p, file, err := b.startTemp(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stopTemp(ctx, p), b.stopRestarted(ctx)) }()
	// postgres does not sync postmaster.opts, by which servedByOthers tells
	// this server from somebody else's.
	rel, err := filepath.Rel(b.place.volume, filepath.Join(b.place.pgdata, "postmaster.opts"))
	if err = errors.Join(err, durable.SyncFile(b.root, rel)); err != nil {
		return nil, err
	}
	if err := b.enter("init scripts"); err != nil {
		return nil, err
	}
	if err := pg.CreateDatabase(ctx, b.login(file), b.off.Database); err != nil {
		return nil, err
	}
	return b.runScripts(ctx)
}

func (b *bootstrap) login(file pg.PidFile) pg.Login {
	return pg.Login{
		SocketDir: file.SocketDir, Port: file.Port, User: b.off.User,
		Password: b.off.Password.Reveal(), Database: "postgres", PeerUID: int(b.user.UID),
	}
}
