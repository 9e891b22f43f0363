package vrrp_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/vrrp"
)

func TestTheAddressFollowsEligibleAndPrefWithinMilliseconds(t *testing.T) {
	t.Parallel()
	b := newBed(t, 2, patient)
	one, two := b.nodes[0], b.nodes[1]
	for _, m := range b.nodes {
		// keepalived can speak before its start has been counted.
		st := m.until("started, in FAULT", func(st vrrp.Status) bool { return st.State == "FAULT" && st.Starts > 0 })
		if st.Interface == "" || st.Own.String() != m.addr || st.Why != "" || st.Starts != 1 || st.VIP {
			t.Errorf("%s: %+v", m.name, st)
		}
	}
	one.do("pref?to=154")
	one.do("eligible?to=1")
	if st := one.untilState("MASTER"); st.Priority != 254 {
		t.Errorf("the priority is %d, not 254", st.Priority)
	}
	two.do("pref?to=134")
	two.do("eligible?to=1")
	two.untilState("BACKUP")
	probe := b.probe()
	probe.first(t, "a", time.Now())
	from, to := one, two
	var took, plain, early []time.Duration
	for i := range 10 {
		to.do("pref?to=134")
		ahead := i%2 == 1
		if ahead { // the new node's address first
			to.do("add")
			to.do("announce")
		}
		at, _ := from.do("eligible?to=0")
		e := to.since(at, "MASTER")
		if !e.VIP || e.Source != vrrp.FromFIFO {
			t.Errorf("MASTER came as %+v", e)
		}
		answered := probe.first(t, to.name, at).Sub(at)
		took = append(took, e.Time.Sub(at))
		if ahead {
			early = append(early, answered)
		} else {
			plain = append(plain, answered)
		}
		from.untilState("FAULT")
		to.do("pref?to=154")
		from.do("eligible?to=1")
		from.untilState("BACKUP")
		from, to = to, from
	}
	for _, m := range b.nodes {
		if got := m.has(b.vip); got != (m == from) {
			t.Errorf("%s has the address: %v", m.name, got)
		}
	}
	t.Logf("release to MASTER %v; to the first answer %v, with the address put there before %v", took, plain, early)
}

func TestEventsComeInOrderAndEachOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	m := b.nodes[0]
	m.untilState("FAULT")
	m.do("eligible?to=1")
	m.untilState("MASTER")
	m.do("eligible?to=0")
	m.untilState("FAULT")
	got := m.heard(0, "FAULT")
	if want := []string{"FAULT", "BACKUP", "MASTER", "FAULT"}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

// heard waits until the last of the events after a number of them is a state. The
// status is a moment ahead of the events, and what is passed on is what counts.
func (m *member) heard(after int, last string) (got []string) {
	m.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		got = states(m.events()[after:])
		if len(got) > 0 && got[len(got)-1] == last {
			return got
		}
	}
	m.t.Fatalf("%s: the last of %d events is not %s within %v: %v", m.name, len(got), last, patience, got[max(0, len(got)-3):])
	return nil
}

// states are what keepalived said, without what was seen of the address.
func states(all []node.VRRPEvent) (out []string) {
	for _, e := range all {
		if e.Source == vrrp.FromFIFO && !strings.Contains(e.State, "_") {
			out = append(out, e.State)
		}
	}
	return out
}

func TestGarbageInTheFIFOIsNoStateAndKeepsNothingFromBeingRead(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	m := b.nodes[0]
	m.untilState("FAULT")
	m.heard(0, "FAULT")
	fifo := m.MustExec("sh", "-c", "find /run /dev/shm -name vrrp.fifo")
	before := len(m.events())
	m.MustExec("sh", "-c", `printf 'INSTANCE "pg" MAST\nINSTANCE "web" MASTER 200\nGROUP "pg" MASTER 0\n\n\001\002\n' >`+fifo)
	m.MustExec("sh", "-c", "head -c 70000 /dev/zero | tr '\\0' x >"+fifo+"; echo >"+fifo)
	m.do("eligible?to=1")
	m.untilState("MASTER")
	if got := m.heard(before, "MASTER"); !slices.Equal(got, []string{"BACKUP", "MASTER"}) {
		t.Errorf("after garbage: %v", got)
	}
}

func TestAThousandTransitionsAreAllRead(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	m := b.nodes[0]
	m.untilState("FAULT")
	m.heard(0, "FAULT")
	before := len(m.events())
	for range 500 {
		m.do("eligible?to=1")
		m.do("eligible?to=0")
	}
	m.do("eligible?to=1")
	m.untilState("MASTER")
	got := m.heard(before, "MASTER")
	// MASTER may come between where the machine lets two seconds pass.
	follows := map[string][]string{"": {"BACKUP"}, "FAULT": {"BACKUP"}, "BACKUP": {"FAULT", "MASTER"}, "MASTER": {"FAULT"}}
	last := ""
	for i, s := range got {
		if !slices.Contains(follows[last], s) {
			t.Fatalf("event %d of %d is %s after %s", i, len(got), s, last)
		}
		last = s
	}
	t.Logf("%d events", len(got))
}
