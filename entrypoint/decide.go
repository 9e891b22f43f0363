package entrypoint

import (
	"fmt"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/notify"
	"github.com/pgbaton/pgbaton/upgrade"
)

// quietFor is how long nobody may have opened a postmaster.pid of unknown
// origin before it counts as left behind: a live postmaster reads its own
// once a minute (src/backend/postmaster/postmaster.c, ServerLoop).
const quietFor = 70 * time.Second

// closedTries is how often a new server may die before the upgrade goes back.
const closedTries = 3

// facts is all that a decision about this node's postgres rests on.
type facts struct {
	now time.Time

	// What is wanted.
	ending   bool          // the container is to end
	endCode  int           // with this code, unless postgres says otherwise
	halted   bool          // postgres is to be down
	mode     node.Mode     // how it is to be stopped
	patience time.Duration // how long smart may wait before it becomes fast; 0: for ever
	askedAt  time.Time     // when the stop was asked for
	initOnly bool          // end once the data directory is initialised
	exitToo  bool          // PGBATON_ON_EXIT=exit

	// What is there.
	job       string // what runs beside the loop; nothing else may start meanwhile
	jobPhase  node.Phase
	jobWhy    string
	refused   bool // this volume or these settings are refused; the reason is printed
	lock      lockState
	holder    string // who holds the lock
	prepared  bool   // the volume's directories have their owner and modes
	obstacle  string // why this volume cannot be served, in a sentence; empty: it can
	data      dataState
	initState string // which half of an initialisation was reached
	moving    bool   // the cluster is to be moved below its mount, or is half moved
	pidFile   pidFileState
	pidHolder string        // what the postmaster.pid says
	quiet     time.Duration // since somebody last opened it
	watchable bool          // inotify sees other containers open it
	vouched   bool          // an operator says that it is stale
	stray     bool          // its process lives here, with other options than the last server of this supervisor's

	server    serverState
	recovers  bool      // its start replays WAL: after a crash, as a standby, from a backup
	says      string    // what it wrote into postmaster.pid: ready, standby, stopping
	told      node.Mode // the strongest mode the server was told to stop with; empty: none
	leftovers int       // processes of a postmaster that is gone
	served    bool      // clients were served since the container started
	exited    bool      // the server has ended since it was last started
	asked     bool      // … because somebody asked this supervisor for it
	clean     bool      // … with exit status 0
	exitText  string    // how, in words
	postponed string    // why a start was put off before anything of postgres ran; empty: it was not
	exitCode  int
	nextStart time.Time

	upgrade      upgrade.Stage // what an in-place upgrade needs next; empty: nothing
	upgradeWhy   string        // its own sentence
	upgradeMode  node.Mode     // how it wants the server stopped
	upgradeNext  time.Time     // not before this
	closedDeaths int           // of the new server before clients were let in
	side         string        // a part of it that runs beside the server; empty: none

	clustered bool           // this node has peers, and role is what its role needs next
	role      notify.Verdict //
	parting   bool           // the end of the container, or of a standby's server alone, waits for the role
}

type lockState int

const (
	lockNone lockState = iota
	lockBusy
	lockOurs
)

type dataState int

const (
	dataUnknown dataState = iota
	dataEmpty
	dataHalfMade
	dataCluster
)

type pidFileState int

const (
	pidFileNone    pidFileState = iota
	pidFileStale                // written under our lock, and its process is gone
	pidFileAlive                // its process lives in this container
	pidFileForeign              // written by somebody who holds no lock of ours
)

type serverState int

const (
	serverNone serverState = iota
	serverStarting
	serverUp
)

// action is what to do next.
type action int

const (
	actWait action = iota
	actCancel
	actLock
	actPrepare
	actMove
	actBury
	actSetAside
	actInitialize
	actWatch
	actAdopt
	actEvict // a server that is none of ours is shut down
	actStart
	actStop
	actUpgrade // the part for which no server runs
	actBeside  // the part beside the old server
	actVerify  // … beside the new one, closed
	actAfter   // … beside the new one, open
	actRole    // what the role in the cluster needs
	actEnd
)

// verdict is one decision: what to do, in which phase that puts the node, and
// one sentence that says why.
type verdict struct {
	do    action
	phase node.Phase
	why   string
	mode  node.Mode // for actStop
	code  int       // for actEnd
}

// row is one rule. The first whose condition holds decides.
type row struct {
	when func(facts) bool
	then func(facts) verdict
}

// decide is pure: the same facts give the same verdict.
func decide(f facts) verdict {
	for _, r := range rows {
		if r.when(f) {
			return r.then(f)
		}
	}
	return verdict{actWait, node.Holding, "these facts fit no rule; nothing is done", "", 0}
}

func always(v verdict) func(facts) verdict { return func(facts) verdict { return v } }

var rows = []row{
	// The way out comes first: a stop signal works in every phase.
	{
		func(f facts) bool { return f.ending && f.job != "" },
		func(f facts) verdict {
			return verdict{do: actCancel, phase: node.Ending, why: "the container was asked to stop: ending " + f.job}
		},
	},
	{
		func(f facts) bool { return f.job != "" },
		func(f facts) verdict { return verdict{do: actWait, phase: f.jobPhase, why: f.jobWhy} },
	},
	{
		func(f facts) bool { return !f.ending && down(f.upgrade) && f.side != "" },
		func(f facts) verdict {
			return verdict{do: actWait, phase: node.Upgrading, why: "waiting for a part of the upgrade to end: " + f.side}
		},
	},
	{
		func(f facts) bool {
			return !f.ending && down(f.upgrade) && f.server != serverNone && strength[f.told] < strength[f.upgradeMode]
		},
		func(f facts) verdict {
			return verdict{do: actStop, phase: node.Upgrading, why: fmt.Sprintf("the upgrade needs postgres down (%s shutdown)", f.upgradeMode), mode: f.upgradeMode}
		},
	},
	{
		func(f facts) bool { return !f.ending && down(f.upgrade) && f.server != serverNone },
		always(verdict{do: actWait, phase: node.Upgrading, why: "the upgrade waits for postgres to stop"}),
	},
	{
		func(f facts) bool { return leaves(f) && effects[f.role.Do] },
		func(f facts) verdict { return verdict{do: actRole, phase: stopPhase(f), why: f.role.Why} },
	},
	{
		func(f facts) bool { return leaves(f) },
		func(f facts) verdict { return verdict{do: actWait, phase: stopPhase(f), why: f.role.Why} },
	},
	{
		func(f facts) bool { return (f.ending || f.halted) && f.server != serverNone && stronger(f) },
		func(f facts) verdict {
			return verdict{do: actStop, phase: stopPhase(f), why: stopWhy(f), mode: effectiveMode(f)}
		},
	},
	{
		func(f facts) bool { return (f.ending || f.halted) && f.server != serverNone },
		func(f facts) verdict {
			return verdict{do: actWait, phase: stopPhase(f), why: fmt.Sprintf("waiting for postgres to stop (%s shutdown)", f.told)}
		},
	},
	{
		func(f facts) bool { return f.server == serverNone && f.leftovers > 0 },
		func(f facts) verdict {
			return verdict{
				do: actBury, phase: node.Stopping,
				why: fmt.Sprintf("the postmaster is gone and %d of its processes are not: they could still commit, so they end first", f.leftovers),
			}
		},
	},
	{
		func(f facts) bool { return f.ending && f.pidFile == pidFileAlive && !exclusive(f.upgrade) },
		always(verdict{do: actEvict, phase: node.Ending, why: "the container was asked to stop: a server that somebody else started is shut down first"}),
	},
	{
		func(f facts) bool { return f.ending },
		func(f facts) verdict {
			return verdict{do: actEnd, phase: node.Ending, why: "the container was asked to stop", code: f.endCode}
		},
	},

	{
		func(f facts) bool {
			return f.upgrade == upgrade.Closed && f.server == serverNone && f.exited && !f.asked &&
				f.lock == lockOurs && f.closedDeaths >= closedTries
		},
		func(f facts) verdict {
			return verdict{do: actUpgrade, phase: node.Upgrading, why: "the new server ends before it is verified: " + f.exitText}
		},
	},

	// postgres ended by itself.
	{
		func(f facts) bool {
			return f.server == serverNone && f.exited && !f.asked && !f.served && !exclusive(f.upgrade)
		},
		func(f facts) verdict {
			return verdict{
				do: actEnd, phase: node.Ending, code: f.exitCode,
				why: "postgres ended before it was ready for the first time: " + f.exitText,
			}
		},
	},
	{
		func(f facts) bool {
			return f.server == serverNone && f.exited && !f.asked && f.exitToo && !exclusive(f.upgrade)
		},
		func(f facts) verdict {
			return verdict{
				do: actEnd, phase: node.Ending, code: f.exitCode,
				why: "postgres ended by itself and PGBATON_ON_EXIT is exit: " + f.exitText,
			}
		},
	},

	// An operator wants it down.
	{
		func(f facts) bool { return f.halted && !down(f.upgrade) && f.upgrade != upgrade.Held },
		always(verdict{do: actWait, phase: node.Stopped, why: "postgres was stopped on an operator's order; `pgbaton start` starts it"}),
	},

	// An upgrade has its parts beside a server that runs.
	{
		func(f facts) bool { return f.upgrade == upgrade.Held && f.server != serverNone },
		func(f facts) verdict { return verdict{do: actWait, phase: node.Holding, why: f.upgradeWhy} },
	},
	{
		func(f facts) bool { return f.upgrade == upgrade.Closed && f.server == serverUp && f.side == "" },
		always(verdict{do: actVerify, phase: node.Upgrading, why: "the new server runs, closed to clients: verifying it"}),
	},
	{
		func(f facts) bool { return f.upgrade == upgrade.Closed && f.server == serverUp },
		always(verdict{do: actWait, phase: node.Upgrading, why: "the new server runs, closed to clients: verifying it"}),
	},
	{
		func(f facts) bool { return f.upgrade == upgrade.Closed && f.server == serverStarting },
		always(verdict{do: actWait, phase: node.Upgrading, why: "the new server starts, closed to clients"}),
	},
	{
		func(f facts) bool {
			return f.upgrade == upgrade.Beside && f.server == serverUp && f.says == "ready" && f.side == ""
		},
		always(verdict{do: actBeside, phase: node.Running, why: "postgres accepts connections"}),
	},
	{
		func(f facts) bool {
			return f.upgrade == upgrade.After && f.server == serverUp && f.says == "ready" && f.side == ""
		},
		always(verdict{do: actAfter, phase: node.Running, why: "postgres accepts connections"}),
	},

	// Its role in the cluster has something to change about a server that runs.
	{
		func(f facts) bool { return f.clustered && f.server != serverNone && f.role.Do == notify.Stop },
		func(f facts) verdict { return verdict{do: actRole, phase: node.Stopping, why: f.role.Why} },
	},
	{
		func(f facts) bool { return f.clustered && f.server == serverUp && effects[f.role.Do] },
		always(verdict{do: actRole, phase: node.Running, why: "postgres accepts connections"}),
	},

	// It runs.
	{
		func(f facts) bool { return f.server == serverUp && f.says == "stopping" },
		always(verdict{do: actWait, phase: node.Stopping, why: "postgres shuts down, on somebody else's order"}),
	},
	{
		func(f facts) bool { return f.server == serverUp && f.says == "standby" },
		always(verdict{do: actWait, phase: node.Recovering, why: "postgres is a warm standby (hot_standby = off): it replays and accepts no connections"}),
	},
	{
		func(f facts) bool { return f.server == serverUp },
		always(verdict{do: actWait, phase: node.Running, why: "postgres accepts connections"}),
	},
	{
		func(f facts) bool { return f.server == serverStarting },
		func(f facts) verdict {
			return verdict{do: actWait, phase: startPhase(f), why: "postgres was started and does not accept connections yet"}
		},
	},

	// It does not run: whose volume is it?
	{
		func(f facts) bool { return f.refused && !f.served },
		always(verdict{do: actEnd, phase: node.Ending, why: "refused before anything was started", code: exitRefused}),
	},
	{
		func(f facts) bool { return f.refused },
		always(verdict{do: actWait, phase: node.Holding, why: "the volume changed under a server that was served before; see the log"}),
	},
	{
		func(f facts) bool { return f.lock == lockBusy },
		func(f facts) verdict {
			return verdict{
				do: actLock, phase: node.Waiting,
				why: "the volume is held by " + f.holder + "; nothing was touched, this container goes on when that one ends",
			}
		},
	},
	{
		func(f facts) bool { return f.lock == lockNone },
		always(verdict{do: actLock, phase: node.Starting, why: "taking the volume's lock"}),
	},
	{
		func(f facts) bool { return f.obstacle != "" },
		func(f facts) verdict { return verdict{do: actWait, phase: node.Holding, why: f.obstacle} },
	},
	{
		func(f facts) bool { return f.pidFile == pidFileForeign && !f.vouched && !f.watchable },
		func(f facts) verdict {
			return verdict{
				do: actWait, phase: node.Waiting,
				why: fmt.Sprintf("%s, and this file system does not show whether its server lives elsewhere; nothing was touched. "+
					"Make sure that no other container or host uses the volume, then `pgbaton start --force`", f.pidHolder),
			}
		},
	},
	{
		func(f facts) bool { return f.pidFile == pidFileForeign && !f.vouched && f.quiet < quietFor },
		func(f facts) verdict {
			return verdict{
				do: actWatch, phase: node.Waiting,
				why: fmt.Sprintf("%s; a live server reads that file once a minute, so it counts as left behind when nobody has for %s", f.pidHolder, quietFor),
			}
		},
	},
	{
		func(f facts) bool { return f.upgrade == upgrade.Undoing && f.now.Before(f.upgradeNext) },
		func(f facts) verdict { return verdict{do: actWait, phase: node.Holding, why: f.upgradeWhy} },
	},
	{
		func(f facts) bool { return f.upgrade == upgrade.Undoing && !f.upgradeNext.IsZero() },
		func(f facts) verdict { return verdict{do: actUpgrade, phase: node.Holding, why: f.upgradeWhy} }, // tried again, and not told again
	},
	{
		func(f facts) bool { return down(f.upgrade) },
		func(f facts) verdict { return verdict{do: actUpgrade, phase: node.Upgrading, why: downWhy(f)} },
	},
	{
		func(f facts) bool { return f.upgrade == upgrade.Held },
		func(f facts) verdict { return verdict{do: actWait, phase: node.Holding, why: f.upgradeWhy} },
	},
	// Now it is ours. Before, a live server of another uid may need its files as they are.
	{
		func(f facts) bool { return f.moving && f.pidFile != pidFileAlive },
		always(verdict{do: actMove, phase: node.Starting, why: "the volume's mount is the data directory itself: with PGBATON_PEERS it is moved to a directory below"}),
	},
	{
		func(f facts) bool { return !f.prepared },
		always(verdict{do: actPrepare, phase: node.Starting, why: "giving the volume's directories their owner and modes"}),
	},
	{
		func(f facts) bool { return f.data == dataHalfMade },
		func(f facts) verdict {
			return verdict{
				do: actSetAside, phase: node.Initializing,
				why: "an earlier initialisation did not finish (" + f.initState + "): what it made is kept aside, and it begins again",
			}
		},
	},
	{
		func(f facts) bool { return f.pidFile == pidFileAlive && f.stray },
		always(verdict{
			do: actEvict, phase: node.Stopping,
			why: "somebody else started a server here with other options than it must have (pg_ctl start, an init script): it is shut down, and started as it must be",
		}),
	},
	{
		func(f facts) bool { return f.pidFile == pidFileAlive && f.clustered },
		always(verdict{do: actAdopt, phase: node.Recovering, why: "a postmaster of this data directory runs in this container: adopting it"}),
	},
	{
		func(f facts) bool { return f.clustered && f.exited && f.clean && !f.asked },
		always(verdict{
			do: actWait, phase: node.Stopped,
			why: "postgres was shut down by somebody else, cleanly; `pgbaton start` starts it",
		}),
	},
	{
		func(f facts) bool { return f.clustered && effects[f.role.Do] },
		func(f facts) verdict { return verdict{do: actRole, phase: rolePhase(f.role.Do), why: f.role.Why} },
	},
	{
		func(f facts) bool { return f.clustered && !starts[f.role.Do] && f.role.Do != notify.Hold },
		func(f facts) verdict { return verdict{do: actWait, phase: node.Starting, why: f.role.Why} },
	},
	{
		func(f facts) bool { return f.clustered && !starts[f.role.Do] },
		func(f facts) verdict { return verdict{do: actWait, phase: node.Holding, why: f.role.Why} },
	},
	{
		func(f facts) bool { return f.data == dataEmpty },
		always(verdict{do: actInitialize, phase: node.Initializing, why: "the data directory is empty: initialising it"}),
	},
	{
		func(f facts) bool { return f.data == dataCluster && f.initOnly },
		always(verdict{do: actEnd, phase: node.Ending, why: "the data directory is initialised, and PGBATON_INIT_ONLY asks for no more"}),
	},
	{
		func(f facts) bool { return f.pidFile == pidFileAlive },
		always(verdict{do: actAdopt, phase: node.Recovering, why: "a postmaster of this data directory runs in this container: adopting it"}),
	},
	{
		func(f facts) bool { return f.exited && f.clean && !f.asked },
		always(verdict{
			do: actWait, phase: node.Stopped,
			why: "postgres was shut down by somebody else, cleanly; `pgbaton start` starts it",
		}),
	},
	{
		func(f facts) bool { return f.now.Before(f.nextStart) && f.postponed != "" },
		func(f facts) verdict {
			return verdict{
				do: actWait, phase: node.BackingOff,
				why: fmt.Sprintf("postgres is not started: %s; the next try is at %s", f.postponed, f.nextStart.Format(time.TimeOnly)),
			}
		},
	},
	{
		func(f facts) bool { return f.now.Before(f.nextStart) },
		func(f facts) verdict {
			return verdict{
				do: actWait, phase: node.BackingOff,
				why: fmt.Sprintf("postgres ended by itself: %s; the next start is at %s", f.exitText, f.nextStart.Format(time.TimeOnly)),
			}
		},
	},
	{
		func(f facts) bool { return f.data == dataCluster && f.upgrade == upgrade.Closed },
		always(verdict{do: actStart, phase: node.Upgrading, why: "starting the new server, closed to clients"}),
	},
	{
		func(f facts) bool { return f.data == dataCluster },
		func(f facts) verdict { return verdict{do: actStart, phase: startPhase(f), why: "starting postgres"} },
	},
	{
		func(facts) bool { return true },
		always(verdict{do: actWait, phase: node.Holding, why: "these facts fit no rule; nothing is done"}),
	},
}

// exclusive reports whether an upgrade alone decides whether a server runs.
func exclusive(st upgrade.Stage) bool {
	return down(st) || st == upgrade.Closed || st == upgrade.Held
}

func downWhy(f facts) string {
	switch f.upgrade {
	case upgrade.Undoing:
		return "the upgrade is undone: " + f.upgradeWhy
	case upgrade.Down:
		return "the upgrade goes on: pg_upgrade and the switch"
	}
	return "the upgrade goes on: the old server is down"
}

// rolePhase is the phase of a node whose role needs something while no server runs.
func rolePhase(do notify.Action) node.Phase {
	switch do {
	case notify.Clone, notify.SetAside:
		return node.Initializing
	case notify.Rewind, notify.Recover, notify.Finish:
		return node.Recovering
	}
	return node.Starting
}

// leaves reports whether the role has something to give up before the
// container, or a standby's server alone, ends.
func leaves(f facts) bool {
	return f.parting && (f.ending || f.halted && f.server != serverNone && f.told == "")
}

// startPhase is the phase of a node whose server starts.
func startPhase(f facts) node.Phase {
	if f.recovers {
		return node.Recovering
	}
	return node.Starting
}

func stopPhase(f facts) node.Phase {
	if f.ending {
		return node.Ending
	}
	return node.Stopping
}

// strength orders the shutdown modes; a running shutdown can only be made stronger.
var strength = map[node.Mode]int{"": 0, node.Smart: 1, node.Fast: 2, node.Immediate: 3}

// stronger reports whether the server has to be told a stronger mode than before.
func stronger(f facts) bool { return strength[effectiveMode(f)] > strength[f.told] }

// effectiveMode turns a smart shutdown that waited long enough into a fast one.
func effectiveMode(f facts) node.Mode {
	if f.mode == node.Smart && f.patience > 0 && f.now.Sub(f.askedAt) >= f.patience {
		return node.Fast
	}
	return f.mode
}

func stopWhy(f facts) string {
	who := "an operator asked for it"
	if f.ending {
		who = "the container was asked to stop"
	}
	mode := effectiveMode(f)
	if mode != f.mode {
		return fmt.Sprintf("%s; clients were still connected after %s, so the shutdown becomes fast", who, f.patience)
	}
	return fmt.Sprintf("%s (%s shutdown)", who, mode)
}
