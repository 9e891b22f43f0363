package clustertest

import (
	"regexp"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
	"github.com/pgbaton/pgbaton/internal/whole"
)

func TestOrdersAboutRolesAreRefusedWithAReasonWhereTheyWouldLoseSomething(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2})
	k := keepsCalm(t, c)
	p, h := k.p, c.Others(k.p)[0]
	refused(t, p, "this node is the primary already", "switchover", "--to", p.Host, "--yes")
	refused(t, p, "nothing was changed", "switchover", "--to", "n9", "--yes")
	refused(t, h, p.Host+" is the primary: give this order there", "switchover", "--yes")
	refused(t, h, "use `pgbaton switchover`", "promote", "--yes")
	refused(t, p, "nothing was changed", "promote", "--yes")
	refused(t, p, "nothing was changed", "reclone", "--yes")
	refused(t, h, "nothing was changed", "alone", "--yes")
	refused(t, p, "PGBATON_PEERS", "upgrade", "now")
	refused(t, h, "PGBATON_PEERS", "upgrade", "now")
	p.MustExec("sh", "-c", "touch /var/lib/postgresql/upgrade")
	p.WaitLog("one node of a cluster cannot be upgraded by itself", long)
	k.check(t, "orders that were refused")
	flowing(t, load)
	t.Log(c.Audit(load))
}

func TestPauseKeepsRolesAndResumeLetsThemChangeAgain(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2})
	p, h := pauseHeir(t, c)
	flowing(t, load) // nobody waits for it
	h.KillSupervisor()
	waitFor(c, h, "is paused still", func(v testbed.View) bool {
		return v.State.Cluster != nil && v.State.Cluster.Record != nil && v.State.Cluster.Record.Paused
	})
	p.Kill9()
	judges(t, c, h, node.Down, whole.CodeNoPrimary, "the primary "+p.Host+" (epoch ")
	staysDown(t, c, "nobody promotes")
	p.Start()
	becomes(c, p)
	orders(t, h, "resume", "--yes")
	expect(t, c.WaitWhole(2*long), p, "the pause")
	flowing(t, load)
	t.Log(c.Audit(load))
}

func TestAloneReclonePromoteAndTheirForceDoWhatTheySay(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2, Env: map[string]string{"PGBATON_UNREADY_AFTER": "2s"}})
	p := c.WaitWhole(long)
	h := c.Others(p)[0]

	h.Pause() // its armed heir is silent: commits wait
	says(c, p, "commits wait for its heir "+h.Host)
	judges(t, c, p, node.Degraded, whole.CodeCommitsWait, "commits wait for "+h.Host+", ")
	saysThatCommitsWait(t, p)
	refused(t, p, "nothing was changed", "alone", "--yes")
	orders(t, p, "alone", "--force", "--yes")
	flowing(t, load)
	h.Unpause()
	p = c.WaitWhole(2 * long)
	h = c.Others(p)[0]

	reclone(t, c, h)
	c.WaitWhole(2 * long)
	h.Eventually(long, "the old data is kept aside", func() bool {
		return h.Exec("sh", "-c", "ls -d /var/lib/postgresql/.pgbaton/diverged/*-replaced").Code == 0
	})
	flowing(t, load)

	p, h = pauseHeir(t, c) // so that it does not promote by itself
	t.Log(c.Audit(load))   // from here on the operator gives commits up
	heal := c.Net.Cut(p.Container, h.Container)
	rows(t, p, 1) // acknowledged, and on p alone
	p.Kill9()
	heal()
	waitFor(c, h, "misses the primary", func(v testbed.View) bool { return !v.State.Cluster.Streaming })
	h.Eventually(long, "the primary is silent for "+h.Host, func() bool {
		return h.Exec("pgbaton", "promote", "--yes").Code != 0 && noPrimary(c.Views(t.Context()))
	})
	refused(t, h, "--force", "promote", "--yes")
	orders(t, h, "promote", "--force", "--yes")
	becomes(c, h)
	orders(t, h, "resume", "--yes")
	p.Start()
	says(c, p, "they exist nowhere else")
	reclone(t, c, p)
	expect(t, c.WaitWhole(2*long), h, "the copy")
}

// saysThatCommitsWait on the surfaces that are for that alone.
func saysThatCommitsWait(t *testing.T, p *testbed.Node) {
	t.Helper()
	p.Eventually(long, "commits wait, for too long to be ready", func() bool {
		_, metrics := get(t, p, "/metrics", "")
		primary, _ := get(t, p, "/primary", "")
		readiness, _ := get(t, p, "/readiness", "")
		readOnly, _ := get(t, p, "/read-only", "")
		_, fleet := get(t, p, "/v1/cluster", testbed.Token)
		sessions := regexp.MustCompile(`(?m)^pgbaton_cluster_commits_waiting_sessions [1-9]`).MatchString(metrics)
		t.Logf("/primary %d, /readiness %d, /read-only %d, sessions known: %v", primary, readiness, readOnly, sessions)
		return primary == 503 && readiness == 503 && readOnly == 200 && sessions &&
			strings.Contains(metrics, "\npgbaton_cluster_commits_waiting 1\n") && strings.Contains(fleet, `"what":"commits wait for `)
	})
}

// TestPeersWithTheMountAsTheDataDirectoryHoldAndSayWhy where the configuration
// depends on the place from which the cluster is to be moved.
func TestPeersWithTheMountAsTheDataDirectoryHoldAndSayWhy(t *testing.T) {
	t.Parallel()
	old := officialVolume(t)
	conf := func(text string) testbed.File {
		return testbed.File{Path: oldMount + "/postgresql.auto.conf", Data: text, Mode: 0o600, UID: 999}
	}
	s := onMount(old.At(oldMount), peered("PGDATA="+oldMount))
	s.Files = []testbed.File{conf("archive_command = 'cp %p " + oldMount + "/archive/%f'\n")}
	n := testbed.Run(t, s)
	n.WaitLog("archive_command in line 1 of .*postgresql.auto.conf holds its path", long)
	if said := n.Exec("sh", "-c", "ls -d "+oldMount+"/PG_VERSION && ls -d "+oldMount+"/17"); said.Code == 0 || !strings.Contains(said.Stdout, "PG_VERSION") {
		t.Errorf("something was moved: %s", said.Stdout)
	}
	n.Write(conf("archive_command = 'cp %p archive/%f'\n"))
	n.WaitLog(moved, long)
	n.MustExec("test", "-f", oldMount+"/17/docker/PG_VERSION")
}
