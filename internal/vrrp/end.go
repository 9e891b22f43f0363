package vrrp

import (
	"time"

	"github.com/pgbaton/pgbaton/notify"
)

// bury notes that keepalived ended by itself and when the next one is due.
func (d *Daemon) bury() {
	l := &d.loop
	if time.Since(l.began) > soundAfter {
		l.pause = 0
	}
	d.cfg.Log.Warn("keepalived ended and is started again", "how", l.child.Status().String(), "ran", time.Since(l.began).Round(time.Millisecond))
	d.forget()
	d.pause()
	if d.isRegaining() && l.pause < d.detection() { // one that dies again and again does not keep the address
		if l.pause == firstPause {
			l.next = time.Time{}
		}
		return
	}
	if d.isRegaining() || l.pause > firstPause {
		d.giveUp()
	}
}

// lingers reports whether a keepalived that said STOP is still there, long after
// it had to end.
func (d *Daemon) lingers() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status.State == notify.VRRPStop && !d.since.IsZero() && time.Since(d.since) > endTime && time.Since(d.loop.began) > endTime
}

// forget closes what belonged to a keepalived that is gone.
func (d *Daemon) forget() {
	l := &d.loop
	if l.child == nil {
		return
	}
	l.child.Release()
	l.fifo.close(d.line)
	l.child, l.fifo = nil, nil
	d.mu.Lock()
	d.status.Running = false
	stopped := d.status.State == notify.VRRPStop
	priority := d.status.Priority
	d.mu.Unlock()
	if !stopped {
		d.heard(own(notify.VRRPStop, priority), FromProcess)
	}
}

// replace ends keepalived so that another one can be started.
func (d *Daemon) replace() {
	if d.isRegaining() {
		d.giveUp()
	}
	d.mu.Lock()
	d.replacing = true
	d.mu.Unlock()
	end(d.loop.child)
	d.forget()
}

// shut ends keepalived for good and takes the address away where it is left.
func (d *Daemon) shut() {
	if d.loop.child != nil {
		d.replace()
	}
	d.clean()
	d.lookVIP()
	d.silence()
}

// clean leaves neither a keepalived nor the address.
func (d *Daemon) clean() {
	if d.loop.child != nil { // its FIFO is closed
		end(d.loop.child)
		d.loop.child = nil
	}
	if here, _ := Present(d.cfg.VIP.Addr()); here { // unknown counts as gone: keepalived has removed it
		if err := removeAddress(d.cfg.VIP); err != nil {
			d.cfg.Log.Warn("the virtual address stays on this node", "error", err)
		}
	}
	d.mu.Lock()
	d.status.Running, d.status.State, d.status.VIP, d.status.Why = false, notify.VRRPStop, false, "keepalived was stopped"
	d.mu.Unlock()
}

// leave lets keepalived be.
func (d *Daemon) leave() {
	if f := d.loop.fifo; f != nil {
		_ = f.file.SetReadDeadline(past)
		<-f.done
		_ = f.file.Close()
	}
	d.silence()
}

func (d *Daemon) silence() {
	d.voice.Lock()
	defer d.voice.Unlock()
	d.speaker.close()
}

// detection is how long its peers wait for a MASTER that says nothing.
func (d *Daemon) detection() time.Duration { return d.cfg.Advert * time.Duration(d.cfg.DownAdverts) }

// pause puts the next start off, each time for longer.
func (d *Daemon) pause() {
	l := &d.loop
	l.pause = min(max(2*l.pause, firstPause), lastPause)
	l.next = time.Now().Add(l.pause)
}

// wait says what went wrong and tries again later. An address that a killed
// keepalived left is taken away: the others will take it.
func (d *Daemon) wait(err error) {
	d.say(err.Error())
	d.pause()
	if d.loop.child == nil {
		d.giveUp()
	}
}

// fail has keepalived replaced at the next look.
func (d *Daemon) fail(err error) {
	d.mu.Lock()
	d.failed = err
	d.mu.Unlock()
	d.look()
}

func (d *Daemon) failure() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

func (d *Daemon) isProven() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.proven
}

// say notes what is wrong, in the log once for each time that it changes.
func (d *Daemon) say(why string) {
	d.mu.Lock()
	d.status.Why = why
	d.mu.Unlock()
	if why != d.loop.told && why != "" {
		d.cfg.Log.Warn(why)
	}
	d.loop.told = why
}
