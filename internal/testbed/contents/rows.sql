-- A little of everything that has contents.
create table whole (id bigint generated always as identity primary key, t text unique, at timestamptz default '2020-01-01 00:00:00+00');
insert into whole (t) select md5(n::text) from generate_series(1, 1000) n;
create table toasted (id int primary key, t text);
alter table toasted alter column t set storage external;
insert into toasted select n, (select string_agg(md5((n * 1000 + i)::text), '') from generate_series(1, 100) i) from generate_series(1, 20) n;
create table german (t text collate "de-x-icu" primary key);
insert into german select w || n from unnest(array['ä', 'a', 'Z', 'ß']) w, generate_series(1, 20) n;
create unlogged table scratch as select n from generate_series(1, 100) n;
create materialized view counted as select count(*) from whole;
create sequence numbers start 1000 increment 7;
select nextval('numbers'), nextval('numbers');
select lo_from_bytea(4000000001, convert_to(repeat('large object ', 5000), 'UTF8'));
create extension amcheck;
create extension hstore;
create table pairs (h hstore);
insert into pairs select hstore('k' || n, 'v') from generate_series(1, 10) n;
create role reader login password 'reader';
grant select on whole to reader;
