package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestStatusIsTheNumberAndTheWordsOfAShell(t *testing.T) {
	for _, c := range []struct {
		status  Status
		code    int
		text    string
		success bool
	}{
		{Status{}, 1, "unknown exit status", false},
		{Status{Known: true}, 0, "exit status 0", true},
		{Status{Known: true, Code: 1}, 1, "exit status 1", false},
		{Status{Known: true, Code: 255}, 255, "exit status 255", false},
		{Status{Known: true, Signal: syscall.SIGKILL}, 137, "killed by signal 9 (SIGKILL)", false},
		{Status{Known: true, Signal: syscall.SIGSEGV}, 139, "killed by signal 11 (SIGSEGV)", false},
		{Status{Known: true, Signal: syscall.SIGINT}, 130, "killed by signal 2 (SIGINT)", false},
	} {
		if got := c.status.ExitCode(); got != c.code {
			t.Errorf("%+v: code %d, want %d", c.status, got, c.code)
		}
		if got := c.status.String(); got != c.text {
			t.Errorf("%+v: %q, want %q", c.status, got, c.text)
		}
		if got := c.status.Success(); got != c.success {
			t.Errorf("%+v: success %v, want %v", c.status, got, c.success)
		}
	}
}

func sh(script string) Spec { return Spec{Args: []string{"sh", "-c", script}} }

func TestEveryExitCodeAndSignalOfAChildIsKept(t *testing.T) {
	t.Parallel()
	// Who runs the tests may ignore these two (nohup does), and children would
	// inherit that; what is caught is a child's default again.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP, syscall.SIGINT)
	defer signal.Stop(caught)
	for _, code := range []int{0, 1, 2, 126, 127, 128, 200, 255} {
		if got := ended(t, sh(fmt.Sprintf("exit %d", code))); got != (Status{Known: true, Code: code}) {
			t.Errorf("exit %d became %v", code, got)
		}
	}
	for _, sig := range []syscall.Signal{1, 2, 3, 6, 9, 11, 15} {
		if got := ended(t, sh(fmt.Sprintf("ulimit -c 0; kill -%d $$", sig))); got != (Status{Known: true, Signal: sig}) {
			t.Errorf("signal %d became %v", sig, got)
		}
	}
}

func ended(t *testing.T, s Spec) Status {
	t.Helper()
	p, err := Start(s, Launch{})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	p.Release()
	return p.Status()
}

func TestFindTellsAMissingProgramFromOneThatCannotRun(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	for name, mode := range map[string]os.FileMode{"good": 0o755, "plain": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(
		os.Mkdir(filepath.Join(dir, "folder"), 0o755),
		os.WriteFile(filepath.Join(other, "plain"), []byte("#!/bin/sh\n"), 0o755),
		os.Symlink("nowhere", filepath.Join(dir, "dangling")),
	); err != nil {
		t.Fatal(err)
	}
	one, both := []string{"PATH=" + dir}, []string{"PATH=" + dir + ":" + other}
	for _, c := range []struct {
		name string
		env  []string
		want string
		err  error
	}{
		{"good", one, dir + "/good", nil},
		{"plain", one, "", fs.ErrPermission},
		{"plain", both, other + "/plain", nil},
		{"folder", one, "", fs.ErrPermission},
		{"dangling", one, "", fs.ErrNotExist},
		{"none", both, "", fs.ErrNotExist},
		{"good", []string{"PATH="}, "", fs.ErrNotExist},
		{"good", []string{"PATH=:"}, "", fs.ErrNotExist},
		{dir + "/good", nil, dir + "/good", nil},
		{dir + "/plain", nil, dir + "/plain", fs.ErrPermission},
		{dir + "/none", nil, dir + "/none", fs.ErrNotExist},
	} {
		got, err := Find(c.name, c.env)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("Find(%q, %v) is %q, %v; want %q, %v", c.name, c.env, got, err, c.want, c.err)
		}
	}
}

func TestStatReadsNamesWithBlanksAndParentheses(t *testing.T) {
	rest := " S 1 2 3 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 0 0\n"
	for name, want := range map[string]string{
		"7 (postgres)": "postgres", "7 (a b)": "a b", "7 (a) R 9 (b)": "a) R 9 (b", "7 ()": "", "7 ((x)": "(x",
	} {
		info, err := parseStat([]byte(name + rest))
		if err != nil || info.Comm != want || info.PPID != 1 || info.State != 'S' || info.Start != 12345 {
			t.Errorf("%q is read as %+v (%v)", name, info, err)
		}
	}
	for _, bad := range []string{"", "7", "7 (x", "x) (y", "7 (x)", "7 (x) S", "7 (x) S one" + strings.Repeat(" 1", 30), "7 (x)" + strings.Repeat(" S", 30)} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q was read without an error", bad)
		}
	}
}

func FuzzStatFields(f *testing.F) {
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(own)
	f.Add([]byte("1 (a) b) S 0 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 7 0"))
	f.Add([]byte(")("))
	f.Fuzz(func(t *testing.T, raw []byte) {
		info, err := parseStat(raw)
		if err == nil && !bytes.Contains(raw, []byte("("+info.Comm+")")) {
			t.Errorf("%q: the name %q is not in it", raw, info.Comm)
		}
	})
}

func FuzzEffectiveUID(f *testing.F) {
	f.Add([]byte("Name:\tx\nUid:\t0\t999\t0\t0\n"))
	f.Add([]byte("Uid:"))
	f.Fuzz(func(_ *testing.T, raw []byte) { _ = parseUID(raw) })
}

func TestTheEffectiveUIDCounts(t *testing.T) {
	if got := parseUID([]byte("Name:\tx\nUid:\t1\t999\t3\t4\nGid:\t5\t6\t7\t8\n")); got != 999 {
		t.Errorf("uid %d, want 999", got)
	}
}

func TestThisProcessIsFoundWithItsOwnStartTime(t *testing.T) {
	all, err := List()
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range all {
		if info.PID != os.Getpid() {
			continue
		}
		started, err := StartTime(info)
		if err != nil || time.Since(started) > time.Hour || time.Since(started) < -2*time.Second {
			t.Errorf("this process started %v (%v)", started, err)
		}
		if info.UID != uint32(os.Geteuid()) || info.PPID != os.Getppid() || !strings.Contains(info.Cmdline, "test") {
			t.Errorf("this process is %+v", info)
		}
		return
	}
	t.Error("this process is not in the list")
}

func TestAdoptTakesOnlyTheProcessWithThatStartTime(t *testing.T) {
	t.Parallel()
	p, err := Start(sh("exec sleep 60"), Launch{Session: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Signal(syscall.SIGKILL) }()
	if _, err := Adopt(p.PID, p.Start+1); !errors.Is(err, ErrGone) {
		t.Errorf("another start time: %v, want ErrGone", err)
	}
	a, err := Adopt(p.PID, p.Start)
	if err != nil {
		t.Fatal(err)
	}
	if a.Ended() {
		t.Error("a live process counts as ended")
	}
	if err := a.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-a.Done()
	<-p.Done()
	if got := p.Status(); got.Signal != syscall.SIGTERM {
		t.Errorf("the parent saw %v", got)
	}
	if got := a.Status(); got.Known && got.Signal != syscall.SIGTERM {
		t.Errorf("the adopter saw %v", got)
	}
	if _, err := Adopt(p.PID, p.Start); !errors.Is(err, ErrGone) {
		t.Errorf("a process that ended: %v, want ErrGone", err)
	}
	if err := a.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("a signal to a process that ended: %v, want none", err)
	}
	a.Release()
	p.Release()
}

func TestAThreadIsNoProcess(t *testing.T) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range tasks {
		tid, _ := strconv.Atoi(e.Name())
		if tid == os.Getpid() {
			continue
		}
		if _, err := Adopt(tid, 0); !errors.Is(err, ErrGone) {
			t.Errorf("thread %d was adopted: %v", tid, err)
		}
		return
	}
	t.Fatal("this process has no second thread")
}

func TestRunSaysHowAHelperFailedAndItsLastWords(t *testing.T) {
	t.Parallel()
	err := Run(context.Background(), sh("echo alas >&2; exit 7"))
	var failed *Error
	if !errors.As(err, &failed) || failed.Status.Code != 7 || !strings.Contains(err.Error(), "alas") {
		t.Errorf("error %v, want status 7 and the words", err)
	}
	if out, err := Output(context.Background(), sh("printf hello")); string(out) != "hello" || err != nil {
		t.Errorf("output %q, %v", out, err)
	}
	err = Run(context.Background(), Spec{Args: []string{"/no/such/program"}})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing program: %v, want fs.ErrNotExist", err)
	}
}

func TestTheEndOfTheContextEndsAHelperAndItsGroup(t *testing.T) {
	t.Parallel()
	pidFile := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan error, 1)
	go func() {
		// Neither the shell nor what it started ends by SIGTERM.
		s := sh("trap '' TERM; sleep 60 & echo $! > " + pidFile + "; wait; wait; wait")
		s.Group = true
		done <- Run(ctx, s)
	}()
	pid := 0
	for deadline := time.Now().Add(time.Minute); pid == 0; time.Sleep(5 * time.Millisecond) {
		raw, _ := os.ReadFile(pidFile)
		pid, _ = strconv.Atoi(strings.TrimSpace(string(raw)))
		if time.Now().After(deadline) {
			t.Fatal("the helper has not started")
		}
	}
	grandchild, err := Adopt(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	cancel(enough)
	select {
	case err := <-done:
		var ran *Error
		if !errors.Is(err, enough) || !errors.As(err, &ran) {
			t.Errorf("the error of an interrupted helper is %v: it says neither why it was interrupted nor how it ended", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the helper did not end")
	}
	select {
	case <-grandchild.Done():
	case <-time.After(30 * time.Second):
		t.Error("what the helper had started lives on")
	}
}

func TestSignalArgsRefuseWhatIsNoProcess(t *testing.T) {
	for _, bad := range [][]string{nil, {"1"}, {"x", "1", "1"}, {"1", "-1", "1"}, {"1", "1", "y"}} {
		if err := SignalArgs(bad); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
	if err := SignalArgs([]string{strconv.Itoa(os.Getpid()), "1", "9"}); err != nil {
		t.Errorf("a process of another start time: %v; it is gone, which is no error", err)
	}
}

func TestUptimeIsCountedLikeStartTimes(t *testing.T) {
	me, err := Stat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if up := Uptime(); up < me.Start || up > me.Start+100*ticksPerSecond*60 {
		t.Errorf("the uptime is %d ticks, and this process started at %d", up, me.Start)
	}
}
