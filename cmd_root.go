package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/pgbaton/pgbaton/internal/config"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
)

// The exit codes of every command.
const (
	exitOK     = 0
	exitNo     = 1 // the answer is no, or the order was refused
	exitUsage  = 2 // the command line is wrong; nothing was done
	exitSilent = 3 // no supervisor answers
	exitUndone = 4 // an upgrade failed, and the old cluster serves (again)
	exitHeld   = 5 // an upgrade goes neither on nor back without an operator
	exitNotYet = 6 // an order is carried out, and the cluster is not whole again in time
)

const exitCodes = `
Exit codes:
  0  done, or the answer is yes
  1  refused, or the answer is no
  2  the command line is wrong; nothing was done
  3  no supervisor answers
`

// failed carries a command's exit code. Errors without it come from cobra and
// mean a wrong command line.
type failed struct {
	code int
	err  error // nil: everything was said already
}

func (f *failed) Error() string {
	if f.err == nil {
		return ""
	}
	return f.err.Error()
}

func (f *failed) Unwrap() error { return f.err }

// refused wraps what the supervisor or the client said.
func refused(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nodeapi.ErrNoSupervisor):
		return &failed{exitSilent, err}
	default:
		return &failed{exitNo, err}
	}
}

// execute runs the command tree and returns the exit code.
func execute(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	return report(os.Stderr, cmd, err)
}

// report prints an error, its hint on a line of its own.
func report(w io.Writer, cmd *cobra.Command, err error) int {
	if err == nil {
		return exitOK
	}
	var f *failed
	if !errors.As(err, &f) {
		text := strings.TrimSpace(strings.ReplaceAll(err.Error(), "\n", " "))
		f = &failed{exitUsage, fmt.Errorf("%s; nothing was done\nhint: see `%s --help`", text, cmd.CommandPath())}
	}
	if f.err != nil {
		fmt.Fprintf(w, "pgbaton: %v\n", f.err)
	}
	return f.code
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "pgbaton",
		Short: "See and steer the PostgreSQL server of this container",
		Long: `pgbaton sees and steers the PostgreSQL server of the container that it runs in.
Run it inside the container: docker exec CONTAINER pgbaton status`,
		Example: `  pgbaton status                  what the node does, and why
  pgbaton stop --mode smart       stop postgres; the container stays
  pgbaton start                   start it again
  pgbaton switchover              make the heir the primary, without losing a commit
  pgbaton upgrade check           would an upgrade to the next major succeed?
  pgbaton config check            are the settings of this container sound?`,
		Args:              cobra.NoArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetOut(os.Stdout)
	root.SetErr(os.Stderr)
	root.SetUsageTemplate(root.UsageTemplate() + exitCodes)
	root.AddCommand(
		newStatus(),
		newStop(), newStart(), newRestart(), newReload(),
		newSwitchover(), newPromote(), newAlone(), newReclone(), newPause(), newResume(), newForget(),
		newUpgrade(), newNotify(),
		newConfig(), newVersion(),
	)
	return root
}

// newClient asks the supervisor of this container.
func newClient() *nodeapi.Client {
	return nodeapi.NewClient(nodeapi.FirstSocket(nodeapi.Sockets(controlDir(), os.Geteuid())))
}

// controlDir is the control directory of the settings. The environment is
// enough in nearly every container; the file is read only where there is one.
// Settings that are refused do not matter here: the supervisor said so.
func controlDir() string {
	if dir := os.Getenv("PGBATON_CONTROL_DIR"); dir != "" {
		return dir
	}
	file := os.Getenv("PGBATON_CONFIG")
	if file == "" {
		file = "/etc/pgbaton.yaml"
	}
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	s, _, err := config.Load(os.Environ())
	if err != nil {
		return ""
	}
	return s.ControlDir
}

// format is the value of -o.
type format string

const (
	table    format = "table"
	jsonText format = "json"
)

// String implements pflag.Value.
func (f *format) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *format) Type() string { return "table|json" }

// Set implements pflag.Value.
func (f *format) Set(s string) error {
	if format(s) != table && format(s) != jsonText {
		return errors.New("it is neither table nor json")
	}
	*f = format(s)
	return nil
}

// addFormat gives a reading command its -o.
func addFormat(cmd *cobra.Command) *format {
	f := table
	cmd.Flags().VarP(&f, "output", "o", "how to print")
	return &f
}
