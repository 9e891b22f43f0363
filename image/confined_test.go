package image_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// Containers with less than Docker's defaults: other users, fewer
// capabilities, read-only file systems.

func TestAnyUserMayServeAFreshVolumeAndAnExistingOne(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, user, mount, pgdata, auth string
		major                           int
	}{
		{"a uid without a name", "12345", home, "", "", 17},
		{"peer authentication without a name", "1000:1000", home, "", "--auth-local=peer", 15},
		// PostgreSQL wants to own its directory: with the official image, too,
		// another user needs one below the mount.
		{"a directory below a volume at data", "12345:0", data, data + "/pg", "", 18},
		{"the image's own user", "postgres", data, "", "", 17},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			uid, _, _ := strings.Cut(test.user, ":")
			if uid == "postgres" {
				uid = "999"
			}
			v := testbed.NewVolume(t)
			spec := ourSpec(test.major, v.At(test.mount))
			spec.User = test.user
			spec.Env["POSTGRES_INITDB_ARGS"] = test.auth
			if test.pgdata != "" {
				spec.Env["PGDATA"] = test.pgdata
			}
			for _, run := range []string{"fresh", "existing"} {
				c := serve(t, spec)
				if st := asked(t, c); st.Server.Version == "" || st.Server.Superuser != "postgres" {
					t.Errorf("%s: the supervisor learned %+v", run, st.Server)
				}
				for _, p := range c.Processes() {
					if fmt.Sprint(p.UID) != uid && p.PPID != 0 {
						t.Errorf("%s: a process of uid %d: %v", run, p.UID, p)
					}
				}
				if got := c.MustExec("sh", "-c", `stat -Lc "%a %u" "$PGDATA" "$PGDATA/PG_VERSION"`); got != "700 "+uid+"\n600 "+uid {
					t.Errorf("%s: modes and owners of PGDATA: %q", run, got)
				}
				if skipped := strings.Contains(c.Logs(), "Skipping initialization"); skipped != (run == "existing") {
					t.Errorf("%s: initialisation skipped: %v", run, skipped)
				}
				c.MustExec("pgbaton", "restart")
				c.WaitReady(patience)
				stop(t, c)
			}
		})
	}
}

// dropped are the capabilities that the official image needs, and no other:
// without KILL root may not signal postgres.
func dropped(s testbed.Spec) testbed.Spec {
	s.CapDrop = []string{"ALL"}
	s.CapAdd = []string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}
	return s
}

func TestTheCapabilitiesThatTheOfficialImageNeedsAreEnough(t *testing.T) {
	t.Parallel()
	v := testbed.NewVolume(t)
	spec := dropped(ourSpec(17, v.At(data)))
	c := serve(t, spec)
	asked(t, c)
	c.MustExec("pgbaton", "stop", "--mode", "smart")
	c.MustExec("pgbaton", "start")
	c.WaitReady(patience)
	c.Kill("HUP")
	c.WaitLog("received SIGHUP", patience)
	stop(t, c)
	if log := c.Logs(); count(log, "database system is shut down") != 3 || !strings.HasSuffix(strings.TrimSpace(lastOf(log, "LOG: ")), "database system is shut down") {
		t.Errorf("the shutdown was not clean:\n%s", log)
	}
	// Its own crash and stop in that state, too.
	c = serve(t, spec)
	if log := c.Logs(); strings.Contains(log, "was interrupted") || !strings.Contains(log, "Skipping initialization") {
		t.Errorf("the second start recovered:\n%s", log)
	}
	if p, ok := c.Supervisor(); ok {
		c.Signal(p, 9)
	}
	c.WaitLog("adopted the running postmaster", patience)
	stop(t, c)
	if !strings.Contains(lastOf(c.Logs(), "LOG: "), "database system is shut down") {
		t.Error("the adopted server was not stopped cleanly")
	}
}

// lastOf is the last line that holds a text.
func lastOf(log, text string) string {
	last := ""
	for line := range strings.Lines(log) {
		if strings.Contains(line, text) {
			last = line
		}
	}
	return last
}

func TestAReadOnlyRootFileSystemIsEnoughWithATmpfsOrTwo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		user  string
		tmpfs []string
		major int
	}{
		{"all that we use", "", []string{"/tmp", "/run", "/var/run/postgresql"}, 17},
		{"what users of the official image mount", "", []string{"/tmp", "/var/run/postgresql"}, 15},
		{"only the socket's directory", "", []string{"/var/run/postgresql"}, 18},
		{"as a uid without a name and without capabilities", "12345", []string{"/tmp", "/var/run/postgresql"}, 18},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			v := testbed.NewVolume(t)
			spec := ourSpec(test.major, v.At(home))
			spec.ReadOnly, spec.User = true, test.user
			for _, dir := range test.tmpfs {
				spec.Mounts = append(spec.Mounts, testbed.Tmpfs(dir, 16<<20))
			}
			spec = dropped(spec)
			if test.user != "" {
				spec.CapAdd = nil
			}
			for range 2 { // fresh and existing
				c := serve(t, spec)
				if st := asked(t, c); st.Major != test.major {
					t.Errorf("major %d", st.Major)
				}
				if got := c.MustExec("sh", "-c", `cat "$PGDATA/PG_VERSION"; psql -XAtU postgres -c "select 'socket'"`); got != fmt.Sprintf("%d\nsocket", test.major) {
					t.Errorf("docker exec says %q", got)
				}
				if r := c.Exec("touch", "/etc/x"); r.Code == 0 {
					t.Error("the root file system is not read-only")
				}
				stop(t, c)
			}
		})
	}
}

func TestTheFinalServerHasTheOfficialImagesIdentityAndEnvironment(t *testing.T) {
	t.Parallel()
	ids := regexp.MustCompile(`(?m)^(Uid|Gid|Groups):.*$`)
	v := testbed.NewVolume(t)
	spec := ourSpec(17, v.At(data))
	spec.Env["TZ"], spec.Env["PGBATON_LOG_LEVEL"], spec.Env["PGBATON_TOKEN"] = "Europe/Vienna", "debug", "0123456789abcdef0123456789abcdef"
	theirs := ourSpec(17)
	theirs.Env, theirs.Image = map[string]string{"POSTGRES_PASSWORD": testbed.Password, "TZ": "Europe/Vienna"}, official(17)
	c, o := testbed.Run(t, spec), testbed.Run(t, theirs)
	c.WaitReady(patience)
	o.WaitReady(patience)
	pm, om := postmaster(t, c), postmaster(t, o)
	identity := func(p testbed.Process) string {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.HostPID))
		if err != nil {
			t.Fatal(err)
		}
		// Whether the list of groups repeats the process's own makes no difference.
		return strings.Replace(strings.Join(ids.FindAllString(string(raw), -1), "\n"), "101 999 ", "101 ", 1)
	}
	if got, want := identity(pm), identity(om); got != want || !strings.Contains(got, "Uid:\t999\t999\t999\t999") {
		t.Errorf("postgres runs as\n%s\nand in the official image as\n%s", got, want)
	}
	env, official := environ(t, pm), environ(t, om)
	for _, name := range []string{"HOME", "LANG", "TZ", "PG_MAJOR", "PGDATA"} {
		if env[name] != official[name] {
			t.Errorf("%s is %q and in the official image %q", name, env[name], official[name])
		}
	}
	for name := range env {
		if strings.HasPrefix(name, "POSTGRES_") || strings.HasPrefix(name, "PGBATON_") {
			t.Errorf("%s is in the environment of postgres", name)
		}
	}
	// Of the supervisor's descriptors postgres has the volume's lock and none of its sockets.
	if got := c.Do(testbed.Command{Args: []string{"sh", "-c", fmt.Sprintf("readlink /proc/%d/fd/* | grep -v '^/dev/\\|^pipe\\|^anon_inode'", pm.PID)}, User: "postgres"}).Stdout; strings.Contains(got, "control.sock") {
		t.Errorf("postgres has open\n%s", got)
	}

	// What the official image asks of PGDATA's mode, and what PostgreSQL allows.
	stop(t, c)
	for given, want := range map[string]string{"0750": "750", "0755": "700"} {
		if err := os.Chmod(v.Path(), map[string]os.FileMode{"0750": 0o750, "0755": 0o755}[given]); err != nil {
			t.Fatal(err)
		}
		c.Start()
		c.WaitReady(patience)
		if got := c.MustExec("stat", "-c", "%a %U:%G", data, "/var/run/postgresql"); got != want+" postgres:postgres\n3775 postgres:postgres" {
			t.Errorf("with PGDATA %s: %q", given, got)
		}
		stop(t, c)
	}
	// Files of another owner are given to postgres, as the official image does at each start.
	if err := os.WriteFile(v.Path()+"/foreign.conf", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.Start()
	c.WaitReady(patience)
	if got := c.MustExec("stat", "-c", "%U", data+"/foreign.conf"); got != "postgres" {
		t.Errorf("a file that root left in PGDATA belongs to %s", got)
	}
}

func TestOtherCommandsRunAsThemselvesWithTheirOwnExitCode(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"bash", "-c", "echo $$ is $(id -un) in $PWD with $POSTGRES_PASSWORD; exit 7"}, 7, "is root in / with baton"},
		{[]string{"psql", "--version"}, 0, "psql (PostgreSQL) 17."},
		{[]string{"postgres", "--version"}, 0, "postgres (PostgreSQL) 17."},
		{[]string{"--version"}, 0, "postgres (PostgreSQL) 17."},
		{[]string{"postgres", "--help"}, 0, "postgres is the PostgreSQL server."},
		{[]string{"postgres", "--describe-config"}, 0, "max_connections"},
		{[]string{"pgbaton", "version"}, 0, ""},
		{[]string{"/no/such/program"}, 127, "/no/such/program"},
		{[]string{"/etc/passwd"}, 126, "/etc/passwd"},
		// A server that cannot start ends the container, with postgres's own words.
		{[]string{"postgres", "-c", "work_mem=nonsense"}, 1, `invalid value for parameter "work_mem"`},
	} {
		spec := ourSpec(17)
		spec.Args = test.args
		if log := ends(t, testbed.Run(t, spec), test.code); !strings.Contains(log, test.want) {
			t.Errorf("%q: %q is missing in\n%s", test.args, test.want, log)
		}
	}
}

func TestPostgresSingleRunsOnTheVolumeUnderItsLock(t *testing.T) {
	t.Parallel()
	at, _ := officialData(t, 15)
	c := serve(t, ourSpec(15, at))
	single := ourSpec(17, at) // the programs are those of the volume
	single.Args = []string{"postgres", "--single", "-c", "work_mem=9MB", "postgres"}
	if log := ends(t, testbed.Run(t, single), 1); !strings.Contains(log, "held by") && !strings.Contains(log, "lock") {
		t.Errorf("beside a running server:\n%s", log)
	}
	stop(t, c)
	if log := ends(t, testbed.Run(t, single), 0); !strings.Contains(log, "PostgreSQL stand-alone backend 15.") {
		t.Errorf("the log:\n%s", log)
	}
	c.Start()
	c.WaitReady(patience)
}

func TestArgumentsReachTheServerAsUnderTheOfficialImage(t *testing.T) {
	t.Parallel()
	v := testbed.NewVolume(t)
	spec := ourSpec(17, v.At(home))
	spec.Args = []string{"-c", "work_mem=9MB", "--search-path=a, b", "-N", "33"} // flags only
	spec.Args = append(spec.Args, "-c", "cluster_name=it's mine")
	c := serve(t, spec)
	got := psql(t, c, "select concat_ws('|', current_setting('work_mem'), current_setting('search_path'), current_setting('max_connections'), current_setting('cluster_name'))")
	if got != "9MB|a, b|33|it's mine" {
		t.Errorf("got %q", got)
	}
	stop(t, c)
	// A port and a socket directory of the user's own.
	spec.Args = []string{"postgres", "-p", "6543", "-c", "unix_socket_directories=/tmp"}
	c = testbed.Run(t, spec)
	st := asked(t, c)
	if st.Postmaster == nil || st.Postmaster.Port != 6543 || time.Since(st.Postmaster.Started) > patience {
		t.Errorf("postmaster: %+v", st.Postmaster)
	}
	c.MustExec("psql", "-h", "/tmp", "-p", "6543", "-U", "postgres", "-c", "select 1")
}
