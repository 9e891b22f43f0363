package upgrade

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// said is a setting as name=value, or what is not understood.
func said(lines []ConfLine) []string {
	var res []string
	for _, l := range lines {
		s := fmt.Sprintf("%d %s=%s", l.Number, l.Name, l.Value)
		if l.Bad != "" {
			s = fmt.Sprintf("%d ! %s", l.Number, l.Bad)
		}
		res = append(res, s)
	}
	return res
}

func TestConfigurationIsReadAsTheServerReadsIt(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"nothing":                        {"", nil},
		"comments and blank lines":       {"# a = b\n\n \t \r\n  #x", nil},
		"an equal sign is optional":      {"port = 5432\nport=5433\nport 5434\nport\t5435", []string{"1 port=5432", "2 port=5433", "3 port=5434", "4 port=5435"}},
		"CRLF":                           {"port = 5432\r\nfsync on\r\n", []string{"1 port=5432", "2 fsync=on"}},
		"a comment behind a value":       {"port = 5432# no blank\nfsync = off # one", []string{"1 port=5432", "2 fsync=off"}},
		"units and signs":                {"a = 128MB\nb = -1\nc = +2\nd = 0x1F\ne = 0xfMB\nf = .5\ng = 1.5e-3\nh = 1.", []string{"1 a=128MB", "2 b=-1", "3 c=+2", "4 d=0x1F", "5 e=0xfMB", "6 f=.5", "7 g=1.5e-3", "8 h=1."}},
		"bare words":                     {"a = replica\nb = x-y.z\nc = en_US.UTF-8\nd = C:/x", []string{"1 a=replica", "2 b=x-y.z", "3 c=en_US.UTF-8", "4 d=C:/x"}},
		"strings":                        {`a = 'x y'` + "\n" + `b = 'it''s'` + "\n" + `c = 'it\'s'` + "\n" + `d = ''` + "\n" + `e = '#'`, []string{"1 a=x y", "2 b=it's", "3 c=it's", "4 d=", "5 e=#"}},
		"escapes":                        {`a = 'a\tb\\c\101\x'`, []string{"1 a=a\tb\\cAx"}},
		"an escaped zero ends the value": {`a = 'ab\0cd'`, []string{"1 a=ab"}},
		"custom names":                   {"pg_stat_statements.max = 100\nauto_explain.Log = 'x'", []string{"1 pg_stat_statements.max=100", "2 auto_explain.Log=x"}},
		"letters beyond ASCII":           {"größe.wert = straße", []string{"1 größe.wert=straße"}},
		"the last line without an end":   {"a = 1\nb = 2", []string{"1 a=1", "2 b=2"}},
		"includes":                       {"include 'a b.conf'\nInclude_Dir = conf", []string{"1 include=a b.conf", "2 Include_Dir=conf"}},
		"a word with one dot is a name, and no value": {"a = pg_catalog.english", []string{`1 ! near "pg_catalog.english"`}},
		"two values":                         {"a = 1 2", []string{`1 ! near "2"`}},
		"no value":                           {"a =\nb\nc = # d", []string{"1 ! near the end of the line", "2 ! near the end of the line", "3 ! near the end of the line"}},
		"a string without an end":            {"a = 'b\nc = 1", []string{`1 ! near "'"`, "2 c=1"}},
		"a string that could end earlier":    {"a = 'b''c", []string{`1 ! near "'"`}},
		"a path without quotes":              {"a = /tmp", []string{`1 ! near "/"`}},
		"an exponent without a point":        {"a = 1e5", []string{`1 ! near "5"`}},
		"two equal signs":                    {"a == 1", []string{`1 ! near "="`}},
		"a name that begins with a digit":    {"1a = 1", []string{`1 ! near "1a"`}},
		"a name of three parts":              {"a.b.c = 1", []string{`1 ! near "a.b.c"`}},
		"a semicolon":                        {"a = 1;", []string{`1 ! near ";"`}},
		"a NUL in a value":                   {"a = 'b\x00c'", []string{"1 ! a NUL byte"}},
		"a NUL in a comment":                 {"a = 1 # \x00", []string{"1 a=1"}},
		"a NUL on its own":                   {"\x00\na = 1", []string{"1 ! near \"\x00\"", "2 a=1"}},
		"a byte order mark makes a bad name": {"\ufeffa = 1", []string{"1 \ufeffa=1"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := said(ParseConf([]byte(c.text))); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%q\nwant %q", got, c.want)
			}
		})
	}
}

func TestRewritingChangesOnlyTheLinesThatItIsAbout(t *testing.T) {
	text := "# first\nold_one = 'x'  # mine\r\nport 5432\n  Name='a''b' # mine\nlast = 1"
	moved := `it's \ new`
	got := string(RewriteConf([]byte(text), map[int]ConfEdit{
		2: {Note: "gone: a\nb", Out: true},
		4: {Note: "renamed", Name: "other", Value: &moved},
		5: {Name: "newest"},
	}))
	want := "# first\n# pgbaton: gone: a b\r\n#old_one = 'x'  # mine\r\nport 5432\n# pgbaton: renamed\n" +
		"  other='it''s \\\\ new' # mine\nnewest = 1"
	if got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
	if again := RewriteConf([]byte(text), nil); string(again) != text {
		t.Errorf("%q", again)
	}
}

func TestPathsOfTheOldDataDirectoryAreReplacedWhereTheyAreWhole(t *testing.T) {
	const from, to = "/v/15/docker", "/v/17/docker"
	for text, want := range map[string]string{
		"/v/15/docker":                                 to,
		"/v/15/docker/server.crt":                      to + "/server.crt",
		"cp %p /v/15/docker/a && cp %p '/v/15/docker'": "cp %p " + to + "/a && cp %p '" + to + "'",
		"/v/15/docker2/x":                              "/v/15/docker2/x",
		"/a/v/15/docker/x":                             "/a/v/15/docker/x",
		"/v/15/docker.old":                             "/v/15/docker.old",
		"/tmp,/v/15/docker":                            "/tmp," + to,
		"":                                             "",
	} {
		got, moved := MovePath(text, from, to)
		if got != want || moved != (got != text) {
			t.Errorf("%q: %q, %v", text, got, moved)
		}
	}
	if got, moved := MovePath("/v/15/docker/x", from, from); moved || got != "/v/15/docker/x" {
		t.Error(got, moved)
	}
}

func TestSettingsInTheServersArgumentsAreReadAsGetoptDoes(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want []ConfArg
	}{
		"none":                    {nil, nil},
		"-c with a blank":         {[]string{"-c", "work_mem=1MB"}, []ConfArg{{"work_mem", "1MB", "-c work_mem=1MB"}}},
		"-c without a blank":      {[]string{"-cwork_mem=1MB"}, []ConfArg{{"work_mem", "1MB", "-cwork_mem=1MB"}}},
		"a long option":           {[]string{"--work-mem=1MB"}, []ConfArg{{"work_mem", "1MB", "--work-mem=1MB"}}},
		"a value with equal":      {[]string{"-c", "a.b=c=d"}, []ConfArg{{"a.b", "c=d", "-c a.b=c=d"}}},
		"an empty value":          {[]string{"-c", "a="}, []ConfArg{{"a", "", "-c a="}}},
		"no value at all":         {[]string{"-c", "a"}, nil},
		"-c at the end":           {[]string{"-c"}, nil},
		"short options":           {[]string{"-p", "1", "-B2", "-F"}, []ConfArg{{"port", "1", "-p 1"}, {"shared_buffers", "2", "-B2"}, {"fsync", "off", "-F"}}},
		"grouped short options":   {[]string{"-ilN", "5"}, []ConfArg{{"listen_addresses", "*", "-ilN"}, {"ssl", "on", "-ilN"}, {"max_connections", "5", "-ilN 5"}}},
		"letters with a language": {[]string{"-d", "3", "-tpa", "-f", "s", "-p", "1"}, []ConfArg{{"port", "1", "-p 1"}}},
		"the end of options":      {[]string{"-p", "1", "--", "-p", "2"}, []ConfArg{{"port", "1", "-p 1"}}},
		"words":                   {[]string{"postgres", "-p", "1"}, []ConfArg{{"port", "1", "-p 1"}}},
		"an empty argument":       {[]string{"", "-", "-p", "1"}, []ConfArg{{"port", "1", "-p 1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ParseServerArgs(c.args); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%q\nwant %q", got, c.want)
			}
		})
	}
}

func TestWhatTheUserPutIntoTheDataDirectoryIsTold(t *testing.T) {
	entries := strings.Fields("zz base global pg_wal PG_VERSION postmaster.opts postmaster.pid log server.crt conf.d pg_hba.d core core.12 " +
		"core.txt .pgbaton upgrade upgrade.claimed.1 upgrade.result.json lost+found postgresql.conf run.pid .s.PGSQL.5432 " +
		"standby.signal backup_label.old pg_service.conf")
	got := UsersOwn(entries, "log", "run.pid")
	if want := strings.Fields("conf.d core.txt pg_hba.d pg_service.conf server.crt zz"); !reflect.DeepEqual(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

func FuzzParseConf(f *testing.F) {
	for _, s := range []string{
		"a = 1\n#b\nc 'd''e\\'f' # g\r\n", "include_dir 'x'", "a = 'b''c", "a=.5e-3", "x.y=0xfMB", "\x00", "a = '\\0'", "größe=ß",
	} {
		f.Add([]byte(s), "/v/15", true)
	}
	f.Fuzz(func(t *testing.T, data []byte, value string, out bool) {
		lines := ParseConf(data)
		edits := map[int]ConfEdit{}
		want := []string{}
		for i, l := range lines {
			if l.Bad != "" || i%2 == 0 {
				want = append(want, l.Name+"="+l.Value+l.Bad)
				continue
			}
			e := ConfEdit{Note: value, Out: out, Name: "renamed", Value: &value}
			edits[l.Number] = e
			if v, _, cut := strings.Cut(value, "\x00"); !out && !cut {
				want = append(want, "renamed="+v)
			} else if !out {
				return // no such value comes from a file or an argument
			}
		}
		text := RewriteConf(data, edits)
		got := []string{}
		for _, l := range ParseConf(text) {
			got = append(got, l.Name+"="+l.Value+l.Bad)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q\nwant %q\nin %q", got, want, text)
		}
		if len(edits) == 0 && !bytes.Equal(text, data) {
			t.Fatalf("%q became %q", data, text)
		}
	})
}
