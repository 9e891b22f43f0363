package entrypoint

import (
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/vrrp"
	"github.com/pgbaton/pgbaton/notify"
)

func TestWhatKeepalivedOutsideSaysIsHeardInTheOrderOfTheKernelsClock(t *testing.T) {
	t.Parallel()
	const now = time.Hour
	var (
		year1  = time.Date(1971, 1, 1, 0, 0, 0, 0, time.UTC)
		master = node.VRRPEvent{Source: vrrp.FromHook, State: notify.VRRPMaster, Uptime: now - 9*time.Second, VIP: true}
		backup = node.VRRPEvent{Source: vrrp.FromHook, State: notify.VRRPBackup, Uptime: now - 8*time.Second}
		here   = node.VRRPEvent{Source: vrrp.FromCheck, Uptime: now - 7*time.Second, VIP: true}
		gone   = node.VRRPEvent{Source: vrrp.FromCheck, Uptime: now - 6*time.Second}
		stop   = node.VRRPEvent{Source: vrrp.FromHook, State: notify.VRRPStop, Uptime: now - time.Second}
	)
	at := func(e node.VRRPEvent, when time.Time) node.VRRPEvent {
		e.Time = when
		return e
	}
	for _, c := range []struct {
		name   string
		events []node.VRRPEvent
		now    time.Duration // when the node looks
		state  string
		vip    bool
	}{
		{"nothing", nil, now, "", false},
		{"a state", []node.VRRPEvent{master}, now, "MASTER", true},
		{"a state for a long time, without a check", []node.VRRPEvent{master}, now + time.Hour, "MASTER", true},
		{"a state of before the last is nothing", []node.VRRPEvent{backup, master}, now, "BACKUP", false},
		{"a wall clock that was set back between them is no order", []node.VRRPEvent{at(master, time.Now()), at(backup, year1)}, now, "BACKUP", false},
		{"nor one that was set ahead", []node.VRRPEvent{at(master, time.Now().AddDate(30, 0, 0)), at(backup, time.Now())}, now, "BACKUP", false},
		{"a hook that tells no time is heard as it comes", []node.VRRPEvent{master, {Source: vrrp.FromHook, State: notify.VRRPFault}}, now, "FAULT", false},
		{"so is one of another clock", []node.VRRPEvent{master, {Source: vrrp.FromHook, State: notify.VRRPFault, Uptime: now * 1000}}, now, "FAULT", false},
		{"the check sees the address of a MASTER that nobody heard of", []node.VRRPEvent{backup, here}, now - 6*time.Second, "BACKUP", true},
		{"the check sees that the address has gone", []node.VRRPEvent{master, here, gone}, now - 6*time.Second, "MASTER", false},
		{"a check of before the last is nothing", []node.VRRPEvent{backup, gone, here}, now - 6*time.Second, "BACKUP", false},
		{"an event of before the check tells its state, not the address", []node.VRRPEvent{gone, master}, now - 6*time.Second, "MASTER", false},
		{"the word of a check that comes no more is no word", []node.VRRPEvent{master, here}, now, "MASTER", false},
		{"after a STOP there may be no check any more", []node.VRRPEvent{master, here, stop, {Source: vrrp.FromHook, State: notify.VRRPMaster, Uptime: now, VIP: true}}, now + time.Hour, "MASTER", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var h hook
			for _, e := range c.events {
				h.hear(e, now)
			}
			if h.State != c.state || h.hasVIP(c.now) != c.vip {
				t.Errorf("%+v: %s, the address is here: %v", h, h.State, h.hasVIP(c.now))
			}
		})
	}
}
