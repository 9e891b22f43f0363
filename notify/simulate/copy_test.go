package simulate

import "github.com/pgbaton/pgbaton/notify"

// clone is pg_basebackup: some ticks, during which the source must stay.
func (w *world) clone(n *box, from string) bool {
	s, src := n.sup, w.box(from)
	if s.job == nil {
		if src == nil || src.pg == nil || !w.reach(n, src) {
			return false
		}
		s.job = &job{do: notify.Clone, target: from, from: src.pg}
		w.leaving(n, src, "copy")
		n.data = &data{half: true}
		n.publish(w)
		w.point(n)
		return false
	}
	if src.pg == nil || src.pg != s.job.from || src.pg.hung || !w.reach(n, src) {
		s.job = nil
		return false
	}
	if s.job.step++; s.job.step < 2 {
		return false
	}
	s.job = nil
	e := src.data.flushed
	n.data = &data{tip: e, flushed: e, least: e.end, signal: true, follows: from, names: src.data.names, removed: e.end, known: e.tl}
	w.checkLastCopy()
	return w.point(n)
}

// rewind is pg_rewind; what it throws away is kept aside first. The directory
// counts as half made until the record says what it is.
func (w *world) rewind(n *box, v notify.Verdict) {
	src := w.box(v.Target)
	d := n.data
	if src == nil || !src.isOpen() || src.pg.hung || !w.reach(n, src) {
		return
	}
	if !d.clean {
		w.fail("%s: pg_rewind of data that was not shut down cleanly", n.name)
	}
	d.half = true
	if !w.point(n) {
		return
	}
	e := src.data.flushed
	if e.tl == max(d.known, d.tip.tl) {
		w.log("%s: pg_rewind finds nothing to do", n.name)
		return // an error: a copy begins
	}
	w.rewindable(n, src)
	w.leaving(n, src, "rewind")
	n.aside = append(n.aside, d.flushed)
	d.tip, d.flushed, d.least, d.names, d.clean, d.primary = e, e, e.end, src.data.names, false, false
	d.removed = src.data.removed // its WAL is the source's
	d.known, d.stub = e.tl, nil
	d.signal, d.follows = true, v.Target
	w.checkLastCopy()
	if w.remember(n, v.After) {
		d.half = false
		w.point(n)
	}
}

// rewindable checks that pg_rewind, which knows histories by the numbers of
// their timelines, finds the place where they really part.
func (w *world) rewindable(n, src *box) {
	mine, theirs := n.data.tip, src.data.flushed
	if theirs.end < mine.end {
		mine = mine.at(theirs.end)
	}
	theirs = theirs.at(mine.end)
	for mine != nil && (theirs.tl != mine.tl || theirs.begins() != mine.begins()) { // findCommonAncestorTimeline
		mine, theirs = mine.parent, theirs.parent
	}
	if mine != theirs {
		w.fail("%s is rewound onto %s, and both have timeline %d up to %s with two histories", n.name, src.name, mine.tl, mine.end)
	}
}

// leaving checks what a copy or a rewind takes from a node: nothing that was
// acknowledged and that the source lacks, and never a newer history for an
// older one, unless an operator gave it up.
func (w *world) leaving(n, src *box, what string) {
	if w.divided() || n.data == nil || (n.data.half && what == "copy") {
		return
	}
	for _, head := range w.acked {
		if n.data.tip.has(head) && !src.data.tip.has(head) {
			w.fail("%s of %s onto %s takes acknowledged commits from it", what, n.name, src.name)
		}
	}
	if n.record != nil && src.record != nil && n.record.Epoch > src.record.Epoch {
		w.fail("%s of %s onto %s, whose history is older", what, n.name, src.name)
	}
}
