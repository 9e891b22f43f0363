package pg

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestPidFilesOfRealServers(t *testing.T) {
	for file, want := range map[string]PidFile{
		"15-ready.pid": {DataDir: "/tmp/ren15", Port: 5432, SocketDir: "/tmp", Listen: "127.0.0.1", Status: "ready"},
		"18-ready.pid": {DataDir: "/tmp/ren18", Port: 5432, SocketDir: "/tmp", Listen: "127.0.0.1", Status: "ready"},
		// A hot standby says "ready" as well; it has no TCP here.
		"18-standby.pid": {DataDir: "/tmp/sb18", Port: 5432, SocketDir: "/tmp", Status: "ready"},
	} {
		t.Run(file, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join("testdata", file))
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			write(t, filepath.Join(dir, "postmaster.pid"), string(raw))
			got, err := ReadPidFile(dir)
			if err != nil || got.PID <= 1 || got.Started.Unix() < 1.7e9 || got.ShmKey == "" {
				t.Errorf("%+v, %v", got, err)
			}
			want.PID, want.Started, want.ShmKey = got.PID, got.Started, got.ShmKey
			if got != want || !got.Ready() {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestPidFilesInTheMaking(t *testing.T) {
	started := time.Unix(1795409020, 0)
	for name, c := range map[string]struct {
		text string
		want PidFile
		err  error
	}{
		"empty":                       {"", PidFile{}, ErrPidFile},
		"only a newline":              {"\n", PidFile{}, ErrPidFile},
		"words":                       {"hello\n", PidFile{}, ErrPidFile},
		"zero":                        {"0\n", PidFile{}, ErrPidFile},
		"a number too large":          {"99999999999999\n", PidFile{}, ErrPidFile},
		"the pid without its newline": {"42", PidFile{PID: 42}, nil},
		"a data directory cut short":  {"42\n/var/lib/postg", PidFile{PID: 42}, nil},
		"the lines that CreateLockFile writes": {
			"42\n/data\n1795409020\n5432\n/run\n",
			PidFile{PID: 42, DataDir: "/data", Started: started, Port: 5432, SocketDir: "/run"},
			nil,
		},
		"starting": {
			"42\n/data\n1795409020\n5432\n\n\n  917578        30\nstarting\n",
			PidFile{PID: 42, DataDir: "/data", Started: started, Port: 5432, ShmKey: "917578        30", Status: "starting"},
			nil,
		},
		"a status cut short": {
			"42\n/data\n1795409020\n5432\n\n\nkey\nread",
			PidFile{PID: 42, DataDir: "/data", Started: started, Port: 5432, ShmKey: "key"},
			nil,
		},
		"a standalone backend": {
			"-42\n/data\n1795409020\n", PidFile{PID: 42, Standalone: true, DataDir: "/data", Started: started}, nil,
		},
		"nonsense in the other lines": {
			"42\n/data\nnow\n99999\n", PidFile{PID: 42, DataDir: "/data"}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parsePidFile(c.text)
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestPidFilesThatAreNoFiles(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadPidFile(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	path := filepath.Join(dir, "postmaster.pid")
	write(t, filepath.Join(dir, "target"), "1\n")
	if err := os.Symlink("target", path); err != nil {
		t.Fatal(err)
	}
	if p, err := ReadPidFile(dir); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link: %+v, %v", p, err)
	}
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	if p, err := ReadPidFile(dir); !errors.Is(err, errNotRegular) {
		t.Errorf("a directory: %+v, %v", p, err)
	}
}

func FuzzPidFile(f *testing.F) {
	f.Add("42\n/data\n1795409020\n5432\n/run\n*\n  917578        30\nready   \n")
	f.Add("-1")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := parsePidFile(text); err == nil && p.PID <= 0 {
			t.Errorf("%+v", p)
		}
	})
}
