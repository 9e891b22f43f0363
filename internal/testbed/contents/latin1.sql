-- A database of another encoding.
set client_encoding = 'UTF8';
create table words (n int primary key, word text);
insert into words values (1, 'Größe'), (2, 'façade'), (3, 'Ærø');
create index on words (upper(word));
