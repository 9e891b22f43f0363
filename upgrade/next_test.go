package upgrade

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pgbaton/pgbaton/internal/node"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// journalAt is a journal whose steps before step are done, and step itself is in a state.
func journalAt(step node.StepName, state node.StepState) Journal {
	j := Begin(node.UpgradeRequest{Do: node.UpgradeNow}, node.ByCommand, noon)
	j.From, j.To, j.Mode = 15, 17, node.ModeLink
	for i := range j.Steps {
		if j.Steps[i].Name == step {
			j.Steps[i].State = state
			break
		}
		j.Steps[i].State = node.StepDone
	}
	return j
}

func TestWhatAJournalNeedsNext(t *testing.T) {
	tests := []struct {
		step node.StepName
		want Stage
	}{
		{node.StepPreflight, Beside},
		{node.StepPrepare, Beside},
		{node.StepStop, Stopping},
		{node.StepPgUpgrade, Down},
		{node.StepSwitch, Down},
		{node.StepStart, Closed},
		{node.StepAfter, After},
		{node.StepFinish, After}, // the outcome is not written yet
	}
	for _, tt := range tests {
		for _, state := range []node.StepState{node.StepPending, node.StepRunning} {
			j := journalAt(tt.step, state)
			if got := Next(j); got != tt.want {
				t.Errorf("%s %s: %q, want %q", tt.step, state, got, tt.want)
			}
			for _, way := range []Way{Back, Retreat, Onward} {
				j.Going = way
				if got := Next(j); got != Undoing {
					t.Errorf("%s %s on the way %s: %q", tt.step, state, way, got)
				}
			}
			for _, end := range []node.Outcome{node.UpgradeRefused, node.UpgradeDone, node.UpgradeUndone, node.UpgradeFailed, node.UpgradeFinished} {
				if j.Outcome = end; Next(j) != Idle {
					t.Errorf("%s needs %q", end, Next(j))
				}
			}
			if j.Outcome = node.UpgradeHeld; Next(j) != Held {
				t.Errorf("held needs %q", Next(j))
			}
		}
	}
}

func TestWhatACrashLeavesToDo(t *testing.T) {
	tests := []struct {
		name  string
		step  node.StepName
		state node.StepState
		want  Stage
		again bool // begun again from the first step
	}{
		{"in preflight it begins again", node.StepPreflight, node.StepRunning, Beside, true},
		{"in prepare it begins again", node.StepPrepare, node.StepRunning, Beside, true},
		{"in the stop it begins again beside the old server", node.StepStop, node.StepRunning, Beside, true},
		{"after the stop too", node.StepPgUpgrade, node.StepPending, Beside, true},
		{"in pg_upgrade it goes back", node.StepPgUpgrade, node.StepRunning, Undoing, false},
		{"after pg_upgrade it goes on", node.StepSwitch, node.StepPending, Down, false},
		{"in the switch it goes on", node.StepSwitch, node.StepRunning, Down, false},
		{"before the start it goes on", node.StepStart, node.StepPending, Closed, false},
		{"in the start it goes on", node.StepStart, node.StepRunning, Closed, false},
		{"after the start it goes on", node.StepAfter, node.StepRunning, After, false},
	}
	for _, tt := range tests {
		j := Recover(journalAt(tt.step, tt.state), noon)
		if got := Next(j); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		if begun := j.Attempt == 2; begun != tt.again {
			t.Errorf("%s: attempt %d", tt.name, j.Attempt)
		}
	}
}

func TestAStepEndsWithTheOutcomeOfTheUpgradeThatItEnds(t *testing.T) {
	for outcome, want := range map[node.Outcome]node.StepState{
		node.UpgradeRefused: node.StepRefused, node.UpgradeFailed: node.StepFailed, node.UpgradeHeld: node.StepRunning, node.UpgradeDone: node.StepRunning,
	} {
		j := journalAt(node.StepPreflight, node.StepRunning)
		j.StepOf(node.StepPreflight).Started = noon
		j.Outcome, j.Ended = outcome, noon.Add(16*time.Second)
		j.EndStep()
		s := j.StepOf(node.StepPreflight)
		if s.State != want || want != node.StepRunning && s.Took != 16*time.Second {
			t.Errorf("%s: the step is %s after %s, not %s", outcome, s.State, s.Took, want)
		}
	}
}

func TestAnUpgradeThatKeepsCrashingIsGivenUp(t *testing.T) {
	for _, step := range []node.StepName{node.StepPrepare, node.StepPgUpgrade} {
		j := journalAt(step, node.StepRunning)
		for range MaxAttempts {
			j = Recover(j, noon)
			if Next(j) == Undoing {
				j = j.Undone(noon)
			}
			if j.Outcome != node.UpgradeRunning {
				break
			}
			again := journalAt(step, node.StepRunning)
			again.Attempt = j.Attempt
			j = again
		}
		if Next(j) != Idle || j.Outcome == node.UpgradeRunning || !strings.Contains(j.Why, "") || j.Ended.IsZero() {
			t.Errorf("%s: %s, attempt %d: %s", step, j.Outcome, j.Attempt, j.Why)
		}
	}
}

func TestRecoverIsTheSameTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := journalAt(rapid.SampledFrom(node.StepNames()).Draw(t, "step"), rapid.SampledFrom([]node.StepState{node.StepPending, node.StepRunning}).Draw(t, "state"))
		j.Going = rapid.SampledFrom([]Way{Forward, Back, Retreat}).Draw(t, "way")
		once := Recover(j, noon)
		if Next(once) == Beside {
			return // each crash there counts
		}
		if twice := Recover(once, noon); Next(once) != Next(twice) || once.Attempt != twice.Attempt {
			t.Fatalf("%q, then %q", Next(once), Next(twice))
		}
		if j.Going == Forward && Next(once) == Undoing && (j.Opened || j.StepOf(node.StepPgUpgrade).State == node.StepDone) {
			t.Fatal("goes back over what cannot be undone")
		}
	})
}

func TestNothingTurnsAnUpgradeRoundFromItsPointOfNoReturnOn(t *testing.T) {
	linked := journalAt(node.StepStart, node.StepPending)
	if linked.Final() {
		t.Error("a linked cluster that was never started is final")
	}
	linked.StepOf(node.StepStart).State = node.StepRunning
	if !linked.Final() {
		t.Error("a linked cluster that was started is not final")
	}
	copied := journalAt(node.StepStart, node.StepRunning)
	copied.Mode = node.ModeCopy
	if copied.Final() {
		t.Error("a copied cluster that nobody was let in to is final")
	}
	if copied.Opened = true; !copied.Final() {
		t.Error("a cluster that clients wrote to is not final")
	}
}
