package vrrp_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"
)

// prober asks every millisecond who answers at the virtual address.
type prober struct {
	mu      sync.Mutex
	answers []answer
}

type answer struct {
	got time.Time
	who string
}

func (b *bed) probe() *prober {
	b.t.Helper()
	p := &prober{}
	to, err := net.ResolveUDPAddr("udp4", b.vip+":9001")
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { cancel(); _ = conn.Close() })
	go func() {
		for ctx.Err() == nil {
			_, _ = conn.WriteToUDP([]byte("?"), to) // nobody there is an answer too
			time.Sleep(time.Millisecond)
		}
	}()
	go func() {
		buf := make([]byte, 64)
		for {
			n, _, err := conn.ReadFromUDP(buf)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				p.mu.Lock()
				p.answers = append(p.answers, answer{got: time.Now(), who: string(buf[:n])})
				p.mu.Unlock()
			}
		}
	}()
	return p
}

// first returns when a node answered first after a moment.
func (p *prober) first(t *testing.T, who string, after time.Time) time.Time {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		p.mu.Lock()
		for i := len(p.answers) - 1; i >= 0 && p.answers[i].got.After(after); i-- {
			if p.answers[i].who == who && (i == 0 || !p.answers[i-1].got.After(after) || p.answers[i-1].who != who) {
				at := p.answers[i].got
				p.mu.Unlock()
				return at
			}
		}
		p.mu.Unlock()
	}
	t.Fatalf("%s did not answer within %v", who, patience)
	return time.Time{}
}

// longest is the longest time without an answer between two moments.
func (p *prober) longest(from, to time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	last, worst := from, time.Duration(0)
	for _, a := range p.answers {
		if a.got.After(from) && a.got.Before(to) {
			worst, last = max(worst, a.got.Sub(last)), a.got
		}
	}
	return max(worst, to.Sub(last))
}
