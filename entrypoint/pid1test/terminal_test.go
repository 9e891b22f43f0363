package pid1test

import (
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// foreground is a program that says when it has the terminal: earlier a key
// would reach the shell. It makes no processes: a shell that is just in
// vfork(2) when ^Z stops its child does not stop itself, wherever it runs.
const foreground = `exec perl -e '$| = 1; $SIG{CONT} = sub { print "onward\n" }; print "running\n"; sleep 1 while 1'`

// prompt is what a terminal's shell shows when it is ready for the next line.
const prompt = `P1> `

// shellOn is `docker run -it IMAGE bash`, with a prompt that is easy to find.
func shellOn(t *testing.T, flags ...string) *testbed.Terminal {
	t.Helper()
	term := testbed.DockerTerminal(t, append(testbed.UserRun(t, image, append([]string{"-it", "-e", "PROGRAM=" + foreground}, flags...)...), "bash", "--norc")...)
	term.Expect(`[$#] $`, soon)
	term.Type("PS1='P''1> '\r")
	term.Expect(prompt, soon)
	return term
}

func TestAnInteractiveShellHasTheTerminalWithInterruptsAndJobControl(t *testing.T) {
	for name, flags := range map[string][]string{"as PID 1": nil, "below docker's init": {"--init"}, "as another user": {"--user", "999:999"}} {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			term := shellOn(t, flags...)
			if strings.Contains(term.Shown(), "job control") || strings.Contains(term.Shown(), "cannot set terminal") {
				t.Errorf("bash has no job control:\n%s", term.Shown())
			}
			term.Type("tty; sh -c 'ps -o stat= -p $$; true'; echo done-$?\r")
			term.Expect(`/dev/(pts/\d+|console)`, soon)
			if stat := term.Expect(`\n(\S+)\s*\r?\n`, soon); !strings.Contains(stat, "+") {
				t.Errorf("ps says %q of a program in the foreground, want a +", stat)
			}
			term.Expect(`done-0`, soon)
			term.Expect(prompt, soon)

			// ^C ends the program and not the shell.
			term.Type("sh -c \"$PROGRAM\"; echo ended-$?\r")
			term.Expect(`running`, soon)
			term.Type("\x03")
			term.Expect(prompt, soon)
			term.Type("echo lives-$?\r")
			term.Expect(`lives-130`, soon)
			term.Expect(prompt, soon)

			// ^Z stops it, fg continues it in the foreground.
			term.Type("sh -c \"$PROGRAM\"\r")
			term.Expect(`running`, soon)
			term.Type("\x1a")
			term.Expect(`Stopped`, soon)
			term.Expect(prompt, soon)
			term.Type("jobs; echo listed\r")
			term.Expect(`Stopped\s+sh -c`, soon)
			term.Expect(`\nlisted`, soon)
			term.Expect(prompt, soon)
			term.Type("fg\r")
			term.Expect(`onward`, soon)
			term.Type("\x03")
			term.Expect(prompt, soon)

			term.Type("exit 44\r")
			if code := term.Wait(soon); code != 44 {
				t.Errorf("docker run ended with %d, want the shell's 44", code)
			}
		})
	}
}

// A command without job control of its own has nobody who could continue it.
func TestControlZDoesNotStopACommandThatNobodyCouldContinue(t *testing.T) {
	parallel(t)
	term := testbed.DockerTerminal(t, append(testbed.UserRun(t, image, "-it"), "perl", "-e",
		`$| = 1; print "running\n"; $line = <STDIN>; print "read $line"; exit 3`)...)
	term.Expect(`running`, soon)
	term.Type("\x1a")
	term.Expect(`\^Z`, soon)
	term.Type("on\r")
	term.Expect(`read on`, soon)
	if code := term.Wait(soon); code != 3 {
		t.Errorf("the command ended with %d, want 3", code)
	}
}

func TestAnInteractivePsqlHasTheTerminal(t *testing.T) {
	parallel(t)
	c := server(t)
	c.WaitReady(soon)
	for _, init := range [][]string{nil, {"--init"}} {
		flags := append([]string{"-it", "-e", "PGPASSWORD=" + testbed.Password, "-e", "PSQL_PAGER=", "-e", "PAGER=cat"}, init...)
		term := testbed.DockerTerminal(t, append(testbed.UserRun(t, image, flags...), "psql", "-X", "-h", c.Addr(), "-U", "postgres")...)
		term.Expect(`postgres=# $`, soon)
		term.Type("\\! echo from-the''-shell; tty\r")
		term.Expect(`from-the-shell`, soon)
		term.Expect(`/dev/(pts/\d+|console)`, soon)
		term.Expect(`postgres=# $`, soon)
		term.Type("select pg_sleep(600);\r")
		c.Eventually(soon, "the server sleeps", func() bool {
			return psql(t, c, "select count(*) from pg_stat_activity where wait_event = 'PgSleep'") == "1"
		})
		term.Type("\x03")
		term.Expect(`canceling statement due to user request`, soon)
		term.Expect(`postgres=# $`, soon)
		term.Type("\\q\r")
		if code := term.Wait(soon); code != 0 {
			t.Errorf("psql %v ended with %d", init, code)
		}
	}
}
