package upgrade

import (
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

func TestAMarkerSaysWhatIsAskedFor(t *testing.T) {
	now := node.UpgradeRequest{Do: node.UpgradeNow}
	to17 := node.UpgradeRequest{Do: node.UpgradeNow, Target: 17}
	for name, c := range map[string]struct {
		text string
		want node.UpgradeRequest
	}{
		"nothing":                           {"", now},
		"blank lines and comments":          {"\n  \n# to the newest\n\t# now\n", now},
		"a byte order mark alone":           {"\ufeff", now},
		"a lone major":                      {"17", to17},
		"a lone major in quotes":            {" \"17\" \r\n", to17},
		"a lone major with a comment":       {"17 # the next\n", to17},
		"a target with BOM and CRLF":        {"\ufefftarget: 17\r\n\r\n", to17},
		"a quoted target":                   {`target: '17'`, to17},
		"no blank after the colon":          {"target:17", to17},
		"upper case":                        {"TARGET: 17\nMode: LINK", node.UpgradeRequest{Do: node.UpgradeNow, Target: 17, Mode: node.ModeLink}},
		"check only":                        {"check_only: true\nrehearse: false\n", node.UpgradeRequest{Do: node.UpgradeCheck}},
		"a rehearsal":                       {"rehearse: true", node.UpgradeRequest{Do: node.UpgradeRehearse}},
		"a trial as boolean":                {"trial: false", node.UpgradeRequest{Do: node.UpgradeNow, NoTrial: true}},
		"a trial that is on":                {"trial: on", now},
		"days and hours":                    {"keep: 3d12h", node.UpgradeRequest{Do: node.UpgradeNow, Keep: 84 * time.Hour}},
		"keep until a command, said so":     {"keep: 0", now},
		"the longest time that can be kept": {"keep: 3650d", node.UpgradeRequest{Do: node.UpgradeNow, Keep: 3650 * 24 * time.Hour}},
		"everything": {
			"target: 18\nmode: clone\njobs: 4\nanalyze: full\nreindex: changed\nkeep: 72h\ncheck_only: false\nrehearse: true\ntrial: off\n",
			node.UpgradeRequest{
				Do: node.UpgradeRehearse, Target: 18, Mode: node.ModeClone, Jobs: 4, Analyze: node.AnalyzeFull,
				Reindex: node.ReindexChanged, Keep: 72 * time.Hour, NoTrial: true,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseMarker([]byte(c.text))
			if err != nil || got != c.want {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestAMarkerThatIsNotUnderstoodIsRefusedInOneSentence(t *testing.T) {
	const keys = "target, mode, jobs, analyze, reindex, keep, check_only, rehearse, trial"
	for name, c := range map[string]struct{ text, want string }{
		"an unknown key":            {"target: 17\nspeed: fast", `line 2 of the marker: the key "speed" is not known; the keys are ` + keys},
		"a key with no name":        {": 17", `line 1 of the marker: the key "" is not known; the keys are ` + keys},
		"an unknown mode":           {"mode: swap", `line 1 of the marker: mode cannot be "swap"; accepted is auto, clone, link or copy`},
		"an unknown analyze":        {"analyze: yes", `line 1 of the marker: analyze cannot be "yes"; accepted is stages, full or off`},
		"an unknown reindex":        {"reindex: all", `line 1 of the marker: reindex cannot be "all"; accepted is auto, changed or off`},
		"no value":                  {"target:", `line 1 of the marker: target cannot be ""; accepted is a major version such as 17`},
		"a minor version":           {"target: 17.2", `line 1 of the marker: target cannot be "17.2"; accepted is a major version such as 17`},
		"a negative target":         {"target: -17", `accepted is a major version such as 17`},
		"no jobs":                   {"jobs: 0", `line 1 of the marker: jobs cannot be "0"; accepted is a number from 1 to 256`},
		"too many jobs":             {"jobs: 257", `accepted is a number from 1 to 256`},
		"a number that overflows":   {"jobs: 99999999999999999999", `accepted is a number from 1 to 256`},
		"a negative time":           {"keep: -1h", `line 1 of the marker: keep cannot be "-1h"; accepted is a duration such as 72h or 3d`},
		"a time without a unit":     {"keep: 72", `accepted is a duration such as 72h or 3d`},
		"a time beyond all bounds":  {"keep: 3651d", `up to 3650d`},
		"days that overflow":        {"keep: 99999999999999d", `up to 3650d`},
		"hours that overflow":       {"keep: 3650d2562047h", `up to 3650d`},
		"a boolean that is none":    {"check_only: 1", `line 1 of the marker: check_only cannot be "1"; accepted is true or false`},
		"a trial that is none":      {"trial: maybe", `accepted is on or off`},
		"a key twice":               {"target: 17\n\nTarget: 17", `line 3 of the marker: target was given in line 1 already; each key may be there once`},
		"check and rehearsal":       {"rehearse: true\ncheck_only: true", `line 2 of the marker: check_only and rehearse are both true`},
		"a lone word":               {"please", `line 1 of the marker: "please" is neither a major such as 17 nor ` + "`key: value`; the keys are " + keys},
		"two majors":                {"17\n18", `line 2 of the marker: a lone major stands alone`},
		"a major after a key":       {"mode: link\n17", "line 2 of the marker: a lone major stands alone; with other lines write `target: 17`"},
		"a key after a major":       {"17\nmode: link", "line 2 of the marker: mode follows a lone major in line 1; with other keys write `target: N`"},
		"an equal sign":             {"target = 17", `is neither a major such as 17 nor`},
		"a comment without a blank": {"target: 17#x", `target cannot be "17#x"`},
		"binary":                    {"\x7fELF\x00", "the marker is not text in UTF-8"},
		"UTF-16":                    {"\xff\xfe1\x007\x00", "the marker is not text in UTF-8"},
		"a very long key":           {strings.Repeat("x", 1000) + ": 1", `the key "` + strings.Repeat("x", 40) + `…" is not known`},
		"a very long file":          {strings.Repeat("#", MarkerLimit+1), "the marker is longer than 65536 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseMarker([]byte(c.text))
			if err == nil {
				t.Fatalf("%+v", got)
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Error(err)
			}
			if got != (node.UpgradeRequest{}) {
				t.Errorf("a refused marker asks for %+v", got)
			}
		})
	}
}

func TestAMarkerOfTheGreatestSizeIsRead(t *testing.T) {
	if _, err := ParseMarker([]byte(strings.Repeat("#", MarkerLimit))); err != nil {
		t.Error(err)
	}
}

func TestEveryKeyOfAMarkerIsListed(t *testing.T) {
	if len(MarkerKeys()) != len(markerKeys) {
		t.Error(MarkerKeys())
	}
	for _, k := range MarkerKeys() {
		if markerKeys[k] == nil {
			t.Error(k)
		}
	}
}

func FuzzParseMarker(f *testing.F) {
	for _, s := range []string{
		"", "17", "target: 17\nmode: link\njobs: 4\nkeep: 1d2h\n", "check_only: true", "rehearse: true\ntrial: off",
		"analyze: full # x\nreindex: off", "\ufeff\"17\"\r\n", "keep: 1.5h", "a:b", ":", "#",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseMarker(data)
		if err != nil {
			return
		}
		text := FormatMarker(r)
		again, err := ParseMarker(text)
		if err != nil || again != r {
			t.Fatalf("%q asks for %+v; printed %q, which asks for %+v, %v", data, r, text, again, err)
		}
	})
}
