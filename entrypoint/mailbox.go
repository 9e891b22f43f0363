package entrypoint

import (
	"context"
	"errors"
	"sync"
)

// errEnded is what whoever waits for the loop hears once it has ended.
var errEnded = errors.New("the container ends; nothing was done")

// mailbox holds what others have for the loop. Nobody who puts something in ever
// waits: many hold a lock meanwhile that the loop, or the end of the container,
// needs. What comes after the loop's end is dropped.
type mailbox struct {
	bell chan struct{} // has room for one: look in
	over chan struct{} // closed when the loop has ended

	mu   sync.Mutex
	list []func()
	shut bool
}

func newMailbox() *mailbox {
	return &mailbox{bell: make(chan struct{}, 1), over: make(chan struct{})}
}

// put leaves a closure for the loop.
func (m *mailbox) put(event func()) {
	m.mu.Lock()
	if !m.shut {
		m.list = append(m.list, event)
	}
	m.mu.Unlock()
	m.ring()
}

// ring has the loop look anew. However often that happens meanwhile, it looks
// once.
func (m *mailbox) ring() {
	select {
	case m.bell <- struct{}{}:
	default:
	}
}

// next takes the oldest closure out, nil where there is none, and rings again
// for what is left.
func (m *mailbox) next() (event func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.list) == 0 {
		return nil
	}
	event, m.list[0] = m.list[0], nil
	if m.list = m.list[1:]; len(m.list) > 0 {
		m.ring()
	} else {
		m.list = nil
	}
	return event
}

// close drops what is left and whatever comes.
func (m *mailbox) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.shut {
		m.shut, m.list = true, nil
		close(m.over)
	}
}

// await waits for what the loop answers, for as long as ctx and the loop last.
func await[T any](ctx context.Context, m *mailbox, answer <-chan T) (got T, err error) {
	select {
	case got = <-answer:
		return got, nil
	case <-ctx.Done():
		return got, ctx.Err()
	case <-m.over:
	}
	select { // it may have been the loop's last word
	case got = <-answer:
		return got, nil
	default:
		return got, errEnded
	}
}
