package inplace

import (
	"runtime"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
)

// GOMAXPROCS follows the cgroup's limit, the number of the host's processors
// does not.
func TestJobsFollowTheProcessorsThatTheContainerMayUse(t *testing.T) {
	before := runtime.GOMAXPROCS(3)
	defer runtime.GOMAXPROCS(before)
	var s Site
	if got := s.jobs(node.UpgradeRequest{}); got != 3 {
		t.Errorf("%d jobs of 3 processors", got)
	}
	if got := s.jobs(node.UpgradeRequest{Jobs: 7}); got != 7 {
		t.Errorf("%d jobs where 7 are asked for", got)
	}
}
