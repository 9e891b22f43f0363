package entrypoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/image"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// scriptsDir is where the official image looks for init scripts.
const scriptsDir = "/docker-entrypoint-initdb.d"

// pipeGrace is for reading the last of what is in a pipe already.
const pipeGrace = 200 * time.Millisecond

// scriptKinds are the names that docker_process_init_files does something with.
var scriptKinds = []string{".sh", ".sql", ".sql.gz", ".sql.xz", ".sql.zst"}

// readableScripts refuses init scripts that this thread's user cannot read,
// before anything is made: a directory that cannot be listed would count as
// empty, and a script that fails leaves a cluster that is half made.
func readableScripts(dir string, u proc.User) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		// The first line is that of ls(1), which the official image has there.
		return fmt.Errorf("ls: cannot open directory '%s/': Permission denied\n"+
			"error: the init scripts in %s cannot be listed by uid %d, which runs them (%w); nothing was made. Mend it (chmod a+rx %s), then start again",
			dir, dir, u.UID, bareError(err), dir)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || !isScript(e.Name()) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if err := readable(path); err != nil {
			return fmt.Errorf("error: the init script %s cannot be read by uid %d, which runs it (%w); nothing was made. Mend it (chmod a+r %s), then start again",
				path, u.UID, bareError(err), path)
		}
	}
	return nil
}

func isScript(name string) bool {
	return slices.ContainsFunc(scriptKinds, func(kind string) bool { return strings.HasSuffix(name, kind) })
}

// readable opens a file to see whether it can be; not a pipe, which would wait.
func readable(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// bareError is an error without the path that its sentence names anyway.
func bareError(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func splitNul(raw []byte) []string {
	var words []string
	for w := range bytes.SplitSeq(bytes.TrimSuffix(raw, []byte{0}), []byte{0}) {
		words = append(words, string(w))
	}
	if len(raw) == 0 {
		return nil
	}
	return words
}

// driver runs the init scripts in one shell, because scripts that are not
// executable are sourced into it: what one exports the next one sees. The
// pattern is the shell's own, so the order is the locale's. The environment at
// the end goes to descriptor 3; where a script says `exit`, nothing goes.
const driver = `set -Eeo pipefail
source "$1"
docker_process_init_files "$2"/*
env -0 >&3`

// runScripts returns the environment that init scripts left, nil where there are none.
func (b *bootstrap) runScripts(ctx context.Context) ([]string, error) {
	entries, err := os.ReadDir(scriptsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read %s: %w; mend its permissions", scriptsDir, err)
	}
	visible := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return !strings.HasPrefix(e.Name(), ".") })
	if !visible {
		return nil, nil
	}
	functions := filepath.Join(b.control, "docker-entrypoint.sh")
	if err := os.WriteFile(functions, image.Functions, 0o644); err != nil {
		return nil, fmt.Errorf("write the functions for init scripts: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	left := make(chan []byte, 1)
	go func() { left <- readAll(r) }() // while it runs: an environment may be larger than a pipe
	err = proc.Run(ctx, proc.Spec{
		Args: []string{"bash", "-c", driver, "/usr/local/bin/docker-entrypoint.sh", functions, scriptsDir},
		Env:  b.scriptEnv(), Dir: b.scriptDir(), User: &b.user, Group: true, Started: b.scriptsStarted,
		Stdout: os.Stdout, Stderr: os.Stderr, Extra: []*os.File{w},
	})
	// What a script left running in the background may keep the pipe open; the
	// shell wrote all that it had to say before it ended.
	_ = w.Close()
	_ = r.SetReadDeadline(time.Now().Add(pipeGrace))
	return b.scriptsEnded(ctx, err, <-left)
}

// scriptDir is where init scripts run: where the container was told to work,
// unless the server's user cannot go there.
func (b *bootstrap) scriptDir() string {
	err := pg.AsUser(&b.user, func() error {
		_, err := os.Stat(b.dir + "/.")
		return err
	})
	if err != nil || b.dir == "" {
		return "/"
	}
	return b.dir
}

// scriptsStarted notes the scripts' process group: their shell dies with this
// process, what it started does not.
func (b *bootstrap) scriptsStarted(pid int) {
	if info, err := proc.Stat(pid); err == nil {
		b.scripts(group{ID: pid, Start: info.Start})
	}
}

func (b *bootstrap) scriptsEnded(ctx context.Context, err error, left []byte) ([]string, error) {
	var failed *proc.Error
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.As(err, &failed):
		return nil, &exitError{failed.Status.ExitCode(), fmt.Errorf("an init script failed (%s); the half-made cluster is kept aside at the next start, which begins again", failed.Status)}
	case err != nil:
		return nil, err
	}
	if len(left) == 0 {
		// A sourced script said `exit 0`. Under the official entrypoint the
		// container ends and the next start serves what there is; so it does here.
		return nil, &exitError{0, errInitExit}
	}
	return forServer(splitNul(left)), nil
}

// errInitExit ends the container after an initialisation that a script called complete.
var errInitExit = errors.New("a sourced init script ended the shell with `exit 0`: the initialisation counts as complete, and the container ends")

// scriptEnv is what init scripts see.
func (b *bootstrap) scriptEnv() []string {
	env := setEnv(b.env, "PGDATA", b.place.pgdata)
	env = setEnv(env, "PGPORT", strconv.Itoa(b.off.Port))
	if b.off.Password != "" && b.off.PGPassword == "" {
		env = setEnv(env, "PGPASSWORD", b.off.Password.Reveal())
	}
	if b.user.Home != "" {
		env = setEnv(env, "HOME", b.user.Home)
	}
	env = setEnv(env, "PGBATON_BINARY", self())
	return env
}

// forServer drops what only the scripts' shell needed.
func forServer(env []string) []string {
	return slices.DeleteFunc(env, func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name == "PGPASSWORD" || name == "_" || name == "SHLVL" || name == "PWD" || name == "OLDPWD" || name == "PGBATON_BINARY"
	})
}

func readAll(f *os.File) []byte {
	var buf bytes.Buffer
	_, _ = buf.ReadFrom(f)
	_ = f.Close()
	return buf.Bytes()
}
