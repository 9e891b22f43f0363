//go:build realpg

package inplace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// words fills a table with letters that Unicode knows only since 15.1 and 16,
// beside old ones: ICU 72 sorts them by code point, later ones elsewhere.
const words = `select chr(c) || 'x' || n from unnest(array[97, 122, 1078, 7305, 42955, 68928, 92160, 191472]) c,
	generate_series(1, 40) n`

// icuCluster has collations in every place that a REINDEX mends.
func icuCluster(r *rig) {
	r.start()
	r.sql("postgres", "create database icu template template0 locale_provider icu icu_locale 'en'",
		`create database "o""d d"`, "create database plain")
	content := []string{
		"create extension btree_gist version '1.2'",
		"create extension hstore version '1.4'",
		"create extension pg_trgm version '1.3'",
		"create collation mine (provider = icu, locale = 'de-u-co-phonebk')",
		"create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
		`create type trange as range (subtype = text, collation = "fr-x-icu")`,
		`create type pair as (n int, w text collate "sv-x-icu")`,
		"create domain nick as text collate mine",
		`create table t (d text, k text collate "de-x-icu", m text collate mine, l text collate loose,
			r trange, p pair, nk nick, c text collate "C", j int)`,
		"insert into t select w, w, w, w, trange(w, null), row(1, w)::pair, w, w, 1 from (" + words + ") x(w)",
		"create index d_plain on t (d)", "create index d_expr on t ((length(lower(d)))) where d > 'b'",
		"create index d_hash on t using hash (d)",
		"create unique index k_unique on t (k)", "create index m_plain on t (m)",
		"create unique index l_unique on t (l)", "create index l_hash on t using hash (l)",
		"create index r_plain on t (r)", "create index p_plain on t (p)", "create index nk_plain on t (nk)",
		"alter table t add constraint k_exclude exclude using gist (k with =)",
		"create unique index c_unique on t (c)", "create index j_plain on t (j)",
		"create index d_trgm on t using gin (d gin_trgm_ops)",
		`create table parts (country text collate "de-x-icu", v int, primary key (country, v)) partition by list (country)`,
		"create table parts_a partition of parts for values in ('a', 'b')", "create table parts_rest partition of parts default",
		"insert into parts values ('a', 1), ('z', 2)",
		`create materialized view mv as select k from t order by k limit 10`,
		`alter table t add constraint k_check check (k > '' collate "de-x-icu")`,
		"analyze",
	}
	r.sql("icu", content...)
	r.sql(`o"d d`, content...)
	r.sql("plain", `create table t (a text primary key, b text collate "en_US")`, "create index b_plain on t (b)",
		"insert into t select w, w from ("+words+") x(w)", "analyze")
}

// inOldOrder are the indexes of icuCluster whose collation changed, in a
// database whose own collation is libc's.
var inOldOrder = []string{"k_exclude", "k_unique", "l_hash", "l_unique", "m_plain", "nk_plain", "p_plain", "parts_a_pkey", "parts_rest_pkey", "r_plain"}

func TestRealIndexesAreRightAndVersionsRefreshedAfterAnUpgradeToAnotherICU(t *testing.T) {
	for _, major := range []int{17, 18} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			r := newRig(t, 15, major)
			icuCluster(r)
			begin := time.Now()
			found := r.found(CollationFindings(t.Context(), &r.site, r.session, node.UpgradeRequest{}, r.progress))
			t.Logf("preflight: %v", time.Since(begin))
			r.codes(found, "note collation-dependents", "note collation-dependents", "note collation-version", "note collation-version")
			before := r.census()
			r.upgrade()
			for _, db := range []string{"icu", `o"d d`} {
				if wrong := r.wrong(db); !slices.Contains(wrong, "k_unique") || !slices.Contains(wrong, "m_plain") {
					t.Errorf("the sample does not show the trouble: only %q are out of order", wrong)
				}
				r.sql(db, "drop extension amcheck")
			}
			r.verified(before)
			r.codes(r.rebuild(before, node.ReindexAuto))
			for _, db := range []string{"icu", `o"d d`} {
				for _, name := range r.wrong(db) {
					if strings.Contains(name, "unique") || strings.Contains(name, "pkey") {
						t.Errorf("%s is not right before opening", name)
					}
				}
			}
			if len(r.mismatches()) == 0 || !r.staleFile() {
				t.Error("versions were refreshed before everything was rebuilt")
			}
			r.codes(r.after(node.UpgradeRequest{}))
			for _, db := range []string{"icu", `o"d d`, "plain"} {
				if wrong := r.wrong(db); len(wrong) != 0 {
					t.Errorf("%s: %q are out of order", db, wrong)
				}
				r.same(db, "select count(*) from pg_index where not indisvalid", "0")
			}
			if left := r.mismatches(); len(left) != 0 || r.staleFile() {
				t.Errorf("left: %q", left)
			}
			for _, x := range []string{"hstore 1.4", "pg_trgm 1.3", "btree_gist 1.2"} {
				name, old, _ := strings.Cut(x, " ")
				r.same("icu", "select extversion <> '"+old+"' and extversion = default_version from pg_extension join pg_available_extensions on name = extname where name = '"+name+"'", "t")
			}
			if n, err := pg.StatisticsMissing(t.Context(), r.srv.Login); n != 0 || err != nil {
				t.Errorf("%d tables without statistics, %v", n, err)
			}
			r.codes(r.after(node.UpgradeRequest{})) // once more changes nothing
		})
	}
}

func TestRealPreflightNamesExactlyTheIndexesThatChange(t *testing.T) {
	r := newRig(t, 15, 17)
	icuCluster(r)
	asked := []pg.Locale{{Provider: "i", Locale: "de"}, {Provider: "i", Locale: "de-u-co-phonebk"}, {Provider: "i", Locale: `o'd\d`}}
	got, err := r.site.newVersions(t.Context(), asked, r.progress)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(got)
	if v := got[asked[0]]; v == "" || v == r.sql("icu", `select collversion from pg_collation where collname = 'de-x-icu'`) {
		t.Errorf("version of de is %q", v)
	}
	dbs, err := pg.UsedCollations(t.Context(), r.srv.Login)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dbs {
		var ids []uint32
		for _, c := range append([]pg.Collation{d.Default}, d.Used...) {
			if c.Provider == "i" {
				ids = append(ids, c.OID)
			}
		}
		if len(ids) == 0 {
			continue
		}
		found, err := r.srv.Login(d.Database).AffectedIndexes(t.Context(), ids)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, i := range found {
			names = append(names, strings.TrimPrefix(i.Name, "public."))
		}
		slices.Sort(names)
		want := inOldOrder
		if d.Database == "icu" {
			want = append(slices.Clone(want), "d_expr", "d_plain", "d_trgm")
			slices.Sort(want)
		}
		if !slices.Equal(names, want) {
			t.Errorf("%s: %q, not %q", d.Database, names, want)
		}
	}
}

func TestRealPartitionBoundsOfAChangedCollationAreRefused(t *testing.T) {
	r := newRig(t, 15, 18)
	r.start()
	r.sql("postgres", "create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
		`create table ranges (k text collate "de-x-icu") partition by range (k)`,
		`create table lists (k text collate "de-x-icu") partition by list (k)`,
		`create table loose_lists (k text collate loose) partition by list (k)`,
		`create table byexpr (k text collate "de-x-icu") partition by range (lower(k))`,
		`create table bytes (k text collate "C") partition by range (k)`)
	found := r.found(CollationFindings(t.Context(), &r.site, r.session, node.UpgradeRequest{}, r.progress))
	r.codes(found, "note collation-version", "refuse collation-partition-bounds")
	text := found[1].Text
	for _, name := range []string{"public.ranges", "public.loose_lists", "public.byexpr"} {
		if !strings.Contains(text, name) {
			t.Errorf("%s is not named: %s", name, text)
		}
	}
	for _, name := range []string{"public.lists", "public.bytes"} {
		if strings.Contains(text, name) {
			t.Errorf("%s is named: %s", name, text)
		}
	}
}

func TestRealAClusterOfLibcOnlyNeedsNothing(t *testing.T) {
	r := newRig(t, 15, 18)
	r.start()
	r.sql("postgres", "do $$ begin for i in 1..200 loop execute format('create table t%s (a int primary key, b text unique)', i); end loop; end $$",
		"insert into t1 select i, i from generate_series(1, 1000) i", "analyze")
	begin := time.Now()
	r.codes(r.found(CollationFindings(t.Context(), &r.site, r.session, node.UpgradeRequest{}, r.progress)))
	t.Logf("preflight: %v", time.Since(begin))
	before := r.census()
	r.upgrade()
	r.census()
	r.verified(before)
	r.codes(r.rebuild(before, ""))
	if r.staleFile() {
		t.Error("something is stale")
	}
	r.codes(r.after(node.UpgradeRequest{Analyze: node.AnalyzeFull}))
	if found := r.mismatches(); len(found) != 0 {
		t.Error(found)
	}
}

func TestRealADuplicateThatARebuildFindsIsReportedAndTheRestGoesOn(t *testing.T) {
	r := newRig(t, 15, 17)
	r.start()
	r.sql("postgres", `create table t (a text collate "de-x-icu" constraint a_key unique, b text collate "sv-x-icu" constraint b_key unique)`,
		"insert into t values ('a', 'a'), ('b', 'b')",
		"update pg_index set indisunique = false where indexrelid = 'a_key'::regclass",
		"insert into t values ('a', 'c')",
		"update pg_index set indisunique = true where indexrelid = 'a_key'::regclass")
	before := r.census()
	r.upgrade()
	r.verified(before)
	found := r.rebuild(before, "")
	r.codes(found, "note reindex-failed")
	if !strings.Contains(found[0].Text, "public.a_key") || !strings.Contains(found[0].Detail, "(a)=(a) is duplicated") {
		t.Error(found)
	}
	r.codes(r.after(node.UpgradeRequest{Analyze: node.AnalyzeOff}), "note collation-stale-indexes")
	if left := r.mismatches(); len(left) != 1 || !strings.Contains(left[0], "de-x-icu") {
		t.Errorf("the version of de-x-icu alone should show: %q", left)
	}
	r.sql("postgres", "delete from t where b = 'c'", "reindex index a_key")
	r.codes(r.after(node.UpgradeRequest{Analyze: node.AnalyzeOff}))
	if left := r.mismatches(); len(left) != 0 || r.staleFile() {
		t.Errorf("left: %q", left)
	}
}

// A template whose version differs refuses to be copied.
func TestRealDatabasesCanBeMadeAtOnceWhereTheWholeClusterIsOfICU(t *testing.T) {
	for _, major := range []int{17, 18} {
		r := newRig(t, 15, major, "--locale-provider=icu", "--icu-locale=de")
		r.start()
		r.sql("postgres", "create table t (a text primary key, b text)", "create index b_plain on t (b)",
			"insert into t select w, w from ("+words+") x(w)")
		r.codes(r.found(CollationFindings(t.Context(), &r.site, r.session, node.UpgradeRequest{}, r.progress)),
			"note collation-version", "note collation-version") // template1 too
		before := r.census()
		r.upgrade()
		if _, err := r.psql("postgres", "-c", "create database early"); err == nil {
			t.Error("the sample does not show the trouble")
		}
		r.verified(before)
		r.codes(r.rebuild(before, ""))
		r.sql("postgres", "create database fresh", "create database other template template0")
		r.codes(r.after(node.UpgradeRequest{}))
		if left, wrong := r.mismatches(), r.wrong("postgres"); len(left) != 0 || len(wrong) != 0 {
			t.Errorf("%q, %q", left, wrong)
		}
		r.stop()
	}
}

func TestRealAnExtensionThatCannotBeUpdatedIsReportedAndTheOthersAreUpdated(t *testing.T) {
	r := newRig(t, 17, 17)
	r.start()
	r.sql("postgres", "create extension hstore version '1.4'", "create extension pg_trgm version '1.3'", "create extension citext",
		"update pg_extension set extversion = '0.1' where extname = 'citext'",
		// The update script makes a function of this name.
		"create function strict_word_similarity(text, text) returns real language sql as 'select 0::real'")
	found := r.after(node.UpgradeRequest{Analyze: node.AnalyzeOff})
	r.codes(found, "note extension-update", "note extension-update")
	if !strings.Contains(found[0].Text, "extension citext") || !strings.Contains(found[0].Text, "know no way") {
		t.Error(found[0])
	}
	if !strings.Contains(found[1].Text, "strict_word_similarity") || !strings.Contains(found[1].Hint, `ALTER EXTENSION "pg_trgm" UPDATE`) {
		t.Error(found[1])
	}
	r.same("postgres", "select string_agg(extname || ' ' || (extversion = default_version), ', ' order by extname) "+
		"from pg_extension join pg_available_extensions on name = extname where extname <> 'plpgsql'",
		"citext false, hstore true, pg_trgm false")
}

// Unicode 16 has U+1C89 and U+1C8A as a letter in both cases: since then they are
// equal to a collation that does not look at case.
func TestRealAUniqueIndexOfLettersThatBecameEqualStaysAndIsReported(t *testing.T) {
	r := newRig(t, 15, 17)
	r.start()
	r.sql("postgres", "create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
		"create table t (a text collate loose primary key)", "insert into t values (chr(7305)), (chr(7306))")
	before := r.census()
	r.upgrade()
	r.codes(r.rebuild(before, ""), "note reindex-failed")
	r.codes(r.after(node.UpgradeRequest{Analyze: node.AnalyzeOff}), "note collation-stale-indexes")
	r.same("postgres", "select count(*) from t", "2")
}

func TestRealReindexOffNamesWhatIsLeftAndChangedLeavesNothing(t *testing.T) {
	for _, mode := range []node.ReindexMode{node.ReindexOff, node.ReindexChanged} {
		t.Run(string(mode), func(t *testing.T) {
			r := newRig(t, 15, 18)
			r.start()
			r.sql("postgres", `create table t (a text collate "de-x-icu" primary key, b text collate "de-x-icu")`,
				"create index b_plain on t (b)", "insert into t select w, w from ("+words+") x(w)")
			before := r.census()
			r.upgrade()
			found := r.rebuild(before, mode)
			if mode == node.ReindexChanged {
				r.codes(found)
				if left := r.mismatches(); len(left) != 0 {
					t.Errorf("left: %q", left)
				}
				return
			}
			r.codes(found, "note collation-stale-indexes")
			r.codes(r.after(node.UpgradeRequest{Reindex: mode}))
			if left := r.mismatches(); len(left) != 1 {
				t.Errorf("the server does not know that its indexes are in the old order: %q", left)
			}
			_, commands, _ := strings.Cut(found[0].Hint, " and run: ")
			for q := range strings.SplitSeq(commands, "; ") {
				r.sql("postgres", q)
			}
			if left, wrong := r.mismatches(), r.wrong("postgres"); len(left) != 0 || len(wrong) != 0 {
				t.Errorf("the commands did not mend it: %q, %q", left, wrong)
			}
		})
	}
}

func TestRealARebuildThatWasKilledIsBegunAgainAndLeavesNothing(t *testing.T) {
	r := newRig(t, 15, 18)
	r.start()
	r.sql("postgres", `create table t (a text collate "de-x-icu", b text collate "sv-x-icu")`,
		"create index a_plain on t (a)", "create index b_plain on t (b)", "insert into t select w, w from ("+words+") x(w)")
	before := r.census()
	r.upgrade()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := RebuildBeforeOpening(ctx, &r.site, func(ctx context.Context, do func(context.Context, func(string) pg.Login) error) error {
		return do(ctx, func(db string) pg.Login {
			if r.staleFile() {
				cancel() // as soon as the list is written
			}
			return r.srv.Login(db)
		})
	}, before, node.UpgradeRequest{}, 1, r.progress)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	r.codes(r.rebuild(before, ""))

	// A writer that does not end makes the rebuild wait, and there it dies.
	blocked := r.site.spec(r.b, "psql", "-Xq", "-h", r.srv.SocketDir(), "-U", "postgres", "-c",
		"begin; insert into t values ('held', 'held'); select pg_sleep(600)", "postgres")
	held, release := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _, _ = proc.Output(held, blocked) }()
	t.Cleanup(func() { release(); <-ended })
	r.until("select count(*) from pg_stat_activity where query ~ 'held' and pid <> pg_backend_pid()", "1")
	ctx, cancel = context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := After(ctx, &r.site, r.session, node.UpgradeRequest{Analyze: node.AnalyzeOff}, 1, r.progress)
		gone <- err
	}()
	r.until(`select count(*) from pg_class where relname ~ '_ccnew'`, "1")
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	r.same("postgres", "select count(*) from pg_index where not indisvalid", "1")
	release()
	<-ended
	r.sql("postgres", "select pg_terminate_backend(pid) from pg_stat_activity where query ~ 'held' and pid <> pg_backend_pid()")
	r.codes(r.after(node.UpgradeRequest{Analyze: node.AnalyzeOff}))
	r.same("postgres", "select count(*) from pg_class where relname ~ '_cc'", "0")
	if left, wrong := r.mismatches(), r.wrong("postgres"); len(left) != 0 || len(wrong) != 0 {
		t.Errorf("%q, %q", left, wrong)
	}
}
