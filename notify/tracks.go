package notify

import "strconv"

// The files that keepalived tracks, in the directory that Conf.Tracks names.
const (
	EligibleFile = "eligible" // 1: may hold the VIP; 0, empty or missing: FAULT
	PrefFile     = "pref"     // added to the base priority
)

// BasePriority is every node's priority before pref is added. VRRP's lowest is
// 1 and the highest of a node that does not own the address is 254.
const BasePriority = 100

// MaxPref and MinPref keep the sum within 1 to 254.
const (
	MaxPref = 254 - BasePriority
	MinPref = 1 - BasePriority
)

// Tracks is the text of both track files. A pref beyond what VRRP can say is
// brought to its bound: keepalived would do so too, except that its lowest
// means FAULT there.
func Tracks(eligible bool, pref int) (eligibleText, prefText string) {
	eligibleText = "0\n"
	if eligible {
		eligibleText = "1\n"
	}
	return eligibleText, strconv.Itoa(min(max(pref, MinPref), MaxPref)) + "\n"
}
