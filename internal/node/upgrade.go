package node

import "time"

// Upgrade is what a node says about its latest in-place upgrade, rehearsal or
// check: the same in the journal, in upgrade.result.json, in the API, in
// metrics and on the command line.
type Upgrade struct {
	ID      string      `json:"id"`      // when it was asked for, in UTC: 20261123T074300Z
	Do      UpgradeVerb `json:"do"`      // what was asked for
	Trigger Trigger     `json:"trigger"` // by what
	Outcome Outcome     `json:"outcome"` //
	Why     string      `json:"why"`     // one sentence: the reason for Outcome, or what it does now
	From    int         `json:"from"`    // major of the old cluster
	To      int         `json:"to"`      // major of the new one; 0 while none was chosen
	Mode    UpgradeMode `json:"mode"`    // how pg_upgrade takes over the user's files
	Attempt int         `json:"attempt"` // 1 for the first; a crash may make it begin again

	Started time.Time     `json:"started"`          //
	Ended   time.Time     `json:"ended,omitzero"`   // zero while it goes on
	Steps   []UpgradeStep `json:"steps"`            // all of them, in their order
	Percent float64       `json:"percent,omitzero"` // of the running step, where it is known
	Doing   string        `json:"doing,omitempty"`  // what the running step does right now

	Findings []Finding     `json:"findings,omitempty"` // of preflight and of everything after it
	Outage   time.Duration `json:"outage,omitzero"`    // nanoseconds without service: from the stop to the moment clients were let in again
	Forecast time.Duration `json:"forecast,omitzero"`  // nanoseconds: the outage that a rehearsal expects

	Retired   string    `json:"retired,omitempty"`   // where the old cluster is kept, an absolute path
	FinishAt  time.Time `json:"finish_at,omitzero"`  // when it is removed by age; zero: on command only
	Undo      string    `json:"undo,omitempty"`      // one sentence: whether and how the way back goes, and what it loses
	Reminders []string  `json:"reminders,omitempty"` // what changed for others: backups, WAL archive, statistics
}

// Step returns the step that runs, or nil.
func (u *Upgrade) Step() *UpgradeStep {
	for i := range u.Steps {
		if u.Steps[i].State == StepRunning {
			return &u.Steps[i]
		}
	}
	return nil
}

// UpgradeStep is one step and how far it came.
type UpgradeStep struct {
	Name    StepName      `json:"name"`
	State   StepState     `json:"state"`
	Started time.Time     `json:"started,omitzero"`
	Took    time.Duration `json:"took,omitzero"` // nanoseconds, once it ended
}

// StepName names a step of an upgrade.
type StepName string

// The steps, in their order.
const (
	StepPreflight StepName = "preflight"  // everything that can be known beforehand, beside the running server
	StepPrepare   StepName = "prepare"    // the new, empty cluster, beside the running server
	StepStop      StepName = "stop"       // the old server ends, cleanly
	StepPgUpgrade StepName = "pg_upgrade" // pg_upgrade
	StepSwitch    StepName = "switch"     // the new cluster takes the old one's place
	StepStart     StepName = "start"      // the new server starts closed, is verified, and opens
	StepAfter     StepName = "after"      // extensions, statistics, collations, beside the open server
	StepFinish    StepName = "finish"     // the old cluster is removed, on command or by age
)

// StepNames lists the steps.
func StepNames() []StepName {
	return []StepName{StepPreflight, StepPrepare, StepStop, StepPgUpgrade, StepSwitch, StepStart, StepAfter, StepFinish}
}

// StepState is how far a step came.
type StepState string

// The states of a step.
const (
	StepPending StepState = "pending"
	StepRunning StepState = "running" // begun; after a crash it is looked at and done again or undone
	StepDone    StepState = "done"
	StepUndone  StepState = "undone"
	StepRefused StepState = "refused" // in it the upgrade was refused
	StepFailed  StepState = "failed"  // in it the upgrade failed, and the old cluster serves
	StepSkipped StepState = "skipped"
)

// Outcome is what became of an upgrade.
type Outcome string

// The outcomes.
const (
	UpgradeRunning  Outcome = "running"
	UpgradeRefused  Outcome = "refused" // before anything was touched; Findings say why
	UpgradeChecked  Outcome = "checked" // preflight only, and nothing refuses
	Rehearsed       Outcome = "rehearsed"
	UpgradeDone     Outcome = "done"     // the new major serves; the old cluster is kept
	UpgradeFinished Outcome = "finished" // the old cluster is gone
	UpgradeUndone   Outcome = "undone"   // the old cluster serves again
	UpgradeFailed   Outcome = "failed"   // before the old server was stopped; it serves on
	UpgradeHeld     Outcome = "held"     // cannot go on nor back without an operator; nobody is served
)

// Trigger is what asked for an upgrade.
type Trigger string

// The triggers.
const (
	ByMarker   Trigger = "marker"       // the file upgrade on the volume
	ByCommand  Trigger = "command"      // pgbaton upgrade
	ByBinaries Trigger = "new binaries" // a newer major appeared and PGBATON_UPGRADE is auto
)

// UpgradeVerb is what can be asked for.
type UpgradeVerb string

// The verbs of pgbaton upgrade.
const (
	UpgradeNow      UpgradeVerb = "now"
	UpgradeCheck    UpgradeVerb = "check"    // preflight only
	UpgradeRehearse UpgradeVerb = "rehearse" // all of it, on a copy
	UpgradeUndo     UpgradeVerb = "undo"     // back to the old cluster
	UpgradeFinish   UpgradeVerb = "finish"   // remove the old cluster
)

// Valid reports whether the verb is known.
func (v UpgradeVerb) Valid() bool {
	switch v {
	case UpgradeNow, UpgradeCheck, UpgradeRehearse, UpgradeUndo, UpgradeFinish:
		return true
	}
	return false
}

// UpgradeMode is how pg_upgrade takes over the user's files.
type UpgradeMode string

// The modes (https://www.postgresql.org/docs/current/pgupgrade.html).
const (
	ModeAuto  UpgradeMode = "auto"  // clone where the file system can, else link
	ModeClone UpgradeMode = "clone" // FICLONE: as fast as link, and the old cluster stays whole
	ModeLink  UpgradeMode = "link"  // hard links: no way back once the new server has started
	ModeCopy  UpgradeMode = "copy"
)

// AnalyzeMode is how statistics are made after an upgrade.
type AnalyzeMode string

// The modes of ANALYZE.
const (
	AnalyzeStages AnalyzeMode = "stages" // vacuumdb --analyze-in-stages
	AnalyzeFull   AnalyzeMode = "full"   // vacuumdb --analyze-only
	AnalyzeOff    AnalyzeMode = "off"
)

// ReindexMode is what happens to indexes whose collation version changed.
type ReindexMode string

// The modes of REINDEX.
const (
	ReindexAuto    ReindexMode = "auto"    // unique and exclusion indexes before clients are let in, the others after it
	ReindexChanged ReindexMode = "changed" // all affected ones before clients are let in
	ReindexOff     ReindexMode = "off"     // none; the report names them
)

// UpgradeRequest is what a user asks for: by marker, by command, or by policy.
type UpgradeRequest struct {
	Do      UpgradeVerb   `json:"do"`
	Target  int           `json:"target,omitzero"`   // 0: the newest major available
	Mode    UpgradeMode   `json:"mode,omitzero"`     // empty: auto
	Jobs    int           `json:"jobs,omitzero"`     // 0: the processors that the container may use
	Analyze AnalyzeMode   `json:"analyze,omitzero"`  // empty: stages
	Reindex ReindexMode   `json:"reindex,omitzero"`  // empty: auto
	Keep    time.Duration `json:"keep,omitzero"`     // nanoseconds that the old cluster is kept; 0: until finish
	NoTrial bool          `json:"no_trial,omitzero"` // leave out the schema trial
	Force   bool          `json:"force,omitzero"`    // for undo and finish: the operator accepts what it loses
}

// Finding is one thing that preflight or a later step found.
type Finding struct {
	Level  Level  `json:"level"`
	Code   string `json:"code"`             // a stable word for scripts: prepared-transactions
	Text   string `json:"text"`             // what is so, a sentence
	Hint   string `json:"hint,omitempty"`   // what to do about it
	Detail string `json:"detail,omitempty"` // a server's own words
}

// Level is how grave a finding is.
type Level string

// The levels.
const (
	Refuse Level = "refuse" // the upgrade is not begun
	Note   Level = "note"   // worth knowing
)

// Kept is an old cluster that an upgrade has left.
type Kept struct {
	Major    int         `json:"major"`
	Mode     UpgradeMode `json:"mode,omitempty"`     // link: it shares its files with the new cluster and is no way back
	Path     string      `json:"path"`               // absolute
	FinishAt time.Time   `json:"finish_at,omitzero"` // when it is removed by age; zero: on command only
}
