package simulate

import (
	"github.com/pgbaton/pgbaton/notify"
)

// act carries a verdict out as the docs of notify.Action say, with a moment at
// which the node may break before and after whatever is durable.
func (w *world) act(n *box, v notify.Verdict) {
	s := n.sup
	if s.job != nil && (s.job.do != v.Do || s.job.target != v.Target) {
		s.job = nil
	}
	if s.verdict.Do != v.Do || s.verdict.Why != v.Why {
		w.log("%s: %s %s: %s", n.name, v.Do, v.Target, v.Why)
	}
	s.verdict = v
	if v.Do != notify.Release && v.Record != nil && s.job == nil && !w.remember(n, v.Record) {
		return
	}
	if w.effect(n, v) && v.After != nil && !w.remember(n, v.After) {
		return
	}
	if v.Ordered && n.sup != nil {
		n.sup.order = notify.Order{}
	}
}

// effect reports whether the action is done.
func (w *world) effect(n *box, v notify.Verdict) bool {
	switch v.Do {
	case notify.Wait, notify.Hold, notify.Write, notify.Complete:
		return true
	case notify.Initialize:
		return w.initialize(n)
	case notify.Clone:
		return w.clone(n, v.Target)
	case notify.Recover:
		d := n.data // a standby that follows nobody replays all, and is stopped
		d.flushed, d.least, d.clean, d.primary, d.signal, d.follows = d.tip, d.tip.end, true, false, true, ""
		d.known = d.tip.tl
		return w.point(n)
	case notify.Rewind:
		w.rewind(n, v)
		return false
	case notify.SetAside:
		n.aside = append(n.aside, n.data.flushed)
		n.data, n.sup.loss = nil, nil
		return w.point(n)
	case notify.StartStandby:
		n.data.signal, n.data.follows, n.data.place = true, v.Target, n.sup.knows(v.Target)
		if w.point(n) {
			w.startServer(n, notify.ServerStandby, v.Timeline)
		}
	case notify.StartPrimary:
		n.data.signal, n.data.names, n.data.follows = false, v.Target, ""
		if w.point(n) {
			w.startServer(n, notify.ServerPrimary, 0)
		}
	case notify.Follow:
		w.retarget(n, v.Target)
	case notify.Stop, notify.StopForTarget:
		w.stopServer(n)
		n.data.signal = n.data.signal || v.Do == notify.StopForTarget
		n.sup.died = false
		w.point(n)
	case notify.Name:
		n.data.names, n.pg.names = v.Target, v.Target
		w.settleCommits(n)
	case notify.Unname:
		n.data.names, n.pg.names = "", ""
		n.sup.synced, n.sup.syncedLSN = "", 0
		w.settleCommits(n)
	case notify.Prove:
		w.prove(n, v.Target)
	case notify.Promote:
		w.promote(n)
	case notify.Undo:
		n.sup.handover = nil
	case notify.Release:
		w.release(n, v)
	case notify.Leave:
		w.leave(n)
	case notify.Register, notify.Claim:
		w.swap(n, v.Swap)
	case notify.AskForArming, notify.AskForDisarm, notify.AskForPrepare, notify.Tell:
		w.request(n, v)
	default:
		w.fail("%s: unknown action %q", n.name, v.Do)
	}
	return true
}

func (w *world) initialize(n *box) bool {
	n.data = &data{half: true}
	if !w.point(n) {
		return false
	}
	e := newCluster()
	n.data = &data{tip: e, flushed: e, clean: true, primary: true, known: e.tl}
	return w.point(n)
}

// prove is spec's proof in steps: commits wait for nobody, then for the heir;
// then a commit of this time has come back.
func (w *world) prove(n *box, heir string) {
	s := n.sup
	if s.job == nil {
		s.job = &job{do: notify.Prove, target: heir, from: n.pg}
	}
	if s.job.from != n.pg || n.pg.hung || n.pg.full {
		s.job = nil
		return
	}
	switch s.job.step++; s.job.step {
	case 1:
		s.synced, s.syncedLSN = "", 0
		n.data.names, n.pg.names = nobody, nobody
	case 2:
		n.data.names, n.pg.names = heir, heir
		s.job.lsn = n.data.append("probe").end
		w.settleCommits(n)
	default:
		w.settleCommits(n)
		if st := n.pg.out[heir]; st != nil && st.flush >= s.job.lsn {
			s.synced, s.syncedLSN, s.job = heir, s.job.lsn, nil
		} else if s.job.step > 30 {
			s.job = nil
		}
	}
}

func (w *world) promote(n *box) {
	if n.pg == nil || n.pg.hung {
		return
	}
	if w.rollIf(w.slow, 2, "WAL arrives before the promotion") == 1 {
		w.replicate(n)
	}
	w.retarget(n, "")
	if !w.point(n) || n.pg.mode != notify.ServerStandby {
		return
	}
	if n.pg.short(n.data).Name != "" {
		w.log("%s: promotion is not possible because of insufficient parameter settings", n.name)
		killing(w, n)
		return
	}
	n.pg.paused, n.pg.held = false, false // a promotion ends the first, Login.Promote the second
	w.becomePrimary(n)
	w.point(n)
}

func (w *world) release(n *box, v notify.Verdict) {
	n.data.signal = true
	if !w.remember(n, v.Record) {
		return
	}
	n.sup.handover, n.sup.died = nil, false
	w.request(n, notify.Verdict{Do: notify.Tell, Target: v.Target})
}

func (w *world) leave(n *box) {
	w.stopServer(n)
	w.log("%s: container ends", n.name)
	n.sup, n.up, n.vip, n.master, n.fuse = nil, false, false, false, -1
}
