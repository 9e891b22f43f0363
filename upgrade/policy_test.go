package upgrade

import (
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/config"
)

func TestOffer(t *testing.T) {
	all := map[int]string{15: "a", 17: "b", 18: "c"}
	tests := []struct {
		name   string
		policy config.UpgradePolicy
		have   int
		there  map[int]string
		peers  bool
		failed Tried
		target int
		begin  bool
		why    string // a part of it; empty: it is empty
	}{
		{name: "an empty volume is offered nothing", policy: config.UpgradeAuto, there: all},
		{name: "the newest major is offered nothing", policy: config.UpgradeAuto, have: 18, there: all},
		{name: "an older major is never a target", policy: config.UpgradeAuto, have: 17, there: map[int]string{15: "a", 17: "b"}},
		{name: "a major whose own programs are gone is offered the newest", policy: config.UpgradeAuto, have: 16, there: all, target: 18, begin: true, why: "18 is available and PGBATON_UPGRADE=auto"},
		{name: "with marker the offer names both ways to ask", policy: config.UpgradeMarker, have: 15, there: map[int]string{15: "a", 17: "b"}, target: 17, why: "an upgrade to 17 is available: `pgbaton upgrade now`, or drop a file named upgrade on the volume"},
		{name: "with off nothing is suggested that would be refused", policy: config.UpgradeOff, have: 15, there: all, target: 18, why: "PGBATON_UPGRADE=off"},
		{name: "auto begins with the newest", policy: config.UpgradeAuto, have: 15, there: all, target: 18, begin: true, why: "upgrading"},
		{name: "a node of a cluster never begins by itself", policy: config.UpgradeAuto, have: 15, there: all, peers: true, target: 18, why: "cluster"},
		{name: "what failed is not begun again by itself", policy: config.UpgradeAuto, have: 15, there: all, failed: Tried{18, "c"}, target: 18, why: "does not begin again"},
		{name: "what failed with unknown programs is not begun again", policy: config.UpgradeAuto, have: 15, there: all, failed: Tried{18, ""}, target: 18, why: "does not begin again"},
		{name: "other programs of the same major are another try", policy: config.UpgradeAuto, have: 15, there: all, failed: Tried{18, "older"}, target: 18, begin: true, why: "upgrading"},
		{name: "a newer major than the one that failed is begun", policy: config.UpgradeAuto, have: 15, there: all, failed: Tried{17, "b"}, target: 18, begin: true, why: "upgrading"},
		{name: "a failure matters to auto alone", policy: config.UpgradeMarker, have: 15, there: all, failed: Tried{18, "c"}, target: 18, why: "drop a file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target, begin, why := Offer(tt.policy, tt.have, tt.there, tt.peers, tt.failed)
			if target != tt.target || begin != tt.begin || !strings.Contains(why, tt.why) || (tt.why == "") != (why == "") {
				t.Errorf("got %d, %v, %q", target, begin, why)
			}
		})
	}
}
