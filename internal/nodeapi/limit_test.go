package nodeapi

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"testing"
	"time"
)

// Anybody may open connections and say nothing. Peers and balancers get in all
// the same, and a peer's connection, once it has shown the token, stays.
func TestConnectionsThatSayNothingKeepNobodyOut(t *testing.T) {
	t.Parallel()
	s, _ := serve(t, Config{Token: testToken})
	address := s.TCPAddr().String()
	known := NewPeer(address, testToken)
	defer known.Close()
	ask := func(who string, p *Peer) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if _, err := p.State(ctx); err != nil {
			t.Fatalf("%s: %v", who, err)
		}
	}
	ask("a peer before", known)
	begun := time.Now()
	silent := make([]net.Conn, maxConns)
	for i := range silent {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		silent[i] = c
	}
	ask("the same peer", known)
	fresh := NewPeer(address, testToken)
	defer fresh.Close()
	ask("another peer", fresh)
	client := &http.Client{Timeout: 30 * time.Second}
	resp, err := client.Get("http://" + address + "/liveness")
	if err != nil {
		t.Fatalf("a balancer: %v", err)
	}
	_ = resp.Body.Close()
	ended := 0
	for _, c := range silent {
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			ended++
		}
	}
	if took := time.Since(begun); ended > 10 && took < headerTime {
		t.Errorf("%d of %d had to end for four questions, after %s", ended, len(silent), took)
	} else if took >= headerTime {
		t.Logf("a machine too busy to tell: all who say nothing end after %s, and this took %s", headerTime, took)
	}
}

func TestWhoIsSentAwayForTheNextConnection(t *testing.T) {
	t.Parallel()
	at := func(ip string) netip.Addr { return origin(&net.TCPAddr{IP: net.ParseIP(ip), Port: 1}) }
	one, two, six := at("10.0.0.1"), at("10.0.0.2"), at("2001:db8::1")
	if six != at("2001:db8::ffff") || six == at("2001:db8:0:1::1") || at("::ffff:10.0.0.1") != one {
		t.Errorf("one host's addresses are not taken for one: %v", six)
	}
	for name, guests := range map[string][]*guest{ // the last one goes
		"one that shows nothing":            {{who: two, known: true}, {who: one}},
		"of whoever has the most":           {{who: one}, {who: two, known: true}, {who: two}},
		"not one that asks something":       {{who: two, busy: 1}, {who: two, busy: 1}, {who: one}},
		"not one that has shown the token":  {{who: two, known: true}, {who: two, known: true}, {who: one, busy: 1}},
		"where all have, one that is quiet": {{who: one, known: true, busy: 1}, {who: two, known: true}},
	} {
		if got := leastMissed(guests); got != guests[len(guests)-1] {
			t.Errorf("%s: %+v goes", name, got)
		}
	}
	same := []*guest{{who: one}, {who: one}}
	if leastMissed(same) != same[0] {
		t.Error("it is not the oldest that goes")
	}
}

func TestNoMoreConnectionsAreOpenThanAllowedAndAClosedOneMakesRoom(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limitConns(inner, 2).(*guestListener)
	defer func() { _ = l.Close() }()
	next := func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		got, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first, second := next(), next()
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	third := next()
	if len(l.guests) != 2 || l.guests[0] != first || l.guests[1] != third {
		t.Errorf("%d are open", len(l.guests))
	}
	fourth := next()
	if len(l.guests) != 2 || l.guests[0] != third || l.guests[1] != fourth {
		t.Error("it is not the oldest that went")
	}
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Error("who was sent away is connected still")
	}
	_ = first.Close() // a second time: nobody else leaves for it
	if len(l.guests) != 2 {
		t.Error("a connection that was closed twice took another one along")
	}
}
