package vrrp

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/notify"
)

// begin adopts what is there, or begins with nothing.
func (d *Daemon) begin(ctx context.Context) error {
	l := &d.loop
	l.net, l.stop = make(chan struct{}, 1), make(chan struct{})
	if p := survivor(d.cfg.Dir); p != nil {
		d.adopt(ctx, p)
	}
	if l.child == nil {
		return errors.Join(d.files.SetEligible(false), d.files.SetPref(d.cfg.Pref))
	}
	return nil
}

// adopt takes over a running keepalived: what waits in the FIFO first, then the
// state that it says it is in, for 64 KiB of events may have been too many.
func (d *Daemon) adopt(ctx context.Context, p *proc.Process) {
	f, err := openFIFO(d.path(notify.FIFOFile))
	if err != nil {
		d.cfg.Log.Warn("keepalived runs without its FIFO and is replaced", "error", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	d.mu.Lock()
	d.eligible, d.proven = d.files.Eligible(), d.files.Eligible() // eligible is 1 only for a proven one
	d.mu.Unlock()
	f.drain(d.line)
	e, err := askState(ctx, d.cfg.Dir, p, d.env)
	if err != nil || e.State == "" {
		d.cfg.Log.Warn("the keepalived that was left running is replaced: it does not say its state", "error", err)
		f.done = closedChan()
		f.close(d.line)
		return
	}
	conf, _ := os.ReadFile(d.path(notify.ConfFile)) // another one is written where it differs
	d.loop.child, d.loop.fifo, d.loop.conf, d.loop.began = p, f, string(conf), time.Now()
	d.loop.place, _ = find(d.cfg.VIP, d.cfg.Peers)
	d.mu.Lock()
	d.status.Running = true
	d.mu.Unlock()
	d.heard(e, FromState)
	go f.follow(d.line)
}

func closedChan() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}
