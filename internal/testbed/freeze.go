package testbed

import (
	"context"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// Pause freezes every process of the container; Unpause lets them go on.
func (c *Container) Pause() {
	c.tb.Helper()
	ctx, cancel := c.context(0)
	defer cancel()
	for {
		err := c.order(ctx, "pause")
		// On a busy machine the engine's runtime gives up too early.
		if err == nil || !strings.Contains(err.Error(), "unable to freeze") || ctx.Err() != nil {
			c.must(err, "pause container")
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Unpause ends Pause.
func (c *Container) Unpause() {
	c.tb.Helper()
	ctx, cancel := c.context(0)
	defer cancel()
	c.must(c.order(ctx, "unpause"), "unpause container")
}

func (c *Container) order(ctx context.Context, what string) error {
	return c.docker.call(ctx, http.MethodPost, c.path(what), nil, nil, nil)
}

// Freeze stops a process with SIGSTOP; undo lets it go on, if it still lives.
func (c *Container) Freeze(p Process) (undo func()) {
	c.tb.Helper()
	c.Signal(p, syscall.SIGSTOP)
	return func() {
		c.tb.Helper()
		c.Signal(p, syscall.SIGCONT)
	}
}

// PauseFor freezes the whole container for a time, as `docker pause` and
// unpause do.
func (c *Container) PauseFor(d time.Duration) {
	c.tb.Helper()
	c.Pause()
	select {
	case <-time.After(d):
	case <-c.tb.Context().Done():
	}
	c.Unpause()
}
