//go:build realpg

package inplace

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/internal/node"
)

func eachUpgrade(t *testing.T, test func(t *testing.T, from, to int, legacy bool)) {
	for _, c := range []struct {
		from, to int
		legacy   bool
	}{{15, 17, false}, {15, 18, true}, {17, 18, false}} {
		t.Run(fmt.Sprintf("%d to %d", c.from, c.to), func(t *testing.T) { test(t, c.from, c.to, c.legacy) })
	}
}

func TestRealConfigurationIsCarriedOver(t *testing.T) {
	eachUpgrade(t, func(t *testing.T, from, to int, legacy bool) {
		r := newConfigRig(t, from, to, legacy)
		d := r.site.PGData
		gone, inDir := "old_snapshot_threshold = 1h", "vacuum_defer_cleanup_age = 10"
		if from == 17 {
			gone, inDir = "extension_destdir = '/x'", "io_method = tape"
		}
		r.add("postgresql.conf", "work_mem = 5MB\n"+gone+"\ninclude_dir 'conf.d'\ninclude '"+d+"/abs/one.conf'\ninclude_if_exists 'none.conf'\n"+
			"ssl_cert_file = '"+d+"/certs/server.crt'\nhba_file = 'pg_hba.conf'\nforeign.setting = 'x'\n")
		r.add("postgresql.auto.conf", "work_mem = '6MB'\n")
		r.old("conf.d/10-a.conf", "maintenance_work_mem = 70MB\n"+inDir+"\n")
		r.old("conf.d/20-b.conf", "include '../certs/deep.conf'\n")
		r.old("conf.d/readme", "not read")
		r.old("abs/one.conf", "autovacuum_naptime = 33\n")
		r.old("certs/deep.conf", "checkpoint_timeout = 77\n")
		r.old("certs/server.crt", "certificate")
		r.old("log/postgresql.log", "log")
		r.old("mine.txt", "mine")
		r.old("pg_hba.conf", "local all all peer # "+d+"/x\n")
		if err := errors.Join(os.Symlink(d+"/mine.txt", d+"/abs-link"), os.Symlink("mine.txt", d+"/link"),
			os.Chmod(d+"/postgresql.conf", 0o640)); err != nil {
			t.Fatal(err)
		}
		c, findings := r.plan()
		notes := 0
		for _, f := range findings {
			t.Logf("%+v", f)
			if f.Level != node.Note {
				t.Error("refused")
			}
			notes++
		}
		// Two settings; an include and a path too where the data directory moves.
		if want := map[bool]int{true: 2, false: 4}[legacy]; notes != want {
			t.Errorf("%d notes, want %d", notes, want)
		}
		if v, ok := c.Value("WORK_MEM"); v != "6MB" || !ok {
			t.Error(v, ok)
		}
		before := r.text(d, "conf.d/10-a.conf")
		if first, err := c.Apply(t.Context(), r.site, r.build, r.final); err != nil {
			t.Fatal(first, err)
		}
		moved := r.carry(c) // and once more, as after a crash
		want := "abs abs-link certs link mine.txt"
		if !legacy {
			want = "abs certs link mine.txt" // abs-link was made anew
		}
		if strings.Join(moved, " ") != want {
			t.Errorf("moved %q, want %s", moved, want)
		}
		if r.text(d, "conf.d/10-a.conf") != before {
			t.Error("the old cluster was touched")
		}
		r.switchOver()
		got := r.show("work_mem", "maintenance_work_mem", "autovacuum_naptime", "checkpoint_timeout", "ssl_cert_file", "foreign.setting")
		if !reflect.DeepEqual(got, map[string]string{
			"work_mem": "6144", "maintenance_work_mem": "71680", "autovacuum_naptime": "33", "checkpoint_timeout": "77",
			"ssl_cert_file": r.final + "/certs/server.crt", "foreign.setting": "x",
		}) {
			t.Errorf("%q", got)
		}
		if text := r.text(r.final, "pg_hba.conf"); text != "local all all peer # "+r.final+"/x\n" {
			t.Errorf("%q", text)
		}
		for _, name := range []string{"link", "abs-link"} {
			if text := r.text(r.final, name); text != "mine" {
				t.Error(name, text)
			}
		}
		info, err := os.Stat(r.final + "/postgresql.conf")
		if err != nil || info.Mode().Perm() != 0o640 {
			t.Error(info, err)
		}
		if _, err := os.Stat(r.final + "/log"); err == nil {
			t.Error("the old server's log was carried over")
		}
		if text := r.text(r.final, "postgresql.conf"); !strings.Contains(text, fmt.Sprintf("# pgbaton: commented out in the upgrade from %d to %d: ", from, to)) {
			t.Errorf("%s", text[len(text)-1500:])
		}
	})
}

func TestRealConfigurationThatCannotBeMendedIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		args       func(r *configRig) []string
		make       func(r *configRig)
		code, says string
	}{
		"a removed setting in an included file elsewhere": {
			make: func(r *configRig) {
				r.put(r.site.Volume+"/outside/x.conf", "\nold_snapshot_threshold = 1h\n")
				r.add("postgresql.conf", "include '"+r.site.Volume+"/outside/x.conf'\n")
			}, code: "config-outside", says: "/outside/x.conf line 2, which is outside the data directory, sets old_snapshot_threshold",
		},
		"a removed setting behind a link": {
			make: func(r *configRig) {
				r.put(r.site.Volume+"/outside/x.conf", "old_snapshot_threshold = 1h\n")
				if err := errors.Join(os.Remove(r.site.PGData+"/postgresql.conf"), os.Symlink("../../outside/x.conf", r.site.PGData+"/postgresql.conf")); err != nil {
					r.t.Fatal(err)
				}
			}, code: "config-outside", says: "postgresql.conf line 1, which is outside",
		},
		"a removed setting in the arguments": {
			args: func(*configRig) []string { return []string{"-c", "old_snapshot_threshold=1h"} },
			code: "config-argument", says: "argument `-c old_snapshot_threshold=1h`",
		},
		"an option that only the old major has": {
			args: func(*configRig) []string { return []string{"-n"} }, code: "config-whole", says: "invalid option -- 'n'",
		},
		"a data directory elsewhere": {
			make: func(r *configRig) { r.add("postgresql.conf", "data_directory = '/tmp'\n") }, code: "data-directory", says: "says that the data directory is /tmp",
		},
		"a loop": {
			make: func(r *configRig) {
				r.add("postgresql.conf", "include 'a.conf'\n")
				r.old("a.conf", "include 'b.conf'\n")
				r.old("b.conf", "include 'a.conf'\n")
			}, code: "config-include", says: "includes itself, or others more than 10 deep",
		},
		"itself": {
			make: func(r *configRig) { r.add("postgresql.conf", "include 'postgresql.conf'\n") }, code: "config-include", says: "includes itself",
		},
		"an include that is not there": {
			make: func(r *configRig) { r.add("postgresql.conf", "include 'none.conf'\n") }, code: "config-unreadable", says: "/none.conf cannot be read",
		},
		"a directory that is not there": {
			make: func(r *configRig) { r.add("postgresql.conf", "include_dir 'none'\n") }, code: "config-unreadable", says: "The directory",
		},
		"an unreadable file": {
			make: func(r *configRig) {
				r.old("a.conf", "")
				r.add("postgresql.conf", "include 'a.conf'\n")
				if err := os.Chmod(r.site.PGData+"/a.conf", 0); err != nil {
					r.t.Fatal(err)
				}
			}, code: "config-unreadable", says: "permission denied",
		},
		"a pipe": {
			make: func(r *configRig) {
				r.add("postgresql.conf", "include 'a.conf'\n")
				if err := unix.Mkfifo(r.site.PGData+"/a.conf", 0o644); err != nil {
					r.t.Fatal(err)
				}
			}, code: "config-unreadable", says: "not a regular file",
		},
		"a file of 17 MB": {
			make: func(r *configRig) { r.add("postgresql.conf", strings.Repeat("# comment\n", 17<<20/10)) }, code: "config-unreadable", says: "longer than",
		},
		"a bad line": {
			make: func(r *configRig) { r.add("postgresql.auto.conf", "a = b c\n") }, code: "config-syntax", says: "postgresql.auto.conf line 3 is not understood",
		},
		"a NUL byte": {
			make: func(r *configRig) { r.add("postgresql.conf", "a = 'b\x00c'\n") }, code: "config-syntax", says: "a NUL byte",
		},
		"a configuration file in a directory of the server's": {
			make: func(r *configRig) {
				r.add("postgresql.conf", "include 'global/a.conf'\n")
				r.old("global/a.conf", "port = 1\n")
			}, code: "config-place", says: "global/a.conf lies in a directory of the server's own",
		},
		"a path of the old data directory in the arguments": {
			args: func(r *configRig) []string { return []string{"--ssl-cert-file=" + r.site.PGData + "/x"} },
			code: "config-argument", says: "names the old data directory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newConfigRig(t, 15, 17, false)
			if c.make != nil {
				c.make(r)
			}
			if c.args != nil {
				r.site.Args = c.args(r)
			}
			r.refused(c.code, c.says)
		})
	}
}
