-- Passwords. The sixteen properties of a password hash, each by its name; P-numbers are those of docs/security.md.
\set VERBOSITY terse
\getenv data LABOS_TEST_DATA
-- Milliseconds of the fastest of n runs of a statement, on the processor where the system tells: the rest is other people's work.
create function pg_temp.clock() returns float8 language sql volatile as $$
  select coalesce(split_part(nullif(pg_read_file('/proc/self/schedstat', 0, 100, true), ''), ' ', 1)::float8 / 1e6, extract(epoch from clock_timestamp()) * 1000)
$$;
create function pg_temp.milliseconds(statement text) returns float8 language plpgsql as $$
declare v_start float8 := pg_temp.clock();
begin
  execute statement;
  return pg_temp.clock() - v_start;
end $$;
create function pg_temp.fastest(statement text, n int) returns float8 language sql as $$
  select min(pg_temp.milliseconds(statement)) from generate_series(1, n)
$$;
-- The same of two statements in turn, as a ratio: a busy machine slows both.
create function pg_temp.ratio(one text, other text, n int) returns float8 language plpgsql as $$
declare v_one float8; v_other float8;
begin
  for v_i in 1 .. n loop
    v_one := least(v_one, pg_temp.milliseconds(one));
    v_other := least(v_other, pg_temp.milliseconds(other));
  end loop;
  return v_one / v_other;
end $$;
create temp table h as select scheme, labos.password_hash('Correct horse 7', scheme) as hash from unnest(array['argon2id', 'bcrypt']) scheme;

-- Property 1: the salt is unique: two hashes of one password differ.
select scheme, labos.password_hash('Correct horse 7', scheme) <> hash as differ from h order by scheme;
-- Property 2: format.
select scheme, hash ~ case scheme when 'argon2id' then '^\$argon2id\$v=19\$m=47104,t=5,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$'
  else '^\$2b\$12\$[./A-Za-z0-9]{53}$' end as format from h order by scheme;
select labos.password_hash('Correct horse 7') like '$argon2id$%' as argon2id_by_default;
-- Property 3: constant length per scheme.
select scheme, count(distinct length(labos.password_hash(p, scheme))) as lengths from h, unnest(array['a', 'Correct horse 7', repeat('x', 72)]) p group by scheme order by scheme;
-- Property 4: at the defaults a hash costs at least 50 ms.
select scheme, pg_temp.fastest(format('select labos.password_hash(%L, %L)', 'Correct horse 7', scheme), 3) >= 50 as at_least_50_ms from h order by scheme;
-- Property 5: a wrong password fails; nearly right is wrong.
select scheme, p, labos.password_verify(p, hash) from h, unnest(array['Correct horse 7', 'correct horse 7', 'Correct horse 8', 'Correct horse', 'Correct horse 77', '']) p order by scheme, p collate "C";
-- Property 6: no such user costs what a wrong password costs.
select pg_temp.ratio(format('select labos.password_verify(%L, %L)', 'wrong', (select hash from h where scheme = 'argon2id')), $$select labos.password_dummy_verify('wrong')$$, 5) between 0.7 and 1.4 as equal;
set labos.password_scheme = 'bcrypt';
select pg_temp.ratio(format('select labos.password_verify(%L, %L)', 'wrong', (select hash from h where scheme = 'bcrypt')), $$select labos.password_dummy_verify('wrong')$$, 3) between 0.7 and 1.4 as equal;
reset labos.password_scheme;
select labos.password_dummy_verify('anything') as never;
-- Property 7: long passwords. Argon2id takes them whole; bcrypt refuses more than 72 bytes and never truncates (P45).
select labos.password_verify(repeat('x', 1000) || 'a', labos.password_hash(repeat('x', 1000) || 'a')) as same, labos.password_verify(repeat('x', 1000) || 'b', labos.password_hash(repeat('x', 1000) || 'a')) as differs_at_the_end;
select labos.password_verify(repeat('x', 72), labos.password_hash(repeat('x', 72), 'bcrypt')) as seventy_two;
\set VERBOSITY default
select labos.password_hash(repeat('x', 73), 'bcrypt');
select labos.password_hash(repeat('é', 37), 'bcrypt');
select labos.password_hash(repeat('x', 4097));
\set VERBOSITY terse
select labos.password_verify(repeat('x', 73), labos.bcrypt(repeat('x', 73)::bytea, '$2b$04$CCCCCCCCCCCCCCCCCCCCC.')) as longer_than_72, labos.password_verify(repeat('x', 10000000), hash) as ten_mb from h where scheme = 'argon2id';
-- Property 8: Unicode is compared in NFC, symbols count (P44).
select labos.password_verify(U&'Caf\0065\0301 au lait', labos.password_hash('Café au lait')) as decomposed, labos.password_verify('Cafe au lait', labos.password_hash('Café au lait')) as without_accent,
  labos.password_verify('pässwörd 密码 🔑 "''\$%', labos.password_hash('pässwörd 密码 🔑 "''\$%')) as symbols;
-- An imported hash of bytes that are not NFC verifies with those bytes.
select labos.password_verify(U&'Caf\0065\0301', labos.bcrypt(convert_to(U&'Caf\0065\0301', 'utf8'), '$2b$04$CCCCCCCCCCCCCCCCCCCCC.')) as imported;
-- Property 9: the hash shows no part of the password.
select scheme, position('Correct' in hash) + position('horse' in hash) = 0 as hidden from h order by scheme;
-- Property 10: an empty password is refused, and matches nothing. So is a control character.
select labos.password_hash('');
select labos.password_hash('', 'bcrypt');
select labos.password_verify('', labos.bcrypt('', '$2b$04$CCCCCCCCCCCCCCCCCCCCC.')) as empty_matches;
select labos.password_hash(E'new\nline');
select labos.password_hash(E'del\x7f');
-- Property 11: white space is significant.
select p, labos.password_verify(p, (select hash from h where scheme = 'argon2id')) from unnest(array[' Correct horse 7', 'Correct horse 7 ', 'Correct  horse 7', 'Correcthorse7', U&'Correct\00A0horse 7']) p;
-- Property 12: the cost is as configured.
set labos.argon2_memory = '8MB';
set labos.argon2_iterations = 2;
set labos.bcrypt_cost = 10;
select left(labos.password_hash('x'), 30) as argon2id, left(labos.password_hash('x', 'bcrypt'), 7) as bcrypt;
-- Property 13: version and scheme are as configured.
set labos.password_scheme = 'bcrypt';
select labos.password_hash('x') ~ '^\$2b\$10\$' as bcrypt, labos.password_hash('x', 'argon2id') ~ '^\$argon2id\$v=19\$' as argon2id;
reset labos.password_scheme;
-- Property 14: verification is deterministic.
select count(*) as runs, count(*) filter (where labos.password_verify('Correct horse 7', hash)) as right, count(*) filter (where labos.password_verify('wrong', hash)) as wrong
from (select labos.password_hash('Correct horse 7') as hash) t, generate_series(1, 20);
reset labos.argon2_memory; reset labos.argon2_iterations; reset labos.bcrypt_cost;
-- Properties 15 and 16: hashing and verifying take less than a second at the defaults.
select scheme, pg_temp.fastest(format('select labos.password_hash(%L, %L)', 'Correct horse 7', scheme), 2) < 1000 as hash, pg_temp.fastest(format('select labos.password_verify(%L, %L)', 'Correct horse 7', hash), 2) < 1000 as verify from h order by scheme;

-- An unknown scheme, nothing, bounds.
select labos.password_hash('x', 'md5');
select labos.password_hash(null) is null as nothing, labos.password_verify(null, 'x') is null as nothing2;
set labos.bcrypt_cost = 31;
\set VERBOSITY sqlstate
set labos.argon2_memory = '4GB';
\set VERBOSITY terse

-- Known answers of bcrypt: 1472 of libxcrypt, and no other prefix does what it should not.
select count(*) as vectors, count(*) filter (where labos.bcrypt(decode(v->>'input_hex', 'hex'), v->>'setting') = v->>'hash') as agree
from jsonb_array_elements(pg_read_file(:'data' || '/vectors/bcrypt_libxcrypt_ka.json')::jsonb) v;
-- Those of at most 72 bytes that are clean UTF-8 verify as passwords, too; $2x$ does not (its bug is no scheme).
select substr(v->>'hash', 1, 4) as variant, count(*) as vectors, count(*) filter (where labos.password_verify(convert_from(decode(v->>'input_hex', 'hex'), 'utf8'), v->>'hash')) as verify
from jsonb_array_elements(pg_read_file(:'data' || '/vectors/bcrypt_libxcrypt_ka.json')::jsonb) v
where v->>'input_hex' ~ '^([2-6][0-9a-f]|7[0-9a-e])*$' and length(v->>'input_hex') between 2 and 144 group by 1 order by 1;
-- Argon2: RFC 9106 has no encoded form; the reference implementation's argon2id strings verify.
select v->>'encoded' as encoded, labos.password_verify(v->>'password', v->>'encoded')
from jsonb_array_elements(pg_read_file(:'data' || '/vectors/rfc_vectors.json')::jsonb->'argon2_reference') v where v->>'encoded' like '$argon2id$v=19$%' and (v->>'m_log2')::int <= 18 order by 1;
-- P47: an unknown prefix fails; P49: parameters are bounded before they cost anything (4 GiB, 10^6 passes, cost 31).
set statement_timeout = '2s';
select left(hash, 40) as hash, labos.password_verify('password', hash) from unnest(array['', '*', '$', 'password', '$1$abcdefgh$1234567890123456789012', 'ab01FAX.bQRSU', '$5$rounds=5000$x$y', '$6$x$y', '$y$j9T$x$y', '$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA',
  '$argon2d$v=19$m=256,t=2,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', '$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
  '$argon2id$v=19$m=65536,t=1000000,p=1$c29tZXNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', '$argon2id$v=19$m=65536,t=1,p=255$c29tZXNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
  '$argon2id$v=19$m=99999999999999999999,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAA', '$argon2id$v=19$m=-1,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAA', '$argon2id$v=19$m=065536,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAA',
  '$argon2id$v=16$m=256,t=2,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$', '$argon2id$v=19$m=0,t=0,p=0$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAA',
  '$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW', '$2b$5$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeWx', '$2c$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW', '$2b$05$short', '$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW ', repeat('$2b$', 1000000)]) hash;
reset statement_timeout;
-- The last character of a bcrypt hash has unused bits: a variant of them does not match.
select labos.password_verify('U*U', '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW') as right, labos.password_verify('U*U', '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeX') as other;

-- P48: what is of another scheme or weaker than the settings wants a new hash.
select what, labos.password_needs_rehash(hash) from (values
  (1, 'current', (select hash from h where scheme = 'argon2id')), (2, 'bcrypt', (select hash from h where scheme = 'bcrypt')), (3, 'less memory', '$argon2id$v=19$m=19456,t=5,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'),
  (4, 'fewer passes', '$argon2id$v=19$m=47104,t=4,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'), (5, 'more of both', '$argon2id$v=19$m=65536,t=6,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'),
  (6, 'rubbish', 'x'), (7, 'huge', repeat('x', 1000))) t(i, what, hash) order by i;
set labos.password_scheme = 'bcrypt';
select hash, labos.password_needs_rehash(hash) from unnest(array['$2b$12$......................OSFQoXZrXjGjXxOZt7jRWKLxPtN9a5q', '$2a$12$......................OSFQoXZrXjGjXxOZt7jRWKLxPtN9a5q', '$2b$11$......................OSFQoXZrXjGjXxOZt7jRWKLxPtN9a5q']) hash;
reset labos.password_scheme;

-- The classic policy: length, upper and lower case, a digit; not a name of the user; not common. Context: e-mail, user name.
select p, labos.password_problems(p, '{curie@example.org,marie_c,null,ab}') from unnest(array['', 'a', 'Ab1', 'alllowercase', 'ALLUPPERCASE7', 'NoDigitsHere', 'Grün7tee', 'Tr0ub4dor&3x', 'correct Horse 7 battery', 'xCurie77yz', 'MARIE_C 2024x', 'Ab1abXYZ.qr',
  'Password1', 'P@ssw0rd', 'P4$$w0rd123!', 'Passw0rd!', 'Welcome123', 'Qwertz123', 'Qwerty12!', '1q2w3e4R', 'Aa111111', 'Abcdefg1', 'Iloveyou2', 'Michael1985', 'Summer2024!', 'LetMeIn99', 'Trustno1', 'Football7', 'MonkeyMonkey1', 'Postgres1', 'Dr4gon2000', '123Hallo456', 'Abc12345', 'aaaaAAAA1',
  'kR7#vw2Lq', 'Zebra-Tundra-44-Kelp']) p;
-- Control characters, length, NFC; bcrypt has its own limit.
select labos.password_problems(E'Tab\tinside 7'), labos.password_problems(repeat('aB3$e', 204)), labos.password_problems(repeat('aB3$e', 205)), labos.password_problems(repeat('x', 10000000)), labos.password_problems(null);
set labos.password_scheme = 'bcrypt';
select labos.password_problems('aB3$' || repeat('q w', 23)) as seventy_three, labos.password_problems('aB3$' || repeat('qwx', 22)) as seventy;
reset labos.password_scheme;
set labos.password_min_length = 12;
select labos.password_problems('kR7#vw2Lq'), labos.password_problems('kR7#vw2Lq+x9');
reset labos.password_min_length;
-- nist: 15 characters of any kind, still nothing common (P41, P42, P43).
set labos.password_policy = 'nist';
select p, labos.password_problems(p, '{curie@example.org}') from unnest(array['xy7!xy7!xy7!xy7!xy7!', 'kR7#vw2Lq', 'a lovely bunch of coconuts', 'mondmondmondmond', 'passwordpassword', 'abcdefghijklmnop', 'curieosity kills', 'eine lange reise zum fluss']) p;
reset labos.password_policy;

-- P39: no message shows a password.
do $$
declare v_seen text := '';
  v_message text; v_detail text; v_context text; v_hint text;
  v_call text;
begin
  foreach v_call in array array['select labos.password_hash(repeat(''Canary7secret'', 400))', 'select labos.password_hash(repeat(''Canary7secret'', 7), ''bcrypt'')', 'select labos.password_hash(''Canary7secret'' || chr(7))'] loop
    begin
      execute v_call;
    exception when others then
      get stacked diagnostics v_message = message_text, v_detail = pg_exception_detail, v_hint = pg_exception_hint;
      v_seen := v_seen || v_message || v_detail || v_hint;
    end;
  end loop;
  raise notice 'refused: %, shown: %', length(v_seen) > 0, v_seen like '%Canary%';
end $$;
-- A client cannot weaken the settings, nor call any of it.
set role lab_user;
set labos.argon2_iterations = 1;
set labos.password_policy = 'nist';
select labos.password_hash('Correct horse 7');
select labos.password_verify('x', 'y');
select labos.password_dummy_verify('x');
select labos.password_problems('x');
reset role;
-- libsodium computes four lanes without a thread.
select labos.password_verify('password', '$argon2id$v=19$m=256,t=2,p=4$c29tZXNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA') as verified, count(*) as threads from pg_ls_dir('/proc/self/task');
