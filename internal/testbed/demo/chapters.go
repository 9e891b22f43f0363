package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

func (s *story) start(image string) {
	s.chapter("start a container from %s on an empty volume", image)
	s.volume = testbed.NewVolume(s.tb)
	began := time.Now()
	s.c = testbed.Run(s.tb, testbed.Spec{
		Image:  image,
		Env:    map[string]string{"POSTGRES_PASSWORD": "demo"},
		Mounts: []testbed.Mount{s.volume.At(home)},
		Stop:   grace, ShmSize: 256 << 20,
	})
	s.c.WaitReady(2 * time.Minute)
	var version string
	err := s.c.DB().QueryRow("show server_version").Scan(&version)
	s.must(err, "ask for the version")
	s.say("%s: PostgreSQL %s, initialised and ready after %.1f s", s.c.Name, version, time.Since(began).Seconds())
	s.processes()
}

// fill makes tables that the load does not touch, to see that they stay the same.
func (s *story) fill() {
	const scale, tables = 10, 200
	s.chapter("data: pgbench at scale %d and %d more tables", scale, tables)
	s.c.MustExec("pgbench", "-U", "postgres", "-i", "-q", "-s", fmt.Sprint(scale), "postgres")
	s.c.MustExec("psql", "-qXU", "postgres", "-v", "ON_ERROR_STOP=1", "-c", fmt.Sprintf(`do $$ begin
		for i in 1..%d loop
			execute format('create table t%%s (id int primary key, v text)', i);
			execute format('insert into t%%s select g, md5(g::text) from generate_series(1, 100) g', i);
		end loop; end $$`, tables))
	s.before = testbed.SnapshotRows(s.c, testbed.Access{})
	s.say("%s", contentsText(s.before))
}

func (s *story) quiet() {
	s.chapter("4 clients write, each row a commit of its own; nothing happens to them")
	load := testbed.Load{Target: s.c.DSN, Think: 2 * time.Millisecond}
	s.must(load.Prepare(s.tb.Context()), "start the load")
	s.load = load.Start(s.tb.Context())
	s.flow()
	s.watch(2 * time.Second)
	s.saw()
}

// killSupervisor takes away the process that knows everything, while a client
// is in the middle of a transaction.
func (s *story) killSupervisor() {
	s.chapter("kill -9 the supervisor, in the middle of a client's transaction")
	ctx := s.tb.Context()
	session, err := s.c.DB().Conn(ctx)
	s.must(err, "open a session")
	defer session.Close()
	_, err = session.ExecContext(ctx, "begin; create temp table half_done (n int)")
	s.must(err, "begin a transaction")

	old := s.supervisor()
	before, _ := s.c.Postmaster()
	s.c.Signal(old, syscall.SIGKILL)
	killed := time.Now()
	s.c.Eventually(30*time.Second, "another supervisor", func() bool {
		p, ok := s.c.Supervisor()
		return ok && p.PID != old.PID
	})
	s.c.Eventually(30*time.Second, "status of the new supervisor", func() bool {
		return s.c.Exec("pgbaton", "status", "--ready").Code == 0
	})
	s.say("supervisor %d is dead; after %d ms its successor %d answers `pgbaton status`",
		old.PID, time.Since(killed).Milliseconds(), s.supervisor().PID)
	after, _ := s.c.Postmaster()
	s.claim(before.PID == after.PID && before.Started == after.Started,
		"postgres is the same process as before, pid %d", before.PID)
	_, err = session.ExecContext(ctx, "insert into half_done values (1); commit")
	s.claim(err == nil, "the transaction that was open goes on and commits")
	s.flow()
	seen := s.saw()
	s.claim(seen.Failed == 0 && seen.Refused == 0, "no client noticed")
}

func (s *story) stopAndStart() {
	s.chapter("`pgbaton stop`, a second of peace, `pgbaton start`: the container lives on")
	init := s.c.Inspect()
	s.pgbaton("stop")
	_, runs := s.c.Postmaster()
	s.claim(!runs, "no postgres process is left")
	s.status()
	s.watch(time.Second)
	s.pgbaton("start")
	s.flow()
	now := s.c.Inspect()
	s.claim(now.Running && now.PID == init.PID && now.StartedAt.Equal(init.StartedAt), "the container never ended")
	s.watch(time.Second)
	s.saw()
}

// pgbaton runs a command of the product in the container.
func (s *story) pgbaton(order string) {
	began := time.Now()
	s.c.MustExec("pgbaton", order)
	s.say("`pgbaton %s` took %d ms", order, time.Since(began).Milliseconds())
}

// status prints the sentence with which the node explains itself.
func (s *story) status() {
	var st node.State
	s.must(json.Unmarshal([]byte(s.c.MustExec("pgbaton", "status", "-o", "json")), &st), "read the status")
	s.say("`pgbaton status`: %s: %s", st.Phase, st.Why)
}

func (s *story) supervisor() testbed.Process {
	p, ok := s.c.Supervisor()
	if !ok {
		s.tb.Fatalf("no supervisor in the container")
	}
	return p
}

func (s *story) processes() {
	s.say("its first processes: pid, parent, uid, anonymous memory")
	for _, p := range s.c.Processes() {
		if p.PID == 1 || p.PPID == 1 || p.Comm == "postgres" && p.PPID == s.supervisor().PID {
			s.say("  %3d %3d %4d %5.1f MB  %s", p.PID, p.PPID, p.UID, float64(p.RssAnon)/(1<<20), strings.Join(p.Cmdline, " "))
		}
	}
}
