package vrrp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/pgbaton/pgbaton/notify"
)

// render is the configuration for the place and the peers of this moment.
func (d *Daemon) render() (string, place, error) {
	d.mu.Lock()
	all := slices.Clone(d.peers)
	d.mu.Unlock()
	p, err := find(d.cfg.VIP, all)
	d.mu.Lock()
	d.place = p
	d.status.Interface, d.status.Own = p.link, p.own
	d.mu.Unlock()
	if err != nil {
		return "", p, err
	}
	text, err := notify.Render(notify.Conf{
		Placement: notify.InContainer, Node: d.cfg.Node, Interface: p.link, VRID: d.cfg.VRID, Advert: d.cfg.Advert,
		DownAdverts: d.patience(), Source: p.own, Peers: others(all, p.own, d.cfg.VIP.Addr()), VIP: d.cfg.VIP, Dir: d.cfg.Dir,
	})
	return text, p, err
}

// others are the peers that keepalived can have: of the address's family, in
// order, each once, without ourselves.
func others(all []netip.Addr, own, vip netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, a := range all {
		a = a.Unmap().WithZone("")
		if a != own && a != vip && a.Is4() == vip.Is4() {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

func (d *Daemon) path(name string) string { return filepath.Join(d.cfg.Dir, name) }

func (d *Daemon) writeConf(text string) error {
	tmp := d.path("." + notify.ConfFile)
	err := os.WriteFile(tmp, []byte(text), 0o600)
	if err == nil {
		err = os.Rename(tmp, d.path(notify.ConfFile))
	}
	if err != nil {
		return fmt.Errorf("write keepalived's configuration: %w", err)
	}
	return nil
}

// start starts a keepalived that is not eligible until its trackers are proven.
func (d *Daemon) start(ctx context.Context, conf string, p place) error {
	d.mu.Lock()
	d.proven, d.failed, d.launched, d.replacing = false, nil, d.files.Pref(), false
	d.mu.Unlock()
	if err := errors.Join(d.files.SetEligible(false), clear(d.cfg.Dir), d.writeConf(conf), makeFIFO(d.path(notify.FIFOFile))); err != nil {
		return err
	}
	if err := testConf(ctx, d.env, d.path(notify.ConfFile)); err != nil {
		return err
	}
	f, err := openFIFO(d.path(notify.FIFOFile))
	if err != nil {
		return err
	}
	go f.follow(d.line)
	child, err := launch(d.env, d.cfg.Dir, d.cfg.Output)
	if err != nil {
		f.close(d.line)
		return err
	}
	l := &d.loop
	l.child, l.fifo, l.conf, l.place, l.began, l.regains = child, f, conf, p, time.Now(), d.isRegaining()
	d.mu.Lock()
	d.status.Running, d.status.Starts = true, d.status.Starts+1
	d.mu.Unlock()
	return nil
}

// reload gives keepalived new peers; a MASTER stays MASTER.
func (d *Daemon) reload(conf string) {
	if err := d.writeConf(conf); err != nil {
		d.fail(err)
		return
	}
	d.loop.conf = conf
	_ = d.loop.child.Signal(syscall.SIGHUP) // one that has ended is started anew with it
}
