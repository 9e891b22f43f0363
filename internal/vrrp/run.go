package vrrp

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// loop is what only the loop's goroutine knows.
type loop struct {
	child   *proc.Process // nil: keepalived does not run
	fifo    *fifo
	conf    string // that child has
	place   place  // that child was started for
	began   time.Time
	regains bool          // child was started to regain the address
	pause   time.Duration // before the next start
	next    time.Time     // of the next start
	told    string        // the latest Why in the log
	net     chan struct{}
	closed  <-chan struct{} // the watch of the network has ended
	stop    chan struct{}   // ends that watch
}

const (
	firstPause = 200 * time.Millisecond
	lastPause  = 5 * time.Second
	soundAfter = 10 * time.Second // a keepalived that ran so long has no bad past
	lookEvery  = time.Second
	proveTime  = 10 * time.Second // for the first state of a fresh keepalived
)

// run looks whenever something may have changed, and each second.
func (d *Daemon) run(ctx context.Context) {
	defer close(d.done)
	defer close(d.loop.stop)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		d.watch()
		d.lookVIP()
		d.tend(ctx)
		select {
		case <-ctx.Done():
			d.leave()
			return
		case <-d.ending:
			d.shut()
			return
		case <-d.died():
			d.bury()
		case <-d.loop.net:
		case <-d.wake:
		case <-tick.C:
		case <-d.due():
		case <-d.keeping():
			d.keep()
		}
	}
}

// watch begins to watch the network, for the first time or again.
func (d *Daemon) watch() {
	l := &d.loop
	select {
	case <-l.closed:
		close(l.stop)
		l.stop, l.closed = make(chan struct{}), nil
	default:
	}
	if l.closed == nil {
		var err error
		if l.closed, err = watchNetwork(l.stop, l.net); err != nil {
			d.complain(err.Error()) // the look of each second remains
		}
	}
}

// due fires when the next start of keepalived is due.
func (d *Daemon) due() <-chan time.Time {
	if wait := time.Until(d.loop.next); d.loop.child == nil && wait > 0 {
		return time.After(wait)
	}
	return nil
}

// died is closed when keepalived has ended.
func (d *Daemon) died() <-chan struct{} {
	if d.loop.child == nil {
		return nil
	}
	return d.loop.child.Done()
}

// tend brings keepalived to what the network and the settings ask for.
func (d *Daemon) tend(ctx context.Context) {
	l := &d.loop
	if err := d.failure(); err != nil && l.child != nil {
		d.replace()
		d.wait(err)
		return
	}
	if l.child != nil && d.lingers() {
		_ = l.child.Signal(syscall.SIGKILL) // seen by died
		return
	}
	d.settle()
	conf, p, err := d.render()
	if err != nil {
		d.say(err.Error()) // a keepalived that runs is in FAULT by itself
		return
	}
	switch {
	case l.child != nil && p != l.place:
		d.cfg.Log.Info("the interface of the virtual address changed; keepalived is started anew", "interface", p.link, "address", p.own)
		d.replace()
		fallthrough
	case l.child == nil:
		if time.Now().Before(l.next) {
			return
		}
		if err := d.start(ctx, conf, p); err != nil {
			d.wait(err)
			return
		}
	case conf != l.conf:
		d.reload(conf)
	case !d.isProven() && time.Since(l.began) > proveTime:
		d.fail(fmt.Errorf("keepalived has said no state for %s; it is started anew", proveTime))
		return
	}
	d.say("")
}
