-- The second factor: codes, QR codes, setting up, signing in, devices, restricted sessions.
-- Numbers like P57 are those of the identity checklist. Stands after auth: signing keys and test.answer() are there.
set client_min_messages to warning;
\set VERBOSITY terse
set labos.argon2_memory = '8MB';
set labos.argon2_iterations = 1;

-- codes -----------------------------------------------------------------------

-- RFC 4226, appendix D.
select string_agg(labos.hotp('12345678901234567890', i), ' ' order by i)
       = '755224 287082 359152 969429 338314 254676 287922 162583 399871 520489' as rfc_4226
from generate_series(0, 9) i;
-- RFC 6238, appendix B: the last six of its eight digits.
select t as unix_time, labos.hotp('12345678901234567890', t / 30) = right(c, 6) as rfc_6238,
       labos.totp_step('12345678901234567890', right(c, 6), to_timestamp(t)) = t / 30 as accepted
from (values (59::bigint, '94287082'), (1111111109, '07081804'), (1111111111, '14050471'), (1234567890, '89005924'), (2000000000, '69279037'),
             (20000000000, '65353130')) v (t, c);
-- RFC 4648, section 10.
select string_agg(labos.base32(convert_to(left('foobar', i), 'UTF8')), ' ' order by i) as rfc_4648 from generate_series(0, 6) i;
-- P58 The present step, the one before, the one after; no other.
select o as steps_off, labos.totp_step('12345678901234567890', labos.hotp('12345678901234567890', 1000 + o), to_timestamp(30000 + 15)) as step
from generate_series(-3, 3) o;
-- Before the first step there is none.
select labos.totp_step('x', labos.hotp('x', 0), to_timestamp(0)) as zero, labos.totp_step('x', labos.hotp('x', 0), to_timestamp(-1)) as negative,
       labos.totp_step('x', labos.hotp('x', 0), 'infinity') as infinite;
-- P58 Six ASCII digits, nothing else: other digits, spaces, signs, other lengths.
select left(c, 12) as code, labos.totp_step('12345678901234567890', c, to_timestamp(59)) as step
from unnest(array['287082', ' 287082', '287082 ', '28708', '2870822', '+28708', '28708a', '287 082', '', null, '２８７０８２', '٢٨٧٠٨٢', repeat('287082', 1000)]) c;
select length(labos.random_bytes(20)) as bytes, labos.random_bytes(20) <> labos.random_bytes(20) as differ;
select labos.random_bytes(0);
select labos.random_bytes(1025);
-- The address: everything percent-encoded, no colon but the one that parts issuer and account.
select labos.totp_uri('12345678901234567890', 'Lab & Söhne: 1/2?', 'ann+x@alpha.test#&secret=AAAA') as uri;

-- QR --------------------------------------------------------------------------

create function test.modules(svg text) returns text language sql as $$
  select string_agg(r.modules, ' ' order by y)
  from (select substring(svg from 'viewBox="0 0 (\d+)')::int - 8) s (size), generate_series(4, s.size + 3) y,
       lateral (select string_agg(case when exists (
                  select from regexp_matches(svg, 'M(\d+) (\d+)h(\d+)v1h', 'g') m where m[2]::int = y and x between m[1]::int and m[1]::int + m[3]::int - 1)
                  then 'x' else '.' end, '' order by x) from generate_series(4, s.size + 3) x) r (modules)
$$;
-- Module by module what libqrencode 4.1.1 draws (qrencode -l M -m 0; -8 for the second).
select test.modules(labos.qr_svg('HELLO WORLD')) = 'xxxxxxx...x.x.xxxxxxx x.....x.xxx...x.....x x.xxx.x...x.x.x.xxx.x x.xxx.x...x.x.x.xxx.x x.xxx.x.x.xxx.x.xxx.x x.....x..xxx..x.....x xxxxxxx.x.x.x.xxxxxxx ..................... x.x.x.x..x..x...x..x. .xxxx...x..x....x...x ...xxxxxxx.x..x.xx... xxxx.x.xx..xxx.x.xxx. .x..xxxx.x.x..xxx.x.x ........x.x...x...x.x xxxxxxx.....x..x.xx.. x.....x..xx...xx.x... x.xxx.x.xx..x.xxxxxxx x.xxx.x...xx.x.x...x. x.xxx.x.xxxx.xxx.x..x x.....x....xxx...x.xx xxxxxxx.xx.x.xxx....x' as alphanumeric,
       test.modules(labos.qr_svg('otpauth')) = 'xxxxxxx..xx.x.xxxxxxx x.....x.xxxx..x.....x x.xxx.x.......x.xxx.x x.xxx.x..x.x..x.xxx.x x.xxx.x.xx..x.x.xxx.x x.....x...x.x.x.....x xxxxxxx.x.x.x.xxxxxxx ..........xxx........ x.x.x.x...xx....x..x. xxx....x.xx...xx....x .x....xx..x.x...x.xxx .xxxxx.xxx....xx....x ...x.xxx..x.x.x..x.x. ........xx.x.x.xxx.xx xxxxxxx..xxx.xxxx.xxx x.....x...xxxx.x....x x.xxx.x.x.xx.xxxx..xx x.xxx.x...x...x.xx.x. x.xxx.x.x...x..xxxx.x x.....x..x....x....x. xxxxxxx.x...x.xxxx.xx' as bytes;
select length(labos.qr_svg(repeat('x', 2331))) > 10000 as longest, test.error_of($$select labos.qr_svg(repeat('x', 2332))$$) as too_long,
       test.error_of($$select labos.qr_svg(repeat('x', 10000000))$$) as far_too_long, test.error_of($$select labos.qr_svg('')$$) as empty, labos.qr_svg(null) is null as nothing;
-- Nothing of the text stands in the image: no markup gets in.
select labos.qr_svg('"><script>&') ~ '^<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \d+ \d+" shape-rendering="crispEdges" role="img" aria-label="QR code"><path fill="#fff" d="[Mhvz0-9 -]+"/><path d="[Mhvz0-9 -]+"/></svg>$' as clean;
-- Other scripts go as UTF-8.
select test.error_of($$select labos.qr_svg('Grüße 密码 🔑')$$) as unicode;

-- people ----------------------------------------------------------------------

do $$
declare
  v_name text;
  v_id   uuid;
begin
  foreach v_name in array '{fay,gus,hal,ivy,jon}'::text[] loop
    v_id := lab_private.user_add(test.org_of('sam'), v_name || '@alpha.test', v_name, 'Correct-Horse-' || v_name || '1', null, null, null,
                                 is_verified => true, must_change => false);
    insert into lab_data.user_roles (org_id, user_id, role_id)
    select test.org_of('sam'), v_id, r.id from lab_data.roles r where r.org_id is null and r.name = 'technician';
  end loop;
end
$$;
-- The code of a user's secret now, or so many steps on; a code that is none of those around.
create function test.secret(who text) returns bytea language sql security definer set search_path to pg_catalog, labos, pg_temp
as $$ select labos.secret_open(f.sealed_secret, 'mfa_factors/' || f.id) from lab_private.mfa_factors f where f.user_id = test.id_of(who) $$;
create function test.code(who text, steps int default 0) returns text language sql security definer set search_path to pg_catalog, labos, pg_temp
as $$ select labos.hotp(test.secret(who), floor(extract(epoch from clock_timestamp()) / 30)::bigint + steps) $$;
create function test.wrong_code(who text) returns text language sql security definer set search_path to pg_catalog, labos, pg_temp
as $$ select to_char(n, 'FM000000') from generate_series(0, 20) n where to_char(n, 'FM000000') <> all (array(select test.code(who, s) from generate_series(-3, 5) s)) limit 1 $$;
-- Steps used are forgotten: a test does not wait half a minute.
create function test.rewind(who text) returns void language sql security definer set search_path to pg_catalog, labos, pg_temp
as $$ select labos.use_guard_reset(f.id) from lab_private.mfa_factors f where f.user_id = test.id_of(who) $$;
-- The claims of a session as the gateway would set them.
create function test.be(session uuid) returns text language sql security definer set search_path to pg_catalog, pg_temp
as $$ select set_config('request.jwt.claims', json_build_object('sub', s.user_id, 'org_id', s.org_id, 'sid', s.id, 'exp', 4102444800)::text, true)
      from lab_data.user_sessions s where s.id = be.session $$;
grant execute on all functions in schema test to public;

-- setting up ------------------------------------------------------------------

select test.become('fay'); set role lab_user;
select test.answer($$select lab.auth_mfa_confirm('123456')$$) as before_setup, test.answer($$select lab.auth_mfa_confirm(null)$$) as nothing,
       test.answer($$select lab.auth_mfa_disable('x', 'y')$$) as disable, test.answer($$select lab.auth_mfa_backup_codes('x', 'y')$$) as codes;
-- P59 The secret has 160 bits and is shown once: text, address and image say the same.
select lab.auth_mfa_setup() as first \gset
select lab.auth_mfa_setup() as setup \gset
select string_agg(k, ' ' order by k) as members from jsonb_object_keys(:'setup') k;
select length(:'setup'::jsonb ->> 'secret') * 5 as bits, :'setup'::jsonb ->> 'secret' <> :'first'::jsonb ->> 'secret' as replaced,
       :'setup'::jsonb ->> 'otpauth_uri' = format('otpauth://totp/labos:fay%%40alpha.test?secret=%s&issuer=labos&algorithm=SHA1&digits=6&period=30', :'setup'::jsonb ->> 'secret') as uri,
       left(:'setup'::jsonb ->> 'qr_svg', 4) as image;
reset role;
select labos.base32(test.secret('fay')) = :'setup'::jsonb ->> 'secret' as kept, f.confirmed_at, u.mfa_enabled, octet_length(f.sealed_secret) > 20 as sealed
from lab_private.mfa_factors f join lab_data.users u on u.id = f.user_id where u.username = 'fay';
-- Sealed for its place: in another row it does not open.
select test.error_of(format('select labos.secret_open(%L, %L)', f.sealed_secret, 'mfa_factors/' || gen_random_uuid())) from lab_private.mfa_factors f where f.user_id = test.id_of('fay');
-- Until it is confirmed it is not asked for.
select test.answer($$select lab.auth_login('fay', 'Correct-Horse-fay1')$$) as unconfirmed;
-- P26 Confirming ends the other sessions, P60 and gives ten backup codes of 120 bits.
set role lab_user;
select lab.auth_mfa_confirm(test.wrong_code('fay')) as wrong, test.answer($$select lab.auth_mfa_confirm('12345')$$) as short, test.answer($$select lab.auth_mfa_confirm('１２３４５６')$$) as unicode;
select test.code('fay') as first_code \gset
select lab.auth_mfa_confirm(:'first_code') as confirmed \gset
select :'confirmed'::jsonb ->> 'status' as status, :'confirmed'::jsonb -> 'sessions_ended' as ended, jsonb_array_length(:'confirmed'::jsonb -> 'backup_codes') as codes,
       (select count(distinct c) from jsonb_array_elements_text(:'confirmed'::jsonb -> 'backup_codes') c where c ~ '^([a-z2-7]{4}-){5}[a-z2-7]{4}$') as well_formed;
select test.answer('select lab.auth_mfa_setup()') as again, test.answer($$select lab.auth_mfa_confirm('123456')$$) as again2;
select lab.auth_me() ->> 'mfa_enabled' as mfa_enabled, lab.auth_me() ->> 'mfa_backup_codes_left' as codes_left, (select u.mfa_enabled from lab.users u where u.id = labos.user_id()) as shown;
reset role;
select revoke_reason, count(*) from lab_data.user_sessions where user_id = test.id_of('fay') group by 1;
-- Stored as digests only.
select count(*) as codes, bool_and(octet_length(code_sha256) = 32) as digests,
       count(*) filter (where b.code_sha256 = sha256(convert_to(upper(replace(:'confirmed'::jsonb -> 'backup_codes' ->> 0, '-', '')), 'UTF8'))) as first
from lab_private.mfa_backup_codes b where b.user_id = test.id_of('fay');

-- signing in --------------------------------------------------------------------

set role lab_anon;
select lab.auth_login('fay', 'Correct-Horse-fay1', device_info => '{"app": "test"}') as challenge \gset
select string_agg(k, ' ' order by k) as members from jsonb_object_keys(:'challenge') k;
select :'challenge'::jsonb - 'challenge' as answer, length(:'challenge'::jsonb ->> 'challenge') as token_length;
-- The wrong password is refused as without a second factor (P52).
select lab.auth_login('fay', 'wrong') = lab.auth_login('nobody', 'wrong') as same;
-- OAuth clients get an error of their own.
select lab.auth_token('password', 'fay', 'Correct-Horse-fay1') - 'mfa_token' as oauth;
-- P59 The code that confirmed does not sign in.
select lab.auth_mfa_verify(:'challenge'::jsonb ->> 'challenge', :'first_code') as replayed;
select lab.auth_mfa_verify(:'challenge'::jsonb ->> 'challenge', test.code('fay', 1)) as signed_in \gset
select j ->> 'aal' as aal, j -> 'amr' as amr, j ->> 'session_kind' as kind, length(j ->> 'device_token') as device, test.claims(j ->> 'access_token') ->> 'aal' as claim,
       test.claims(j ->> 'access_token') -> 'amr' as methods, j ? 'restricted' as restricted from (select :'signed_in'::jsonb) x (j);
reset role;
select s.device_info, s.aal, s.amr from lab_data.user_sessions s where s.id = (:'signed_in'::jsonb ->> 'session_id')::uuid;
-- The challenge is used up, the code too (P57), in any order and for any challenge.
set role lab_anon;
select test.answer(format('select lab.auth_mfa_verify(%L, %L)', :'challenge'::jsonb ->> 'challenge', test.code('fay', 1))) as challenge_again;
select test.answer(format('select lab.auth_mfa_verify(%L, %L)', lab.auth_login('fay', 'Correct-Horse-fay1') ->> 'challenge', test.code('fay', o))) as code_again, o from generate_series(0, 1) o;
-- What is no challenge: rubbish, other purposes, nothing.
select test.answer(format('select lab.auth_mfa_verify(%L, %L)', c, '123456')), n
from unnest(array['', 'x', repeat('A', 43), repeat('A', 1000000), :'signed_in'::jsonb ->> 'refresh_token']) with ordinality t (c, n);
select test.answer('select lab.auth_mfa_verify(null, null)'), test.answer($$select lab.auth_mfa_verify('x', null)$$), test.answer($$select lab.auth_mfa_verify('x', 'y', '[1]')$$);
reset role;
select lab_private.one_time_token_make('password_reset', test.id_of('fay'), '1 hour') as other_purpose \gset
select test.answer(format('select lab.auth_mfa_verify(%L, %L)', :'other_purpose', test.code('fay'))) as other_purpose;
-- P30 Never by GET, never read-only.
begin; set local request.method = 'GET'; select test.answer($$select lab.auth_mfa_verify('x', 'y')$$); rollback;
begin read only; select test.answer($$select lab.auth_mfa_verify('x', 'y')$$); rollback;

-- Expired; another password since; no member any more; disabled: no challenge.
select test.rewind('fay');
create function test.fresh(who text) returns text language sql as $$ select lab.auth_login(who, 'Correct-Horse-' || who || '1') ->> 'challenge' $$;
begin;
select test.fresh('fay') as c \gset
update lab_private.one_time_tokens set expires_at = now() - interval '1 second' where purpose = 'mfa_challenge';
select test.answer(format('select lab.auth_mfa_verify(%L, %L)', :'c', test.code('fay'))) as expired;
rollback;
begin;
select test.fresh('fay') as c \gset
update lab_private.credentials set changed_at = clock_timestamp() where user_id = test.id_of('fay');
select test.answer(format('select lab.auth_mfa_verify(%L, %L)', :'c', test.code('fay'))) as password_changed;
rollback;
begin;
select test.fresh('fay') as c \gset
update lab_data.users set is_active = false where id = test.id_of('fay');
select test.answer(format('select lab.auth_mfa_verify(%L, %L)', :'c', test.code('fay'))) as disabled;
rollback;
begin;
select test.fresh('fay') as c \gset
update lab_data.memberships set left_at = now() where user_id = test.id_of('fay');
select test.answer(format('select lab.auth_mfa_verify(%L, %L)', :'c', test.code('fay'))) as left_organisation;
rollback;
-- Five minutes.
select expires_at - created_at between interval '4 minutes 59 seconds' and interval '5 minutes 1 second' as minutes_5 from lab_private.one_time_tokens where purpose = 'mfa_challenge' order by id desc limit 1;

-- P53 Five failures kill the half-way sign-in; the password does not bring the count back.
select test.rewind('fay'), test.fresh('fay') as c \gset
select i, test.answer(format('select lab.auth_mfa_verify(%L, %L)', :'c', test.wrong_code('fay'))) from generate_series(1, 5) i;
select test.answer(format('select lab.auth_mfa_verify(%L, %L)', :'c', test.code('fay'))) as sixth_is_right;
select g.used as counted, u.failed_login_attempts from lab_private.mfa_factors f join lab_private.use_guard g on g.id = f.guard_id join lab_data.users u on u.id = f.user_id where f.user_id = test.id_of('fay');
select test.fresh('fay') as c \gset
select g.used as counted from lab_private.mfa_factors f join lab_private.use_guard g on g.id = f.guard_id where f.user_id = test.id_of('fay');
-- P29 Rolled back, in a savepoint, in an exception, in an error of the statement around: counted all the same.
begin; select test.answer(format('select lab.auth_mfa_verify(%L, %L)', :'c', test.wrong_code('fay'))); rollback;
begin; savepoint s; select test.answer(format('select lab.auth_mfa_verify(%L, %L)', :'c', test.wrong_code('fay'))); rollback to s; commit;
select test.error_of(format($$do $do$ begin perform lab.auth_mfa_verify(%L, %L); raise exception using errcode = 'LB999', message = 'undone'; end $do$ $$, :'c', test.wrong_code('fay')));
select test.error_of(format('select (lab.auth_mfa_verify(%L, %L) ->> ''code'')::int', :'c', test.wrong_code('fay')));
select g.used as counted, t.used as tries from lab_private.mfa_factors f join lab_private.use_guard g on g.id = f.guard_id,
  lab_private.one_time_tokens o join lab_private.use_guard t on t.id = o.id
where f.user_id = test.id_of('fay') and o.token_sha256 = sha256(convert_to(:'c', 'UTF8'));
-- The tenth in a row locks this kind of code: the right one is refused, and an owner with a backup code gets in.
select lab.auth_mfa_verify(:'c', test.wrong_code('fay')) as tenth;
select test.fresh('fay') as c \gset
select lab.auth_mfa_verify(:'c', test.code('fay')) as locked;
select test.answer(format('select lab.auth_mfa_verify(%L, %L)', :'c', '')) as empty, test.answer(format('select lab.auth_mfa_verify(%L, %L)', :'c', repeat('a', 24))) as no_such_code;
select lab.auth_mfa_verify(:'c', upper(replace(:'confirmed'::jsonb -> 'backup_codes' ->> 0, '-', ' '))) -> 'amr' as backup_code;
select event, outcome, detail ->> 'reason' as reason, count(*) from lab_data.access_logs where user_id = test.id_of('fay') and event like 'mfa%' group by 1, 2, 3 order by 1, 2, 3;
-- The lock passes; an administrator lifts it; success begins anew.
select test.become('alan'); set role lab_user;
select test.answer(format('select lab.user_unlock(%L)', test.id_of('fay')));
reset role; select test.become(null);
select test.answer(format('select lab.auth_mfa_verify(%L, %L)', test.fresh('fay'), test.code('fay'))) as unlocked;
select g.used as counted, g.until from lab_private.mfa_factors f join lab_private.use_guard g on g.id = f.guard_id where f.user_id = test.id_of('fay');
-- A hundred in a row lock until somebody lifts it; until then each lock is twice as long, up to a day.
create temp table lock_lengths (failures int, seconds numeric);
do $$
declare v_id uuid := gen_random_uuid(); v record;
begin
  insert into lab_private.use_guard (id) values (v_id);
  for i in 1 .. 100 loop
    v := labos.use_guard_attempt(v_id, 10, 1800);
    if v.locked_until is not null then
      insert into lock_lengths values (i, case when v.locked_until = 'infinity' then null else round(extract(epoch from v.locked_until - clock_timestamp())) end);
      update lab_private.use_guard set until = '-infinity' where id = v_id;
    end if;
  end loop;
  v := labos.use_guard_attempt(v_id, 10, 1800);
  delete from lab_private.use_guard where id = v_id;
end $$;
select string_agg(failures || ':' || coalesce(seconds::text, 'until lifted'), ' ' order by failures) as locks from lock_lengths;

-- A used code stays used, whatever becomes of the transaction (P29, P57).
select test.rewind('fay'), test.code('fay') as code \gset
select test.fresh('fay') as c \gset
begin; select test.answer(format('select lab.auth_mfa_verify(%L, %L)', :'c', :'code')) as rolled_back; rollback;
select test.answer(format('select lab.auth_mfa_verify(%L, %L)', :'c', :'code')) as challenge, test.answer(format('select lab.auth_mfa_verify(%L, %L)', test.fresh('fay'), :'code')) as code;
select :'confirmed'::jsonb -> 'backup_codes' ->> 1 as backup \gset
begin; select test.answer(format('select lab.auth_mfa_verify(%L, %L)', test.fresh('fay'), :'backup')) as rolled_back; rollback;
select test.answer(format('select lab.auth_mfa_verify(%L, %L)', test.fresh('fay'), :'backup')) as backup_code;
-- One's code is no other's, nor one's backup code.
select test.become('gus'); set role lab_user;
select lab.auth_mfa_setup() is not null as set_up;
select lab.auth_mfa_confirm(test.code('gus')) as gus \gset
reset role; select test.become(null);
select test.rewind('fay'), test.answer(format('select lab.auth_mfa_verify(%L, %L)', test.fresh('gus'), test.code('fay', 1))) as others_code,
       test.answer(format('select lab.auth_mfa_verify(%L, %L)', test.fresh('gus'), :'confirmed'::jsonb -> 'backup_codes' ->> 2)) as others_backup_code;

-- changing it -------------------------------------------------------------------

-- P50 Both the password and a code; P60 new backup codes make all old ones void.
select test.become('fay'); set role lab_user;
select test.answer($$select lab.auth_mfa_backup_codes(null, null)$$) as nulls, lab.auth_mfa_backup_codes('wrong', test.code('fay', 1)) as wrong_password,
       lab.auth_mfa_backup_codes('Correct-Horse-fay1', test.wrong_code('fay')) as wrong_code;
select lab.auth_mfa_backup_codes('Correct-Horse-fay1', test.code('fay', 1)) as codes \gset
reset role;
select lab_private.check_code(test.id_of('fay'), :'confirmed'::jsonb -> 'backup_codes' ->> 5) as old, lab_private.check_code(test.id_of('fay'), :'codes'::jsonb -> 'backup_codes' ->> 5) as new,
       lab_private.check_code(test.id_of('fay'), :'codes'::jsonb -> 'backup_codes' ->> 5) as twice;
-- P64 Not with an API key's or any scoped session.
select test.become(null);
create function test.in_session(token text, statement text) returns text language plpgsql set search_path to pg_catalog, labos, pg_temp as $$
declare v_answer text;
begin
  perform labos.login(token);
  set local role lab_user;
  v_answer := test.answer(statement);
  reset role;
  return v_answer;
exception when others then
  return sqlstate || ' ' || sqlerrm;
end $$;
select lab_private.session_open(test.org_of('fay'), test.id_of('fay'), null, scopes => '{*:*}') ->> 'access_token' as scoped \gset
select s as call, test.in_session(:'scoped', s) as answer
from unnest(array['select lab.auth_mfa_setup()', $$select lab.auth_mfa_confirm('1')$$, $$select lab.auth_mfa_disable('x', 'y')$$, $$select lab.auth_mfa_backup_codes('x', 'y')$$,
                  $$select lab.auth_password_change('x', 'y')$$, $$select lab.auth_device_forget('00000000-0000-7000-8000-000000000001')$$, $$select lab.user_mfa_reset('00000000-0000-7000-8000-000000000001')$$]) s;
-- Disabling: password and code; ends the other sessions; nothing is left.
select lab.auth_mfa_verify(test.fresh('fay'), :'codes'::jsonb -> 'backup_codes' ->> 6) ->> 'access_token' as mine, test.rewind('fay') \gset
select test.in_session(:'mine', format($$select lab.auth_mfa_disable('wrong', %L)$$, test.code('fay'))) as wrong_password,
       test.in_session(:'mine', format($$select lab.auth_mfa_disable('Correct-Horse-fay1', %L)$$, test.wrong_code('fay'))) as wrong_code;
select u.mfa_enabled from lab_data.users u where u.username = 'fay';
select test.fresh('fay') as c, test.code('fay') as code \gset
select test.in_session(:'mine', format($$select lab.auth_mfa_disable('Correct-Horse-fay1', %L)$$, :'code')) as disabled;
select (select count(*) from lab_private.mfa_factors f where f.user_id = u.id) as factors, (select count(*) from lab_private.mfa_backup_codes b where b.user_id = u.id) as codes, u.mfa_enabled,
       (select count(*) from lab_data.user_sessions s where s.user_id = u.id and s.revoked_at is null) as open_sessions
from lab_data.users u where u.username = 'fay';
select test.answer(format('select lab.auth_mfa_verify(%L, %L)', :'c', :'code')) as open_challenge, test.answer($$select lab.auth_login('fay', 'Correct-Horse-fay1')$$) as without;

-- An administrator takes a lost factor away: of whom they outrank, not of themselves.
select test.become('gus'); set role lab_user;
select test.answer(format('select lab.user_mfa_reset(%L)', test.id_of('fay'))) as technician;
reset role; select test.become('bob'); set role lab_user;
select test.answer(format('select lab.user_mfa_reset(%L)', test.id_of('gus'))) as other_organisation;
reset role; select test.become('alan'); set role lab_user;
select test.answer(format('select lab.user_mfa_reset(%L)', test.id_of('alan'))) as own, test.answer(format('select lab.user_mfa_reset(%L)', test.id_of('fay'))) as none,
       test.answer('select lab.user_mfa_reset(null)') as nobody, lab.user_mfa_reset(test.id_of('gus')) ->> 'mfa_enabled' as reset;
reset role; select test.become(null);
select test.answer($$select lab.auth_login('gus', 'Correct-Horse-gus1')$$) as gus;
select count(*) as guards_left_over from lab_private.use_guard g
where not exists (select from lab_data.users u where u.id = g.id) and not exists (select from lab_private.one_time_tokens t where t.id = g.id)
  and not exists (select from lab_private.mfa_factors f where g.id in (f.id, f.guard_id)) and not exists (select from lab_private.mfa_backup_codes b where b.id = g.id)
  and not exists (select from lab_private.known_devices d where d.id = g.id) and not exists (select from lab_private.login_decoys d where d.id = g.id);

-- known devices -----------------------------------------------------------------

-- P54 Strangers lock the account; from the device that has signed in before, its owner still does.
select lab.auth_login('hal', 'Correct-Horse-hal1') ->> 'device_token' as device \gset
select count(*) filter (where d.secret_sha256 = sha256(convert_to(:'device', 'UTF8'))) as digest, count(*) filter (where d::text like '%' || :'device' || '%') as plain
from lab_private.known_devices d where d.user_id = test.id_of('hal');
select count(test.answer($$select lab.auth_login('hal', 'wrong')$$)) as guesses from generate_series(1, 20);
select test.answer($$select lab.auth_login('hal', 'Correct-Horse-hal1')$$) as elsewhere, test.answer(format($$select lab.auth_login('hal', 'Correct-Horse-hal1', device_token => %L)$$, :'device')) as known_device,
       test.answer($$select lab.auth_login('hal', 'Correct-Horse-hal1')$$) as elsewhere_still;
-- The same token comes back; it is no one else's, and rubbish is none.
select lab.auth_login('hal', 'Correct-Horse-hal1', device_token => :'device') ->> 'device_token' = :'device' as same_token,
       lab.auth_login('gus', 'Correct-Horse-gus1', device_token => :'device') ->> 'device_token' <> :'device' as other_user,
       lab.auth_login('gus', 'Correct-Horse-gus1', device_token => repeat('x', 1000000)) ->> 'device_token' is not null as rubbish;
-- Its own failures lock the device, after five, and only that.
select i, test.answer(format($$select lab.auth_login('hal', 'wrong', device_token => %L)$$, :'device')) from generate_series(1, 5) i;
select test.answer(format($$select lab.auth_login('hal', 'Correct-Horse-hal1', device_token => %L)$$, :'device')) as device_locked;
select labos.use_guard_reset(d.id) from lab_private.known_devices d where d.user_id = test.id_of('hal') and d.secret_sha256 = sha256(convert_to(:'device', 'UTF8'));
-- It skips nothing: the second factor is asked for, and its answer knows the device.
begin;
select lab.auth_login('ivy', 'Correct-Horse-ivy1') ->> 'device_token' as ivys \gset
select test.become('ivy'); set local role lab_user;
select lab.auth_mfa_setup() is not null as set_up;
select lab.auth_mfa_confirm(test.code('ivy')) ->> 'status' as confirmed;
reset role; select test.become(null);
select lab.auth_login('ivy', 'Correct-Horse-ivy1', device_token => :'ivys') ->> 'challenge' as c \gset
select lab.auth_mfa_verify(:'c', test.code('ivy', 1)) ? 'device_token' as another_token;
select count(*) as devices from lab_private.known_devices where user_id = test.id_of('ivy');
rollback;
-- One's own are listed and forgotten.
select lab.auth_login('hal', 'Correct-Horse-hal1', device_token => :'device') ->> 'access_token' as hals \gset
begin; select labos.login(:'hals') is not null as in; set local role lab_user;
select count(*) as devices, count(*) filter (where is_current) as current from lab.auth_devices();
select id as device_id from lab.auth_devices() \gset
commit;
begin; select test.become('gus'); set local role lab_user;
select test.answer(format('select lab.auth_device_forget(%L)', :'device_id')) as not_ones_own;
rollback;
select test.in_session(:'hals', format('select lab.auth_device_forget(%L)', :'device_id')) as forgotten, test.in_session(:'hals', format('select lab.auth_device_forget(%L)', :'device_id')) as twice;
select test.answer(format($$select lab.auth_login('hal', 'Correct-Horse-hal1', device_token => %L)$$, :'device')) as forgotten_device;
-- A new password forgets all but the one it is changed on.
update lab_data.users set locked_until = null, failed_login_attempts = 0 where username = 'hal';
select lab.auth_login('hal', 'Correct-Horse-hal1') as here, lab.auth_login('hal', 'Correct-Horse-hal1') ->> 'device_token' as there \gset
select test.in_session(:'here'::jsonb ->> 'access_token', $$select lab.auth_password_change('Correct-Horse-hal1', 'Correct-Horse-hal2')$$) as changed;
select lab_private.device_find(test.id_of('hal'), :'here'::jsonb ->> 'device_token') is not null as here, lab_private.device_find(test.id_of('hal'), :'there') is not null as there;
-- At most fifty; the one that has been shown again outlives those that never were.
update lab_private.known_devices set created_at = created_at - interval '1 day' where user_id = test.id_of('hal') and revoked_at is null;
select count(lab.auth_login('hal', 'Correct-Horse-hal2')) as scripts from generate_series(1, 60);
select count(*) as devices, bool_or(d.secret_sha256 = sha256(convert_to(:'here'::jsonb ->> 'device_token', 'UTF8'))) as used_one_kept from lab_private.known_devices d where d.user_id = test.id_of('hal');

-- restricted sessions -------------------------------------------------------------

-- An organisation that requires a second factor: without one a session is good for setting it up only.
select test.error_of($$update lab_data.organizations set settings = settings || '{"require_mfa": "yes"}' where slug = 'alpha'$$);
update lab_data.organizations set settings = settings || '{"require_mfa": true}' where slug = 'alpha';
select lab.auth_login('ivy', 'Correct-Horse-ivy1') as ivy \gset
select j ->> 'restricted' as restricted, j -> 'scopes' as scopes, j -> 'permissions' as permissions, test.claims(j ->> 'access_token') ->> 'restricted' as in_token,
       test.claims(j ->> 'access_token') ->> 'scope' as scope from (select :'ivy'::jsonb) x (j);
select test.in_session(:'ivy'::jsonb ->> 'access_token', s) as answer, s as call
from unnest(array['select to_jsonb(count(*)) from lab.organizations', $$select to_jsonb(labos.has_permission('sample:read'))$$, 'select lab.auth_me()',
                  $$select lab.auth_mfa_disable('x', 'y')$$, $$select lab.auth_device_forget('00000000-0000-7000-8000-000000000001')$$]) s;
-- Refreshing does not widen it.
select lab.auth_refresh(:'ivy'::jsonb ->> 'refresh_token') ->> 'restricted' as refreshed;
select test.in_session(:'ivy'::jsonb ->> 'access_token', 'select lab.auth_mfa_setup()') as set_up;
begin; select labos.login(:'ivy'::jsonb ->> 'access_token') is not null as in; set local role lab_user;
select lab.auth_mfa_confirm(test.code('ivy')) as confirmed \gset
commit;
-- P25 More rights, another session: with both factors.
select j #>> '{tokens,aal}' as aal, j #> '{tokens,amr}' as amr, j #> '{tokens,scopes}' as scopes, j -> 'tokens' ? 'restricted' as restricted,
       j #>> '{tokens,session_id}' <> :'ivy'::jsonb ->> 'session_id' as other_session from (select :'confirmed'::jsonb) x (j);
select test.in_session(:'confirmed'::jsonb #>> '{tokens,access_token}', $$select to_jsonb(labos.has_permission('sample:read'))$$) as new, test.in_session(:'ivy'::jsonb ->> 'access_token', 'select lab.auth_me()') as old;
-- Who has one signs in with it, and is not restricted.
select lab.auth_mfa_verify(test.fresh('ivy'), test.code('ivy', 1)) ? 'restricted' as restricted;
update lab_data.organizations set settings = settings - 'require_mfa' where slug = 'alpha';

-- A password that must be changed: a session for that.
update lab_private.credentials set must_change = true where user_id = test.id_of('jon');
select lab.auth_login('jon', 'Correct-Horse-jon1') as jon \gset
select :'jon'::jsonb ->> 'restricted' as restricted, test.in_session(:'jon'::jsonb ->> 'access_token', $$select to_jsonb(labos.has_permission('sample:read'))$$) as may;
begin; select labos.login(:'jon'::jsonb ->> 'access_token') is not null as in; set local role lab_user;
select lab.auth_password_change('Correct-Horse-jon1', 'Correct-Horse-jon2') as changed \gset
commit;
select :'changed'::jsonb -> 'tokens' ? 'restricted' as restricted, test.in_session(:'changed'::jsonb #>> '{tokens,access_token}', $$select to_jsonb(labos.has_permission('sample:read'))$$) as may;

-- the password again ---------------------------------------------------------------

-- Whoever holds a session guesses five times, and locks neither the account nor anything else.
select test.in_session(:'changed'::jsonb #>> '{tokens,access_token}', $$select lab.auth_password_change('wrong', 'Correct-Horse-jon3')$$) from generate_series(1, 6);
select test.in_session(:'changed'::jsonb #>> '{tokens,access_token}', $$select lab.auth_password_change('Correct-Horse-jon2', 'Correct-Horse-jon3')$$) as right_too_late,
       test.answer($$select lab.auth_login('jon', 'Correct-Horse-jon2')$$) as account;
-- P29 rolled back or not.
begin; select lab_private.reauthenticate(test.id_of('gus'), 'wrong'); rollback;
select used from lab_private.use_guard where id = test.id_of('gus');

-- six states ------------------------------------------------------------------------

-- P52 One answer and one amount of work: rows written, in which tables apart from whose, and one flushed guard.
create table test.states (name text, login text, password text);
insert into test.states values ('unknown', 'nobody', 'Correct-Horse-x1'), ('unknown e-mail', 'nobody@alpha.test', 'Correct-Horse-x1'), ('wrong password', 'gus', 'wrong'), ('disabled', 'hal', 'Correct-Horse-hal2'),
  ('locked', 'ivy', 'Correct-Horse-ivy1'), ('unverified', 'jon', 'Correct-Horse-jon2'), ('no password', 'fay', 'Correct-Horse-fay1');
update lab_data.users set is_active = false where username = 'hal';
update lab_data.users set locked_until = now() + interval '1 hour' where username = 'ivy';
update lab_data.users set is_verified = false where username = 'jon';
delete from lab_private.credentials where user_id = test.id_of('fay');
create function test.state(state test.states, out answer text, out headers text, out inserted bigint, out updated bigint, out guards bigint, out flushed boolean)
  language plpgsql as $$
declare
  v_rows record; v_now record; v_lsn pg_lsn; v_used bigint;
begin
  select sum(n_tup_ins) as ins, sum(n_tup_upd) as upd into v_rows from pg_stat_xact_user_tables;
  select sum(g.used) into v_used from (select used from lab_private.use_guard union all select failed from lab_private.login_guard) g;
  v_lsn := pg_current_wal_insert_lsn();
  answer := lab.auth_login(state.login, state.password)::text || current_setting('response.status');
  headers := current_setting('response.headers');
  flushed := pg_current_wal_flush_lsn() > v_lsn;
  select sum(n_tup_ins) as ins, sum(n_tup_upd) as upd into v_now from pg_stat_xact_user_tables;
  inserted := v_now.ins - v_rows.ins;
  updated := v_now.upd - v_rows.upd;
  select sum(g.used) - v_used into guards from (select used from lab_private.use_guard union all select failed from lab_private.login_guard) g;
end $$;
select r.answer, r.headers, r.inserted, r.updated, r.guards, r.flushed, string_agg(s.name, ', ' order by s.name) as states
from test.states s, test.state(s) r group by 1, 2, 3, 4, 5, 6;
-- A cheaper, older hash takes as long as the policy's; a dearer one cannot be hidden, and lasts until the next sign-in.
set labos.argon2_memory = '64MB'; set labos.argon2_iterations = 3;
update lab_private.credentials set password_hash = labos.bcrypt('Correct-Horse-gus1', '$2b$04$CCCCCCCCCCCCCCCCCCCCC.'), algorithm = 'bcrypt' where user_id = test.id_of('gus');
select (lab_private.check_password(u, 'wrong')).reason, labos.password_seconds() > 0.01 as pace_known from lab_data.users u where u.username = 'gus';
create function test.seconds(statement text) returns float8 language plpgsql as $$
declare v_start timestamptz := clock_timestamp();
begin
  execute statement;
  return extract(epoch from clock_timestamp() - v_start);
end $$;
select test.seconds($$select lab_private.check_password(u, 'wrong') from lab_data.users u where u.username = 'gus'$$) >= labos.password_seconds() as padded;
set labos.argon2_memory = '8MB'; set labos.argon2_iterations = 1;
-- P48 Rehashed only where nobody changed it meanwhile.
update lab_private.credentials set password_hash = labos.bcrypt('Correct-Horse-gus1', '$2b$04$CCCCCCCCCCCCCCCCCCCCC.'), algorithm = 'bcrypt' where user_id = test.id_of('gus');
update lab_data.users set locked_until = null, failed_login_attempts = 0 where username = 'gus';
-- Not when the sign-in is refused in the end.
update lab_data.users set is_active = false where username = 'gus';
select test.answer($$select lab.auth_login('gus', 'Correct-Horse-gus1')$$), left(c.password_hash, 4) as scheme from lab_private.credentials c where c.user_id = test.id_of('gus');
update lab_data.users set is_active = true where username = 'gus';
select test.answer($$select lab.auth_login('gus', 'Correct-Horse-gus1')$$);
select left(c.password_hash, 10) as scheme, c.algorithm, labos.password_verify('Correct-Horse-gus1', c.password_hash) as same from lab_private.credentials c where c.user_id = test.id_of('gus');

-- rights ------------------------------------------------------------------------------

-- P32 Nobody but the owner computes codes, touches guards or reads the tables.
set role lab_user;
select s as call, left(test.error_of('select ' || s), 50) as error
from unnest(array['labos.hotp(''x'', 1)', 'labos.totp_step(''x'', ''1'')', 'labos.random_bytes(1)', 'labos.base32(''x'')', 'labos.totp_uri(''x'', ''y'', ''z'')', 'labos.qr_svg(''x'')', 'labos.password_seconds(0)',
  'labos.use_guard_attempt(gen_random_uuid(), 1, 1)', 'labos.use_guard_reset(gen_random_uuid())', 'labos.use_guard_charge(gen_random_uuid(), 1)', 'count(*) from lab_private.mfa_factors',
  'count(*) from lab_private.known_devices', 'count(*) from lab_private.login_decoys', 'lab_private.check_code(null, null)', 'lab_private.backup_codes_make(null)', 'lab_private.mfa_remove(null)']) s;
reset role;
-- P39 No code, secret or token is in the access log.
select count(*) as leaks from lab_data.access_logs l
where l::text ~* '([a-z2-7]{4}-){5}' or l::text ~ '[A-Z2-7]{24}' or strpos(l::text, :'device') > 0 or strpos(l::text, :'c') > 0;
-- Leave the place as it was for the tests that follow.
update lab_data.users set is_active = true, is_verified = true, locked_until = null, failed_login_attempts = 0 where username in ('fay', 'gus', 'hal', 'ivy', 'jon');
select test.become(null);
