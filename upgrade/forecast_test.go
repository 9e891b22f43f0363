package upgrade

import (
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
)

var rehearsedAt = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// rehearsed is the journal of a copy that came as far as a step.
func rehearsed(last node.StepName) Journal {
	j := Begin(node.UpgradeRequest{Do: node.UpgradeRehearse}, node.ByMarker, rehearsedAt)
	j.From, j.To, j.Outage = 15, 17, 5*time.Second
	for i := range j.Steps {
		j.Steps[i].State = node.StepDone
		if j.Steps[i].Name == last {
			break
		}
	}
	return j
}

func TestTheForecastIsTheOutageOfTheCopyAndThereIsNoneBeforeItWasReady(t *testing.T) {
	for _, name := range node.StepNames() {
		want := time.Duration(0)
		if name == node.StepStart || name == node.StepAfter || name == node.StepFinish {
			want = 5 * time.Second
		}
		if got := Forecast(rehearsed(name)); got != want {
			t.Errorf("after step %s: %v, want %v", name, got, want)
		}
	}
}

func TestTheStepsOfARehearsalMoveNothingOfTheRealCluster(t *testing.T) {
	for _, name := range node.StepNames() {
		j := rehearsed(name)
		if got := Next(j); got != Beside {
			t.Errorf("after the copy's step %s: %q", name, got)
		}
		again := Recover(j, rehearsedAt.Add(time.Minute))
		if again.Outcome != node.UpgradeFailed || Next(again) != Idle || again.Ended.IsZero() || !strings.Contains(again.Why, "interrupted") {
			t.Errorf("interrupted after the copy's step %s: %q, %s, next %q", name, again.Outcome, again.Why, Next(again))
		}
	}
	j := rehearsed(node.StepAfter)
	j.Outcome, j.Forecast = node.Rehearsed, 5444*time.Millisecond
	if Next(j) != Idle || !strings.Contains(RehearsedText(j), "about 5.4s") {
		t.Error(Next(j), RehearsedText(j))
	}
}

func TestARehearsalIsRefusedWhereTheRunningServerCannotBeCopied(t *testing.T) {
	slots := []pg.Slot{{Name: "a", Logical: true}, {Name: "b"}}
	for name, c := range map[string]struct {
		settings map[string]string
		from     int
		want     string
	}{
		"nothing stands against it":       {map[string]string{"max_replication_slots": "3"}, 15, ""},
		"minimal WAL":                     {map[string]string{"wal_level": "minimal", "max_replication_slots": "10"}, 15, "refuse rehearsal-wal"},
		"no slot is left":                 {map[string]string{"max_replication_slots": "2"}, 15, "refuse rehearsal-slots"},
		"slots are not allowed":           {map[string]string{"max_replication_slots": "0"}, 15, "refuse rehearsal-slots"},
		"both":                            {map[string]string{"wal_level": "minimal"}, 17, "refuse rehearsal-wal, refuse rehearsal-slots"},
		"an archive makes the stop last":  {map[string]string{"archive_mode": "on", "max_replication_slots": "3"}, 15, "note forecast-archive"},
		"a logical slot is not in a copy": {map[string]string{"archive_mode": "off", "max_replication_slots": "3"}, 17, "note forecast-slots"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range JudgeRehearsal(Facts{From: c.from, Server: pg.Inventory{Settings: c.settings, Slots: slots}}) {
				got = append(got, string(f.Level)+" "+f.Code)
				if f.Hint == "" || f.Text == "" {
					t.Errorf("%+v", f)
				}
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
