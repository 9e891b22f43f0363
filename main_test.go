package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
)

// The program under its names: what the name selects is part of the test.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"pgbaton": main, "notify": main, "upgrade": main})
}

// TestScripts runs the transcripts in testdata/script. `supervisor FILE [PEERS]`
// serves the state in a JSON file, and those of peers in another one, on
// $PGBATON_CONTROL_DIR/control.sock; `exitcode N COMMAND…` runs a command that
// must end with that code; `looked N` waits until the state was looked at N times.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			dir := filepath.Join(env.WorkDir, "run")
			env.Setenv("PGBATON_CONTROL_DIR", dir)
			env.Values[theFake] = &fake{}
			return os.Mkdir(dir, 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"supervisor": fakeSupervisor,
			"exitcode":   exitCode,
			"looked":     looked,
			"asked":      asked,
		},
	})
}

// theFake is where a transcript finds its supervisor.
const theFake = "fake"

// fakeSupervisor serves a fixed state for the rest of the transcript.
func fakeSupervisor(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 && len(args) != 2 {
		ts.Fatalf("usage: supervisor FILE [FILE OF PEERS]")
	}
	f := ts.Value(theFake).(*fake)
	if len(args) == 2 {
		ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &f.peers))
	}
	var st node.State
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &st))
	f.st.Store(&st)
	s, err := nodeapi.Start(nodeapi.Config{
		Source: f, Steerer: f, Log: slog.New(slog.DiscardHandler),
		Socket: filepath.Join(ts.Getenv("PGBATON_CONTROL_DIR"), nodeapi.SocketName),
	})
	ts.Check(err)
	ts.Defer(func() { ts.Check(s.Close()) })
}

// asked compares the latest order that the supervisor took.
func asked(ts *testscript.TestScript, _ bool, args []string) {
	if got := ts.Value(theFake).(*fake).st.Load().Why; got != "an operator asked for "+args[0] {
		ts.Fatalf("%s, want %s", got, args[0])
	}
}

// looked waits until the state was looked at so many times.
func looked(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	f := ts.Value(theFake).(*fake)
	for begun := time.Now(); f.reads.Load() < want; time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > time.Minute {
			ts.Fatalf("the state was looked at %d times in a minute, not %d", f.reads.Load(), want)
		}
	}
}

// exitCode runs a command and compares its exit code, which testscript's own
// exec does not tell.
func exitCode(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit interface{ ExitCode() int }
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("run %s: %v", args[1], err)
	}
	got := 0
	if exit != nil {
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// fake is a node whose smart stop takes until somebody has looked at it.
type fake struct {
	st    atomic.Pointer[node.State]
	peers []node.State
	reads atomic.Int64

	ordered atomic.Bool
}

func (f *fake) Fleet() []node.State { return f.peers }

func (f *fake) State() node.State {
	defer f.reads.Add(1)
	st := *f.st.Load()
	if st.Cluster != nil && f.ordered.Load() {
		st.Time = time.Now() // it looks again after an order
		c := *st.Cluster
		c.Peers = slices.Clone(c.Peers)
		for i := range c.Peers {
			c.Peers[i].Age = 0
		}
		st.Cluster = &c
	}
	return st
}

func (f *fake) set(phase node.Phase, why string) {
	f.ordered.Store(true)
	st := f.State()
	st.Phase, st.Why, st.Ready = phase, why, phase == node.Running
	f.st.Store(&st)
}

func (f *fake) Do(_ context.Context, o node.Order) error {
	switch {
	case o.Do == node.DoUpgrade:
		return f.upgrade(*o.Upgrade)
	case o.Do == node.Start && f.State().Phase == node.Running:
		return errors.New("postgres runs already; nothing was done\nhint: use `pgbaton restart`")
	case o.Do == node.Stop && o.Mode == node.Smart:
		f.set(node.Stopping, "a smart stop waits for clients to leave until it becomes fast in "+o.Timeout.String())
		f.seen()
		fallthrough
	case o.Do == node.Stop:
		f.set(node.Stopped, "an operator stopped it")
	default:
		f.set(node.Running, fmt.Sprintf("an operator asked for %s, force=%v%s", o.Do, o.Force, o.To))
	}
	return nil
}

func TestSpans(t *testing.T) {
	for in, want := range map[string]string{
		"0s": "0s", "999ms": "0s", "45s": "45s", "60s": "1m", "200s": "3m 20s", "2h5m59s": "2h 5m", "99h": "4d 3h", "96h1m": "4d",
	} {
		d, err := time.ParseDuration(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := span(d); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestTheStatusTableFitsInto80Columns(t *testing.T) {
	long := strings.Repeat("a sentence that goes on ", 12)
	now := time.Now()
	st := node.State{
		Node: "node", Version: "1", Phase: node.BackingOff, Why: long, Warnings: []string{long, long}, Time: now,
		PGData: "/var/lib/postgresql/17/docker", Major: 17, Available: []int{13, 14, 15, 16, 17, 18},
		Control:  &node.Control{SystemIdentifier: 1<<64 - 1, State: "in archive recovery", Timeline: 4711, CheckpointLSN: "FFFF/FFFFFFFF"},
		Restarts: node.Restarts{Supervisor: 12, Postgres: 345, LastExit: "killed by signal 9 (SIGKILL)", NextStart: now.Add(time.Minute)},
	}
	var b strings.Builder
	if err := printStatus(&b, st, false); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}
