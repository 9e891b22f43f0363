package entrypoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
	"github.com/pgbaton/pgbaton/notify"
)

const (
	// handoverWithin is how long a handover may take before its release, its
	// checkpoint not counted; after that the old primary undoes everything.
	handoverWithin = 10 * time.Second
	// prepareWithin is how long the checkpoint before a switchover may take:
	// clients are served meanwhile. That of a container which is to end has no
	// time of its own.
	prepareWithin = 5 * time.Minute
	// releaseWithin is how much time a target has, at the least, to receive the
	// shutdown checkpoint of a server that took long to write it.
	releaseWithin = 3 * time.Second
)

// leaveWithin bounds how long a standby that ends waits for its primary to
// take note; it has given its right to promote up by then.
const leaveWithin = 3 * time.Second

// Role answers what a peer asks (nodeapi.Roles): judged by the loop, durable
// before the reply leaves.
func (s *supervisor) Role(ctx context.Context, body []byte) ([]byte, error) {
	var q notify.Request
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, fmt.Errorf("read request: %w; nothing was done", err)
	}
	type result struct {
		reply notify.Reply
		err   error
	}
	done := make(chan result, 1)
	s.post(func() {
		reply, err := s.answerPeer(q)
		done <- result{reply, err}
	})
	r, err := await(ctx, s.mail, done)
	if err = errors.Join(err, r.err); err != nil {
		return nil, err
	}
	return json.Marshal(r.reply)
}

// roles is who answers peers, where there are any.
func (s *supervisor) roles() nodeapi.Roles {
	if !s.clustered() {
		return nil
	}
	return s
}

func (s *supervisor) answerPeer(q notify.Request) (notify.Reply, error) {
	if s.volume == nil || !s.cl.loaded {
		return notify.Reply{}, errors.New("this node has not looked at its volume yet; nothing was done")
	}
	s.decideRole() // the facts are those of this moment
	f := s.cl.facts
	reply, record := notify.Answer(f, q)
	if record != nil {
		if err := s.saveRole(record); err != nil {
			return notify.Reply{}, err
		}
	}
	if q.Ask == notify.AskDisarm && reply.Done {
		s.cl.token = randomID() // one that was given out before must not arm any more
	}
	if q.Ask == notify.AskPrepare && f.Self.Following == q.From {
		s.clearWay()
		s.cl.monitor.hurry(handoverWithin)
	}
	if q.Ask == notify.AskArm && !reply.Done {
		s.cl.monitor.hurry(time.Second) // what it refused by may be old
	}
	if q.Ask == notify.AskTake && reply.Done {
		s.cl.taken = q.Release
	}
	s.cl.fleet.Kick()
	s.log.Debug("role: a peer asked", "ask", string(q.Ask), "from", q.From, "done", reply.Done, "why", reply.Why)
	return reply, nil
}

// orderRole takes an operator's order about the role.
func (s *supervisor) orderRole(o node.Order) (func() (bool, error), error) {
	if !s.clustered() {
		return nil, fmt.Errorf("this node has no peers (PGBATON_PEERS), so there is nothing to %s; nothing was changed", o.Do)
	}
	if s.volume == nil || !s.cl.loaded {
		return nil, errors.New("this node has not looked at its volume yet; nothing was changed")
	}
	switch o.Do {
	case node.Switchover:
		return s.orderSwitchover(o)
	case node.Pause, node.Resume:
		return s.orderPause(o.Do == node.Pause)
	case node.Forget:
		return s.orderForget(o)
	}
	s.cl.order = notify.Order{Promote: o.Do == node.Promote, Alone: o.Do == node.Alone, Reclone: o.Do == node.Reclone, Force: o.Force}
	s.decideRole()
	unordered := s.cl.facts
	unordered.Order = notify.Order{}
	// What would be done anyhow is not done for the order.
	if v, anyhow := s.cl.verdict, notify.Decide(unordered); !effects[v.Do] || v.Do == anyhow.Do && v.Why == anyhow.Why {
		s.cl.order = notify.Order{}
		return nil, fmt.Errorf("%s; nothing was changed", v.Why)
	}
	return func() (bool, error) {
		if s.cl.order != (notify.Order{}) {
			return false, nil
		}
		return true, nil
	}, nil
}

func (s *supervisor) orderPause(pause bool) (func() (bool, error), error) {
	if s.cl.record == nil {
		return nil, errors.New("this node has no role record yet; nothing was changed")
	}
	next := *s.cl.record
	next.Paused = pause
	return func() (bool, error) { return true, nil }, s.saveRole(&next)
}

// orderSwitchover hands over to the heir, or to the standby that is named.
func (s *supervisor) orderSwitchover(o node.Order) (func() (bool, error), error) {
	r := s.cl.record
	switch {
	case r == nil || !r.Primary || r.Released != nil:
		if p, found := s.cl.facts.Primary(); found {
			return nil, fmt.Errorf("%s is the primary: give this order there; nothing was changed", p.State.Node)
		}
		return nil, errors.New("this node is not the primary; nothing was changed")
	case s.cl.handover != nil:
		return nil, errors.New("a handover is under way already; nothing was changed")
	case o.To == s.set.Node:
		return nil, errors.New("this node is the primary already; nothing was changed")
	}
	if why := s.cl.facts.NoTarget(o.To); why != "" {
		return nil, fmt.Errorf("%s; nothing was changed", why)
	}
	s.beginHandover(o.To, "an operator asked for a switchover", handoverWithin)
	h, epoch := s.cl.handover, r.Epoch
	return func() (bool, error) {
		switch {
		case s.cl.handover == h:
			return false, nil
		case s.cl.record.Epoch == epoch && s.cl.record.Released == nil:
			return true, errors.New(s.cl.undone)
		}
		p, found := s.cl.facts.Primary()
		return found && p.State.Cluster.Open && p.State.Cluster.Record.Epoch > epoch, nil
	}, nil
}

func (s *supervisor) beginHandover(target, why string, within time.Duration) {
	s.cl.undone = ""
	s.cl.handover = &notify.Handover{Operation: randomID(), Target: target, Deadline: time.Now().Add(within), Mark: s.cl.facts.Self.LSN, Why: why}
	s.wakeIn(within)
	s.cl.monitor.hurry(within)
}

// part begins what a container that ends owes its cluster: a primary hands
// over to its heir, a standby gives its right to promote up.
func (s *supervisor) part() {
	if !s.clustered() || !s.cl.partBy.IsZero() {
		return
	}
	within := s.set.StopGrace / 2
	if r := s.cl.record; r != nil && !r.Primary {
		within = min(within, leaveWithin)
	}
	s.cl.partBy = time.Now().Add(within)
	s.wakeIn(within)
	r := s.cl.record
	if r != nil && r.Primary && r.Released == nil && r.Heir != nil && s.server != nil && s.server.ready && s.cl.handover == nil {
		s.beginHandover("", "the container was asked to stop", within)
	}
}

// partHalted begins what a standby owes its cluster whose server is stopped or
// restarted on an operator's order: an heir gives its right to promote up first,
// so that no commit waits for it meanwhile.
func (s *supervisor) partHalted() {
	if s.clustered() && s.quits() {
		s.cl.haltBy = time.Now().Add(leaveWithin)
		s.wakeIn(leaveWithin)
		s.cl.fleet.Hurry(leaveWithin)
	}
}

// quits reports whether this node, or its standby server alone, is about to end.
func (s *supervisor) quits() bool {
	r := s.cl.record
	return s.wish.Ending || s.wish.Halted && s.server != nil && r != nil && !r.Primary
}

// parting reports whether the container's end, or that of a standby server
// alone, still waits for the role.
func (s *supervisor) parting() bool {
	by := s.cl.partBy
	if !s.wish.Ending && s.quits() {
		by = s.cl.haltBy
	}
	if by.IsZero() || !time.Now().Before(by) || s.cl.record == nil {
		return false
	}
	r := s.cl.record
	switch {
	case s.cl.handover != nil:
		return true
	case r.Primary && r.Released != nil:
		return !s.cl.facts.Beaten()
	}
	return !r.Primary && s.cl.verdict.Do != notify.Leave
}
