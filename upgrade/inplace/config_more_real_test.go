//go:build realpg

package inplace

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
)

func TestRealConfigurationThatChangesUntilTheStopIsCarriedAsItIsThen(t *testing.T) {
	r := newConfigRig(t, 15, 17, false)
	c, findings := r.plan()
	if len(findings) > 0 {
		t.Errorf("%+v", findings)
	}
	r.add("postgresql.auto.conf", "work_mem = '9MB'\nforce_parallel_mode = 'on'\n")
	r.carry(c)
	if v, _ := c.Value("work_mem"); v != "9MB" {
		t.Error(v)
	}
	r.switchOver()
	if got := r.show("work_mem", "debug_parallel_query"); got["work_mem"] != "9216" || got["debug_parallel_query"] != "on" {
		t.Errorf("%q", got)
	}
	r = newConfigRig(t, 15, 17, false)
	c, _ = r.plan()
	r.add("postgresql.auto.conf", "include 'none'\n")
	if _, err := c.Apply(t.Context(), r.site, r.build, r.final); err == nil || !strings.Contains(err.Error(), "postgresql.auto.conf line 3") {
		t.Error(err)
	}
}

func TestRealConfigurationOutsideTheVolumeStaysWhereItIs(t *testing.T) {
	r := newConfigRig(t, 15, 17, false)
	outside := r.site.Volume + "/etc/postgresql.conf"
	r.put(outside, "work_mem = 11MB\ninclude 'more.conf'\n")
	r.put(filepath.Dir(outside)+"/more.conf", "port = 6000\n")
	if err := errors.Join(os.Remove(r.site.PGData+"/postgresql.conf"), os.Symlink(outside, r.site.PGData+"/postgresql.conf")); err != nil {
		t.Fatal(err)
	}
	// Included names are relative to the link, not to what it leads to.
	r.old("more.conf", "port = 7000\n")
	c, findings := r.plan()
	if len(findings) > 0 {
		t.Errorf("%+v", findings)
	}
	moved := r.carry(c)
	if len(moved) != 1 || moved[0] != "more.conf" {
		t.Errorf("%q", moved)
	}
	r.switchOver()
	if target, err := os.Readlink(r.final + "/postgresql.conf"); target != outside {
		t.Error(target, err)
	}
	if got := r.show("work_mem", "port"); got["work_mem"] != "11264" || got["port"] != "7000" {
		t.Errorf("%q", got)
	}

	r = newConfigRig(t, 15, 17, false)
	r.put(r.site.Volume+"/etc/my.conf", "port = 6001\n")
	r.site.Args = []string{"-c", "config_file=" + r.site.Volume + "/etc/my.conf", "-p", "6002"}
	c, findings = r.plan()
	if v, _ := c.Value("port"); v != "6002" || len(findings) > 0 {
		t.Errorf("%s, %+v", v, findings)
	}
	r.carry(c)
	r.switchOver()
	if got := r.show("port", "config_file"); got["port"] != "6002" || got["config_file"] != r.site.Volume+"/etc/my.conf" {
		t.Errorf("%q", got)
	}
}

func TestRealConfigurationFilesBehindLinksInTheDataDirectoryAreCarriedOver(t *testing.T) {
	r := newConfigRig(t, 15, 17, false)
	d := r.site.PGData
	r.old("conf/main.conf", "work_mem = 12MB\nold_snapshot_threshold = 1h\ninclude 'more.conf'\n")
	r.old("more.conf", "port = 7001\n")
	r.old("links/target", "x")
	if err := errors.Join(
		os.Remove(d+"/postgresql.conf"), os.Symlink(d+"/conf/main.conf", d+"/postgresql.conf"), os.Symlink(d+"/more.conf", d+"/links/back"),
	); err != nil {
		t.Fatal(err)
	}
	c, findings := r.plan()
	if len(findings) != 2 || findings[0].Code != "setting-removed" || findings[1].Code != "config-links" || !strings.Contains(findings[1].Text, "links/back") {
		t.Errorf("%+v", findings)
	}
	if moved := strings.Join(r.carry(c), " "); moved != "links more.conf" {
		t.Error(moved)
	}
	r.switchOver()
	if target, err := os.Readlink(r.final + "/postgresql.conf"); target != r.final+"/conf/main.conf" {
		t.Error(target, err)
	}
	if got := r.show("work_mem", "port"); got["work_mem"] != "12288" || got["port"] != "7001" {
		t.Errorf("%q", got)
	}
}

// What was asked once is not asked again.
func TestRealConfigurationIsPlannedAgainForTheCostOfWhatChanged(t *testing.T) {
	r := newConfigRig(t, 15, 18, false)
	r.add("postgresql.conf", "old_snapshot_threshold = 1h\npromote_trigger_file = 'x'\nforce_parallel_mode = on\nwork_mem = 1kB\n")
	var took [3]time.Duration
	for i := range took {
		began := time.Now()
		c, _ := r.plan()
		took[i] = time.Since(began)
		if i == 2 {
			began = time.Now()
			r.carry(c)
			t.Logf("planned in %v, applied in %v", took, time.Since(began))
		}
	}
}

func TestRealSettingsThatDependOnOthersAreLeftAlone(t *testing.T) {
	r := newConfigRig(t, 15, 18, false)
	r.add("postgresql.conf", "wal_level = minimal\nmax_wal_senders = 0\nlog_min_messages = panic\nlog_destination = 'syslog'\n"+
		"shared_preload_libraries = 'no_such_library'\nno_such_library.x = 'y'\nssl = on\nlc_messages = 'en_US.UTF-8'\n"+
		"recovery_target_time = '2026-01-01'\nrestore_command = 'cp /x/%f %p'\narchive_mode = on\narchive_command = 'false'\n"+
		"log_statement_stats = on\ncluster_name = 'it''s'\npassword_encryption = md5\nhuge_pages = try\n")
	c, findings := r.plan()
	if len(findings) > 0 {
		t.Errorf("%+v", findings)
	}
	if v, _ := c.Value("shared_preload_libraries"); v != "no_such_library" {
		t.Error(v)
	}
}

func TestRealValuesOnlyTheOldMajorTakesAreCommentedOut(t *testing.T) {
	r := newConfigRig(t, 15, 17, false)
	// 16 took the unit away from nothing; what is out of range is so in every major.
	r.add("postgresql.conf", "autovacuum_max_workers = 5\nvacuum_defer_cleanup_age = 5\nwork_mem = 1kB\nstats_temp_directory = 'x'\n")
	_, findings := r.plan()
	var codes []string
	for _, f := range findings {
		if f.Level != node.Note {
			t.Errorf("%+v", f)
		}
		codes = append(codes, f.Code)
	}
	if got := strings.Join(codes, " "); got != "setting-removed setting-value setting-removed" {
		t.Errorf("%+v", findings)
	}
}

// What the parser reads is what the server of each major reads.
func TestRealConfigurationIsParsedAsTheServerDoes(t *testing.T) {
	values := []string{
		"1", "= 1", "=1", "== 1", "-1", "+1", "1MB", "0x1F", "0xfMB", "0x", ".5", "1.", ".", "1.5e3", "1e5", "1.5GB", "a-b.c", "a.b", "a.b.c", "/tmp", "a/b",
		"'a b'", "'it''s'", `'it\'s'`, `'a\tb'`, `'a\101b'`, `'a\8b'`, `'a\1b'`, `'\0x'`, `'a`, `'a''b`, `''`, `''''`, `'a' 'b'`, `'a'# c`, "a # c", "a#c",
		"a;", "größe", "'größe'", "", "# a", "a\r", "a b", "a,b", `"a"`, "$a", "1a", "_x", "'a\\", "= = a", "on", "a=b", "'a'b", "a'b'", "1.2.3", "--1", "1-2",
	}
	for _, b := range pg.Find([]string{"/usr/lib/postgresql"}) {
		t.Run(fmt.Sprint(b.Major), func(t *testing.T) {
			r := newConfigRig(t, b.Major, b.Major, false)
			for _, v := range values {
				text := "x.a " + v + "\nX.B = c"
				r.old("postgresql.conf", text)
				got, err := pg.ShowSettings(t.Context(), b, r.site.PGData, nil, &r.site.User, r.site.Environ, "x.a", "x.b")
				lines := upgrade.ParseConf([]byte(text))
				bad := false
				for _, l := range lines {
					bad = bad || l.Bad != ""
				}
				if bad != (err != nil) {
					t.Errorf("%q: read as %+v, the server: %q, %v", text, lines, got, err)
					continue
				}
				if !bad && (len(lines) != 2 || lines[0].Value != got["x.a"] || lines[1].Value != got["x.b"]) {
					t.Errorf("%q: read as %+v, the server: %q", text, lines, got)
				}
			}
		})
	}
}

func TestRealRulesTheNewMajorDoesNotUnderstandAreRefused(t *testing.T) {
	for _, to := range []int{15, 17, 18} {
		r := newConfigRig(t, 15, to, false)
		check := func(what string, want ...string) {
			t.Helper()
			findings, err := RuleFindings(t.Context(), r.site, r.build)
			if err != nil {
				t.Fatalf("%s: %+v, %v", what, findings, err)
			}
			if len(want) == 0 && len(findings) > 0 {
				t.Errorf("%s: %+v", what, findings)
			}
			for i := 0; i < len(want); i += 2 {
				if !slices.ContainsFunc(findings, func(f node.Finding) bool { return f.Code == want[i] && strings.Contains(f.Detail, want[i+1]) }) {
					t.Errorf("%s: no %s in %+v", what, want[i+1], findings)
				}
			}
		}
		check("as initdb makes them")
		r.add("pg_hba.conf", "hostssl all all all cert map=x\nhostssl all all all scram-sha-256 clientcert=verify-full\n")
		check("lines that match nothing now")
		r.add("pg_hba.conf", "hostssl all all all cert clientcert=1\nlocal all all nonsense\n")
		r.add("pg_ident.conf", "lonely\n")
		check("bad lines", "config-hba", "line 101: not understood", "config-hba", `line 102: invalid authentication method "nonsense"`, "config-ident", "missing entry at end of line")
		if err := os.Remove(r.site.PGData + "/pg_ident.conf"); err != nil {
			t.Fatal(err)
		}
		r.old("pg_hba.conf", "local all all peer\n")
		check("no pg_ident.conf")
		if err := os.Remove(r.site.PGData + "/pg_hba.conf"); err != nil {
			t.Fatal(err)
		}
		check("no pg_hba.conf", "config-hba", "No such file")
	}
}
