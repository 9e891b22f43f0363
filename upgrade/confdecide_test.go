package upgrade

import (
	"reflect"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
)

const (
	unknown = `unrecognized configuration parameter "x"`
	bad     = `invalid value for parameter "x": "y"`
)

// confFacts are of one file, in the data directory or not.
func confFacts(inside bool, text string, verdicts map[ConfSetting]ConfVerdict) ConfFacts {
	return ConfFacts{
		From: 15, To: 17, OldDirs: []string{"/v/15/docker"}, NewDir: "/v/17/docker",
		Files:    []ConfSource{{Path: "/v/15/docker/postgresql.conf", Inside: inside, Lines: ParseConf([]byte(text))}},
		Verdicts: verdicts,
	}
}

func TestWhatBecomesOfASettingInTheDataDirectory(t *testing.T) {
	for name, c := range map[string]struct {
		text     string
		verdicts map[ConfSetting]ConfVerdict
		want     string // the file afterwards
		code     string
		says     string // in the finding
	}{
		"accepted":         {"port = 1\n", nil, "port = 1\n", "", ""},
		"a custom setting": {"foo.bar = 1\n", nil, "foo.bar = 1\n", "", ""},
		"refused for a reason that may lie elsewhere": {
			"a = 1\n", map[ConfSetting]ConfVerdict{{"a", "1"}: {ConfDoubtful, "something else"}}, "a = 1\n", "", "",
		},
		"removed, and known to be": {
			"Old_Snapshot_Threshold = 1h # mine\n",
			map[ConfSetting]ConfVerdict{{"old_snapshot_threshold", "1h"}: {ConfUnknown, unknown}},
			"# pgbaton: commented out in the upgrade from 15 to 17: PostgreSQL has no such setting since 17; nothing takes its place; " +
				"idle_in_transaction_session_timeout or transaction_timeout end what holds old snapshots\n#Old_Snapshot_Threshold = 1h # mine\n",
			"setting-removed", "Old_Snapshot_Threshold is commented out: PostgreSQL has no such setting since 17",
		},
		"removed, and nobody knows": {
			"strange = 1\n",
			map[ConfSetting]ConfVerdict{{"strange", "1"}: {ConfUnknown, unknown}},
			"# pgbaton: commented out in the upgrade from 15 to 17: PostgreSQL 17 has no such setting (the server says: " + unknown + ")\n#strange = 1\n",
			"setting-removed", "PostgreSQL 17 has no such setting",
		},
		"renamed": {
			"force_parallel_mode on\n",
			map[ConfSetting]ConfVerdict{{"force_parallel_mode", "on"}: {ConfUnknown, unknown}},
			"# pgbaton: renamed in the upgrade from 15 to 17: PostgreSQL has no such setting since 16; it is called debug_parallel_query\ndebug_parallel_query on\n",
			"setting-renamed", "force_parallel_mode becomes debug_parallel_query",
		},
		"renamed, with a value that is gone too": {
			"force_parallel_mode = x\n",
			map[ConfSetting]ConfVerdict{
				{"force_parallel_mode", "x"}: {ConfUnknown, unknown}, {"debug_parallel_query", "x"}: {ConfBadValue, bad},
			},
			"# pgbaton: commented out in the upgrade from 15 to 17: PostgreSQL has no such setting since 16; it is called debug_parallel_query\n#force_parallel_mode = x\n",
			"setting-removed", "",
		},
		"a value that is gone": {
			"x = 'y'\n",
			map[ConfSetting]ConfVerdict{{"x", "y"}: {ConfBadValue, bad}},
			"# pgbaton: commented out in the upgrade from 15 to 17: PostgreSQL 17 does not take the value \"y\" (the server says: " + bad + ")\n#x = 'y'\n",
			"setting-value", `does not take the value "y"`,
		},
		"a path of the old data directory": {
			"ssl_cert_file = '/v/15/docker/server.crt'\n", nil,
			"# pgbaton: names the new data directory instead of the old one in the upgrade from 15 to 17\nssl_cert_file = '/v/17/docker/server.crt'\n",
			"setting-path", "ssl_cert_file names the new data directory",
		},
		"an include by a path of the old data directory": {
			"include_dir '/v/15/docker/conf.d'\n", nil,
			"# pgbaton: names the new data directory instead of the old one in the upgrade from 15 to 17\ninclude_dir '/v/17/docker/conf.d'\n",
			"setting-path", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			edits, findings := DecideConf(confFacts(true, c.text, c.verdicts))
			if got := string(RewriteConf([]byte(c.text), edits[0])); got != c.want {
				t.Errorf("%s\nwant\n%s", got, c.want)
			}
			checkFinding(t, findings, node.Note, c.code, c.says)
		})
	}
}

func checkFinding(t *testing.T, findings []node.Finding, level node.Level, code, says string) {
	t.Helper()
	if code == "" {
		if len(findings) > 0 {
			t.Errorf("%+v", findings)
		}
		return
	}
	if len(findings) != 1 || findings[0].Level != level || findings[0].Code != code || !strings.Contains(findings[0].Text, says) {
		t.Errorf("%+v", findings)
	}
	for _, f := range findings {
		if f.Level == node.Refuse && f.Hint == "" {
			t.Errorf("a refusal that does not say what to do: %+v", f)
		}
	}
}

func TestWhatCannotBeMendedIsRefused(t *testing.T) {
	gone := map[ConfSetting]ConfVerdict{{"old_snapshot_threshold", "1h"}: {ConfUnknown, unknown}}
	for name, c := range map[string]struct {
		f          ConfFacts
		code, says string
	}{
		"a removed setting outside the data directory": {
			confFacts(false, "\nold_snapshot_threshold = 1h", gone), "config-outside",
			"/v/15/docker/postgresql.conf line 2, which is outside the data directory, sets old_snapshot_threshold: PostgreSQL has no such setting since 17",
		},
		"a path of the old data directory outside of it": {
			confFacts(false, "ssl_cert_file = '/v/15/docker/x'", nil), "config-outside", "names the old data directory, which will be /v/17/docker",
		},
		"a line that no server understands": {
			confFacts(true, "a = b c", nil), "config-syntax", `postgresql.conf line 1 is not understood, near "c"`,
		},
		"a removed setting in the arguments": {
			ConfFacts{From: 15, To: 17, Args: []ConfArg{{"old_snapshot_threshold", "1h", "-c old_snapshot_threshold=1h"}}, Verdicts: gone},
			"config-argument", "argument `-c old_snapshot_threshold=1h` sets old_snapshot_threshold: PostgreSQL has no such setting since 17",
		},
		"a configuration file of the old data directory in the arguments": {
			ConfFacts{From: 15, To: 17, OldDirs: []string{"/v/15"}, NewDir: "/v/17", Args: []ConfArg{{"config_file", "/v/15/x", "-c config_file=/v/15/x"}}},
			"config-argument", "it names the old data directory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			edits, findings := DecideConf(c.f)
			if len(edits) > 0 {
				t.Errorf("%+v", edits)
			}
			checkFinding(t, findings, node.Refuse, c.code, c.says)
		})
	}
}

func TestABadValueOutsideIsHarmlessWhereALaterLineOverridesIt(t *testing.T) {
	f := confFacts(false, "x = y\nx = z", map[ConfSetting]ConfVerdict{{"x", "y"}: {ConfBadValue, bad}})
	f.Shadowed = map[ConfPlace]bool{{0, 1}: true}
	if _, findings := DecideConf(f); len(findings) > 0 {
		t.Errorf("%+v", findings)
	}
	f.Verdicts[ConfSetting{"x", "y"}] = ConfVerdict{ConfUnknown, unknown}
	if _, findings := DecideConf(f); len(findings) != 1 {
		t.Errorf("an unknown name is refused wherever it stands: %+v", findings)
	}
}

func TestNothingMovesWhereTheDataDirectoryKeepsItsName(t *testing.T) {
	f := confFacts(true, "ssl_cert_file = '/v/15/docker/x'", nil)
	f.NewDir = f.OldDirs[0]
	if edits, findings := DecideConf(f); len(edits) > 0 || len(findings) > 0 {
		t.Errorf("%+v, %+v", edits, findings)
	}
}

func TestTheServerIsAskedAboutEachSettingOnce(t *testing.T) {
	f := confFacts(true, "a = 1\nA = 1\na = 2\nforce_parallel_mode = on\nfoo.bar = 1\ninclude 'x'\nb = c d\ndata_directory = '/x'\nssl_key_file = '/v/15/docker/k'", nil)
	f.Args = []ConfArg{{"a", "1", ""}, {"foo.bar", "2", ""}, {"config_file", "/x", ""}}
	want := []ConfSetting{
		{"a", "1"},
		{"a", "2"},
		{"force_parallel_mode", "on"},
		{"debug_parallel_query", "on"},
		{"ssl_key_file", "/v/17/docker/k"},
		{"foo.bar", "2"},
	}
	if got := f.ConfTries(); !reflect.DeepEqual(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

func TestEveryKnownRenameLeadsToAReason(t *testing.T) {
	for name, c := range confChanges {
		if name != lowerName(name) || c.Since < 10 || c.Why == "" || strings.HasSuffix(c.Why, ".") {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestALongListOfFindingsIsCutAndTellsOfTheRest(t *testing.T) {
	f := confFacts(true, strings.Repeat("x = y\n", 150)+"a = b c\n", map[ConfSetting]ConfVerdict{{"x", "y"}: {ConfBadValue, bad}})
	edits, findings := DecideConf(f)
	if len(edits[0]) != 150 || len(findings) != maxConfFindings+1 || findings[0].Level != node.Refuse {
		t.Errorf("%d edits, %d findings, first %+v", len(edits[0]), len(findings), findings[0])
	}
	if last := findings[maxConfFindings]; last.Text != "There are 51 more findings of this kind." || last.Level != node.Note {
		t.Errorf("%+v", last)
	}
}
