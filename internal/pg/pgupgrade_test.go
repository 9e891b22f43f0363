package pg

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
)

func upgrade15to17() PgUpgrade {
	return PgUpgrade{
		Old: Binaries{15, "/usr/lib/postgresql/15/bin"}, New: Binaries{17, "/usr/lib/postgresql/17/bin"},
		OldData: "/v/15/docker", NewData: "/v/.pgbaton/upgrade/new", Superuser: "a b", SocketDir: "/v/.pgbaton/upgrade/s",
		Mode: node.ModeLink, Jobs: 3, OldOptions: []string{"-c", "archive_mode=off", "-c", "config_file=/v/old.conf"},
		NewOptions: []string{"-c", "listen_addresses="}, Check: true, NoSync: true, NewPort: 50433,
	}
}

func TestTheArgumentsOfPgUpgradeAreWhatItsManualSays(t *testing.T) {
	got, err := upgrade15to17().args()
	want := []string{
		"/usr/lib/postgresql/17/bin/pg_upgrade", "--old-bindir", "/usr/lib/postgresql/15/bin", "--new-bindir", "/usr/lib/postgresql/17/bin",
		"--old-datadir", "/v/15/docker", "--new-datadir", "/v/.pgbaton/upgrade/new", "--username", "a b",
		"--socketdir", "/v/.pgbaton/upgrade/s", "--jobs", "3", "--link", "--check", "--no-sync", "--new-port", "50433",
		"--old-options", "-c archive_mode=off -c config_file=/v/old.conf", "--new-options", "-c listen_addresses=",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWhatAShellWouldChangeIsNotGivenToPgUpgrade(t *testing.T) {
	for _, words := range [][]string{
		{"-c", "a='b'"},
		{"-c", "a=$HOME"},
		{"-c", "a=b;c"},
		{"-c", `a="b"`},
		{"-c", "a=`b`"},
		{"-c", "a=*"},
		{"-c"},
		{"-c", "a"},
		{"a=b", "-c"},
		{"-c", ""},
		{"-c", "a=\nb"},
		{"--a=b"},
		{"-c", "a=ü"},
		{"-c", "a=~"},
	} {
		u := upgrade15to17()
		u.OldOptions = words
		if got, err := u.args(); err == nil {
			t.Errorf("%q became %q", words, got)
		}
		u = upgrade15to17()
		u.NewOptions = words
		if got, err := u.args(); err == nil {
			t.Errorf("%q became %q", words, got)
		}
	}
	for _, path := range []string{`/v/a"b`, "/v/$x", "/v/a`b", "relative", "/v/a\nb", "/v/it's", "/" + strings.Repeat("x", 100)} {
		u := upgrade15to17()
		u.SocketDir = path
		if _, err := u.args(); err == nil {
			t.Errorf("%q was accepted", path)
		}
	}
	u := upgrade15to17()
	u.OldOptions = []string{"-c", "data_directory=/my data"}
	if got, err := u.args(); err != nil || !slices.Contains(got, "-c 'data_directory=/my data'") {
		t.Errorf("a path with a blank became %q, %v", got, err)
	}
	u = upgrade15to17()
	u.Mode = node.ModeAuto
	if _, err := u.args(); err == nil {
		t.Error("auto was accepted")
	}
}

func TestLinesComeWhenTheyBeginAndWhenTheyEnd(t *testing.T) {
	var got []string
	w := &lineWriter{line: func(s string) { got = append(got, s) }}
	for _, s := range []string{"Performing\n----\nChecking a   ", "ok\nChecking b  ", "fatal\n\nwhat is wrong\n", "\nFailure, exiting"} {
		fmt.Fprint(w, s)
	}
	w.end()
	want := []string{
		"Performing", "----", "Checking a", "Checking a ok", "Checking b", "Checking b fatal",
		"what is wrong", "Failure, exiting", "Failure, exiting",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := w.failure(); got != "Checking b  fatal\n\nwhat is wrong\n\nFailure, exiting" {
		t.Errorf("%q", got)
	}
	err := error(&PgUpgradeError{Output: "x", Err: errors.New("exit status 1")})
	if err.Error() != "pg_upgrade: exit status 1: x" {
		t.Error(err)
	}
}
