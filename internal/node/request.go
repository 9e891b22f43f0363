package node

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The bounds of what a request for an upgrade may ask.
const (
	MaxUpgradeJobs = 256
	MinMajor       = 10 // the first major of one number
	MaxMajor       = 99
	MaxKeep        = 3650 * 24 * time.Hour // ten years; longer ones are typing errors
)

// UpgradeVerbs lists what can be asked for.
func UpgradeVerbs() []UpgradeVerb {
	return []UpgradeVerb{UpgradeNow, UpgradeCheck, UpgradeRehearse, UpgradeUndo, UpgradeFinish}
}

// UpgradeModes lists the ways in which pg_upgrade takes over files.
func UpgradeModes() []UpgradeMode { return []UpgradeMode{ModeAuto, ModeClone, ModeLink, ModeCopy} }

// AnalyzeModes lists the ways to make statistics.
func AnalyzeModes() []AnalyzeMode { return []AnalyzeMode{AnalyzeStages, AnalyzeFull, AnalyzeOff} }

// ReindexModes lists the ways to rebuild indexes.
func ReindexModes() []ReindexMode { return []ReindexMode{ReindexAuto, ReindexChanged, ReindexOff} }

// Check says in a sentence what of the request cannot be meant; nil where all can.
func (r UpgradeRequest) Check() error {
	if err := oneOf("do", r.Do, UpgradeVerbs()); err != nil {
		return err
	}
	if r.Do == UpgradeUndo || r.Do == UpgradeFinish {
		if (r != UpgradeRequest{Do: r.Do, Force: r.Force}) {
			return fmt.Errorf("%s takes no target, mode, jobs, analyze, reindex, keep or no_trial: it is about the upgrade that was", r.Do)
		}
		return nil
	}
	if r.Force {
		return fmt.Errorf("force belongs to undo and finish, not to %s", r.Do)
	}
	return r.checkRanges()
}

// checkRanges checks what belongs to now, check and rehearse.
func (r UpgradeRequest) checkRanges() error {
	switch {
	case r.Target != 0 && (r.Target < MinMajor || r.Target > MaxMajor):
		return fmt.Errorf("target is %d, not a major from %d to %d", r.Target, MinMajor, MaxMajor)
	case r.Jobs < 0 || r.Jobs > MaxUpgradeJobs:
		return fmt.Errorf("jobs is %d, not from 0 to %d", r.Jobs, MaxUpgradeJobs)
	case r.Keep < 0 || r.Keep > MaxKeep:
		return fmt.Errorf("keep is %s, not from 0 to %s", r.Keep, MaxKeep)
	}
	if r.Mode != "" {
		if err := oneOf("mode", r.Mode, UpgradeModes()); err != nil {
			return err
		}
	}
	if r.Analyze != "" {
		if err := oneOf("analyze", r.Analyze, AnalyzeModes()); err != nil {
			return err
		}
	}
	if r.Reindex != "" {
		return oneOf("reindex", r.Reindex, ReindexModes())
	}
	return nil
}

// oneOf refuses a word that is not among those known.
func oneOf[T ~string](field string, word T, known []T) error {
	if slices.Contains(known, word) {
		return nil
	}
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = string(k)
	}
	return fmt.Errorf("%s is %.60q, not one of %s", field, string(word), strings.Join(names, ", "))
}
