package main

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
	"github.com/pgbaton/pgbaton/notify"
)

// measureHook calls the notify hook inside the container, as keepalived would,
// and reads a clock of the container's around it.
func (p *pair) measureHook(t *table, n int) {
	if n == 0 {
		return
	}
	progress("notify hook, %d times", n)
	const script = `for i in $(seq "$1"); do a=$EPOCHREALTIME
		pgbaton notify INSTANCE "$2" MASTER 200 >/dev/null || exit; b=$EPOCHREALTIME
		echo $((${b/./} - ${a/./})); done`
	c := p.WaitWhole(long)
	var took []time.Duration
	for _, line := range strings.Fields(c.MustExec("bash", "-c", script, "bash", strconv.Itoa(n), notify.Instance)) {
		us, err := strconv.Atoi(line)
		if err != nil {
			p.tb.Fatalf("read the hook's times: %v", err)
		}
		took = append(took, time.Duration(us)*time.Microsecond)
	}
	t.add("notify hook, start to verdict, p50", tenths(took), "", "", "≤ 10 ms")
}

// measureCPU watches our processes on both nodes under load.
func (p *pair) measureCPU(t *table, d time.Duration) {
	if d == 0 {
		return
	}
	progress("CPU of our processes under load, %v", d)
	p.begin()
	primary := p.WaitWhole(long)
	nodes := []*testbed.Node{primary, p.Others(primary)[0]}
	began := time.Now()
	before := []map[string]time.Duration{ourCPU(nodes[0]), ourCPU(nodes[1])}
	time.Sleep(d)
	over := time.Since(began)
	rate := p.load.Between(began, time.Now()).Rate()
	for i, n := range nodes {
		now := ourCPU(n)
		var cells []string
		var sum time.Duration
		for _, name := range ourNames {
			used := now[name] - before[i][name]
			sum += used
			cells = append(cells, name+" "+percent(used, over))
		}
		what := fmt.Sprintf("CPU of our processes, %s, %.0f commits/s, of one core", []string{"primary", "heir"}[i], rate)
		t.add(what, percent(sum, over)+" ("+strings.Join(cells, ", ")+")", "", "", "≤ 1 %")
	}
	p.finish()
}

// ourNames are the processes that are not PostgreSQL's.
var ourNames = []string{"init", "supervisor", "keepalived"}

// ourCPU is the time that they took since they were started.
func ourCPU(n *testbed.Node) map[string]time.Duration {
	used := map[string]time.Duration{}
	for _, p := range n.Processes() {
		switch {
		case p.PID == 1:
			used["init"] += p.CPU
		case strings.HasPrefix(p.Comm, "keepalived"):
			used["keepalived"] += p.CPU
		case p.PPID == 1 && len(p.Cmdline) > 1 && p.Cmdline[1] == "supervise":
			used["supervisor"] += p.CPU
		}
	}
	return used
}

// measureCommits lets one client commit with an armed heir, and without one,
// in turns.
func (p *pair) measureCommits(t *table, n int) {
	if n == 0 {
		return
	}
	var armed, alone []time.Duration
	for turn := range 2 {
		progress("commits of one client, turn %d of 2", turn+1)
		primary := p.WaitWhole(long)
		armed = append(armed, p.commits(primary, n)...)
		heir := p.Others(primary)[0]
		heir.Stop(time.Minute)
		p.Wait(long, primary.Host+" is alone", func(views []testbed.View) bool {
			for _, v := range views {
				if v.Node == primary {
					return v.Primary() && v.State.Cluster.Record.Heir == nil && v.State.Cluster.Synced == ""
				}
			}
			return false
		})
		alone = append(alone, p.commits(primary, n)...)
		heir.Start()
	}
	p.WaitWhole(long)
	t.add("commit with an armed heir, beside none, p50", tenths(armed), tenths(alone),
		ratio(median(armed).Seconds(), median(alone).Seconds()), "")
}

// commits times single rows, each a commit of its own.
func (p *pair) commits(n *testbed.Node, count int) []time.Duration {
	ctx, cancel := context.WithTimeout(p.tb.Context(), long)
	defer cancel()
	conn, err := n.DB().Conn(ctx)
	if err != nil {
		p.tb.Fatalf("connect: %v", err)
	}
	defer conn.Close()
	insert := prepare(ctx, p.tb, conn)
	defer insert.Close()
	var took []time.Duration
	for i := range count {
		began := time.Now()
		if _, err := insert.ExecContext(ctx, i); err != nil {
			p.tb.Fatalf("commit: %v", err)
		}
		took = append(took, time.Since(began))
	}
	return took
}

func prepare(ctx context.Context, tb testbed.TB, conn *sql.Conn) *sql.Stmt {
	_, err := conn.ExecContext(ctx, "create table if not exists bench_commits (n int)")
	if err != nil {
		tb.Fatalf("make a table: %v", err)
	}
	insert, err := conn.PrepareContext(ctx, "insert into bench_commits values ($1)")
	if err != nil {
		tb.Fatalf("prepare: %v", err)
	}
	return insert
}
