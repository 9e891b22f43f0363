package nodeapi

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
)

// guestListener has at most a number of connections open at a time and keeps
// nobody waiting for one: where they are all taken, one is closed for the next.
// A limit by which the next one waits, as netutil.LimitListener has it, would
// let anybody who opens connections and says nothing keep peers and balancers
// out.
type guestListener struct {
	net.Listener
	most int

	mu     sync.Mutex
	guests []*guest // the oldest first
}

func limitConns(l net.Listener, most int) net.Listener {
	return &guestListener{Listener: l, most: most}
}

// guest is one connection.
type guest struct {
	net.Conn
	from *guestListener
	who  netip.Addr // not valid: of this machine

	// Both belong to from.mu.
	known bool // it has shown credentials
	busy  int  // requests under way
}

// Accept waits for a connection, and for nothing else.
func (l *guestListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g := &guest{Conn: c, from: l, who: origin(c.RemoteAddr())}
	if away := l.welcome(g); away != nil {
		_ = away.Close()
	}
	return g, nil
}

// welcome takes a guest in and says who has to leave for it; nil: nobody.
func (l *guestListener) welcome(g *guest) *guest {
	l.mu.Lock()
	defer l.mu.Unlock()
	var away *guest
	if len(l.guests) >= l.most {
		away = leastMissed(l.guests)
		l.drop(away)
	}
	l.guests = append(l.guests, g)
	return away
}

// leastMissed is whom it harms least to lose: one that shows no credentials,
// then one that asks nothing, then one of whoever has the most connections, and
// of those the oldest.
func leastMissed(guests []*guest) *guest {
	count := map[netip.Addr]int{}
	for _, g := range guests {
		count[g.who]++
	}
	worse := func(g, than *guest) bool {
		switch {
		case g.known != than.known:
			return !g.known
		case (g.busy > 0) != (than.busy > 0):
			return g.busy == 0
		}
		return count[g.who] > count[than.who]
	}
	worst := guests[0]
	for _, g := range guests[1:] {
		if worse(g, worst) {
			worst = g
		}
	}
	return worst
}

func (l *guestListener) drop(g *guest) {
	for i := range l.guests {
		if l.guests[i] == g {
			l.guests = append(l.guests[:i], l.guests[i+1:]...)
			return
		}
	}
}

// Close makes room.
func (g *guest) Close() error {
	g.from.mu.Lock()
	g.from.drop(g)
	g.from.mu.Unlock()
	return g.Conn.Close()
}

// NetConn returns the connection inside, for its peer's credentials.
func (g *guest) NetConn() net.Conn { return g.Conn }

// serve notes that a request of the guest is under way; done that it is not.
func (g *guest) serve() (done func()) {
	g.change(func() { g.busy++ })
	return func() { g.change(func() { g.busy-- }) }
}

// trust notes that the guest has shown credentials.
func (g *guest) trust() { g.change(func() { g.known = true }) }

func (g *guest) change(do func()) {
	if g == nil {
		return
	}
	g.from.mu.Lock()
	defer g.from.mu.Unlock()
	do()
}

// origin is who a connection is from. One host may have any address of an IPv6
// network of its own.
func origin(a net.Addr) netip.Addr {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	who := at.Addr().Unmap().WithZone("")
	if who.Is6() {
		if network, err := who.Prefix(64); err == nil {
			return network.Addr()
		}
	}
	return who
}

// guestKey is where a request's context has its guest.
type guestKey struct{}

// withGuest notes whose connection a request comes on.
func withGuest(ctx context.Context, c net.Conn) context.Context {
	if secured, ok := c.(*tls.Conn); ok {
		c = secured.NetConn()
	}
	if g, ok := c.(*guest); ok {
		return context.WithValue(ctx, guestKey{}, g)
	}
	return ctx
}

// guestOf is the connection that a request came on; nil, on which all does
// nothing, where it is not known.
func guestOf(ctx context.Context) *guest {
	g, _ := ctx.Value(guestKey{}).(*guest)
	return g
}
