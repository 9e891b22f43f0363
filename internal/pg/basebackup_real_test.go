//go:build realpg

package pg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// room makes an empty directory of the server's user.
func (s *server) room(name string) string {
	s.t.Helper()
	dir := filepath.Join(filepath.Dir(s.data), name)
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.Chown(dir, int(s.user.UID), int(s.user.GID))); err != nil {
		s.t.Fatal(err)
	}
	return dir
}

func (s *server) number(l Login, query string) (n int) {
	s.t.Helper()
	db, err := l.open()
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(query).Scan(&n); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	return n
}

// The volume is the data directory, so the copy lies in what is copied; writes
// go on all the time; and the tablespace is shared with another major.
func TestRealACopyOfARunningServerIsWholeAndSharesNothingWithIt(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		s := newServer(t, b, "postgres")
		s.start("-c", "archive_mode=on", "-c", "archive_command=false", "-c", "max_wal_senders=0", "-c", "hba_file="+s.data+"/pg_hba.conf")
		l := s.login("postgres", -1)
		space := s.room("space")
		s.room("data/.mine")
		target, spaces := s.room("data/.mine/copy"), s.room("data/.mine/spaces")
		write(t, space+"/PG_10_1", "another's")
		s.exec(l, "create tablespace sp location '"+space+"'", "create table public.t (n int) tablespace sp",
			"create table public.big as select g, repeat('x', 200) from generate_series(1, 50000) g",
			"create unlogged table public.gone as select 1")
		stop := make(chan struct{})
		done := make(chan int)
		go func() {
			n := 0
			db, err := l.open()
			if err == nil {
				defer db.Close()
			}
			for {
				select {
				case <-stop:
					done <- n
					return
				default:
				}
				if _, err := db.Exec("insert into public.t select $1::int", n); err == nil {
					n++
				}
			}
		}()
		time.Sleep(200 * time.Millisecond)
		atBegin := s.number(l, "select count(*) from public.t")
		copied, total := int64(0), int64(0)
		err := l.CopyCluster(t.Context(), ClusterCopy{
			Data: s.data, Target: target, Spaces: spaces, Skip: []string{".mine"}, User: &s.user,
			Copied: func(d, n int64) { copied, total = d, n },
		})
		atEnd := s.number(l, "select count(*) from public.t")
		close(stop)
		all := <-done
		if err != nil {
			t.Fatal(err)
		}
		if copied < 10<<20 || total < copied || total > 2*copied {
			t.Errorf("copied %d of %d", copied, total)
		}
		if n := s.number(l, "select count(*) from pg_replication_slots"); n != 0 {
			t.Error("a slot is left")
		}
		if _, err := os.Lstat(target + "/.mine"); err == nil {
			t.Error("the copy is in the copy")
		}
		before := fmt.Sprint(entries(t, space))
		h := startHelperT(t, HelperSpec{Binaries: b, Data: target, User: &s.user, Dirs: []string{s.run}, Fsync: true})
		c := h.Login("")
		n := s.number(c, "select count(*) from public.t")
		if n < atBegin || n > atEnd || s.number(c, "select max(n) + 1 from public.t") != n || s.number(c, "select count(*) from public.big") != 50000 {
			t.Errorf("%d rows in the copy, %d before it, %d after it", n, atBegin, atEnd)
		}
		s.exec(c, "insert into public.t select -1", "checkpoint")
		if got := s.number(c, "select count(*) from pg_tablespace where pg_tablespace_location(oid) like '"+spaces+"/%'"); got != 1 {
			t.Error("the copy's tablespace is not the copy's")
		}
		if err := h.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if n := s.number(l, "select count(*) from public.t"); n != all {
			t.Errorf("%d rows in the real cluster, %d written", n, all)
		}
		if after := fmt.Sprint(entries(t, space)); after != before {
			t.Error(before, after)
		}
	})
}

func TestRealACopyThatWouldShareADirectoryOrIsCancelledFailsAndLeavesNoSlot(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		s := newServer(t, b, "postgres")
		away := s.room("away")
		if _, err := proc.Output(t.Context(), proc.Spec{Args: []string{"mv", s.data + "/pg_commit_ts", away + "/"}}); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(away+"/pg_commit_ts", s.data+"/pg_commit_ts"); err != nil {
			t.Fatal(err)
		}
		s.start()
		l := s.login("postgres", -1)
		c := ClusterCopy{Data: s.data, Target: s.room("one"), Spaces: s.room("spaces"), User: &s.user}
		if err := l.CopyCluster(t.Context(), c); err == nil || !strings.Contains(err.Error(), "share it with the running server") {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		c.Target, c.Copied = s.room("two"), func(int64, int64) { cancel() }
		if err := l.CopyCluster(ctx, c); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		for end := time.Now().Add(30 * time.Second); s.number(l, "select count(*) from pg_replication_slots") != 0; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("a slot is left")
			}
		}
	})
}
