package node

import "time"

// SourceCheck marks an event that says whether the address is there, and no state.
const SourceCheck = "check"

// VRRPEvent is what keepalived says about one of its instances or groups. It
// is a hint and never a permission: events come unordered, twice or not at all.
type VRRPEvent struct {
	Source   string    `json:"source"`            // by which way it came: "fifo", "hook", SourceCheck
	Type     string    `json:"type"`              // keepalived's word: INSTANCE, GROUP
	Name     string    `json:"name"`              // of the instance or group
	State    string    `json:"state"`             // keepalived's word: MASTER, BACKUP, FAULT, STOP, …
	Priority int       `json:"priority,omitzero"` // effective, 0 to 255
	Time     time.Time `json:"time"`              // when the event was seen, by the clock of whoever saw it; for people, for it may jump
	VIP      bool      `json:"vip,omitzero"`      // the virtual address was present there

	// Uptime is when the event was seen, by the monotonic clock that all
	// processes of one kernel share. Events are put in order by it.
	Uptime time.Duration `json:"uptime,omitzero"`
}
