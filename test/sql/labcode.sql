-- The check character is that of published ISO 7064 MOD 37,36 codes: GRid A1-2425G-ABC1234002-M and ISAN 0000-0000-D07A-0090-Q.
set search_path to labos, pg_catalog;
select labcode_check_digit('A1-2425G-ABC1234002') as grid, labcode_check_digit('0000-0000-D07A-0090') as isan;

-- A sample code is prefix, number and check; it validates itself.
select n, labcode_make('SOL', n) as code, labcode_valid(labcode_make('SOL', n)) as valid
from unnest(array[0, 1, 2, 42, 123456, 1234567, 999999999999]) n;

-- A code is exactly one text: what labcode_make would not write is not valid.
select t as refused from unnest(array['SOL-000001-W', 'SOL-000001-X', 'sol-000001-w', 'SOL000001W', 'SOL-1-W', 'SOL-0000001-W', ' SOL-000001-W', 'SOL-000001-W ',
                                      '', '-', '--', 'SOL--W', 'SOL-000001-', '-000001-W', 'S0L-000001-W', E'SOL-000001-W\n', 'SOL-000001-I', 'ABCDEFGHI-000001-W', 'SOL-9999999999999999999-W']) t
where not labcode_valid(t);
select labcode_valid(repeat('A', 10000000)) as ten_megabytes, labcode_valid(null) is null as null_in;

-- No valid code becomes another by one wrong character (any of 0-9, A-Z, hyphen), nor by a swap of two neighbours. Exhaustive over these codes.
create temp table code as
select labcode_make(p, n) as c
from unnest(array['S', 'SOL', 'NO', 'XY', 'LABOS']) p, unnest(array[0, 1, 12, 99, 121212, 123456, 234567, 987654, 1234567, 12345678901]::bigint[]) n
union all select labcode_make('AB', n) from generate_series(0, 400) n
union all select labcode_make('Z', n) from generate_series(909000, 909200) n;
select count(*) as codes, count(distinct c) as different, count(*) filter (where labcode_valid(c)) as valid, min(length(c)) as shortest, max(length(c)) as longest from code;
select count(*) as substitutions, count(*) filter (where labcode_valid(w)) as unnoticed
from code, generate_series(1, length(c)) i, unnest(string_to_array('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-', null)) x,
     overlay(c placing x from i for 1) w
where w <> c;
select count(*) as swaps, count(*) filter (where labcode_valid(w)) as unnoticed
from code, generate_series(1, length(c) - 1) i, overlay(c placing reverse(substr(c, i, 2)) from i for 2) w
where w <> c;
-- The standard alone is not enough: among plain codes of six digits some swaps go unnoticed.
select count(*) filter (where labcode_check_digit(overlay(b placing reverse(substr(b, i, 2)) from i for 2)) = labcode_check_digit(b)) > 0 as standard_misses_some
from (select 'S' || lpad(n::text, 6, '0') as b from generate_series(0, 2000) n) s, generate_series(2, 6) i
where substr(b, i, 1) <> substr(b, i + 1, 1);
-- Nor does a check character that looks like a digit ever stand on a label.
select count(*) from code where right(c, 1) in ('I', 'L', 'O');

-- Reading puts right what people and scanners do, and nothing else.
select t as read, labcode_read(t) as meant
from unnest(array['SOL-000001-W', 'sol-000001-w', 'SOL000001W', ' sol 000001 w ', 'SOL-OOOOO1-W', 'SOL-00000l-W', 'SOL-01234567-4', 'SOL-000001-X', 'SOL-1-W', '', 'SOL', '000001W', 'SOL-000001-W!', repeat('S', 100)]) t;

-- It is usable in a constraint.
create temp table sample (code text check (labcode_valid(code)));
insert into sample values (labcode_make('SOL', 7));
insert into sample values ('SOL-000007-A');

-- Bad arguments are refused: LB203.
create function pg_temp.refused(query text) returns text language plpgsql as $$
declare v_hint text;
begin
  execute query;
  return 'accepted';
exception when others then
  get stacked diagnostics v_hint = pg_exception_hint;
  return concat_ws('; ', sqlstate || ': ' || sqlerrm, nullif(v_hint, ''));
end $$;
select p, n, pg_temp.refused(format('select labos.labcode_make(%L, %L)', p, n)) as error
from (values ('', 1), ('sol', 1), ('SOL1', 1), ('ÄÖ', 1), ('ABCDEFGHI', 1), (repeat('日', 100000), 1), ('SOL', -1), ('SOL', 1000000000000), ('SOL', 9223372036854775807), ('IJ', 1)) v (p, n)
where length(p) < 100 or pg_temp.refused(format('select labos.labcode_make(%L, %L)', p, n)) !~ '^LB203';
select b, pg_temp.refused(format('select labos.labcode_check_digit(%L)', b)) as error from unnest(array['', '---', 'a', 'A B', 'A*', repeat('A', 65), repeat('A', 64)]) b;
select labcode_make(null, 1) is null and labcode_make('A', null) is null and labcode_check_digit(null) is null and labcode_read(null) is null as null_in_null_out;
