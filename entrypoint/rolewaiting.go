package entrypoint

import (
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/whole"
)

// waitsAfter is for how long commits have to be stuck before it is said that
// they wait: a handover and an arming hold them up for less.
const waitsAfter = time.Second

// stuck is what the latest look at an open primary showed of its commits.
type stuck struct {
	since  time.Time // nothing was confirmed since; zero: it is
	oldest time.Time // the oldest transaction that waited, by the server's clock
	flush  node.LSN  // what the heir had on its disk
}

// next takes an answer of the server's in. Commits are stuck where they have to
// wait for a standby that does not stream, or where some wait and neither the
// oldest of them has returned nor the heir's disk has come further since the look
// before.
func (w stuck) next(now time.Time, r pg.Replication, heir string) stuck {
	n := stuck{oldest: r.Oldest}
	streams := false
	for _, s := range r.Senders {
		if s.Node == heir && s.State == "streaming" {
			streams, n.flush = true, s.Flush
		}
	}
	if r.Role != node.Primary || r.SyncNames == "" {
		return stuck{}
	}
	if !streams || r.Waiting > 0 && (r.Oldest.Equal(w.oldest) || n.flush == w.flush) {
		n.since = w.since
		if n.since.IsZero() {
			n.since = now
		}
	}
	return n
}

// commitsWait is what the API shows of it; nil: commits return.
func (s *supervisor) commitsWait(open bool) *node.CommitsWait {
	w, r := s.cl.stuck, s.cl.repl
	if !open || r == nil || w.since.IsZero() || time.Since(w.since) < waitsAfter {
		return nil
	}
	c := &node.CommitsWait{Heir: heirOf(s.cl.record), Since: w.since}
	c.TooLong = s.set.UnreadyAfter > 0 && time.Since(w.since) >= s.set.UnreadyAfter
	if s.cl.answers {
		n := r.Waiting
		c.Sessions = &n
	}
	return c
}

// watchCommits tells when commits begin to wait and when that ends.
func (s *supervisor) watchCommits(c *node.Cluster) {
	w, before := c.CommitsWait, s.cl.waited
	switch {
	case w != nil && before == nil:
		s.log.Warn("role: commits wait", "for", w.Heir)
		s.happened("commits wait for %s, since %s", w.Heir, w.Since.UTC().Format(time.TimeOnly))
	case w == nil && before != nil:
		s.log.Info("role: commits wait no longer", "waited", time.Since(before.Since).Round(time.Millisecond).String())
		s.happened("commits wait no longer; they waited for %s", time.Since(before.Since).Round(time.Millisecond))
	}
	s.cl.waited = w
}

// judge is the verdict on the whole cluster, by the states that the API shows.
func (s *supervisor) judge(st node.State) node.Verdict {
	v := whole.Of(whole.Facts{Node: st, Peers: s.Fleet()})
	switch before := s.view.verdict; {
	case !v.Since.IsZero():
	case v.Code == before.Code && v.Health == before.Health:
		v.Since = before.Since
	default:
		v.Since = st.Time
	}
	s.view.verdict = v
	return v
}
