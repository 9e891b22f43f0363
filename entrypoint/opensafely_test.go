package entrypoint

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pgbaton/pgbaton/internal/config"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// stranger is a server's user that owns nothing here but what the test gives it.
var stranger = proc.User{UID: 54321, GID: 54321}

// guarded is a volume of the stranger's and a directory of root's, with files of
// the same names, that nobody else may enter.
func guarded(t *testing.T) (volume, roots string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can be led astray")
	}
	base := t.TempDir()
	for dir := base; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil { // the stranger gets here
			t.Fatal(err)
		}
	}
	volume, roots = filepath.Join(base, "volume"), filepath.Join(base, "roots")
	for _, dir := range []string{volume, roots} {
		if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"postmaster.pid", "standby.signal", "recovery.signal", "postgresql.auto.conf"} {
			if err := os.WriteFile(filepath.Join(dir, "data", name), []byte("# "+dir+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	err := filepath.WalkDir(volume, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, int(stranger.UID), int(stranger.GID)))
	})
	if err != nil {
		t.Fatal(err)
	}
	return volume, roots
}

// unharmed fails where root was led into its own directory.
func unharmed(t *testing.T, roots string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(roots, "data"))
	if err != nil || len(entries) != 4 {
		t.Errorf("root's directory holds %v, %v", entries, err)
	}
	err = filepath.WalkDir(roots, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 {
			t.Errorf("%s was given away", path)
		}
		if text, err := os.ReadFile(path); !d.IsDir() && (err != nil || string(text) != "# "+roots+"\n") {
			t.Errorf("%s holds %q, %v", path, text, err)
		}
		if d.IsDir() && path != roots && info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestWhoeverSwapsTheDataDirectoryForALinkLeadsRootNowhere: the server's user owns
// every directory on the way to it.
func TestWhoeverSwapsTheDataDirectoryForALinkLeadsRootNowhere(t *testing.T) {
	top, roots := guarded(t)
	root, err := os.OpenRoot(top)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	data, aside := filepath.Join(top, "data"), filepath.Join(top, "aside")
	s := &supervisor{log: slog.New(slog.DiscardHandler), volume: &volume{root: root, place: place{volume: top, pgdata: data}}}
	s.user = stranger
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		stopped <- swapUntil(stop, data, aside, filepath.Join(roots, "data"))
	}()
	reached := 0
	for range 300 {
		for _, do := range []func() error{
			s.makeSignalFile, func() error { return s.removeSignals("standby.signal", "recovery.signal") }, s.dropPidFile,
			func() error {
				return pg.WriteAuto(data, map[string]string{pg.SyncNames: "x"}, int(stranger.UID), int(stranger.GID))
			},
			func() error {
				return pg.WriteAuto(data, map[string]string{pg.SyncNames: "y"}, int(stranger.UID), int(stranger.GID))
			},
			func() error { return ownBelow(root, "data", stranger) },
		} {
			if do() == nil { // else the link was there
				reached++
			}
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if reached == 0 {
		t.Error("nothing ever reached the data directory")
	}
	unharmed(t, roots)
}

// swapUntil has the data directory and a link take turns.
func swapUntil(stop chan struct{}, data, aside, target string) error {
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		err := errors.Join(os.Rename(data, aside), os.Symlink(target, data), os.Remove(data), os.Rename(aside, data))
		if err != nil {
			return err
		}
	}
}

// TestDirectoriesBehindAUsersLinkAreNotRootsToChange: what stands behind a link
// that somebody else can make keeps its owner, its mode and its entries.
func TestDirectoriesBehindAUsersLinkAreNotRootsToChange(t *testing.T) {
	volume, roots := guarded(t)
	link := filepath.Join(volume, "link")
	if err := os.Symlink(filepath.Join(roots, "data"), link); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(volume)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	_ = prepareOutside(link, 0o755, stranger)
	_ = prepareOutside(filepath.Join(link, "below"), 0o755, stranger)
	if err := ownBelow(root, "link", stranger); err != nil {
		t.Error(err)
	}
	_ = prepareDirs(root, place{volume: volume, pgdata: link}, config.Official{WalDir: filepath.Join(link, "wal")}, stranger)
	_ = pg.AsUser(&stranger, func() error { return emptyWalDir(link) })
	unharmed(t, roots)
}

// TestALinkOfRootsOwnIsFollowed: /var/run is one.
func TestALinkOfRootsOwnIsFollowed(t *testing.T) {
	_, roots := guarded(t)
	for _, target := range []string{filepath.Join(roots, "data"), "data"} {
		if err := os.Symlink(target, filepath.Join(roots, "run")); err != nil {
			t.Fatal(err)
		}
		f, err := openSafely(nil, filepath.Join(roots, "run", "postgresql"))
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		if info, err := os.Lstat(filepath.Join(roots, "data", "postgresql")); err != nil || !info.IsDir() {
			t.Errorf("through %s it made %v, %v", target, info, err)
		}
		if err := errors.Join(os.RemoveAll(filepath.Join(roots, "data", "postgresql")), os.Remove(filepath.Join(roots, "run"))); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("ring", filepath.Join(roots, "ring"))); err != nil {
		t.Fatal(err)
	}
	if _, err := openSafely(nil, filepath.Join(roots, "ring")); err == nil {
		t.Error("a ring of links leads somewhere")
	}
}
