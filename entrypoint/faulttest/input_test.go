package faulttest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/testbed"
)

// Each of these ends the container with the code of docs/exits.md and one line
// that says what, that nothing is touched, and what to do.
func TestBadSettingsEndTheContainerWithOneLineAndTouchNothing(t *testing.T) {
	t.Parallel()
	volume := seeded(t)
	before := fingerprint(t, volume)
	for name, c := range map[string]struct {
		env   []string
		args  []string
		files []testbed.File
		words []string
	}{
		"both a variable and its file": {
			env:   []string{"POSTGRES_PASSWORD_FILE=/etc/hostname"},
			words: []string{"both POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are set (but are exclusive)"},
		},
		"both the token and its file": {
			env:   []string{"PGBATON_TOKEN=0123456789abcdef", "PGBATON_TOKEN_FILE=/etc/hostname"},
			words: []string{"PGBATON_TOKEN", "PGBATON_TOKEN_FILE", "nothing was"},
		},
		"a secret file that is missing": {
			env:   []string{"POSTGRES_PASSWORD=", "POSTGRES_PASSWORD_FILE=/run/secrets/none"},
			words: []string{"/run/secrets/none", "POSTGRES_PASSWORD_FILE", "no such file", "nothing was", "mount"},
		},
		"a token file that is missing": {
			env:   []string{"PGBATON_TOKEN_FILE=/run/secrets/none"},
			words: []string{"/run/secrets/none", "PGBATON_TOKEN_FILE", "no such file", "nothing was"},
		},
		"a secret file that is a directory": {
			env:   []string{"PGBATON_TOKEN_FILE=/etc"},
			words: []string{"/etc", "PGBATON_TOKEN_FILE", "nothing was"},
		},
		"a value that is none of the words": {
			env:   []string{"PGBATON_ON_EXIT=sometimes"},
			words: []string{"PGBATON_ON_EXIT", `"sometimes"`, "restart", "exit", "nothing was"},
		},
		"a value that is no duration": {
			env:   []string{"PGBATON_STOP_GRACE=soon"},
			words: []string{"PGBATON_STOP_GRACE", `"soon"`, "nothing was"},
		},
		"a major that is no number": {
			env:   []string{"PG_MAJOR=seventeen"},
			words: []string{"PG_MAJOR", `"seventeen"`, "nothing was"},
		},
		"the API on the port of PostgreSQL": {
			env:   []string{"PGBATON_LISTEN=:5432"},
			words: []string{"PGBATON_LISTEN", "PGPORT", "nothing was", "change one"},
		},
		"the control directory inside the data": {
			env:   []string{"PGDATA=" + home + "/17/docker", "PGBATON_CONTROL_DIR=" + home + "/17/docker/run"},
			words: []string{"PGBATON_CONTROL_DIR", "PGDATA", "nothing was", "move it"},
		},
		"two data directories": {
			env:   []string{"PGDATA=" + home + "/17/docker"},
			args:  []string{"postgres", "-D", home + "/other"},
			words: []string{"PGDATA is " + home + "/17/docker", "-D is " + home + "/other", "nothing was", "keep one"},
		},
		"a data directory outside of the volume": {
			env:   []string{"PGBATON_VOLUME=/srv"},
			words: []string{"PGBATON_VOLUME is /srv", home + "/17/docker", "nothing was", "Correct one"},
		},
		"a relative data directory": {
			env:   []string{"PGDATA=data"},
			words: []string{`"data"`, "not an absolute path", "nothing was"},
		},
		"an unknown key in the file": {
			files: []testbed.File{{Path: "/etc/pgbaton.yaml", Data: "node: n1\nlissten: ':9000'\n"}},
			words: []string{"/etc/pgbaton.yaml", "line 2", "unknown key lissten", "listen", "nothing was"},
		},
		"a file that is no YAML": {
			files: []testbed.File{{Path: "/etc/pgbaton.yaml", Data: "node: [n1\n"}},
			words: []string{"/etc/pgbaton.yaml", "not valid YAML", "nothing was"},
		},
		"a named file that is missing": {
			env:   []string{"PGBATON_CONFIG=/etc/none.yaml"},
			words: []string{"/etc/none.yaml", "no such file", "nothing was"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := spec(testbed.Bind(volume, home), c.env...)
			s.Args, s.Files = c.args, c.files
			box := testbed.Run(t, s)
			if code := box.Wait(long); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			oneLine(t, box, c.words...)
			unchanged(t, before, fingerprint(t, volume))
		})
	}
}

// oneLine fails unless one line of standard error says all of it.
func oneLine(t *testing.T, c *testbed.Container, words ...string) {
	t.Helper()
	_, stderr := c.Output()
	best, most := "", -1
	for line := range strings.Lines(stderr) {
		n := 0
		for _, w := range words {
			if strings.Contains(line, w) {
				n++
			}
		}
		if n > most {
			best, most = line, n
		}
	}
	says(t, best, words...)
	if strings.Contains(stderr, "goroutine ") {
		t.Errorf("it panicked:\n%s", stderr)
	}
}

func TestAnUnknownVariableOfOursWarnsAndServes(t *testing.T) {
	t.Parallel()
	c := testbed.Run(t, spec(testbed.Bind(seeded(t), home), "PGBATON_LISTN=:9000"))
	says(t, c.WaitLog("PGBATON_LISTN", long), "WARN", "is not a setting", "PGBATON_LISTEN")
	served(t, c)
}

func TestADataDirectoryNewerThanAnyBinaryHoldsAndSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	volume := seeded(t)
	version := filepath.Join(volume, pgdata, "PG_VERSION")
	put(t, version, "99\n")
	before := fingerprint(t, filepath.Join(volume, pgdata))
	c := testbed.Run(t, spec(testbed.Bind(volume, home)))
	st := waitPhase(t, c, node.Holding)
	says(t, st.Why, "PostgreSQL 99", "newer than any here (15, 17, 18)", "nothing was touched", "Use an image that has 99")
	if st.Ready {
		t.Error("it is ready")
	}
	stays(t, c)
	c.WaitHealth("healthy", long)
	for path, want := range map[string]int{"/liveness": 200, "/readiness": 503, "/health": 503, "/primary": 503} {
		if code, body := get(t.Context(), c.Addr(), path); code != want {
			t.Errorf("%s answers %d, want %d: %s", path, code, want, body)
		}
	}
	unchanged(t, before, fingerprint(t, filepath.Join(volume, pgdata)))
	if code, _ := c.Stop(time.Minute); code != 0 {
		t.Errorf("docker stop of a holding container ends with %d, want 0", code)
	}
	put(t, version, "17\n")
	c.Start()
	served(t, c)
}

func TestAnOlderDataDirectoryGoesOnAsSoonAsItsBinariesAppear(t *testing.T) {
	t.Parallel()
	volume, root := seeded(t), t.TempDir()
	link := func(major string) {
		t.Helper()
		if err := os.Symlink("/usr/lib/postgresql/"+major, filepath.Join(root, major)); err != nil {
			t.Fatal(err)
		}
	}
	link("18")
	before := fingerprint(t, filepath.Join(volume, pgdata))
	s := spec(testbed.Bind(volume, home), "PGBATON_BINARIES=/opt/postgresql")
	s.Mounts = append(s.Mounts, testbed.Bind(root, "/opt/postgresql").ReadOnly())
	c := testbed.Run(t, s)
	st := waitPhase(t, c, node.Holding)
	says(t, st.Why, "the programs of PostgreSQL 17", home+"/17/docker", "/opt/postgresql (there: 18)", "nothing was touched", "goes on as soon as they appear")
	stays(t, c)
	c.WaitHealth("healthy", long)
	unchanged(t, before, fingerprint(t, filepath.Join(volume, pgdata)))
	link("17")
	served(t, c)
}

func TestADataDirectoryThatIsNoClusterIsRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		make  func(dir string)
		words []string
	}{
		"somebody's files": {
			func(dir string) { put(t, filepath.Join(dir, "photos", "cat.jpg"), "meow") },
			[]string{"photos", "nothing was touched", "no PG_VERSION", "mount the right volume"},
		},
		"lost+found alone": {
			func(dir string) { _ = os.Mkdir(filepath.Join(dir, "lost+found"), 0o700) },
			[]string{"lost+found", "nothing was touched", "mount that one level higher"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c.make(dir)
			before := fingerprint(t, dir)
			box := testbed.Run(t, spec(testbed.Bind(dir, home+"/data")))
			if code := box.Wait(long); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			oneLine(t, box, append(c.words, home+"/data")...)
			unchanged(t, before, fingerprint(t, dir))
		})
	}
}

func TestAReadOnlyVolumeIsRefused(t *testing.T) {
	t.Parallel()
	volume := seeded(t)
	before := fingerprint(t, volume)
	c := testbed.Run(t, spec(testbed.Bind(volume, home).ReadOnly()))
	if code := c.Wait(long); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	oneLine(t, c, home, "read-only", "nothing was", "mount it writable")
	unchanged(t, before, fingerprint(t, volume))
}

func TestAVolumeOfSomebodyElseIsRefusedWithUser(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(t *testing.T) string{
		"an empty volume": func(t *testing.T) string {
			dir := t.TempDir()
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			return dir
		},
		"a cluster of uid 999": func(t *testing.T) string { return seeded(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			volume := make(t)
			before := fingerprint(t, volume)
			s := spec(testbed.Bind(volume, home))
			s.User = "4242:4242"
			c := testbed.Run(t, s)
			if code := c.Wait(long); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			oneLine(t, c, home, "uid 4242 may not", "nothing was", "--user")
			unchanged(t, before, fingerprint(t, volume))
		})
	}
}

func TestASecondContainerWaitsNamesTheHolderAndGoesOnAfterIt(t *testing.T) {
	t.Parallel()
	volume := testbed.Bind(seeded(t), home)
	first := testbed.Run(t, spec(volume, "PGBATON_NODE=first"))
	served(t, first)
	second := testbed.Run(t, spec(volume, "PGBATON_NODE=second"))
	st := waitPhase(t, second, node.Waiting)
	says(t, st.Why, "held by node first", "nothing was touched", "goes on when")
	stays(t, second)
	served(t, first) // undisturbed
	if code, _ := first.Stop(time.Minute); code != 0 {
		t.Errorf("the first ends with %d", code)
	}
	served(t, second)
}

func TestAnEmptyVolumeForAMajorThatIsNotHereHoldsAndGoesOnAsSoonAsItAppears(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.Symlink("/usr/lib/postgresql/15", filepath.Join(root, "15")); err != nil {
		t.Fatal(err)
	}
	v := testbed.NewVolume(t)
	s := spec(v.At(home), "PGBATON_BINARIES=/opt/postgresql", "PG_MAJOR=17")
	s.Mounts = append(s.Mounts, testbed.Bind(root, "/opt/postgresql").ReadOnly())
	s.Files = []testbed.File{bornFile}
	c := testbed.Run(t, s)
	st := waitPhase(t, c, node.Holding)
	says(t, st.Why, "is empty and for PostgreSQL 17 (PG_MAJOR)", "/opt/postgresql (there: 15)", "nothing was touched", "Set PG_MAJOR")
	stays(t, c)
	if err := os.Symlink("/usr/lib/postgresql/17", filepath.Join(root, "17")); err != nil {
		t.Fatal(err)
	}
	served(t, c)
}
