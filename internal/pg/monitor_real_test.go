//go:build realpg

package pg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// through opens a door to the server.
func (m *member) through(limit time.Duration) (*Door, Login) {
	m.t.Helper()
	d := NewDoor(limit)
	m.t.Cleanup(d.Close)
	l := m.sql()
	l.Major = m.b.Major
	return d, d.Use(l)
}

func TestRealADoorNoticesWhatHangsAndLeaksNothing(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		n1 := newPrimary(t, b)
		d, l := n1.through(2 * time.Second)
		ask := func() error {
			r, err := d.Replication(t.Context())
			if err == nil && (r.Role != node.Primary || r.Written == 0 || r.Version/10000 != b.Major) {
				t.Errorf("%+v", r)
			}
			return err
		}
		ping := func() error { return l.Ping(within(t, 2*time.Second)) }
		until(t, "an answer", func() bool { return ask() == nil })
		var took []time.Duration
		for range 50 {
			begin := time.Now()
			if ask() == nil {
				took = append(took, time.Since(begin))
			}
		}
		slices.Sort(took)
		t.Logf("one question takes %v", took[len(took)/2])
		until(t, "it keeps two connections", func() bool { return n1.number(n1.sql(), mine) == 2 })
		backend, postmaster := n1.child("postgres: postgres postgres [local] idle"), n1.postmaster()
		goroutines := runtime.NumGoroutine()

		// A backend hangs; which of the two that is, is not known.
		either := func() error {
			if err := ask(); err != nil {
				return err
			}
			return d.hand.do(within(t, 2*time.Second), func(ctx context.Context, db *sql.DB) error {
				_, err := db.ExecContext(ctx, "select")
				return err
			})
		}
		hangs(t, backend.Signal, either)
		// The postmaster hangs: connections that are open go on.
		hangs(t, postmaster.Signal, ping)
		until(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines })

		n1.stop("fast")
		if err := ask(); err == nil || Mute(err) {
			t.Error("no server answered, or that counts as a hang:", err)
		}
		n1.up()
		until(t, "the new server answers", func() bool { return ask() == nil })
		if log := string(slurp(t, n1.run+"/log")); strings.Contains(log, "Connection reset") {
			t.Error("pings end connections rudely")
		}
		d.Close()
		until(t, "it has left", func() bool { return n1.number(n1.sql(), mine) == 0 })
	})
}

// mine counts the connections of a door.
const mine = "select count(*) from pg_stat_activity where application_name = '" + keptName + "'"

// What users lock, forbid, set and trigger neither counts as a hang nor keeps
// the supervisor out, and it is in the way of none of it.
func TestRealWhatUsersDoNeitherHangsADoorNorDoesItHinderThem(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		n1 := newPrimary(t, b)
		d, l := n1.through(30 * time.Second)
		answers := func(what string) {
			t.Helper()
			until(t, "an answer although "+what, func() bool {
				_, err := d.Replication(t.Context())
				if Mute(err) {
					t.Errorf("%s counts as a hang: %v", what, err)
				}
				return err == nil
			})
		}
		answers("nothing has happened")
		for _, table := range []string{"pg_authid", "pg_database", "pg_class", "pg_proc", "pg_stat_replication"} {
			free := n1.locks(table)
			answers(table + " is locked")
			free()
		}
		attentive(t, d)
		n1.exec(n1.sql(), "create database x template postgres", "drop database x", "create database y template template1")
		n1.exec(n1.sql(), "alter role postgres set default_transaction_read_only = on", "alter role postgres set role = pg_monitor",
			"alter role postgres set session_preload_libraries = 'nowhere'", "alter database postgres set statement_timeout = 1")
		if b.Major >= 17 {
			n1.exec(loginTo(n1, "postgres"), "create function public.no() returns event_trigger language plpgsql as $$begin raise 'nobody gets in'; end$$",
				"create event trigger no on login execute function public.no()", "alter event trigger no enable always")
		}
		n1.exec(n1.sql(), "create role lax", "alter role lax set synchronous_commit = local", "alter role lax in database template1 set synchronous_commit = off",
			"alter role postgres set synchronous_commit = remote_apply")
		if s, _, err := l.Facts(t.Context()); err != nil || !slices.Equal(s.Unwaited, []string{`role "lax"`, `role "lax" in database "template1"`}) {
			t.Errorf("%q, %v", s.Unwaited, err)
		}
		fresh, fl := n1.through(30 * time.Second)
		until(t, "a new session gets in", func() bool { _, err := fresh.Replication(t.Context()); return err == nil })
		if err := fl.SetAuto(t.Context(), map[string]string{SyncNames: ""}); err != nil {
			t.Error(err)
		}
		fresh.Close()
		bare := n1.sql() // its settings keep others out
		bare.Major = b.Major
		n1.exec(bare, "alter database postgres allow_connections false")
		again, _ := n1.through(30 * time.Second)
		until(t, "an answer from another database", func() bool { _, err := again.Replication(t.Context()); return err == nil })
		d.Close() // a node has one door
		until(t, "the first door has left", func() bool { return n1.number(bare, mine) <= 2 })
		attentive(t, again)
		n1.exec(bare, "create database z")
		n1.exec(bare, "drop database postgres")
		until(t, "an answer although database postgres is gone", func() bool { _, err := again.Replication(t.Context()); return err == nil })
	})
}

func loginTo(m *member, db string) Login {
	l := m.sql()
	l.Database, l.Major = db, m.b.Major
	return l
}

// attentive lets a door look after its sessions until the test ends.
func attentive(t *testing.T, d *Door) {
	t.Helper()
	go func() {
		for t.Context().Err() == nil {
			_, _ = d.Replication(t.Context())
			time.Sleep(100 * time.Millisecond)
		}
	}()
}

// locks holds a table as VACUUM FULL would.
func (m *member) locks(table string) (free func()) {
	m.t.Helper()
	db, err := m.sql().open()
	if err != nil {
		m.t.Fatal(err)
	}
	tx, err := db.Begin()
	if err == nil {
		_, err = tx.Exec("set local allow_system_table_mods = on; lock table pg_catalog." + table + " in access exclusive mode")
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return func() { _ = tx.Rollback(); _ = db.Close() }
}

// CREATE DATABASE waits for an heir that is gone, and keeps its template locked.
func TestRealLoginsThatWaitForALockDoNotPileUp(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		n1 := newPrimary(t, b)
		n1.exec(n1.sql(), "alter system set synchronous_standby_names = 'gone'", "select pg_reload_conf()")
		d, l := n1.through(10 * time.Second)
		kept := func() bool { _, err := d.Replication(t.Context()); return err == nil }
		until(t, "an answer", kept)
		other := loginTo(n1, "postgres")
		for _, template := range []string{"template1", "postgres"} {
			go func() {
				if db, err := other.open(); err == nil {
					defer db.Close()
					_, _ = db.ExecContext(t.Context(), "create database of_"+template+" template "+template)
				}
			}()
			if template == "template1" {
				until(t, "it waits", func() bool {
					return n1.number(other, "select count(*) from pg_stat_activity where wait_event = 'SyncRep'") == 1
				})
				if _, _, err := l.Facts(t.Context()); err != nil {
					t.Error("template1 is locked:", err)
				}
			}
		}
		until(t, "both databases are locked", func() bool {
			_ = kept()
			_, _, err := l.Facts(within(t, 200*time.Millisecond))
			return errors.Is(err, ErrLoginWaits)
		})
		for range 20 {
			if _, _, err := l.Facts(within(t, 100*time.Millisecond)); !errors.Is(err, ErrLoginWaits) || Mute(err) {
				t.Error(err)
			}
		}
		n := 0
		list, err := proc.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			if p.PPID == n1.postmaster().PID && (strings.Contains(p.Cmdline, "startup waiting") || strings.Contains(p.Cmdline, "[local] startup")) {
				n++
			}
		}
		if n > 2 {
			t.Errorf("%d logins wait in two databases", n)
		}
		if err := l.Ping(within(t, 10*time.Second)); err != nil {
			t.Error(err)
		}
	})
}

// Applications connect as the superuser and take every connection.
func TestRealWithoutAFreeConnectionCommitsAreReleasedAndAnHeirProven(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		n1 := newPrimary(t, b, "-c", "max_connections=20")
		n1.exec(n1.sql(), "create table public.acked (n int)")
		n2 := n1.standby("n2", 6002, "-c", "max_connections=20")
		d, l := n1.through(10 * time.Second)
		until(t, "two sessions are kept", func() bool {
			_, err := d.Replication(t.Context())
			return err == nil && n1.number(n1.sql(), mine) == 2
		})
		ctx, cancel := context.WithCancel(t.Context())
		wait := n1.acked(ctx, 0, 30)
		until(t, "no connection is free", func() bool {
			db, err := n1.sql().open()
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			return IsFull(db.Ping())
		})
		if _, err := l.ProveSync(within(t, 30*time.Second), "n2"); err != nil {
			t.Error(err)
		}
		// Nor has a door that comes late.
		d.Close()
		until(t, "the writers have its connections too", func() bool { return n1.number(late(t, n1), mine+" and backend_type = 'client backend'") == 0 })
		d, l = n1.through(10 * time.Second)
		until(t, "an answer", func() bool { r, err := d.Replication(t.Context()); return err == nil && len(r.Senders) == 1 })
		if _, err := l.ProveSync(within(t, 30*time.Second), "n2"); err != nil {
			t.Error(err)
		}
		n2.stop("immediate")
		if err := l.SetAuto(within(t, 30*time.Second), map[string]string{SyncNames: ""}); err != nil {
			t.Error(err)
		}
		cancel()
		wait() // each writer's last commit comes back
	})
}

// late is a login that gets in where no connection is free.
func late(t *testing.T, m *member) Login {
	t.Helper()
	l := m.sql()
	l.sender = true
	return l
}

// A session that was given up in the middle of a change carries it out no more
// once a proof has begun.
func TestRealAChangeThatWasGivenUpEndsBeforeAProofBegins(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		n1 := newPrimary(t, b)
		n1.standby("n2", 6002)
		d, l := n1.through(10 * time.Second)
		until(t, "two sessions are kept", func() bool {
			_, err := d.Replication(t.Context())
			return err == nil && n1.number(n1.sql(), mine) == 2
		})
		pid, _, _ := d.hand.who()
		backend, err := proc.Adopt(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := backend.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		if err := l.SetAuto(within(t, 500*time.Millisecond), map[string]string{SyncNames: ""}); err == nil {
			t.Fatal("a stopped backend changed a setting")
		}
		if _, err := l.ProveSync(within(t, 2*time.Second), "n2"); err == nil {
			t.Error("it was proven beside a session that may change the setting")
		}
		if err := backend.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if _, err := l.ProveSync(within(t, 30*time.Second), "n2"); err != nil {
			t.Error(err)
		}
		r, err := d.Replication(t.Context())
		if err != nil || r.SyncNames != SyncFor("n2") || !backend.Ended() {
			t.Errorf("%q, %v; the backend has ended: %v", r.SyncNames, err, backend.Ended())
		}
	})
}

func hangs(t *testing.T, signal func(syscall.Signal) error, ask func() error) {
	t.Helper()
	if err := signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	until(t, "the hang is noticed", func() bool {
		begin := time.Now()
		err := ask()
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("the question took %v", took)
		}
		if err != nil && !Mute(err) {
			t.Error("it does not count as one:", err)
		}
		return err != nil
	})
	if err := signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	until(t, "it answers again", func() bool { return ask() == nil })
}

func TestRealTheReplicationRoleIsMadeAndItsPasswordIsNowhere(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		n1 := newPrimary(t, b, "-c", "log_statement=all", "-c", "log_min_duration_statement=0", "-c", "password_encryption=md5")
		ensure := func(password string) bool {
			t.Helper()
			changed, err := n1.sql().EnsureReplication(t.Context(), replUser, password)
			if err != nil {
				t.Fatal(err)
			}
			return changed
		}
		if ensure(replPassword) {
			t.Error("changed again, without a reason")
		}
		gets := func(want bool) {
			t.Helper()
			f, err := n1.from("n2").facts(t.Context(), true)
			if (err == nil) != want || want && (f.major != b.Major || f.standby || !f.checkpointed) {
				t.Errorf("%+v, %v", f, err)
			}
		}
		gets(true)
		for _, damage := range []string{
			"nologin", "noreplication", "connection limit 0", "valid until '2001-01-01'", "password null", "password 'other'",
		} {
			n1.exec(n1.sql(), "alter role "+quoteToken(replUser)+" "+damage)
			if !ensure(replPassword) || ensure(replPassword) {
				t.Errorf("%s was not mended, or again and again", damage)
			}
			gets(true)
		}
		n1.exec(n1.sql(), "revoke connect on database template1 from public", "drop database postgres",
			"revoke execute on function pg_read_binary_file(text) from "+quoteToken(replUser))
		gets(false)
		if !ensure(replPassword) {
			t.Error("the grant was not mended")
		}
		gets(true)
		if !ensure("Quite-Another") {
			t.Error("the password was not changed")
		}
		gets(false)
		if _, err := n1.sql().EnsureReplication(t.Context(), replUser, "größer"); err == nil {
			t.Error("a password that cannot be prepared alike")
		}
		if _, err := n1.sql().EnsureReplication(t.Context(), "postgres", "Quite-Another"); err == nil {
			t.Error("the superuser's password was changed")
		}
		log := string(slurp(t, n1.run+"/log"))
		if strings.Contains(log, replPassword) || strings.Contains(log, "Quite-Another") || strings.Contains(log, "SCRAM-SHA-256$") {
			t.Error("the log tells the password")
		}
		if !strings.Contains(log, "nologin") {
			t.Error("nothing is logged at all")
		}
		write(t, n1.data+"/standby.signal", "")
		n1.stop("fast")
		n1.up()
		if ensure("a third") {
			t.Error("a standby was changed")
		}
	})
}

func TestRealSettingsOfReplicationAreSetWithAServerAndWithout(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		n1 := newPrimary(t, b)
		values := map[string]string{
			PrimaryConnInfo: Source{Host: "h'o\\st", Port: 1, User: `u "s' e\r`, Passfile: "/p a'th", Node: "n"}.ConnInfo(),
			PrimarySlotName: "pgbaton_x", SyncNames: SyncFor(`a"b, 'c'`),
		}
		is := func(want map[string]string) {
			t.Helper()
			if got, err := ReadAuto(n1.data); err != nil || len(got) != 3 {
				t.Fatal(got, err)
			} else {
				for name, value := range want {
					if got[name] != value {
						t.Errorf("%s is %q in the file", name, got[name])
					}
				}
			}
			until(t, "the server has them", func() bool {
				for name, value := range want {
					if n1.text("select current_setting('"+name+"')") != value {
						return false
					}
				}
				return true
			})
		}
		n1.exec(n1.sql(), "alter system set work_mem = '5MB'")
		if err := n1.sql().SetAuto(t.Context(), values); err != nil {
			t.Fatal(err)
		}
		is(values)
		n1.stop("fast")
		for name := range values {
			values[name] += "2"
		}
		values[SyncNames] = ""
		if err := WriteAuto(n1.data, values, int(n1.user.UID), int(n1.user.GID)); err != nil {
			t.Fatal(err)
		}
		n1.up()
		is(values)
		if got := n1.text("select current_setting('work_mem')"); got != "5MB" {
			t.Error("another parameter was lost:", got)
		}
		if err := n1.sql().SetAuto(t.Context(), map[string]string{"work_mem": "1GB"}); err == nil {
			t.Error("a parameter that is not ours was set")
		}
		if b.Major >= 17 {
			n1.stop("fast")
			n1.up("-c", "allow_alter_system=off")
			values[SyncNames] = SyncFor("n3")
			if err := n1.sql().SetAuto(t.Context(), values); err != nil {
				t.Error(err)
			}
			is(values)
		}
	})
}

func TestRealSlotsOfOursAreMadeMovedAndDroppedAndNoOthers(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		n1 := newPrimary(t, b)
		n2 := n1.standby("n2", 6002)
		l := n1.sql()
		n1.exec(l, "select pg_create_physical_replication_slot('theirs')")
		made, err := n2.sql().EnsureSlots(t.Context(), []string{"pgbaton_a", "pgbaton_b"})
		if err != nil || len(made) != 2 {
			t.Fatal(made, err)
		}
		if made, err := n2.sql().EnsureSlots(t.Context(), []string{"pgbaton_a"}); err != nil || len(made) != 0 {
			t.Error(made, err)
		}
		before, err := n2.sql().Slots(t.Context())
		if err != nil || len(before) != 2 || before[0].Name != "pgbaton_a" || before[0].Restart == 0 || before[0].Active || before[0].Lost {
			t.Fatal(before, err)
		}
		n1.exec(l, "create table public.t as select generate_series(1, 10000)")
		until(t, "it is replayed", func() bool { return n2.number(n2.sql(), "select count(*) from pg_class where relname = 't'") == 1 })
		r, err := n2.sql().Replication(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// Beyond what is there: to the end; backwards: not at all.
		if err := n2.sql().AdvanceSlots(t.Context(), map[string]node.LSN{"pgbaton_a": r.Replayed + 1<<40, "pgbaton_b": 1, "theirs": 1}); err != nil {
			t.Error(err)
		}
		after, err := n2.sql().Slots(t.Context())
		if err != nil || after[0].Restart < r.Replayed || after[1] != before[1] {
			t.Error(before, after, err)
		}
		if dropped, err := n1.sql().DropSlots(t.Context(), []string{"pgbaton_n2"}); err != nil || len(dropped) != 0 {
			t.Error("the slot in use was dropped:", dropped, err)
		}
		if dropped, err := n2.sql().DropSlots(t.Context(), []string{"pgbaton_a", "pgbaton_none"}); err != nil || len(dropped) != 1 || dropped[0] != "pgbaton_a" {
			t.Error(dropped, err)
		}
		if n1.number(l, "select count(*) from pg_replication_slots") != 2 {
			t.Error("a slot of others is gone")
		}
		if _, err := l.EnsureSlots(t.Context(), []string{"x"}); err == nil {
			t.Error("a slot that could not be told from others")
		}
		var many []string
		for i := range 20 {
			many = append(many, fmt.Sprintf("pgbaton_many%d", i))
		}
		if made, err := l.EnsureSlots(t.Context(), many); !errors.Is(err, ErrNoMoreSlots) || len(made) == 0 {
			t.Error("20 slots of 10:", made, err)
		}
		if dropped, err := l.DropSlots(t.Context(), many); err != nil || len(dropped) == 0 {
			t.Error(dropped, err)
		}
		// A slot that lost its WAL is made again.
		n2.stop("fast")
		n1.exec(l, "alter system set max_slot_wal_keep_size = '1MB'", "alter system set max_wal_size = '32MB'", "select pg_reload_conf()")
		until(t, "the slot is lost", func() bool {
			n1.exec(l, "insert into public.t select generate_series(1, 100000)", "select pg_switch_wal()", "checkpoint")
			s, err := l.Slots(t.Context())
			return err == nil && s[0].Lost
		})
		if made, err := l.EnsureSlots(t.Context(), []string{"pgbaton_n2"}); err != nil || len(made) != 1 {
			t.Error(made, err)
		}
		if s, err := l.Slots(t.Context()); err != nil || len(s) != 1 || s[0].Lost {
			t.Error(s, err)
		}
	})
}
