//go:build realpg

package pg

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

func TestRealAMonitorNoticesWhatHangsAndLeaksNothing(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		n1 := newPrimary(t, b)
		m := n1.sql().Monitor(2 * time.Second)
		defer m.Close()
		ask := func() error {
			r, err := m.Replication(t.Context())
			if err == nil && (r.Role != node.Primary || r.Written == 0) {
				t.Errorf("%+v", r)
			}
			return err
		}
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
		until(t, "it keeps one connection", func() bool { return n1.number(n1.sql(), mine) == 1 })
		backend, postmaster := n1.child("postgres: postgres postgres [local] idle"), n1.postmaster()
		goroutines := runtime.NumGoroutine()

		// The backend that it talks to hangs.
		hangs(t, backend.Signal, ask)
		// The postmaster hangs: connections that are open go on.
		hangs(t, postmaster.Signal, ask)
		until(t, "connections that were given up end", func() bool { return n1.number(n1.sql(), mine) == 1 })
		until(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines })

		n1.stop("fast")
		if err := ask(); err == nil {
			t.Error("no server answered")
		}
		n1.up()
		until(t, "the new server answers", func() bool { return ask() == nil })
		m.Close()
		until(t, "it has left", func() bool { return n1.number(n1.sql(), mine) == 0 })

		n1.exec(n1.sql(), "drop database postgres")
		until(t, "an answer without database postgres", func() bool { return ask() == nil })
		if err := CreateDatabase(t.Context(), n1.sql(), "postgres"); err != nil {
			t.Error("template1 is in use:", err)
		}
	})
}

// mine counts connections of a monitor's.
const mine = "select count(*) from pg_stat_activity where application_name = 'pgbaton' and pid <> pg_backend_pid()"

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
