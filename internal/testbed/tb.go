package testbed

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
)

// TB is the part of testing.TB that the testbed needs, so that programs can
// use it as well as tests: see Program.
type TB interface {
	Helper()
	Name() string
	Context() context.Context
	Cleanup(func())
	Failed() bool
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Program runs f outside of a test, undoes what f registered with Cleanup in
// reverse order, and returns the exit code: 1 if f called Fatalf, 130 if it
// was interrupted. Interrupts cancel f's context, so cleanups still run.
func Program(name string, f func(TB)) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p := &program{name: name, ctx: ctx}
	done := make(chan struct{})
	go func() { // of its own, so that Fatalf can end it and nothing else
		defer close(done)
		defer p.cleanup()
		f(p)
	}()
	<-done
	switch {
	case ctx.Err() != nil:
		return 130
	case p.Failed():
		return 1
	}
	return 0
}

type program struct {
	name     string
	ctx      context.Context
	mu       sync.Mutex
	failed   bool
	cleanups []func()
}

func (p *program) Helper()                  {}
func (p *program) Name() string             { return p.name }
func (p *program) Context() context.Context { return p.ctx }

func (p *program) Cleanup(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cleanups = append(p.cleanups, f)
}

func (p *program) Failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

func (p *program) Logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

func (p *program) Fatalf(format string, args ...any) {
	defer runtime.Goexit()
	if p.ctx.Err() != nil { // whatever failed, failed because of that
		p.Logf("%s: interrupted", p.name)
		return
	}
	p.mu.Lock()
	p.failed = true
	p.mu.Unlock()
	p.Logf(p.name+": "+format, args...)
}

func (p *program) cleanup() {
	for {
		p.mu.Lock()
		n := len(p.cleanups)
		if n == 0 {
			p.mu.Unlock()
			return
		}
		f := p.cleanups[n-1]
		p.cleanups = p.cleanups[:n-1]
		p.mu.Unlock()
		f()
	}
}
