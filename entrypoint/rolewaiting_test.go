package entrypoint

import (
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
)

func TestCommitsAreStuckWhereNobodyConfirmsThem(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	// look is an answer of a primary; state is that of n2's walsender.
	look := func(state string, flush node.LSN, waiting int, oldest int) pg.Replication {
		r := pg.Replication{Role: node.Primary, SyncNames: "n2", Waiting: waiting, Senders: []node.Sender{{Node: "n3", State: "streaming", Flush: 99}}}
		if state != "" {
			r.Senders = append(r.Senders, node.Sender{Node: "n2", State: state, Flush: flush})
		}
		if waiting > 0 {
			r.Oldest = noon.Add(time.Duration(oldest) * time.Millisecond)
		}
		return r
	}
	standby, unnamed := look("", 0, 1, 1), look("", 0, 1, 1)
	standby.Role, unnamed.SyncNames = node.Standby, ""
	for name, c := range map[string]struct {
		looks []pg.Replication
		since int // number of the look since which they are stuck; -1: they are not
	}{
		"nobody commits":                          {[]pg.Replication{look("streaming", 1, 0, 0), look("streaming", 1, 0, 0)}, -1},
		"everybody commits":                       {[]pg.Replication{look("streaming", 1, 3, 1), look("streaming", 2, 3, 2), look("streaming", 3, 3, 3)}, -1},
		"the heir is gone":                        {[]pg.Replication{look("streaming", 1, 3, 1), look("", 0, 3, 1), look("", 0, 4, 1)}, 1},
		"the heir is gone and nobody commits":     {[]pg.Replication{look("streaming", 1, 0, 0), look("", 0, 0, 0)}, 1},
		"the heir catches up":                     {[]pg.Replication{look("catchup", 1, 0, 0)}, 0},
		"the heir's disk stands still":            {[]pg.Replication{look("streaming", 5, 1, 1), look("streaming", 5, 2, 1), look("streaming", 5, 3, 1)}, 1},
		"… and one session gives up":              {[]pg.Replication{look("streaming", 5, 1, 1), look("streaming", 5, 2, 1), look("streaming", 5, 1, 2)}, 1},
		"its replay stands still and one asks it": {[]pg.Replication{look("streaming", 5, 1, 1), look("streaming", 6, 2, 1), look("streaming", 7, 3, 1)}, 1},
		"the heir is back":                        {[]pg.Replication{look("streaming", 1, 1, 1), look("", 0, 3, 1), look("streaming", 7, 0, 0)}, -1},
		"nobody is named any more":                {[]pg.Replication{look("", 0, 3, 1), unnamed}, -1},
		"a standby":                               {[]pg.Replication{standby, standby}, -1},
	} {
		var w stuck
		for i, r := range c.looks {
			w = w.next(noon.Add(time.Duration(i)*time.Second), r, "n2")
		}
		want := time.Time{}
		if c.since >= 0 {
			want = noon.Add(time.Duration(c.since) * time.Second)
		}
		if w.since != want {
			t.Errorf("%s: since %v, want %v", name, w.since, want)
		}
	}
}
