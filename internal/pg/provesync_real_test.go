//go:build realpg

package pg

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// acked commits numbers into public.acked for as long as ctx lives and returns
// those that were acknowledged.
func (m *member) acked(ctx context.Context, from, writers int) (wait func() []int) {
	m.t.Helper()
	var mu sync.Mutex
	var all []int
	var wg sync.WaitGroup
	for w := range writers {
		db, err := m.sql().open()
		if err != nil {
			m.t.Fatal(err)
		}
		wg.Go(func() {
			defer db.Close()
			for n := from + w; ctx.Err() == nil; n += writers {
				if _, err := db.Exec(fmt.Sprintf("insert into public.acked values (%d)", n)); err != nil {
					return
				}
				mu.Lock()
				all = append(all, n)
				mu.Unlock()
			}
		})
	}
	return func() []int { wg.Wait(); return all }
}

// has returns which of the numbers the server does not have.
func (m *member) lacks(numbers []int) (missing []int) {
	m.t.Helper()
	db, err := m.sql().open()
	if err != nil {
		m.t.Fatal(err)
	}
	defer db.Close()
	have := map[int]bool{}
	err = each(m.t.Context(), db, "select n from public.acked", func(scan func(...any) error) error {
		var n int
		err := scan(&n)
		have[n] = true
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	for _, n := range numbers {
		if !have[n] {
			missing = append(missing, n)
		}
	}
	return missing
}

// Writers never pause; the primary is killed while the heir is cut off, and the
// heir has all that was acknowledged, that of before the proof too.
func TestRealAfterTheProofTheHeirHasWhateverIsAcknowledged(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		n1 := newPrimary(t, b)
		n1.exec(n1.sql(), "create table public.acked (n int)")
		n2 := n1.standby("n2", 6002)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		wait := n1.acked(ctx, 0, 4)
		until(t, "writes", func() bool { return n1.number(n1.sql(), "select count(*) from public.acked") > 100 })
		begin := time.Now()
		at, err := n1.sql().ProveSync(within(t, 30*time.Second), "n2")
		took := time.Since(begin)
		if err != nil {
			t.Fatal(err)
		}
		s, ok := n1.sender("n2")
		if !ok || s.SyncState != "sync" || s.Flush < at || at == 0 {
			t.Errorf("%+v, proven at %s", s, at)
		}
		receiver := n2.child("walreceiver")
		if err := receiver.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		until(t, "writers wait", func() bool {
			return n1.number(n1.sql(), "select count(*) from pg_stat_activity where wait_event = 'SyncRep'") == 4
		})
		if err := n1.postmaster().Signal(syscall.SIGQUIT); err != nil {
			t.Fatal(err)
		}
		numbers := wait()
		if err := receiver.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if _, _, err := n2.sql().Promote(within(t, time.Minute), n2.data, &n2.user, n2.postmaster()); err != nil {
			t.Fatal(err)
		}
		if missing := n2.lacks(numbers); len(missing) != 0 || len(numbers) < 100 {
			t.Errorf("of %d acknowledged the heir lacks %d: %v", len(numbers), len(missing), missing)
		}
		t.Logf("the proof took %v under load; %d commits acknowledged", took, len(numbers))
	})
}

// The walsender of the heir of before is stopped, so it goes by the parameter
// of before: there is no proof until it has read the new one.
func TestRealAStaleWalsenderOfAFormerHeirProvesNothing(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		n1 := newPrimary(t, b)
		n1.standby("n2", 6002)
		n1.standby("N3.x-y", 6003)
		if _, err := n1.sql().ProveSync(within(t, 30*time.Second), "n2"); err != nil {
			t.Fatal(err)
		}
		stale := n1.child("walsender", "127.0.0.1("+n1.clientPort("n2")+")")
		if err := stale.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		_, err := n1.sql().ProveSync(within(t, 6*time.Second), "N3.x-y")
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `"n2" still has priority`) {
			t.Error(err)
		}
		if err := stale.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if _, err := n1.sql().ProveSync(within(t, 30*time.Second), "N3.x-y"); err != nil {
			t.Fatal(err)
		}
		t.Logf("the proof took %v at rest", time.Since(begin))
		if s, _ := n1.sender("n2"); s.SyncState != "async" || s.Priority != 0 {
			t.Errorf("%+v", s)
		}
		if s, _ := n1.sender("N3.x-y"); s.SyncState != "sync" || s.Priority != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func (m *member) clientPort(name string) (port string) {
	m.t.Helper()
	db, err := m.sql().open()
	if err != nil {
		m.t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("select client_port::text from pg_stat_replication where application_name = $1", name).Scan(&port); err != nil {
		m.t.Fatal(err)
	}
	return port
}

// A heir that confirms nothing, or is not there: no proof, and no probe left.
func TestRealWithoutTheHeirThereIsNoProof(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		n1 := newPrimary(t, b)
		n1.exec(n1.sql(), "create table public.acked (n int)")
		for _, name := range []string{"n2", "*", "", "ä"} {
			if _, err := n1.sql().ProveSync(within(t, 10*time.Second), name); err == nil || name == "n2" && !errors.Is(err, ErrNoHeir) {
				t.Errorf("%q: %v", name, err)
			}
		}
		if r, err := n1.sql().Replication(t.Context()); err != nil || r.SyncNames != "" {
			t.Error("something was changed:", r.SyncNames, err)
		}
		n2 := n1.standby("n2", 6002)
		receiver := n2.child("walreceiver")
		if err := receiver.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		_, err := n1.sql().ProveSync(within(t, 6*time.Second), "n2")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		until(t, "no probe is left", func() bool {
			return n1.number(n1.sql(), "select count(*) from pg_stat_activity where wait_event = 'SyncRep'") == 0
		})
		// What the parameter was set to stays: nobody gets an acknowledgement.
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		wait := n1.acked(ctx, 0, 1)
		until(t, "a writer waits", func() bool {
			return n1.number(n1.sql(), "select count(*) from pg_stat_activity where wait_event = 'SyncRep'") == 1
		})
		if err := receiver.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if _, err := n1.sql().ProveSync(within(t, 30*time.Second), "n2"); err != nil {
			t.Error(err)
		}
		until(t, "it goes on", func() bool { return n1.number(n1.sql(), "select count(*) from public.acked") > 1 })
		cancel()
		wait()
		if err := n1.sql().SetAuto(t.Context(), map[string]string{SyncNames: ""}); err != nil {
			t.Error(err)
		}
		n2.stop("fast")
		n1.exec(n1.sql(), "insert into public.acked values (2)")
		n1.stop("fast")
		n1.up("-c", "synchronous_standby_names=x")
		n2.up()
		n1.streams("n2")
		if _, err := n1.sql().ProveSync(within(t, 30*time.Second), "n2"); err == nil || !strings.Contains(err.Error(), "command line") {
			t.Error(err)
		}
	})
}
