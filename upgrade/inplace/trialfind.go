package inplace

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
)

// verdict is a finding that ends the trial.
type verdict struct{ node.Finding }

func (v verdict) Error() string { return v.Text }

const withoutTrial = "or leave the schema trial out (trial: off), which finds such things before the outage instead of in it"

// trialVerdict is the finding that an error means, where it means one.
func trialVerdict(err error) (node.Finding, bool) {
	var v verdict
	var dump *dumpError
	switch {
	case errors.As(err, &v):
		return v.Finding, true
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), diskFull(err.Error()):
		return spaceFinding(err.Error()), true
	case errors.As(err, &dump):
		return node.Finding{
			Level: node.Refuse, Code: "schema-trial-dump",
			Text:   fmt.Sprintf("the schema of database %q cannot be dumped, which pg_upgrade has to do too", dump.Database),
			Hint:   "see the server's words; mend it, and ask for the upgrade again",
			Detail: dump.Err.Error(),
		}, true
	}
	return node.Finding{}, false
}

func spaceFinding(detail string) node.Finding {
	return node.Finding{
		Level: node.Refuse, Code: "schema-trial-space",
		Text: "the volume has too little room for the schema trial; what the trial had made is removed again, nothing else was changed",
		Hint: "free space on the volume: the trial needs an empty cluster (about 100 MB), some 20 kB for each table, index and view, " +
			"and the compressed schemas; " + withoutTrial,
		Detail: detail,
	}
}

// diskFull looks for the C library's words: the programs pass no error codes
// on, and their messages are not translated (LC_ALL=C, lc_messages=C).
func diskFull(text string) bool {
	return strings.Contains(text, "No space left on device") || strings.Contains(text, "Disk quota exceeded")
}

// lockTableFinding is a note: pg_upgrade's own servers get the room they need,
// so the upgrade can do without the trial, and what it would have found is
// undone by itself then.
func lockTableFinding(t pg.LockTable, dbs []pg.SchemaDatabase) node.Finding {
	big := slices.MaxFunc(dbs, func(a, b pg.SchemaDatabase) int { return a.Relations - b.Relations })
	need := big.Relations + dumpLocks + t.Held
	least := (need + need/10 + t.Sessions - 1) / t.Sessions
	return node.Finding{
		Level: node.Note, Code: "lock-table",
		Text: fmt.Sprintf("the schema was not tried beforehand: database %q has %d relations, a dump locks each of them, and the running server has no room for so many", big.Name, big.Relations),
		Hint: fmt.Sprintf("to have it tried, set max_locks_per_transaction to %d or more and restart the server; without it, a schema that cannot be restored is found in the outage, and the upgrade is undone", least),
		Detail: fmt.Sprintf("max_locks_per_transaction %d × (max_connections + max_prepared_transactions) %d = %d, of which %d are held now",
			t.PerTransaction, t.Sessions, t.Size(), t.Held),
	}
}

func lockWaitFinding(db string, d pg.DumpLocks) node.Finding {
	f := node.Finding{Level: node.Refuse, Code: "schema-trial-lock"}
	if d.Blocks > dumpBlocks.Seconds() {
		f.Text = fmt.Sprintf("a session of database %q waited for the schema trial, whose dump holds a weak lock on every table; the trial gave way", db)
		f.Detail = d.Blocked
		f.Hint = "ask for the upgrade again at a time without ALTER TABLE and the like; " + withoutTrial
		return f
	}
	f.Text = fmt.Sprintf("the schema of database %q could not be dumped: somebody keeps a relation locked", db)
	f.Detail = fmt.Sprintf("the dump waited %.0f seconds for %s", d.Waits, d.For)
	f.Hint = "wait for that session to end its transaction, or end it (pg_terminate_backend), and ask for the upgrade again; " + withoutTrial
	return f
}
