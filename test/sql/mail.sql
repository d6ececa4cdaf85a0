-- What goes by mail: the outbox and its worker, verification, a forgotten password, another address.
-- Numbers like P52 are those of the identity checklist.
set client_min_messages to warning;
\set VERBOSITY terse
\set QUIET on

-- The mails of this test: what the worker 'post' has claimed and delivered.
create table test.mail (n integer generated always as identity, id uuid, template text, recipient text, payload jsonb);
create function test.post() returns table (template text, recipient text, keys text)
  language plpgsql set search_path to pg_catalog, labos, pg_temp
as $$
begin
  return query
    with got as (
      insert into test.mail (id, template, recipient, payload)
      select c.id, c.template, c.recipient, c.payload from lab_private.outbox_claim('post', 100) c returning *)
    select g.template, g.recipient, (select string_agg(k, ' ' order by k) from jsonb_object_keys(g.payload) k where k not in ('at', 'ip', 'user_agent'))
    from got g where lab_private.outbox_delivered(g.id, 'post') order by g.n;
end
$$;
create function test.token(template text) returns text
  language sql set search_path to pg_catalog, pg_temp
as $$ select m.payload ->> 'token' from test.mail m where m.template = $1 order by m.n desc limit 1 $$;
create function test.person(who text, verified boolean default true, active boolean default true, secret boolean default true) returns uuid
  language plpgsql set search_path to pg_catalog, labos, pg_temp
as $$
declare v_id uuid;
begin
  insert into lab_data.users (email, username, is_verified, is_active) values (who || '@mail.test', who, verified, active) returning id into v_id;
  insert into lab_data.memberships (org_id, user_id, is_default) select o.id, v_id, true from lab_data.organizations o where o.slug = 'alpha';
  if secret then perform lab_private.password_set(v_id, 'Correct-Horse-1', who || '@mail.test', who); end if;
  return v_id;
end
$$;
select test.person('pat') is not null as pat, test.person('muna', verified => false) is not null as muna,
       test.person('mdan', active => false) is not null as mdan, test.person('mnop', secret => false) is not null as mnop;
insert into lab_data.users (email, username, deleted_at, is_verified) values ('gone@mail.test', 'gone', now(), true);
truncate lab_private.outbox;

-- the outbox ------------------------------------------------------------------

-- P35 What waits is sealed for its row, and opens in no other (test/t/mail.t: and is encrypted).
select lab_private.outbox_add('mail', 'password_changed', 'x@mail.test', payload => '{"token": "canary-4711"}') as one \gset
select test.error_of(format('select labos.secret_open(%L, %L)', o.sealed_payload, 'outbox/' || labos.uuid_v7())) as elsewhere
from lab_private.outbox o;
-- No recipient holds a second line, and no channel or template is any.
select test.error_of(format('select lab_private.outbox_add(%L, %L, %L)', c, t, r))
from (values ('mail', 'lockout', E'a@b.test\r\nBcc: c@d.test'), ('mail', 'lockout', E'a@b.test\x01'), ('mail', 'lockout', ''), ('pigeon', 'lockout', 'a@b.test'),
             ('mail', '../passwd', 'a@b.test'), ('mail', 'lockout', null)) x(c, t, r);
-- What is rolled back is not told.
begin;
select lab_private.outbox_add('mail', 'lockout', 'y@mail.test') is not null as added;
rollback;
select count(*) from lab_private.outbox;

-- One worker has it until its lease ends; nobody else can say that it has been delivered.
select template, recipient, attempt, payload from lab_private.outbox_claim('one', 10);
select count(*) as others from lab_private.outbox_claim('two', 10);
select lab_private.outbox_delivered(:'one', 'two') as not_theirs, lab_private.outbox_failed(:'one', 'two', 'no') as nor_this;
update lab_private.outbox set available_at = now(), claimed_until = now();
select attempt from lab_private.outbox_claim('two', 10);
select lab_private.outbox_delivered(:'one', 'one') as too_late, lab_private.outbox_delivered(:'one', 'two') as delivered, lab_private.outbox_delivered(:'one', 'two') as again;
-- Once delivered the token is gone.
select sealed_payload, delivered_at is not null as delivered from lab_private.outbox;
-- A failure is put off twice as long each time, and after eight it is over.
select lab_private.outbox_add('mail', 'lockout', 'z@mail.test') as two \gset
create function test.fail_once(item uuid) returns text
  language plpgsql set search_path to pg_catalog, pg_temp
as $$
declare v_row lab_private.outbox;
begin
  perform lab_private.outbox_claim('bad', 10);
  perform lab_private.outbox_failed(item, 'bad', E'421 try\r\nlater');
  select o.* into v_row from lab_private.outbox o where o.id = item;
  update lab_private.outbox o set available_at = now() where o.id = item;
  return format('attempt %s: %s s, %s, payload %s, %s', v_row.attempts, round(extract(epoch from v_row.available_at - clock_timestamp())), v_row.last_error,
    v_row.sealed_payload is not null, coalesce(v_row.failed_at::text is not null, false));
end
$$;
select test.fail_once(:'two') from generate_series(1, 8);
select count(*) as given_up from lab_private.outbox_claim('bad', 10);
select event, outcome, detail ->> 'template' as template from lab_data.access_logs where event = 'delivery';
-- One that kills its workers ends as well; one that cannot be opened harms no other; some failures are final.
select lab_private.outbox_add('mail', 'lockout', 'killer@mail.test') as three, lab_private.outbox_add('mail', 'lockout', 'broken@mail.test') as four,
       lab_private.outbox_add('mail', 'lockout', 'refused@mail.test') as five \gset
update lab_private.outbox set attempts = 8 where id = :'three';
update lab_private.outbox set sealed_payload = '\x00' where id = :'four';
select recipient from lab_private.outbox_claim('one', 10);
select lab_private.outbox_failed(:'five', 'one', '550 unknown', true);
select recipient, attempts, failed_at is not null as failed, sealed_payload is null as erased, last_error
from lab_private.outbox where id in (:'three', :'four', :'five') order by id;
select test.error_of(format('select lab_private.outbox_claim(%L, 1, %L)', w, l))
from (values (null, '1 min'), ('', '1 min'), ('a b', '1 min'), ('ok', '0 s'), ('ok', null), ('ok', '2 days')) x(w, l);
-- lab_delivery may do this and nothing else: no table, no other function of ours.
select p.oid::regprocedure from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname in ('lab', 'lab_private', 'lab_data') and has_function_privilege('lab_delivery', p.oid, 'execute') order by p.oid::regprocedure::text;
select count(*) as relations from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('lab', 'lab_data', 'lab_private') and c.relkind in ('r', 'v', 'p') and has_any_column_privilege('lab_delivery', c.oid, 'select,insert,update');
select r.rolcanlogin, r.rolsuper, r.rolbypassrls, pg_has_role('lab_delivery', 'lab_owner', 'member') as owner from pg_roles r where r.rolname = 'lab_delivery';
set role lab_delivery;
select count(*) from lab_private.outbox_claim('as_worker', 10);
select test.error_of('select * from lab_private.outbox'), test.error_of('select lab_private.outbox_add(''mail'', ''lockout'', ''a@b.test'')');
reset role;
truncate lab_private.outbox;

-- P52 asking --------------------------------------------------------------------

-- One answer, one row, one line in the log: for who exists, who does not, who is disabled, unverified, without password or deleted.
select test.answer(format('select lab.auth_password_forgot(%L)', w || '@mail.test')) as forgot, test.answer(format('select lab.auth_verify_resend(%L)', w || '@mail.test')) as resend
from unnest('{pat,muna,mdan,mnop,gone,nobody}'::text[]) w;
select template, channel, is_request, org_id, user_id, octet_length(sealed_payload) as size, count(*) from lab_private.outbox group by 1, 2, 3, 4, 5, 6 order by 1;
select event, outcome, user_id, detail, count(*) from lab_data.access_logs where event in ('password_forgot', 'verify_resend') group by 1, 2, 3, 4 order by 1;
-- No address stands in the log.
select count(*) from lab_data.access_logs where detail::text ~ '@mail';
select test.answer('select lab.auth_password_forgot(null)'), test.answer('select lab.auth_verify_resend(null)'), test.answer('select lab.auth_password_forgot(''x'')');
-- Mails go to living accounts, verifications to those that wait for one; of the others nothing remains.
select * from test.post() order by recipient, template;
select count(*) from lab_private.outbox where delivered_at is null;
-- Not more than three an hour to one address, whatever they are.
select count(test.answer('select lab.auth_password_forgot(''pat@mail.test'')')) from generate_series(1, 5);
select template, recipient from test.post();
select detail ->> 'template' as template, count(*) from lab_data.access_logs where event = 'mail_limit' group by 1;
-- P31 They are asked for by POST, in a transaction that writes.
begin read only;
select test.answer('select lab.auth_password_forgot(''pat@mail.test'')'), test.answer('select lab.auth_password_reset(''x'', ''y'')'), test.answer('select lab.auth_verify_email(''x'')'),
       test.answer('select lab.auth_email_confirm(''x'')'), test.answer('select lab.auth_verify_resend(''pat@mail.test'')');
rollback;

-- P62 a new password --------------------------------------------------------------

select test.token('password_reset') as token \gset
select count(*) as living_tokens from lab_private.one_time_tokens where user_id = test.id_of('pat') and purpose = 'password_reset' and revoked_at is null;
-- Ten minutes, stored as a digest, bound to address and password.
select extract(epoch from expires_at - created_at)::integer / 60 as minutes, token_sha256 = sha256(convert_to(:'token', 'UTF8')) as digest, email, password_changed_at is not null as version
from lab_private.one_time_tokens where token_sha256 = sha256(convert_to(:'token', 'UTF8'));
-- For one purpose only.
select test.answer(format('select lab.auth_verify_email(%L)', :'token')), test.answer(format('select lab.auth_email_confirm(%L)', :'token')), test.answer(format('select lab.auth_invite_accept(%L)', :'token'));
select test.answer(format('select lab.auth_password_reset(%L, %L)', t, 'Better-Horse-1'))
from unnest(array['', 'x', repeat('A', 43), :'token' || 'A', ' ' || :'token', upper(:'token'), null]) t;
-- A weak password does not use it (P43: nor the own name).
select test.answer(format('select lab.auth_password_reset(%L, %L)', :'token', w)) from unnest(array['weak', '', 'Pat@mail.test1', null]) w;
-- The account is locked, has sessions and a device: all that ends.
select test.answer('select lab.auth_login(''pat'', ''Correct-Horse-1'')') as before;
select count(test.answer('select lab.auth_login(''pat'', ''wrong'')')) from generate_series(1, 5);
select test.answer('select lab.auth_login(''pat'', ''Correct-Horse-1'')') as locked;
select test.answer(format('select lab.auth_password_reset(%L, %L)', :'token', 'Better-Horse-1')) as reset;
select count(*) filter (where revoked_at is null) as open, array_agg(distinct revoke_reason) as reason from lab_data.user_sessions where user_id = test.id_of('pat');
select test.answer('select lab.auth_login(''pat'', ''Correct-Horse-1'')') as old, test.answer('select lab.auth_login(''pat'', ''Better-Horse-1'')') as new;
-- Once; and with it its siblings.
select test.answer(format('select lab.auth_password_reset(%L, %L)', m.payload ->> 'token', 'Third-Horse-1')) from test.mail m where m.template = 'password_reset' and m.recipient = 'pat@mail.test';
select * from test.post() where template <> 'new_device';
select event, outcome, detail - 'sessions_ended' as detail, count(*) from lab_data.access_logs where event = 'password_reset' group by 1, 2, 3 order by 2, 3;

-- P29 A use is a use: undone in every way, the token is gone and the password is the old one.
create function test.reset_token(who text) returns text language sql set search_path to pg_catalog, labos, pg_temp as
$$ select lab_private.one_time_token_make('password_reset', u.id, '10 min', null, u.email::text) from lab_data.users u where u.username = who $$;
select test.reset_token('pat') as a, test.reset_token('pat') as b, test.reset_token('pat') as c \gset
begin; select test.answer(format('select lab.auth_password_reset(%L, %L)', :'a', 'Third-Horse-1')) as then_rolled_back; rollback;
begin; savepoint s; select test.answer(format('select lab.auth_password_reset(%L, %L)', :'b', 'Third-Horse-1')) as then_to_savepoint; rollback to s; commit;
do $$ begin perform lab.auth_password_reset((select c from (select test.reset_token('pat') c) x), 'Third-Horse-1'); raise exception 'undone' using errcode = 'PT400'; exception when sqlstate 'PT400' then null; end $$;
select test.answer(format('select lab.auth_password_reset(%L, %L)', t, 'Third-Horse-1')) from unnest(array[:'a', :'b']) t;
select test.answer('select lab.auth_login(''pat'', ''Better-Horse-1'')') as still_the_old;
-- It dies with the password it was made under, with another address, with the account.
select lab_private.password_set(test.id_of('pat'), 'Fourth-Horse-1', 'pat@mail.test', 'pat');
select test.answer(format('select lab.auth_password_reset(%L, %L)', :'c', 'Third-Horse-1')) as password_changed;
select test.reset_token('pat') as d, test.reset_token('mnop') as e \gset
update lab_data.users set email = 'pat2@mail.test' where username = 'pat';
update lab_data.users set is_active = false where username = 'mnop';
select test.answer(format('select lab.auth_password_reset(%L, %L)', :'d', 'Third-Horse-1')) as address_changed, test.answer(format('select lab.auth_password_reset(%L, %L)', :'e', 'Third-Horse-1')) as disabled;
update lab_data.users set is_active = true where username = 'mnop';
-- Whoever changed it: the old address is told.
select template, recipient from test.post();
update lab_data.users set email = 'pat@mail.test' where username = 'pat';
-- Who never had a password gets one so; who was not verified is, by it.
select test.answer(format('select lab.auth_password_reset(%L, %L)', :'e', 'First-Horse-1')) as first, test.answer('select lab.auth_login(''mnop'', ''First-Horse-1'')') as signs_in;
select test.answer(format('select lab.auth_password_reset(%L, %L)', test.reset_token('muna'), 'First-Horse-1')) as muna, test.answer('select lab.auth_login(''muna'', ''First-Horse-1'')') as signs_in;
select count(*) > 0 as told from test.post();

-- verification ------------------------------------------------------------------

select test.person('vera', verified => false) is not null as vera;
select test.answer('select lab.auth_verify_resend(''Vera@MAIL.test '')');
select * from test.post();
select test.answer('select lab.auth_login(''vera'', ''Correct-Horse-1'')') as before, test.answer(format('select lab.auth_verify_email(%L)', test.token('email_verification'))) as verified,
       test.answer('select lab.auth_login(''vera'', ''Correct-Horse-1'')') as after, test.answer(format('select lab.auth_verify_email(%L)', test.token('email_verification'))) as again;
select test.become('sam');
set role lab_user;
select test.answer('select lab.auth_verify_resend()') as own;
reset role;
select count(*) as verified_already from test.post() where template = 'email_verification';

-- another address -----------------------------------------------------------------

select test.become('vera');
set role lab_user;
select test.answer(format('select lab.auth_email_change(%L, %L)', p, e))
from (values (null, 'v2@mail.test'), ('Correct-Horse-1', null), ('wrong', 'v2@mail.test'), ('Correct-Horse-1', 'bad'), ('Correct-Horse-1', 'VERA@mail.test')) x(p, e);
-- P52 The same answer for an address that is free and for one that somebody has.
select test.answer('select lab.auth_email_change(''Correct-Horse-1'', ''pat@mail.test'')') as taken, test.answer('select lab.auth_email_change(''Correct-Horse-1'', ''Vera.Two@Mail.Test'')') as free;
reset role;
-- The new address as it was typed; the old one hears of it; who has the other address hears nothing.
select * from test.post() order by 1, 2;
select email, email_typed from lab_data.users where username = 'vera';
select test.answer('select lab.auth_login(''vera'', ''Correct-Horse-1'')') is not null as one_more_session;
select test.answer(format('select lab.auth_email_confirm(%L)', test.token('email_change'))) as confirmed, test.answer(format('select lab.auth_email_confirm(%L)', test.token('email_change'))) as again;
select email, email_typed, is_verified from lab_data.users where username = 'vera';
select count(*) filter (where revoked_at is null) as open from lab_data.user_sessions where user_id = test.id_of('vera');
select * from test.post() where template <> 'new_device' order by 1, 2;
-- Later mails go there.
select test.answer('select lab.auth_password_forgot(''vera.two@mail.test'')');
select template, recipient from test.post();
-- Somebody else took it before it was confirmed.
select test.become('vera');
set role lab_user;
select test.answer('select lab.auth_email_change(''Correct-Horse-1'', ''race@mail.test'')');
reset role;
select count(*) from test.post();
insert into lab_data.users (email, username) values ('race@mail.test', 'racer');
select test.answer(format('select lab.auth_email_confirm(%L)', test.token('email_change'))) as lost, test.answer(format('select lab.auth_email_confirm(%L)', test.token('email_change'))) as used;
select email from lab_data.users where username = 'vera';
-- Confirming is bound to the password it was asked with.
select test.become('vera');
set role lab_user;
select test.answer('select lab.auth_email_change(''Correct-Horse-1'', ''v3@mail.test'')');
reset role;
select count(*) from test.post();
select lab_private.password_set(test.id_of('vera'), 'Other-Horse-1', 'vera.two@mail.test', 'vera');
select test.answer(format('select lab.auth_email_confirm(%L)', test.token('email_change'))) as password_changed;
-- P64 Nobody changes it with scopes or without being signed in.
select test.become(null);
set role lab_anon;
select test.error_of('select lab.auth_email_change(''x'', ''y@z.test'')') ~ 'permission denied' as anonymous;
reset role;

-- P65 addresses ---------------------------------------------------------------------

select count(*) as wrong, count(*) filter (where test.error_of(format('select lab_private.normal_email(%L)', a)) like 'PT400 invalid_email%') as refused
from unnest(array['a b@x.test', 'a@b@x.test', '@x.test', 'a@', 'a@x', 'a@-x.test', 'a@x-.test', 'a@x..test', '.a@x.test', 'a.@x.test', 'a..b@x.test', '"a"@x.test', 'a@[127.0.0.1]',
  'a,b@x.test', '<a@x.test>', 'a@x.test,b@y.test', 'a;b@x.test', 'a\b@x.test', repeat('a', 65) || '@x.test', 'a@' || repeat('a', 64) || '.test', 'a@' || repeat('abcdefghi.', 26) || 'test', '', null]) a;
select to_hex(ascii(c)) as accepted from unnest(array[U&'\0001', U&'\000A', U&'\000D', U&'\0085', U&'\00A0', U&'\00AD', U&'\061C', U&'\200B', U&'\200D', U&'\200E', U&'\202E', U&'\2028', U&'\2066', U&'\2069', U&'\FEFF', U&'\FFF9', U&'\E000', U&'\+0E0041', U&'\3164', U&'\3000', U&'\2003', U&'\202F', U&'\0009']) c
where test.error_of(format('select lab_private.normal_email(%L)', 'a' || c || 'b@x.test')) not like '%invalid_email%';
-- Accepted, compared in this form; dots and tags are the receiver's business.
select a as typed, lab_private.normal_email(a) as compared, lab_private.typed_email(a) as delivered
from unnest(array['  Ada.Lovelace+Lab@Example.ORG ', 'ada@xn--mnchen-3ya.de', 'o''brien@x.test', E'ad\u0061@x.test', 'a@x.test']) a;
-- NFC: two ways to write one letter are one address; a domain in another script is written in ASCII.
select lab_private.normal_email(U&'jose\0301@x.test') = lab_private.normal_email(U&'jos\00E9@x.test') as one, test.error_of(U&'select lab_private.normal_email(''a@m\00FCnchen.de'')') as script;
-- A letter that only looks like k in lower case leads to no other mailbox.
select lab_private.normal_email(U&'mi\212Ae@x.test') = 'mike@x.test' as compared_as, lab_private.typed_email(U&'Mi\212Ae@x.test') as delivered;
-- P66 User names: ASCII, whatever the case.
select n, test.error_of(format('select lab_private.check_username(%L)', n)) from unnest(array['PAT', 'Pat', U&'p\0430t', U&'\FF50at', 'pat ', 'p.t', 'ab', repeat('x', 31), 'free-one']) n;

-- P52 registering -------------------------------------------------------------------

select test.answer('select lab.auth_register(''new@mail.test'', ''newbie5'', ''Correct-Horse-1'')') as closed;
update lab_private.identity_settings set registration = 'open', registration_org_id = test.org_of('sam');
truncate lab_private.outbox;
delete from test.mail;
select test.answer(format('select lab.auth_register(%L, %L, %L)', e, u, 'Correct-Horse-1')) as answer
from (values ('New@Mail.test', 'newbie5'), ('pat@mail.test', 'newbie6'), ('other@mail.test', 'PAT'), ('mdan@mail.test', 'newbie7')) x(e, u);
-- The queue holds the same for each of them, and no account was made but one.
select template, is_request, org_id = test.org_of('sam') as org, user_id, count(*) from lab_private.outbox group by 1, 2, 3, 4;
select email, email_typed, is_verified from lab_data.users where username like 'newbie%' or email like '%.invalid' order by 1;
select template, recipient, keys from test.post() order by recipient;
select test.answer('select lab.auth_login(''newbie5'', ''Correct-Horse-1'')') as before, test.answer(format('select lab.auth_verify_email(%L)', test.token('email_verification'))) as verified,
       test.answer('select lab.auth_login(''newbie5'', ''Correct-Horse-1'')') as after;
-- Registered again before it was verified: a mail to choose the password, which is nobody's until then.
select test.answer('select lab.auth_register(''late@mail.test'', ''late'', ''Correct-Horse-1'')'), test.answer('select lab.auth_register(''late@mail.test'', ''late2'', ''Correct-Horse-2'')');
select template, recipient from test.post() where recipient like 'late%';
select test.answer(format('select lab.auth_register(%L, %L, %L)', e, u, p))
from (values ('bad', 'newbie8', 'Correct-Horse-1'), ('n8@mail.test', 'n', 'Correct-Horse-1'), ('n8@mail.test', 'newbie8', 'weak'), (null, null, null)) x(e, u, p);
update lab_private.identity_settings set registration = 'invite';
select test.answer('select lab.auth_register(''n8@mail.test'', ''newbie8'', ''Correct-Horse-1'')') as invite;
update lab_private.identity_settings set registration = 'closed';

-- P54 What others ask for at an address does not keep its owner from a new password.
select test.person('pete') is not null as pete;
select count(lab_private.outbox_put('mail', 'register', 'pete@mail.test', null, null, '{}', true)) from generate_series(1, 5);
select template, recipient from test.post();
select test.answer('select lab.auth_password_forgot(''pete@mail.test'')');
select template, recipient from test.post();
-- P62 A change of address that waits ends when the address is changed otherwise, whether its mail has gone or not.
select test.become('pete');
set role lab_user;
select test.answer('select lab.auth_email_change(''Correct-Horse-1'', ''pete2@mail.test'')') as asked;
reset role;
select template, recipient from test.post() where template = 'email_change';
set role lab_user;
select test.answer('select lab.auth_email_change(''Correct-Horse-1'', ''pete3@mail.test'')') as asked_again;
reset role;
update lab_data.users set email = 'peter@mail.test' where username = 'pete';
select test.become(null);
select test.answer(format('select lab.auth_email_confirm(%L)', test.token('email_change'))) as confirmed;
select template, recipient from test.post();
select email from lab_data.users where username = 'pete';
-- P67 Who registers at an address that somebody has registered before, and not verified, chooses the password with the mail: the other's is void.
update lab_private.identity_settings set registration = 'open';
select test.answer('select lab.auth_register(''lara@mail.test'', ''mallory'', ''Attack-Horse-1'')'), test.answer('select lab.auth_register(''lara@mail.test'', ''mallory'', ''Honest-Horse-2'')');
select template, recipient from test.post();
select m.template, t.id is not null as lives from test.mail m, lab_private.one_time_token_find(m.payload ->> 'token', m.template) t where m.recipient = 'lara@mail.test' order by m.n;
select test.answer('select lab.auth_login(''mallory'', ''Attack-Horse-1'')') as attacker;
select test.answer(format('select lab.auth_password_reset(%L, ''Honest-Horse-3'')', test.token('password_reset'))) as reset;
select test.answer('select lab.auth_login(''lara@mail.test'', ''Attack-Horse-1'')') as attacker, lab.auth_login('lara@mail.test', 'Honest-Horse-3') ? 'access_token' as owner;
update lab_private.identity_settings set registration = 'closed';
delete from test.mail m where m.recipient ~ '^(pete|lara)';
-- The mails know no more than they must.
select template, string_agg(distinct k, ' ' order by k) as keys from test.mail m, jsonb_object_keys(m.payload) k group by 1 order by 1;
-- P35 Nothing of what was delivered is left, and no token was stored.
select count(*) as payloads from lab_private.outbox where delivered_at is not null and sealed_payload is not null;
select count(*) as tokens from test.mail m, lab_data.access_logs l where m.payload ? 'token' and l.detail::text like '%' || (m.payload ->> 'token') || '%';
truncate lab_private.outbox;
drop table test.mail cascade;
drop function test.post(), test.token(text), test.fail_once(uuid), test.reset_token(text);
delete from lab_private.db_logins where rolname = session_user;
