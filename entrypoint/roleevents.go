package entrypoint

import (
	"fmt"
	"slices"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// maxEvents is how many are remembered.
const maxEvents = 40

// stall is the time without a primary that lets clients write, as this node
// saw it.
type stall struct {
	open  bool      // a primary was open at the latest look
	since time.Time // it has not been; zero: none was ever seen
}

// happened remembers an event for people. Nothing rests on it: it ends with
// this supervisor.
func (s *supervisor) happened(format string, args ...any) {
	var events []node.Event
	if old := s.recent.Load(); old != nil {
		events = slices.Clone((*old)[max(0, len(*old)-maxEvents+1):])
	}
	events = append(events, node.Event{Time: time.Now(), What: fmt.Sprintf(format, args...)})
	s.recent.Store(&events)
}

// Events are the latest ones, the oldest first (nodeapi).
func (s *supervisor) Events() []node.Event {
	if events := s.recent.Load(); events != nil {
		return *events
	}
	return nil
}

// watchStalls remembers for how long no node was an open primary.
func (s *supervisor) watchStalls(self *node.Cluster) {
	open := self.Open
	for _, p := range s.cl.facts.Peers {
		c := clusterOf(p)
		open = open || p.Answers && c != nil && c.Name == s.set.Cluster && c.Open
	}
	st := &s.cl.stall
	switch {
	case open && !st.open && !st.since.IsZero():
		s.happened("no primary was open for %s, as seen from here", time.Since(st.since).Round(time.Millisecond))
	case !open && st.open:
		st.since = time.Now()
	}
	st.open = open
}
