package testbed

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Command is something to run inside a container beside its PID 1.
type Command struct {
	Args       []string
	User       string
	Dir        string
	Env        []string
	Stdin      string
	Privileged bool
	Timeout    time.Duration // default one minute
	Live       io.Writer     // is given both streams too, as they come
}

// Result is how a Command ended.
type Result struct {
	Code   int
	Stdout string
	Stderr string
}

// Exec runs a command inside the container as docker exec does. A non-zero
// exit code is the caller's to judge.
func (c *Container) Exec(args ...string) Result {
	c.tb.Helper()
	return c.Do(Command{Args: args})
}

// MustExec is Exec for commands that have to succeed; it returns what they
// printed on stdout, without the last newline.
func (c *Container) MustExec(args ...string) string {
	c.tb.Helper()
	r := c.Exec(args...)
	if r.Code != 0 {
		c.tb.Fatalf("%s: %s: exit code %d\n%s%s", c.Name, strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return strings.TrimSuffix(r.Stdout, "\n")
}

// Do runs a command inside the container.
func (c *Container) Do(cmd Command) Result {
	c.tb.Helper()
	r, err := c.TryDo(c.tb.Context(), cmd)
	c.must(err, "run "+strings.Join(cmd.Args, " ")+" in")
	return r
}

// TryDo is Do with an error instead of the end of the test, for goroutines
// and for containers that may end meanwhile.
func (c *Container) TryDo(ctx context.Context, cmd Command) (Result, error) {
	if cmd.Timeout == 0 {
		cmd.Timeout = patience
	}
	ctx, cancel := context.WithTimeout(ctx, cmd.Timeout)
	defer cancel()
	id, err := c.newExec(ctx, cmd)
	if err != nil {
		return Result{}, fmt.Errorf("prepare command: %w", err)
	}
	var stdout, stderr bytes.Buffer
	out, errout := io.Writer(&stdout), io.Writer(&stderr)
	if cmd.Live != nil {
		out, errout = io.MultiWriter(out, cmd.Live), io.MultiWriter(errout, cmd.Live)
	}
	if err := c.attachExec(ctx, id, cmd.Stdin, out, errout); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("no end within %v: %w", cmd.Timeout, err)
		}
		return Result{Stdout: stdout.String(), Stderr: stderr.String()}, err
	}
	code, err := c.execCode(ctx, id)
	return Result{code, stdout.String(), stderr.String()}, err
}

func (c *Container) newExec(ctx context.Context, cmd Command) (string, error) {
	in := map[string]any{
		"AttachStdin": cmd.Stdin != "", "AttachStdout": true, "AttachStderr": true,
		"Cmd": cmd.Args, "User": cmd.User, "WorkingDir": cmd.Dir, "Env": cmd.Env, "Privileged": cmd.Privileged,
	}
	var made struct{ ID string }
	err := c.docker.call(ctx, http.MethodPost, c.path("exec"), nil, in, &made)
	return made.ID, err
}

// attachExec starts the command and copies its streams until they end.
func (c *Container) attachExec(ctx context.Context, id, stdin string, stdout, stderr io.Writer) error {
	conn, r, err := c.docker.hijack(ctx, "/exec/"+id+"/start", map[string]any{"Detach": false, "Tty": false})
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if stdin != "" {
		go func() {
			// A command may end without reading its input: not an error.
			_, _ = io.WriteString(conn, stdin)
			_ = conn.CloseWrite()
		}()
	}
	if err := demux(r, stdout, stderr); err != nil {
		return fmt.Errorf("read output: %w", err)
	}
	return ctx.Err()
}

// execCode returns the exit code. The streams can end a moment before the
// engine has noted it.
func (c *Container) execCode(ctx context.Context, id string) (int, error) {
	for {
		var st struct {
			Running  bool
			ExitCode *int
		}
		if err := c.docker.call(ctx, http.MethodGet, "/exec/"+id+"/json", nil, nil, &st); err != nil {
			return 0, fmt.Errorf("read exit code: %w", err)
		}
		if !st.Running && st.ExitCode != nil {
			return *st.ExitCode, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
}
