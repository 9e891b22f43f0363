package image_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// The supervisor's own SQL beside the user's pg_hba.conf.

func TestTheSupervisorsSQLWorksWhateverPgHbaConfSaysAndOthersMayWhatItSays(t *testing.T) {
	t.Parallel()
	for _, major := range []int{15, 17, 18} { // 15 has a copy of the user's file, later ones include it
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			at, dir := officialData(t, major)
			c := serve(t, ourSpec(major, at))
			psql(t, c, "create role app login password 'app'")
			for _, method := range []string{"reject", "peer", "scram-sha-256", "md5", "trust", "nothing"} {
				rules := "local all app scram-sha-256\nhost all app all reject\nlocal all all " + method + "\nhost all all all scram-sha-256\n"
				if method == "nothing" { // an implicit reject
					rules = "local all app scram-sha-256\nhost all app all reject\nhost all all all scram-sha-256"
				}
				write(t, c, dir+"/pg_hba.conf", rules)
				c.MustExec("pgbaton", "restart")
				if st := asked(t, c); st.Server.Superuser != "postgres" || len(st.Server.LSN) == 0 {
					t.Errorf("%s: the supervisor learned %+v", method, st.Server)
				}
				c.WaitReady(patience) // as the superuser over TCP, with the password
				// The app: its password over the socket, nothing over TCP.
				if r := socket(c, "root", "app", "app", "postgres"); r.Code != 0 {
					t.Errorf("%s: the app is not let in: %s", method, r.Stderr)
				}
				if r := socket(c, "root", "app", "wrong", "postgres"); r.Code == 0 {
					t.Errorf("%s: the app is let in with a wrong password", method)
				}
				if _, err := login(t, c, "app", "app", "postgres", "select '1'"); err == nil {
					t.Errorf("%s: the app is let in over TCP", method)
				}
				// Others over the socket, in the user's databases: as the file says.
				for _, test := range []struct {
					osUser, password string
					allowed          bool
				}{
					{"root", testbed.Password, method == "trust" || method == "scram-sha-256" || method == "md5"},
					{"root", "wrong", method == "trust"},
					{"postgres", "wrong", method == "trust" || method == "peer"},
					{"nobody", "wrong", method == "trust"},
				} {
					if r := socket(c, test.osUser, "postgres", test.password, "postgres"); (r.Code == 0) != test.allowed {
						t.Errorf("%s: %s with password %q as superuser: exit code %d, %s", method, test.osUser, test.password, r.Code, r.Stderr)
					}
				}
				// No other program of the container gets the supervisor's way in.
				if r := socket(c, "nobody", "postgres", "wrong", "template1"); (r.Code == 0) != (method == "trust") {
					t.Errorf("%s: nobody in template1: exit code %d", method, r.Code)
				}
			}
			if got := read(c, dir+"/pg_hba.conf"); strings.Contains(got, "pgbaton") {
				t.Errorf("the user's file was changed:\n%s", got)
			}
			// What postgres says about its rules is the user's text, found again.
			if got := psqlTCP(t, c, "select count(*) from pg_hba_file_rules where error is not null"); got != "0" {
				t.Errorf("%s rules with an error", got)
			}
		})
	}
}

func write(t *testing.T, c *testbed.Container, path, text string) {
	t.Helper()
	if r := c.Do(testbed.Command{Args: []string{"sh", "-c", `cat >"$0"`, path}, Stdin: text, User: "postgres"}); r.Code != 0 {
		t.Fatalf("write %s: %s", path, r.Stderr)
	}
}

// socket logs in over the Unix socket as an operating system user.
func socket(c *testbed.Container, osUser, role, password, db string) testbed.Result {
	return c.Do(testbed.Command{
		Args: []string{"psql", "-XAtq", "-w", "-U", role, "-d", db, "-c", "select 1"},
		User: osUser, Env: []string{"PGPASSWORD=" + password, "HOME=/tmp"},
	})
}

func psqlTCP(t *testing.T, c *testbed.Container, sql string) string {
	t.Helper()
	got, err := login(t, c, "postgres", testbed.Password, "postgres", sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return got
}

func TestAnEditOfPgHbaConfTakesEffectByEveryUsualReload(t *testing.T) {
	t.Parallel()
	for _, major := range []int{15, 18} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			at, dir := officialData(t, major)
			c := serve(t, ourSpec(major, at))
			hba := read(c, dir+"/pg_hba.conf")
			psqlTCP(t, c, "create role app login password 'app'; select ''")
			pid := postmaster(t, c).PID
			for i, reload := range []struct {
				name string
				do   func()
			}{
				{"docker kill -s HUP", func() { c.Kill("HUP") }},
				{"pg_reload_conf()", func() { psqlTCP(t, c, "select pg_reload_conf()::text") }},
				{"pg_ctl reload", func() { c.Do(testbed.Command{Args: []string{"pg_ctl", "reload"}, User: "postgres"}) }},
				{"pgbaton reload", func() { c.MustExec("pgbaton", "reload") }},
			} {
				want := i%2 == 1
				text := "host all app all reject\n" + hba
				if want {
					text = hba
				}
				write(t, c, dir+"/pg_hba.conf", text+fmt.Sprintf("# edit %d\n", i))
				reload.do()
				c.Eventually(patience, fmt.Sprintf("app is let in: %v, by %s", want, reload.name), func() bool {
					_, err := login(t, c, "app", "app", "postgres", "select '1'")
					return (err == nil) == want
				})
			}
			if postmaster(t, c).PID != pid {
				t.Error("postgres was started anew")
			}
			asked(t, c)
			// Configuration tools edit what `show hba_file` names.
			generated := psqlTCP(t, c, "show hba_file")
			if first, _, _ := strings.Cut(read(c, generated), "\n"); !strings.Contains(first, "changes here are lost: edit \""+dir+"/pg_hba.conf\"") {
				t.Errorf("the first line of %s is %q", generated, first)
			}
			c.MustExec("sh", "-c", "echo 'host all app all reject' >> "+generated)
			c.Eventually(patience, "the edit is noticed", func() bool {
				return slices.ContainsFunc(status(t, c).Warnings, func(w string) bool {
					return strings.Contains(w, generated+" was edited") && strings.Contains(w, "Edit "+dir+"/pg_hba.conf and reload")
				})
			})
			c.WaitLog(generated+" was edited", patience)
			if text := read(c, generated); strings.Contains(text, "host all app all reject") {
				t.Errorf("it is still there:\n%s", text)
			}
			if kept := read(c, generated+".edited"); !strings.Contains(kept, "host all app all reject") {
				t.Errorf("kept:\n%s", kept)
			}
		})
	}
}
