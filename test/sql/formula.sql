-- A formula is written in Hill order: carbon, hydrogen, then the alphabet; without carbon the alphabet.
set search_path to labos, pg_catalog;
select t as written, t::formula as hill
from unnest(array['MoS2', 'Ca3(PO4)2', 'CuSO4·5H2O', 'CuSO4*5H2O', 'CuSO4.5H2O', 'Na2CO3.10H2O', 'CaSO4·1/2H2O', 'CaSO4.0.5H2O',
                  'Li0.95CoO2', 'Al0.3Ga0.7As', 'CH3CH2OH', 'HCN', 'CBr4', 'BrH', 'K4[Fe(CN)6]·3H2O', 'SO4^2-', 'Fe3+', 'NH4+', 'Cl-',
                  'Ag0.5Ge1Pb1.75S4', 'Ag(W3Br7)2', '2H2O', 'D2O', 'Mg(Al(SiO3)2)2', '  MoS2  ', 'CuSO4 · 5 H2O',
                  'H₂SO₄', 'SO₄²⁻', 'Fe³⁺', '[Fe(CN)6]3-', 'Fe(CN)6(3-)', 'SO4 2-', 'Ca++', 'Al^+3', 'NaN', 'U0.000000001O2',
                  '{Ga,N}', '{"Ga", "N"}']) t;

-- Equality and hash are by composition and charge, not by how it is written.
select 'Ca3(PO4)2'::formula = 'Ca3P2O8' as same, 'CuSO4·5H2O'::formula = 'CuSO9H10' as same_hydrate,
       'C2H4'::formula = 'CH2' as proportional_differs, 'Fe2+'::formula = 'Fe' as ion_differs,
       formula_hash('Ca3(PO4)2') = formula_hash('Ca3P2O8') as hash, '(Li0.1)3'::formula = 'Li0.3' as exact;

-- Molar masses in g/mol from the abridged weights of 2021.
select t as formula, round(molar_mass(t::formula)::numeric, 4) as g_per_mol
from unnest(array['H2O', 'MoS2', 'Ca3(PO4)2', 'CuSO4·5H2O', 'C8H10N4O2', 'Li0.95CoO2', 'D2O', 'SO4^2-', 'H+', 'TcO2', 'OgTs2']) t;

-- Elements and shares.
select elements('Ca3(PO4)2'), n_elements('Ca3(PO4)2'), n_atoms('Ca3(PO4)2'), charge('SO4^2-'),
       amount('Al0.3Ga0.7As', 'Ga'), amount('MoS2', 'Fe') as absent, fraction('Al0.3Ga0.7As', 'Ga'),
       round(mass_fraction('H2O', 'H')::numeric, 6) as hydrogen_in_water;

-- Reduced and anonymous forms: proportions in whole numbers, then without names; OPTIMADE puts the commonest first.
select t as formula, formula_reduced(t::formula) as reduced, formula_anonymous(t::formula) as anonymous,
       formula_anonymous(t::formula, descending => true) as optimade
from unnest(array['Mo2S4', 'Li0.95CoO2', 'Al0.3Ga0.7As', 'Li0.333333333O', 'Hg2^2+', 'SO4^2-', 'Ti2O6Ca2', 'U0.000000001O2',
                  'H2O', 'C6H12O6', 'C1000000000H1000000000', 'H999999999.999999999']) t;
select formula_anonymous('HHeLiBeBCNOFNeNaMgAlSiPSClArKCaScTiVCrMnFeCoNi') as after_z_comes_aa;

-- What the text form says is read back as the same formula, also where a broken amount stands before water.
select t as written, t::formula as hill, t::formula = (t::formula)::text::formula as same
from unnest(array['C4.5(H2O)', 'B2.25D2O', 'Be0.5H2O', 'F4.5^-']) t;

-- The longest text that can come out goes in again: every element with nine decimal places.
with table_of_elements as (
  select ('(' || string_agg(e, '') || ')99999999.123456789')::formula as f
  from unnest(string_to_array('H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og D T', ' ')) e)
select n_elements(f), length(f::text), f::text::formula = f as same, array_length(elements(f), 1), round(molar_mass(formula_reduced(f))) as one_of_each, f @> '{Og,T}' as has_og_t
from table_of_elements;

-- Every one of 4,604 measured compositions is read, weighed and written back; a brace, a dot and a caret change nothing.
\getenv data LABOS_TEST_DATA
create temp table gap (formula text, gap_ev float8);
\set file :data '/data/materials/expt_gap.csv'
copy gap from :'file' csv header;
select count(*) as materials, count(distinct formula::formula) as formulas,
       count(*) filter (where formula::formula = (formula::formula)::text::formula) as written_back,
       count(*) filter (where formula_reduced(formula::formula) = formula_reduced(formula_reduced(formula::formula))) as reduced_once,
       round(sum(molar_mass(formula::formula))::numeric, 1) as total_g_per_mol,
       round(avg(n_elements(formula::formula)), 4) as elements
from gap where formula_valid(formula);
-- Shares of a composition add up to one.
select count(*) filter (where abs(atoms - 1) > 1e-12 or abs(mass - 1) > 1e-12) as wrong
from gap, lateral (select sum(fraction(formula::formula, e)) as atoms, sum(mass_fraction(formula::formula, e)) as mass
                   from unnest(elements(formula::formula)) e) s;
-- The reduced forms of random multiples agree.
select count(*) as disagree
from gap, generate_series(2, 5) k
where formula_reduced(('(' || formula || ')' || k)::formula) <> formula_reduced(formula::formula);

create function pg_temp.refused(query text) returns text language plpgsql as $$
declare v_detail text; v_hint text;
begin
  execute query;
  return 'accepted';
exception when others then
  get stacked diagnostics v_detail = pg_exception_detail, v_hint = pg_exception_hint;
  return concat_ws(E'\n', sqlstate || ': ' || sqlerrm, nullif(v_detail, ''), 'hint: ' || nullif(v_hint, ''));
end $$;
-- Binary output and input are exact.
\getenv builddir PG_ABS_BUILDDIR
\set file :builddir '/results/formula.bin'
create temp table binary_out (f formula);
insert into binary_out select formula from gap;
insert into binary_out values ('SO4^2-'), ('C60'), ('D2O'), ('Og1000000000'), ('U0.000000001O2');
create temp table binary_in (like binary_out);
copy binary_out to :'file' (format binary);
copy binary_in from :'file' (format binary);
select count(*) as n, (select count(*) from (table binary_out except table binary_in) x) as lost from binary_in;
select formula_send('SO4^2-') as bytes, length(formula_send('MoS2'));
-- A binary that no formula has is refused: no element, code 0 or 121, codes falling or twice, amount 0, below 0 or too large, charge too large, cut off.
create function pg_temp.receive(value bytea, file text) returns text language plpgsql as $$
declare
  v_lo oid := lo_from_bytea(0, '\x5047434f50590aff0d0a00'::bytea || int4send(0) || int4send(0) || int2send(1::int2) || int4send(length(value)) || value || int2send(-1::int2));
begin
  perform lo_export(v_lo, file);
  perform lo_unlink(v_lo);
  return pg_temp.refused(format('copy binary_in from %L (format binary)', file));
end $$;
select v as bytes, pg_temp.receive(v, :'file') as received
from unnest(array['\x000001010000000000000001', '\x000000', '\x000001000000000000000001', '\x000001790000000000000001', '\x000002020000000000000001010000000000000001',
                  '\x000002010000000000000001010000000000000001', '\x000001010000000000000000', '\x00000101ffffffffffffffff', '\x000001017fffffffffffffff',
                  '\x7fff01010000000000000001', '\x800001010000000000000001', '\x0000010100', '\x', '\x000001010000000000000001ff']::bytea[]) v;

-- Order is that of a Hill index: by symbol, then amount, shorter first, charge last.
select string_agg(f::text, ' ' order by f)
from unnest(array['O2', 'CH4', 'C2H4', 'C', 'CO2', 'H2O', 'H', 'H^-', 'H^+', 'Ag', 'CH2O', 'C10H8', 'CO', 'CuO', 'H2O2']::formula[]) f;
-- The order is total: sorted neighbours agree with each other in every operator.
select count(*) filter (where not (a < b or a = b)) as unordered, count(*) filter (where (a < b) = (a >= b) or (a > b) = (a <= b)) as contradictory,
       count(*) filter (where (a = b) <> (formula_cmp(a, b) = 0) or (a <> b) = (a = b)) as unequal
from (select formula::formula as a, lead(formula::formula) over (order by formula::formula) as b from gap) s where b is not null;

-- Elements: contains, among, any of; with a set, an array or another formula.
select 'GaN'::formula @> '{Ga,N}' as has_all, 'GaN'::formula @> '{Ga,As}' as lacks_one, 'GaN'::formula @> 'Ga' as has_formula,
       'GaN'::formula @> array['Ga', 'N'] as has_array, 'GaN'::formula && '{As,N}' as any_of, 'GaN'::formula <@ '{Al,Ga,N}' as among,
       'GaN'::formula <@ array['Ga'] as not_among, 'AlN'::formula && array['Ga', 'As'] as none_of;
-- An array may name nothing, something unknown or null: the answer is no, never an error.
select 'GaN'::formula @> '{}'::text[] as all_of_nothing, 'GaN'::formula <@ '{}'::text[] as among_nothing, 'GaN'::formula && '{}'::text[] as any_of_nothing,
       'GaN'::formula @> array['Ga', 'Xx'] as unknown, 'GaN'::formula @> array['Ga', null] as with_null, 'GaN'::formula <@ array['Ga', 'N', 'ga'] as among_unknown,
       'GaN'::formula && array['gallium', 'N'] as any_unknown;
-- Deuterium is an element of its own here.
select 'D2O'::formula @> '{H}' as is_hydrogen, 'D2O'::formula @> '{D}' as is_deuterium, elements('D2O');

-- Indexes: element queries use the GIN index and agree with a scan, for every operator and number of elements.
create temp table material (id integer, f formula, set_of text[]);
insert into material select row_number() over (), formula::formula, elements(formula::formula) from gap;
insert into material values (0, null, null);
create index on material using gin (f);
create index on material using btree (f);
create index on material using hash (f);
analyze material;
set enable_seqscan = off;
explain (costs off) select id from material where f @> '{Ga,As}';
explain (costs off) select id from material where f <@ array['Ga', 'N', 'In'];
create temp table asked (set_of text[]);
insert into asked values ('{}'), ('{O}'), ('{Ga,As}'), ('{Mo,S}'), ('{Ga,As,In,Al}'), ('{Xx}'), ('{O,Xx}'), ('{Li,Na,K,Rb,Cs,F,Cl,Br,I}'), ('{Li,Na,K,Rb,Cs,F,Cl,Br,I,Ag,O,S}'), ('{H,C,N,O,S,P,F,Cl}');
select a.set_of as asked,
       (select count(*) from material where f @> a.set_of) as contains, (select count(*) from material m where m.set_of @> a.set_of) as by_array,
       (select count(*) from material where f && a.set_of) as overlaps, (select count(*) from material m where m.set_of && a.set_of) as by_array,
       (select count(*) from material where f <@ a.set_of) as among, (select count(*) from material m where m.set_of <@ a.set_of) as by_array
from asked a;
select count(*) from material where f @> '{Ga}' and f <@ '{Ga,N,P,As,Sb}' and f = formula_reduced(f);
reset enable_seqscan;
-- Grouping by hash and by sort find the same formulas.
set enable_sort = off;
select count(*) from (select f from material group by f) g;
reset enable_sort;
set enable_hashagg = off;
select count(*) from (select f from material group by f) g;
reset enable_hashagg;

-- A hash-partitioned table puts equal formulas together; arrays that come out of rows are read row by row.
create temp table parted (f formula) partition by hash (f);
create temp table parted_0 partition of parted for values with (modulus 2, remainder 0);
create temp table parted_1 partition of parted for values with (modulus 2, remainder 1);
insert into parted select f from material where f is not null;
select (select count(*) from parted_0) between 2000 and 2600 as half, (select count(*) from parted_0 join parted_1 using (f)) as in_both;
select count(*) filter (where f @> set_of and f <@ set_of and f && set_of) as own, count(*) filter (where f @> f and f <@ f and f && f) as self from material;

-- Row security: an operator that could leak would not be index condition here.
select p.proname, p.proleakproof, p.provolatile, p.proparallel from pg_operator o join pg_proc p on p.oid = o.oprcode
where o.oprleft = 'formula'::regtype order by 1, o.oprright;

-- In plpgsql an expression is kept while its variables change: each array is asked anew.
create function pg_temp.containing(f formula) returns text language plpgsql as $$
declare
  asked text[];
  answer text := '';
begin
  foreach asked slice 1 in array array[['Cu', 'O'], ['Zn', 'O'], ['O', 'Cu']] loop
    answer := answer || (f @> asked) || (f <@ asked) || (f && asked) || ' ';
  end loop;
  return answer;
end $$;
select pg_temp.containing('CuO'), pg_temp.containing('H2');

-- What is no formula is refused with the character it stumbled at.
select t as refused, pg_temp.refused(format('select %L::labos.formula', t)) as error
from unnest(array['', '   ', 'MoX2', 'mos2', 'Mo S2', 'MoS2)', 'Ca3(PO4', 'Ca3(PO4]2', '()2', 'Ca()2', 'MoS0', 'MoS0.0000000001', 'MoS-2', 'H1e400',
                  'H99999999999', 'H1000000000.5', '(H1000000)1000000', '(H0.00001)0.00001', 'Infinity', 'Li1-xCoO2', 'CuSO4·', '·5H2O', 'CuSO4··5H2O', '5', '1/2', '1/0H2O', '^2+', '+',
                  'Fe^3', 'Fe^0+', 'Fe^1000+', 'Fe^3+O', 'SO42-', 'I3-', 'O2+', 'H2+', 'B12H12-', '2NH4+', 'Fe (2-', 'C60-', '13CO2', '{}', '{Ga', '{Ga,}', '{ga}', '{Ga,Xx}', '{"Ga}', '{Ga}N',
                  'Mo₂⁺₃', 'Мо', 'MoS2' || chr(1), E'Mo\nS2x', 'Cu²O', repeat('(', 17) || 'H' || repeat(')', 17), '日本S2']) t;
-- Size and depth are bounded; the message stays short.
select pg_temp.refused('select repeat(''H2O'', 3500000)::labos.formula') as ten_megabytes;
select pg_temp.refused('select (repeat(''('', 10000) || ''H'' || repeat('')'', 10000))::labos.formula') as ten_thousand_brackets;
select pg_temp.refused('select (repeat(''('', 400) || ''H'')::labos.formula') as four_hundred_brackets;
select repeat('H', 3000)::formula as longest, formula_valid(repeat('H', 3001)) as longer, (repeat('(', 16) || 'H2' || repeat(')', 16))::formula as sixteen_deep;
select formula_valid('MoS2') as good, formula_valid('MoX2') as bad, formula_valid(null) is null as null_in, null::formula is null as null_type;
select pg_temp.refused($$select labos.amount('MoS2', 'Xx')$$), pg_temp.refused($$select labos.fraction('MoS2', '')$$),
       pg_temp.refused($$select labos.mass_fraction('MoS2', repeat('日', 1000))$$);

-- Casts: text is assigned, both ways; JSON holds the text.
create temp table sample (formula formula check (n_elements(formula) > 0));
insert into sample select 'CuSO4·5H2O'::text;
select formula, formula::text || '!' as text, to_json(formula) as json, to_jsonb(s) as row from sample s;
update sample set formula = ' MoS2'::varchar;
table sample;
drop table sample;

-- Random compositions survive text and binary, whatever their elements and charge.
create temp table random_formula as
select (select string_agg((array['H','C','O','D','N','Na','Fe','U','Og','Cl','S'])[1 + (hashint4(i * 31 + k) & 1023) % 11] ||
                          case k % 4 when 0 then '' when 1 then (1 + (hashint4(i + k * 7) & 7))::text when 2 then '0.5' else ((hashint4(i * k) & 65535) + 0.25)::text end, '')
        from generate_series(1, 1 + i % 6) k) ||
       case i % 5 when 0 then '^2-' when 1 then '^+' else '' end as t
from generate_series(1, 5000) i;
select count(*) as n, count(*) filter (where t::formula <> (t::formula)::text::formula) as changed from random_formula;
