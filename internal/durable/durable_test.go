package durable_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec" //nolint:depguard // a second process of this test, to hold the lock and to stand still
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
)

// helperEnv makes this test binary play another process: see TestMain.
const helperEnv = "PGBATON_DURABLE_HELPER"

func TestMain(m *testing.M) {
	switch os.Getenv(helperEnv) {
	case "":
		os.Exit(m.Run())
	case "lock":
		helperLock()
	case "work":
		helperWork()
	case "write":
		helperWrite()
	}
}

// helperLock holds the lock of the directory in Args[1] until its input ends.
func helperLock() {
	root, err := os.OpenRoot(os.Args[1])
	if err != nil {
		panic(err)
	}
	me := durable.Holder{Node: "other", Container: "there", Since: time.Unix(1000, 0).UTC()}
	if _, err := durable.TryLock(root, "lock", me, -1, -1); err != nil {
		os.Stdout.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	os.Stdout.WriteString("held\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// helperWork does each operation once on the directory in Args[1].
func helperWork() {
	root, err := os.OpenRoot(os.Args[1])
	if err != nil {
		panic(err)
	}
	err = errors.Join(
		durable.WriteFile(root, "state.json", []byte("new"), -1, -1),
		durable.Rename(root, "from", "to"),
		durable.Remove(root, "gone"),
		durable.WriteFile(root, "state.json", []byte("newer"), -1, -1),
	)
	if err != nil {
		panic(err)
	}
	os.Exit(0)
}

// helperWrite writes state.json in the directory in Args[1] for each line of
// its input.
func helperWrite() {
	root, err := os.OpenRoot(os.Args[1])
	if err != nil {
		panic(err)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if err := durable.WriteFile(root, "state.json", lines.Bytes(), -1, -1); err != nil {
			panic(err)
		}
	}
	os.Exit(0)
}

func openRoot(t *testing.T) (*os.Root, string) {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root, dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestWriteFileReplacesAFileAndLeavesNoTemporaryOne(t *testing.T) {
	root, dir := openRoot(t)
	for _, text := range []string{"first", "second, longer", ""} {
		if err := durable.WriteFile(root, "state.json", []byte(text), -1, -1); err != nil {
			t.Fatal(err)
		}
		if got := read(t, filepath.Join(dir, "state.json")); got != text {
			t.Errorf("the file holds %q, want %q", got, text)
		}
	}
	if got := names(t, dir); !slices.Equal(got, []string{"state.json"}) {
		t.Errorf("the directory holds %v, want only state.json", got)
	}
	info, err := os.Stat(filepath.Join(dir, "state.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v (%v), want 0600", info.Mode(), err)
	}
}

func TestWriteFileFollowsNoPlantedSymbolicLink(t *testing.T) {
	for name, plant := range map[string]func(dir, outside string) error{
		"the file itself leads out": func(dir, outside string) error {
			return os.Symlink(filepath.Join(outside, "victim"), filepath.Join(dir, "sub", "state.json"))
		},
		"its directory leads out": func(dir, outside string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "sub")), os.Symlink(outside, filepath.Join(dir, "sub")))
		},
		"its directory leads out by ..": func(dir, outside string) error {
			up, err := filepath.Rel(dir, outside)
			return errors.Join(err, os.Remove(filepath.Join(dir, "sub")), os.Symlink(up, filepath.Join(dir, "sub")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			root, dir := openRoot(t)
			outside := t.TempDir()
			write(t, filepath.Join(outside, "victim"), "untouched")
			if err := errors.Join(os.Mkdir(filepath.Join(dir, "sub"), 0o700), plant(dir, outside)); err != nil {
				t.Fatal(err)
			}
			_ = durable.WriteFile(root, "sub/state.json", []byte("ours"), -1, -1)
			_ = durable.MkdirAll(root, "sub/deep/deeper", -1, -1)
			_ = durable.Rename(root, "sub/state.json", "sub/other.json")
			_ = durable.Remove(root, "sub/victim")
			if f, err := durable.TryLock(root, "sub/victim", durable.Holder{Node: "x"}, -1, -1); err == nil {
				_ = f.Close()
			}
			if got := names(t, outside); !slices.Equal(got, []string{"victim"}) {
				t.Errorf("outside of the root there is now %v", got)
			}
			if got := read(t, filepath.Join(outside, "victim")); got != "untouched" {
				t.Errorf("a file outside of the root now holds %q", got)
			}
		})
	}
}

func TestAFailedWriteLeavesTheOldFileAndNothingElse(t *testing.T) {
	root, dir := openRoot(t)
	if err := os.MkdirAll(filepath.Join(dir, "state.json", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(root, "state.json", []byte("x"), -1, -1); err == nil {
		t.Error("a directory was replaced by a file")
	}
	if got := names(t, dir); !slices.Equal(got, []string{"state.json"}) {
		t.Errorf("the directory holds %v, want only what was there", got)
	}
	if err := durable.WriteFile(root, "missing/state.json", []byte("x"), -1, -1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a write into a missing directory: %v, want fs.ErrNotExist", err)
	}
}

func TestReadJSONTellsMissingFromCorrupt(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"an empty file is corrupt":             {"", durable.ErrCorrupt},
		"a cut-off file is corrupt":            {`{"a": `, durable.ErrCorrupt},
		"a file of zeroes is corrupt":          {strings.Repeat("\x00", 64), durable.ErrCorrupt},
		"a value of another type is corrupt":   {`{"a": "x"}`, durable.ErrCorrupt},
		"something behind the JSON is corrupt": {`{"a": 1} {"a": 2}`, durable.ErrCorrupt},
		"a whole file is read":                 {`{"a": 1}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			root, dir := openRoot(t)
			write(t, filepath.Join(dir, "f"), c.text)
			var v struct {
				A int `json:"a"`
			}
			if err := durable.ReadJSON(root, "f", &v); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
	root, _ := openRoot(t)
	if err := durable.ReadJSON(root, "none", &struct{}{}); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, durable.ErrCorrupt) {
		t.Errorf("a missing file: %v, want fs.ErrNotExist", err)
	}
}

func TestWriteJSONIsReadBack(t *testing.T) {
	root, _ := openRoot(t)
	in := durable.Holder{Node: "n", Container: "c", Since: time.Unix(5, 0).UTC()}
	if err := durable.WriteJSON(root, "f", in, -1, -1); err != nil {
		t.Fatal(err)
	}
	var out durable.Holder
	if err := durable.ReadJSON(root, "f", &out); err != nil || out != in {
		t.Errorf("read back %v (%v), want %v", out, err, in)
	}
}

func TestMkdirAllRemoveAndRenameCanBeRepeated(t *testing.T) {
	root, dir := openRoot(t)
	for range 2 {
		if err := durable.MkdirAll(root, "a/b/c", -1, -1); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "a", "b")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("a directory above has mode %v (%v), want 0700", info.Mode(), err)
	}
	write(t, filepath.Join(dir, "a", "f"), "x")
	if err := durable.Rename(root, "a/f", "a/b/g"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(dir, "a", "b", "g")); got != "x" {
		t.Errorf("the renamed file holds %q", got)
	}
	for range 2 {
		if err := durable.Remove(root, "a/b/g"); err != nil {
			t.Errorf("remove: %v", err)
		}
	}
}

// other starts this test binary as another process.
func other(t *testing.T, dir string, env ...string) (*exec.Cmd, *bufio.Reader, io.WriteCloser) {
	t.Helper()
	cmd := exec.Command(os.Args[0], dir)
	cmd.Env = append(os.Environ(), env...)
	var out io.Reader
	var err error
	if slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "PGBATON_CRASH_") }) {
		out, err = cmd.StderrPipe()
	} else {
		out, err = cmd.StdoutPipe()
	}
	in, errIn := cmd.StdinPipe()
	if err := errors.Join(err, errIn, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, bufio.NewReader(out), in
}

func TestTheLockHoldsAcrossProcessesAndEndsWithItsHolder(t *testing.T) {
	root, dir := openRoot(t)
	cmd, out, _ := other(t, dir, helperEnv+"=lock")
	if line, err := out.ReadString('\n'); line != "held\n" {
		t.Fatalf("the other process says %q (%v)", line, err)
	}
	_, err := durable.TryLock(root, "lock", durable.Holder{Node: "me"}, -1, -1)
	var busy *durable.BusyError
	if !errors.As(err, &busy) || busy.Holder.Node != "other" || busy.Holder.Container != "there" {
		t.Fatalf("the lock of a live process: %v, want a BusyError that names it", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	f, err := durable.TryLock(root, "lock", durable.Holder{Node: "me"}, -1, -1)
	if err != nil {
		t.Fatalf("the lock of a killed process: %v, want it free", err)
	}
	defer func() { _ = f.Close() }()
	var h durable.Holder
	if err := json.Unmarshal([]byte(read(t, filepath.Join(dir, "lock"))), &h); err != nil || h.Node != "me" {
		t.Errorf("the lock file says %+v (%v), want the new holder", h, err)
	}
}

func TestTheLockHoldsAsLongAsAnInheritorLives(t *testing.T) {
	root, _ := openRoot(t)
	f, err := durable.TryLock(root, "lock", durable.Holder{Node: "me"}, -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command("cat") // as postgres inherits it
	child.ExtraFiles = []*os.File{f}
	in, err := child.StdinPipe()
	if err := errors.Join(err, child.Start()); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	var busy *durable.BusyError
	if _, err := durable.TryLock(root, "lock", durable.Holder{}, -1, -1); !errors.As(err, &busy) {
		t.Errorf("the inherited lock: %v, want a BusyError", err)
	}
	_ = in.Close()
	_ = child.Wait()
	f, err = durable.TryLock(root, "lock", durable.Holder{}, -1, -1)
	if err != nil {
		t.Fatalf("after the inheritor's end: %v, want the lock", err)
	}
	_ = f.Close()
}

func TestALockFileOfAnyContentCanBeTaken(t *testing.T) {
	for _, text := range []string{"", "{", strings.Repeat("\xff", 10000), "null", `{"node": 7}`} {
		root, dir := openRoot(t)
		write(t, filepath.Join(dir, "lock"), text)
		f, err := durable.TryLock(root, "lock", durable.Holder{Node: "me"}, -1, -1)
		if err != nil {
			t.Errorf("content %.20q: %v", text, err)
			continue
		}
		if got := read(t, filepath.Join(dir, "lock")); !strings.Contains(got, `"me"`) || strings.Contains(got, "\xff") {
			t.Errorf("content %.20q became %.80q, want only the new holder", text, got)
		}
		_ = f.Close()
	}
}

func TestAnUnreadableHolderOfABusyLockIsNobodysName(t *testing.T) {
	root, dir := openRoot(t)
	f, err := durable.TryLock(root, "lock", durable.Holder{Node: "me"}, -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	write(t, filepath.Join(dir, "lock"), "rubbish")
	_, err = durable.TryLock(root, "lock", durable.Holder{}, -1, -1)
	var busy *durable.BusyError
	if !errors.As(err, &busy) || !strings.Contains(err.Error(), "somebody who left no name") {
		t.Errorf("error %v, want a BusyError without a name", err)
	}
}

// At each crash point the process stands still, and what it leaves when it is
// killed there is the old state whole or the new state whole.
func TestAKillAtEachCrashPointLeavesTheOldFileOrTheNewOne(t *testing.T) {
	for point, want := range map[string]string{ // what lies there, sorted
		"state.json:before":    "from gone state.json=old",
		"state.json:written":   "from gone state.json=old state.json.tmp",
		"state.json:renamed":   "from gone state.json=new",
		"state.json:done":      "from gone state.json=new",
		"to:before":            "from gone state.json=new",
		"to:renamed":           "gone state.json=new to",
		"to:done":              "gone state.json=new to",
		"gone:before-remove":   "gone state.json=new to",
		"gone:removed":         "state.json=new to",
		"state.json:written:1": "from gone state.json=old state.json.tmp",
		"state.json:written:2": "state.json=new state.json.tmp to",
		"st*.json:renamed:2":   "state.json=newer to",
		"state.json:done:3":    "state.json=newer to",
		"state.json:done:x":    "state.json=newer to",
		"never:done":           "state.json=newer to",
		"state.json:nonsense":  "state.json=newer to",
	} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			_, dir := openRoot(t)
			write(t, filepath.Join(dir, "state.json"), "old")
			write(t, filepath.Join(dir, "from"), "")
			write(t, filepath.Join(dir, "gone"), "")
			cmd, out, _ := other(t, dir, helperEnv+"=work", durable.CrashEnv+"="+point)
			line, err := out.ReadString('\n') // the end of the process where the point does not exist
			if err == nil && !strings.Contains(line, "standing still at crash point "+point) {
				t.Fatalf("it says %q", line)
			}
			if reached, exists := err == nil, !slices.Contains([]string{"state.json:nonsense", "never:done", "state.json:done:3", "state.json:done:x"}, point); reached != exists {
				t.Fatalf("it stood still: %v, want %v", reached, exists)
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			var got []string
			for _, n := range names(t, dir) {
				if base, _, isTmp := strings.Cut(n, ".tmp."); isTmp {
					n = base + ".tmp"
				} else if n == "state.json" {
					n += "=" + read(t, filepath.Join(dir, n))
				}
				got = append(got, n)
			}
			if s := strings.Join(got, " "); s != want {
				t.Errorf("there is %s, want %s", s, want)
			}
		})
	}
}

// A process that has written before is stopped in what it writes after the file
// came to ask for it, and one of the same environment is not once it does not.
func TestACrashPointCanBeAskedForByAFileWhileTheProcessRuns(t *testing.T) {
	_, dir := openRoot(t)
	ask := filepath.Join(t.TempDir(), "ask")
	cmd, out, in := other(t, dir, helperEnv+"=write", durable.CrashEnv+"=@"+ask, durable.CrashLogEnv+"=1")
	expect := func(lines ...string) {
		t.Helper()
		for _, want := range lines {
			if line, err := out.ReadString('\n'); line != "pgbaton: "+want+"\n" {
				t.Fatalf("it says %q (%v), want %q", line, err, want)
			}
		}
	}
	all := func(n string) (points []string) {
		for _, m := range []string{"before", "written", "renamed", "done"} {
			points = append(points, "crash point state.json:"+m+":"+n)
		}
		return points
	}
	send := func(text string) {
		t.Helper()
		if _, err := io.WriteString(in, text+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	send("first") // the file is not there: nothing is asked for
	expect(all("1")...)
	write(t, ask, "state.json:renamed:2\nround 1\n")
	send("second")
	expect(all("1")...) // counted anew
	write(t, ask, "state.json:renamed:2\nround 2\n")
	send("third")
	expect(all("1")...)
	send("fourth")
	expect(append(all("2")[:3], "standing still at crash point state.json:renamed:2")...)
	if got := read(t, filepath.Join(dir, "state.json")); got != "fourth" {
		t.Errorf("the file holds %q", got)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()

	write(t, ask, "\nround 3\n")
	cmd, out, in = other(t, dir, helperEnv+"=write", durable.CrashEnv+"=@"+ask, durable.CrashLogEnv+"=1")
	send("fifth")
	send("sixth")
	_ = in.Close()
	expect(append(all("1"), all("2")...)...)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestEveryCrashPointThatIsPassedCanBeListed(t *testing.T) {
	_, dir := openRoot(t)
	write(t, filepath.Join(dir, "from"), "")
	write(t, filepath.Join(dir, "gone"), "")
	cmd, out, _ := other(t, dir, helperEnv+"=work", durable.CrashLogEnv+"=1")
	text, err := io.ReadAll(out)
	if err := errors.Join(err, cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, point := range []string{
		"state.json:before:1", "state.json:written:1", "state.json:renamed:1", "state.json:done:1", "to:before:1", "to:renamed:1", "to:done:1",
		"gone:before-remove:1", "gone:removed:1", "state.json:before:2", "state.json:written:2", "state.json:renamed:2", "state.json:done:2",
	} {
		want.WriteString("pgbaton: crash point " + point + "\n")
	}
	if string(text) != want.String() {
		t.Errorf("it lists\n%swant\n%s", text, want.String())
	}
}

func TestAFileIsReplacedByTheBlocksOfASpareOneWhereTheDiskIsFull(t *testing.T) {
	root, dir := openRoot(t)
	write(t, filepath.Join(dir, "state.json"), "old")
	write(t, filepath.Join(dir, "spare"), strings.Repeat("x", 100))
	if err := durable.WriteFileInto(root, "spare", "state.json", []byte(strings.Repeat("y", 101)), -1, -1); err == nil {
		t.Error("more was written than the spare file has room for")
	}
	if err := durable.WriteFileInto(root, "spare", "state.json", []byte("new"), -1, -1); err != nil {
		t.Fatal(err)
	}
	if text, err := root.ReadFile("state.json"); err != nil || string(text) != "new" {
		t.Errorf("state.json holds %q, %v", text, err)
	}
	if _, err := root.Lstat("spare"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the spare file is still there: %v", err)
	}
	if err := durable.WriteFileInto(root, "spare", "state.json", []byte("newer"), -1, -1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("written without a spare file: %v", err)
	}
}

func TestWhatAKilledWriterLeftIsSweptAndNothingElse(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, name := range []string{"role.json", "role.json.tmp.ABCDEF27", "other.tmp.ABCDEF27", "role.json.tmp.abcdef27", "role.json.tmp.ABCDEF2", "role.json.tmp"} {
		if err := root.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := root.Mkdir("dir.tmp.ABCDEF27", 0o700); err != nil {
		t.Fatal(err)
	}
	left := func() (names []string) {
		entries, err := fs.ReadDir(root.FS(), ".")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	want := []string{"dir.tmp.ABCDEF27", "other.tmp.ABCDEF27", "role.json", "role.json.tmp", "role.json.tmp.ABCDEF2", "role.json.tmp.abcdef27"}
	if err := durable.Sweep(root, ".", "role.json"); err != nil || !slices.Equal(left(), want) {
		t.Errorf("of one name: %v, left is %v", err, left())
	}
	want = slices.DeleteFunc(want, func(name string) bool { return name == "other.tmp.ABCDEF27" })
	if err := durable.Sweep(root, "."); err != nil || !slices.Equal(left(), want) {
		t.Errorf("of any name: %v, left is %v", err, left())
	}
	if err := durable.Sweep(root, "none"); err != nil {
		t.Errorf("where nothing is: %v", err)
	}
}
