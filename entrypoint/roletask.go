package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/notify"
)

const (
	// requestWithin bounds a request to a peer.
	requestWithin = time.Second
	// proveWithin bounds the proof that commits wait; they wait meanwhile.
	proveWithin = 3 * time.Second
	// taskPause is the pause before a task is tried again, which grows up to
	// taskPauseMax while it fails.
	taskPause    = 100 * time.Millisecond
	taskPauseMax = time.Second
	// taskSaid is how often it is said again that a task fails, and why where the
	// reason is another one than the last.
	taskSaid   = time.Minute
	taskReason = 10 * time.Second
	// tellPause is the pause before a node that took the right to open is told of
	// it again: it has better things to do than to answer.
	tellPause = 500 * time.Millisecond
)

// task is a part of a change of roles that runs beside the loop and leaves it
// free to decide anew: at most one, given up when something else is decided.
type task struct {
	do     notify.Action
	target string
	cancel context.CancelFunc // nil: none runs
	given  bool               // something else was decided meanwhile: its result is dropped
	again  time.Time          // not before this
	failed failing
}

// failing is what keeps going wrong.
type failing struct {
	times int       // in a row
	what  string    // the reason that was logged last
	said  time.Time // when
}

// again notes that what went wrong once more, and tells how long to wait before
// the next try, and whether it is worth a line in the log.
func (f *failing) again(what string, now time.Time) (pause time.Duration, say bool) {
	pause = min(taskPause<<min(f.times, 10), taskPauseMax)
	f.times++
	quiet := now.Sub(f.said)
	say = f.times == 1 || quiet >= taskSaid || what != f.what && quiet >= taskReason
	if say {
		f.what, f.said = what, now
	}
	return pause, say
}

// begin starts the task unless it runs already. Where another one runs, that
// one is given up first. do's result is applied by the loop.
func (s *supervisor) begin(v notify.Verdict, within time.Duration, do func(ctx context.Context) (func(), error)) {
	t := &s.cl.task
	if t.cancel != nil {
		if t.do != v.Do || t.target != v.Target {
			t.given = true
			t.cancel()
		}
		return
	}
	if wait := time.Until(t.again); wait > 0 && t.do == v.Do && t.target == v.Target {
		s.wakeIn(wait)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	former := *t
	*t = task{do: v.Do, target: v.Target, cancel: cancel}
	if former.do == v.Do && former.target == v.Target {
		t.failed = former.failed
	}
	go func() {
		apply, err := do(ctx)
		cancel()
		s.post(func() {
			given := s.cl.task.given
			s.cl.task.cancel, s.cl.task.again, s.cl.task.given = nil, time.Time{}, false
			switch {
			case given:
				return
			case err != nil:
				s.taskFailed(v, err)
			default:
				s.cl.task.failed = failing{}
				apply()
			}
		})
	}()
}

func (s *supervisor) taskFailed(v notify.Verdict, err error) {
	t := &s.cl.task
	pause, say := t.failed.again(err.Error(), time.Now())
	t.again = time.Now().Add(pause)
	s.wakeIn(pause)
	if say {
		s.log.Warn("role: "+string(v.Do)+" "+v.Target, "error", err, "tries", t.failed.times)
	}
}

// login is the supervisor's way to SQL now.
func (s *supervisor) login() (pg.Login, error) {
	if s.server == nil || !s.server.ready || s.server.file.SocketDir == "" {
		return pg.Login{}, errors.New("the server takes no SQL now")
	}
	return s.server.door.Use(s.access().login("")), nil
}

// withLogin begins a task that needs SQL.
func (s *supervisor) withLogin(v notify.Verdict, within time.Duration, do func(context.Context, pg.Login) (func(), error)) {
	l, err := s.login()
	s.begin(v, within, func(ctx context.Context) (func(), error) {
		if err != nil {
			return nil, err
		}
		return do(ctx, l)
	})
}

// prove proves that commits wait for the heir.
func (s *supervisor) prove(v notify.Verdict) {
	s.cl.names = true
	srv := s.server
	s.withLogin(v, proveWithin, func(ctx context.Context, l pg.Login) (func(), error) {
		at, err := l.ProveSync(ctx, v.Target)
		durable.Point("prove", "done")
		return func() {
			if s.server == srv && heirOf(s.cl.record) == v.Target {
				s.cl.synced, s.cl.syncedAt = v.Target, at
			}
		}, err
	})
}

// know changes what the server said last by what was done to it since.
func (c *clustering) know(change func(*pg.Replication)) {
	if c.repl != nil {
		r := *c.repl
		change(&r)
		c.repl = &r
	}
}

// request is what this node, as a primary, asks of a peer.
func (s *supervisor) request(ask notify.Ask) notify.Request {
	r := s.cl.record
	return notify.Request{
		Ask: ask, Cluster: s.set.Cluster, From: s.set.Node,
		Epoch: r.Epoch, Promotion: r.Newest().ID, Release: r.Released,
	}
}

// askPeer sends a request to the verdict's target, once first is done, and
// applies a reply that says that it was done.
func (s *supervisor) askPeer(v notify.Verdict, q notify.Request, first func(context.Context) error, apply func()) {
	address := ""
	if p, found := s.cl.facts.Named(v.Target); found {
		address, q.Token = p.Address, p.State.Cluster.Token
	}
	f := s.cl.fleet
	within := requestWithin
	if first != nil {
		within = prepareWithin
	}
	s.begin(v, within, func(ctx context.Context) (func(), error) {
		if address == "" {
			return nil, fmt.Errorf("%s is not known any more", v.Target)
		}
		if first != nil {
			if err := first(ctx); err != nil {
				return nil, err
			}
		}
		ctx, cancel := context.WithTimeout(ctx, requestWithin)
		defer cancel()
		var reply notify.Reply
		if err := f.Ask(ctx, address, q, &reply); err != nil {
			return nil, err
		}
		f.Kick()
		if newer := reply.Record; newer != nil && newer.Epoch > q.Epoch {
			return func() {}, nil // it has acted already, and its next answer says how
		}
		if !reply.Done {
			return nil, errors.New(v.Target + " refuses: " + reply.Why)
		}
		return apply, nil
	})
}

// follow lets the running standby stream from another node.
func (s *supervisor) follow(v notify.Verdict) {
	set, at, err := s.sourceSettings(v.Target)
	srv := s.server
	s.withLogin(v, requestWithin*5, func(ctx context.Context, l pg.Login) (func(), error) {
		if err != nil {
			return nil, err
		}
		err := l.SetAuto(ctx, set)
		durable.Point("follow", "done")
		return func() {
			if s.server == srv {
				s.cl.follows, s.cl.source, s.cl.flowed = v.Target, at, time.Now()
				s.cl.know(func(r *pg.Replication) { r.Receiver = nil })
				s.cl.monitor.hurry(time.Second)
				s.remember()
			}
		}, err
	})
}
