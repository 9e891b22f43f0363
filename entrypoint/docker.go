package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pgbaton/pgbaton/internal/config"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// SignalAs is the helper of proc.Process.Signal for another uid.
func SignalAs(args []string) int {
	if err := proc.SignalArgs(args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Docker is what the functions of docker-entrypoint.sh call: each command is
// one step of the official entrypoint, for images that are derived from it.
func Docker(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := dockerStep(ctx, args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		var exit *exitError
		if errors.As(err, &exit) {
			return exit.code
		}
		return exitRefused
	}
	return 0
}

func dockerStep(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("docker: no step is named")
	}
	if args[0] == "file-env" {
		return fileEnv(args[1:])
	}
	b, err := dockerBootstrap()
	if err != nil {
		return err
	}
	rest := args[1:]
	if len(rest) > 0 && rest[0] == "postgres" {
		rest = rest[1:]
	}
	switch args[0] {
	case "setup-env":
		return b.printEnv()
	case "create-directories":
		return b.prepare()
	case "verify-minimum-env":
		warning, err := b.off.VerifyMinimum()
		if warning != "" {
			fmt.Fprintln(os.Stderr, warning)
		}
		return err
	case "init-database-dir":
		b.extra = rest
		return b.prepareThen(b.makeCluster, ctx)
	case "setup-hba-conf":
		b.args = rest
		return b.prepareThen(b.setupHBA, ctx)
	case "temp-server-start":
		b.args = rest
		_, _, err := b.startTemp(ctx)
		return err
	case "temp-server-stop":
		return b.stopRunning(ctx)
	case "setup-db":
		file, err := pg.ReadPidFile(b.place.pgdata)
		if err != nil {
			return err
		}
		return pg.CreateDatabase(ctx, b.login(file), b.off.Database)
	}
	return fmt.Errorf("docker: unknown step %q", args[0])
}

// dockerBootstrap finds out what the supervisor would have known.
func dockerBootstrap() (*bootstrap, error) {
	st, _, err := readSetup(os.Environ())
	if err != nil {
		return nil, err
	}
	pl, ambiguous, err := st.findPlace(nil)
	if err = errors.Join(err, ambiguous); err != nil {
		return nil, err
	}
	bin, err := st.programs(pl)
	if err != nil {
		return nil, err
	}
	control, err := openControlDir(st.set.ControlDir)
	if err != nil {
		return nil, err
	}
	env, err := nameless(st.env, control, &st.user)
	return &bootstrap{place: pl, bin: bin, off: st.off, env: env, user: st.user, control: control}, err
}

func (b *bootstrap) prepare() (err error) {
	if b.root, err = openVolume(b.place, b.user); err != nil {
		return err
	}
	if err := prepareDirs(b.root, b.place, b.off, b.user); err != nil {
		return err
	}
	return keepLinks(b.control, b.bin.Bin, b.place.pgdata)
}

func (b *bootstrap) prepareThen(step func(context.Context) error, ctx context.Context) error { //nolint:revive // the step comes first as it reads
	if err := b.prepare(); err != nil {
		return err
	}
	return step(ctx)
}

// stopRunning shuts the server of the data directory down.
func (b *bootstrap) stopRunning(ctx context.Context) error {
	file, err := pg.ReadPidFile(b.place.pgdata)
	if err != nil {
		return err
	}
	p, err := proc.Adopt(file.PID, 0)
	if errors.Is(err, proc.ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := p.Signal(pg.Fast); err != nil {
		return err
	}
	select {
	case <-p.Done():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Minute):
		return errors.New("the temporary server does not stop")
	}
}

// printEnv prints shell assignments of what docker_setup_env sets.
func (b *bootstrap) printEnv() error {
	exists := ""
	if info, err := os.Stat(filepath.Join(b.place.pgdata, "PG_VERSION")); err == nil && info.Size() > 0 {
		exists = "true"
	}
	for _, name := range []string{"POSTGRES_PASSWORD", "POSTGRES_USER", "POSTGRES_DB", "POSTGRES_INITDB_ARGS"} {
		fmt.Printf("export %s=%s\nunset %s_FILE\n", name, quote(lookup(b.env, name)), name)
	}
	fmt.Printf(": \"${POSTGRES_HOST_AUTH_METHOD:=}\"\nexport PGDATA=%s\nDATABASE_ALREADY_EXISTS=%s\n", quote(b.place.pgdata), exists)
	return nil
}

// fileEnv is file_env NAME [DEFAULT].
func fileEnv(args []string) error {
	if len(args) == 0 {
		return errors.New("file_env: no variable is named")
	}
	name := args[0]
	value, err := config.FileEnv(os.Environ(), name, os.ReadFile)
	if err != nil {
		return err
	}
	if value == "" && len(args) > 1 {
		value = args[1]
	}
	fmt.Printf("export %s=%s\nunset %s_FILE\n", name, quote(value), name)
	return nil
}

func lookup(env []string, name string) string {
	i := slices.IndexFunc(env, func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
	if i < 0 {
		return ""
	}
	return env[i][len(name)+1:]
}

// quote quotes a text for a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
