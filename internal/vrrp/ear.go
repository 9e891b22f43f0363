package vrrp

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
)

const (
	// earEvery is how often an ear listens, and asks where nothing came.
	earEvery = 200 * time.Millisecond
	// gatewayEvery is how often the gateway is looked up.
	gatewayEvery = 5 * time.Second
)

// hear finds out, until ctx or the loop ends, whether anything reaches this node
// at the interface of the virtual address.
func (d *Daemon) hear(ctx context.Context) {
	tick := time.NewTicker(earEvery)
	defer tick.Stop()
	e := &ear{}
	defer e.close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.done:
			return
		case <-tick.C:
		}
		p, err := d.here()
		if err != nil {
			p = place{}
		}
		deaf := e.listen(p)
		d.mu.Lock()
		before := d.status.Deaf
		d.status.Deaf = deaf
		d.mu.Unlock()
		if deaf != before && d.cfg.Changed != nil {
			d.cfg.Changed()
		}
	}
}

// ear listens at one interface.
type ear struct {
	place   place
	looked  time.Time  // for the gateway
	gateway netip.Addr // the default route's; invalid: there is none here
	mac     string     // that it answered with
	ears    *listener  // nil: none
	hearing hearing
}

// listen is one tick: what came since the last one, and a question for the next
// where that was nothing. It returns how long the node has been deaf.
func (e *ear) listen(p place) time.Duration {
	e.settle(p)
	if e.ears == nil {
		return 0
	}
	count, err := e.ears.count()
	if err != nil {
		e.close()
		return 0
	}
	heard, mac := e.ears.answers(e.gateway)
	if mac != "" {
		e.mac = mac
	}
	h := &e.hearing
	now := time.Now()
	h.tick(now, heard || count > 0, mac != "")
	if !h.wantsProbe() {
		return h.deaf(now)
	}
	to := e.mac
	if h.silent%2 == 1 { // whoever has the address now may be another machine
		to = ""
	}
	if e.ears.ask(p, e.gateway, to) != nil { // the interface is down, which keepalived sees
		e.close()
	}
	return h.deaf(now)
}

// settle brings the ear to the place and looks the gateway up.
func (e *ear) settle(p place) {
	if p != e.place {
		e.close()
		e.place, e.looked = p, time.Time{}
	}
	if p.index == 0 || time.Since(e.looked) < gatewayEvery {
		return
	}
	e.looked = time.Now()
	if gateway := gatewayOf(p); gateway != e.gateway {
		e.close()
		e.gateway = gateway
	}
	if e.ears == nil && e.gateway.IsValid() {
		e.ears, _ = openListener(p) // without one nothing is concluded; tried again
	}
}

func (e *ear) close() {
	if e.ears != nil {
		e.ears.close()
	}
	e.ears, e.mac, e.hearing = nil, "", hearing{}
}

// gatewayOf is the default route's gateway at an interface, of the family of its
// own address.
func gatewayOf(p place) netip.Addr {
	family := netlink.FAMILY_V4
	if p.own.Is6() {
		family = netlink.FAMILY_V6
	}
	routes, err := netlink.RouteList(linkOf(p), family)
	if err != nil {
		return netip.Addr{}
	}
	i := slices.IndexFunc(routes, func(r netlink.Route) bool {
		ones := 0
		if r.Dst != nil {
			ones, _ = r.Dst.Mask.Size()
		}
		return ones == 0 && r.Gw != nil
	})
	if i < 0 {
		return netip.Addr{}
	}
	gateway, _ := netip.AddrFromSlice(routes[i].Gw)
	return gateway.Unmap()
}
