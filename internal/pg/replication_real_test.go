//go:build realpg

package pg

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// The life of a pair: a copy, a promotion, a history of its own on the old
// primary, which is kept, and the way back.
func TestRealACloneIsPromotedAndTheOldPrimaryIsRewound(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		n1 := newPrimary(t, b, "-c", "autovacuum=off") // whose commits would be counted
		space := n1.room("space")
		n1.exec(n1.sql(), "create tablespace sp location '"+space+"'", "create table public.t (n int) tablespace sp",
			"insert into public.t select generate_series(1, 1000)")
		write(t, n1.data+"/.pgbaton/role.json", "the source's")
		chownAll(t, n1.data+"/.pgbaton", int(n1.user.UID))

		n2, spec := n1.cloneSpec("n2", 6002)
		spec.WAL = filepath.Dir(n2.data) + "/wal"
		other := n2.room("space")
		spec.Spaces = map[string]string{space: other}
		var done, total int64
		spec.Progress = func(d, t int64) { done, total = d, t }
		begin := time.Now()
		if err := Clone(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
		t.Logf("clone of %d MB took %v", total>>20, time.Since(begin))
		if done == 0 || total < done {
			t.Errorf("progress: %d of %d", done, total)
		}
		if _, err := os.Lstat(n2.data + "/.pgbaton"); !errors.Is(err, fs.ErrNotExist) {
			t.Error("the source's own files are in the copy:", err)
		}
		if target, err := os.Readlink(n2.data + "/pg_wal"); target != spec.WAL {
			t.Error(target, err)
		}
		if got, err := ReadAuto(n2.data); err != nil || got[PrimarySlotName] != "pgbaton_n2" || got[PrimaryConnInfo] != spec.From.ConnInfo() {
			t.Errorf("%q, %v", got, err)
		}
		n2.up()
		n1.streams("n2")
		n1.exec(n1.sql(), "insert into public.t values (0)")
		until(t, "the row arrives", func() bool { return n2.number(n2.sql(), "select count(*) from public.t") == 1001 })
		seesEachOther(t, n1, n2)

		begin = time.Now()
		timeline, at, err := n2.sql().Promote(t.Context(), n2.data, &n2.user, n2.postmaster())
		if err != nil || timeline != 2 || at == 0 {
			t.Fatal(timeline, at, err)
		}
		t.Logf("promotion took %v", time.Since(begin))
		n2.exec(n2.sql(), "insert into public.t values (-1)")
		if h, err := ReadHistory(n2.data, 2); err != nil || !slices.Equal(h, []TimelineSwitch{{Timeline: 1, At: at}}) {
			t.Error(h, err)
		}
		if _, err := os.Lstat(filepath.Join(n2.data, promoteFile)); err == nil {
			t.Error("a request that came too late lies in the data directory")
		}
		if again, at2, err := n2.sql().Promote(t.Context(), n2.data, &n2.user, n2.postmaster()); again != 2 || at2 != at || err != nil {
			t.Error(again, at2, err)
		}
		if err := RequestPromotion(n2.data, &n2.user, n2.postmaster()); err == nil {
			t.Error("a primary was told to promote")
		}

		if err := os.RemoveAll(n1.data + "/.pgbaton"); err != nil {
			t.Fatal(err)
		}
		for range 7 {
			n1.exec(n1.sql(), "insert into public.t values (7)")
		}
		n1.stop("fast")
		keepsDiverged(t, n1, at, 7)
		rewinds(t, n1, n2)
	})
}

func chownAll(t *testing.T, dir string, uid int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, uid, -1))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func seesEachOther(t *testing.T, n1, n2 *member) {
	t.Helper()
	s, err := n2.sql().Replication(t.Context())
	if err != nil || s.Role != node.Standby || s.Timeline != 1 || s.Received == 0 || s.Replayed == 0 || s.Received < s.Replayed ||
		s.Written != 0 || s.Receiver == nil {
		t.Fatalf("%+v, %v", s, err)
	}
	if r := s.Receiver; r.Status != "streaming" || r.Host != "127.0.0.1" || r.Port != n1.port || r.Slot != "pgbaton_n2" || r.Age < 0 || r.Age > time.Minute {
		t.Errorf("%+v", r)
	}
	p, err := n1.sql().Replication(t.Context())
	if err != nil || p.Role != node.Primary || p.Timeline != 1 || p.Written == 0 || p.Flushed > p.Written || p.Received != 0 ||
		len(p.Senders) != 1 || p.Receiver != nil || p.Commit != "on" || time.Since(p.Started) > time.Hour {
		t.Errorf("%+v, %v", p, err)
	}
	if f := p.Senders[0]; f.Node != "n2" || f.State != "streaming" || f.SyncState != "async" || f.Flush == 0 || f.Replay == 0 {
		t.Errorf("%+v", f)
	}
}

// keepsDiverged: n1 is down and has so many commits after the fork.
func keepsDiverged(t *testing.T, n1 *member, fork node.LSN, commits int) {
	t.Helper()
	root, err := os.OpenRoot(n1.room("volume"))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	spec := DivergedSpec{Binaries: n1.b, Data: n1.data, Fork: fork, User: &n1.user, Root: root, Into: "diverged/now", Why: "a test"}
	rep, err := SaveDiverged(t.Context(), spec)
	c, errC := ReadControl(n1.data)
	if err != nil || errC != nil {
		t.Fatal(err, errC)
	}
	last, _ := node.ParseLSN(c.CheckpointLSN)
	if rep.Commits != commits || rep.From != fork || rep.To <= last || rep.To > last+512 || len(rep.Files) != 1 || rep.Files[0].Bytes != 16<<20 ||
		len(rep.Missing) != 0 || rep.Unread != "" || len(rep.Parts) != 1 || time.Since(rep.Parts[0].Last) > 10*time.Minute {
		t.Errorf("%+v; the last checkpoint is at %s", rep, last)
	}
	raw, err := root.ReadFile("diverged/now/report.json")
	var read Diverged
	if err != nil || json.Unmarshal(raw, &read) != nil || read.Commits != commits || read.To != rep.To {
		t.Errorf("%v\n%s", err, raw)
	}
	have, err := root.ReadFile("diverged/now/" + rep.Files[0].Name)
	want, errW := os.ReadFile(n1.data + "/pg_wal/" + rep.Files[0].Name)
	if err != nil || errW != nil || !bytes.Equal(have, want) {
		t.Error("the copy differs:", err, errW)
	}
	spec.Fork, spec.Into = 0x100, "diverged/unread"
	if rep, err := SaveDiverged(t.Context(), spec); err != nil || rep.Commits != -1 || rep.Unread == "" || len(rep.Files) == 0 {
		t.Errorf("%+v, %v", rep, err)
	}
	spec.Fork, spec.Into = rep.To, "diverged/nothing"
	if rep, err := SaveDiverged(t.Context(), spec); err != nil || rep.Commits != 0 || rep.To != rep.From || len(rep.Files) != 0 {
		t.Errorf("%+v, %v", rep, err)
	}
}

// rewinds: n1 is down and was the primary, n2 is it now.
func rewinds(t *testing.T, n1, n2 *member) {
	t.Helper()
	if err := n2.sql().Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := n2.sql().EnsureSlots(t.Context(), []string{"pgbaton_n1"}); err != nil {
		t.Fatal(err)
	}
	from := n2.from("n1")
	from.Passfile = n1.pass
	spec := RewindSpec{
		Binaries: n1.b, Data: n1.data, From: from, User: &n1.user, Ours: []string{".pgbaton"},
		Auto: map[string]string{PrimaryConnInfo: from.ConnInfo(), PrimarySlotName: "pgbaton_n1"},
	}
	write(t, n1.data+"/.pgbaton/x", "")
	if begun, err := Rewind(t.Context(), spec); err == nil || begun {
		t.Error("our own files were in the way:", begun, err)
	}
	if err := os.RemoveAll(n1.data + "/.pgbaton"); err != nil {
		t.Fatal(err)
	}
	write(t, n2.data+"/.pgbaton/x", "")
	chownAll(t, n2.data+"/.pgbaton", int(n2.user.UID))
	var total int64
	spec.Progress = func(_, t int64) { total = t }
	begin := time.Now()
	begun, err := Rewind(t.Context(), spec)
	if err != nil || !begun {
		t.Fatal(begun, err)
	}
	t.Logf("rewind took %v, %d MB", time.Since(begin), total>>20)
	if _, err := os.Lstat(n1.data + "/.pgbaton"); !errors.Is(err, fs.ErrNotExist) || total == 0 {
		t.Error(err, total)
	}
	n1.up()
	n2.streams("n1")
	count := "select count(*) from public.t where n <= 0 or n = 7"
	until(t, "both have the same", func() bool { return n1.number(n1.sql(), count) == 3 && n2.number(n2.sql(), count) == 3 })
	n1.stop("fast")
	if begun, err := Rewind(t.Context(), spec); !errors.Is(err, ErrNothingRewound) || !begun {
		t.Error("a rewind that changed nothing is no success:", begun, err)
	}
	n1.up()
	n2.streams("n1")
	if c, err := ReadControl(n1.data); err != nil || c.MinRecoveryLSN == 0 || c.MinRecoveryTimeline != 2 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestRealSessionsThatWaitForAStandbyAreCounted(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		n1 := newPrimary(t, b)
		if r, err := n1.sql().Replication(t.Context()); err != nil || r.Waiting != 0 || !r.Oldest.IsZero() {
			t.Error(r.Waiting, r.Oldest, err)
		}
		n1.exec(n1.sql(), "alter system set synchronous_standby_names = 'nobody'", "select pg_reload_conf()")
		ended := make(chan error, 2)
		commit := func(name string) {
			go func() {
				l := n1.sql()
				db, err := l.open()
				if err == nil {
					defer db.Close()
					db.SetMaxOpenConns(1) // the name is the session's
					_, err = db.Exec("set application_name = '" + name + "'; create table public." + name + " ()")
				}
				ended <- err
			}()
		}
		look := func() (r Replication) {
			r, err := n1.sql().Replication(t.Context())
			if err != nil {
				t.Error(err)
			}
			return r
		}
		commit("first")
		until(t, "one waits", func() bool { return look().Waiting == 1 })
		oldest := look().Oldest
		commit("second")
		until(t, "two wait", func() bool { return look().Waiting == 2 })
		if r := look(); oldest.IsZero() || !r.Oldest.Equal(oldest) {
			t.Errorf("the oldest began at %v, then at %v", oldest, r.Oldest)
		}
		n1.exec(n1.sql(), "alter system reset synchronous_standby_names", "select pg_reload_conf()")
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		until(t, "nobody waits", func() bool { return look().Waiting == 0 })
	})
}
