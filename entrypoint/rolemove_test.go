package entrypoint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/proc"
)

func TestPointsInto(t *testing.T) {
	t.Parallel()
	const dir, to = "/var/lib/postgresql/data", "17/docker"
	for text, want := range map[string]bool{
		"":                                 false,
		"conf.d":                           false,
		dir:                                true,
		dir + "/":                          true,
		dir + "/server.crt":                true,
		"cp %p " + dir + "/archive/%f":     true,
		"test ! -f '" + dir + "' && true":  true,
		"@" + dir + "/admins":              true,
		dir + "base":                       false,
		dir + ".old/x":                     false,
		"/mnt" + dir + "/x":                false,
		dir + "/17/docker/server.crt":      false,
		dir + "/17/docker":                 false,
		dir + "/17/docker2":                true,
		dir + "/17/docker/a " + dir + "/b": true,
		"/var/lib/postgresql":              false,
	} {
		if got := pointsInto(text, dir, to); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// cluster makes files of a data directory.
func clusterAt(t *testing.T, files map[string]string) (dir string, root *os.Root) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return dir, root
}

func TestASettingThatHoldsTheDataDirectorysPathIsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		files map[string]string
		args  []string
		want  string // empty: nothing is tied
	}{
		{name: "an initdb's own configuration", files: map[string]string{"postgresql.conf": "port = 5432\n#data_directory = 'ConfigDir'\n"}},
		{name: "a comment", files: map[string]string{"postgresql.conf": "port = 1 # DIR/x\n# hba_file = 'DIR/pg_hba.conf'\n"}},
		{name: "a relative path", files: map[string]string{"postgresql.conf": "ssl_cert_file = 'server.crt'\ninclude 'x.conf'\n", "x.conf": "log_directory = 'log'\n"}},
		{name: "the new path", files: map[string]string{"postgresql.conf": "ssl_cert_file = 'DIR/17/docker/server.crt'\n"}},
		{name: "an absolute path", files: map[string]string{"postgresql.conf": "\nssl_cert_file = 'DIR/server.crt'\n"}, want: "ssl_cert_file in line 2 of DIR/postgresql.conf"},
		{name: "in ALTER SYSTEM's file", files: map[string]string{"postgresql.auto.conf": "archive_command = 'cp %p DIR/a/%f'\n"}, want: "archive_command in line 1 of DIR/postgresql.auto.conf"},
		{name: "an absolute include", files: map[string]string{"postgresql.conf": "include_if_exists 'DIR/x.conf'\n"}, want: "include_if_exists in line 1"},
		{name: "in a file that is included", files: map[string]string{"postgresql.conf": "include 'sub/x.conf'\n", "sub/x.conf": "include_dir 'more'\n", "sub/more/y.conf": "x.y = 'DIR'\n"}, want: "x.y in line 1 of DIR/sub/more/y.conf"},
		{name: "files that include each other", files: map[string]string{"postgresql.conf": "include 'x.conf'\n", "x.conf": "include 'postgresql.conf'\n"}},
		{name: "another data directory", files: map[string]string{"postgresql.conf": "Data_Directory = '/elsewhere'\n"}, want: "Data_Directory in line 1"},
		{name: "in pg_hba.conf", files: map[string]string{"pg_hba.conf": "# DIR\nhost all @DIR/admins all scram-sha-256\n"}, want: "line 2 of DIR/pg_hba.conf"},
		{name: "an argument", args: []string{"-c", "ssl_key_file=DIR/k"}, want: `the argument "-c ssl_key_file=DIR/k"`},
		{name: "the argument -D", args: []string{"-D", "DIR"}, want: `the argument "-D DIR"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir, _ := clusterAt(t, c.files)
			s := &supervisor{setup: setup{user: proc.CurrentUser()}}
			for _, a := range c.args {
				s.args = append(s.args, strings.ReplaceAll(a, "DIR", dir))
			}
			got := s.tiedSetting(dir, "17/docker")
			if want := strings.ReplaceAll(c.want, "DIR", dir); (got == "") != (want == "") || !strings.Contains(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

func TestALinkThatDependsOnThePlaceIsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, link, target, want string }{
		{"WAL elsewhere", "pg_wal", "/wal", ""},
		{"WAL inside by an absolute path", "pg_wal", "DIR/wal", "pg_wal is a link to DIR/wal"},
		{"WAL beside the data", "pg_wal", "../wal", "pg_wal is a link to ../wal"},
		{"a file of the same directory", "postgresql.conf", "sub/x.conf", ""},
		{"a tablespace elsewhere", "pg_tblspc/16384", "/space", ""},
		{"a tablespace inside", "pg_tblspc/16384", "DIR/space", "pg_tblspc/16384 is a link to DIR/space"},
		{"a tablespace beside the data", "pg_tblspc/16384", "../../space", "pg_tblspc/16384 is a link"},
		{"a tablespace inside by a relative path", "pg_tblspc/16384", "../space", ""},
		{"ours", ".pgbaton", "../x", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir, root := clusterAt(t, map[string]string{"pg_tblspc/.keep": ""})
			if err := os.Symlink(strings.ReplaceAll(c.target, "DIR", dir), filepath.Join(dir, c.link)); err != nil {
				t.Fatal(err)
			}
			got := tiedLink(root, dir)
			if want := strings.ReplaceAll(c.want, "DIR", dir); (got == "") != (want == "") || !strings.Contains(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

func TestADirectoryWithNothingButWhatIsOursIsBare(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		files []string
		want  bool
	}{
		{"nothing", nil, true},
		{"what is ours", []string{".pgbaton/lock", "lost+found/x", "upgrade"}, true},
		{"directories of majors", []string{"17/docker/PG_VERSION", "18/docker/PG_VERSION"}, true},
		{"a cluster", []string{"PG_VERSION"}, false},
		{"a file with a major's name", []string{"17"}, false},
		{"something else", []string{"notes.txt"}, false},
		{"a cluster that is being moved", []string{".pgbaton/move.json", "17/docker/base/1"}, false},
		{"a cluster that is being made", []string{".pgbaton/init.json"}, false},
	} {
		files := map[string]string{}
		for _, f := range c.files {
			files[f] = "x"
		}
		dir, _ := clusterAt(t, files)
		if got := isBare(dir); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if !isBare(filepath.Join(t.TempDir(), "missing")) {
		t.Error("a missing directory is not bare")
	}
}
