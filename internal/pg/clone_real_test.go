//go:build realpg

package pg

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRealACopyThatCannotBeMadeIsRefusedOrEnds(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		n1 := newPrimary(t, b)
		n1.exec(n1.sql(), "create table public.t as select g, repeat('x', 500) x from generate_series(1, 40000) g")
		n2, good := n1.cloneSpec("n2", 6002)
		refused := func(words string, change func(*CloneSpec)) {
			t.Helper()
			spec := good
			change(&spec)
			if err := Clone(t.Context(), spec); err == nil || !strings.Contains(err.Error(), words) {
				t.Errorf("%q expected: %v", words, err)
			}
			if left := entries(t, good.Target); len(left) != 0 {
				t.Errorf("left: %q", left)
			}
		}
		refused("another cluster", func(s *CloneSpec) { s.SystemIdentifier = 1 })
		refused("this node would run 12", func(s *CloneSpec) { s.Binaries.Major = 12 })
		refused("is no name of a slot of ours", func(s *CloneSpec) { s.Slot = "x" })
		refused("connection refused", func(s *CloneSpec) { s.From.Port = 6999 })
		refused("is not for this role", func(s *CloneSpec) { s.From.User = "someone" })
		refused("no node's name", func(s *CloneSpec) { s.From.Node = "*" })
		refused("is not empty", func(s *CloneSpec) { s.WAL = filepath.Dir(n2.data) + "/control" })
		if _, err := os.Lstat(n2.data + "/standby.signal"); err == nil {
			t.Error("it became a standby")
		}

		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("somebody wants otherwise")
		spec := good
		spec.Progress = func(_, _ int64) { cancel(why) }
		if err := Clone(ctx, spec); !errors.Is(err, why) {
			t.Error(err)
		}
		if err := errors.Join(os.RemoveAll(n2.data), os.Mkdir(n2.data, 0o700), os.Chown(n2.data, int(n1.user.UID), 0)); err != nil {
			t.Fatal(err)
		}
		until(t, "its connections have ended", func() bool { s, err := n1.sql().Slots(t.Context()); return err == nil && !s[0].Active })
		if err := Clone(t.Context(), good); err != nil {
			t.Fatal(err)
		}
		n2.up()
		n1.streams("n2")
		refusesToRewind(t, n1, n2)
	})
}

// refusesToRewind: nothing is done to a target that cannot be rewound.
func refusesToRewind(t *testing.T, n1, n2 *member) {
	t.Helper()
	from := n1.from("n2")
	from.Passfile = n2.pass
	good := RewindSpec{Binaries: n1.b, Data: n2.data, From: from, User: &n1.user}
	refused := func(words string, change func(*RewindSpec)) {
		t.Helper()
		spec := good
		if change != nil {
			change(&spec)
		}
		begun, err := Rewind(t.Context(), spec)
		if err == nil || begun || !strings.Contains(err.Error(), words) {
			t.Errorf("%q expected: begun %v, %v", words, begun, err)
		}
	}
	refused("a postmaster.pid is there", nil)
	n2.stop("immediate")
	refused("was not shut down cleanly", nil)
	n2.up()
	n2.stop("fast")
	other := newServer(t, n1.b, "postgres")
	refused("is another cluster", func(s *RewindSpec) { s.Data = hinted(t, other) })
	refused("the source is PostgreSQL", func(s *RewindSpec) { s.Binaries.Major = 12 })
	write(t, n1.data+"/standby.signal", "")
	n1.stop("fast")
	n1.up()
	refused("the source is a standby", nil)
}

// hinted makes a cluster that pg_rewind could work on.
func hinted(t *testing.T, s *server) string {
	t.Helper()
	s.start("-c", "wal_log_hints=on")
	s.stop("fast")
	return s.data
}
