//go:build realpg

package pg

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/proc"
)

const (
	replUser     = "Repl: user"
	replPassword = `p:a\s'$w "d`
)

// member is a server with a place in replication.
type member struct {
	*server
	name string
	port int
	pass string // password file
}

// newPrimary is a running primary n1 that others may follow.
func newPrimary(t *testing.T, b Binaries, args ...string) *member {
	t.Helper()
	m := &member{server: newServer(t, b, "postgres"), name: "n1", port: 6001}
	m.passfile()
	m.up(args...)
	if _, err := m.sql().EnsureReplication(t.Context(), replUser, replPassword); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *member) passfile() {
	m.t.Helper()
	dir := m.room("control")
	root, err := os.OpenRoot(dir)
	if err != nil {
		m.t.Fatal(err)
	}
	defer root.Close()
	if err := WritePassfile(root, "pass", replUser, replPassword, int(m.user.UID), int(m.user.GID)); err != nil {
		m.t.Fatal(err)
	}
	m.pass = filepath.Join(dir, "pass")
}

// up starts it with rules of ours before the user's.
func (m *member) up(args ...string) {
	m.t.Helper()
	r := Rules{
		Dir: m.run, Major: m.b.Major, UserHBA: m.data + "/pg_hba.conf", UserIdent: m.data + "/pg_ident.conf", Scope: Everywhere,
		OSUsers: []string{"root", "postgres"}, Superuser: "postgres", Owner: &m.user, Replication: replUser,
	}
	if _, err := r.Write(); err != nil {
		m.t.Fatal(err)
	}
	m.start(append([]string{
		"-c", "hba_file=" + r.HBA(), "-c", "ident_file=" + r.Ident(), "-c", "listen_addresses=127.0.0.1", "-p", strconv.Itoa(m.port),
		"-c", "wal_log_hints=on", "-c", "wal_keep_size=64MB",
	}, args...)...)
}

func (m *member) sql() Login {
	return Login{SocketDir: m.run, Port: m.port, User: "postgres", PeerUID: -1}
}

// from is m as the node named sees it.
func (m *member) from(name string) Source {
	return Source{Host: "127.0.0.1", Port: m.port, User: replUser, Passfile: m.pass, Node: name, Major: m.b.Major}
}

func (m *member) cloneSpec(name string, port int) (*member, CloneSpec) {
	m.t.Helper()
	dir, err := os.MkdirTemp("/tmp", "real")
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	n := &member{server: &server{t: m.t, b: m.b, user: m.user, data: dir + "/data", run: dir + "/run"}, name: name, port: port}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(n.data, 0o700), os.Mkdir(n.run, 0o755)); err != nil {
		m.t.Fatal(err)
	}
	for _, d := range []string{dir, n.data, n.run} {
		if err := os.Chown(d, int(m.user.UID), int(m.user.GID)); err != nil {
			m.t.Fatal(err)
		}
	}
	n.passfile()
	from := m.from(name)
	from.Passfile = n.pass
	return n, CloneSpec{
		Binaries: m.b, From: from, Slot: SlotName(name), Target: n.data, User: &m.user, Ours: []string{".pgbaton"},
		Auto: map[string]string{PrimaryConnInfo: from.ConnInfo(), PrimarySlotName: SlotName(name), SyncNames: ""},
	}
}

// standby makes a standby of m that streams.
func (m *member) standby(name string, port int, args ...string) *member {
	m.t.Helper()
	n, spec := m.cloneSpec(name, port)
	if err := Clone(m.t.Context(), spec); err != nil {
		m.t.Fatal(err)
	}
	n.up(args...)
	m.streams(name)
	return n
}

// until waits for a condition.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func (m *member) streams(name string) {
	m.t.Helper()
	until(m.t, name+" streams", func() bool {
		s, ok := m.sender(name)
		return ok && s.State == "streaming" && s.Flush != 0
	})
}

func (m *member) sender(name string) (node.Sender, bool) {
	m.t.Helper()
	r, err := m.sql().Replication(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	for _, s := range r.Senders {
		if s.Node == name {
			return s, true
		}
	}
	return node.Sender{}, false
}

// child finds a process of the server by a word of its title.
func (m *member) child(words ...string) *proc.Process {
	m.t.Helper()
	var found *proc.Process
	until(m.t, strings.Join(words, " "), func() bool {
		list, err := proc.List()
		if err != nil {
			m.t.Fatal(err)
		}
		post := m.postmaster()
		for _, p := range list {
			ok := p.PPID == post.PID
			for _, w := range words {
				ok = ok && strings.Contains(p.Cmdline, w)
			}
			if ok {
				found, err = proc.Adopt(p.PID, p.Start)
				return err == nil
			}
		}
		return false
	})
	return found
}

func (m *member) postmaster() *proc.Process {
	m.t.Helper()
	f, err := ReadPidFile(m.data)
	if err != nil {
		m.t.Fatal(err)
	}
	p, err := proc.Adopt(f.PID, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	return p
}

// within bounds a call.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// text is one value.
func (m *member) text(query string) (s string) {
	m.t.Helper()
	db, err := m.sql().open()
	if err != nil {
		m.t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(query).Scan(&s); err != nil {
		m.t.Fatalf("%s: %v", query, err)
	}
	return s
}

func slurp(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
