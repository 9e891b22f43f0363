package pg

import "fmt"

// firstThatWaits are the minor releases from which on a commit right after the
// server's start waits as synchronous_standby_names says. Before, it waits for
// nobody until the checkpointer has run (release notes of 17.5: "Fix race condition
// in handling of synchronous_standby_names immediately after startup").
var firstThatWaits = map[int]int{13: 21, 14: 18, 15: 13, 16: 9, 17: 5}

// SkipsWait tells of a server_version_num the release of its major from which on
// commits wait where they may not with it; empty: they do.
func SkipsWait(version int) (first string) {
	major := version / 10000
	if minor := version % 10000; version != 0 && minor < firstThatWaits[major] {
		first = fmt.Sprintf("%d.%d", major, firstThatWaits[major])
	}
	return first
}
