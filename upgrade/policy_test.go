package upgrade

import (
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/config"
	"github.com/pgbaton/pgbaton/internal/node"
)

// refused is a check for a major with programs that was refused.
func refused(to int, binaries string) Journal {
	j := Journal{Binaries: binaries}
	j.To, j.Outcome = to, node.UpgradeRefused
	j.Findings = []node.Finding{{Level: node.Note, Text: "a note"}, {Level: node.Refuse, Text: "2 prepared transactions are open"}}
	return j
}

func TestOffer(t *testing.T) {
	all := map[int]string{15: "a", 17: "b", 18: "c"}
	tests := []struct {
		name   string
		policy config.UpgradePolicy
		have   int
		there  map[int]string
		peers  bool
		failed Tried
		lacks  map[int][]string
		latest Journal
		target int
		begin  bool
		why    string // a part of it; empty: it is empty
	}{
		{name: "an empty volume is offered nothing", policy: config.UpgradeAuto, there: all},
		{name: "the newest major is offered nothing", policy: config.UpgradeAuto, have: 18, there: all},
		{name: "an older major is never a target", policy: config.UpgradeAuto, have: 17, there: map[int]string{15: "a", 17: "b"}},
		{name: "a major whose own programs are gone is offered the newest", policy: config.UpgradeAuto, have: 16, there: all, target: 18, begin: true, why: "18 is available and PGBATON_UPGRADE=auto"},
		{name: "with marker the offer names both ways to ask", policy: config.UpgradeMarker, have: 15, there: map[int]string{15: "a", 17: "b"}, target: 17, why: "an upgrade to 17 is available: `pgbaton upgrade now`, or drop a file named upgrade on the volume"},
		{name: "every major is named", policy: config.UpgradeMarker, have: 15, there: all, target: 18, why: "upgrades to 17 and 18 are available: `pgbaton"},
		{name: "a release that cannot take the cluster is not offered", policy: config.UpgradeMarker, have: 17, there: all, lacks: map[int][]string{18: {"pg_attver"}}, why: "18 is here and cannot take this cluster: its release does not know the option pg_attver"},
		{name: "nor begun by itself", policy: config.UpgradeAuto, have: 17, there: all, lacks: map[int][]string{18: {"pg_attver"}}, why: "cannot take"},
		{name: "an older one that can is offered instead", policy: config.UpgradeMarker, have: 15, there: all, lacks: map[int][]string{18: {"x"}}, target: 17, why: "drop a file named upgrade on the volume; PostgreSQL 18 is here and cannot"},
		{name: "the latest refusal is told instead", policy: config.UpgradeMarker, have: 15, there: all, latest: refused(18, "c"), target: 18, why: "the latest request was refused: 2 prepared transactions are open. See `pgbaton upgrade status`"},
		{name: "not one by other programs", policy: config.UpgradeMarker, have: 15, there: all, latest: refused(18, "older"), target: 18, why: "drop a file"},
		{name: "nor one of another major", policy: config.UpgradeMarker, have: 15, there: all, latest: refused(17, "b"), target: 18, why: "drop a file"},
		{name: "with off nothing is suggested that would be refused", policy: config.UpgradeOff, have: 15, there: all, target: 18, why: "PGBATON_UPGRADE=off"},
		{name: "auto begins with the newest", policy: config.UpgradeAuto, have: 15, there: all, target: 18, begin: true, why: "upgrading"},
		{name: "a node of a cluster never begins by itself", policy: config.UpgradeAuto, have: 15, there: all, peers: true, target: 18, why: "one of a cluster, which this version does not upgrade"},
		{name: "what failed is not begun again by itself", policy: config.UpgradeAuto, have: 15, there: all, failed: Tried{18, "c"}, target: 18, why: "does not begin again"},
		{name: "what failed with unknown programs is not begun again", policy: config.UpgradeAuto, have: 15, there: all, failed: Tried{18, ""}, target: 18, why: "does not begin again"},
		{name: "other programs of the same major are another try", policy: config.UpgradeAuto, have: 15, there: all, failed: Tried{18, "older"}, target: 18, begin: true, why: "upgrading"},
		{name: "a newer major than the one that failed is begun", policy: config.UpgradeAuto, have: 15, there: all, failed: Tried{17, "b"}, target: 18, begin: true, why: "upgrading"},
		{name: "a failure matters to auto alone", policy: config.UpgradeMarker, have: 15, there: all, failed: Tried{18, "c"}, target: 18, why: "drop a file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target, begin, why := Offer(tt.policy, Majors{Have: tt.have, Available: tt.there, Unknown: tt.lacks, Peers: tt.peers, Latest: tt.latest}, tt.failed)
			if target != tt.target || begin != tt.begin || !strings.Contains(why, tt.why) || (tt.why == "") != (why == "") {
				t.Errorf("got %d, %v, %q", target, begin, why)
			}
		})
	}
}
