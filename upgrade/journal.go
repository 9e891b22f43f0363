// Package upgrade decides about in-place upgrades: what a marker asks for,
// what preflight's facts mean, what comes next, and what a crash left to do.
// It is pure: facts in, decisions and sentences out. Package inplace acts.
package upgrade

import (
	"slices"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// Journal is the written plan of an upgrade and how far it came. It is written
// before a step begins and after it is done, as JSON that a person can read.
type Journal struct {
	node.Upgrade
	Request node.UpgradeRequest `json:"request"`

	Old   Paths  `json:"old"`   // the old cluster as it was before the switch
	New   Paths  `json:"new"`   // the new cluster as it is after the switch
	Build Paths  `json:"build"` // the new cluster as it is before the switch
	Kept  string `json:"kept"`  // the old cluster as it is after the switch
	Moves []Move `json:"moves"` // the switch, in its order; made once the old server is down

	Going  Way  `json:"way,omitempty"` // empty: forward
	Again  bool `json:"again"`         // begin again once it is undone: a crash led here, not a failure
	Opened bool `json:"opened"`        // clients were let in to the new cluster
	// Disabled is when pg_upgrade disabled the old cluster, to link its files.
	Disabled time.Time `json:"disabled,omitzero"`
	Vouched  bool      `json:"vouched,omitempty"` // an operator says that linked files were not changed
	// Binaries identify the new major's programs, so that the policy auto does
	// not try the same again that failed.
	Binaries string `json:"binaries,omitempty"`
	// Quiet keeps subscriptions still while the new server is closed: what
	// they apply is confirmed to the publisher, and the way back would lose it.
	Quiet  bool   `json:"quiet"`
	Census Census `json:"census"` // what the old cluster held, to compare the new one with

	StopBegan time.Time `json:"stop_began,omitzero"` // when the old server was told to stop
}

// Way is which way an upgrade goes.
type Way string

// The ways.
const (
	Forward Way = ""
	Back    Way = "back"    // the old cluster is put back; the new one was never open and is removed
	Retreat Way = "retreat" // the same on an operator's order: the new cluster was open and is kept aside
	Onward  Way = "onward"  // an operator called a way back off that was blocked: the new cluster is put in its place again
)

// Paths are where a cluster lies, absolute.
type Paths struct {
	PGData string `json:"pgdata"`
	WAL    string `json:"wal,omitempty"` // where pg_wal is a link: what it points to
}

// Move is one rename of the switch, relative to the volume.
type Move struct {
	From string `json:"from"`
	To   string `json:"to"`
	Sync bool   `json:"sync,omitzero"` // this one and all before it are durable before the next
}

// Failed reports whether the upgrade ended without the new major.
func (j Journal) Failed() bool {
	switch j.Outcome {
	case node.UpgradeRefused, node.UpgradeFailed, node.UpgradeUndone, node.UpgradeHeld:
		return j.Do == node.UpgradeNow
	}
	return false
}

// Clone returns a copy that shares nothing that changes.
func (j Journal) Clone() Journal {
	j.Steps = slices.Clone(j.Steps)
	j.Findings = slices.Clone(j.Findings)
	j.Reminders = slices.Clone(j.Reminders)
	j.Moves = slices.Clone(j.Moves)
	return j
}

// StepOf returns one step of the journal.
func (j *Journal) StepOf(name node.StepName) *node.UpgradeStep {
	for i := range j.Steps {
		if j.Steps[i].Name == name {
			return &j.Steps[i]
		}
	}
	j.Steps = append(j.Steps, node.UpgradeStep{Name: name, State: node.StepPending})
	return &j.Steps[len(j.Steps)-1]
}

// done reports whether a step is behind us.
func (j *Journal) done(name node.StepName) bool {
	s := j.StepOf(name).State
	return s == node.StepDone || s == node.StepSkipped
}
