package main

import (
	"fmt"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// side is one of the two that are compared.
type side struct {
	name   string
	image  string
	volume string // where its users mount it
	env    map[string]string
}

// token opens /v1 on TCP: its calls count like those of the health paths.
const token = "bench-bench-bench-bench-bench-bench"

func sides(o options) (ours, theirs side) {
	ours = side{
		"pgbaton", o.ours, "/var/lib/postgresql",
		map[string]string{"POSTGRES_PASSWORD": "bench", "PGBATON_TOKEN": token},
	}
	theirs = side{"shell entrypoint", o.theirs, "/var/lib/postgresql", map[string]string{"POSTGRES_PASSWORD": "bench"}}
	if o.major < 18 { // as the official image has it
		theirs.volume += "/data"
	}
	return ours, theirs
}

// spec is a container of this side on a volume.
func (s side) spec(v *testbed.Volume) testbed.Spec {
	return testbed.Spec{
		Image: s.image, Env: s.env, Mounts: []testbed.Mount{v.At(s.volume)},
		ShmSize: 256 << 20, Stop: time.Minute,
	}
}

// run starts a container on a new volume and waits until it is ready.
func (s side) run(tb testbed.TB) *testbed.Container {
	c := testbed.Run(tb, s.spec(testbed.NewVolume(tb)))
	c.WaitReady(2 * time.Minute)
	return c
}

// inTurn does something for both sides; who is first alternates.
func inTurn(round int, ours, theirs side, do func(side)) {
	if round%2 == 0 {
		do(ours)
		do(theirs)
		return
	}
	do(theirs)
	do(ours)
}

// list prints a container's processes.
func list(s side, c *testbed.Container) {
	fmt.Printf("\nprocesses of %s (%s): pid, parent, state, uid, anonymous memory\n", s.name, s.image)
	for _, p := range c.Processes() {
		fmt.Println(" ", p)
	}
}
