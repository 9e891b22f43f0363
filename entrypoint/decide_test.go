package entrypoint

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/notify"
	"github.com/pgbaton/pgbaton/upgrade"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// served is a node whose volume is ours and whose cluster is whole.
func servable(change func(*facts)) facts {
	f := facts{now: noon, lock: lockOurs, prepared: true, data: dataCluster, mode: node.Fast, askedAt: noon}
	if change != nil {
		change(&f)
	}
	return f
}

func TestDecide(t *testing.T) {
	tests := []struct {
		name  string
		facts facts
		do    action
		phase node.Phase
		why   string // a part of it
	}{
		{"takes the lock before anything else", facts{now: noon}, actLock, node.Starting, "lock"},
		{"waits for a lock that another holds and names the holder", facts{now: noon, lock: lockBusy, holder: "node b"}, actLock, node.Waiting, "node b"},
		{"prepares the directories once the lock is ours", facts{now: noon, lock: lockOurs}, actPrepare, node.Starting, "owner"},
		{
			"gives no file to another owner while a server may live elsewhere",
			facts{now: noon, lock: lockOurs, pidFile: pidFileForeign, watchable: true, pidHolder: "x"},
			actWatch, node.Waiting, "once a minute",
		},
		{"starts a whole cluster", servable(nil), actStart, node.Starting, "starting postgres"},
		{"initialises an empty directory", servable(func(f *facts) { f.data = dataEmpty }), actInitialize, node.Initializing, "empty"},
		{"keeps a half-made cluster aside and never serves it", servable(func(f *facts) { f.data, f.initState = dataHalfMade, "initdb" }), actSetAside, node.Initializing, "initdb"},
		{"holds in front of an obstacle", servable(func(f *facts) { f.obstacle = "no programs of 15" }), actWait, node.Holding, "no programs of 15"},
		{"does nothing where the data is unknown", servable(func(f *facts) { f.data = dataUnknown }), actWait, node.Holding, "no rule"},
		{"ends when refused before anything was served", servable(func(f *facts) { f.refused = true }), actEnd, node.Ending, "refused"},
		{"stays when refused after it has served", servable(func(f *facts) { f.refused, f.served = true, true }), actWait, node.Holding, "changed"},
		{"ends after an initialisation that was all that was asked for", servable(func(f *facts) { f.initOnly = true }), actEnd, node.Ending, "PGBATON_INIT_ONLY"},

		{"adopts a postmaster that runs here", servable(func(f *facts) { f.pidFile = pidFileAlive }), actAdopt, node.Recovering, "adopting"},
		{
			"serves no server that somebody started with other options",
			servable(func(f *facts) { f.pidFile, f.stray = pidFileAlive, true }), actEvict, node.Stopping, "other options",
		},
		{
			"nor in a cluster, whatever its role",
			servable(func(f *facts) { f.pidFile, f.stray, f.clustered = pidFileAlive, true, true }), actEvict, node.Stopping, "other options",
		},
		{
			"leaves it alone while an operator wants ours down",
			servable(func(f *facts) { f.pidFile, f.stray, f.halted = pidFileAlive, true, true }), actWait, node.Stopped, "operator",
		},
		{
			"shuts it down before the container ends",
			servable(func(f *facts) { f.pidFile, f.halted, f.ending = pidFileAlive, true, true }), actEvict, node.Ending, "shut down first",
		},
		{"a pid file of our own dead server is no reason to wait", servable(func(f *facts) { f.pidFile = pidFileStale }), actStart, node.Starting, "starting"},
		{"moves a cluster below its mount before it prepares anything", facts{now: noon, lock: lockOurs, moving: true}, actMove, node.Starting, "below"},
		{"serves nothing that is half moved", servable(func(f *facts) { f.moving = true }), actMove, node.Starting, "below"},
		{"holds in front of what hinders a move", servable(func(f *facts) { f.moving, f.obstacle = true, "a path" }), actWait, node.Holding, "a path"},
		{
			"moves nothing beside a server that may live elsewhere",
			servable(func(f *facts) { f.moving, f.pidFile, f.watchable, f.pidHolder = true, pidFileForeign, true, "x" }),
			actWatch, node.Waiting, "once a minute",
		},
		{"moves nothing below a postmaster that runs here", servable(func(f *facts) { f.moving, f.pidFile = true, pidFileAlive }), actAdopt, node.Recovering, "adopting"},
		{
			"watches a foreign pid file before it starts beside it",
			servable(func(f *facts) { f.pidFile, f.watchable, f.pidHolder = pidFileForeign, true, "x" }),
			actWatch, node.Waiting, "once a minute",
		},
		{
			"still watches one that was opened 69 s ago",
			servable(func(f *facts) { f.pidFile, f.watchable, f.quiet = pidFileForeign, true, 69*time.Second }),
			actWatch, node.Waiting, "once a minute",
		},
		{
			"starts when nobody has opened it for 70 s",
			servable(func(f *facts) { f.pidFile, f.watchable, f.quiet = pidFileForeign, true, quietFor }),
			actStart, node.Starting, "starting",
		},
		{
			"holds where a file system does not show who opens it",
			servable(func(f *facts) { f.pidFile, f.quiet = pidFileForeign, time.Hour }),
			actWait, node.Waiting, "pgbaton start --force",
		},
		{
			"believes an operator who says that it is stale",
			servable(func(f *facts) { f.pidFile, f.vouched = pidFileForeign, true }),
			actStart, node.Starting, "starting",
		},
		{
			"a foreign pid file also protects a directory that looks half-made",
			servable(func(f *facts) { f.pidFile, f.watchable, f.data = pidFileForeign, true, dataHalfMade }),
			actWatch, node.Waiting, "once a minute",
		},

		{"lets a job run", servable(func(f *facts) { f.job, f.jobPhase, f.jobWhy = "initialising", node.Initializing, "it is empty" }), actWait, node.Initializing, "it is empty"},
		{"says that postgres runs", servable(func(f *facts) { f.server = serverUp }), actWait, node.Running, "accepts"},
		{"says that a warm standby lets nobody in", servable(func(f *facts) { f.server, f.says = serverUp, "standby" }), actWait, node.Recovering, "hot_standby"},
		{"sees a shutdown that it did not order", servable(func(f *facts) { f.server, f.says = serverUp, "stopping" }), actWait, node.Stopping, "somebody else"},
		{"says that postgres starts", servable(func(f *facts) { f.server = serverStarting }), actWait, node.Starting, "not accept"},
		{"says that it recovers where its start replays WAL", servable(func(f *facts) { f.server, f.recovers = serverStarting, true }), actWait, node.Recovering, "not accept"},
		{"says so before it starts", servable(func(f *facts) { f.recovers = true }), actStart, node.Recovering, "starting postgres"},

		{"ends a job when the container is to end", servable(func(f *facts) { f.ending, f.job = true, "initialising" }), actCancel, node.Ending, "asked to stop"},
		{"tells a running server to stop", servable(func(f *facts) { f.ending, f.server = true, serverUp }), actStop, node.Ending, "fast"},
		{"tells a starting server to stop too", servable(func(f *facts) { f.ending, f.server = true, serverStarting }), actStop, node.Ending, "fast"},
		{"does not repeat itself", servable(func(f *facts) { f.ending, f.server, f.told = true, serverUp, node.Fast }), actWait, node.Ending, "waiting"},
		{
			"ends the container when nothing is left",
			servable(func(f *facts) { f.ending = true }), actEnd, node.Ending, "asked to stop",
		},
		{
			"ends what is left of a dead server first, even then",
			servable(func(f *facts) { f.ending, f.leftovers = true, 2 }), actBury, node.Stopping, "2 of its processes",
		},
		{
			"never starts beside processes of a dead server",
			servable(func(f *facts) { f.leftovers = 1 }), actBury, node.Stopping, "could still commit",
		},
		{
			"an order stops the server and not the container",
			servable(func(f *facts) { f.halted, f.server = true, serverUp }), actStop, node.Stopping, "operator",
		},
		{
			"an heir's server stops only once the right to promote is given up",
			servable(func(f *facts) {
				f.halted, f.server, f.clustered, f.parting = true, serverUp, true, true
				f.role = notify.Verdict{Do: notify.Write, Why: "it gives up its right to promote"}
			}),
			actRole, node.Stopping, "gives up its right",
		},
		{
			"and once the primary has taken note",
			servable(func(f *facts) {
				f.halted, f.server, f.clustered, f.parting = true, serverUp, true, true
				f.role = notify.Verdict{Do: notify.Wait, Why: "n1 still waits for this node"}
			}),
			actWait, node.Stopping, "n1 still waits",
		},
		{"stays down on an order", servable(func(f *facts) { f.halted = true }), actWait, node.Stopped, "pgbaton start"},
		{
			"smart waits for clients",
			servable(func(f *facts) {
				f.halted, f.server, f.mode, f.told, f.patience = true, serverUp, node.Smart, node.Smart, time.Minute
				f.askedAt = noon.Add(-59 * time.Second)
			}),
			actWait, node.Stopping, "smart",
		},
		{
			"smart becomes fast after its deadline",
			servable(func(f *facts) {
				f.halted, f.server, f.mode, f.told, f.patience = true, serverUp, node.Smart, node.Smart, time.Minute
				f.askedAt = noon.Add(-time.Minute)
			}),
			actStop, node.Stopping, "becomes fast",
		},
		{
			"a shutdown is never made weaker",
			servable(func(f *facts) { f.ending, f.server, f.mode, f.told = true, serverUp, node.Smart, node.Immediate }),
			actWait, node.Ending, "immediate",
		},

		{
			"ends with postgres's code when it dies before it was ever ready",
			servable(func(f *facts) { f.exited, f.exitCode = true, 7 }), actEnd, node.Ending, "before it was ready",
		},
		{
			"restarts a server that had served, after a pause",
			servable(func(f *facts) { f.exited, f.served, f.nextStart = true, true, noon.Add(time.Second) }),
			actWait, node.BackingOff, "next start",
		},
		{
			"a start whose role cannot be written down is tried again, and the container stays",
			servable(func(f *facts) { f.postponed, f.nextStart = "the disk is full", noon.Add(time.Second) }),
			actWait, node.BackingOff, "the disk is full",
		},
		{
			"restarts it when the pause is over",
			servable(func(f *facts) { f.exited, f.served, f.nextStart = true, true, noon }), actStart, node.Starting, "starting",
		},
		{
			"ends instead where PGBATON_ON_EXIT says so",
			servable(func(f *facts) { f.exited, f.served, f.exitToo = true, true, true }), actEnd, node.Ending, "PGBATON_ON_EXIT",
		},
		{
			"leaves a server down that somebody else shut down cleanly",
			servable(func(f *facts) { f.exited, f.served, f.clean = true, true, true }), actWait, node.Stopped, "somebody else",
		},

		{
			"prepares an upgrade beside the running server",
			servable(func(f *facts) { f.upgrade, f.server, f.says = upgrade.Beside, serverUp, "ready" }),
			actBeside, node.Running, "accepts",
		},
		{
			"prepares it once",
			servable(func(f *facts) { f.upgrade, f.server, f.says, f.side = upgrade.Beside, serverUp, "ready", "preparing" }),
			actWait, node.Running, "accepts",
		},
		{
			"restarts a server that dies while an upgrade is prepared",
			servable(func(f *facts) { f.upgrade, f.exited, f.served = upgrade.Beside, true, true }),
			actStart, node.Starting, "starting",
		},
		{
			"stops the server for the upgrade",
			servable(func(f *facts) { f.upgrade, f.server, f.upgradeMode = upgrade.Stopping, serverUp, node.Fast }),
			actStop, node.Upgrading, "fast",
		},
		{
			"does not tell it twice",
			servable(func(f *facts) {
				f.upgrade, f.server, f.told, f.upgradeMode = upgrade.Stopping, serverUp, node.Fast, node.Fast
			}),
			actWait, node.Upgrading, "waits",
		},
		{
			"upgrades once nothing of the old server is left",
			servable(func(f *facts) { f.upgrade, f.exited, f.asked = upgrade.Down, true, true }),
			actUpgrade, node.Upgrading, "pg_upgrade",
		},
		{
			"ends the old server's processes first",
			servable(func(f *facts) { f.upgrade, f.leftovers = upgrade.Down, 1 }),
			actBury, node.Stopping, "could still commit",
		},
		{
			"tries a way back that is blocked again after a pause",
			servable(func(f *facts) {
				f.upgrade, f.upgradeNext, f.upgradeWhy = upgrade.Undoing, noon.Add(time.Second), "no space left"
			}),
			actWait, node.Holding, "no space left",
		},
		{
			"tries it again without telling it again",
			servable(func(f *facts) { f.upgrade, f.upgradeNext, f.upgradeWhy = upgrade.Undoing, noon, "no space left" }),
			actUpgrade, node.Holding, "no space left",
		},
		{
			"undoes on the volume that is ours only",
			facts{now: noon, upgrade: upgrade.Undoing},
			actLock, node.Starting, "lock",
		},
		{
			"does not upgrade beside a server that may live elsewhere",
			servable(func(f *facts) {
				f.upgrade, f.pidFile, f.watchable, f.pidHolder = upgrade.Undoing, pidFileForeign, true, "x"
			}),
			actWatch, node.Waiting, "once a minute",
		},
		{
			"starts the new server closed",
			servable(func(f *facts) { f.upgrade = upgrade.Closed }), actStart, node.Upgrading, "closed",
		},
		{
			"verifies the new server before clients are let in",
			servable(func(f *facts) { f.upgrade, f.server, f.says = upgrade.Closed, serverUp, "ready" }),
			actVerify, node.Upgrading, "verifying",
		},
		{
			"does not end the container when the new server fails",
			servable(func(f *facts) {
				f.upgrade, f.exited, f.exitText, f.closedDeaths = upgrade.Closed, true, "exit status 1", closedTries
			}),
			actUpgrade, node.Upgrading, "exit status 1",
		},
		{
			"starts a new server again that was killed",
			servable(func(f *facts) { f.upgrade, f.exited, f.closedDeaths = upgrade.Closed, true, 1 }),
			actStart, node.Upgrading, "closed",
		},
		{
			"completes the upgrade beside the open server",
			servable(func(f *facts) { f.upgrade, f.server, f.says = upgrade.After, serverUp, "ready" }),
			actAfter, node.Running, "accepts",
		},
		{
			"starts nothing where an upgrade holds",
			servable(func(f *facts) { f.upgrade, f.upgradeWhy = upgrade.Held, "linked files changed" }),
			actWait, node.Holding, "linked files changed",
		},
		{
			"a stop signal ends an upgrade too",
			servable(func(f *facts) { f.upgrade, f.ending, f.job = upgrade.Down, true, "upgrading" }),
			actCancel, node.Ending, "upgrading",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := decide(tt.facts)
			if v.do != tt.do || v.phase != tt.phase || !strings.Contains(v.why, tt.why) {
				t.Errorf("got action %d, phase %q, because %q", v.do, v.phase, v.why)
			}
		})
	}
}

func TestDecideKeepsItsPromisesForAllFacts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := anyFacts(t)
		v := decide(f)
		evicts := f.pidFile == pidFileAlive && !exclusive(f.upgrade)
		touches := v.do == actStart || v.do == actUpgrade || v.do == actPrepare || v.do == actInitialize || v.do == actSetAside || v.do == actAdopt || v.do == actMove
		switch {
		case v.why == "" || v.phase == "":
			t.Fatalf("a verdict without a reason or a phase: %+v", v)
		case touches && (f.lock != lockOurs || (!f.prepared && v.do != actPrepare && v.do != actUpgrade && v.do != actMove)):
			t.Fatalf("touched a volume that is not ours: %+v", v)
		case touches && (f.leftovers > 0 || f.server != serverNone || f.job != ""):
			t.Fatalf("acted beside a server or a job: %+v", v)
		case touches && f.ending:
			t.Fatalf("began something while the container is to end: %+v", v)
		case touches && f.pidFile == pidFileForeign && !f.vouched && (!f.watchable || f.quiet < quietFor):
			t.Fatalf("acted beside a server that may live elsewhere: %+v", v)
		case v.do == actStart && (f.data != dataCluster || f.halted || f.obstacle != "" || f.pidFile == pidFileAlive):
			t.Fatalf("started what is not to be started: %+v", v)
		case v.do == actAdopt && f.stray:
			t.Fatalf("adopted a server with other options than it must have: %+v", v)
		case v.do == actEvict && (f.pidFile != pidFileAlive || f.server != serverNone || f.job != "" || !f.ending && (!f.stray || f.halted)):
			t.Fatalf("shut down what is not to be shut down: %+v", v)
		case v.do == actMove && (f.obstacle != "" || f.pidFile == pidFileAlive || f.halted || exclusive(f.upgrade) && f.upgrade != upgrade.Closed):
			t.Fatalf("moved what is not to be moved: %+v", v)
		case v.do != actMove && (v.do == actStart || v.do == actInitialize || v.do == actSetAside) && f.moving && f.pidFile != pidFileAlive:
			t.Fatalf("served or made something where a move is to end first: %+v", v)
		case v.do == actInitialize && f.data != dataEmpty:
			t.Fatalf("initialised a directory that is not empty: %+v", v)
		case (v.do == actStart || v.do == actInitialize || v.do == actSetAside) && (down(f.upgrade) || f.upgrade == upgrade.Held):
			t.Fatalf("started or made something while an upgrade needs the cluster down: %+v", v)
		case v.do == actUpgrade && f.side != "" && down(f.upgrade):
			t.Fatalf("took the cluster down while a part beside it runs: %+v", v)
		case (v.do == actBeside || v.do == actVerify || v.do == actAfter) && (f.side != "" || f.server != serverUp):
			t.Fatalf("began a part beside another, or beside no server: %+v", v)
		case v.do == actStop && strength[v.mode] <= strength[f.told]:
			t.Fatalf("told the server nothing new: %+v", v)
		case v.do == actEnd && (f.server != serverNone || f.leftovers > 0 || f.job != ""):
			t.Fatalf("ended the container around a server or a job: %+v", v)
		case f.ending && !f.parting && f.job == "" && f.server == serverNone && f.leftovers == 0 && !evicts && v.do != actEnd:
			t.Fatalf("did not end although nothing is left: %+v", v)
		}
	})
}

func anyFacts(t *rapid.T) facts {
	flag := func(name string) bool { return rapid.Bool().Draw(t, name) }
	modes := rapid.SampledFrom([]node.Mode{node.Smart, node.Fast, node.Immediate})
	spread := rapid.SampledFrom([]time.Duration{-time.Hour, -time.Second, 0, time.Second, time.Hour})
	f := facts{
		now: noon, ending: flag("ending"), halted: flag("halted"), mode: modes.Draw(t, "mode"),
		patience: time.Minute, askedAt: noon.Add(spread.Draw(t, "asked")), initOnly: flag("initOnly"), exitToo: flag("exitToo"),
		lock: lockState(rapid.IntRange(0, 2).Draw(t, "lock")), prepared: flag("prepared"), refused: flag("refused"),
		data:    dataState(rapid.IntRange(0, 3).Draw(t, "data")),
		pidFile: pidFileState(rapid.IntRange(0, 3).Draw(t, "pidfile")), watchable: flag("watchable"), vouched: flag("vouched"),
		quiet:  rapid.SampledFrom([]time.Duration{0, 69 * time.Second, quietFor}).Draw(t, "quiet"),
		server: serverState(rapid.IntRange(0, 2).Draw(t, "server")), leftovers: rapid.IntRange(0, 1).Draw(t, "leftovers"),
		served: flag("served"), exited: flag("exited"), asked: flag("asked"), clean: flag("clean"),
		nextStart: noon.Add(spread.Draw(t, "next")), moving: flag("moving"), stray: flag("stray"),
	}
	if flag("job") {
		f.job, f.jobPhase, f.jobWhy = "initialising", node.Initializing, "it is empty"
	}
	f.upgrade = rapid.SampledFrom([]upgrade.Stage{
		upgrade.Idle, upgrade.Beside, upgrade.Stopping, upgrade.Down, upgrade.Closed, upgrade.After, upgrade.Undoing, upgrade.Held,
	}).Draw(t, "upgrade")
	f.upgradeWhy, f.upgradeMode = "a reason", modes.Draw(t, "upgradeMode")
	f.says = rapid.SampledFrom([]string{"ready", "standby", "stopping"}).Draw(t, "says")
	f.closedDeaths = rapid.SampledFrom([]int{0, closedTries}).Draw(t, "closedDeaths")
	if flag("side") {
		f.side = "preparing"
	}
	if flag("obstacle") {
		f.obstacle = "an obstacle"
	}
	if flag("told") {
		f.told = modes.Draw(t, "toldMode")
	}
	if flag("clustered") {
		f.clustered, f.parting = true, flag("parting")
		f.role = notify.Verdict{Do: rapid.SampledFrom([]notify.Action{notify.Wait, notify.Hold, notify.Write, notify.Leave, notify.StartStandby}).Draw(t, "role"), Why: "a role"}
	}
	return f
}
