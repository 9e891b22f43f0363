-- A database whose default collation is ICU's: every text index depends on it.
create table names (n int generated always as identity primary key, name text unique not null);
insert into names (name) select prefix || n from unnest(array['Ä', 'a', 'Z', 'ö', 'straße ', 'Strasse ', 'é']) prefix, generate_series(1, 20) n;
create index names_lower on names (lower(name));
create table halves (t text not null, c text collate "C") partition by hash (t);
create table halves_0 partition of halves for values with (modulus 2, remainder 0);
create table halves_1 partition of halves for values with (modulus 2, remainder 1);
insert into halves select name, name from names;
create extension amcheck;
create view sorted as select name from names order by name;
