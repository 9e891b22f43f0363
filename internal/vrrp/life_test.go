package vrrp_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
	"github.com/pgbaton/pgbaton/internal/vrrp"
)

// pids are those of keepalived: its parent and its VRRP child.
func (m *member) pids() []string {
	m.t.Helper()
	out := strings.Fields(m.MustExec("sh", "-c", "cd /proc; for p in [0-9]*; do [ \"$(cat $p/comm 2>/dev/null)\" = keepalived ] && echo $p; done; true"))
	slices.Sort(out)
	return out
}

// conf is the configuration that keepalived has.
func (m *member) conf() string {
	m.t.Helper()
	return m.MustExec("sh", "-c", "cat $(find /run /dev/shm -name keepalived.conf)")
}

func TestACrashOfTheSupervisorNeitherMovesNorDropsTheAddress(t *testing.T) {
	t.Parallel()
	b := newBed(t, 2, patient)
	one, two := b.nodes[0], b.nodes[1]
	one.do1("pref?to=154", "eligible?to=1")
	one.untilState("MASTER")
	two.do1("eligible?to=1")
	two.heard(0, "BACKUP")
	probe := b.probe()
	probe.first(t, "a", time.Now())
	before, pids := len(two.events()), one.pids()
	for range 3 {
		began := time.Now()
		_ = one.ask(t.Context(), "crash", nil) // no answer comes
		st := one.until("adopted", func(st vrrp.Status) bool { return st.State == "MASTER" && st.VIP })
		if st.Starts != 0 || !st.Running || st.Priority != 254 {
			t.Errorf("after the crash: %+v", st)
		}
		probe.first(t, "a", time.Now())
		// The program that answers crashed too, so only a silence that outlasts
		// its start counts.
		t.Logf("longest silence of the program itself: %v", probe.longest(began, time.Now()))
	}
	if now := one.pids(); !slices.Equal(now, pids) {
		t.Errorf("keepalived's processes were %v and are %v", pids, now)
	}
	if more := two.events()[before:]; len(more) > 0 {
		t.Errorf("the other node heard %v", more)
	}
	if again := one.events(); len(again) != 1 || again[0].Source != vrrp.FromState || again[0].State != "MASTER" {
		t.Errorf("the new supervisor heard %+v", again)
	}
	at, _ := one.do("eligible?to=0")
	two.since(at, "MASTER")
}

// do1 gives orders once the program answers.
func (m *member) do1(orders ...string) {
	m.t.Helper()
	m.until("started", func(st vrrp.Status) bool { return st.State != "" })
	for _, o := range orders {
		m.do(o)
	}
}

func TestWhatKeepalivedSaidWithoutASupervisorIsReadByTheNextOne(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, func(s *testbed.Spec) {
		s.Entrypoint = []string{"sh", "-c", "/vrrp.test; while [ ! -e /again ]; do sleep 0.05; done; exec /vrrp.test"}
	})
	m := b.nodes[0]
	m.do1("eligible?to=1")
	m.untilState("MASTER")
	_ = m.ask(t.Context(), "crash", nil) // no answer comes
	file := m.MustExec("sh", "-c", "find /run /dev/shm -name eligible")
	m.MustExec("sh", "-c", "echo 0 >"+file)
	for end := time.Now().Add(patience); m.has(b.vip); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("keepalived does not heed its track file")
		}
	}
	m.MustExec("touch", "/again")
	m.untilState("FAULT")
	if got := m.events(); len(got) != 2 || got[0].Source != vrrp.FromFIFO || got[0].State != "FAULT" || got[1].Source != vrrp.FromState {
		t.Errorf("the next supervisor heard %+v", got)
	}
}

func TestAKeepalivedThatIsStoppedIsStartedAgainAndTheAddressIsOnOneNode(t *testing.T) {
	t.Parallel()
	b := newBed(t, 2)
	one, two := b.nodes[0], b.nodes[1]
	one.do1("pref?to=154", "eligible?to=1")
	one.untilState("MASTER")
	two.do1("eligible?to=1")
	two.untilState("BACKUP")
	for i, how := range []string{"kill -TERM $(cat $(find /run /dev/shm -name keepalived.pid))", "kill -KILL $(cat $(find /run /dev/shm -name keepalived.pid))"} {
		at := time.Now()
		one.MustExec("sh", "-c", how)
		two.since(at, "MASTER")
		// Nobody gives it back here, so the other one keeps it, unless it is so busy
		// that it misses three advertisements.
		one.until("started again", func(st vrrp.Status) bool { return st.Starts >= i+2 })
		one.untilPatient("20")
		var here bool
		st := one.until("one of them MASTER", func(st vrrp.Status) bool {
			other := two.until("asked", func(vrrp.Status) bool { return true })
			here = st.State == "MASTER"
			return st.Running && st.VIP == here && other.VIP != here && (here && other.State == "BACKUP" || st.State == "BACKUP" && other.State == "MASTER")
		})
		if st.Starts != i+2 {
			t.Errorf("%s: keepalived was started %d times", how, st.Starts)
		}
		if one.has(b.vip) != here || two.has(b.vip) == here {
			t.Errorf("%s: the address is on a: %v, on b: %v", how, one.has(b.vip), two.has(b.vip))
		}
		two.do("eligible?to=0")
		one.untilState("MASTER")
		two.do("eligible?to=1")
		two.untilState("BACKUP")
		if len(one.pids()) != 2 {
			t.Errorf("%s: keepalived's processes are %v", how, one.pids())
		}
	}
	one.do("stop")
	if st := one.until("stopped", func(st vrrp.Status) bool { return !st.Running }); st.State != "STOP" || st.VIP || one.has(b.vip) || len(one.pids()) > 0 {
		t.Errorf("after stop: %+v, keepalived %v", st, one.pids())
	}
}

// reigning is a bed in which the first node is MASTER and the second BACKUP, and
// the address answers on the first.
func reigning(t *testing.T) (b *bed, one, two *member, probe *prober) {
	t.Helper()
	b = newBed(t, 2, patient)
	one, two = b.nodes[0], b.nodes[1]
	one.do1("pref?to=154", "eligible?to=1")
	one.untilState("MASTER")
	two.do1("pref?to=134", "eligible?to=1")
	two.heard(0, "BACKUP")
	probe = b.probe()
	probe.first(t, "a", time.Now())
	return b, one, two, probe
}

func TestAKeepalivedThatIsKilledAsMasterIsMasterAgainBeforeAnybodyElse(t *testing.T) {
	t.Parallel()
	b, one, two, probe := reigning(t)
	heard, pids := len(two.events()), one.pids()
	began := time.Now()
	one.MustExec("sh", "-c", "kill -KILL "+strings.Join(pids, " "))
	st := one.until("started again", func(st vrrp.Status) bool { return st.State == "MASTER" && st.VIP && st.Starts == 2 })
	again, fault := one.since(began, "MASTER"), one.since(began, "FAULT")
	t.Logf("keepalived speaks again after %v, MASTER after %v; the address was silent for %v", fault.Time.Sub(began), again.Time.Sub(began), probe.longest(began, time.Now()))
	if st.Why != "" || !one.has(b.vip) || two.has(b.vip) {
		t.Errorf("%+v, the address on a: %v, on b: %v", st, one.has(b.vip), two.has(b.vip))
	}
	if more := two.events()[heard:]; len(more) > 0 {
		t.Errorf("the other node heard %v", more)
	}
	one.untilPatient("60")
}

// untilPatient waits until a keepalived that was started to regain the address
// has it, or has given it up.
func (m *member) untilPatient(adverts string) {
	m.t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(m.conf(), "down_timer_adverts "+adverts+"\n"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatalf("the usual patience has not come back:\n%s", m.conf())
		}
	}
}

func TestAKeepalivedThatIsTerminatedAsMasterLeavesTheAddressWhereItIs(t *testing.T) {
	t.Parallel()
	b, one, two, probe := reigning(t)
	began := time.Now()
	one.MustExec("sh", "-c", "kill -TERM $(cat $(find /run /dev/shm -name keepalived.pid))")
	two.since(began, "MASTER") // keepalived said goodbye
	given, _ := two.do("eligible?to=0")
	back := probe.first(t, "a", given)
	st := one.until("MASTER again", func(st vrrp.Status) bool { return st.State == "MASTER" && st.VIP && st.Starts == 2 })
	stop := one.since(began, "STOP")
	again := one.since(stop.Time, "MASTER")
	t.Logf("STOP after %v, MASTER again after %v; the other one gave the address back after %v, and it answered here %v later; it was silent for %v",
		stop.Time.Sub(began), again.Time.Sub(began), given.Sub(began), back.Sub(given), probe.longest(began, time.Now()))
	two.untilState("FAULT")
	if st.Why != "" || !one.has(b.vip) || two.has(b.vip) {
		t.Errorf("%+v, the address on a: %v, on b: %v", st, one.has(b.vip), two.has(b.vip))
	}
	if !stop.VIP {
		t.Errorf("the address was not put back when keepalived said goodbye: %+v", stop)
	}
}

func TestAnAddressThatIsHeldWithoutKeepalivedIsGivenUpWithTheRightToIt(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	one := b.nodes[0]
	one.do1("eligible?to=1")
	one.untilState("MASTER")
	// A keepalived that cannot start again: nobody but the daemon has the address.
	one.MustExec("sh", "-c", "mv $(command -v keepalived) /keepalived && printf '#!/bin/sh\\nsleep 5; exec /keepalived \"$@\"\\n' >/usr/sbin/keepalived && chmod +x /usr/sbin/keepalived")
	began := time.Now()
	one.MustExec("sh", "-c", "kill -TERM $(cat $(find /run /dev/shm -name keepalived.pid))")
	one.since(began, "STOP")
	one.until("holding", func(st vrrp.Status) bool { return st.VIP && st.State == "STOP" })
	one.do("eligible?to=0")
	if one.has(b.vip) {
		t.Error("the address is still here")
	}
}

func TestStopEndsAKeepalivedThatIsNoLongerWatched(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	m := b.nodes[0]
	m.do1("eligible?to=1")
	m.untilState("MASTER")
	m.do("unwatch")
	m.do("stop")
	st := m.until("stopped", func(st vrrp.Status) bool { return !st.Running })
	if st.State != "STOP" || st.VIP || m.has(b.vip) || len(m.pids()) > 0 {
		t.Errorf("after stop: %+v, keepalived %v, the address is here: %v", st, m.pids(), m.has(b.vip))
	}
}

func TestANodeThatIsConnectedAgainFindsItsInterfaceByItsAddress(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	m := b.nodes[0]
	m.do1("eligible?to=1")
	before := m.untilState("MASTER")
	undo := m.Disconnect()
	for end := time.Now().Add(patience); m.has(b.vip); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the address is still there")
		}
	}
	undo()
	// The state of before may be told until keepalived has said that it is another.
	after := m.until("MASTER again", func(st vrrp.Status) bool { return st.State == "MASTER" && st.VIP && m.has(b.vip) })
	t.Logf("the interface was %s and is %s", before.Interface, after.Interface)
	if after.Own != before.Own {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

func TestPeersMayComeAndGoUnderAMaster(t *testing.T) {
	t.Parallel()
	b := newBed(t, 2, patient)
	one, two := b.nodes[0], b.nodes[1]
	one.do1("peers?to=", "pref?to=154", "eligible?to=1")
	one.untilState("MASTER")
	before := len(one.events())
	one.do("peers?to=" + two.addr)
	two.do1("eligible?to=1")
	two.untilState("BACKUP")
	one.do("peers?to=" + one.addr + "," + two.addr + ",10.99.0.7,2001:db8::1")
	one.do("peers?to=")
	one.do("peers?to=" + two.addr)
	at, _ := one.do("eligible?to=0")
	if got := states(one.events()[before:]); slices.Contains(got, "BACKUP") || slices.Contains(got, "STOP") {
		t.Errorf("the MASTER became %v while its peers changed", got)
	}
	two.since(at, "MASTER")
	if st := one.untilState("FAULT"); st.Starts != 1 {
		t.Errorf("keepalived was started %d times for its peers", st.Starts)
	}
}

// TestAKeepalivedOfAnotherContainerIsLeftAlone: two containers share a PID
// namespace, as with --pid=host, and have the same paths.
func TestAKeepalivedOfAnotherContainerIsLeftAlone(t *testing.T) {
	t.Parallel()
	// Not on an overlay file system, where the paths would tell the two apart.
	run := func(s *testbed.Spec) { s.Mounts = append(s.Mounts, testbed.Tmpfs("/run", 16<<20)) }
	one := newBed(t, 1, run).nodes[0]
	one.do1("eligible?to=1")
	one.untilState("MASTER")
	pids := one.pids()
	two := newBed(t, 1, run, func(s *testbed.Spec) { s.PIDMode = "container:" + one.Name }).nodes[0]
	two.do1("eligible?to=1")
	two.untilState("MASTER")
	for _, pid := range pids {
		if !slices.Contains(two.pids(), pid) {
			t.Errorf("the other container ended keepalived %s", pid)
		}
	}
	if st := one.untilState("MASTER"); st.Starts != 1 {
		t.Errorf("keepalived was started %d times", st.Starts)
	}
}
