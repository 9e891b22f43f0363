-- Last: what later objects would change, and statistics.
set search_path = app, public;
create table "Odd ""Schema""".published (n int primary key);
insert into "Odd ""Schema""".published values (1);
refresh materialized view app.per_customer;
vacuum (freeze, analyze) app.measures_2020;
analyze;
