package testbed

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// State is what the engine knows about a container.
type State struct {
	Status       string // created, running, paused, restarting, exited, dead
	Running      bool
	PID          int // of PID 1, on the host; 0 when not running
	ExitCode     int
	OOMKilled    bool
	Error        string // why it could not start
	Health       string // healthy, unhealthy, starting; empty without a health check
	RestartCount int    // by the restart policy
	StartedAt    time.Time
	FinishedAt   time.Time
	Addr         string // of the container in its (first) network; empty when not running
	ImageID      string
	Volumes      map[string]string // mount point → named or anonymous volume
}

// Inspect asks the engine about the container.
func (c *Container) Inspect() State {
	c.tb.Helper()
	ctx, cancel := c.context(0)
	defer cancel()
	s, err := c.inspect(ctx)
	c.must(err, "inspect container")
	return s
}

func (c *Container) inspect(ctx context.Context) (State, error) {
	var in struct {
		Image        string
		RestartCount int
		State        struct {
			Status                string
			Running, OOMKilled    bool
			Pid, ExitCode         int
			Error                 string
			StartedAt, FinishedAt time.Time
			Health                *struct{ Status string }
		}
		NetworkSettings struct {
			Networks map[string]struct{ IPAddress string }
		}
		Mounts []struct{ Type, Name, Destination string }
	}
	if err := c.docker.call(ctx, http.MethodGet, c.path("json"), nil, nil, &in); err != nil {
		return State{}, err
	}
	s := State{
		Status: in.State.Status, Running: in.State.Running, PID: in.State.Pid, ExitCode: in.State.ExitCode,
		OOMKilled: in.State.OOMKilled, Error: in.State.Error, RestartCount: in.RestartCount,
		StartedAt: in.State.StartedAt, FinishedAt: in.State.FinishedAt, ImageID: in.Image,
		Volumes: map[string]string{},
	}
	if in.State.Health != nil {
		s.Health = in.State.Health.Status
	}
	for _, n := range in.NetworkSettings.Networks {
		s.Addr = n.IPAddress
	}
	for _, m := range in.Mounts {
		if m.Type == "volume" {
			s.Volumes[m.Destination] = m.Name
		}
	}
	return s, nil
}

// WaitHealth waits for the engine's health check to say status.
func (c *Container) WaitHealth(status string, timeout time.Duration) {
	c.tb.Helper()
	c.Eventually(timeout, "health is "+status, func() bool { return c.Inspect().Health == status })
}

// Eventually looks every 20 ms until ok is true, and ends the test after
// timeout.
func (c *Container) Eventually(timeout time.Duration, what string, ok func() bool) {
	c.tb.Helper()
	Eventually(c.tb, timeout, fmt.Sprintf("%s: %s", c.Name, what), ok)
}

// Eventually looks every 20 ms until ok is true, and ends the test after
// timeout.
func Eventually(tb TB, timeout time.Duration, what string, ok func() bool) {
	tb.Helper()
	deadline := time.Now().Add(timeout)
	for !ok() {
		if time.Now().After(deadline) {
			tb.Fatalf("after %v not yet so: %s", timeout, what)
		}
		select {
		case <-tb.Context().Done():
			tb.Fatalf("interrupted while waiting: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
