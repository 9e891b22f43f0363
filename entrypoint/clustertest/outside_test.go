package clustertest

import (
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// TestACopyOfAClusterWithATablespaceAndWALOnVolumesOfTheirOwn finds both in use
// by the data that gives way to it.
func TestACopyOfAClusterWithATablespaceAndWALOnVolumesOfTheirOwn(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{
		Nodes: 2, Env: map[string]string{"POSTGRES_INITDB_WALDIR": "/wal"},
		Edit: func(s *testbed.Spec) {
			s.Mounts = append(s.Mounts, testbed.NewVolume(t).At("/wal"), testbed.NewVolume(t).At("/space"))
		},
	})
	p := c.WaitWhole(long)
	for _, n := range c.Nodes {
		if r := n.Do(testbed.Command{Args: []string{"chown", "postgres", "/space"}, User: "0"}); r.Code != 0 {
			t.Fatal(r)
		}
	}
	for _, q := range []string{
		"create tablespace space location '/space'", "create table spaced (n int) tablespace space",
		"insert into spaced select generate_series(1, 100000)",
	} {
		if _, err := p.DB().Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	rows(t, p, 20)
	p = c.WaitWhole(long)
	h := c.Others(p)[0]

	reclone(t, c, h)
	c.WaitWhole(2 * long)
	leads(t, h, "$PGDATA", "/space/pgbaton-", "/wal/pgbaton-")
	leads(t, h, "/var/lib/postgresql/.pgbaton/diverged/*-replaced", "/space", "/wal")

	widen := c.Net.Narrow(h.Container, 40_000_000)
	reclone(t, c, h) // and it is interrupted
	waitFor(c, h, "has a part of the copy", func(v testbed.View) bool { return part.MatchString(v.State.Cluster.Why) })
	h.KillSupervisor()
	widen()
	p = c.WaitWhole(2 * long)
	for _, dir := range []string{"/space", "/wal"} { // those of the copy before and of this one
		if r := h.Exec("sh", "-c", "ls -d "+dir+"/pgbaton-* | wc -l"); strings.TrimSpace(r.Stdout) != "2" {
			t.Errorf("an interrupted copy was not cleared: %s", h.MustExec("sh", "-c", "ls -l "+dir))
		}
	}
	flowing(t, load)

	handOver(t, p)
	next := c.WaitWhole(2 * long)
	old := c.Others(next)[0]
	reclone(t, c, old)
	next = c.WaitWhole(2 * long)
	leads(t, old, "$PGDATA", "/space/pgbaton-", "/wal/pgbaton-")
	for _, n := range c.Nodes {
		var count int
		if err := n.DB().QueryRow("select count(*) from spaced").Scan(&count); err != nil || count != 100000 {
			t.Errorf("%s has %d rows in the tablespace: %v", n.Host, count, err)
		}
	}
	flowing(t, load)
	t.Log(c.Audit(load))
	if _, err := next.DB().Exec("insert into spaced values (0)"); err != nil {
		t.Error(err)
	}
}

// leads fails unless a data directory's links lead to directories that hold a
// tablespace and WAL; no path goes through two of those that are made for copies.
func leads(t *testing.T, n *testbed.Node, data, space, wal string) {
	t.Helper()
	said := n.MustExec("sh", "-c", "set -e; cd "+data+"; ls -d pg_tblspc/*/PG_17_*/* >/dev/null; ls pg_wal | grep -q '^0000'; readlink pg_tblspc/*; readlink pg_wal")
	lines := strings.Fields(said)
	for i, want := range []string{space, wal} {
		if len(lines) != 2 || !strings.HasPrefix(lines[i], want) || len(want) < 8 && lines[i] != want || strings.Count(lines[i], "pgbaton-") > 1 {
			t.Errorf("%s of %s leads to %q, want %s and %s", data, n.Host, lines, space, wal)
		}
	}
}
