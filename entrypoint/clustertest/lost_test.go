package clustertest

import (
	"fmt"
	"testing"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// TestAStandbyWhoseWALIsGoneCopiesThePrimaryByItselfAndKeepsItsData is away for
// longer than PGBATON_SLOT_KEEP lasts, twice.
func TestAStandbyWhoseWALIsGoneCopiesThePrimaryByItselfAndKeepsItsData(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{
		Nodes: 2, Env: map[string]string{"PGBATON_SLOT_KEEP": "16MB", "PGBATON_HUNG_AFTER": "10m"}, // checkpoints on a busy disk
		Args: []string{"postgres", "-c", "max_wal_size=32MB", "-c", "min_wal_size=32MB"},
	})
	const kept = "/var/lib/postgresql/.pgbaton/diverged"
	p := c.WaitWhole(long)
	h := c.Others(p)[0]
	awayTooLong(t, c, p, h)
	expect(t, c.WaitWhole(2*long), p, "the copy")
	h.MustExec("sh", "-c", "test $(ls -d "+kept+"/*-lost | wc -l) = 1 && test -s "+kept+"/*-lost/PG_VERSION && test -s "+kept+"/*-lost/role.json")
	flowing(t, load)

	p = c.WaitWhole(long)
	h = c.Others(p)[0]
	awayTooLong(t, c, p, h)
	says(c, h, "is still kept in "+kept)
	h.MustExec("sh", "-c", "rm -r "+kept+"/*-lost")
	c.WaitWhole(2 * long)
	flowing(t, load)
	t.Log(c.Audit(load))
}

// awayTooLong stops a standby and starts it when the primary has no WAL for it
// any more.
func awayTooLong(t *testing.T, c *testbed.Cluster, p, h *testbed.Node) {
	t.Helper()
	h.Stop(long)
	end := waitFor(c, p, "has no heir", func(v testbed.View) bool { return v.State.Cluster.Record.Heir == nil }).State.Cluster.Written
	var file string
	if err := p.DB().QueryRow("select pg_walfile_name($1::pg_lsn)", end.String()).Scan(&file); err != nil {
		t.Fatal(err)
	}
	p.Eventually(2*long, "the primary removes "+file, func() bool {
		rows(t, p, 20)
		var there int
		if _, err := p.DB().Exec("checkpoint"); err != nil {
			t.Fatal(err)
		}
		if err := p.DB().QueryRow(fmt.Sprintf("select count(*) from pg_ls_waldir() where name <= '%s'", file)).Scan(&there); err != nil {
			t.Fatal(err)
		}
		return there == 0
	})
	h.Start()
}
