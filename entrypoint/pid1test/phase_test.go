package pid1test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// An init script that prints IN-SCRIPT and then takes very long, in each kind
// that the official image knows.
var slowScripts = map[string]func(*testbed.Spec){
	"a sourced .sh":   script("20.sh", "echo IN-SCRIPT\nsleep 600\n"),
	"an executed .sh": program("/docker-entrypoint-initdb.d/20.sh", "#!/bin/bash\necho IN-SCRIPT\nsleep 600\n"),
	"a .sql":          script("20.sql", "\\echo IN-SCRIPT\nselect pg_sleep(600);\n"),
	"a .sql.gz":       func(s *testbed.Spec) {},
}

const firstScript = "create table t as select 1 as n;\n"

// harmless takes the place of the slow script for the next start.
func harmless(c *testbed.Container, kind string) {
	name, data := "20.sh", "true\n"
	switch {
	case strings.HasSuffix(kind, ".sql"):
		name, data = "20.sql", "select 1;\n"
	case strings.HasSuffix(kind, ".gz"):
		name, data = "20.sql.gz", gz("select 1;\n")
	}
	c.Write(testbed.File{Path: "/docker-entrypoint-initdb.d/" + name, Data: data, Mode: 0o644})
}

// A stop in the middle of an initialisation ends the container at once, and
// the next start keeps the half-made cluster aside and begins again.
func TestAStopDuringTheInitialisationEndsWithinTheGraceAndTheNextStartBeginsAgain(t *testing.T) {
	slowScripts["a .sql.gz"] = script("20.sql.gz", gz("\\echo IN-SCRIPT\nselect pg_sleep(600);\n"))
	for kind, slow := range slowScripts {
		t.Run("in "+kind, func(t *testing.T) {
			parallel(t)
			c := testbed.Run(t, spec(script("10.sql", firstScript), slow))
			c.WaitLog("^IN-SCRIPT", soon)
			interrupted(t, c, func() { harmless(c, kind) })
		})
	}
	for name, when := range map[string]string{
		"in initdb":               "^creating configuration files",
		"in the temporary server": "listening on Unix socket",
	} {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			// However late the stop comes, the initialisation is not over.
			c := testbed.Run(t, spec(script("10.sql", firstScript), env("POSTGRES_DB", "mine"),
				script("20.sh", "[ -e /again ] || { echo IN-SCRIPT; sleep 600; }\n")))
			c.WaitLog(when, soon)
			interrupted(t, c, func() { c.Write(testbed.File{Path: "/again"}) })
		})
	}
}

// interrupted stops a container that initialises, starts it again, and looks
// at what came of it.
func interrupted(t *testing.T, c *testbed.Container, between func()) {
	t.Helper()
	code, took := c.Stop(grace)
	if code == 137 || took > grace-5*time.Second {
		t.Errorf("docker stop took %s and ended with %d: it was killed or nearly so", seconds(took), code)
	}
	if code != 130 {
		t.Errorf("the interrupted initialisation ended with %d, want 130 (128+SIGINT)", code)
	}
	if strings.Contains(c.Logs(), "ready for start up") {
		t.Fatal("the initialisation was complete before it could be interrupted; the test shows nothing")
	}
	between()
	c.Start()
	c.WaitReady(soon)
	redone(t, c, home+"/.pgbaton/retired")
}

// redone reports whether a container that began its initialisation again has
// kept the first try aside and done everything once.
func redone(t *testing.T, c *testbed.Container, retired string) {
	t.Helper()
	logs := c.Logs()
	contains(t, logs, "kept a half-made cluster aside", "it begins again")
	if n := strings.Count(logs, "PostgreSQL init process complete; ready for start up."); n != 1 {
		t.Errorf("the initialisation was completed %d times, want once", n)
	}
	db := c.Spec.Env["POSTGRES_DB"]
	if db == "" {
		db = "postgres"
	}
	got := c.MustExec("psql", "-X", "-U", "postgres", "-d", db, "-Atc", "select string_agg(n::text, ',') from t")
	if got != "1" {
		t.Errorf("the table that an init script makes holds %q, want one row", got)
	}
	if kept := strings.Fields(c.MustExec("ls", retired)); len(kept) != 1 || !strings.HasSuffix(kept[0], "-halfmade") {
		t.Errorf("kept aside: %v, want one half-made cluster", kept)
	}
	awaitPhase(t, c, node.Running) // the supervisor may see it a moment after a client does
}

// A container that is killed where it cannot clean up: the host loses power,
// the grace is over, the kernel is out of memory.
func TestAnInitialisationThatWasKilledIsKeptAsideAndBegunAgainAndNeverServed(t *testing.T) {
	moments := []struct{ name, log string }{
		{"in initdb", "^creating configuration files"},
		{"in the temporary server", "listening on Unix socket"},
		{"in an init script", "^IN-SCRIPT"},
	}
	places := []struct{ name, at, wal string }{
		{"volume at " + home, home, ""},
		{"volume at " + oldData, oldData, ""},
		{"WAL directory of its own", home, "/wal/here"},
	}
	for _, p := range places {
		for _, m := range moments {
			// A sample: each moment and each place once or twice.
			if !testbed.Soak() && m.log != "^IN-SCRIPT" && (p.wal != "" || (p.at == home) != (m.name == "in initdb")) {
				continue
			}
			t.Run(m.name+", "+p.name, func(t *testing.T) {
				parallel(t)
				more := []func(*testbed.Spec){
					mount(testbed.NewVolume(t), p.at), script("10.sql", firstScript), env("POSTGRES_DB", "mine"),
					script("20.sh", "[ -e /again ] || { echo IN-SCRIPT; sleep 600; }\n"),
				}
				if p.wal != "" {
					more = append(more, mount(testbed.NewVolume(t), "/wal"), env("POSTGRES_INITDB_WALDIR", p.wal))
				}
				c := testbed.Run(t, spec(more...))
				c.WaitLog(m.log, soon)
				c.Kill("KILL")
				c.Wait(soon)
				if strings.Contains(c.Logs(), "ready for start up") {
					t.Fatal("the initialisation was complete before it could be killed; the test shows nothing")
				}
				c.Write(testbed.File{Path: "/again"})
				c.Start()
				c.WaitReady(soon)
				redone(t, c, p.at+"/.pgbaton/retired")
				if p.wal != "" {
					if got := c.MustExec("readlink", pgdata+"/pg_wal"); got != p.wal {
						t.Errorf("pg_wal leads to %q, want %q", got, p.wal)
					}
				}
			})
		}
	}
}

func TestAStopDuringStartUpRecoveryEndsWithinTheGraceAndTheNextStartGoesOn(t *testing.T) {
	parallel(t)
	v := testbed.Initialized(t, image, home)
	// The recovery waits in its restore_command, as long as the script says.
	c := on(t, v, args("-c", "restore_command=/restore"), program("/restore", "#!/bin/sh\necho RESTORING >&2\nexec sleep 600\n"),
		func(s *testbed.Spec) {
			s.Files = append(s.Files, testbed.File{Path: pgdata + "/recovery.signal", UID: 999, Mode: 0o600})
		})
	c.WaitLog("^RESTORING", soon)
	st := awaitPhase(t, c, node.Recovering)
	if st.Ready {
		t.Error("a node in recovery calls itself ready")
	}
	if code, _ := readiness(t, c); code != 503 {
		t.Errorf("readiness during recovery is %d, want 503", code)
	}
	if code, took := c.Stop(grace); code != 0 && code != 1 || took > grace-5*time.Second {
		t.Errorf("docker stop: exit code %d after %s", code, seconds(took))
	}
	c.Write(testbed.File{Path: "/restore", Data: "#!/bin/sh\nexit 1\n", Mode: 0o755})
	c.Start()
	c.WaitReady(soon)
}

func TestAStopDuringCrashRecoveryLosesNothing(t *testing.T) {
	parallel(t)
	v := testbed.Initialized(t, image, home)
	c := on(t, v, args("-c", "max_wal_size=8GB", "-c", "checkpoint_timeout=1h"))
	c.WaitReady(soon)
	const rows = 300_000
	psql(t, c, fmt.Sprintf("create table t as select n, repeat('x', 100) from generate_series(1, %d) n", rows))
	psql(t, c, "create index on t (n)")
	c.Kill("KILL")
	c.Wait(soon)
	for range testbed.Rounds(2, 10) {
		c.Start()
		c.WaitLog("redo starts at|database system was not properly shut down|database system was shut down", soon)
		if code, took := c.Stop(grace); code == 137 || took > grace-5*time.Second {
			t.Errorf("docker stop: exit code %d after %s", code, seconds(took))
		}
	}
	c.Start()
	c.WaitReady(soon)
	if got := psql(t, c, "select count(*) from t"); got != fmt.Sprint(rows) {
		t.Errorf("%s rows are left, want %d", got, rows)
	}
}

func TestAStopWhileTheNodeOnlyWaitsEndsAtOnceWithCodeZero(t *testing.T) {
	end := func(t *testing.T, c *testbed.Container) {
		t.Helper()
		if code, took := c.Stop(grace); code != 0 || took > grace-5*time.Second {
			t.Errorf("docker stop: exit code %d after %s, want 0 at once", code, seconds(took))
		}
	}
	t.Run("in crash back-off", func(t *testing.T) {
		parallel(t)
		c := server(t)
		crashLoop(t, c)
		st := awaitState(t, c, "it backs off for seconds", func(st node.State) bool {
			return st.Phase == node.BackingOff && time.Until(st.Restarts.NextStart) > 5*time.Second
		})
		contains(t, st.Why, "postgres ended by itself")
		end(t, c)
		// The next start is a first start again: it ends with postgres's code.
		c.Start()
		if code := c.Wait(soon); code != 1 {
			t.Errorf("started with a broken configuration it ended with %d, want postgres's 1", code)
		}
	})
	t.Run("while another container holds the volume", func(t *testing.T) {
		parallel(t)
		v := testbed.Initialized(t, image, home)
		first := on(t, v)
		first.WaitReady(soon)
		second := on(t, v)
		awaitPhase(t, second, node.Waiting)
		end(t, second)
		first.WaitReady(soon)
	})
	t.Run("while an operator has stopped postgres", func(t *testing.T) {
		parallel(t)
		c := server(t)
		c.WaitReady(soon)
		c.MustExec("pgbaton", "stop")
		end(t, c)
		c.Start() // the order was for that run of the container
		c.WaitReady(soon)
	})
	t.Run("while the programs of its major are missing", func(t *testing.T) {
		parallel(t)
		c := server(t, env("PGBATON_BINARIES", "/nowhere"))
		st := awaitPhase(t, c, node.Holding)
		contains(t, st.Why, "programs of PostgreSQL 17", "/nowhere")
		if code, body := readiness(t, c); code != 503 || !strings.Contains(body, "/nowhere") {
			t.Errorf("readiness is %d: %s", code, body)
		}
		end(t, c)
	})
}

// crashLoop makes a server that has served die again and again.
func crashLoop(t *testing.T, c *testbed.Container) {
	t.Helper()
	c.WaitReady(soon)
	c.MustExec("sh", "-c", "echo 'shared_buffers = nonsense' >> "+pgdata+"/postgresql.auto.conf")
	c.Signal(postmasterOf(t, c), syscall.SIGKILL)
}
