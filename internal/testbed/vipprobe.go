package testbed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// Probe asks, from this machine, again and again who answers at an address.
// Every question is a TCP connection of its own: where the address has moved,
// only gratuitous ARP lets the next one arrive.
type Probe struct {
	addr  string
	every time.Duration
	ask   bool
	net   *Network

	stop    context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	answers []Answer
}

// Answer is what became of one question.
type Answer struct {
	Asked, Ended time.Time
	Who          string // host name of the container, or its hardware address; empty: no answer
	Err          error
}

// Span is a time in which one node answered, or none.
type Span struct {
	From, To time.Time // when its first question was asked and its last one ended
	Who      string    // empty: nobody
	Count    int       // questions
	Err      error     // of the first, where nobody answered
}

func (s Span) String() string {
	who := s.Who
	if who == "" {
		who = fmt.Sprintf("nobody (%v)", s.Err)
	}
	return fmt.Sprintf("%s for %s", who, ms(s.To.Sub(s.From)))
}

// probePatience is how long one question may last: longer than a client on
// the same network would wait, so that a stopped server is seen as such.
const probePatience = 100 * time.Millisecond

// Probe begins to ask at port 5432 of an address, usually a VIP. With ask a
// question is one of PostgreSQL's protocol, which the server has to answer;
// without, the kernel alone may accept the connection, also for a server that
// hangs. It ends with the test, or by Stop.
func (n *Network) Probe(addr string, every time.Duration, ask bool) *Probe {
	ctx, stop := context.WithCancel(n.tb.Context())
	p := &Probe{addr: addr, every: every, ask: ask, net: n, stop: stop}
	p.running.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			p.running.Go(func() { p.question(ctx) }) // beside those under way
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	n.tb.Cleanup(p.Stop)
	return p
}

// Stop ends the probe; what it has seen stays.
func (p *Probe) Stop() {
	p.stop()
	p.running.Wait()
}

func (p *Probe) question(ctx context.Context) {
	a := Answer{Asked: time.Now()}
	a.Err = p.reach(ctx)
	a.Ended = time.Now()
	if ctx.Err() != nil {
		return // cut off by Stop: not the address's fault
	}
	if a.Err == nil {
		a.Who = p.net.neighbour(p.addr)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers = append(p.answers, a)
}

func (p *Probe) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(p.addr, "5432"))
	if err != nil {
		return err
	}
	defer conn.Close()
	if !p.ask {
		return nil
	}
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	// SSLRequest: a length, and a number that is no version
	// (https://www.postgresql.org/docs/current/protocol-message-formats.html).
	if _, err := conn.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil {
		return err
	}
	word := make([]byte, 1)
	if _, err = conn.Read(word); err == nil && word[0] != 'S' && word[0] != 'N' {
		err = errors.New("not PostgreSQL's answer")
	}
	return err
}

// Answers returns what became of the questions, in the order of asking.
func (p *Probe) Answers() []Answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.Clone(p.answers)
	slices.SortFunc(all, func(a, b Answer) int { return a.Asked.Compare(b.Asked) })
	return all
}

// Holder is who answered last, and when; empty before the first answer.
func (p *Probe) Holder() (who string, at time.Time) {
	all := p.Answers()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Err == nil {
			return all[i].Who, all[i].Ended
		}
	}
	return "", time.Time{}
}

// Away is the longest time between two answers that touches from..to, and so
// at least the probe's own pace. Without any answer it is the whole time.
func (p *Probe) Away(from, to time.Time) time.Duration {
	var times []time.Duration
	for _, a := range p.Answers() {
		if a.Err == nil {
			times = append(times, a.Ended.Sub(from))
		}
	}
	slices.Sort(times)
	return longestGap(times, 0, to.Sub(from))
}

// Spans tells the history: who answered when.
func (p *Probe) Spans() []Span {
	var all []Span
	for _, a := range p.Answers() {
		if n := len(all); n == 0 || all[n-1].Who != a.Who {
			all = append(all, Span{From: a.Asked, Who: a.Who, Err: a.Err})
		}
		last := &all[len(all)-1]
		last.To = a.Ended
		last.Count++
	}
	return all
}

func (p *Probe) String() string {
	var words []string
	for _, s := range p.Spans() {
		words = append(words, s.String())
	}
	return strings.Join(words, ", then ")
}
