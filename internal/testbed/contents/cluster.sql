-- Roles, databases and a tablespace: what pg_dumpall --globals-only knows.
-- Variables: space (a directory, empty: no tablespace).
set password_encryption = 'scram-sha-256';

create role owner login password 'owner''s "password"' createdb valid until '2099-12-31 23:59:59+00';
create role "Group with blanks" nologin noinherit;
create role "UPPER" login password 'UPPER' connection limit 7 bypassrls;
create role "quote "" and ' and \ and $(x)" login createrole;
create role "Ünïcödé 名前" login replication password 'пароль';
-- A password as a dump carries it, of the older method.
create role legacy login password 'md53175bce1d3201d16594cebf9d7eb3f9d';
create role nobody_special;
create role "a-name-of-exactly-sixty-three-bytes-is-the-longest-that-there-is" nologin;
comment on role owner is 'owns most of it; a quote '' and a "double" one';
grant "Group with blanks" to owner with admin option;
grant "Group with blanks" to "UPPER";
grant pg_read_all_stats to "UPPER";
grant owner to "quote "" and ' and \ and $(x)";
alter role owner set work_mem = '7MB';
alter role owner set search_path = 'Odd "Schema"', public;
alter role "UPPER" set my.setting = 'with blank and ''quote''';
grant set on parameter log_min_duration_statement to owner;
alter role all set idle_in_transaction_session_timeout = '1h';

select :'space' <> '' as with_space \gset
\if :with_space
create tablespace "Fast Space" owner owner location :'space' with (random_page_cost = 1.1);
comment on tablespace "Fast Space" is 'elsewhere';
grant create on tablespace "Fast Space" to "UPPER";
\endif

-- What template1 has, every database made from it has too.
\connect template1
create function public.of_template1() returns text language sql return 'from template1';
comment on function public.of_template1() is 'added to template1';
\connect postgres

create database everything owner owner connection limit 50;
alter database everything set statement_timeout = '10min';
alter database everything set my.app = 'a, b';
alter role owner in database everything set maintenance_work_mem = '33MB';
alter role "UPPER" in database everything set statement_timeout = '5min';
comment on database everything is E'every kind of object\nin two lines';
revoke connect on database everything from public;
grant connect, temporary on database everything to "Group with blanks" with grant option;

create database "Odd ""db"" 'q' $(x) \ Ünïcödé = %s" owner "UPPER" template template0;
alter database "Odd ""db"" 'q' $(x) \ Ünïcödé = %s" set DateStyle = 'SQL, DMY';
create database icu template template0 encoding 'UTF8' locale_provider icu icu_locale 'de-DE' locale 'en_US.utf8';
create database latin1 template template0 encoding 'LATIN1' locale 'C';
