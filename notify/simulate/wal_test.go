package simulate

import "github.com/pgbaton/pgbaton/internal/node"

// entry is one record of WAL. Its parent is the record before it, so that two
// histories with a common beginning are two branches of a tree. Its LSN, where
// it ends, is its depth.
type entry struct {
	parent *entry
	end    node.LSN
	tl     uint32
	what   string
	needs  int // of a setting, of whoever replays it
}

func (e *entry) next(tl uint32, what string) *entry {
	return &entry{parent: e, end: e.end + 1, tl: tl, what: what, needs: e.needs}
}

// at is the record of this history that ends at lsn, or nil.
func (e *entry) at(lsn node.LSN) *entry {
	for e != nil && e.end > lsn {
		e = e.parent
	}
	if e == nil || e.end != lsn {
		return nil
	}
	return e
}

// has reports whether the other record lies in this history.
func (e *entry) has(other *entry) bool { return e != nil && e.at(other.end) == other }

// begins is where the record's timeline begins; 0 for the first one.
func (e *entry) begins() node.LSN {
	for p := e; p != nil; p = p.parent {
		if p.tl != e.tl {
			return p.end
		}
	}
	return 0
}

// newCluster is what initdb leaves.
func newCluster() *entry {
	e := &entry{end: 1, tl: 1, what: "initdb"}
	for range 9 {
		e = e.next(1, "initdb")
	}
	return e
}

// data is a data directory.
type data struct {
	tip     *entry   // written
	flushed *entry   // durable: tip or an ancestor of it
	half    bool     // an unfinished copy or rewind
	signal  bool     // standby.signal
	clean   bool     // shut down cleanly
	primary bool     // ran as a primary last, or was just made
	least   node.LSN // of a standby: minimum recovery point
	follows string   // node that primary_conninfo means
	place   string   // address that it has for that
	names   string   // synchronous_standby_names
	removed node.LSN // WAL up to here is gone: whoever ends before it cannot stream from here
	known   uint32   // the highest timeline that pg_control knows
	listed  uint32   // the highest timeline whose history file stayed in pg_wal when its WAL was given up
	stub    *stub    // what a promotion left that died half-way; nil: nothing
}

// stub is what PostgreSQL has done of a promotion, in the order of its durable
// steps; see promote.
type stub struct {
	tl     uint32
	at     *entry // where it branches
	listed bool   // the history file is there
	end    *entry // the record that ends recovery; nil: not written
	told   bool   // pg_control knows of it
}

// histories is the history file of a record's timeline, the oldest switch first.
func (e *entry) histories() (out []node.TimelineSwitch) {
	tl := e.tl
	for p := e; p != nil; p = p.parent {
		if p.tl != tl {
			out, tl = append([]node.TimelineSwitch{{Timeline: p.tl, At: p.end}}, out...), p.tl
		}
	}
	return out
}

// end is what pgbaton sees of the WAL's end while the server is down: a
// position within the shutdown checkpoint, or within the last record before
// the minimum recovery point, which a killed standby's disk is ahead of.
func (d *data) end() node.LSN {
	if d.primary {
		return d.tip.end - 1
	}
	return min(d.least, d.tip.end) - 1
}

// newest is the highest timeline that pg_wal has a history file of.
func (d *data) newest() uint32 {
	t := d.tip.tl
	if d.stub != nil && d.stub.listed {
		t = max(t, d.stub.tl)
	}
	return t
}

func (d *data) append(what string) *entry {
	d.tip = d.tip.next(d.tip.tl, what)
	return d.tip
}
