package pg

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

func TestSlotNamesFitAndAreDifferentForDifferentNodes(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{
		"n1", "N1x", "db-1", "db_1", "db.1", "a", strings.Repeat("a", 55), strings.Repeat("a", 56), strings.Repeat("a", 63), "_", "-",
	} {
		got := SlotName(name)
		if other, ok := seen[got]; ok {
			t.Errorf("%q and %q share %s", name, other, got)
		}
		seen[got] = name
		if len(got) > maxName || !strings.HasPrefix(got, slotPrefix) || strings.Trim(got, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			t.Errorf("%q: %s", name, got)
		}
	}
	if SlotName("n1") != "pgbaton_n1" || SlotName("db-1")[:13] != "pgbaton_db_1_" {
		t.Error(SlotName("n1"), SlotName("db-1"))
	}
	// application_name is compared without case, so nodes cannot differ by that alone.
	if SlotName("DB-1") != SlotName("db-1") {
		t.Error(SlotName("DB-1"))
	}
}

func TestNamesOfNodesThatPostgreSQLWouldReadOtherwiseAreRefused(t *testing.T) {
	for _, name := range []string{"", "*", "a b", "ä", "a\n", strings.Repeat("a", 64)} {
		if CheckNode(name) == nil {
			t.Errorf("%q", name)
		}
	}
	if err := CheckNode(`db-1.example"'`); err != nil {
		t.Error(err)
	}
}

func TestLinesOfAutoConfAreReadAsTheServerDoes(t *testing.T) {
	for line, want := range map[string][2]string{
		"primary_conninfo = 'host=a'":              {"primary_conninfo", "host=a"},
		" PRIMARY_conninfo='it''s \\'x\\' \\\\' #": {"primary_conninfo", `it's 'x' \`},
		"primary_slot_name plain # comment":        {"primary_slot_name", "plain"},
		"primary_slot_name\t=\t''":                 {"primary_slot_name", ""},
		"x = 'tab\\t'":                             {"x", "tab\t"},
	} {
		if name, value, ok := autoLine(line); !ok || name != want[0] || value != want[1] {
			t.Errorf("%s: %q %q %v", line, name, value, ok)
		}
	}
	for _, line := range []string{"", "#x = 1", "word", "x = 'open"} {
		if name, value, ok := autoLine(line); ok {
			t.Errorf("%s: %q %q", line, name, value)
		}
	}
}

func TestWritingAutoConfChangesOurParametersAlone(t *testing.T) {
	dir := t.TempDir()
	const before = "# Do not edit\nwork_mem = '4MB'\nprimary_slot_name = 'a'\nPRIMARY_SLOT_NAME = 'b'\nx = 'no end"
	write(t, filepath.Join(dir, autoConf), before)
	set := map[string]string{PrimarySlotName: `it's \`, SyncNames: ""}
	if err := WriteAuto(dir, set, -1, -1); err != nil {
		t.Fatal(err)
	}
	const want = "# Do not edit\nwork_mem = '4MB'\nprimary_slot_name = 'it''s \\\\'\nx = 'no end\nsynchronous_standby_names = ''\n"
	raw, err := os.ReadFile(filepath.Join(dir, autoConf))
	if err != nil || string(raw) != want {
		t.Errorf("%v\n%s", err, raw)
	}
	if got, err := ReadAuto(dir); err != nil || !maps.Equal(got, set) {
		t.Error(got, err)
	}
	info, _ := os.Stat(filepath.Join(dir, autoConf))
	if err := WriteAuto(dir, set, -1, -1); err != nil {
		t.Error(err)
	}
	if again, _ := os.Stat(filepath.Join(dir, autoConf)); !os.SameFile(info, again) {
		t.Error("written again, though nothing differs")
	}
	for name, value := range map[string]string{"work_mem": "1", SyncNames: "a\nfsync = off"} {
		if WriteAuto(dir, map[string]string{name: value}, -1, -1) == nil {
			t.Errorf("%s = %q", name, value)
		}
	}
}

func TestAPasswordIsKnownByItsVerifier(t *testing.T) {
	const pencil = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	if !verifies(pencil, "pencil") || verifies(pencil, "pencils") { // RFC 7677's example
		t.Error("RFC 7677")
	}
	mine, err := scramVerifier("a b")
	other, _ := scramVerifier("a b")
	if err != nil || !verifies(mine, "a b") || verifies(mine, "a  b") || mine == other {
		t.Error(mine, other, err)
	}
	for _, stored := range []string{"", "md5abc", "SCRAM-SHA-256$", "SCRAM-SHA-256$0:W22Z$a:b", "SCRAM-SHA-256$99999999:W22Z$a:b", "SCRAM-SHA-256$1:!$a:b"} {
		if verifies(stored, "") {
			t.Error(stored)
		}
	}
}

func TestAPasswordFileIsReadBackAndNotWrittenTwice(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	path := filepath.Join(dir, "pass")
	for _, password := range []string{`\:\\::a b\`, "x"} {
		if err := WritePassfile(root, "pass", `u:s\er`, password, -1, -1); err != nil {
			t.Fatal(err)
		}
		if got, err := passfilePassword(path, `u:s\er`); got != password || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	info, _ := os.Stat(path)
	if err := WritePassfile(root, "pass", `u:s\er`, "x", -1, -1); err != nil {
		t.Error(err)
	}
	again, _ := os.Stat(path)
	if !os.SameFile(info, again) || info.Mode() != 0o600 {
		t.Error("written again", info.Mode())
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := WritePassfile(root, "pass", `u:s\er`, "x", -1, -1); err != nil {
		t.Error(err)
	}
	if again, _ := os.Stat(path); again.Mode() != 0o600 {
		t.Error("others may read it", again.Mode())
	}
	for _, bad := range []string{"", "a\nb", "ä"} {
		if WritePassfile(root, "pass", "u", bad, -1, -1) == nil {
			t.Errorf("%q", bad)
		}
	}
}

func TestTheHeirsWalsenderAloneMayReleaseCommits(t *testing.T) {
	sender := func(name, state string, priority int, flush node.LSN) walSender {
		return walSender{Sender: node.Sender{Node: name, State: "streaming", SyncState: state, Priority: priority, Flush: flush}}
	}
	heir, logical := sender("N2", "sync", 1, 9), sender("n2", "sync", 1, 9)
	logical.logical = true
	for name, c := range map[string]struct {
		senders []walSender
		want    bool
	}{
		"the heir alone":                     {[]walSender{heir}, true},
		"with others that have no priority":  {[]walSender{sender("n3", "async", 0, 5), heir, sender("copy", "async", 0, 0)}, true},
		"nobody":                             {nil, false},
		"the heir twice":                     {[]walSender{heir, heir}, false},
		"the heir has no priority yet":       {[]walSender{sender("n2", "async", 0, 9)}, false},
		"the heir is no copy of the data":    {[]walSender{logical}, false},
		"another has a priority still":       {[]walSender{heir, sender("n3", "potential", 1, 5)}, false},
		"a former heir that has not replied": {[]walSender{heir, sender("n1", "async", 0, 0)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			pr := &prover{heir: "n2", former: SyncFor("n1")}
			if got := pr.onlyHeir(syncFacts{senders: c.senders}); got != c.want {
				t.Error(got, pr.seen)
			}
		})
	}
}

func TestProgressOfProgramsIsRead(t *testing.T) {
	for line, want := range map[string][2]int64{
		"22949/22949 kB (100%), 1/1 tablespace": {22949 << 10, 22949 << 10},
		"0/1234 kB (0%) copied":                 {0, 1234 << 10},
	} {
		if done, total, ok := copied(line); !ok || done != want[0] || total != want[1] {
			t.Errorf("%s: %d %d %v", line, done, total, ok)
		}
	}
	for _, line := range []string{"", "pg_basebackup: error: 1/2 kB (", "99999999999999999999/1 kB (1%)"} {
		if _, _, ok := copied(line); ok {
			t.Error(line)
		}
	}
}

func TestWhatCannotFitIsRefused(t *testing.T) {
	c := CloneSpec{Target: t.TempDir(), Spaces: map[string]string{"/there": t.TempDir() + "/not/yet"}}
	if err := c.fits(1<<60, []string{"/there"}); err == nil || !strings.Contains(err.Error(), "nothing was copied") {
		t.Error(err)
	}
	if err := c.fits(1, []string{"/there"}); err != nil {
		t.Error(err)
	}
}

func TestCommitsAreCountedInWhatPgWaldumpPrints(t *testing.T) {
	const text = `rmgr: Heap        len (rec/tot):     54/   150, tx:        733, lsn: 0/01500B78, prev 0/01500B40, desc: INSERT off 1
rmgr: Transaction len (rec/tot):     98/    98, tx:          3, lsn: 1/0B0B8178, prev 0/010B7028, desc: COMMIT 2026-11-23 12:37:48.450211 UTC; relcache init
rmgr: Transaction len (rec/tot):     98/    98, tx:          4, lsn: 1/0B0B8278, prev 0/010B7028, desc: ABORT 2026-11-23 12:37:48.5 UTC
garbage
rmgr: Transaction len (rec/tot):     34/    34, tx:          5, lsn: 1/0B0B8378, prev 0/010B7028, desc: COMMIT_PREPARED gid x: 2026-11-23 12:37:49 UTC
rmgr: Transaction len (rec/tot):     34/    35, tx:          6, lsn: 1/FFFFFFD8, prev 0/010B7028, desc: COMMIT 2026-11-23 12:37:50 UTC
rmgr: XLOG        len (rec/tot): `
	var w walScan
	for chunk := range slices.Chunk([]byte(text), 7) {
		if n, err := w.Write(chunk); n != len(chunk) || err != nil {
			t.Fatal(n, err)
		}
	}
	first := time.Date(2026, 11, 23, 12, 37, 48, 450211000, time.UTC)
	if w.commits != 3 || w.end != 0x2_00000000 || !w.first.Equal(first) || w.last.Sub(first) != 2*time.Second-450211*time.Microsecond {
		t.Errorf("%+v", w)
	}
}

func TestNamesOfWALFiles(t *testing.T) {
	for want, got := range map[string]string{
		"000000010000000000000001": walFile(1, 0x1FFFFFF, 16<<20),
		"0000000A0000001B000000FF": walFile(10, 0x1B_FF000000, 16<<20),
		"000000010000000100000003": walFile(1, 0x1_FFFFFFFF, 1<<30),
	} {
		if got != want {
			t.Error(got, want)
		}
	}
}

func TestConnInfoNeedsNoTrustInItsParts(t *testing.T) {
	s := Source{Host: "fd00::1", Port: 5433, User: `o'b\ "x`, Passfile: "/a b/c", Node: "n-1"}
	got := s.ConnInfo()
	for _, part := range []string{"host=fd00::1", "port=5433", `user='o\'b\\ "x'`, `passfile='/a b/c'`, "application_name=n-1", "sslmode=prefer"} {
		if !strings.Contains(got+" ", part+" ") {
			t.Errorf("%s is not in %s", part, got)
		}
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	for major, want := range map[int][2]bool{0: {}, 13: {}, 14: {true}, 16: {true}, 17: {true, true}} {
		s.Major = major
		info := s.ConnInfo() + " "
		if got := [2]bool{strings.Contains(info, " target_session_attrs=primary "), strings.Contains(info, " dbname=postgres ")}; got != want {
			t.Errorf("%d: %s", major, info)
		}
	}
	s.TLS = TLSFilesIn("/run/it's")
	for _, info := range []string{s.ConnInfo(), s.toolInfo("dbname", "x")} {
		for _, part := range []string{"sslmode=verify-ca", `sslrootcert='/run/it\'s/replication.ca'`, `sslcert='/run/it\'s/replication.crt'`, `sslkey='/run/it\'s/replication.key'`} {
			if !strings.Contains(info+" ", part+" ") {
				t.Errorf("%s is not in %s", part, info)
			}
		}
	}
	if strings.Contains(s.toolInfo(), "application_name=n-1") {
		t.Error("a copy would count as the node")
	}
	for name, change := range map[string]func(*Source){
		"several hosts": func(s *Source) { s.Host = "a,b" }, "no host": func(s *Source) { s.Host = "" },
		"no port": func(s *Source) { s.Port = 0 }, "a line": func(s *Source) { s.User = "a\nb" },
		"a relative key": func(s *Source) { s.TLS.Key = "x" }, "half of TLS": func(s *Source) { s.TLS.CA = "" },
		"a relative path": func(s *Source) { s.Passfile = "x" }, "any node": func(s *Source) { s.Node = "*" },
	} {
		bad := s
		if change(&bad); bad.Check() == nil {
			t.Error(name)
		}
	}
}

func TestWhatLiesAfterAForkIsDividedByTimeline(t *testing.T) {
	d := DivergedSpec{Data: t.TempDir(), Timeline: 5}
	write(t, filepath.Join(d.Data, "pg_wal", "00000005.history"), "1\t0/1000000\tx\n2\t0/3000000\tx\n4\t0/3000000\tx\n")
	for fork, want := range map[node.LSN][]Part{
		0x500000:  {{Timeline: 1, From: 0x500000, To: 0x1000000}, {Timeline: 2, From: 0x1000000, To: 0x3000000}, {Timeline: 5, From: 0x3000000}},
		0x1000000: {{Timeline: 2, From: 0x1000000, To: 0x3000000}, {Timeline: 5, From: 0x3000000}},
		0x3000000: {{Timeline: 5, From: 0x3000000}},
		0x4000000: {{Timeline: 5, From: 0x4000000}},
	} {
		d.Fork = fork
		if got, err := d.parts(); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", fork, got, err)
		}
	}
}
