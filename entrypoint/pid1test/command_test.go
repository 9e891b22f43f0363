package pid1test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// notDelivered are the signals that nobody can proxy, or that are init's own:
// SIGKILL and SIGSTOP cannot be caught; SIGCHLD is init's, SIGURG and
// SIGPROF the Go runtime's, SIGPIPE tells of a write of one's own; 32 to 34
// belong to the C library and the Go runtime does not hand them out.
var notDelivered = []int{9, 13, 17, 19, 23, 27, 32, 33, 34}

// ignoredByDefault do not end a process that does nothing about them, or stop it.
var ignoredByDefault = []int{17, 18, 19, 20, 21, 22, 23, 28}

// Every code and every signal, without a container for each: init is not PID 1
// here, the rest is the same. TestPID1EndsWithTheExactCodeOfItsCommand has a
// sample with it as PID 1.
func TestInitEndsWithTheExactCodeOfItsCommand(t *testing.T) {
	parallel(t)
	var b strings.Builder
	b.WriteString("ulimit -c 0\n" + `check() { "${@:2}"; got=$?; n=$((n+1)); [ $got = $1 ] || echo "WRONG: ${*:2}: $got instead of $1"; }` + "\n")
	want := 0
	for code := range 256 {
		if testbed.Soak() || code < 4 || code > 250 || code%10 == 7 || (code >= 125 && code <= 131) {
			fmt.Fprintf(&b, "check %d pgbaton entrypoint sh -c 'exit %d'\n", code, code)
			want++
		}
	}
	for sig := 1; sig <= 64; sig++ {
		// The shell and the C library keep 32 and 33 for themselves.
		if slices.Contains(ignoredByDefault, sig) || sig == 32 || sig == 33 {
			continue
		}
		if testbed.Soak() || sig < 16 || sig%6 == 0 {
			fmt.Fprintf(&b, "check %d pgbaton entrypoint sh -c 'kill -%d $$; exit 99'\n", 128+sig, sig)
			want++
		}
	}
	b.WriteString("check 127 pgbaton entrypoint no-such-command\ncheck 127 pgbaton entrypoint /no/such/file\n" +
		"check 126 pgbaton entrypoint /etc/passwd\ncheck 126 pgbaton entrypoint /etc\necho counted=$n\n")
	want += 4
	c := testbed.Run(t, spec(file("/check.sh", b.String()), args("bash", "/check.sh")))
	if code := c.Wait(10 * time.Minute); code != 0 {
		t.Errorf("the script itself ended with %d", code)
	}
	out, _ := c.Output()
	contains(t, out, "counted="+strconv.Itoa(want)+"\n")
	if strings.Contains(out, "WRONG") {
		t.Error(out)
	}
}

func TestPID1EndsWithTheExactCodeOfItsCommand(t *testing.T) {
	parallel(t)
	cases := []struct {
		code int
		args []string
	}{
		{0, []string{"true"}},
		{1, []string{"false"}},
		{42, []string{"sh", "-c", "exit 42"}},
		{255, []string{"sh", "-c", "exit 255"}},
		{137, []string{"sh", "-c", "kill -9 $$"}},
		{139, []string{"sh", "-c", "ulimit -c 0; kill -11 $$"}},
		{143, []string{"sh", "-c", "kill -15 $$"}},
		{190, []string{"sh", "-c", "kill -62 $$"}},
		{127, []string{"no-such-command"}},
		{126, []string{"/etc/passwd"}},
	}
	for _, tc := range cases {
		c := testbed.Run(t, spec(args(tc.args...)))
		if code := c.Wait(soon); code != tc.code {
			t.Errorf("%v: the container ended with %d, want %d\n%s", tc.args, code, tc.code, c.Logs())
		}
		if tc.code == 126 || tc.code == 127 {
			contains(t, c.Logs(), tc.args[0])
		}
		c.Remove()
	}
}

func TestEverySignalThatGoLetsThroughReachesTheCommand(t *testing.T) {
	parallel(t)
	var sigs []int
	for sig := 1; sig <= 64; sig++ {
		if !slices.Contains(notDelivered, sig) {
			sigs = append(sigs, sig)
		}
	}
	// Perl, since bash loses some of the signals that come in one moment; with
	// safe handlers, since others allocate memory inside a signal handler and
	// can stand still for ever; and with short sleeps, since a safe handler runs
	// only when the sleep ends that its signal did not meet.
	c := testbed.Run(t, spec(file("/trap.pl", `use POSIX; $| = 1;
		for my $s (@ARGV) {
			my $act = POSIX::SigAction->new(sub { 1 until syswrite STDOUT, "got-$s.\n"; exit 17 if $s == 15 });
			$act->safe(1);
			POSIX::sigaction($s, $act) or die "$s: $!";
		}
		print "trapped\n"; select undef, undef, undef, 0.1 while 1;`), args(append([]string{"perl", "/trap.pl"}, strings.Fields(strings.Trim(fmt.Sprint(sigs), "[]"))...)...)))
	c.WaitLog("^trapped", soon)
	for _, sig := range sigs {
		if sig == 15 {
			continue
		}
		c.Kill(strconv.Itoa(sig))
		if sig >= int(syscall.SIGCONT) && sig <= int(syscall.SIGTTOU) {
			// The kernel drops a pending SIGCONT when a stop signal comes, and
			// the other way round (prepare_signal in kernel/signal.c).
			c.WaitLog(fmt.Sprintf(`^got-%d\.`, sig), soon)
		}
	}
	for _, sig := range sigs {
		if sig != 15 {
			c.WaitLog(fmt.Sprintf(`^got-%d\.`, sig), soon)
		}
	}
	c.Kill("TERM")
	if code := c.Wait(soon); code != 17 {
		t.Errorf("the command ended the container with %d, want 17, which its trap for SIGTERM says", code)
	}
	out, _ := c.Output()
	for _, sig := range sigs {
		if n := strings.Count(out, fmt.Sprintf("got-%d.\n", sig)); sig != 15 && n != 1 {
			t.Errorf("signal %d arrived %d times", sig, n)
		}
	}
}

func TestACommandGetsStandardInputArgumentsAndTheDirectoryThatDockerWasTold(t *testing.T) {
	parallel(t)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	input := strings.Repeat("a line of input\n", 100_000)
	run := append(testbed.UserRun(t, image, "-i", "-w", "/tmp", "-e", "MINE=of the user"), "sh", "-c",
		`wc -c; pwd; readlink /proc/1/cwd; echo "$MINE"; for a; do echo "<$a>"; done; echo complaint >&2; exit 5`, "sh", "two words", "", "$HOME", "--help")
	r, err := testbed.DockerPipe(ctx, input, run...)
	if err != nil {
		t.Fatal(err)
	}
	want := strconv.Itoa(len(input)) + "\n/tmp\n/\nof the user\n<two words>\n<>\n<$HOME>\n<--help>\n"
	if r.Code != 5 || r.Stdout != want || !strings.Contains(r.Stderr, "complaint") {
		t.Errorf("got code %d\n%s%s\nwant code 5 and\n%s", r.Code, r.Stdout, r.Stderr, want)
	}
}
