package pg

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// CloneSpec says how a standby is made of a copy of another node's server.
type CloneSpec struct {
	Binaries Binaries
	From     Source
	Slot     string     // at the source; made where it is missing or lost; keeps the WAL until the standby streams
	Target   string     // the copy; an empty directory of User's, absolute
	WAL      string     // its pg_wal will be a link to this directory; empty: inside Target
	User     *proc.User // the server's user; nil is this process's
	Env      []string   //

	SystemIdentifier uint64            // of the cluster; another one is refused; 0: any
	Auto             map[string]string // our parameters in the copy's postgresql.auto.conf, see WriteAuto
	Ours             []string          // entries at the top of a data directory that are no part of a cluster: not kept in the copy
	Spaces           map[string]string // other directories here for tablespaces, by their location there
	Stamp            string            // names the directory that is made in one that is not empty, see OutsideName; empty: that is refused

	// Uses is told which directories outside Target will be written, before
	// they are: what lies there after an error is to be given to ClearOutside.
	Uses func(dirs []string) error

	// Progress is told bytes copied and bytes in all, about once a second.
	Progress func(done, total int64)
}

// Clone copies the source's cluster with pg_basebackup, which the kernel ends
// together with this process, and makes it a standby: standby.signal is written
// last, and all is on disk then. Tablespaces go where they lie at the source, and
// WAL to WAL, where that is missing or empty, else into a directory within, so that
// what lies there stays as it is; but for those tablespaces that Spaces names.
// A target that is surely too small is refused when the source has told its
// size, before data was copied. What Target and the directories of tablespaces
// hold after an error is worthless; the slot stays.
//
// pg_basebackup leaves nothing out: what lies beside the cluster in the source's
// data directory (Ours) crosses the network too, and is removed at the end.
func Clone(ctx context.Context, c CloneSpec) error {
	if err := c.run(ctx); err != nil {
		return fmt.Errorf("copy the cluster of %s to %s: %w", c.From, c.Target, err)
	}
	return nil
}

func (c CloneSpec) run(ctx context.Context) error {
	facts, err := c.From.facts(ctx, false)
	if err != nil {
		return err
	}
	if err := c.check(facts); err != nil {
		return err
	}
	if c, err = c.outside(facts.spaces); err != nil {
		return err
	}
	if err := c.From.ensureSlot(ctx, c.Slot); err != nil {
		return err
	}
	if err := c.copy(ctx, facts.spaces); err != nil {
		return err
	}
	control, err := ReadControl(c.Target)
	if err != nil {
		return err
	}
	if c.SystemIdentifier != 0 && control.SystemIdentifier != c.SystemIdentifier {
		return fmt.Errorf("the copy has the system identifier %d, not %d", control.SystemIdentifier, c.SystemIdentifier)
	}
	return becomeStandby(c.Target, c.Ours, c.Auto, c.User)
}

func (c CloneSpec) check(f sourceFacts) error {
	switch {
	case !filepath.IsAbs(c.Target):
		return fmt.Errorf("%q is not an absolute path", c.Target)
	case f.major != c.Binaries.Major:
		return fmt.Errorf("the source is PostgreSQL %d, and this node would run %d; nothing was copied", f.major, c.Binaries.Major)
	case c.SystemIdentifier != 0 && f.system != c.SystemIdentifier:
		return fmt.Errorf("the source is another cluster: its system identifier is %d, not %d; nothing was copied", f.system, c.SystemIdentifier)
	}
	return nil
}

func (c CloneSpec) copy(ctx context.Context, spaces []string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	told := int64(0)
	out := &lineWriter{line: func(line string) {
		done, total, ok := copied(line)
		if !ok {
			return
		}
		if told == 0 {
			if err := c.fits(total, spaces); err != nil {
				cancel(err)
			}
		}
		if told = total; c.Progress != nil {
			c.Progress(done, max(done, total))
		}
	}}
	err := proc.Run(ctx, proc.Spec{
		Args: c.args(), Env: helperEnv(c.Env), Dir: "/", User: c.User, Stdout: out, Stderr: out, Group: true,
	})
	out.end()
	return programError("pg_basebackup", out, ctx, err)
}

func (c CloneSpec) args() []string {
	args := []string{
		c.Binaries.Path("pg_basebackup"), "--pgdata=" + c.Target, "--wal-method=stream", "--checkpoint=fast",
		"--slot=" + c.Slot, "--progress", "--no-password", "--no-manifest", "--dbname=" + c.From.toolInfo(),
	}
	if c.WAL != "" {
		args = append(args, "--waldir="+c.WAL)
	}
	escape := strings.NewReplacer("=", `\=`)
	for _, from := range slices.Sorted(maps.Keys(c.Spaces)) {
		args = append(args, "--tablespace-mapping="+escape.Replace(from)+"="+escape.Replace(c.Spaces[from]))
	}
	return args
}

// copiedLine is the progress of pg_basebackup and of pg_rewind.
var copiedLine = regexp.MustCompile(`^(\d+)/(\d+) kB \(`)

// copied reads it, in bytes.
func copied(line string) (done, total int64, ok bool) {
	m := copiedLine.FindStringSubmatch(line)
	if m == nil {
		return 0, 0, false
	}
	done, err1 := strconv.ParseInt(m[1], 10, 50)
	total, err2 := strconv.ParseInt(m[2], 10, 50)
	return done << 10, total << 10, errors.Join(err1, err2) == nil
}

// becomeStandby makes a data directory whose server is down that of a standby.
func becomeStandby(data string, ours []string, auto map[string]string, u *proc.User) error {
	return asUser(u, func() error { return makeStandby(data, ours, auto, u) })
}

func makeStandby(data string, ours []string, auto map[string]string, u *proc.User) error {
	root, err := os.OpenRoot(data)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // only a handle
	for _, name := range ours {
		if err := root.RemoveAll(name); err != nil {
			return err
		}
	}
	uid, gid := owner(u)
	if err := writeAuto(data, auto, uid, gid); err != nil {
		return err
	}
	return durable.WriteFile(root, "standby.signal", nil, uid, gid)
}

// owner is what internal/durable gives files to.
func owner(u *proc.User) (uid, gid int) {
	if u == nil || int(u.UID) == os.Geteuid() {
		return -1, -1
	}
	return int(u.UID), int(u.GID)
}
