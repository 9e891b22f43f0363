package pg

import (
	"os"
	"strings"
	"testing"
)

func TestAServersWordsAboutASettingAreSorted(t *testing.T) {
	for said, want := range map[string]Answer{
		"": Taken,
		`unrecognized configuration parameter "a"`:                                          NoSetting,
		"invalid configuration parameter name \"a.1\"\nCustom parameter names must be two":  NoSetting,
		`parameter "data_checksums" cannot be changed`:                                      NoSetting,
		`invalid value for parameter "a": "b"`:                                              BadValue,
		`parameter "fsync" requires a Boolean value`:                                        BadValue,
		`1 8kB is outside the valid range for parameter "shared_buffers" (16 8kB .. 1 8kB)`: BadValue,
		`parameter "a" cannot be changed without restarting the server`:                     Unclear,
		`multiple recovery targets specified`:                                               Unclear,
		`could not find "unrecognized configuration parameter"`:                             Unclear,
	} {
		if got := answer(said); got != want {
			t.Errorf("%q: %d, want %d", said, got, want)
		}
	}
}

func TestAServersComplaintsAreToldWithoutPrefixes(t *testing.T) {
	for stderr, want := range map[string]string{
		"": "",
		"2026-11-23 07:53:55.229 GMT [45] FATAL:  invalid name \"a.1b\"\n2026-11-23 07:53:55.229 GMT [45] DETAIL:  Custom LOG:  names.\n": "invalid name \"a.1b\"\nCustom LOG:  names.",
		"LOG:  syntax error in file \"x\" line 4\nFATAL:  configuration file contains errors\nWARNING:  x\n":                              "syntax error in file \"x\" line 4\nconfiguration file contains errors",
		"/usr/bin/postgres: invalid option -- 'n'\nTry \"postgres --help\".\n":                                                            "invalid option -- 'n'",
		"postgres: could not access the server configuration file \"/x\": No such file or directory\n":                                    "",
	} {
		if got := serverLines(stderr); got != want {
			t.Errorf("%q: %q, want %q", stderr, got, want)
		}
	}
}

// A script that prints its arguments and language and refuses stands for postgres.
func TestSettingsAreTriedInEnglishAndAllAtOnce(t *testing.T) {
	b := Binaries{Major: 17, Bin: t.TempDir()}
	write(t, b.Path("postgres"), "#!/bin/sh\necho \"FATAL:  $* $LANGUAGE $LC_ALL\" >&2\nexit 1\n")
	if err := os.Chmod(b.Path("postgres"), 0o755); err != nil {
		t.Fatal(err)
	}
	v, err := TrySettings(t.Context(), b, "/d", nil, []string{"LANGUAGE=de", "LC_ALL=de_DE.UTF-8"}, Setting{"a", "b"}, Setting{"c", "d e"})
	if err != nil || v.Answer != Unclear || v.Said != "-C config_file -D /d -c a=b -c c=d e  C" {
		t.Errorf("%+v, %v", v, err)
	}
	write(t, b.Path("postgres"), "#!/bin/sh\necho 'no such directory' >&2\nexit 2\n")
	if _, err := TrySettings(t.Context(), b, "/d", nil, nil); err == nil || !strings.Contains(err.Error(), "no such directory") {
		t.Errorf("learned something from %v", err)
	}
	write(t, b.Path("postgres"), "#!/bin/sh\nkill -9 $$\n")
	if _, err := CheckConfig(t.Context(), b, "/d", nil, nil, nil); err == nil {
		t.Error("learned something from a program that was killed")
	}
}
