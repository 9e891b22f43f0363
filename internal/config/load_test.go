package config

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const file = "/etc/pgbaton.yaml"

func TestNothingSetGivesTheDefaults(t *testing.T) {
	got, warnings := mustLoad(t, nil)
	want := Settings{
		ConfigFile: file, Node: "testhost", Binaries: []string{"/usr/lib/postgresql"}, ControlDir: "/run/pgbaton",
		Listen: ":8008", LogFormat: LogText, LogLevel: slog.LevelInfo, OnExit: OnExitRestart,
		StopGrace: 10 * time.Second, SmartTimeout: time.Minute, BackoffMax: 30 * time.Second, HungAfter: 30 * time.Second, DiskWarn: 1 << 30, SlotKeep: 16 << 30,
		Upgrade: UpgradeMarker, Hooks: "/etc/pgbaton/hooks.d", HookTimeout: 5 * time.Minute,
		Cluster: "main", OnSilence: OnSilencePromote, ReplicationUser: "pgbaton_replication",
		VRID: 51, Advert: 100 * time.Millisecond, DownAdverts: 20,
	}
	want.rows = got.rows
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if len(warnings) > 0 {
		t.Errorf("warnings: %q", warnings)
	}
}

func TestTableAndStructAgree(t *testing.T) {
	var tags, names []string
	for field := range reflect.TypeFor[Settings]().Fields() {
		if field.IsExported() {
			tags = append(tags, field.Tag.Get("mapstructure"))
		}
	}
	for _, s := range Table() {
		names = append(names, s.Name)
		if s.Default == "" && s.DefaultText == "" {
			t.Errorf("%s has neither a default nor words for it", s.Name)
		}
		if s.Default != "" {
			if _, err := s.Kind.parse(s.Default); err != nil {
				t.Errorf("default of %s %v", s.Name, err)
			}
		}
	}
	if !slices.Equal(tags, names) {
		t.Errorf("tags of the struct %q, names in the table %q", tags, names)
	}
}

func TestLoad(t *testing.T) {
	tests := []struct {
		name    string
		yaml    string
		environ []string
		want    func(Settings) bool
	}{
		{"the environment wins over the file", "stop_grace: 20s", []string{"PGBATON_STOP_GRACE=30s"}, func(s Settings) bool { return s.StopGrace == 30*time.Second }},
		{"the file wins over the default", "stop_grace: 20s", nil, func(s Settings) bool { return s.StopGrace == 20*time.Second }},
		{"an empty variable counts as not set", "stop_grace: 20s", []string{"PGBATON_STOP_GRACE="}, func(s Settings) bool { return s.StopGrace == 20*time.Second }},
		{"an empty value in the file counts as not set", "stop_grace:\nnode: ''", nil, func(s Settings) bool { return s.StopGrace == 10*time.Second && s.Node == "testhost" }},
		{"the last of two variables of one name counts", "", []string{"PGBATON_NODE=a", "PGBATON_NODE=b"}, func(s Settings) bool { return s.Node == "b" }},
		{"off in YAML is a word and no truth value", "listen: off", nil, func(s Settings) bool { return s.Listen == "" }},
		{"on in YAML is true where a truth value is wanted", "init_only: on", nil, func(s Settings) bool { return s.InitOnly }},
		{"a node name of digits keeps its leading zero", "node: 012", nil, func(s Settings) bool { return s.Node == "012" }},
		{"a file of comments sets nothing", "# nothing\n---\n", nil, func(s Settings) bool { return s.Node == "testhost" }},
		{"directories are separated by commas or colons", "", []string{"PGBATON_BINARIES=/a,/b:/c/,/a"}, func(s Settings) bool { return slices.Equal(s.Binaries, []string{"/a", "/b", "/c"}) }},
		{"directories may be a list in the file", "binaries: [/a, /b]", nil, func(s Settings) bool { return slices.Equal(s.Binaries, []string{"/a", "/b"}) }},
		{"paths are cleaned", "", []string{"PGBATON_VOLUME=/v//x/../y/"}, func(s Settings) bool { return s.Volume == "/v/y" }},
		{"a size has PostgreSQL's units", "disk_warn: 512MB", nil, func(s Settings) bool { return s.DiskWarn == 512<<20 }},
		{"a size of 0 turns the warning off", "", []string{"PGBATON_DISK_WARN=0"}, func(s Settings) bool { return s.DiskWarn == 0 }},
		{"an IPv6 address is an address", "", []string{"PGBATON_LISTEN=[::1]:9000"}, func(s Settings) bool { return s.Listen == "[::1]:9000" }},
		{"a level has a name", "log_level: warn", nil, func(s Settings) bool { return s.LogLevel == slog.LevelWarn }},
		{"the container may end with postgres", "", []string{"PGBATON_ON_EXIT=exit", "PGBATON_INIT_ONLY=true"}, func(s Settings) bool { return s.OnExit == OnExitExit && s.InitOnly }},
		{"a secret in the environment wins over a file named in YAML", "token_file: /missing", []string{"PGBATON_TOKEN=0123456789abcdef"}, func(s Settings) bool { return s.Token.Reveal() == "0123456789abcdef" }},
		{"off as the policy of upgrades is a word and no truth value", "upgrade: off", nil, func(s Settings) bool { return s.Upgrade == UpgradeOff }},
		{"the policy of upgrades does not hide what begins with its name", "upgrade: auto\nupgrade_keep: 72h", nil, func(s Settings) bool { return s.Upgrade == UpgradeAuto && s.UpgradeKeep == 72*time.Hour }},
		{"the old cluster may be kept until somebody says so", "upgrade_keep: 72h", []string{"PGBATON_UPGRADE_KEEP=0s"}, func(s Settings) bool { return s.UpgradeKeep == 0 }},
		{"hooks may be elsewhere and take longer", "", []string{"PGBATON_HOOKS=/hooks", "PGBATON_HOOK_TIMEOUT=1h"}, func(s Settings) bool { return s.Hooks == "/hooks" && s.HookTimeout == time.Hour }},
		{"postgres may have another port", "", []string{"PGBATON_LISTEN=:5432", "PGPORT=5433"}, func(s Settings) bool { return s.Listen == ":5432" }},
		{"PGDATA may be a link inside the control directory", "", []string{"PGDATA=/run/pgbaton/data"}, func(s Settings) bool { return s.ControlDir == "/run/pgbaton" }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			files := map[string]string{file: test.yaml}
			got, _, err := loadBesideMissingSecret(files, test.environ)
			if err != nil {
				t.Fatal(err)
			}
			if !test.want(got) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// loadBesideMissingSecret gives the file of secrets that the tests name.
func loadBesideMissingSecret(files map[string]string, environ []string) (Settings, []string, error) {
	files["/missing"] = "a-secret-of-the-file"
	return world(files).load(environ)
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name    string
		yaml    string
		environ []string
		parts   []string
	}{
		{"a duration without a unit", "", []string{"PGBATON_STOP_GRACE=10"}, []string{"PGBATON_STOP_GRACE", `"10"`, "no unit", "from 1s to 1h", untouched}},
		{"a duration of zero", "", []string{"PGBATON_STOP_GRACE=0"}, []string{"no unit"}},
		{"a duration below its range", "", []string{"PGBATON_STOP_GRACE=999ms"}, []string{"out of range"}},
		{"a duration above its range", "backoff_max: 61m", nil, []string{"backoff_max in /etc/pgbaton.yaml line 1", `"61m"`}},
		{"a negative duration", "", []string{"PGBATON_SMART_TIMEOUT=-5s"}, []string{"out of range", "from 1s to 24h"}},
		{"a duration that is a word", "", []string{"PGBATON_SMART_TIMEOUT=soon"}, []string{"not a duration"}},
		{"a truth value that is a word", "", []string{"PGBATON_INIT_ONLY=maybe"}, []string{"true or false"}},
		{"a level that does not exist", "", []string{"PGBATON_LOG_LEVEL=verbose"}, []string{"debug, info, warn or error"}},
		{"a format that does not exist", "", []string{"PGBATON_LOG_FORMAT=xml"}, []string{"text or json"}},
		{"a reaction that does not exist", "", []string{"PGBATON_ON_EXIT=panic"}, []string{"restart or exit"}},
		{"a size with a unit that PostgreSQL does not know", "", []string{"PGBATON_DISK_WARN=1gb"}, []string{"1gb", "512MB"}},
		{"a size that is too large", "", []string{"PGBATON_DISK_WARN=9999999TB"}, []string{"from 0 to 1024TB"}},
		{"a relative path", "", []string{"PGBATON_VOLUME=data"}, []string{"not an absolute path"}},
		{"a path with a newline", "", []string{"PGBATON_VOLUME=/a\nb"}, []string{"control character"}},
		{"an empty item in a list of paths", "", []string{"PGBATON_BINARIES=/a,,/b"}, []string{"not an absolute path"}},
		{"a control directory too deep for a socket", "", []string{"PGBATON_CONTROL_DIR=/" + strings.Repeat("x", 90)}, []string{"too long for a Unix socket"}},
		{"the root directory as control directory", "", []string{"PGBATON_CONTROL_DIR=/"}, []string{"root directory"}},
		{"a port without its colon", "", []string{"PGBATON_LISTEN=8008"}, []string{"not host:port", ":8008"}},
		{"a port by name", "", []string{"PGBATON_LISTEN=:http"}, []string{"no port from 1 to 65535"}},
		{"port 0", "", []string{"PGBATON_LISTEN=:0"}, []string{"no port from 1 to 65535"}},
		{"a node name with a space", "", []string{"PGBATON_NODE=my node"}, []string{"not usable as a name"}},
		{"the port of PostgreSQL's default", "", []string{"PGBATON_LISTEN=:5432"}, []string{"PGBATON_LISTEN (:5432)", "PGPORT (not set, so 5432)"}},
		{"the port that PGPORT names", "listen: 127.0.0.1:6000", []string{"PGPORT=6000"}, []string{"PGBATON_LISTEN", "PGPORT (6000)"}},
		{"a control directory on the volume", "", []string{"PGBATON_VOLUME=/v", "PGBATON_CONTROL_DIR=/v/.pgbaton"}, []string{"PGBATON_CONTROL_DIR (/v/.pgbaton)", "PGBATON_VOLUME"}},
		{"a control directory that is PGDATA", "", []string{"PGDATA=/d/", "PGBATON_CONTROL_DIR=/d"}, []string{"PGBATON_CONTROL_DIR", "PGDATA"}},
		{"a policy of upgrades that does not exist", "upgrade: always", nil, []string{"upgrade in /etc/pgbaton.yaml line 1", "off, marker or auto"}},
		{"an old cluster kept for longer than ten years", "", []string{"PGBATON_UPGRADE_KEEP=87601h"}, []string{"out of range", "from 0s to 87600h"}},
		{"a relative directory of hooks", "hooks: hooks.d", nil, []string{"not an absolute path"}},
		{"a hook without a limit", "", []string{"PGBATON_HOOK_TIMEOUT=0s"}, []string{"out of range", "from 1s to 24h"}},
		{"a directory of hooks on the volume", "", []string{"PGBATON_VOLUME=/v", "PGBATON_HOOKS=/v/hooks"}, []string{"PGBATON_HOOKS (/v/hooks)", "PGBATON_VOLUME", "run as root"}},
		{"a directory of hooks in PGDATA", "hooks: /d/x", []string{"PGDATA=/d"}, []string{"PGBATON_HOOKS", "PGDATA"}},
		{"an unknown key in the file", "node: a\nstop-grace: 1s", nil, []string{file, "line 2", "stop-grace", "did you mean stop_grace?", untouched}},
		{"a variable's name as a key", "PGBATON_STOP_GRACE: 1s", nil, []string{"did you mean stop_grace?"}},
		{"a key in capitals", "Node: a", nil, []string{"did you mean node?"}},
		{"a key twice", "node: a\nnode: b", nil, []string{"line 2", "second time"}},
		{"a key of the environment alone", "config: /x", nil, []string{"PGBATON_CONFIG"}},
		{"a mapping as a value", "listen:\n  port: 1", nil, []string{"listen", "not a plain value"}},
		{"a list where one value is wanted", "node: [a]", nil, []string{"not a plain value"}},
		{"a list whose item holds a separator", "binaries: ['/a:/b']", nil, []string{"which separate items"}},
		{"an alias", "node: &n a\nlisten: *n", nil, []string{"not a plain value"}},
		{"a tag", "node: !!binary YQ==", nil, []string{"tag"}},
		{"a file that is a list", "- node", nil, []string{"write each as name: value"}},
		{"a file with two documents", "node: a\n---\nnode: b", nil, []string{"second YAML document"}},
		{"a file that is no YAML", "node: a\n\tb: [", nil, []string{"not valid YAML near line"}},
	}
	for _, test := range tests {
		t.Run(test.name+" is refused", func(t *testing.T) {
			_, _, err := world(map[string]string{file: test.yaml}).load(test.environ)
			wantRefusal(t, err, test.parts...)
		})
	}
}

func TestAllBadValuesAreNamedAtOnce(t *testing.T) {
	_, _, err := world(map[string]string{file: "backoff_max: x"}).load([]string{"PGBATON_STOP_GRACE=10", "PGBATON_ON_EXIT=x"})
	if lines := strings.Split(fmt.Sprint(err), "\n"); len(lines) != 3 {
		t.Errorf("got %d lines, want one for each bad value: %v", len(lines), err)
	}
}

func TestSettingsFile(t *testing.T) {
	t.Run("a missing file that is named is refused", func(t *testing.T) {
		_, _, err := world(nil).load([]string{"PGBATON_CONFIG=/etc/other.yaml"})
		wantRefusal(t, err, "/etc/other.yaml", "PGBATON_CONFIG", untouched)
	})
	t.Run("the default's name makes it named", func(t *testing.T) {
		_, _, err := world(nil).load([]string{"PGBATON_CONFIG=" + file})
		wantRefusal(t, err, file)
	})
	t.Run("a relative name is refused", func(t *testing.T) {
		_, _, err := world(nil).load([]string{"PGBATON_CONFIG=other.yaml"})
		wantRefusal(t, err, "PGBATON_CONFIG", "not an absolute path")
	})
	t.Run("a default file that cannot be read is refused", func(t *testing.T) {
		l := world(nil)
		l.readFile = func(string) ([]byte, error) { return nil, errDenied }
		_, _, err := l.load(nil)
		wantRefusal(t, err, file, "permission denied")
	})
	t.Run("a file that is named is read", func(t *testing.T) {
		got, _ := mustLoad(t, map[string]string{"/o.yaml": "node: x"}, "PGBATON_CONFIG=/o.yaml")
		if got.Node != "x" || got.ConfigFile != "/o.yaml" {
			t.Errorf("got %+v", got)
		}
	})
}

func TestHostNameAsNode(t *testing.T) {
	tests := []struct {
		name, host, want string
		err              error
		warned           bool
	}{
		{"a usual host name is the node's name", "db-1.example", "db-1.example", nil, false},
		{"odd characters are replaced with a warning", "_my host", "my-host", nil, true},
		{"no host name becomes a word with a warning", "", "node", nil, true},
		{"an unknown host name becomes a word with a warning", "", "node", errDenied, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := world(nil)
			l.hostname = func() (string, error) { return test.host, test.err }
			got, warnings, err := l.load(nil)
			if err != nil || got.Node != test.want || (len(warnings) > 0) != test.warned {
				t.Errorf("got %q, %q, %v", got.Node, warnings, err)
			}
			_, warnings, _ = l.load([]string{"PGBATON_NODE=a"})
			if len(warnings) > 0 {
				t.Errorf("warned of a host name that is not used: %q", warnings)
			}
		})
	}
}

func TestWarningsOnUnknownVariables(t *testing.T) {
	tests := []struct{ name, variable, want string }{
		{"a misspelt variable gets the nearest name", "PGBATON_STOP_GRACES=1s", "did you mean PGBATON_STOP_GRACE?"},
		{"swapped letters are near", "PGBATON_TOKNE=s3cr3t", "did you mean PGBATON_TOKEN?"},
		{"a variable far from all gets no hint", "PGBATON_SOMETHING_ELSE=1", "PGBATON_SOMETHING_ELSE is not a setting of pgbaton and is ignored"},
		{"a file for what is no secret says so", "PGBATON_NODE_FILE=/x", "set PGBATON_NODE itself"},
		{"a port that no machine wrote is unknown", "PGBATON_PORT=8008", "PGBATON_PORT is not a setting"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, warnings := mustLoad(t, nil, test.variable)
			if len(warnings) != 1 || !strings.Contains(warnings[0], test.want) || strings.Contains(warnings[0], "s3cr3t") {
				t.Errorf("got %q, want %q", warnings, test.want)
			}
		})
	}
}

func TestVariablesThatMachinesMakeAreNotWarnedOf(t *testing.T) {
	for _, variable := range []string{
		"PGBATON_PORT=tcp://10.0.0.1:8008", "PGBATON_PORT_8008_TCP=tcp://10.0.0.1:8008", "PGBATON_PORT_8008_TCP_ADDR=10.0.0.1",
		"PGBATON_PORT_8008_TCP_PORT=8008", "PGBATON_PORT_8008_TCP_PROTO=tcp", "PGBATON_SERVICE_HOST=10.0.0.1",
		"PGBATON_SERVICE_PORT=8008", "PGBATON_SERVICE_PORT_METRICS=8008", "PGBATON_NAME=/client/pgbaton",
		"PGBATON_ENV_PG_MAJOR=17", "PGBATON_1_PORT=tcp://10.0.0.1:5432", "PGBATON_STANDBY_SERVICE_HOST=10.0.0.1",
		"PGBATON_EMPTY=", "OTHER=1", "nonsense",
	} {
		if _, warnings := mustLoad(t, nil, variable); len(warnings) > 0 {
			t.Errorf("%s: %q", variable, warnings)
		}
	}
}

func TestTwoLoadsShareNothing(t *testing.T) {
	mustLoad(t, nil, "PGBATON_NODE=first", "PGBATON_BINARIES=/x")
	got, _ := mustLoad(t, nil)
	if got.Node != "testhost" || got.Binaries[0] != "/usr/lib/postgresql" {
		t.Errorf("the second load saw the first: %+v", got)
	}
}

func TestTheProcessEnvironmentIsNotRead(t *testing.T) {
	t.Setenv("PGBATON_NODE", "from-the-process")
	t.Setenv("NODE", "from-the-process")
	if got, _ := mustLoad(t, nil); got.Node != "testhost" {
		t.Errorf("node is %q", got.Node)
	}
}

func TestPrintSaysWhereEachValueCameFrom(t *testing.T) {
	got, _ := mustLoad(t, map[string]string{file: "smart_timeout: 90s\nnode: a", "/s": "0123456789abcdef\n"},
		"PGBATON_TOKEN_FILE=/s", "PGBATON_NODE=b", "PGBATON_LISTEN=off")
	want := map[string]Row{
		"token":         {Value: "***", Source: SourceSecretFile},
		"node":          {Value: "b", Source: SourceEnvironment},
		"smart_timeout": {Value: "1m30s", Source: SourceFile},
		"listen":        {Value: "off", Source: SourceEnvironment},
		"stop_grace":    {Value: "10s", Source: SourceDefault},
		"disk_warn":     {Value: "1GB", Source: SourceDefault},
		"volume":        {Value: "", Source: SourceDefault},
	}
	rows := Print(got)
	if len(rows) != len(Table()) {
		t.Errorf("%d rows for %d settings", len(rows), len(Table()))
	}
	for _, row := range rows {
		if w, found := want[row.Name]; found && (row.Value != w.Value || row.Source != w.Source) {
			t.Errorf("%s is %q from %s, want %q from %s", row.Name, row.Value, row.Source, w.Value, w.Source)
		}
	}
	rows[0].Value = "changed"
	if Print(got)[0].Value == "changed" {
		t.Error("a caller can change the rows")
	}
}

func TestWarningsComeWithAnErrorToo(t *testing.T) {
	_, warnings, err := world(nil).load([]string{"PGBATON_NOD=a", "PGBATON_STOP_GRACE=1"})
	if err == nil || len(warnings) != 1 {
		t.Errorf("got %q, %v", warnings, err)
	}
}

func TestHostnameErrorIsNoError(t *testing.T) {
	l := world(nil)
	l.hostname = func() (string, error) { return "", errors.New("no uname") }
	if _, _, err := l.load(nil); err != nil {
		t.Error(err)
	}
}
