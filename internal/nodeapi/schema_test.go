package nodeapi_test

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/pgbaton/pgbaton/internal/node"
)

const schemaPath = "../../docs/upgrade.result.schema.json"

// schema compiles the page that users validate against.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile(schemaPath)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// validate checks a value as it is written to the result file.
func validate(t *testing.T, s *jsonschema.Schema, u any) error {
	t.Helper()
	text, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(value)
}

// full is an upgrade with every field set.
func full() node.Upgrade {
	now := time.Date(2026, 11, 23, 7, 43, 0, 5, time.UTC)
	u := node.Upgrade{
		ID: "20261123T074300.000Z", Do: node.UpgradeNow, Trigger: node.ByMarker, Outcome: node.UpgradeDone, Why: "PostgreSQL 17 serves",
		From: 15, To: 17, Mode: node.ModeClone, Attempt: 2, Started: now, Ended: now.Add(time.Minute), Percent: 42.5, Doing: "x",
		Findings: []node.Finding{{Level: node.Note, Code: "x", Text: "y", Hint: "z", Detail: "d"}},
		Outage:   4 * time.Second, Forecast: 5 * time.Second, Retired: "/v/.pgbaton/retired/x", FinishAt: now.Add(time.Hour),
		Undo: "u", Reminders: []string{"r"},
	}
	for _, name := range node.StepNames() {
		u.Steps = append(u.Steps, node.UpgradeStep{Name: name, State: node.StepDone, Started: now, Took: time.Second})
	}
	return u
}

func TestEveryFieldOfTheResultFileIsInItsSchema(t *testing.T) {
	s := schema(t)
	u := full()
	for _, part := range []any{u, u.Steps[0], u.Findings[0]} {
		v := reflect.ValueOf(part)
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Fatalf("the test leaves %T.%s out", part, v.Type().Field(i).Name)
			}
		}
	}
	if err := validate(t, s, u); err != nil {
		t.Error(err)
	}
}

func TestARefusalBeforeAnythingWasChosenFitsTheSchema(t *testing.T) {
	for _, u := range []node.Upgrade{
		{ID: "x", Do: node.UpgradeNow, Trigger: node.ByCommand, Outcome: node.UpgradeRefused, Attempt: 1, Started: time.Now()},
		{ID: "x", Do: node.UpgradeCheck, Trigger: node.ByBinaries, Outcome: node.UpgradeRunning, Attempt: 1, Mode: node.ModeAuto, Steps: []node.UpgradeStep{}},
	} {
		if err := validate(t, schema(t), u); err != nil {
			t.Error(err)
		}
	}
}

func TestEveryWordOfAnUpgradeIsInItsSchema(t *testing.T) {
	s := schema(t)
	check := func(change func(*node.Upgrade)) {
		t.Helper()
		u := full()
		change(&u)
		if err := validate(t, s, u); err != nil {
			t.Error(err)
		}
	}
	for _, o := range []node.Outcome{
		node.UpgradeRunning, node.UpgradeRefused, node.UpgradeChecked, node.Rehearsed, node.UpgradeDone,
		node.UpgradeFinished, node.UpgradeUndone, node.UpgradeFailed, node.UpgradeHeld,
	} {
		check(func(u *node.Upgrade) { u.Outcome = o })
	}
	for _, verb := range node.UpgradeVerbs() {
		check(func(u *node.Upgrade) { u.Do = verb })
	}
	for _, mode := range node.UpgradeModes() {
		check(func(u *node.Upgrade) { u.Mode = mode })
	}
	for _, by := range []node.Trigger{node.ByMarker, node.ByCommand, node.ByBinaries} {
		check(func(u *node.Upgrade) { u.Trigger = by })
	}
	for _, state := range []node.StepState{node.StepPending, node.StepRunning, node.StepDone, node.StepUndone, node.StepSkipped} {
		check(func(u *node.Upgrade) { u.Steps[0].State = state })
	}
	check(func(u *node.Upgrade) { u.Findings[0].Level = node.Refuse })
}

func TestTheSchemaRefusesWhatIsNoResult(t *testing.T) {
	s := schema(t)
	for name, change := range map[string]func(*node.Upgrade){
		"an unknown outcome": func(u *node.Upgrade) { u.Outcome = "fine" },
		"no id":              func(u *node.Upgrade) { u.ID = "" },
		"a relative path":    func(u *node.Upgrade) { u.Retired = "retired" },
		"120 percent":        func(u *node.Upgrade) { u.Percent = 120 },
		"a negative outage":  func(u *node.Upgrade) { u.Outage = -1 },
		"attempt 0":          func(u *node.Upgrade) { u.Attempt = 0 },
		"an unknown step":    func(u *node.Upgrade) { u.Steps[0].Name = "pray" },
	} {
		u := full()
		change(&u)
		if validate(t, s, u) == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	var more map[string]any
	text, _ := os.ReadFile(schemaPath)
	if err := json.Unmarshal(text, &more); err != nil || more["additionalProperties"] != false {
		t.Errorf("unknown fields are allowed: %v", err)
	}
}
