//go:build realpg

package pg

import (
	"testing"
	"time"
)

func TestRealTablesWithoutStatisticsAreCounted(t *testing.T) {
	eachMajor(t, func(t *testing.T, b Binaries) {
		s := newServer(t, b, "postgres")
		s.start("-c", "autovacuum=off")
		l := s.login("postgres", -1)
		in := func(db string) Login { l := l; l.Database = db; return l }
		count := func(want int) {
			t.Helper()
			begin := time.Now()
			if n, err := StatisticsMissing(t.Context(), in); n != want || err != nil {
				t.Errorf("%d, not %d: %v", n, want, err)
			}
			t.Log(time.Since(begin))
		}
		count(0)
		s.exec(l, `create database "o""d"`)
		s.exec(in(`o"d`), "create table public.empty (a int)", "create table public.rows as select generate_series(1, 100) a",
			"create materialized view public.mv as select * from public.rows", "create table public.nothing ()",
			"create table public.off (a int)", "insert into public.off values (1)",
			"alter table public.off alter a set statistics 0", "insert into public.nothing default values")
		count(2)
		s.exec(in(`o"d`), "analyze public.rows")
		count(1)
		s.exec(in(`o"d`), "analyze", "create table public.emptied as select 1 a", "delete from public.emptied")
		count(1)
		s.exec(in(`o"d`), "analyze public.emptied") // its pages stay, its rows do not
		count(0)
		s.exec(l, `do $$ begin for i in 1..2000 loop execute format('create table public.t%s as select 1 as a', i); end loop; end $$`)
		count(2000)
	})
}
