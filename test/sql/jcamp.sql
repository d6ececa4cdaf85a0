-- Reading JCAMP-DX and CSV: values, checks, refusals.
\getenv data LABOS_TEST_DATA
create temp table file as
  select name, convert_from(pg_read_binary_file(:'data' || '/data/jcamp/' || name), 'LATIN1') as body
  from unnest(array['compression_jcamp-fix.dx', 'compression_jcamp-packed.dx', 'compression_jcamp-squeezed.dx',
                    'compression_jcamp-difdup.dx', 'dupinc1.jdx', 'difdup_example.jdx', 'pacdec1.jdx',
                    'structure_tree.jdx', 'structure_ntuples.jdx']) name;

-- The four encodings of one spectrum hold the same 16,384 ordinates.
select count(*) as files, count(distinct j.y) as different, min(cardinality(j.y)) as points, min(j.y[1]) as first, min(j.y[16384]) as last
from file f, labos.jcamp_parse(f.body) j where f.name like 'compression%';
-- Their axis is that of the header, and evenly spaced.
select distinct x_unit, y_unit, x_first, round((x_first + 16383 * x_step)::numeric, 6) as x_last, x is null as even
from file f, labos.jcamp_parse(f.body) j where f.name like 'compression%';
-- Factors are applied to the printed digit; the header announces the maximum (no value of dupinc1 is its MINY).
select f.name, j.form, cardinality(j.y) as n, j.x_first, j.x_step, j.y[1] as first, j.y[cardinality(j.y)] as last,
       (select max(y) from unnest(j.y) y) as maximum, j.header ->> 'MAXY' as maxy, (select min(y) from unnest(j.y) y) as minimum, j.header ->> 'MINY' as miny
from file f, labos.jcamp_parse(f.body) j where f.name in ('dupinc1.jdx', 'pacdec1.jdx', 'difdup_example.jdx') order by 1;
-- LINK blocks and NTUPLES pages: one row each, the header on the first.
select f.name, j.block, j.page, j.page_label, j.title, j.form, j.x_name, j.y_name, j.x_first, j.x_step, j.x, j.y, j.header is not null as header
from file f, labos.jcamp_parse(f.body) j where f.name like 'structure%' order by 1, 2, 3;

create function pg_temp.table_of(data text, head text default '') returns text language sql as $$
  select E'##TITLE= t\n##DATA TYPE= TEST\n##XUNITS= s\n##YUNITS= V\n' || head || E'##XYDATA= (X++(Y..Y))\n' || data || E'\n##END=\n' $$;
create function pg_temp.y(source text) returns text language plpgsql as $$
begin
  return (select string_agg(coalesce(j.y::text, 'no data'), ' ') from labos.jcamp_parse(source) j);
exception when others then
  return sqlstate || ': ' || sqlerrm;
end $$;

-- "E" after digits is the value 5 of the squeezed form; an exponent needs a sign.
select pg_temp.y(pg_temp.table_of('0 1E2', E'##DELTAX= 1\n')) as squeezed, pg_temp.y(pg_temp.table_of('0 1E+2', E'##DELTAX= 1\n')) as exponent;
-- Every token: value, squeezed, difference, repetition, missing; a repeated difference goes on rising.
select pg_temp.y(pg_temp.table_of('0+1-2@A5b5', E'##DELTAX= 1\n')) as packed_squeezed,
       pg_temp.y(pg_temp.table_of('0A0J2T%jS', E'##DELTAX= 1\n')) as differences,
       pg_temp.y(pg_temp.table_of('0A0V?B', E'##DELTAX= 1\n')) as repeated_missing;
-- The line after differences begins with a check value, which is no point; it must repeat.
select pg_temp.y(pg_temp.table_of(E'0A0J\n1A1J', E'##DELTAX= 1\n')) as good, pg_temp.y(pg_temp.table_of(E'0A0J\n1A2J', E'##DELTAX= 1\n')) as bad;
-- A lost line shows in the abscissa, a truncated table in NPOINTS.
select pg_temp.y(pg_temp.table_of(E'0 1 2 3\n3 4 5 6\n9 1 2', E'##DELTAX= 1\n')) as lost;
select pg_temp.y(pg_temp.table_of(E'0 1 2 3', E'##NPOINTS= 4\n##FIRSTX= 0\n##LASTX= 3\n')) as truncated;
-- Comments, CR LF, CR, a byte order mark, spaces in labels and in the form do not matter.
select pg_temp.y(E'\uFEFF##title= t $$ c\r\n$$ a comment\r\n##delta x= 2\r##XY DATA= ( X++ (Y..Y) ) $$ c\r\n0 1 2 $$ c\r\n##END');
-- Points and peaks: pairs in any layout; a third column is dropped and said so.
select j.form, j.x, j.y, j.dropped from labos.jcamp_parse(E'##TITLE=\n##XFACTOR= 0.1\n##PEAK TABLE= (XY..XY)\n1,2 3,4;5,-6\n+7 8e2\n##XYPOINTS= (XYW..XYW)\n1,2,3\n4,?,6\n##END=') j;
-- A block without data is one row with its header.
select j.block, j.form, j.y, j.header from labos.jcamp_parse(E'##TITLE= empty\n##OWNER= me\n two lines\n##END=') j;

-- Damaged, hostile and empty input is refused with its line.
select name, pg_temp.y(source) as refusal from (values
  (1, 'empty', ''), (2, 'blank', E'\n\n'), (3, 'prose', 'hello'), (4, 'no title', E'##OWNER= x\n##END='),
  (5, 'no end', E'##TITLE= t\n##OWNER= x'), (6, 'end twice', E'##TITLE= t\n##END=\n##END='), (7, 'text after', E'##TITLE= t\n##END=\nmore'),
  (8, 'no equals', E'##TITLE= t\n##OWNER\n##END='), (9, 'long label', '##' || repeat('A', 300) || '='),
  (10, 'form', E'##TITLE= t\n##XYDATA= (R++(I..\n##END='), (11, 'no form', E'##TITLE= t\n##XYDATA=\n##END='),
  (12, 'letter', pg_temp.table_of('0 1 2 !', E'##DELTAX= 1\n')), (13, 'unicode', pg_temp.table_of('0 1 é', E'##DELTAX= 1\n')),
  (14, 'abscissa', pg_temp.table_of('J 1')), (15, 'nothing', pg_temp.table_of('12')), (16, 'no step', pg_temp.table_of('0 1 2')),
  (17, 'difference first', pg_temp.table_of('0 J1')), (18, 'repeat first', pg_temp.table_of('0S')), (19, 'repeat twice', pg_temp.table_of('0 1ST')),
  (20, 'a bomb', pg_temp.table_of('0A0s99999999999999999999', E'##DELTAX= 1\n')),
  (21, 'two bombs', pg_temp.table_of('0A0W000000A0W000001', E'##DELTAX= 1\n')),
  (22, 'overflow', pg_temp.table_of('0 1E+999', E'##DELTAX= 1\n')), (23, 'scaled overflow', pg_temp.table_of('0 1E+300', E'##DELTAX= 1\n##YFACTOR= 1E300\n')),
  (24, 'nan', pg_temp.table_of('0 NaN', E'##DELTAX= 1\n')), (25, 'infinity', E'##TITLE= t\n##XYPOINTS= (XY..XY)\n1,Infinity\n##END='),
  (26, 'long number', pg_temp.table_of('0 ' || repeat('1', 300), E'##DELTAX= 1\n')), (27, 'odd', E'##TITLE= t\n##XYPOINTS= (XY..XY)\n1,2 3\n##END='),
  (28, 'npoints', pg_temp.table_of('0 1', E'##NPOINTS= 1.5\n')), (29, 'npoints', pg_temp.table_of('0 1', E'##NPOINTS= many\n')),
  (30, 'npoints', pg_temp.table_of('0 1', E'##NPOINTS= 99999999999\n')), (31, 'factor', pg_temp.table_of('0 1', E'##YFACTOR= x\n')),
  (32, 'symbol', E'##TITLE= t\n##SYMBOL= X, Y\n##PAGE= N=1\n##DATA TABLE= (X++(Q..Q)), XYDATA\n1 2\n##END='),
  (33, 'deep', repeat(E'##TITLE= t\n', 100000)), (34, 'records', E'##TITLE= t\n' || repeat(E'##A= 1\n', 6000)),
  (35, 'no abscissa', E'##TITLE= t\n##XYPOINTS= (XY..XY)\n?,2\n##END=')
) v (n, name, source) order by n;
-- A short file announces no endless one: points count over all tables, and what stands on every row is short.
create function pg_temp.jcamp(source text) returns text language plpgsql as $$
begin
  return (select count(*) from labos.jcamp_parse(source));
exception when others then
  return sqlstate || ': ' || sqlerrm;
end $$;
select pg_temp.jcamp(E'##TITLE= t\n##DELTAX= 1\n' || repeat(E'##XYDATA= (X++(Y..Y))\n0 1U999999\n', 3) || '##END=') as points,
       pg_temp.jcamp('##TITLE= ' || repeat('x', 1001) || E'\n##DELTAX= 1\n##XYDATA= (X++(Y..Y))\n0 1\n##END=') as title,
       pg_temp.jcamp('##TITLE= ' || repeat('x', 1000) || E'\n##DELTAX= 1\n##XYDATA= (X++(Y..Y))\n0 1\n##END=') as short_enough;
select pg_temp.jcamp(E'##TITLE= t\n##DELTAX= 1\n##XYDATA= (X++(Y..Y))\n1E+999 1\n##END=') as abscissa, pg_temp.jcamp(E'##TITLE= t\n##XFACTOR= 1E300\n##DELTAX= 1\n##XYDATA= (X++(Y..Y))\n1E+300 1\n##END=') as scaled;
-- NULL gives nothing.
select count(*) from labos.jcamp_parse(null);
-- Ten megabytes are read.
select count(*) as tables, sum(cardinality(j.y)) as points from file f, labos.jcamp_parse(repeat(f.body, 100)) j where f.name = 'compression_jcamp-difdup.dx';

-- CSV: quotes, doubled quotes, line breaks in fields, empty lines, the delimiter found by itself.
select * from labos.csv_parse(E'a;b\n1;"x ""q""\r\nl2"\r\n\n;""\n3;d,e');
select "row", fields from labos.csv_parse(E'a\tb\n1\t2');
select "row", fields from labos.csv_parse(E'\uFEFFa,b\r1,2\r', ',');
select count(*) from labos.csv_parse('') a full join labos.csv_parse(null) b using ("row");
create function pg_temp.csv(source text, delimiter text default null) returns text language plpgsql as $$
begin
  return (select count(*) from labos.csv_parse(source, delimiter));
exception when others then
  return sqlstate || ': ' || sqlerrm;
end $$;
select pg_temp.csv(E'a,b\n1,"x') as open_quote, pg_temp.csv(E'a\n"x"y') as after_quote, pg_temp.csv(E'a\nx"y') as inside;
select pg_temp.csv(E'a,b\n1,2\n\n1') as ragged, pg_temp.csv('a', '') as no_delimiter, pg_temp.csv('a', 'é') as not_ascii, pg_temp.csv(repeat(',', 20000)) as wide;
