package notify

import "fmt"

// strangeArbiter says why a peer cannot be armed with this node's arbiter;
// empty: it can. A right always needs what it was armed with, so this is no
// danger, but the one side would not do what the other side waits for.
func (f *Facts) strangeArbiter(p Peer) string {
	c := p.cluster()
	switch {
	case c == nil:
		return ""
	case (c.Arbiter != nil) != (f.Arbiter != nil):
		return fmt.Sprintf("PGBATON_ETCD is set on one of %s and %s only", p.name(), f.Policy.Node)
	case c.Arbiter != nil && f.Arbiter.ID != "" && c.Arbiter.ID != "" && c.Arbiter.ID != f.Arbiter.ID:
		return "its PGBATON_ETCD is another cluster of etcd than this node's"
	}
	return ""
}

// Strangers says which peer has another arbiter than this node; empty: none.
func (f *Facts) Strangers() string {
	for _, p := range f.ours() {
		if why := f.strangeArbiter(p); p.Answers && why != "" {
			return p.name() + ": " + why
		}
	}
	return ""
}

// strangeRight says why the right that the heir was armed with is not one of
// today's settings; empty: it is. The heir gives it up by its own answer, and
// is armed anew.
func (f *Facts) strangeRight() string {
	h := f.Self.Record.Heir
	switch {
	case h == nil || !h.Armed:
		return ""
	case f.Arbiter == nil && h.Arbiter != "":
		return "it was armed with an arbiter, and PGBATON_ETCD is not set any more"
	case f.Arbiter == nil || f.Arbiter.ID == "" || f.Arbiter.ID == h.Arbiter:
		return ""
	case h.Arbiter == "":
		return "it was armed without the arbiter that PGBATON_ETCD names now"
	}
	return "it was armed with another arbiter than the one of PGBATON_ETCD"
}

// otherArbiter says why an arming is refused for its arbiter; empty: it is not.
func (f *Facts) otherArbiter(q Request) string {
	switch w := f.ruled(); {
	case (q.Arbiter != "") != (f.Arbiter != nil):
		return fmt.Sprintf("PGBATON_ETCD is set on one of %s and this node only", q.From)
	case f.Arbiter == nil:
		return ""
	case f.Arbiter.ID != "" && f.Arbiter.ID != q.Arbiter:
		return "this node's PGBATON_ETCD is another cluster of etcd than that of " + q.From
	case w.Right == q.Right && w.Heir == "":
		return "the arbiter took that right back already"
	}
	return ""
}

// orArbiter is the end of a sentence about a silent heir.
func (f *Facts) orArbiter(id string) string {
	switch {
	case id == "":
		return ""
	case f.Arbiter == nil:
		return ". It was armed with an arbiter, and PGBATON_ETCD is not set here"
	case !f.Arbiter.Answers:
		return ". The arbiter (PGBATON_ETCD), which could decide, does not answer"
	case f.Arbiter.ID != id:
		return ". It was armed with another arbiter than the one of PGBATON_ETCD"
	case f.ruled().Epoch == 0:
		return ". The arbiter (PGBATON_ETCD) holds no record of this cluster, so it cannot decide"
	}
	return ""
}
