package main

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// trial is a TB of which a failure ends only what runs in it: what a peer
// cannot do is a result, and no reason to measure nothing more.
type trial struct {
	testbed.TB
	cleanups []func()
	failure  string
}

// try runs f, undoes what f registered with Cleanup, and returns the first
// line of what it failed with; empty: nothing.
func try(tb testbed.TB, f func(testbed.TB)) (failure string) {
	t := &trial{TB: tb}
	done := make(chan struct{})
	go func() { // of its own, so that Fatalf can end it
		defer close(done)
		defer t.cleanup()
		f(t)
	}()
	<-done
	first, _, _ := strings.Cut(t.failure, "\n")
	return first
}

func (t *trial) Failed() bool     { return t.failure != "" }
func (t *trial) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

func (t *trial) Fatalf(format string, args ...any) {
	failure := fmt.Sprintf(format, args...)
	t.Logf("bench: %s", failure)
	if t.failure == "" { // what fails after it, fails because of it
		t.failure = failure
	}
	runtime.Goexit()
}

// cleanup goes on with the next one also where one of them fails.
func (t *trial) cleanup() {
	if n := len(t.cleanups); n > 0 {
		f := t.cleanups[n-1]
		t.cleanups = t.cleanups[:n-1]
		defer t.cleanup()
		f()
	}
}
