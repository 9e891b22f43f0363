-- Functions, views, rules, triggers, and what depends on them.
set role owner;
set search_path = app, public;

create function add_all(variadic ns int[]) returns int language sql immutable strict parallel safe cost 5 return (select sum(n) from unnest(ns) n);
create function standard_body(a int, out twice int, out half numeric) language sql begin atomic select a * 2, a / 2.0; end;
create function rows_of(lo int default 1, hi int default 3) returns table (n int, sq int) language plpgsql stable rows 10 set work_mem = '8MB' as $$
begin
  return query select g, g * g from generate_series(lo, hi) g;
end $$;
create function any_first(anyarray) returns anyelement language sql as 'select $1[1]';
create function reveal() returns text language plpgsql security definer set search_path = app as $$ begin return current_user; end $$;
create procedure bump(inout n int) language plpgsql as $$ begin n := n + 1; end $$;
revoke all on function reveal() from public;
grant execute on function reveal() to "UPPER" with grant option;
comment on function add_all(int[]) is 'sum';
comment on procedure bump(int) is 'one more';

create aggregate product(float8) (sfunc = float8mul, stype = float8, initcond = '1', combinefunc = float8mul, parallel = safe);
create aggregate moving_sum(int) (sfunc = int4pl, stype = int4, initcond = '0', msfunc = int4pl, minvfunc = int4mi, mstype = int4, minitcond = '0');
comment on aggregate product(float8) is 'multiplies';

create function same_sign(int, int) returns bool language sql immutable strict return sign($1) = sign($2);
create operator ~=~~ (leftarg = int, rightarg = int, function = same_sign, commutator = ~=~~, restrict = eqsel, join = eqjoinsel);
comment on operator ~=~~ (int, int) is 'same sign';
create function mood_cmp(mood, mood) returns int language sql immutable strict return enum_cmp($1, $2);
create function mood_to_int(mood) returns int language sql immutable return case $1 when 'sad' then 0 else 1 end;
create cast (mood as int) with function mood_to_int(mood) as assignment;
comment on cast (mood as int) is 'lossy';
create function of_point3(point3) returns text language sql immutable return ($1).x::text;
create cast (point3 as text) with function of_point3(point3);

create view order_lines with (security_barrier) as select o.id, o.customer, l.line, l.text from orders o join lines l on l.order_id = o.id where o.n > 1;
create view v15 with (security_invoker = true) as select * from order_lines;
create recursive view countdown (n) as values (5) union all select n - 1 from countdown where n > 0;
create view insertable as select id, customer, n from orders where customer is not null with cascaded check option;
alter view insertable alter column n set default 9;
comment on view order_lines is 'joined';
grant select on order_lines to public;
create materialized view per_customer as select customer, count(*) as orders, sum(n) as n from orders group by customer;
create unique index on per_customer (customer) nulls not distinct;
create materialized view not_filled as select 1 as one with no data;
comment on materialized view per_customer is 'counts';

create table history (at int generated always as identity, op text, id int);
create function note() returns trigger language plpgsql as $$
begin
  insert into history (op, id) values (tg_op || ' ' || coalesce(tg_argv[0], ''), coalesce(new.id, old.id));
  return null;
end $$;
create function refuse() returns trigger language plpgsql as $$ begin raise exception 'refused'; end $$;
create trigger noted after insert or update of customer or delete on orders for each row execute function note('x ''y''');
create trigger noted_when after update on orders for each row when (old.n is distinct from new.n) execute function note('when');
create constraint trigger late after insert on orders deferrable initially deferred for each row execute function note('late');
create trigger never before truncate on orders for each statement execute function refuse();
alter table orders disable trigger noted_when;
alter table orders enable always trigger never;
create trigger instead instead of insert on order_lines for each row execute function refuse();
update orders set customer = 'changed' where id = 50;
comment on trigger noted on orders is 'notes';
create rule no_delete as on delete to lines where old.line = 3 do instead nothing;
create rule also as on insert to named do also insert into history (op) values ('rule');
insert into named values ('ruled');
comment on rule also on named is 'too';

create table secrets (who name default current_user, what text);
insert into secrets values ('owner', 'a'), ('UPPER', 'b'), ('legacy', 'c');
alter table secrets enable row level security;
alter table secrets force row level security;
create policy mine on secrets using (who = current_user) with check (what is not null);
create policy reading on secrets as restrictive for select to legacy, "UPPER" using (what <> 'z');
comment on policy mine on secrets is 'own rows';
grant select, insert on secrets to legacy, "UPPER";
revoke all on history from public;
grant select (op), references (id) on history to "UPPER" with grant option;

create text search configuration simple_english (copy = english);
create text search dictionary stopless (template = simple, stopwords = english, accept = false);
alter text search configuration simple_english alter mapping for asciiword with stopless, english_stem;
comment on text search configuration simple_english is 'ours';
create index on wide using gin (to_tsvector('simple_english', plain));
create conversion to_latin for 'UTF8' to 'LATIN1' from utf8_to_iso8859_1;
reset role;
set search_path = app, public;

-- Only a superuser may make what follows.
create aggregate middle(float8 order by anyelement) (sfunc = ordered_set_transition, stype = internal, finalfunc = percentile_disc_final, finalfunc_extra);
create operator family mood_ops using btree;
create operator class int_reverse for type int using btree as operator 1 >, operator 2 >=, operator 3 =, operator 4 <=, operator 5 <, function 1 btint4cmp(int, int);
alter operator family mood_ops using btree owner to owner;
create access method heap2 type table handler heap_tableam_handler;
create table of_other_method (n int, t text) using heap2;
insert into of_other_method select n, 'heap2 ' || n from generate_series(1, 20) n;
create function stamp() returns trigger language c as '$libdir/moddatetime', 'moddatetime';
create function note_ddl() returns event_trigger language plpgsql as $$ begin raise notice 'ddl: %', tg_tag; end $$;
create event trigger ddl_start on ddl_command_start when tag in ('CREATE TABLE', 'DROP TABLE') execute function note_ddl();
create event trigger ddl_drop on sql_drop execute function note_ddl();
create event trigger ddl_off on table_rewrite execute function note_ddl();
alter event trigger ddl_off disable;
alter event trigger ddl_start enable always;
comment on event trigger ddl_drop is 'says what goes';

create publication of_some for table orders (id, customer) where (id > 5), table lines;
create publication of_schema for tables in schema "Odd ""Schema""" with (publish = 'insert, update');
create publication of_all for all tables with (publish_via_partition_root = true);
alter publication of_some owner to owner;
comment on publication of_some is 'columns and rows';
create subscription dormant connection 'host=nowhere dbname=none' publication p with (connect = false, enabled = false, slot_name = none);
comment on subscription dormant is 'never connected';
