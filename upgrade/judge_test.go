package upgrade

import (
	"slices"
	"strings"
	"testing"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
)

// sound are the facts of a small cluster that nothing stands against.
func sound() Facts {
	return Facts{
		From: 15, To: 17, NewICU: true, Superuser: "postgres",
		Server: pg.Inventory{
			Superuser: pg.Superuser{Name: "postgres", Super: true, Login: true},
			Settings:  map[string]string{"wal_segment_size": "16777216", "max_wal_size": "1024"},
			Databases: []pg.Database{
				{Name: "postgres", Connect: true, Tablespace: 1663, CatalogBytes: 8 << 20, Files: 10},
				{Name: "template0", Tablespace: 1663},
				{Name: "template1", Connect: true, Tablespace: 1663, CatalogBytes: 8 << 20},
			},
		},
		Places: []Place{
			{Use: UseData, Path: "/v/s", Tablespace: 1663, Device: 1, Free: 1 << 30, Inodes: 1 << 20},
			{Use: UseWAL, Path: "/v/s", Device: 1, Free: 1 << 30, Inodes: 1 << 20},
		},
	}
}

func TestNothingStandsAgainstASoundCluster(t *testing.T) {
	if got := Judge(sound()); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestEachFactHasItsFinding(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *Facts)
		want   string // level code, and what the text has
		text   string
	}{
		"a broken program":           {func(f *Facts) { f.Broken = []pg.Program{{Path: "/b/psql", Problem: "is missing"}} }, "refuse program-broken", "/b/psql is missing"},
		"half an installation":       {func(f *Facts) { f.NewFiles = "no plpgsql.control" }, "refuse installation-broken", "no plpgsql.control"},
		"no socket":                  {func(f *Facts) { f.NoSocket = true }, "refuse no-socket", "no Unix socket"},
		"no login":                   {func(f *Facts) { f.NoLogin = "FATAL"; f.Superuser = `a"b` }, "refuse no-login", `"a""b"`},
		"a superuser no more":        {func(f *Facts) { f.Server.Superuser.Super = false }, "refuse superuser-limited", `"postgres"`},
		"standby.signal":             {func(f *Facts) { f.Signals = []string{"standby.signal"} }, "refuse standby-signal", "standby.signal"},
		"a standby":                  {func(f *Facts) { f.Server.Recovery = true }, "refuse in-recovery", "standby"},
		"root's directory":           {func(f *Facts) { f.Unwritable = []string{"/v"} }, "refuse not-writable", "/v"},
		"a mounted pg_hba.conf":      {func(f *Facts) { f.Mounts = []string{"/v/pg_hba.conf"} }, "refuse mounts-inside", "renamed: /v/pg_hba.conf"},
		"an invalid database":        {func(f *Facts) { f.Server.Databases[0].Invalid = true }, "refuse database-invalid", `"postgres"`},
		"an open template0":          {func(f *Facts) { f.Server.Databases[1].Connect = true }, "refuse template0-open", "template0"},
		"a closed database":          {func(f *Facts) { f.Server.Databases[0].Connect = false }, "refuse database-closed", `"postgres"`},
		"a database nobody enters":   {func(f *Facts) { f.Server.Databases[0].Unreached = "FATAL" }, "refuse database-unreachable", `"postgres"`},
		"a line break in a name":     {func(f *Facts) { f.Server.Databases[0].Name = "a\nb" }, "refuse name-unusable", `"a\nb"`},
		"prepared transactions":      {func(f *Facts) { f.Server.Prepared = []pg.Prepared{{GID: "g", Database: "d"}} }, "refuse prepared-transactions", `"g" in "d"`},
		"an extension without files": {func(f *Facts) { f.NoExtensions = []Missing{{"postgis", []string{"a", "b"}}} }, "refuse extension-missing", "used in a, b"},
		"a library without file":     {func(f *Facts) { f.NoLibraries = []Missing{{"$libdir/x", []string{"a"}}} }, "refuse library-missing", "$libdir/x"},
		"a preloaded library without file": {func(f *Facts) {
			f.NoPreloads = []pg.Preload{{Setting: "shared_preload_libraries", Library: "x"}}
		}, "refuse preload-missing", "the server would not start"},
		"an in-place tablespace":   {func(f *Facts) { f.Tablespaces = []Tablespace{{Name: "t", InPlace: true}} }, "refuse tablespace-in-place", `"t"`},
		"a tablespace inside":      {func(f *Facts) { f.Tablespaces = []Tablespace{{Name: "t", Inside: true}} }, "refuse tablespace-inside", `"t"`},
		"a tablespace gone":        {func(f *Facts) { f.Tablespaces = []Tablespace{{Name: "t", Trouble: "ENOENT"}} }, "refuse tablespace-missing", `"t"`},
		"a leftover":               {func(f *Facts) { f.Tablespaces = []Tablespace{{Name: "t", Leftover: []string{"/t/PG_17_1"}}} }, "refuse tablespace-leftover", "/t/PG_17_1"},
		"no clone":                 {func(f *Facts) { f.Asked = node.ModeClone; f.CloneTrouble = "ext4" }, "refuse mode-impossible", "mode clone is impossible: ext4"},
		"no link":                  {func(f *Facts) { f.Asked = node.ModeLink; f.LinkTrouble = "two disks" }, "refuse mode-impossible", "two disks"},
		"no space":                 {func(f *Facts) { f.Places[0].Free = 100 << 20 }, "refuse disk-space", "/v/s"},
		"no inodes":                {func(f *Facts) { f.Places[0].Inodes = 500 }, "refuse inodes", "500 inodes"},
		"no ICU":                   {func(f *Facts) { f.NewICU = false; f.Server.Databases[0].Provider = "i" }, "refuse icu-missing", `"postgres"`},
		"a physical slot":          {func(f *Facts) { f.Server.Slots = []pg.Slot{{Name: "s"}} }, "note physical-slots-lost", "s"},
		"a logical slot before 17": {func(f *Facts) { f.Server.Slots = []pg.Slot{{Name: "s", Logical: true}} }, "note slots-lost", "s"},
		"a logical slot of 17":     {func(f *Facts) { f.From = 17; f.Server.Slots = []pg.Slot{{Name: "s", Logical: true}} }, "note slots-kept", "s"},
		"an invalid slot of 17":    {func(f *Facts) { f.From = 17; f.Server.Slots = []pg.Slot{{Name: "s", Logical: true, Invalid: true}} }, "refuse slot-invalid", "s"},
		"an enabled subscription before 17": {func(f *Facts) {
			f.Server.Subscriptions = []pg.Subscription{{Name: "s", Database: "d", Enabled: true}}
		}, "refuse subscriptions-enabled", `"s" in "d"`},
		"a subscription before 17": {func(f *Facts) { f.Server.Subscriptions = []pg.Subscription{{Name: "s", Database: "d"}} }, "note subscriptions-forget", `"s" in "d"`},
		"a subscription of 17":     {func(f *Facts) { f.From = 17; f.Server.Subscriptions = []pg.Subscription{{Name: "s"}} }, "note subscriptions-kept", `"s"`},
		"an event trigger":         {func(f *Facts) { f.Server.Databases[0].EventTriggers = []string{"et"} }, "note event-triggers", `et in "postgres"`},
	} {
		t.Run(name, func(t *testing.T) {
			f := sound()
			c.change(&f)
			got := Judge(f)
			if len(got) != 1 || string(got[0].Level)+" "+got[0].Code != c.want || !strings.Contains(got[0].Text, c.text) {
				t.Fatalf("%+v", got)
			}
			if got[0].Level == node.Refuse && got[0].Hint == "" {
				t.Error("no hint")
			}
		})
	}
}

func TestSpaceIsCountedPerFileSystemAndMode(t *testing.T) {
	f := sound()
	f.Places[0].Free, f.Places[1].Free = 400<<20, 400<<20
	if got := Judge(f); len(got) != 0 {
		t.Errorf("link: %+v", got)
	}
	f.Trial = true
	f.Server.Databases[0].CatalogBytes = 80 << 20
	if got := Judge(f); len(got) != 1 || !strings.Contains(got[0].Hint, "trial: off") {
		t.Errorf("with trial: %+v", got)
	}
	f = sound()
	f.Asked, f.LinkTrouble, f.CloneTrouble = node.ModeCopy, "", "ext4"
	f.Server.Tablespaces = []pg.Tablespace{{OID: 1663, Name: "pg_default", Bytes: 2 << 30}, {OID: 7, Name: "t", Bytes: 2 << 30}}
	f.Places = append(f.Places, Place{Use: UseTablespace, Path: "/t", Tablespace: 7, Device: 2, Free: 1 << 30, Inodes: NoLimit})
	got := Judge(f)
	if len(got) != 2 || !strings.Contains(got[0].Text, "/v/s") || !strings.Contains(got[1].Text, "/t") ||
		!strings.Contains(got[0].Hint, "mode link needs less") {
		t.Errorf("copy: %+v", got)
	}
	f.Asked = node.ModeLink
	if got := Judge(f); len(got) != 0 {
		t.Errorf("link: %+v", got)
	}
	// A database's catalogs are where its default tablespace is.
	f.Server.Databases[0].Tablespace, f.Server.Databases[0].CatalogBytes = 7, 1<<30
	f.Places[0].Free, f.Places[1].Free = 3<<30, 3<<30
	if got := Judge(f); len(got) != 1 || !strings.Contains(got[0].Text, "/t") {
		t.Errorf("catalogs elsewhere: %+v", got)
	}
}

func TestTheModeIsTheBestThatTheFileSystemCan(t *testing.T) {
	can, link, none := Facts{}, Facts{CloneTrouble: "c"}, Facts{CloneTrouble: "c", LinkTrouble: "l"}
	for _, c := range []struct {
		asked   node.UpgradeMode
		f       Facts
		want    node.UpgradeMode
		refused bool
	}{
		{"", can, node.ModeClone, false},
		{node.ModeAuto, can, node.ModeClone, false},
		{node.ModeAuto, link, node.ModeLink, false},
		{node.ModeAuto, none, node.ModeAuto, true},
		{node.ModeClone, can, node.ModeClone, false},
		{node.ModeClone, link, node.ModeClone, true},
		{node.ModeLink, can, node.ModeLink, false},
		{node.ModeLink, none, node.ModeLink, true},
		{node.ModeCopy, none, node.ModeCopy, false},
		{"swap", can, "swap", true},
	} {
		if got, finding := ChooseMode(c.asked, c.f); got != c.want || (finding != nil) != c.refused {
			t.Errorf("%q: %q, %v", c.asked, got, finding)
		}
	}
}

func TestTheTargetIsNewerAndThere(t *testing.T) {
	for _, c := range []struct {
		have      int
		available []int
		asked     int
		want      int
		code      string
	}{
		{15, []int{15, 17, 18}, 0, 18, ""},
		{15, []int{15, 17, 18}, 17, 17, ""},
		{18, []int{15, 17, 18}, 0, 0, "nothing-newer"},
		{18, nil, 0, 0, "nothing-newer"},
		{17, []int{17, 18}, 17, 17, "same-major"},
		{17, []int{15, 17}, 15, 15, "lower-major"},
		{15, []int{15, 17}, 16, 16, "unknown-major"},
		{15, nil, 99, 99, "unknown-major"},
	} {
		got, finding := ChooseTarget(c.have, c.available, c.asked)
		code := ""
		if finding != nil {
			code = finding.Code
		}
		if got != c.want || code != c.code {
			t.Errorf("%+v: %d, %v", c, got, finding)
		}
	}
}

func TestOnlyLibrariesThatARestoreNeedsArePreloaded(t *testing.T) {
	f := sound()
	f.Server.Preload = []pg.Preload{
		{Setting: "shared_preload_libraries", Library: "pg_stat_statements"},
		{Setting: "shared_preload_libraries", Library: "pg_cron"},
		{Setting: "shared_preload_libraries", Library: "timescaledb"},
		{Setting: "shared_preload_libraries", Library: "$libdir/citus"},
		{Setting: "session_preload_libraries", Library: "pgaudit"},
	}
	f.Server.Databases[0].Extensions = []pg.InstalledExtension{{Name: "citus"}, {Name: "pgaudit"}}
	f.Server.Databases[0].Libraries = []pg.Library{{Name: "$libdir/timescaledb-2.17.2"}}
	if got := f.Preload(); !slices.Equal(got, []string{"citus", "timescaledb"}) {
		t.Error(got)
	}
}

func TestTheLockTableGrowsWithTheRelations(t *testing.T) {
	f := sound()
	f.Server.Settings["max_connections"] = "20"
	if got := f.Locks(); got != 64 {
		t.Error(got)
	}
	f.Server.Databases[0].Relations = 50000
	if got := f.Locks(); got < 5000 {
		t.Error(got)
	}
	f.Server.Settings["max_locks_per_transaction"] = "100000"
	if got := f.Locks(); got != 100000 {
		t.Error(got)
	}
}
