package simulate

import "github.com/pgbaton/pgbaton/notify"

// request is a verdict's question to another node.
func (w *world) request(n *box, v notify.Verdict) {
	r := n.record
	q := notify.Request{Cluster: "main", From: n.name, Epoch: r.Epoch, Promotion: r.Newest().ID}
	switch v.Do {
	case notify.AskForArming:
		q.Ask, q.LSN, q.Arbiter, q.Right = notify.AskArm, n.sup.syncedLSN, r.Heir.Arbiter, r.Heir.Right
		if got := n.sup.seen[v.Target]; got != nil && got.state != nil {
			q.Token = got.state.Cluster.Token
		}
	case notify.AskForDisarm:
		q.Ask = notify.AskDisarm
	case notify.AskForPrepare:
		q.Ask = notify.AskPrepare
	default:
		q.Ask, q.Release = notify.AskTake, r.Released
	}
	n.sup.disarmed = ""
	w.ask(n, w.box(v.Target), q, func(reply notify.Reply) {
		switch {
		case !reply.Done:
		case q.Ask == notify.AskDisarm:
			n.sup.disarmed = v.Target
		case q.Ask == notify.AskPrepare && n.sup.handover != nil:
			n.sup.handover.Prepared, n.sup.handover.Target = true, v.Target
		}
	})
}

// answer is the other side of a request.
func (w *world) answer(n *box, q notify.Request) (notify.Reply, bool) {
	if !n.up || n.sup == nil {
		return notify.Reply{}, false
	}
	reply, next := notify.Answer(w.facts(n), q)
	if next != nil && !w.remember(n, next) {
		return notify.Reply{}, false
	}
	switch {
	case !reply.Done:
	case q.Ask == notify.AskDisarm:
		n.sup.token = w.fresh("token")
	case q.Ask == notify.AskTake:
		n.sup.taken = q.Release
	}
	n.publish(w)
	w.log("%s: %s of %s: %s", n.name, q.Ask, q.From, reply.Why)
	return reply, true
}
