package upgrade

import (
	"fmt"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// Forecast is the outage that an upgrade will take, from the journal of one
// that ran on a copy beside the running server: from its stop to the moment at
// which clients would have been let in. It is 0 where the copy's never were.
//
// The parts are the real ones: pg_upgrade, the carried configuration, the sync,
// the renames, verification, and rebuilds before opening, each on as many
// relations and as many bytes as the upgrade will have. What differs, and what
// is not corrected since nothing here knows it:
//
//   - The copy has no clients. A stop ends theirs, waits until standbys and the
//     archive have all WAL, and writes what changed since the checkpoint made
//     just before it: some 0.1 s with an idle server, seconds with a slow archive.
//   - The copy shares processors and disk with the running server and its
//     clients, which the upgrade has to itself: the forecast errs upwards there.
//   - The copy's first server has few shared buffers and none of the user's
//     libraries; huge ones take tenths of a second more to start.
//   - Logical slots, which are carried over from 17 on, are not in the copy:
//     each takes pg_upgrade some milliseconds.
func Forecast(j Journal) time.Duration {
	for _, name := range []node.StepName{node.StepStop, node.StepPgUpgrade, node.StepSwitch, node.StepStart} {
		if j.StepOf(name).State != node.StepDone {
			return 0
		}
	}
	return j.Outage
}

// RehearsedText says what a rehearsal came to.
func RehearsedText(j Journal) string {
	return fmt.Sprintf("a copy of this cluster became PostgreSQL %d and was removed again; the upgrade would leave clients without service for about %s",
		j.To, j.Forecast.Round(100*time.Millisecond))
}

// JudgeRehearsal says what stands against a rehearsal beyond what stands
// against the upgrade, and what its forecast cannot know.
func JudgeRehearsal(f Facts) []node.Finding {
	var res []node.Finding
	set := f.Server.Settings
	if set["wal_level"] == "minimal" {
		res = append(res, refuse("rehearsal-wal", "set wal_level to replica and restart, or upgrade without a rehearsal",
			"a running server can be copied only where its WAL has all changes, and wal_level is minimal"))
	}
	// Each connected temporary slot of others counts too, and is not known here.
	if most := f.Server.Int("max_replication_slots"); int64(len(f.Server.Slots)) >= most {
		res = append(res, refuse("rehearsal-slots", "raise max_replication_slots and restart, or drop a slot that nobody uses (pg_drop_replication_slot)",
			"the copy of the running server needs a replication slot for a while, and all %d that max_replication_slots allows are taken", most))
	}
	if len(res) > 0 {
		return res
	}
	if mode := set["archive_mode"]; mode == "on" || mode == "always" {
		res = append(res, note("forecast-archive", "see how long archive_command takes for one WAL file, and add that to the forecast",
			"a server that archives waits at its stop until the archive has the last WAL file; a copy archives nothing, so the forecast leaves that out"))
	}
	if n := f.LogicalSlots(); n > 0 {
		res = append(res, note("forecast-slots", "let their consumers be connected at the stop: pg_upgrade refuses slots whose consumers have not got everything",
			"logical replication slots are carried over by the upgrade and not by its rehearsal: %d", n))
	}
	return res
}
