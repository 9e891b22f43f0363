package vrrp

import (
	"time"

	"github.com/pgbaton/pgbaton/notify"
)

// A keepalived that ends as MASTER does so in one of two ways. Killed (both of
// its processes: otherwise it says goodbye to its peers), it leaves the address
// on the node, and its peers wait for the detection time. Ended by a SIGTERM
// that is not ours, it takes the address away and tells its peers, one of which
// is MASTER a moment later, sees that the primary answers, and gives it back.
//
// The next keepalived removes the address as it begins and would wait as long
// as its peers do. It is told to wait for three advertisements only, and
// meanwhile the address is here, and the network hears so again and again, for
// as long as this node may have it.

const (
	regainAdverts = 3                     // VRRP's own number
	regainTime    = 2 * time.Second       // to become MASTER again, beside regainAdverts
	regainEvery   = 50 * time.Millisecond // the network is told where the address is
)

// patience is how many advertisements may be missing.
func (d *Daemon) patience() int {
	if d.isRegaining() {
		return min(regainAdverts, d.cfg.DownAdverts)
	}
	return d.cfg.DownAdverts
}

func (d *Daemon) isRegaining() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.regain
}

// part notes that keepalived ended, or is about to, as MASTER: this node holds on
// to the address at once, for keepalived does not touch it after its STOP. d.mu
// is held.
func (d *Daemon) part(e notify.Event) {
	if e.State == notify.VRRPStop && d.status.State == notify.VRRPMaster && d.eligible && !d.replacing {
		d.regain = true
	}
}

// keep has the address here and says so, while this node is to regain it.
func (d *Daemon) keep() {
	d.holding.Lock()
	defer d.holding.Unlock()
	d.mu.Lock()
	due, p := d.regain && d.status.State != notify.VRRPMaster, d.place
	d.mu.Unlock()
	if !due || p.index == 0 {
		return
	}
	err := addAddress(p, d.cfg.VIP)
	if err == nil {
		err = d.Announce()
	}
	if err != nil {
		d.complain(err.Error())
	}
}

// keeping fires when the network is to be told again.
func (d *Daemon) keeping() <-chan time.Time {
	if d.isRegaining() {
		return time.After(regainEvery)
	}
	return nil
}

// settle ends the attempt once keepalived is MASTER, or has not become it: then
// somebody else is, and the address is taken away. The usual patience comes back
// by a reload.
func (d *Daemon) settle() {
	if d.loop.child == nil || !d.loop.regains || !d.isRegaining() {
		return
	}
	d.mu.Lock()
	master := d.status.State == notify.VRRPMaster
	d.regain = d.regain && !master
	d.mu.Unlock()
	if master {
		d.loop.regains = false
	} else if time.Since(d.loop.began) > regainTime+(regainAdverts+1)*d.cfg.Advert {
		d.giveUp()
	}
}

// giveUp ends an attempt in vain.
func (d *Daemon) giveUp() {
	d.holding.Lock()
	defer d.holding.Unlock()
	d.mu.Lock()
	d.regain = false
	d.mu.Unlock()
	if err := removeAddress(d.cfg.VIP); err != nil {
		d.complain(err.Error())
	}
}
