package testbed

import (
	"sync"
	"time"
)

// outcome is what a writer knows about one of its rows.
type outcome uint8

const (
	inDoubt outcome = iota // sent, and no answer that proves anything: also while under way
	acked                  // the server said that it is committed
	failed                 // the server said that it is not, or it was never sent
)

// entry is one row that was tried; its place in the ledger is its number.
type entry struct {
	sent time.Duration // since the start of the load
	end  time.Duration // the same; 0 while under way
	out  outcome
}

// ledger is what one writer remembers. An entry is in doubt from before it is
// sent, so that a load that is cut off counts nothing as certain.
type ledger struct {
	began time.Time

	mu       sync.Mutex
	entries  []entry
	ackCount int
	done     time.Duration // when the writer ended; 0 while it writes
	refusals []refusal
	errors   []failure
}

// refusal is a connect that did not succeed.
type refusal struct{ at time.Duration }

// failure is the error of a connect or statement, for people.
type failure struct {
	at  time.Duration
	err error
}

func (l *ledger) begin(n int) {
	now := time.Since(l.began)
	l.mu.Lock()
	defer l.mu.Unlock()
	if n != len(l.entries) {
		panic("testbed: a row would be sent twice")
	}
	l.entries = append(l.entries, entry{sent: now})
}

func (l *ledger) end(n int, out outcome, err error) {
	now := time.Since(l.began)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries[n].end, l.entries[n].out = now, out
	if out == acked {
		l.ackCount++
	}
	l.note(now, err)
}

func (l *ledger) refused(err error) {
	now := time.Since(l.began)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusals = append(l.refusals, refusal{now})
	l.note(now, err)
}

// note keeps errors as long as they are few: a long outage repeats itself.
func (l *ledger) note(at time.Duration, err error) {
	const enough = 1000
	if err != nil && len(l.errors) < enough {
		l.errors = append(l.errors, failure{at, err})
	}
}

// close notes that the writer has ended: from here on nothing is missed.
func (l *ledger) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = time.Since(l.began)
}

func (l *ledger) acked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ackCount
}

func (l *ledger) lastError() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.errors) == 0 {
		return "none"
	}
	return l.errors[len(l.errors)-1].err.Error()
}
