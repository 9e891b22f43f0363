package pg

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDefaultRulesFilesAreToldFromTheConfiguration(t *testing.T) {
	for name, c := range map[string]struct {
		conf, auto string
		args       []string
		want       bool
	}{
		"as initdb makes it":            {"#hba_file = 'ConfigDir/pg_hba.conf'\n  #include_dir = '...'\nport = 5432\n", "", nil, true},
		"other arguments":               {"", "", []string{"-c", "shared_buffers=1GB", "-N", "50"}, true},
		"a moved hba_file":              {"HBA_file = '/etc/hba'\n", "", nil, false},
		"a moved ident_file":            {"", "ident_file = '/etc/ident'\n", nil, false},
		"a moved data directory":        {"data_directory='/x'\n", "", nil, false},
		"an included file":              {"include_if_exists 'x.conf'\n", "", nil, false},
		"an included directory":         {"  Include_Dir = 'conf.d'\n", "", nil, false},
		"an argument":                   {"", "", []string{"-c", "hba_file=/x"}, false},
		"a long argument":               {"", "", []string{"--Hba-File=/x"}, false},
		"another configuration file":    {"", "", []string{"-c", "config_file=/etc/postgresql.conf"}, false},
		"another directory":             {"", "", []string{"-D", "/x"}, false},
		"a mention we do not interpret": {"log_line_prefix = 'hba_file' # odd\n", "", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "postgresql.conf"), c.conf)
			if c.auto != "" {
				write(t, filepath.Join(dir, "postgresql.auto.conf"), c.auto)
			}
			hba, ident, ok := UserFiles(dir, c.args)
			if ok != c.want {
				t.Errorf("%v", ok)
			}
			if ok && (hba != filepath.Join(dir, "pg_hba.conf") || ident != filepath.Join(dir, "pg_ident.conf")) {
				t.Errorf("%s, %s", hba, ident)
			}
		})
	}
	if _, _, ok := UserFiles(t.TempDir(), nil); ok {
		t.Error("decided without a postgresql.conf")
	}
}

func TestAPipeInPlaceOfAConfigurationDoesNotMakeUsWait(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(dir, "postgresql.conf"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := UserFiles(dir, nil); ok {
		t.Error("decided from a pipe")
	}
}

// A program that prints its arguments stands for postgres.
func TestSettingsAreAskedWithTheServersArguments(t *testing.T) {
	b := Binaries{Major: 17, Bin: t.TempDir()}
	write(t, b.Path("postgres"), "#!/bin/sh\necho \"$*\"\n")
	if err := os.Chmod(b.Path("postgres"), 0o755); err != nil {
		t.Fatal(err)
	}
	got, err := ShowSettings(t.Context(), b, "/data", []string{"-c", "a=b"}, nil, nil, "port", "hba_file")
	if err != nil || got["port"] != "-C port -D /data -c a=b" || got["hba_file"] != "-C hba_file -D /data -c a=b" {
		t.Errorf("%q, %v", got, err)
	}
	hba, _, err := UserRules(t.Context(), b, "/data", []string{"-c", "hba_file=x"}, nil, nil)
	if err != nil || hba != "/data/-C hba_file -D /data -c hba_file=x" {
		t.Errorf("%q, %v", hba, err)
	}
}
