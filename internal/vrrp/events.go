package vrrp

import (
	"fmt"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/notify"
)

// Where an event came from, in VRRPEvent.Source.
const (
	FromFIFO    = "fifo"           // keepalived said it
	FromState   = "state"          // keepalived was asked
	FromNetlink = "netlink"        // the address came or went
	FromProcess = "process"        // keepalived ended
	FromHook    = "hook"           // a notify script of a keepalived elsewhere was called
	FromCheck   = node.SourceCheck // its vrrp_script looked for the address
)

// line takes one line of the FIFO.
func (d *Daemon) line(text string) {
	e, err := notify.ParseEvent(text)
	switch {
	case err != nil:
		d.complain(err.Error())
	case !e.Own():
		d.complain(fmt.Sprintf("keepalived speaks of %s %q, which is not ours; it is ignored", e.Type, e.Name))
	default:
		d.heard(e, FromFIFO)
	}
}

// complaints is how often lines that are not understood are logged.
const complaints = 10 * time.Second

func (d *Daemon) complain(text string) {
	now := time.Now()
	d.mu.Lock()
	quiet := now.Sub(d.complained) < complaints
	if !quiet {
		d.complained = now
	}
	d.mu.Unlock()
	if !quiet {
		d.cfg.Log.Warn(text)
	}
}

// heard notes an event, draws what it proves, and passes it on.
func (d *Daemon) heard(e notify.Event, source string) {
	d.said.Lock()
	defer d.said.Unlock()
	d.judge(e)
	d.note(e)
	d.keep()
	d.pass(e, source)
}

// note keeps what was said for everybody who asks.
func (d *Daemon) note(e notify.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.part(e)
	if e.IsState() {
		d.status.State, d.since = e.State, time.Now()
	}
	d.status.Priority = e.Priority
}

// pass must hold said.
func (d *Daemon) pass(e notify.Event, source string) {
	vip, err := Present(d.cfg.VIP.Addr())
	d.mu.Lock()
	if err != nil {
		vip = d.status.VIP
	}
	d.status.VIP = vip
	d.mu.Unlock()
	d.on(node.VRRPEvent{
		Source: source, Type: e.Type, Name: e.Name, State: e.State, Priority: e.Priority, Time: time.Now(), VIP: vip,
	})
}

// judge draws from the first state of a fresh keepalived whether it heeds its
// trackers: with eligible 0 it has to be in FAULT, with the priority that pref
// makes. Anything else is a tracker that it dropped without ending.
func (d *Daemon) judge(e notify.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proven || !e.IsState() || e.State == notify.VRRPStop {
		return
	}
	// pref may have changed since keepalived read it.
	want, then := notify.BasePriority+d.files.Pref(), notify.BasePriority+d.launched
	if e.State != notify.VRRPFault || (e.Priority != want && e.Priority != then) {
		d.failed = fmt.Errorf("keepalived dropped a track file: with eligible 0 it says %s %d where FAULT %d is due; "+
			"it is ended, and the virtual address stays away", e.State, e.Priority, want)
		d.look()
		return
	}
	d.proven = true
	if d.eligible {
		if err := d.files.SetEligible(true); err != nil {
			d.failed = err
			d.look()
		}
	}
}

// lookVIP reports an address that came or went.
func (d *Daemon) lookVIP() {
	d.said.Lock()
	defer d.said.Unlock()
	vip, err := Present(d.cfg.VIP.Addr())
	if err != nil {
		return // looked at again in a second
	}
	d.mu.Lock()
	before, state, priority := d.status.VIP, d.status.State, d.status.Priority
	d.mu.Unlock()
	if vip != before {
		d.pass(own(state, priority), FromNetlink)
	}
}

// own is an event of our instance that keepalived did not say itself.
func own(state string, priority int) notify.Event {
	return notify.Event{Type: notify.TypeInstance, Name: notify.Instance, State: state, Priority: priority}
}
