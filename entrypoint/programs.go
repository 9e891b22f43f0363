package entrypoint

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

const (
	// debianShare holds <major>/ with what initdb and CREATE EXTENSION read.
	debianShare = "/usr/share/postgresql"
	// answerWithin bounds `--version`, which takes milliseconds from a local disk.
	answerWithin = 30 * time.Second
)

// packageLocks are held by dpkg, and by apt from its beginning to its end, as
// locks of fcntl(2).
var packageLocks = []string{"/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock"}

// mainPrograms are those that an upgrade cannot do without.
var mainPrograms = []string{"postgres", "initdb", "pg_upgrade", "pg_dump", "pg_restore"}

// stamp is what a few stat(2) show of a major: its directories, whose times
// change with each entry that comes or goes, and its main programs.
type stamp struct {
	sum    uint64
	newest int64 // ctime, Unix nanoseconds
}

// listing is what a major consists of.
type listing struct {
	identity string // names, sizes and whole seconds of the mtimes of all files
	newest   int64  // ctime, Unix nanoseconds
	partial  bool   // dpkg has laid files beside those that they will replace
}

// directoriesOf are where the files of a major lie, as far as they exist.
func directoriesOf(b pg.Binaries) []string {
	home := filepath.Dir(b.Bin)
	share := filepath.Join(debianShare, strconv.Itoa(b.Major))
	return []string{
		b.Bin, filepath.Join(home, "lib"), filepath.Join(home, "share"), filepath.Join(home, "share", "extension"),
		share, filepath.Join(share, "extension"),
	}
}

func stampOf(b pg.Binaries) stamp {
	var s stamp
	sum := fnv.New64a()
	paths := directoriesOf(b)
	for _, prog := range mainPrograms {
		paths = append(paths, b.Path(prog))
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		id := idOf(info)
		// No inode number: overlayfs may show another one after a while.
		fmt.Fprintln(sum, path, id.Size, id.Mtime, id.Ctime)
		s.newest = max(s.newest, id.Ctime)
	}
	s.sum = sum.Sum64()
	return s
}

func listOf(b pg.Binaries) listing {
	var l listing
	sum := sha256.New()
	for _, dir := range directoriesOf(b) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil || strings.HasSuffix(e.Name(), ".dpkg-new") || strings.HasSuffix(e.Name(), ".dpkg-tmp") {
				l.partial = true
				continue
			}
			id := idOf(info)
			l.newest = max(l.newest, id.Ctime)
			if !info.IsDir() { // a directory's size and time depend on the file system
				fmt.Fprintln(sum, dir, e.Name(), info.Mode(), id.Size, info.ModTime().Unix())
			}
		}
	}
	l.identity = hex.EncodeToString(sum.Sum(nil)[:8])
	return l
}

// installing reports whether dpkg or apt are at work in this container: what
// is complete by now may be followed by the packages of its extensions.
func installing() bool { return slices.ContainsFunc(packageLocks, locked) }

func locked(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false // none here, or not for us to see
	}
	defer func() { _ = f.Close() }() // only asked about
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	return unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock) == nil && lock.Type != unix.F_UNLCK
}

// versionLine is what every program prints: `postgres (PostgreSQL) 17.6 (Debian …)`.
var versionLine = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// runs tries the main programs of a major as the server's user. The error is
// a sentence for status.
func runs(ctx context.Context, b pg.Binaries, u proc.User, env []string) error {
	for _, prog := range mainPrograms {
		if err := runsOne(ctx, b, prog, u, env); err != nil {
			return fmt.Errorf("PostgreSQL %d is installed and cannot be used: %w", b.Major, err)
		}
	}
	return nil
}

func runsOne(ctx context.Context, b pg.Binaries, prog string, u proc.User, env []string) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	spec := proc.Spec{Path: b.Path(prog), Args: []string{prog, "--version"}, Env: env, Dir: "/", User: &u}
	out, err := proc.Output(ctx, spec)
	var failed *proc.Error
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s --version gave no answer within %v", b.Path(prog), answerWithin)
	case errors.As(err, &failed) && strings.TrimSpace(failed.Stderr) != "":
		return errors.New(strings.TrimSpace(failed.Stderr)) // it names the program itself
	case errors.Is(err, syscall.ENOENT):
		// The file is there or its loader is not: the kernel says the same.
		return fmt.Errorf("%s or the loader that it asks for is missing: %w", b.Path(prog), err)
	case err != nil:
		return err
	}
	found := versionLine.FindSubmatch(out)
	if found == nil || string(found[1]) != strconv.Itoa(b.Major) {
		return fmt.Errorf("%s says it is %q", b.Path(prog), strings.TrimSpace(string(out)))
	}
	return nil
}
