-- A database, schemas, tables and columns with names that break quoting.
create schema "sch""ema; drop table x; --" authorization "quote "" and ' and \ and $(x)";
set search_path = "sch""ema; drop table x; --";
create table "select" ("from" int primary key, "where'" text default 'it''s \ "so"', "ünï cödé" date, "a.b" int);
insert into "select" select n, 'row ' || n, date '2020-01-01' + n, -n from generate_series(1, 50) n;
create sequence "seq uence" start 5 owned by "select"."a.b";
select nextval('"seq uence"');
create index "in""dex" on "select" ("where'");
create view "vi'ew" as select "from" as "FROM", "where'" from "select";
create function "fu""nc"("ar g" int) returns int language sql as 'select "ar g" + 1';
comment on table "select" is 'comment with ''quotes'', "doubles", \ and
a second line';
comment on column "select"."where'" is E'tab\there';
grant select ("from"), update ("where'") on "select" to "Ünïcödé 名前";
create table public."%s %d \n ${x} `id`" (a int);
insert into public."%s %d \n ${x} `id`" values (1);
create table "a_table_name_of_sixty_three_bytes_is_as_long_as_it_is_allowed_x" ("a_column_name_of_sixty_three_bytes_is_as_long_as_it_is_allowed_" int);
