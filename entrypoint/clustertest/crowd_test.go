package clustertest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// TestCommitsAreReleasedAndAnHeirIsArmedAlthoughNoConnectionIsFree: the heir is
// killed, every connection waits for it, and an operator says to go on alone.
func TestCommitsAreReleasedAndAnHeirIsArmedAlthoughNoConnectionIsFree(t *testing.T) {
	t.Parallel()
	c := testbed.RunCluster(t, testbed.ClusterSpec{Nodes: 2, Major: 17, Args: []string{"-c", "max_connections=20"}})
	p := c.WaitWhole(2 * long)
	h := c.Others(p)[0]
	p.MustExec("psql", "-U", "postgres", "-c", "create table t (n int)")
	h.Kill9()
	g := p.Crowd(40, "insert into t values (1)")
	defer g.Leave()
	g.Full()
	orders(t, p, "alone", "--force", "--yes")
	p.Eventually(long, "all commits come back", func() bool { in, back := g.Counts(); return back == in && in >= 10 })

	// They stay connected, and the heir comes back.
	h.Start()
	c.WaitWhole(2 * long)
	if _, back := g.Counts(); back < 10 {
		t.Errorf("%d sessions were there", back)
	}
	handOver(t, p, "--to", h.Host)
	expect(t, c.WaitWhole(2*long), h, "the switchover")
}

// TestWhatUsersLockAndTriggerIsNoHang: a healthy primary stays one, whatever
// keeps logins or catalogues waiting, and none of our sessions is in anybody's way.
func TestWhatUsersLockAndTriggerIsNoHang(t *testing.T) {
	t.Parallel()
	const hung = 8 * time.Second
	c := testbed.RunCluster(t, testbed.ClusterSpec{Nodes: 2, Major: 17, Env: map[string]string{"PGBATON_HUNG_AFTER": hung.String()}})
	p := c.WaitWhole(2 * long)
	h := c.Others(p)[0]
	same := servers(t, c)
	psql := func(n *testbed.Node, db string, commands ...string) {
		t.Helper()
		args := []string{"psql", "-U", "postgres", "-d", db, "-v", "ON_ERROR_STOP=1"}
		for _, s := range commands {
			args = append(args, "-c", s)
		}
		n.MustExec(args...)
	}
	psql(p, "postgres", "create database app")
	psql(p, "app", "create database copy template postgres", "begin; lock table pg_authid in access exclusive mode; select pg_sleep(16)")
	c.WaitWhole(long)
	if now := servers(t, c); fmt.Sprint(now) != fmt.Sprint(same) {
		t.Errorf("a lock on pg_authid counted as a hang: servers started at %v, before at %v", now, same)
	}

	psql(p, "postgres", "create function no() returns event_trigger language plpgsql as $$begin if session_user = 'postgres' and pg_backend_pid() > 0 then raise 'nobody gets in'; end if; end$$",
		"create event trigger no on login execute function no()")
	psql(p, "app", "alter database template1 allow_connections false")
	orders(t, p, "restart")
	c.WaitWhole(2 * long)
	p.Eventually(long, "it counts as the primary", func() bool { code, _ := get(t, p, "/primary", ""); return code == 200 })
	psql(p, "app", "drop database postgres", "alter database template1 allow_connections true")
	c.WaitWhole(2 * long)
	began := time.Now()
	orders(t, p, "stop", "--mode", "smart", "--timeout", "10m")
	t.Logf("a smart shutdown took %v", time.Since(began))
	orders(t, p, "start")

	expect(t, c.WaitWhole(2*long), p, "its restart")
	before, _ := p.Postmaster()
	h.Kill9()
	ctx, cancel := context.WithTimeout(t.Context(), 2*hung)
	defer cancel()
	_, err := p.TryDo(ctx, testbed.Command{Args: []string{"psql", "-U", "postgres", "-d", "app", "-c", "create database shop"}})
	if err == nil {
		t.Error("create database did not wait for the heir")
	}
	if now, _ := p.Postmaster(); now.PID != before.PID {
		t.Errorf("a CREATE DATABASE that waits counted as a hang: the postmaster was %d and is %d", before.PID, now.PID)
	}
	psql(p, "app", "select 1")
	h.Start()
	c.WaitWhole(2 * long)
	if strings.Contains(p.Logs(), "Connection reset by peer") {
		t.Error("the supervisor's pings end connections rudely")
	}
}
