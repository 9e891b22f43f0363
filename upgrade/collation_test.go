package upgrade

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
)

// used is what a cluster of 15 with ICU 72 has in use.
func used() []pg.DatabaseCollations {
	libc := pg.Collation{OID: pg.DefaultCollation, Provider: "c", Locale: "en_US.UTF-8", Deterministic: true, Recorded: "2.43", Actual: "2.43"}
	icu := pg.Collation{OID: pg.DefaultCollation, Provider: "i", Locale: "en", Deterministic: true, Recorded: "153.120", Actual: "153.120"}
	german := pg.Collation{OID: 12000, Name: `pg_catalog."de-x-icu"`, Provider: "i", Locale: "de", Deterministic: true, Recorded: "153.120", Actual: "153.120"}
	return []pg.DatabaseCollations{
		{Database: "icu", Connect: true, Default: icu, Used: []pg.Collation{german}},
		{Database: "libc", Connect: true, Default: libc},
		{Database: "mixed", Connect: true, Default: libc, Used: []pg.Collation{german}},
		{Database: "template0", Default: icu},
		{Database: "c", Connect: true, Default: pg.Collation{OID: pg.DefaultCollation, Provider: "c", Locale: "C"}},
	}
}

func TestOnlyLocalesOfICUAreAskedForOnce(t *testing.T) {
	got := LocalesToAsk(used())
	want := []pg.Locale{{Provider: "i", Locale: "en"}, {Provider: "i", Locale: "de"}}
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := LocalesToAsk(used()[1:2]); len(got) != 0 {
		t.Errorf("libc alone: %v", got)
	}
}

func changedNames(impacts []CollationImpact) (res []string) {
	for _, c := range impacts {
		for _, x := range c.Changed {
			res = append(res, fmt.Sprintf("%s:%d:%s", c.Database, x.OID, x.New))
		}
	}
	return res
}

func TestACollationChangesWhereTheRecordedVersionIsNotTheNewMajors(t *testing.T) {
	english, german := pg.Locale{Provider: "i", Locale: "en"}, pg.Locale{Provider: "i", Locale: "de"}
	for name, c := range map[string]struct {
		asked map[pg.Locale]string
		want  []string
	}{
		"the same ICU":      {map[pg.Locale]string{english: "153.120", german: "153.120"}, nil},
		"another ICU":       {map[pg.Locale]string{english: "153.128", german: "153.128"}, []string{"icu:100:153.128", "icu:12000:153.128", "mixed:12000:153.128"}},
		"an unknown locale": {map[pg.Locale]string{english: "153.120"}, []string{"icu:12000:", "mixed:12000:"}},
	} {
		if got := changedNames(ChangedUnder(used(), c.asked)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := ChangedNow(used()); len(got) != 0 {
		t.Errorf("nothing changed: %v", got)
	}
	old := used()
	old[1].Default.Recorded = "2.36" // built under another libc, and never rebuilt
	if got := changedNames(ChangedUnder(old, map[pg.Locale]string{english: "153.120", german: "153.120"})); !slices.Equal(got, []string{"libc:100:2.43"}) {
		t.Errorf("another libc before: %q", got)
	}
}

func TestVersionsThatPgUpgradeForgetsAreFoundByTheCensus(t *testing.T) {
	before := Census{Databases: []pg.DatabaseCensus{{Name: "icu", Collations: used()[0].Used}, {Name: "gone", Collations: used()[0].Used}}}
	now := used()
	now[0].Used[0].OID, now[0].Used[0].Recorded, now[0].Used[0].Actual = 13000, "153.128", "153.128"
	lost := LostVersions(before, now)
	if len(lost) != 1 || len(lost["icu"]) != 1 || lost["icu"][0].OID != 13000 || lost["icu"][0].Recorded != "153.120" {
		t.Errorf("%v", lost)
	}
	if lost := LostVersions(before, used()); len(lost) != 0 {
		t.Errorf("carried over: %v", lost)
	}
}

func TestOnlyConstraintsAreRebuiltBeforeOpeningUnlessAllAreAskedFor(t *testing.T) {
	plain, unique, exclusion := pg.Index{}, pg.Index{Unique: true}, pg.Index{Exclusion: true}
	for mode, want := range map[node.ReindexMode][3]bool{
		"": {false, true, true}, node.ReindexAuto: {false, true, true}, node.ReindexChanged: {true, true, true}, node.ReindexOff: {},
	} {
		got := [3]bool{BeforeOpening(plain, mode), BeforeOpening(unique, mode), BeforeOpening(exclusion, mode)}
		if got != want {
			t.Errorf("%q: %v", mode, got)
		}
	}
}

func TestPartitionBoundsMoveOnlyWhereOrderOrEqualityDecides(t *testing.T) {
	for _, c := range []struct {
		strategy      string
		deterministic bool
		moves         bool
	}{
		{"r", true, true},
		{"r", false, true},
		{"l", true, false},
		{"l", false, true},
		{"h", true, false},
		{"h", false, true},
	} {
		got := len(Unmovable([]pg.PartitionKey{{Table: "t", Strategy: c.strategy, Deterministic: c.deterministic}})) == 1
		if got != c.moves {
			t.Errorf("%+v", c)
		}
	}
}

func TestTheTimeOfRebuildsIsThatOfTheLargestOrOfAllOverTheConnections(t *testing.T) {
	gigabyte := pg.Index{Bytes: 1 << 30}
	one := RebuildTime([]pg.Index{gigabyte}, 8)
	if one != (1<<30)/RebuildRate*time.Second+RebuildEach {
		t.Error(one)
	}
	if all := RebuildTime([]pg.Index{gigabyte, gigabyte, gigabyte, gigabyte}, 2); all != 2*one {
		t.Error(all)
	}
	if none := RebuildTime(nil, 0); none != 0 {
		t.Error(none)
	}
}

func impact(unique int64) []CollationImpact {
	c := CollationImpact{Database: `o"d`, Indexes: []pg.Index{{Name: "public.u", Unique: true, Bytes: unique}, {Name: "public.p", Bytes: 1 << 40}}}
	c.Changed = []ChangedCollation{
		{used()[0].Default, "153.128"},
		{used()[0].Used[0], "153.128"},
	}
	return []CollationImpact{c}
}

func TestRebuildsThatWouldKeepClientsOutForLongAreRefusedWithTheChoices(t *testing.T) {
	for name, c := range map[string]struct {
		unique  int64
		mode    node.ReindexMode
		refused bool
		hint    string
	}{
		"a small unique index":                    {1 << 20, "", false, ""},
		"a huge unique index":                     {100 << 30, node.ReindexAuto, true, "reindex: off"},
		"a huge plain index, and all asked for":   {1 << 20, node.ReindexChanged, true, "reindex: auto"},
		"a huge unique index, and none asked for": {100 << 30, node.ReindexOff, false, ""},
	} {
		found := CollationFindings(impact(c.unique), c.mode, 1)
		last := found[len(found)-1]
		if (last.Level == node.Refuse) != c.refused || c.refused && (last.Code != "collation-rebuild-time" || !strings.Contains(last.Hint, c.hint)) {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

func TestTheCommandsThatMendRecordTheVersionLast(t *testing.T) {
	c := impact(1)[0]
	c.Indexes = append(c.Indexes, pg.Index{Name: "public.x", Exclusion: true})
	want := `connect to database "o""d" and run: REINDEX INDEX CONCURRENTLY public.u; REINDEX INDEX CONCURRENTLY public.p; REINDEX INDEX public.x; ` +
		`ALTER DATABASE "o""d" REFRESH COLLATION VERSION; ALTER COLLATION pg_catalog."de-x-icu" REFRESH VERSION`
	if got := MendHint(c); got != want {
		t.Errorf("%s", got)
	}
	for range 30 {
		c.Indexes = append(c.Indexes, pg.Index{Name: "public.many"})
	}
	want = `connect to database "o""d" and run: REINDEX DATABASE CONCURRENTLY "o""d"; REINDEX INDEX public.x; ALTER DATABASE`
	if got := MendHint(c); !strings.HasPrefix(got, want) {
		t.Errorf("%s", got)
	}
}

func TestALongListNamesSomeAndCountsTheOthers(t *testing.T) {
	if got := some(strings.Split("abcdefghij", "")); got != "a, b, c, d, e, f, g, h and 2 others" {
		t.Error(got)
	}
}
