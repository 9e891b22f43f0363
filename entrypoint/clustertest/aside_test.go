package clustertest

import (
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// TestDataThatGivesWayToACopyIsKeptWholeThoughThatWasInterrupted kills the node
// when all but PG_VERSION was kept aside, and again when all but PG_VERSION of
// the copy is in place.
func TestDataThatGivesWayToACopyIsKeptWholeThoughThatWasInterrupted(t *testing.T) {
	t.Parallel()
	const (
		at    = "PG_VERSION:before:2" // the first one is the first copy's
		still = "standing still at crash point " + at
	)
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2, NodeEnv: map[string]map[string]string{"n2": {durable.CrashEnv: at}}})
	p := c.WaitWhole(long)
	expect(t, p, c.Node("n1"), "the beginning")
	h := c.Node("n2")
	if p == h {
		handOver(t, p)
		c.WaitWhole(2 * long)
	}
	began := time.Now()
	h.Eventually(2*long, "the order is taken", func() bool { // and waited for in vain
		h.Exec("sh", "-c", "timeout 3 pgbaton reclone --yes")
		return strings.Contains(h.LogsSince(began), still)
	})
	for range 2 {
		h.WaitLogSince(began, still, long)
		h.Kill9()
		began = time.Now()
		h.Start()
	}
	c.WaitWhole(2 * long)
	h.MustExec("sh", "-c", "cd /var/lib/postgresql/.pgbaton/diverged/*-replaced && test -s PG_VERSION && test -s global/pg_control && test -d base/1 && test -d pg_wal && test -s role.json")
	h.MustExec("sh", "-c", "test $(ls /var/lib/postgresql/.pgbaton/diverged | wc -l) = 1")
	flowing(t, load)
	t.Log(c.Audit(load))
}
