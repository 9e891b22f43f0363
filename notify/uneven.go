package notify

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pgbaton/pgbaton/internal/node"
)

// Uneven says of which settings the nodes have different values in their own
// configurations, although a standby needs what its primary has: whoever is the
// primary next would have another value than this one, if only from its next
// start on.
func Uneven(limits map[string][]node.Limit) (said []string) {
	for _, setting := range (node.Needs{}).Each() {
		values, each := map[int64]bool{}, []string{}
		for _, name := range slices.Sorted(maps.Keys(limits)) {
			for _, l := range limits[name] {
				if l.Name == setting.Name {
					values[l.Next] = true
					each = append(each, fmt.Sprintf("%d on %s", l.Next, name))
				}
			}
		}
		if len(values) > 1 {
			said = append(said, fmt.Sprintf("%s is not the same in the nodes' configurations: %s. A standby runs with no less than its primary, and whoever is the primary next with its own: "+
				"set it to the same on all nodes (`alter system` works on a standby too), then `pgbaton restart --rolling`", setting.Name, strings.Join(each, ", ")))
		}
	}
	return said
}
