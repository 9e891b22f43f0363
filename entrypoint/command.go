package entrypoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// Exit codes of a command that never ran, as a shell gives them.
const (
	exitCannotRun = 126
	exitNotFound  = 127
)

// RunCommand is the parent of a command that is no server ("bash", "psql",
// "postgres --version"): it passes the signals that Init proxies and hands
// Init the exact exit code. The command runs as the container's user and in
// the container's working directory, as under the official entrypoint.
func RunCommand(args []string) int {
	l, err := openLink()
	if err != nil {
		complain("run a command", err)
		return 1
	}
	if _, err := l.receiveHello(); err != nil {
		complain("run a command", err)
		return 1
	}
	code := runCommand(l, withPostgres(args))
	if err := l.exit(code); err != nil {
		complain("hand over the exit code", err)
	}
	return code
}

func runCommand(l link, args []string) int {
	spec := proc.Spec{Args: args, Env: commandEnviron(os.Environ()), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	if singleUser(args) {
		release, err := asServerUser(&spec)
		if err != nil {
			complain("run "+args[0]+" "+args[1], err)
			return 1
		}
		defer release()
	}
	p, err := proc.Start(spec, launchFor(os.Stdin))
	if err != nil {
		complain("run "+args[0], err)
		return startFailure(spec)
	}
	go passSignals(l, p)
	if err := l.send(kindReady, nil, -1); err != nil {
		complain("get signals from init", err)
	}
	<-p.Done()
	return p.Status().ExitCode()
}

func startFailure(s proc.Spec) int {
	if _, err := proc.Find(s.Args[0], s.Env); errors.Is(err, fs.ErrNotExist) {
		return exitNotFound
	}
	return exitCannotRun
}

// launchFor gives the command the terminal: as the leader of a session where
// the terminal is free (Init gave it up), as the foreground process group
// where somebody else's session owns it (docker run --init).
func launchFor(stdin *os.File) proc.Launch {
	if _, err := unix.IoctlGetTermios(int(stdin.Fd()), unix.TCGETS); err != nil {
		return proc.Launch{}
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return proc.Launch{Session: true, Tty: true}
	}
	_ = tty.Close() // only to see whether there is one
	// The child makes itself the foreground group while it is in the background.
	signal.Ignore(syscall.SIGTTOU)
	return proc.Launch{Front: true}
}

func passSignals(l link, p *proc.Process) {
	buf := make([]byte, maxPacket)
	for {
		pk, err := l.receive(buf)
		if err != nil {
			return
		}
		if pk.kind == kindSignal && len(pk.body) == 1 {
			if err := p.Signal(syscall.Signal(pk.body[0])); err != nil {
				fmt.Fprintf(os.Stderr, "pgbaton: %v\n", err)
			}
		}
	}
}
