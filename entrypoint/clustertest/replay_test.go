package clustertest

import (
	"context"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// TestSettingsOfAnEarlierRestoreAndAPausedReplayLoseNothing: what a restore left
// in the configuration comes to the standby by its copy; later its replay is
// paused by somebody, and by a setting of which the primary has more.
func TestSettingsOfAnEarlierRestoreAndAPausedReplayLoseNothing(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2})
	p := c.WaitWhole(long)
	h := c.Others(p)[0]
	yesterday := time.Now().Add(-24 * time.Hour).UTC().Format("2006-01-02 15:04:05")
	set(t, "recovery_target_time", "'"+yesterday+"'", p)
	set(t, "recovery_target_action", "'promote'", p)
	set(t, "recovery_end_command", "'sleep 600'", p)
	reclone(t, c, h)
	c.WaitWhole(2 * long)
	flowing(t, load)
	if got := inEffect(t, h, "recovery_target_time"); got != "" {
		t.Errorf("recovery_target_time of %s is %q", h.Host, got)
	}
	p.Kill9()
	becomes(c, h)
	flowing(t, load)
	p.Start()
	p, h = c.WaitWhole(2*long), p
	flowing(t, load)

	sql(t, h, "select pg_wal_replay_pause()")
	says(c, p, h.Host+" streams, but its replay is paused")
	says(c, h, "this node is nobody's heir: its replay is paused")
	refused(t, p, "its replay is paused", "switchover", "--yes")
	flowing(t, load)
	sql(t, h, "select pg_wal_replay_resume()")
	set(t, "recovery_min_apply_delay", "'5s'", h)
	sql(t, h, "select pg_reload_conf()")
	says(c, p, h.Host+" streams, but its replay is delayed on purpose, by 5s (recovery_min_apply_delay)")
	sql(t, h, "alter system reset recovery_min_apply_delay")
	sql(t, h, "select pg_reload_conf()")
	c.WaitWhole(long)

	set(t, "max_connections", "140", p)
	orders(t, p, "restart")
	c.Wait(2*long, "a whole cluster whose standby has as much as its primary", func(views []testbed.View) bool {
		return c.Whole(views) && inEffect(t, h, "max_connections") == "140"
	})
	expect(t, c.WaitWhole(long), p, "a restart of the primary with a larger max_connections")
	uneven := "max_connections is not the same in the nodes' configurations: 140 on " + p.Host + ", 100 on " + h.Host
	if p.Host > h.Host {
		uneven = "max_connections is not the same in the nodes' configurations: 100 on " + h.Host + ", 140 on " + p.Host
	}
	says(c, p, uneven)
	says(c, h, uneven)
	flowing(t, load)
	p.Kill9()
	becomes(c, h)
	flowing(t, load)
	p.Start()
	c.WaitWhole(2 * long)
	t.Log(c.Audit(load))
}

// sql is a statement of an operator.
func sql(t *testing.T, n *testbed.Node, statement string) {
	t.Helper()
	if _, err := n.DB().Exec(statement); err != nil {
		t.Fatalf("on %s: %s: %v", n.Host, statement, err)
	}
}

// TestAQueryThatHoldsUpReplayKeepsNobodyFromTakingOver: one that runs, at a
// switchover; a session that sits in its transaction, at the primary's death.
func TestAQueryThatHoldsUpReplayKeepsNobodyFromTakingOver(t *testing.T) {
	t.Parallel()
	c, load := loaded(t, testbed.ClusterSpec{Nodes: 2})
	p := c.WaitWhole(long)
	h := c.Others(p)[0]
	load.Lap()
	holdUp(t, p, h, "select pg_sleep(3600)")
	handOver(t, p)
	becomes(c, h)
	flowing(t, load)
	t.Log("switchover:", load.Lap())
	p, h = c.WaitWhole(2*long), p
	holdUp(t, p, h, "select 1")
	p.Kill9()
	becomes(c, h)
	flowing(t, load)
	t.Log("death:", load.Lap())
	p.Start()
	c.WaitWhole(2 * long)
	t.Log(c.Audit(load))
}

// holdUp lets a transaction on the standby hold up its replay for as long as it
// lasts, and returns when it does. The last statement is not waited for.
func holdUp(t *testing.T, p, h *testbed.Node, last string) {
	t.Helper()
	sql(t, h, "alter system set max_standby_streaming_delay = -1")
	sql(t, h, "select pg_reload_conf()")
	sql(t, p, "create table if not exists held as select generate_series(1, 1000) i")
	conn, err := h.DB().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	h.Eventually(long, "a transaction reads the table", func() bool {
		_, err := conn.ExecContext(t.Context(), "rollback; begin isolation level repeatable read; select count(*) from held")
		return err == nil
	})
	go func() { _, _ = conn.ExecContext(t.Context(), last) }() // its error is what the test is about
	h.Eventually(long, "its replay is held up", func() bool {
		sql(t, p, "insert into held select generate_series(1, 10)")
		sql(t, p, "delete from held")
		sql(t, p, "vacuum held")
		var held bool
		err := h.DB().QueryRow("select exists (select from pg_stat_activity where backend_type = 'startup' and wait_event like 'RecoveryConflict%')").Scan(&held)
		return err == nil && held
	})
}

// holdUpAll is holdUp on all standbys of a cluster under random faults, as far as
// it goes; let ends the transactions.
func holdUpAll(t *testing.T, c *testbed.Cluster, p *testbed.Node) (let func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	within, enough := context.WithTimeout(ctx, 10*time.Second)
	defer enough()
	db := p.DB()
	_, _ = db.ExecContext(within, "create table if not exists held as select generate_series(1, 1000) i; insert into held select generate_series(1, 1000)")
	for _, n := range c.Others(p) {
		conn, err := n.DB().Conn(within)
		if err != nil {
			continue
		}
		_, _ = conn.ExecContext(within, "begin isolation level repeatable read; select count(*) from held")
		go func() { _, _ = conn.ExecContext(ctx, "select pg_sleep(3600)") }() // its error is what is wanted
	}
	_, _ = db.ExecContext(within, "delete from held")
	_, _ = db.ExecContext(within, "vacuum held")
	return cancel
}
