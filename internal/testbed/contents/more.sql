-- Collations, contrib extensions in use, foreign tables, the tablespace.
set role owner;
set search_path = app, public;
create collation phonebook (provider = icu, locale = 'de-u-co-phonebk');
create collation blind (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
create collation libc_en (provider = libc, locale = 'en_US.utf8');
comment on collation phonebook is 'German telephone books';
create table collated (n int primary key, d text, i text collate "de-x-icu", p text collate phonebook unique, b text collate blind unique, l text collate libc_en, c text collate "C", u text collate "und-x-icu");
insert into collated select n, t, t, t, t, t, t, t from (select row_number() over ()::int n, w || i as t from unnest(array['Äpfel', 'Apfel2x', 'Öl', 'öde', 'zebra', 'Zürich', 'ss', 'ßz', 'a b', 'a-b', '名前']) w, generate_series(1, 9) i) s on conflict do nothing;
create index on collated (i);
create index on collated (l, i desc);
create index on collated (lower(u));
create index collated_expression on collated ((c collate "de-x-icu"));
create view collated_view as select n, i collate phonebook as p from collated order by 2;
reset role;
set search_path = app, public;

create schema ext;
create extension hstore schema ext;
create extension pg_trgm schema public;
create extension citext schema public;
create extension btree_gist;
create extension btree_gin;
create extension pgcrypto schema ext;
create extension postgres_fdw;
create extension file_fdw;
create extension pg_stat_statements;
create extension tablefunc;
create extension ltree;
create extension intarray;
create extension "uuid-ossp" schema ext;
create extension cube;
create extension earthdistance;
create extension unaccent;
create extension fuzzystrmatch;
create extension bloom;
create extension seg;
create extension isn;
create extension lo;
create extension dict_int;
create extension xml2;
create extension dblink;
create extension amcheck;
create extension pg_visibility;
create extension pageinspect;
create extension pg_buffercache;
create extension pg_prewarm;
create extension pgstattuple;
create extension tcn;
comment on extension hstore is 'ours now';
grant usage on schema ext to public;
alter default privileges for role owner in schema app grant usage on sequences to "UPPER";

create table in_use (
  id uuid primary key default ext.gen_random_uuid(), h ext.hstore, ci citext unique, path ltree, ints int[], room int, during tsrange, word text, cu cube, sg seg, book isbn, big lo,
  made uuid default ext.uuid_generate_v4(), exclude using gist (room with =, during with &&)
);
alter table in_use owner to owner;
insert into in_use (id, h, ci, path, ints, room, during, word, cu, sg, book, big, made)
select md5(n::text)::uuid, ext.hstore('k' || n, 'v' || n), 'Citext' || n, ('top.a' || n % 5 || '.b' || n)::ltree, array[n, n * 2, n * 3], n % 3, tsrange(timestamp '2020-01-01' + n * interval '1 day', timestamp '2020-01-01' + n * interval '1 day 1 hour'),
  'word number ' || n, cube(array[n, n + 1, n + 2]::float8[]), (n || ' .. ' || n + 1)::seg, '0-306-40615-2', case when n = 1 then 16000001 end, md5('made' || n)::uuid
from generate_series(1, 60) n;
create index on in_use using gin (h);
create index on in_use using gist (h);
create index on in_use using gin (word gin_trgm_ops);
create index on in_use using gist (word gist_trgm_ops);
create index on in_use using gist (path);
create index on in_use using gin (ints gin__int_ops);
create index on in_use using gist (cu);
create index on in_use using gist (sg);
create index on in_use using bloom (room, word);
create index on in_use using gin (room);
create text search dictionary ints (template = intdict_template, maxlen = 4);
create text search configuration bare (copy = simple);
alter text search configuration bare alter mapping for hword, hword_part, word with unaccent, simple;
create table encrypted as select n, ext.digest('secret ' || n, 'sha256') as hash, ext.crypt('pass' || n, '$2a$04$abcdefghijklmnopqrstuu') as pass from generate_series(1, 5) n;
create materialized view similar_words as select word, similarity(word, 'word number 7') as s from in_use;
create view crossed as select * from crosstab('select room, (array[''a'', ''b''])[1 + ints[1] % 2], max(ints[1]) from app.in_use group by 1, 2 order by 1, 2') as ct (room int, a int, b int);
create trigger manage before update or delete on in_use for each row execute function lo_manage(big);
create trigger moved after insert on in_use for each row execute function triggered_change_notification();

create server loop foreign data wrapper postgres_fdw options (host '/nowhere', dbname 'everything', fetch_size '50');
create user mapping for owner server loop options (user 'owner', password 'it''s secret');
create user mapping for public server loop options (user 'public');
grant usage on foreign server loop to owner;
create foreign table remote_orders (id int options (column_name 'id'), customer text) server loop options (schema_name 'app', table_name 'orders');
comment on server loop is 'nowhere';
create foreign data wrapper dummy options (debug 'true');
create server files foreign data wrapper file_fdw;
create foreign table hosts (line text) server files options (filename '/etc/hostname', format 'text');

select exists (select from pg_tablespace where spcname = 'Fast Space') as with_space \gset
\if :with_space
create table elsewhere (n int primary key using index tablespace "Fast Space", t text) tablespace "Fast Space";
insert into elsewhere select n, repeat('elsewhere ', n) from generate_series(1, 200) n;
create index elsewhere_t on elsewhere (t) tablespace "Fast Space";
create index past_elsewhere on past (c) tablespace "Fast Space";
create unlogged table scratch_elsewhere tablespace "Fast Space" as select n from generate_series(1, 50) n;
create materialized view filled_elsewhere tablespace "Fast Space" as select count(*) from elsewhere;
\endif

create function selftest() returns table (what text, says text) language sql set search_path from current as $$
  values ('variadic', add_all(1, 2, 3)::text), ('standard body', standard_body(7)::text), ('any', any_first(array['x', 'y'])), ('definer', reveal()),
    ('operator', (3 operator(app.~=~~) 4)::text), ('template1', public.of_template1())
  union all select 'set returning', string_agg(r::text, ' ' order by r.n) from rows_of() r
  union all select 'aggregates', product(n)::text || ' ' || middle(0.5) within group (order by n::text) from generate_series(1, 5) n
  union all select 'moving', string_agg(s::text, ' ') from (select moving_sum(n) over (order by n rows 1 preceding) s from generate_series(1, 5) n) x
  union all select 'cast', string_agg((m::int)::text, ' ' order by id) from kinds where m is not null
  union all select 'phone book', string_agg(p, ' ' order by p) from collated
  union all select 'indexed', string_agg(n::text, ' ' order by n) from collated where b = 'apfel2x1' or p = 'Öl3' or i = 'zebra2' or lower(u) = 'zürich4' or c collate "de-x-icu" = 'ß'
  union all select 'citext', count(*)::text from in_use where ci = 'cITEXT7'
  union all select 'ltree', count(*)::text from in_use where path ~ 'top.a1.*'
  union all select 'trigrams', count(*)::text from in_use where word ilike '%number 1%'
  union all select 'hstore', count(*)::text from in_use where h operator(ext.?) 'k7'
  union all select 'intarray', count(*)::text from in_use where ints @@ '20&!3'::query_int
  union all select 'crosstab', string_agg(c::text, ' ') from crossed c
  union all select 'pgcrypto', string_agg((pass = ext.crypt('pass' || n, pass))::text, ' ') from encrypted
  union all select 'search', to_tsvector('simple_english', 'the foxes')::text || ts_lexize('unaccent', 'Hôtel')::text || ts_lexize('ints', '123456')::text
  union all select 'planned by index', count(*)::text from wide where to_tsvector('simple_english', plain) @@ 'abc1abc1' is not null
$$;
