package pg

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// helperDir is a helper server's own directory: 0700, of the server's user,
// with its socket, its rules and its log.
type helperDir struct {
	path string
	base string
	log  *os.File // kept open: the name could be replaced by the server's user
}

// helperHBA lets in whoever can reach the socket: the server's user and root.
const helperHBA = "local all all trust\n"

// makeHelperDir makes it in the first directory that can be had.
func makeHelperDir(bases []string, u *proc.User) (helperDir, error) {
	var errs []error
	for _, base := range append(append([]string{}, bases...), "/tmp", "/run/postgresql", "/dev/shm") {
		d, err := makeHelperDirIn(base, u)
		if err == nil {
			return d, nil
		}
		errs = append(errs, err)
	}
	return helperDir{}, fmt.Errorf("no directory for its socket: %w; mount a tmpfs on /tmp", errors.Join(errs...))
}

func makeHelperDirIn(base string, u *proc.User) (d helperDir, err error) {
	if !filepath.IsAbs(base) || strings.ContainsAny(base, ",'\"\n") { // unix_socket_directories is a list
		return d, fmt.Errorf("%q cannot hold a socket", base)
	}
	name := "pgbaton-" + rand.Text()[:8]
	d = helperDir{path: filepath.Join(base, name), base: base}
	if n := len(Login{SocketDir: d.path, Port: helperPort}.Socket()); n > maxSocketPath {
		return d, fmt.Errorf("%s: a socket's path there would have %d bytes, and may have %d", base, n, maxSocketPath)
	}
	root, err := os.OpenRoot(base)
	if err != nil {
		return d, err
	}
	defer root.Close() //nolint:errcheck // nothing was written through it itself
	if err := root.Mkdir(name, 0o700); err != nil {
		return d, err
	}
	defer func() {
		if err != nil {
			_ = root.RemoveAll(name)
		}
	}()
	// The directory is given away last: what is written into it before is ours.
	own := func(name string) error {
		if u == nil || int(u.UID) == os.Geteuid() {
			return nil
		}
		return root.Lchown(name, int(u.UID), int(u.GID))
	}
	for file, text := range map[string]string{"pg_hba.conf": helperHBA, "pg_ident.conf": ""} {
		file = filepath.Join(name, file)
		if err := errors.Join(root.WriteFile(file, []byte(text), 0o600), own(file)); err != nil {
			return d, err
		}
	}
	d.log, err = root.OpenFile(filepath.Join(name, "log"), os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return d, err
	}
	if err := own(name); err != nil {
		_ = d.log.Close()
		return d, err
	}
	return d, nil
}

// lastWords returns the end of the log in whole lines.
func (d helperDir) lastWords(limit int64) string {
	info, err := d.log.Stat()
	if err != nil {
		return ""
	}
	from := max(0, info.Size()-limit)
	raw, err := io.ReadAll(io.NewSectionReader(d.log, from, limit))
	if err != nil {
		return ""
	}
	s := string(raw)
	if _, rest, ok := strings.Cut(s, "\n"); ok && from > 0 {
		s = rest
	}
	return strings.TrimSpace(strings.ToValidUTF8(s, "?"))
}

// remove removes the directory.
func (d helperDir) remove() error {
	_ = d.log.Close()
	root, err := os.OpenRoot(d.base)
	if err == nil {
		err = errors.Join(root.RemoveAll(filepath.Base(d.path)), root.Close())
	}
	if err != nil {
		return fmt.Errorf("remove the socket directory %s: %w", d.path, err)
	}
	return nil
}
