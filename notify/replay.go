package notify

import (
	"fmt"
	"strings"

	"github.com/pgbaton/pgbaton/internal/node"
)

// Replay is what keeps a standby from replaying what it receives. It streams on
// all the same, so commits would count as safe there, and it could not take
// over, or not at once.
type Replay struct {
	Paused bool       // by somebody, or by PostgreSQL
	Delay  string     // recovery_min_apply_delay; empty: none
	Short  node.Limit // a setting of which it has less (Now) than its primary (Next); without a name: none
}

// Stalled says it as a part of a sentence; empty: nothing is in its way.
func (r Replay) Stalled() string {
	switch {
	case r.Short.Name != "":
		return fmt.Sprintf("its replay stands still, for its %s is %d and its primary's %d", r.Short.Name, r.Short.Now, r.Short.Next)
	case r.Paused:
		return "its replay is paused, until somebody says `select pg_wal_replay_resume()` there"
	case r.Delay != "":
		return "its replay is delayed on purpose, by " + r.Delay + " (recovery_min_apply_delay)"
	}
	return ""
}

// Shortage is the first setting of which has less than needs.
func Shortage(has, needs node.Needs) node.Limit {
	for i, l := range has.Each() {
		if want := needs.Each()[i].Now; l.Now < want {
			return node.Limit{Name: l.Name, Now: l.Now, Next: want}
		}
	}
	return node.Limit{}
}

// outgrown: the primary was started with more of a setting than this standby
// has, so its replay stands still. It is started again, with as much; its right
// to promote is given up before, lest commits wait for it. An heir whose primary
// is silent keeps it, and is started again in its promotion.
func outgrown(f *Facts) (Verdict, bool) {
	s := f.Self
	if s.Server != ServerStandby || s.Replay.Short.Name == "" {
		return no()
	}
	why := fmt.Sprintf("%s is %d here and %d on the primary", s.Replay.Short.Name, s.Replay.Short.Now, s.Replay.Short.Next)
	p, answers := f.answering(s.Record.Newest().Node)
	switch {
	case s.Record.Armed != nil && !answers:
		return no()
	case s.Record.Armed != nil:
		next := clone(s.Record)
		next.Armed = nil
		return Verdict{Do: Write, Record: next, Why: why + ": this node gives its right to promote up before its server is started again"}, true
	case answers && f.isHeirOf(p):
		return yes(Wait, p.name(), "%s, so the server has to be started again; %s still waits for this node as its heir and is about to give it up", why, p.name())
	}
	return yes(Stop, "", "%s: the server stops, to be started again with as much", why)
}

// stalled names the standbys of this primary whose replay is in no heir's state.
func (f *Facts) stalled() string {
	var said []string
	for _, p := range f.ours() {
		if p.Answers && p.cluster().Stalled != "" && p.cluster().Following == f.Policy.Node {
			said = append(said, p.name()+" streams, but "+p.cluster().Stalled)
		}
	}
	return strings.Join(said, "; ")
}

// Stalled warns, on the standby and on its primary, of replay that does not go on.
func (f *Facts) Stalled() (said []string) {
	if why := f.Self.Replay.Stalled(); why != "" {
		said = append(said, "this node is nobody's heir: "+why)
	}
	if why := f.stalled(); why != "" && f.Self.Record != nil && f.Self.Record.Primary {
		said = append(said, why)
	}
	return said
}

// maxReplayLag is how much WAL may be left to replay where a node is to take
// over at once: some tenths of a second. What holds up the rest, it cancels.
const maxReplayLag node.LSN = 16 << 20

// lagging says how much the peer has received and not replayed, where that is
// too much for a node that is to open at once; empty: it is not.
func lagging(name string, received, replayed node.LSN) string {
	if replayed == 0 || replayed+maxReplayLag >= received {
		return ""
	}
	return fmt.Sprintf("%s has still to replay %d MB of what it has received", name, (received-replayed)>>20)
}
