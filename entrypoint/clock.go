package entrypoint

import "time"

// Within one process times are compared by the monotonic clock, which nobody
// sets. A time that another process wrote down (in a note, a file, an answer)
// has the wall clock alone: none of them decides about a role, and where one
// bounds a wait it is brought to what the wait can be.

// notAfter bounds a time of the supervisor before this one: the wall clock may
// have been set back since.
func notAfter(t, bound time.Time) time.Time {
	if t.After(bound) {
		return bound
	}
	return t
}
