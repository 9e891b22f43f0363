-- One line for each thing of this database that has contents; see snapshot.sh.
set statement_timeout = 0;
set client_min_messages = error;
set lo_compat_privileges = on;
set extra_float_digits = 1;
set bytea_output = hex;

select format($$select %L || ': ' || count(*) || ' rows, md5 ' || coalesce(md5(string_agg(m, '' order by m)), '-') from (select md5(t::text) m from only %s t) t$$,
    case relkind when 'm' then 'materialized view ' else case relpersistence when 'u' then 'unlogged ' else '' end || 'table ' end || c.oid::regclass, c.oid::regclass)
from pg_class c
where relkind in ('r', 'm') and relispopulated and relpersistence <> 't' and c.oid >= 16384 and relname !~ '^pgbaton_load' and relnamespace <> 'pg_toast'::regnamespace
order by c.oid::regclass::text
\gexec

select format($$select %L || ': last value ' || last_value || case when is_called then ', used' else '' end from %s$$, 'sequence ' || c.oid::regclass, c.oid::regclass)
from pg_class c where relkind = 'S' and relpersistence <> 't' order by c.oid::regclass::text
\gexec

select format('large object %s: %s bytes, md5 %s, of %s, rights %s, comment %s', oid, length(lo_get(oid)), md5(lo_get(oid)), lomowner::regrole, coalesce(lomacl::text, '-'), coalesce(obj_description(oid, 'pg_largeobject'), '-'))
from pg_largeobject_metadata order by oid;

select 'not populated: ' || oid::regclass from pg_class where relkind = 'm' and not relispopulated;
select 'invalid index: ' || indexrelid::regclass from pg_index where not indisvalid or not indisready;
select 'collation of another version: ' || oid::regcollation from pg_collation where collversion <> pg_collation_actual_version(oid);
select 'database whose collation is of another version' from pg_database where datname = current_database() and datcollversion <> pg_database_collation_actual_version(oid);
select 'extension ' || extname || ' in ' || extnamespace::regnamespace from pg_extension order by 1;

select to_regproc('app.selftest') is not null as selftest, exists (select from pg_extension where extname = 'amcheck') as amcheck,
  coalesce((select quote_ident(nspname) from pg_extension e join pg_namespace n on n.oid = extnamespace where extname = 'amcheck'), '') as "schema" \gset
\if :amcheck
select 'amcheck: ' || count(:schema.bt_index_parent_check(c.oid, true)::text) || ' indexes'
from pg_class c join pg_am a on a.oid = c.relam join pg_index i on i.indexrelid = c.oid join pg_class t on t.oid = i.indrelid
where a.amname = 'btree' and c.relkind = 'i' and c.relpersistence <> 't' and c.oid >= 16384 and i.indisvalid and t.relname !~ '^pgbaton_load';
\endif
\if :selftest
select 'self-test: ' || what || ': ' || coalesce(says, 'null') from app.selftest();
\endif
