package notify

import (
	"slices"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// LeastMissed is whose slot goes where a node that answers needs one and there
// is no room for more: of those named, which use theirs not, the node that has
// been silent for the longest time. Should it come back, it may have to copy the
// primary anew. Never the heir's: commits wait for it. Empty: nobody's.
func (f *Facts) LeastMissed(m node.Members, unused []string) string {
	seen := func(name string) time.Time { return m.Seen[name].Time }
	var away []string
	for _, name := range unused {
		if p, found := f.Named(name); found && p.Answers || name == f.Policy.Node || f.isAnHeir(name) {
			continue
		}
		away = append(away, name)
	}
	if len(away) == 0 {
		return ""
	}
	return slices.MinFunc(away, func(a, b string) int { return seen(a).Compare(seen(b)) })
}

// isAnHeir reports whether any record that was heard of names the node as heir.
func (f *Facts) isAnHeir(name string) bool {
	records := []*node.Record{f.Self.Record}
	for _, p := range f.ours() {
		records = append(records, p.record())
	}
	return slices.ContainsFunc(records, func(r *node.Record) bool { return r != nil && r.Heir != nil && r.Heir.Node == name })
}
