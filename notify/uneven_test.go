package notify

import (
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
)

func TestASettingThatIsNotTheSameOnAllNodesIsNamedWithItsValues(t *testing.T) {
	t.Parallel()
	has := func(connections, locks int64) []node.Limit {
		return []node.Limit{{Name: "max_connections", Next: connections}, {Name: "max_locks_per_transaction", Next: locks}}
	}
	if got := Uneven(map[string][]node.Limit{"db1": has(100, 64), "db2": has(100, 64), "db3": nil}); len(got) != 0 {
		t.Errorf("got %q", got)
	}
	got := Uneven(map[string][]node.Limit{"db2": has(100, 64), "db1": has(120, 64)})
	if len(got) != 1 || !strings.HasPrefix(got[0], "max_connections is not the same in the nodes' configurations: 120 on db1, 100 on db2. ") {
		t.Errorf("got %q", got)
	}
}
