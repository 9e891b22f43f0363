package clustertest

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// stage is a cluster of two in the middle of a change of roles.
type stage struct {
	t        *testing.T
	r        *rand.Rand
	c        *testbed.Cluster
	old, new *testbed.Node   // the primary and its armed heir before the change
	victim   *testbed.Node   // the one of them that is to stand still
	ctx      context.Context // over once it does
	undo     []func()
	ordered  sync.WaitGroup
}

// until waits for something, no longer than until the victim stands still. A
// machine that is too busy may take another way: that fails nothing here.
func (s *stage) until(ok func([]testbed.View) bool) bool {
	ctx, cancel := context.WithTimeout(s.ctx, long)
	defer cancel()
	_, err := s.c.Until(ctx, "the change is through", ok)
	return err == nil
}

func (s *stage) untilWhole() { s.until(s.c.Whole) }

func (s *stage) untilPrimary(n *testbed.Node) {
	s.until(func(views []testbed.View) bool { return viewOf(views, n).Primary() })
}

func viewOf(views []testbed.View, n *testbed.Node) (of testbed.View) {
	for _, v := range views {
		if v.Node == n {
			of = v
		}
	}
	return of
}

// order gives an order until it is carried out, or the victim stands still. It
// may be refused for good where a busy machine has changed the roles before.
func (s *stage) order(n *testbed.Node, args ...string) {
	ctx, cancel := context.WithTimeout(s.ctx, long)
	defer cancel()
	for ctx.Err() == nil {
		r, err := n.TryDo(ctx, testbed.Command{Args: append([]string{"pgbaton"}, append(args, "--no-wait")...)})
		if err == nil && r.Code == 0 {
			return
		}
	}
}

// stop is docker stop and start: one that stands still there ends by what the
// test does to it, which may take the container away, or start it again, before
// docker stop has seen its end.
func (s *stage) stop(n *testbed.Node) {
	ended, id := make(chan struct{}), n.ID
	s.ordered.Go(func() {
		defer close(ended)
		ctx, cancel := context.WithTimeout(s.t.Context(), 2*long)
		defer cancel()
		_, _ = testbed.Docker(ctx, "stop", "-t", "60", id)
	})
	select {
	case <-ended:
		n.Start()
	case <-s.ctx.Done():
	}
}

// change is one way in which roles change.
type change struct {
	name   string
	before func(*stage) // what has to have happened already; nil: nothing
	do     func(*stage)
}

func changes() []change {
	return []change{
		{"switchover", nil, func(s *stage) { s.order(s.old, "switchover", "--yes"); s.untilPrimary(s.new); s.untilWhole() }},
		{"proof of death", nil, func(s *stage) { s.old.KillPostmaster(); s.untilPrimary(s.new); s.untilWhole() }},
		{"promotion on silence", nil, func(s *stage) { s.old.Kill9(); s.untilPrimary(s.new) }},
		{"return of a killed primary", func(s *stage) { s.old.Kill9(); becomes(s.c, s.new) }, func(s *stage) { s.old.Start(); s.untilWhole() }},
		{"return by a rewind", func(s *stage) {
			s.undo = append(s.undo, s.c.Isolate(s.old, false))
			becomes(s.c, s.new)
		}, func(s *stage) { s.undo[0](); s.untilWhole() }},
		{"return with a pid file", func(s *stage) { // as a container leaves it that is killed after the shutdown checkpoint
			heal := s.c.Isolate(s.old, false)
			becomes(s.c, s.new)
			pidFile := leavePidFile(s.t, s.old)
			s.old.Kill9()
			s.old.Write(pidFile)
			heal()
		}, func(s *stage) { s.old.Start(); s.untilWhole() }},
		{"docker stop of the primary", nil, func(s *stage) { s.stop(s.old); s.untilWhole() }},
		{"docker stop of the heir", nil, func(s *stage) { s.stop(s.new); s.untilWhole() }},
		{"pause and resume", nil, func(s *stage) {
			heir := s.new
			s.undo = append(s.undo, func() { // who paused it comes back to resume it
				heir.Eventually(2*long, heir.Host+" takes the order to resume", func() bool {
					r, err := heir.TryDo(s.t.Context(), testbed.Command{Args: []string{"pgbaton", "resume", "--no-wait", "--yes"}})
					return err == nil && r.Code == 0
				})
			})
			s.order(s.new, "pause", "--yes")
			s.until(func(views []testbed.View) bool {
				v := viewOf(views, s.old)
				return v.Primary() && v.State.Cluster.Record.Heir == nil
			})
			s.order(s.new, "resume", "--yes")
			s.untilWhole()
		}},
		{"new copy on order", nil, func(s *stage) {
			s.order(s.new, "reclone", "--yes")
			s.until(func(views []testbed.View) bool {
				v := viewOf(views, s.new)
				return v.Err == nil && v.State.Cluster.Building
			})
			s.untilWhole()
		}},
		{"copy of a lost volume", func(s *stage) { s.new.Kill9(); lose(s.t, s.new) }, func(s *stage) { s.new.Start(); s.untilWhole() }},
		{"start of all", func(s *stage) { s.old.Kill9(); s.new.Kill9() }, func(s *stage) { s.c.Start(); s.untilWhole() }},
		{"start of the heir first", func(s *stage) { s.old.Kill9(); s.new.Kill9() }, func(s *stage) {
			s.new.Start()
			s.until(func(views []testbed.View) bool { return viewOf(views, s.new).State.Ready })
			s.old.Start()
			s.untilWhole()
		}},
		{"new supervisor", nil, func(s *stage) {
			was := viewOf(s.c.Views(s.t.Context()), s.victim).State.Cluster
			s.victim.KillSupervisor()
			s.until(func(views []testbed.View) bool {
				v := viewOf(views, s.victim)
				return v.Err == nil && v.State.Cluster != nil && (was == nil || v.State.Cluster.Instance != was.Instance) && s.c.Whole(views)
			})
		}},
	}
}
