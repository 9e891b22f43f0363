package pg

import "fmt"

// firstThatWaits are the minor releases from which on a commit right after the
// server's start waits as synchronous_standby_names says. Before, it waits for
// nobody until the checkpointer has run (release notes of 17.5: "Fix race condition
// in handling of synchronous_standby_names immediately after startup").
var firstThatWaits = map[int]int{13: 21, 14: 18, 15: 13, 16: 9, 17: 5}

// SkipsWait says of a server_version_num why its commits may not wait; empty: they do.
func SkipsWait(version int) string {
	major, minor := version/10000, version%10000
	first := firstThatWaits[major]
	if version == 0 || minor >= first {
		return ""
	}
	return fmt.Sprintf("PostgreSQL %d.%d may acknowledge commits without waiting right after its start: install %d.%d or later", major, minor, major, first)
}
