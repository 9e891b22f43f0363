package notify

import (
	"fmt"

	"github.com/pgbaton/pgbaton/internal/node"
)

// A standby that has flushed WAL which its primary has not written has another
// history than that primary, whatever the number of its timeline: PostgreSQL
// compares numbers only, and lets it stream. Every commit would count as flushed
// there at once. It is no copy: never synchronous, never heir, never a target.

// isAhead reports whether a standby of this primary is ahead of it.
func (f *Facts) isAhead(name string) bool {
	for _, w := range f.Self.Senders {
		if w.Node == name && w.Ahead {
			return true
		}
	}
	return false
}

// saysAhead reports whether the primary says so of this node.
func (f *Facts) saysAhead(p Peer) bool {
	for _, w := range p.cluster().Senders {
		if w.Node == f.Policy.Node && w.Ahead {
			return true
		}
	}
	return false
}

// hasReplayed reports whether a standby has replayed this primary's WAL up to a
// position that was written while it streamed. Receiving proves nothing: what
// does not fit to the data is flushed all the same, and stays unread.
func (f *Facts) hasReplayed(name string, lsn node.LSN) bool {
	for _, w := range f.Self.Senders {
		if w.Node == name && w.Replay >= lsn {
			return true
		}
	}
	p, answers := f.answering(name)
	return answers && p.cluster().Following == f.Policy.Node && p.cluster().Replayed >= lsn // PostgreSQL tells the primary of it every 10 s only
}

// alien: this armed heir hears that it is ahead of its primary. It does not wait
// to be asked to give its right up.
func alien(f *Facts) (Verdict, bool) {
	s := f.Self
	p, found := f.primary()
	if s.Record.Armed == nil || !found || !p.Answers || p.name() != s.Record.Armed.Primary || !f.saysAhead(p) {
		return no()
	}
	next := clone(s.Record)
	next.Armed = nil
	return Verdict{Do: Write, Record: next, Why: "this node has WAL that " + p.name() + ", its primary, has not written, so it is no copy of it: it gives up its right to promote"}, true
}

// Ahead are the warnings of this primary about standbys that are ahead of it.
func (f *Facts) Ahead() (warnings []string) {
	for _, w := range f.Self.Senders {
		if w.Ahead {
			warnings = append(warnings, fmt.Sprintf("%s has WAL up to %s, which this primary has not written: it has another history and is no copy of it, "+
				"never synchronous and never heir. Look at its data, then `pgbaton reclone` there keeps that aside and copies this primary", w.Node, w.Flush))
		}
	}
	return warnings
}
