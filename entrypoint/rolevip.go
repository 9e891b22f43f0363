package entrypoint

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/vrrp"
	"github.com/pgbaton/pgbaton/notify"
)

// hook is what keepalived said last where it does not run in this container:
// its notify script, or the FIFO of a host, calls.
type hook struct {
	State  string        `json:"state"`
	VIP    bool          `json:"vip"`
	Seen   time.Duration `json:"seen"`   // when State was, by the kernel's monotonic clock
	Looked time.Duration `json:"looked"` // when keepalived's check looked for the VIP; 0: it never did
}

// lookedFor is how long the check's word counts, which comes each second: a
// keepalived that died leaves the address and says nothing any more.
const lookedFor = 5 * time.Second

// hasVIP reports whether the VIP is there, as far as is known.
func (h hook) hasVIP(now time.Duration) bool {
	return h.VIP && (h.Looked == 0 || now-max(h.Looked, h.Seen) < lookedFor)
}

// hear takes an event in, in the order of the kernel's clock and not of the wall
// clock, which may be set back: a late one of before the last says nothing.
func (h *hook) hear(e node.VRRPEvent, now time.Duration) {
	at := e.Uptime
	if at <= 0 || at > now { // no word of it, or of another clock
		at = now
	}
	if at >= h.Seen && at >= h.Looked {
		h.VIP = e.VIP
	}
	switch {
	case e.Source == vrrp.FromCheck:
		h.Looked = max(h.Looked, at)
	case at >= h.Seen:
		h.State, h.Seen = e.State, at
	}
	if h.State == notify.VRRPStop && e.Source != vrrp.FromCheck {
		h.Looked = 0 // the next one may have no check
	}
}

// VRRP takes an event of keepalived's notify hook in (nodeapi). It answers
// with what this node makes of it.
func (s *supervisor) VRRP(ctx context.Context, e node.VRRPEvent) (string, error) {
	answer := make(chan string, 1)
	s.post(func() {
		s.heardVRRP(e)
		if s.clustered() && s.volume != nil && s.job.name == "" {
			s.decideRole()
			answer <- s.cl.verdict.Why
			return
		}
		answer <- s.why
	})
	return await(ctx, s.mail, answer)
}

// heardVRRP notes an event. Events are hints: the peers are asked at once
// whatever it says.
func (s *supervisor) heardVRRP(e node.VRRPEvent) {
	if e.Name != notify.Instance {
		return
	}
	before := s.cl.hook
	s.cl.hook.hear(e, vrrp.Uptime())
	if e.Source == vrrp.FromCheck && before.VIP == e.VIP {
		return
	}
	s.remember()
	if s.clustered() {
		s.cl.fleet.Kick()
	}
}

// roleVIP tells whether the virtual address is here.
func (s *supervisor) roleVIP(self *notify.Self) {
	if d := s.cl.keepalived; d != nil {
		st := d.Status()
		self.VIP, self.VRRP, self.Deaf = st.VIP, st.State, st.Deaf
		return
	}
	self.VIP, self.VRRP = s.cl.hook.hasVIP(vrrp.Uptime()), s.cl.hook.State
}

// unsaid is how long the VIP has been here without keepalived's MASTER.
func (c *clustering) unsaid(self *notify.Self) time.Duration {
	if !self.VIP || self.VRRP == notify.VRRPMaster {
		c.mystery = time.Time{}
		return 0
	}
	if c.mystery.IsZero() {
		c.mystery = time.Now()
	}
	return time.Since(c.mystery)
}

// startVRRP runs keepalived in this container where a VIP is set; for one on
// the host or in a sidecar it only keeps the files that it tracks.
func (s *supervisor) startVRRP(ctx context.Context) {
	dir, err := vrrp.Directory(s.control)
	if err != nil {
		s.cl.vrrpFault = err.Error()
		s.log.Error("role: make the directory of keepalived's files", "error", err)
		return
	}
	if !s.set.VIP.IsValid() {
		s.cl.seats = vrrp.OpenFiles(dir)
		return
	}
	d, err := vrrp.Start(ctx, vrrp.Config{
		Dir: dir, Node: s.set.Node, VIP: s.set.VIP, VRID: s.set.VRID, Advert: s.set.Advert, DownAdverts: s.set.DownAdverts,
		Peers: s.peerAddresses(), Log: s.log, Changed: func() { s.post(func() {}) },
	}, func(e node.VRRPEvent) { s.post(func() { s.heardKeepalived(e) }) })
	if err != nil {
		s.cl.vrrpFault = fmt.Sprintf("PGBATON_VIP is set and keepalived cannot run here, so this node never has the address: %v", err)
		s.log.Error(s.cl.vrrpFault)
		return
	}
	s.cl.keepalived, s.cl.seats = d, d
	s.endings = append(s.endings, ending{"keepalived", d.Stop})
}

// heardKeepalived looks at everything anew: an event is a hint.
func (s *supervisor) heardKeepalived(e node.VRRPEvent) {
	s.log.Info("role: keepalived says "+e.State, "vip", e.VIP, "priority", e.Priority, "source", e.Source)
	s.cl.fleet.Kick()
	s.cl.monitor.hurry(0)
}

// peerAddresses are the peers' addresses, for keepalived.
func (s *supervisor) peerAddresses() []netip.Addr {
	var out []netip.Addr
	for _, p := range s.cl.fleet.Peers() {
		if ap, err := netip.ParseAddrPort(p.Address); err == nil && !p.Lost {
			out = append(out, ap.Addr())
		}
	}
	return out
}

// takeSeat tells keepalived whether this node may hold the VIP.
func (s *supervisor) takeSeat(f notify.Facts) {
	if notify.Yields(f) {
		s.cl.yielded = f.Now
	}
	ago := time.Duration(-1)
	if !s.cl.yielded.IsZero() {
		ago = f.Now.Sub(s.cl.yielded)
	}
	before := s.cl.seat
	s.cl.seat = notify.Sit(f, ago)
	if before.Eligible != s.cl.seat.Eligible {
		s.log.Info("role: whether this node may have the VIP: "+s.cl.seat.Why, "eligible", s.cl.seat.Eligible)
	}
	if s.cl.seats == nil {
		return
	}
	err := s.cl.seats.SetEligible(s.cl.seat.Eligible && s.still.disk(f.Now) == "")
	if e := s.cl.seats.SetPref(s.cl.seat.Pref); err == nil {
		err = e
	}
	if err != nil {
		s.log.Error("role: tell keepalived whether this node may hold the VIP", "error", err)
	}
	if d := s.cl.keepalived; d != nil {
		d.SetPeers(s.peerAddresses())
		s.reclaim(f)
	}
}

// deafWarning says that nothing reaches this node; empty: something does.
func (s *supervisor) deafWarning() string {
	if !s.cl.facts.Deaf() {
		return ""
	}
	return s.cl.seat.Why
}

// rivalry is what peers said last about the VIP.
type rivalry int

const (
	noRival rivalry = iota
	gaveVIP         // an armed heir keeps away from it: it had it a moment ago
	hasVIP
)

// reclaim tells the network again where the VIP is, once a peer has given it
// back that had it beside this primary: clients that heard of the peer would go
// there until their kernels give it up, which takes many seconds.
func (s *supervisor) reclaim(f notify.Facts) {
	was, now := s.cl.rival, noRival
	for _, p := range f.Peers {
		switch c := clusterOf(p); {
		case !p.Answers || c == nil || c.Name != s.set.Cluster:
		case c.VIP:
			now = hasVIP
		case c.Record != nil && c.Record.Armed != nil && !c.Eligible:
			now = max(now, gaveVIP)
		}
	}
	s.cl.rival = now
	given := was == hasVIP && now != hasVIP || was == noRival && now == gaveVIP
	if !given || !f.Self.VIP || f.Self.Server != notify.ServerPrimary {
		return
	}
	if err := s.cl.keepalived.Announce(); err != nil {
		s.log.Warn("role: announce the VIP again", "error", err)
	}
}

// seize takes the VIP as soon as this node is open: before keepalived moves
// it, for whoever is still connected to the old one's address loses the reply.
func (s *supervisor) seize() {
	d := s.cl.keepalived
	if d == nil {
		return
	}
	if err := d.AddVIP(); err != nil {
		s.log.Warn("role: take the VIP before keepalived does", "error", err)
		return
	}
	if err := d.Announce(); err != nil {
		s.log.Warn("role: announce the VIP", "error", err)
	}
}

// seats are what keepalived goes by.
type seats interface {
	SetEligible(on bool) error
	SetPref(pref int) error
}
