package entrypoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// programs are a major's as a package lays them down, shell scripts that note
// each run.
var programs = []string{"postgres", "initdb", "pg_ctl", "pg_controldata", "pg_dump", "pg_upgrade", "pg_restore"}

type shelf struct {
	t    *testing.T
	root string
	runs string
	c    *catalogue
	now  time.Time
}

func newShelf(t *testing.T) *shelf {
	s := &shelf{t: t, root: t.TempDir(), runs: filepath.Join(t.TempDir(), "runs"), now: time.Now()}
	s.c = newCatalogue([]string{s.root, filepath.Join(s.root, "nowhere")}, proc.CurrentUser(), nil)
	return s
}

func (s *shelf) install(major int, names ...string) {
	s.t.Helper()
	for _, name := range names {
		s.program(major, name, fmt.Sprintf("echo '%s (PostgreSQL) %d.4'", name, major))
	}
}

func (s *shelf) program(major int, name, does string) {
	s.t.Helper()
	text := fmt.Sprintf("#!/bin/sh\necho %s >> %s\n%s\n", name, s.runs, does)
	s.file(major, "bin/"+name, text)
}

func (s *shelf) file(major int, name, text string) {
	s.t.Helper()
	path := filepath.Join(s.root, fmt.Sprint(major), name)
	must(s.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(s.t, os.WriteFile(path, []byte(text), 0o755))
}

// after looks once more, some seconds later by the clock given to Look.
func (s *shelf) after(d time.Duration, serving int) []int {
	s.now = s.now.Add(d)
	return pg.Majors(s.c.Look(s.t.Context(), s.now, serving))
}

func (s *shelf) expect(why string, got []int, want ...int) {
	s.t.Helper()
	if !slices.Equal(got, want) {
		s.t.Fatalf("%s: available are %v and not %v; problems: %q", why, got, want, s.c.Problems())
	}
}

func (s *shelf) count() int {
	raw, err := os.ReadFile(s.runs)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	return strings.Count(string(raw), "\n")
}

func TestAMajorIsAvailableOnceNothingChangedForSomeSeconds(t *testing.T) {
	s := newShelf(t)
	s.install(17, programs[:4]...)
	s.expect("half of the programs are there", s.after(time.Minute, 0))
	s.install(17, programs[4:]...)
	s.now = time.Now()
	s.expect("the last one has just come", s.after(0, 0))
	s.expect("a second later", s.after(time.Second, 0))
	s.file(17, "lib/late.so", "x")
	s.now = time.Now()
	s.expect("a library came", s.after(0, 0))
	if s.count() != 0 {
		t.Error("programs were run while they were still being installed")
	}
	s.expect("nothing changed any more", s.after(availableSettle+time.Second, 0), 17)
	if s.count() != len(mainPrograms) {
		t.Errorf("%d programs were run", s.count())
	}
	s.expect("much later", s.after(time.Hour, 0), 17)
	if s.count() != len(mainPrograms) {
		t.Error("programs were run again although nothing changed")
	}
}

func TestWhatAnImageBroughtLongAgoIsAvailableAtTheFirstLook(t *testing.T) {
	s := newShelf(t)
	s.install(15, programs...)
	s.install(17, programs...)
	s.expect("both are old", s.after(time.Hour, 0), 15, 17)
}

func TestFilesFromAClockThatIsAheadBecomeAvailableByObservation(t *testing.T) {
	s := newShelf(t)
	s.install(17, programs...)
	s.expect("from tomorrow", s.after(-24*time.Hour, 0))
	s.expect("nothing changed under our eyes", s.after(availableSettle, 0), 17)
}

func TestWhatDpkgHasNotYetMovedToItsPlaceIsWaitedFor(t *testing.T) {
	s := newShelf(t)
	s.install(17, programs...)
	s.file(17, "lib/plpgsql.so.dpkg-new", "half")
	s.expect("dpkg is at work", s.after(time.Hour, 0))
	s.expect("and stays at it", s.after(time.Hour, 0))
	dir := filepath.Join(s.root, "17/lib/plpgsql.so")
	must(t, os.Rename(dir+".dpkg-new", dir))
	s.expect("it is done", s.after(time.Hour, 0), 17)
}

func TestTheServingMajorStaysWhileItsFilesAreRenewedAndGoesWithThem(t *testing.T) {
	s := newShelf(t)
	s.install(15, programs...)
	s.install(17, programs...)
	s.expect("both are there", s.after(time.Hour, 15), 15, 17)
	before := s.c.Identities()
	for _, major := range []int{15, 17} {
		s.program(major, "postgres", fmt.Sprintf("echo 'postgres (PostgreSQL) %d.5'; # a newer minor release", major))
	}
	s.now = time.Now()
	s.expect("both are being renewed", s.after(0, 15), 15)
	s.expect("both were renewed", s.after(time.Hour, 15), 15, 17)
	if after := s.c.Identities(); after[15] == before[15] || after[17] == before[17] || after[17] == "" {
		t.Errorf("the identities %v are still %v", after, before)
	}
	must(t, os.RemoveAll(filepath.Join(s.root, "15")))
	s.expect("its files are gone", s.after(time.Second, 15), 17)
}

func TestProgramsThatCannotRunAreReportedInTheLoadersWordsAndTriedAgain(t *testing.T) {
	const words = "error while loading shared libraries: libicui18n.so.99: cannot open shared object file"
	s := newShelf(t)
	s.install(17, programs...)
	mended := filepath.Join(s.root, "mended")
	s.program(17, "initdb", fmt.Sprintf("test -e %s && echo 'initdb (PostgreSQL) 17.4' && exit\necho \"$0: %s\" >&2; exit 127", mended, words))
	s.expect("a library is missing", s.after(time.Hour, 0))
	if p := s.c.Problems(); len(p) != 1 || !strings.Contains(p[0], "PostgreSQL 17 is installed and cannot be used") || !strings.Contains(p[0], words) {
		t.Fatalf("problems: %q", p)
	}
	ran := s.count()
	s.expect("at the next look", s.after(5*time.Second, 0))
	if s.count() != ran {
		t.Error("the programs were run again at once")
	}
	write(t, mended, "") // elsewhere: nothing of the major itself changes
	s.expect("the library came", s.after(brokenAgain, 0), 17)
	if p := s.c.Problems(); len(p) != 0 {
		t.Errorf("problems: %q", p)
	}
}

func TestProgramsOfAnotherMajorOrMachineAreProblems(t *testing.T) {
	tests := map[string]struct{ text, says string }{
		"another major":          {"#!/bin/sh\necho 'pg_upgrade (PostgreSQL) 16.1'\n", "says it is"},
		"no version at all":      {"#!/bin/sh\necho hello\n", "says it is"},
		"another machine's":      {"\x7fELF\x02\x01\x01 nothing that runs", "exec format error"},
		"a loader that is gone":  {"#!/nowhere/sh\n", "the loader that it asks for"},
		"a death without a word": {"#!/bin/sh\nkill -SEGV $$\n", "pg_upgrade"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t)
			s.install(17, programs...)
			s.file(17, "bin/pg_upgrade", tt.text)
			s.expect(name, s.after(time.Hour, 0))
			if p := s.c.Problems(); len(p) != 1 || !strings.Contains(p[0], tt.says) {
				t.Errorf("problems: %q", p)
			}
			s.expect("it serves all the same", s.after(time.Second, 17), 17)
		})
	}
}

func TestAMajorWithoutPgRestoreIsReportedAsAProblem(t *testing.T) {
	s := newShelf(t)
	s.install(17, programs[:6]...)
	s.expect("pg_restore is missing", s.after(time.Hour, 0))
	if p := s.c.Problems(); len(p) != 1 || !strings.Contains(p[0], "pg_restore") {
		t.Errorf("problems: %q", p)
	}
}

// TestAPackageManagersLockIsSeen holds the lock by an open file description: a
// process does not see locks of its own (fcntl(2)).
func TestAPackageManagersLockIsSeen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	write(t, path, "")
	if locked(path) || locked(path+".none") {
		t.Fatal("nobody holds the lock")
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	must(t, unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}))
	if !locked(path) {
		t.Error("the lock is not seen")
	}
	must(t, f.Close())
	if locked(path) {
		t.Error("the lock has gone with its holder")
	}
}
