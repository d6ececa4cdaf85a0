-- Invitations, and the removal of what has expired.
-- Numbers like P62 are those of the identity checklist.
set client_min_messages to warning;
\set VERBOSITY terse
\set QUIET on
truncate lab_private.outbox;
create table test.mail (n integer generated always as identity, template text, recipient text, payload jsonb);
create function test.post() returns table (template text, recipient text, keys text)
  language plpgsql set search_path to pg_catalog, labos, pg_temp
as $$
begin
  return query
    with got as (select c.* from lab_private.outbox_claim('post', 100) c),
    kept as (insert into test.mail (template, recipient, payload) select g.template, g.recipient, g.payload from got g order by g.id returning n, mail.template, mail.recipient, payload),
    done as (select lab_private.outbox_delivered(g.id, 'post') from got g)
    select k.template, k.recipient, (select string_agg(x, ' ' order by x) from jsonb_object_keys(k.payload) x where x not in ('at', 'ip', 'user_agent'))
    from kept k where (select count(*) from done) > 0 order by k.n;
end
$$;
create function test.token(recipient text) returns text
  language sql set search_path to pg_catalog, pg_temp
as $$ select m.payload ->> 'token' from test.mail m where m.recipient = $1 and m.template = 'invitation' order by m.n desc limit 1 $$;
create function test.invitation(email text) returns uuid language sql security definer set search_path to pg_catalog, pg_temp
as $$ select i.id from lab_data.invitations i where i.email = $1 order by i.id desc limit 1 $$;
-- A caller who has a token still, or none any more.
create function test.accept(token text, more text default '') returns text
  language sql set search_path to pg_catalog, pg_temp
as $$ select test.answer(format('select lab.auth_invite_accept(%L%s)', $1, $2)) $$;
grant execute on all functions in schema test to public;
insert into lab_data.users (email, username, is_verified) values ('sol@alpha.test', 'sol', true);
insert into lab_data.memberships (org_id, user_id, is_default) values (test.org_of('alan'), test.id_of('sol'), true);
select lab_private.password_set(test.id_of('sol'), 'Correct-Horse-3', 'sol@alpha.test', 'sol');

-- inviting ----------------------------------------------------------------------

select test.become('alan');
set role lab_user;
select lab.auth_invite('Ivy@Invited.test', 'technician', 'Welcome!') - '{id,expires_at,sent_at,invited_by}'::text[] as invited;
select test.answer(format('select lab.auth_invite(%L, %L, %L, %L)', e, r, m, x))
from (values (null, 'viewer', null, null), ('i@invited.test', null, null, null), ('bad', 'viewer', null, null), ('i@invited.test', 'no-such', null, null),
             ('i@invited.test', 'viewer', repeat('x', 501), null), ('i@invited.test', 'viewer', E'a\x01', null), ('i@invited.test', 'viewer', null, '2020-01-01'),
             ('i@invited.test', 'viewer', null, '2999-01-01'), ('i@invited.test', 'viewer', null, 'infinity'), ('sol@alpha.test', 'viewer', null, null)) x(e, r, m, x);
-- Nobody invites to more than they hold: whoever may create users and give roles gives no admin.
select lab.role_create('desk', permissions => '{user:read}') ->> 'name' as role0, lab.role_create('host', permissions => '{user:create,role:assign,user:read,invitation:read}') ->> 'name' as role, lab.role_create('greeter', permissions => '{user:create,user:read}') ->> 'name' as role2;
select test.answer('select lab.auth_invite(''chief@invited.test'', ''manager'')') as chief;
select lab.role_assign(test.id_of('tess'), 'host') ->> 'user_id' is not null as host, lab.role_assign(test.id_of('vic'), 'greeter') ->> 'user_id' is not null as greeter;
reset role;
select test.become('tess');
set role lab_user;
select test.answer('select lab.auth_invite(''boss@invited.test'', ''admin'')') as admin, test.answer('select lab.auth_invite(''boss@invited.test'', ''manager'')') as manager,
       test.answer('select lab.auth_invite(''help@invited.test'', ''desk'')') as desk;
-- Nor does she send what another may give.
select test.answer(format('select lab.auth_invite_resend(%L)', test.invitation('chief@invited.test'))) as not_hers_to_give;
select count(*) as seen from lab.invitations;
reset role;
select test.become('vic');
set role lab_user;
select test.answer('select lab.auth_invite(''x@invited.test'', ''viewer'')') as without_assign;
select count(*) as seen from lab.invitations;
reset role;
select test.become('sam');
set role lab_user;
select test.answer('select lab.auth_invite(''x@invited.test'', ''viewer'')') as without, test.answer(format('select lab.auth_invite_revoke(%L)', test.invitation('ivy@invited.test'))) as revoke,
       test.answer(format('select lab.auth_invite_resend(%L)', test.invitation('ivy@invited.test'))) as resend;
reset role;
-- Another organisation neither sees nor touches it.
select test.become('bob');
set role lab_user;
select count(*) as seen from lab.invitations;
select test.answer(format('select lab.auth_invite_revoke(%L)', test.invitation('ivy@invited.test'))) as revoke, test.answer(format('select lab.auth_invite_resend(%L)', test.invitation('ivy@invited.test'))) as resend;
-- The answer is the same for an address that has an account elsewhere.
select (lab.auth_invite('sol@alpha.test', 'viewer') - '{id,expires_at,sent_at,invited_by,email}'::text[]) = (lab.auth_invite('nobody@alpha.test', 'viewer') - '{id,expires_at,sent_at,invited_by,email}'::text[]) as same;
reset role;
-- The token is in the mail and nowhere else.
select * from test.post();
select payload - '{token,expires_at}'::text[] from test.mail where recipient = 'ivy@invited.test';
select count(*) as in_tables from lab_data.invitations i, test.mail m where i::text like '%' || (m.payload ->> 'token') || '%';

-- accepting ----------------------------------------------------------------------

-- P62 For one purpose, of that form, not by guessing.
select test.become(null);
set role lab_anon;
select test.accept(t) from unnest(array['', 'x', repeat('A', 43), null]) t;
reset role;
select test.answer(format('select lab.auth_password_reset(%L, %L)', test.token('ivy@invited.test'), 'Correct-Horse-9')) as reset, test.answer(format('select lab.auth_verify_email(%L)', test.token('ivy@invited.test'))) as verify;
-- What is missing or refused does not use it.
select test.accept(test.token('ivy@invited.test'), more)
from unnest(array['', ', ''ivyx''', ', ''SAM'', ''Correct-Horse-3''', ', ''i'', ''Correct-Horse-3''', ', ''ivyx'', ''weak''', ', ''ivyx'', ''Correct-Horse-3'', device_info => ''[]''']) more;
-- Somebody new is signed in, verified, a member with the role; also where registration is closed.
select a ->> 'session_kind' as kind, a -> 'amr' as amr, a -> 'roles' as roles, a -> 'user' ->> 'email' as email, a -> 'user' -> 'is_verified' as verified, a ? 'refresh_token' as refresh
from lab.auth_invite_accept(test.token('ivy@invited.test'), 'ivyx', 'Correct-Horse-3', 'Ivy Invited') a;
select test.answer('select lab.auth_login(''ivyx'', ''Correct-Horse-3'')') as signs_in;
select test.accept(test.token('ivy@invited.test'), ', ''ivy2'', ''Correct-Horse-3''') as again;
select i.accepted_by = test.id_of('ivyx') as accepted_by, r.name, g.assigned_by = test.id_of('alan') as given_by_the_inviter
from lab_data.invitations i join lab_data.user_roles g on g.org_id = i.org_id and g.user_id = i.accepted_by join lab_data.roles r on r.id = g.role_id
where i.email = 'ivy@invited.test';
select test.become('alan');
set role lab_user;
select test.answer('select lab.auth_invite(''ivy@invited.test'', ''viewer'')') as member, test.answer(format('select lab.auth_invite_revoke(%L)', test.invitation('ivy@invited.test'))) as accepted,
       test.answer(format('select lab.auth_invite_resend(%L)', labos.uuid_v7())) as unknown;
-- A second invitation takes the place of the first; sending again ends the older mail; taking back ends both.
select test.answer('select lab.auth_invite(''jo@invited.test'', ''viewer'')') as first;
reset role;
select count(*) from test.post();
select test.token('jo@invited.test') as jo1 \gset
set role lab_user;
select test.answer('select lab.auth_invite(''jo@invited.test'', ''scientist'')') as second;
reset role;
select count(*) from test.post();
select test.token('jo@invited.test') as jo2 \gset
set role lab_user;
select test.answer(format('select lab.auth_invite_resend(%L)', test.invitation('jo@invited.test'))) as resent;
reset role;
select count(*) from test.post();
select test.token('jo@invited.test') as jo3 \gset
select test.accept(t, ', ''jo_1'', ''Correct-Horse-3''') as older from unnest(array[:'jo1', :'jo2']) t;
set role lab_user;
select test.answer(format('select lab.auth_invite_revoke(%L)', test.invitation('jo@invited.test'))) as revoked, test.answer(format('select lab.auth_invite_revoke(%L)', test.invitation('jo@invited.test'))) as again,
       test.answer(format('select lab.auth_invite_resend(%L)', test.invitation('jo@invited.test'))) as resend;
reset role;
select test.accept(:'jo3', ', ''jo_1'', ''Correct-Horse-3''') as revoked;

-- P67 An existing account joins by its own proof only ------------------------------

select test.token('sol@alpha.test') as sol \gset
-- Whoever has the mail only, or is somebody else, joins nobody.
select test.become(null);
select test.accept(:'sol') as no_proof, test.accept(:'sol', ', ''newname'', ''Correct-Horse-1''') as wrong_password;
select test.become('mary');
set role lab_user;
select test.accept(:'sol') as somebody_else;
reset role;
select count(*) as memberships from lab_data.memberships where user_id = test.id_of('sol');
-- P68 A wrong password here counts as at the door, and what it locks is recorded and told.
select test.become(null);
update lab_data.users set failed_login_attempts = 4 where username = 'sol';
select test.accept(:'sol', ', password => ''Correct-Horse-1''') as locks, test.accept(:'sol', ', password => ''Correct-Horse-3''') as locked;
select event, detail ->> 'reason' as reason from lab_data.access_logs where user_id = test.id_of('sol') order by id desc limit 3;
select count(*) as mails from lab_private.outbox where template = 'lockout' and user_id = test.id_of('sol');
update lab_data.users set failed_login_attempts = 0, locked_until = null where username = 'sol';
-- A second factor is not gone round by the password.
update lab_data.users set mfa_enabled = true where username = 'sol';
select test.become(null);
select test.accept(:'sol', ', password => ''Correct-Horse-3''') as with_second_factor;
update lab_data.users set mfa_enabled = false where username = 'sol';
-- Signed in, or with the password: a member, not signed in anew, and the first organisation stays the default.
select lab.auth_invite_accept(:'sol', password => 'Correct-Horse-3') - 'organization' as accepted;
select o.slug, m.is_default, lab_private.member_roles(o.id, m.user_id) as roles
from lab_data.memberships m join lab_data.organizations o on o.id = m.org_id where m.user_id = test.id_of('sol') order by 1;
select test.accept(:'sol', ', password => ''Correct-Horse-3''') as again;
-- Who has left comes back.
select test.become('bob');
set role lab_user;
select lab.membership_remove(test.id_of('sol')) ->> 'status' as removed, test.answer('select lab.auth_invite(''sol@alpha.test'', ''scientist'')') as invited;
reset role;
select count(*) from test.post();
select test.token('sol@alpha.test') as sol \gset
select test.become('sol');
set role lab_user;
select test.accept(:'sol') as by_being_signed_in;
reset role;
select lab_private.member_roles(test.org_of('bob'), test.id_of('sol')) as roles, m.left_at from lab_data.memberships m where m.org_id = test.org_of('bob') and m.user_id = test.id_of('sol');

-- What the inviter cannot give any more, the invitation does not give ------------------

select test.token('help@invited.test') as help \gset
create function test.try_help(change text) returns text language plpgsql set search_path to pg_catalog, labos, pg_temp
as $$
declare v_answer text;
begin
  execute change;
  v_answer := test.accept(test.token('help@invited.test'), ', ''helper_1'', ''Correct-Horse-3''');
  raise exception 'undo' using errcode = 'LB999', detail = v_answer;
exception when sqlstate 'LB999' then
  get stacked diagnostics v_answer = pg_exception_detail;
  return v_answer;
end
$$;
select what, test.try_help(change) as answer
from (values ('role taken away', 'delete from lab_data.user_roles where user_id = test.id_of(''tess'') and role_id = (select id from lab_data.roles where name = ''host'')'),
             ('role expired', 'update lab_data.user_roles set assigned_at = now() - interval ''2 days'', expires_at = now() - interval ''1 day'' where user_id = test.id_of(''tess'')'),
             ('inviter deactivated', 'update lab_data.users set is_active = false where username = ''tess'''),
             ('inviter left', 'update lab_data.memberships set left_at = now() where user_id = test.id_of(''tess'')'),
             ('role widened', 'insert into lab_data.role_permissions (role_id, permission) select id, ''user:delete'' from lab_data.roles where name = ''desk'''),
             ('expired', 'update lab_data.invitations set expires_at = now() - interval ''1 second'' where email = ''help@invited.test'''),
             ('organisation closed', 'update lab_data.organizations set is_active = false where slug = ''alpha''')) x(what, change);
-- P29 None of these used the token; an acceptance that is rolled back does.
begin;
select test.accept(:'help', ', ''helper_1'', ''Correct-Horse-3''') as then_rolled_back;
rollback;
select test.accept(:'help', ', ''helper_1'', ''Correct-Horse-3''') as used;
select event, outcome, count(*) from lab_data.access_logs where event like 'invite%' group by 1, 2 order by 1, 2;

-- what has expired ----------------------------------------------------------------

select test.become('alan');
set role lab_user;
select test.answer('select lab.auth_cleanup()') as admin_of_one_organisation;
reset role;
set role lab_anon;
select test.error_of('select lab.auth_cleanup()') ~ 'permission denied' as anonymous;
reset role;
-- Everything expired long ago but what is to stay.
create function test.count_all() returns jsonb language sql set search_path to pg_catalog, pg_temp as $$
  select jsonb_build_object('tokens', (select count(*) from lab_private.one_time_tokens), 'refresh', (select count(*) from lab_private.refresh_tokens),
    'sessions', (select count(*) from lab_data.user_sessions), 'outbox', (select count(*) from lab_private.outbox), 'invitations', (select count(*) from lab_data.invitations where accepted_at is null),
    'orphan_guards', (select count(*) from lab_private.one_time_tokens t where not exists (select from lab_private.use_guard g where g.id = t.id))) $$;
begin;
select count(*) as logs from lab_data.access_logs \gset
select lab_private.cleanup() as nothing_is_old_enough;
update lab_private.one_time_tokens set expires_at = now() - interval '2 days';
update lab_private.refresh_tokens set expires_at = now() - interval '2 days';
update lab_data.user_sessions set created_at = now() - interval '200 days', expires_at = now() - interval '91 days';
update lab_private.outbox set delivered_at = now() - interval '8 days' where delivered_at is not null;
update lab_data.invitations set expires_at = now() - interval '31 days';
select lab_private.outbox_add('mail', 'lockout', 'waits@mail.test') is not null as waits;
select count(*) as guards from lab_private.use_guard g join lab_private.one_time_tokens t on t.id = g.id \gset
select (lab_private.cleanup(2) ->> 'one_time_tokens')::integer as in_batches;
select (select sum(v::integer) from jsonb_each_text(lab_private.cleanup()) x(k, v)) > 10 as removed;
select test.count_all();
select count(*) = :logs as evidence_stays from lab_data.access_logs;
select count(*) > 0 as accepted_stay from lab_data.invitations;
rollback;

truncate lab_private.outbox;
drop table test.mail;
drop function test.post(), test.token(text), test.try_help(text), test.count_all(), test.accept(text, text), test.invitation(text);
delete from lab_data.invitations where role_id in (select id from lab_data.roles where name in ('host', 'greeter', 'desk'));
delete from lab_data.user_roles where role_id in (select id from lab_data.roles where name in ('host', 'greeter', 'desk'));
update lab_data.roles set deleted_at = now() where name in ('host', 'greeter', 'desk');
delete from lab_private.db_logins where rolname = session_user;
update lab_data.users set deleted_at = now() where username in ('ivyx', 'sol');
