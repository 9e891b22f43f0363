package notify

import (
	"strconv"
	"strings"
	"testing"
)

func TestLinesOfTheFIFOAreReadAsKeepalivedWritesThem(t *testing.T) {
	for line, want := range map[string]Event{
		`INSTANCE "pg" MASTER 241`:                    {TypeInstance, "pg", VRRPMaster, 241},
		"INSTANCE \"pg\" BACKUP 100\n":                {TypeInstance, "pg", VRRPBackup, 100},
		`INSTANCE "pg" FAULT 0`:                       {TypeInstance, "pg", VRRPFault, 0},
		`INSTANCE "pg" STOP 255`:                      {TypeInstance, "pg", VRRPStop, 255},
		`INSTANCE "pg" DELETED 100`:                   {TypeInstance, "pg", VRRPDeleted, 100},
		`INSTANCE "a b" MASTER_RX_LOWER_PRI 241`:      {TypeInstance, "a b", LowerPriority, 241},
		`INSTANCE "pg" MASTER_PRIORITY 241`:           {TypeInstance, "pg", MasterPriority, 241},
		`INSTANCE "pg" BACKUP_PRIORITY 241`:           {TypeInstance, "pg", BackupPriority, 241},
		`GROUP "G1" MASTER 0`:                         {TypeGroup, "G1", VRRPMaster, 0},
		`INSTANCE "` + repeated(255) + `" MASTER 241`: {TypeInstance, repeated(255), VRRPMaster, 241},
		`INSTANCE "INSTANCE MASTER 1" BACKUP 2`:       {TypeInstance, "INSTANCE MASTER 1", VRRPBackup, 2},
		`INSTANCE "übung" MASTER_RX_LOWER_PRI 1`:      {TypeInstance, "übung", LowerPriority, 1},
		`GROUP "pg" MASTER_RX_LOWER_PRI 0` + "\n":     {TypeGroup, "pg", LowerPriority, 0},
		`INSTANCE "pg with trailing " BACKUP 3`:       {TypeInstance, "pg with trailing ", VRRPBackup, 3},
		`INSTANCE "MASTER" FAULT 1`:                   {TypeInstance, "MASTER", VRRPFault, 1},
		`INSTANCE "pg/MASTER 1" MASTER_PRIORITY 254`:  {TypeInstance, "pg/MASTER 1", MasterPriority, 254},
	} {
		got, err := ParseEvent(line)
		if err != nil || got != want {
			t.Errorf("%q is %+v, %v; want %+v", line, got, err, want)
		}
	}
}

func TestWhatKeepalivedDoesNotSayIsAnErrorAndNoState(t *testing.T) {
	whole := `INSTANCE "pg" MASTER 241`
	bad := []string{
		"", "\n", "hello", `INSTANCE pg MASTER 241`, `INSTANCE "" MASTER 241`, `INSTANCE "pg" MASTER`, `INSTANCE "pg" MASTER `,
		`INSTANCE "pg" KING 241`, `INSTANCE "pg" master 241`, `PROCESS "pg" MASTER 241`, `instance "pg" MASTER 241`,
		`INSTANCE "pg" MASTER 256`, `INSTANCE "pg" MASTER -1`, `INSTANCE "pg" MASTER 1 2`, `INSTANCE "pg" MASTER 0x10`,
		`INSTANCE "pg" MASTER +1`, `INSTANCE "pg" MASTER 007`, `INSTANCE "pg"MASTER 241`, ` INSTANCE "pg" MASTER 241`,
		`INSTANCE "pg"  MASTER 241`, `INSTANCE "p"g" MASTER 241`, `INSTANCE "` + repeated(256) + `" MASTER 241`, whole + "\r",
		whole + whole, whole + "\n" + whole, whole + "\n\n", `INSTANCE "pg` + "\x00" + `" MASTER 241`,
	}
	// Cut off anywhere but within the digits: there it is a line with another priority.
	for i := range strings.LastIndex(whole, " ") + 1 {
		bad = append(bad, whole[:i])
	}
	for _, line := range bad {
		if got, err := ParseEvent(line); err == nil || got != (Event{}) {
			t.Errorf("%q was read as %+v, %v", line, got, err)
		} else if text := err.Error(); !strings.Contains(text, "ignored") || len(text) > 400 {
			t.Errorf("%q: %q does not say what becomes of it, or is too long", line, text)
		}
	}
}

func TestArgumentsOfANotifyScriptAreReadAsKeepalivedGivesThem(t *testing.T) {
	got, err := ParseHook([]string{"INSTANCE", "pg", "FAULT", "154"})
	if want := (Event{TypeInstance, "pg", VRRPFault, 154}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, args := range [][]string{
		nil,
		{"INSTANCE"},
		{"INSTANCE", "pg", "MASTER"},
		{"INSTANCE", "pg", "MASTER", "1", "2"},
		{"", "", "", ""},
		{"INSTANCE", "pg", "KING", "1"},
		{"X", "pg", "MASTER", "1"},
		{"INSTANCE", "", "MASTER", "1"},
		{"INSTANCE", "pg", "MASTER", "high"},
		{"INSTANCE", `p"g`, "MASTER", "1"},
		{"INSTANCE", "p\ng", "MASTER", "1"},
		{"INSTANCE", "pg", "MASTER", "300"},
		{"-h", "pg", "MASTER", "1"},
		{"INSTANCE", repeated(300), "MASTER", "1"},
	} {
		if got, err := ParseHook(args); err == nil || got != (Event{}) {
			t.Errorf("%.60q was read as %+v, %v", args, got, err)
		} else if !strings.Contains(err.Error(), "keepalived") || len(err.Error()) > 200 {
			t.Errorf("%.60q: %v does not say whose words they are, or is too long", args, err)
		}
	}
}

func TestOnlyEventsOfOurInstanceAreOurs(t *testing.T) {
	for line, want := range map[string][2]bool{ // own, state
		`INSTANCE "pg" MASTER 1`:              {true, true},
		`GROUP "pg" MASTER 1`:                 {false, true},
		`INSTANCE "web" MASTER 1`:             {false, true},
		`INSTANCE "pg" MASTER_RX_LOWER_PRI 1`: {true, false},
		`INSTANCE "pg" BACKUP_PRIORITY 1`:     {true, false},
		`INSTANCE "pg" STOP 1`:                {true, true},
	} {
		e, err := ParseEvent(line)
		if err != nil || e.Own() != want[0] || e.IsState() != want[1] {
			t.Errorf("%s: own %v, state %v, %v", line, e.Own(), e.IsState(), err)
		}
	}
}

func TestTrackFilesStayWithinWhatVRRPCanSay(t *testing.T) {
	for _, c := range []struct {
		eligible   bool
		pref       int
		one, pref2 string
	}{
		{true, 154, "1\n", "154\n"},
		{false, 0, "0\n", "0\n"},
		{true, 155, "1\n", "154\n"},
		{true, 9999, "1\n", "154\n"},
		{false, -99, "0\n", "-99\n"},
		{true, -9999, "1\n", "-99\n"},
	} {
		if one, two := Tracks(c.eligible, c.pref); one != c.one || two != c.pref2 {
			t.Errorf("%v, %d: %q and %q", c.eligible, c.pref, one, two)
		}
	}
}

// FuzzEvent: whatever is read as an event is written by keepalived like that,
// and whatever is not gives no state.
func FuzzEvent(f *testing.F) {
	for _, line := range []string{`INSTANCE "pg" MASTER 241`, `GROUP "G" FAULT 0`, `INSTANCE "pg`, "", "\x00", `INSTANCE "a" b" MASTER 1`} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		e, err := ParseEvent(line)
		if err != nil {
			if e != (Event{}) {
				t.Errorf("%q: an error and a state: %+v", line, e)
			}
			return
		}
		if again := e.Type + ` "` + e.Name + `" ` + e.State + " " + strconv.Itoa(e.Priority); again != strings.TrimSuffix(line, "\n") {
			t.Errorf("%q was read as %q", line, again)
		}
	})
}

// FuzzHook: four arguments are read exactly as the same line would be.
func FuzzHook(f *testing.F) {
	f.Add("INSTANCE", "pg", "MASTER", "241")
	f.Add("GROUP", "g", "FAULT", "0")
	f.Add("", "\"", "MASTER_PRIORITY", "-1")
	f.Fuzz(func(t *testing.T, kind, name, state, priority string) {
		e, err := ParseHook([]string{kind, name, state, priority})
		if err != nil {
			if e != (Event{}) {
				t.Errorf("an error and a state: %+v", e)
			}
			return
		}
		line, err := ParseEvent(kind + ` "` + name + `" ` + state + " " + priority)
		if err != nil || line != e {
			t.Errorf("as arguments %+v, as a line %+v, %v", e, line, err)
		}
	})
}

func repeated(n int) string { return strings.Repeat("x", n) }
