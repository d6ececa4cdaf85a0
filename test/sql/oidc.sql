-- Identity providers: their ID tokens exchanged for ours, and nobody's taken for another's.
-- Numbers like P67 are those of the identity checklist. Stands after auth: signing keys, test.answer() and test.claims() are there.
set client_min_messages to warning;
\set VERBOSITY terse

create table test.idp (name text primary key, jwk jsonb);
insert into test.idp select x.name, labos.jwk_generate(x.alg) || jsonb_build_object('kid', x.name)
from (values ('one', 'RS256'), ('next', 'RS256'), ('edge', 'ES256'), ('ed', 'EdDSA'), ('evil', 'RS256'), ('global', 'ES256'), ('secret', 'HS256')) x(name, alg);
create function test.jwks(variadic names text[]) returns jsonb language sql security definer as
$$ select jsonb_build_object('keys', jsonb_agg(labos.jwk_public(jwk) order by name)) from test.idp where name = any (names) $$;
create function test.now() returns bigint language sql volatile as $$ select floor(extract(epoch from clock_timestamp()))::bigint $$;
-- An ID token that is right but for the changes; a change to null takes the claim away.
create function test.id_token(change jsonb default '{}', key text default 'one', kid text default null, typ text default 'JWT') returns text
  language sql volatile security definer set search_path to pg_catalog, labos, pg_temp
as $$
  select labos.jwt_sign(jsonb_strip_nulls(jsonb_build_object('iss', 'https://idp.alpha.test', 'aud', 'labos-app', 'sub', 'subject-1', 'nonce', 'n-1',
           'iat', test.now(), 'exp', test.now() + 300, 'email', 'ida@alpha.test', 'email_verified', true, 'name', 'Ida', 'jti', labos.uuid_v7()) || change), i.jwk, kid, typ)
  from test.idp i where i.name = key
$$;
create function test.sign_in(token text, nonce text default 'n-1', org text default 'alpha') returns text
  language sql volatile as $$ select test.answer(format('select lab.auth_oidc(%L, %L, %L)', token, nonce, org)) $$;
-- The reason that the last attempt left in the access log.
create function test.why() returns text language sql volatile security definer as
$$ select coalesce(detail ->> 'reason', 'signed in') from lab_data.access_logs where event = 'oidc_login' order by id desc limit 1 $$;
create function test.attempt(token text, nonce text default 'n-1', org text default 'alpha') returns text
  language plpgsql volatile as $$ declare v text := test.sign_in(token, nonce, org); begin return v || ': ' || test.why(); end $$;
grant execute on all functions in schema test to public;
update lab_data.users set is_active = true, locked_until = null, is_verified = true where deleted_at is null;
update lab_data.memberships m set left_at = case when u.email like '%@' || o.slug || '.test' then null else now() end
from lab_data.users u, lab_data.organizations o where u.id = m.user_id and o.id = m.org_id and o.slug in ('alpha', 'beta');
update lab_private.identity_settings set registration_org_id = null, registration = 'closed';

-- Ottilie, of Alpha and nowhere else.
insert into lab_data.users (email, username, is_verified) values ('ottilie@alpha.test', 'ottilie', true);
insert into lab_data.memberships (org_id, user_id, is_default) values (test.org_of('alan'), test.id_of('ottilie'), true);
insert into lab_data.user_roles (org_id, user_id, role_id) select test.org_of('alan'), test.id_of('ottilie'), id from lab_data.roles where name = 'scientist' and org_id is null;

-- setting up ------------------------------------------------------------------

-- Full administrators only; arguments are checked; no private key and no shared secret is taken.
select test.become('sam'); set role lab_user;
select test.error_of($$select lab.oidc_provider_create('IdP', 'https://idp.alpha.test', 'labos-app', test.jwks('one'), '{alpha.test}')$$) as scientist;
reset role; select test.become('alan'); set role lab_user;
select lab.role_create('idp-admin', permissions => '{oidc_provider:create,oidc_provider:update,oidc_provider:delete,oidc_provider:read}') is not null as made;
select lab.role_assign(test.id_of('mary'), 'idp-admin') is not null as given;
reset role; select test.become('mary'); set role lab_user;
select test.error_of($$select lab.oidc_provider_create('IdP', 'https://idp.alpha.test', 'labos-app', test.jwks('one'), '{alpha.test}')$$) as not_everything;
reset role; select test.become('alan'); set role lab_user;
select i as issuer, test.error_of(format('select lab.oidc_provider_create(%L, %L, %L, test.jwks(%L), %L)', 'IdP', i, 'labos-app', 'one', '{alpha.test}'))
from unnest(array[null, '', 'idp', 'http://idp.alpha.test', 'https://', 'https://a b', 'https://idp.alpha.test?x', 'https://idp.alpha.test#x', E'https://a\nb']) i;
select c as client, test.error_of(format('select lab.oidc_provider_create(%L, %L, %L, test.jwks(%L), %L)', 'IdP', 'https://idp.alpha.test', c, 'one', '{alpha.test}'))
from unnest(array[null, '', E'a\nb']) c;
select d as domains, test.error_of(format('select lab.oidc_provider_create(%L, %L, %L, test.jwks(%L), %L)', 'IdP', 'https://idp.alpha.test', 'labos-app', 'one', d))
from unnest(array[null, '{}', '{null}', '{test}', '{*}', '{*.test}', '{"alpha.test "," @x"}', '{-a.test}']) d;
select a as algorithms, test.error_of(format('select lab.oidc_provider_create(%L, %L, %L, test.jwks(%L), %L, %L)', 'IdP', 'https://idp.alpha.test', 'labos-app', 'one', '{alpha.test}', a))
from unnest(array['{}', '{none}', '{HS256}', '{RS256,HS256}', '{rs256}', '{null}', '{ES256}']) a;
reset role;
select k as keys, test.error_of(format('select lab.oidc_provider_create(%L, %L, %L, %L, %L)', 'IdP', 'https://idp.alpha.test', 'labos-app',
  case k when 'private' then (select jsonb_build_object('keys', jsonb_build_array(jwk)) from test.idp where name = 'one')
         when 'secret' then (select jsonb_build_object('keys', jsonb_build_array(jwk)) from test.idp where name = 'secret')
         when 'hidden' then test.jwks('one') || (select jsonb_build_object('keys', jsonb_build_array(test.jwks('one') -> 'keys' -> 0, jwk)) from test.idp where name = 'next')
         when 'encryption' then jsonb_build_object('keys', jsonb_build_array((test.jwks('one') -> 'keys' -> 0) || '{"use": "enc"}'))
         when 'twice' then jsonb_build_object('keys', jsonb_build_array(test.jwks('one') -> 'keys' -> 0, (test.jwks('next') -> 'keys' -> 0) || '{"kid": "one"}'))
         when 'many' then jsonb_build_object('keys', (select jsonb_agg(test.jwks('one') -> 'keys' -> 0) from generate_series(1, 21)))
         when 'array' then test.jwks('one') -> 'keys' else k::jsonb end, '{alpha.test}'))
from unnest(array['private', 'secret', 'hidden', 'encryption', 'twice', 'many', 'array', '{}', '{"keys": []}', '{"keys": {}}', '{"keys": [1]}', '{"keys": [{"kty": "RSA"}]}', 'null']) k;
set role lab_user;
select lab.oidc_provider_create(' Alpha IdP ', 'https://idp.alpha.test', 'labos-app', test.jwks('one', 'edge'), '{Alpha.test}', '{RS256,ES256}', 'viewer') as made \gset
select :'made'::jsonb ->> 'name' as name, :'made'::jsonb -> 'email_domains' as domains, :'made'::jsonb ->> 'default_role' as role,
       (select string_agg(concat_ws(' ', k ->> 'kid', k ->> 'alg'), ', ' order by k ->> 'kid') from jsonb_array_elements(:'made'::jsonb #> '{jwks,keys}') k) as keys;
select test.error_of($$select lab.oidc_provider_create('IdP', 'https://idp.alpha.test', 'labos-app', test.jwks('one'), '{alpha.test}')$$) as again,
       test.error_of($$select lab.oidc_provider_create('IdP', 'https://x.test', 'x', test.jwks('one'), '{alpha.test}', allow_provisioning => true)$$) as roleless,
       test.error_of($$select lab.oidc_provider_create('IdP', 'https://x.test', 'x', test.jwks('one'), '{alpha.test}', default_role => 'nobody')$$) as no_role,
       test.error_of($$select lab.oidc_provider_create('IdP', 'https://x.test', 'x', test.jwks('one'), '{alpha.test}', installation => true)$$) as installation;
reset role;
-- The table refuses private members by itself.
select test.error_of($$update lab_data.oidc_providers set jwks = (select jsonb_build_object('keys', jsonb_build_array(jwk)) from test.idp where name = 'one')$$);
-- Another organisation neither sees it nor learns of it by a conflict.
select test.become('bob'); set role lab_user;
select count(*) from lab.oidc_providers;
select test.error_of($$select lab.oidc_provider_create('IdP', 'https://idp.alpha.test', 'labos-app', test.jwks('evil'), '{beta.test}')$$) as same_issuer,
       test.error_of(format('select lab.oidc_provider_update(%L, name => %L)', :'made'::jsonb ->> 'id', 'x')) like '%oidc_provider_not_found%' as update,
       test.error_of(format('select lab.oidc_provider_delete(%L)', :'made'::jsonb ->> 'id')) like '%oidc_provider_not_found%' as delete;
reset role; select test.become(null);

-- the token -------------------------------------------------------------------

-- Ottilie has a verified address and is a member of Alpha only: linked at the first sign-in, by the link from then on.
set role lab_anon;
select test.attempt(test.id_token('{"sub": "ottilie-1", "email": "Ottilie@ALPHA.test"}')) as first, test.attempt(test.id_token('{"sub": "ottilie-1", "email": "other@alpha.test", "email_verified": false}')) as by_link;
select lab.auth_oidc(test.id_token('{"sub": "ottilie-1"}'), 'n-1', 'alpha', '{"app": "test"}') as tokens \gset
reset role;
select j ->> 'session_kind' as kind, j -> 'amr' as amr, j -> 'aal' as aal, j #>> '{user,username}' as who, j ? 'refresh_token' as refresh, j -> 'roles' as roles
from (select :'tokens'::jsonb as j) x;
select (select lab.auth_oidc(test.id_token('{"sub": "ottilie-1", "amr": ["pwd", "mfa"]}'), 'n-1', 'alpha') -> 'aal') as with_mfa, count(*) as links from lab_private.oidc_links;
-- All algorithms of the list by their kid; an elliptic key, an audience of several.
select test.attempt(test.id_token('{"sub": "ottilie-1"}', 'edge')) as es256, test.attempt(test.id_token('{"sub": "ottilie-1"}', 'one', '')) as only_key_of_its_algorithm,
       test.attempt(test.id_token('{"sub": "ottilie-1", "aud": ["labos-app"]}')) as aud_array,
       test.attempt(test.id_token('{"sub": "ottilie-1", "aud": ["labos-app", "x"], "azp": "labos-app"}')) as azp,
       test.attempt(test.id_token('{"sub": "ottilie-1"}', typ => null)) as no_typ;

-- P20: one answer for whatever is wrong.
select c as change, test.attempt(test.id_token(c::jsonb || '{"sub": "ottilie-1"}')) from unnest(array[
  '{"iss": "https://idp.alpha.test/"}', '{"iss": null}', '{"iss": ["https://idp.alpha.test"]}', '{"aud": "other"}', '{"aud": null}', '{"aud": []}', '{"aud": ["x", "labos-app"]}',
  '{"aud": ["x", "labos-app"], "azp": "x"}', '{"azp": "x"}', '{"azp": 1}', '{"aud": ["labos-app", 1]}', '{"aud": {"labos-app": 1}}', '{"nonce": null}', '{"nonce": "N-1"}', '{"nonce": ""}', '{"nonce": 1}',
  '{"exp": null}', '{"exp": 1}', '{"iat": null}', '{"iat": 4102444800}', '{"nbf": 4102444800}']) c;
select test.attempt(test.id_token(jsonb_build_object('sub', 'ottilie-1', 'iat', test.now() - 700, 'exp', test.now() + 3600))) as old,
       test.attempt(test.id_token('{"sub": "ottilie-1", "nonce": ""}'), '') as empty_nonce,
       test.attempt(test.id_token('{"sub": null}')) as no_subject, test.attempt(test.id_token('{"sub": 7}')) as number,
       test.attempt(test.id_token(jsonb_build_object('sub', repeat('x', 256)))) as long_subject,
       test.attempt(test.id_token('{"sub": "ottilie-1"}', typ => 'at+jwt')) as access_token, test.attempt(test.id_token('{"sub": "ottilie-1"}', typ => 'logout+jwt')) as logout_token;
-- P1 to P9: algorithm confusion, keys in headers, critical and duplicate members.
create function test.forge(header text, payload text default null, secret text default 'x') returns text language sql volatile as $$
  select x.signed || '.' || labos.algorithm_sign(x.signed, secret, 'HS256')
  from (select labos.url_encode(convert_to(header, 'UTF8')) || '.'
            || coalesce(labos.url_encode(convert_to(payload, 'UTF8')), split_part(test.id_token('{"sub": "ottilie-1"}'), '.', 2)) as signed) x $$;
select h as header, test.attempt(case h when '{"alg":"none"}' then split_part(test.forge(h), '.', 1) || '.' || split_part(test.forge(h), '.', 2) || '.' else test.forge(h) end)
from unnest(array['{"alg":"none"}', '{"alg":"None","kid":"one"}', '{"alg":"HS256","kid":"one"}', '{"alg":"HS256"}', '{"kid":"one"}', '{"alg":null,"kid":"one"}', '{}', '[]', '',
  '{"alg":"RS256","kid":"one","crit":["exp"]}', '{"alg":"RS256","kid":"one","crit":[]}', '{"alg":"RS256","kid":"one","b64":false}', '{"alg":"RS256","kid":"one","kid":"one"}',
  '{"alg":"HS256","alg":"RS256","kid":"one"}', '{"alg":"RS512","kid":"one"}', '{"alg":"PS256","kid":"one"}', '{"alg":"EdDSA","kid":"one"}', '{"alg":"RS256","kid":"../one"}', '{"alg":"RS256","kid":"ONE"}',
  '{"alg":"RS256","kid":["one"]}', '{"alg":"RS256","kid":"one","jku":"https://evil.test/jwks"}']) h;
-- HMAC with the public key as secret, in the forms that it is known in.
select bool_and(test.sign_in(test.forge('{"alg":"HS256","kid":"one"}', secret => s)) = '401 invalid_id_token') as refused
from unnest(array[test.jwks('one')::text, (test.jwks('one') -> 'keys' -> 0)::text, test.jwks('one') #>> '{keys,0,n}']) s;
-- Signed by a key that the token brings itself, by another provider's, by one of our own.
select test.attempt(test.id_token('{"sub": "ottilie-1"}', 'evil')) as unknown_kid, test.attempt(test.id_token('{"sub": "ottilie-1"}', 'evil', 'one')) as stolen_kid,
       test.attempt(test.id_token('{"sub": "ottilie-1"}', 'evil', '')) as no_kid, test.attempt(test.id_token('{"sub": "ottilie-1"}', 'next')) as not_yet_known,
       test.attempt(:'tokens'::jsonb ->> 'access_token') as our_own;
select test.attempt(s.signed || '.' || labos.url_encode(labos.jwk_sign(convert_to(s.signed, 'UTF8'), i.jwk))) as brings_its_key
from test.idp i, lateral (select labos.url_encode(convert_to(jsonb_build_object('alg', 'RS256', 'jwk', labos.jwk_public(i.jwk), 'x5u', 'https://evil.test')::text, 'UTF8'))
                            || '.' || split_part(test.id_token('{"sub": "ottilie-1"}'), '.', 2) as signed) s where i.name = 'evil';
select left(t, 20) as nonsense, test.attempt(t) from unnest(array['', '.', '..', '...', 'x', repeat('x', 20000), repeat('.', 20000), 'a.b.c', U&'\00e9.\00e9.\00e9']) t;
select test.attempt(test.id_token('{"sub": "ottilie-1"}') || x) as appended from unnest(array['=', ' ', E'\n', '.', 'A']) x;
-- Payloads: duplicate members, nesting, zeros; signed by the right key.
create function test.raw(payload text) returns text language sql volatile as $$
  select s.signed || '.' || labos.url_encode(labos.jwk_sign(convert_to(s.signed, 'UTF8'), i.jwk))
  from test.idp i, lateral (select labos.url_encode(convert_to('{"alg":"RS256","kid":"one"}', 'UTF8')) || '.' || labos.url_encode(convert_to(payload, 'UTF8')) as signed) s where i.name = 'one' $$;
select left(x, 40) as member, test.attempt(test.raw(left(p, -1) || ',' || x || '}'))
from (select (test.claims(test.id_token('{"sub": "ottilie-1"}')) - '{sub,nbf}'::text[] || '{"sub": "ottilie-1"}')::text as p) p,
     unnest(array['"sub":"ottilie-2"', '"x":' || repeat('[', 40) || repeat(']', 40), '"x":"\u0000"', '"nbf":"1"', '"nbf":1e400', '"nbf":-1', '"s\u0075b":"ottilie-2"']) x;
select test.attempt(test.raw((test.claims(test.id_token('{"sub": "ottilie-1"}')) || jsonb_build_object('groups', repeat('x', 9000)))::text)) as longer_than_ours;
-- The nonce is the client's: without it nothing.
select test.answer(format('select lab.auth_oidc(%L, null)', 'x')) as no_nonce, test.answer('select lab.auth_oidc(null, ''n'')') as no_token,
       test.answer(format('select lab.auth_oidc(%L, %L, null, %L)', 'x', 'n', '[1]')) as device;
begin; set local request.method = 'GET'; select test.sign_in(test.id_token('{"sub": "ottilie-1"}')) as by_get; rollback;
begin read only; select test.sign_in('x') as read_only; rollback;

-- P29: a token is exchanged once; rolled back there is neither session nor use; another signature is no other token.
select test.id_token('{"sub": "ottilie-1"}', 'edge') as once \gset
begin; select test.sign_in(:'once') as rolled_back; rollback;
select test.attempt(:'once') as first, test.attempt(:'once') as again;
select test.id_token('{"sub": "ottilie-1"}', 'edge') as a \gset
select labos.url_encode(labos.jwk_sign(convert_to(split_part(:'a', '.', 1) || '.' || split_part(:'a', '.', 2), 'UTF8'), i.jwk)) as other from test.idp i where name = 'edge' \gset
select test.attempt(:'a') as first, test.attempt(split_part(:'a', '.', 1) || '.' || split_part(:'a', '.', 2) || '.' || :'other') as signed_again;

-- The provider's rotation: new keys in, then the old one out.
select test.become('alan'); set role lab_user;
select jsonb_array_length(lab.oidc_provider_update((:'made'::jsonb ->> 'id')::uuid, jwks => test.jwks('one', 'next')) #> '{jwks,keys}') as keys;
select test.attempt(test.id_token('{"sub": "ottilie-1"}', 'one')) as old, test.attempt(test.id_token('{"sub": "ottilie-1"}', 'next')) as new, test.attempt(test.id_token('{"sub": "ottilie-1"}', 'one', '')) as two_of_an_algorithm;
select jsonb_array_length(lab.oidc_provider_update((:'made'::jsonb ->> 'id')::uuid, jwks => test.jwks('next')) #> '{jwks,keys}') as keys;
select test.attempt(test.id_token('{"sub": "ottilie-1"}', 'one')) as retired, test.attempt(test.id_token('{"sub": "ottilie-1"}', 'next')) as new;
select test.error_of(format('select lab.oidc_provider_update(%L, name => %L, version => 1)', :'made'::jsonb ->> 'id', 'x')) as stale;
select jsonb_array_length(lab.oidc_provider_update((:'made'::jsonb ->> 'id')::uuid, jwks => test.jwks('one', 'edge')) #> '{jwks,keys}') as keys;
reset role; select test.become(null);

-- linking and provisioning --------------------------------------------------------

-- P67: by a verified address of the provider's domains, to an account that has verified it too.
update lab_data.users set is_verified = false where username = 'tess';
update lab_data.users set is_active = false where username = 'vic';
select x as email, test.attempt(test.id_token(jsonb_build_object('sub', 'new-' || row_number() over (), 'email', x, 'email_verified', v)))
from (values ('sue@alpha.test', false), ('sue@alpha.test', null), ('sue@beta.test', true), ('sue@sub.alpha.test', true), ('sue@xalpha.test', true), ('tess@alpha.test', true),
             ('vic@alpha.test', true), ('ida@alpha.test', true), ('@alpha.test', true), ('a b@alpha.test', true), ('sue@alpha.test@alpha.test', true), (null, true)) v(x, v);
select test.attempt(test.id_token('{"sub": "sue-1", "email": "sue@alpha.test", "email_verified": "true"}')) as verified_as_text,
       test.attempt(test.id_token('{"sub": "sue-1", "email": "sue@alpha.test", "email_verified": 1}')) as as_number,
       test.attempt(test.id_token('{"sub": "sue-1", "email": "sue@alpha.test"}')) as right,
       test.attempt(test.id_token('{"sub": "sue-2", "email": "sue@alpha.test"}')) as address_given_to_another;
update lab_data.users set is_active = true, is_verified = true where username in ('tess', 'vic');
-- A stranger gets an account where the provider may make one, with its role and nothing more.
select test.become('alan'); set role lab_user;
select lab.oidc_provider_update((:'made'::jsonb ->> 'id')::uuid, allow_provisioning => true) -> 'allow_provisioning' as allowed;
reset role; select test.become(null);
select test.attempt(test.id_token(jsonb_build_object('name', E'Ida\u0007 Noether'))) as provisioned, test.attempt(test.id_token()) as again;
select u.email, u.username, u.full_name, u.is_verified, u.is_superuser, lab_private.member_roles(m.org_id, u.id) as roles, m.org_id = test.org_of('alan') as in_alpha,
       exists (select from lab_private.credentials c where c.user_id = u.id) as password
from lab_data.users u join lab_data.memberships m on m.user_id = u.id where u.email = 'ida@alpha.test';
-- The default role is one that its creator could give.
select test.become('mary'); set role lab_user;
select test.error_of(format('select lab.oidc_provider_update(%L, default_role => %L)', :'made'::jsonb ->> 'id', 'admin')) as mary,
       test.error_of(format('select lab.oidc_provider_update(%L, is_enabled => true)', :'made'::jsonb ->> 'id')) as enable;
reset role; select test.become(null);

-- an organisation's provider speaks for its own people only -----------------------------

-- Bob, the admin of Beta, has set up one with keys of his own and makes it say what he likes.
create function test.evil(email text, org text default 'beta') returns text language sql volatile as
$$ select test.attempt(test.id_token(jsonb_build_object('sub', email, 'email', email), 'evil'), 'n-1', org) $$;
select test.become('bob'); set role lab_user;
select lab.oidc_provider_update(p.id, email_domains => '{beta.test,alpha.test,gamma.test}', default_role => 'admin', allow_provisioning => true) -> 'email_domains' as domains from lab.oidc_providers p;
reset role; select test.become(null);
select email, test.evil(email) as to_beta, test.evil(email, 'alpha') as to_alpha, test.evil(email, null) as to_none
from unnest(array['alan@alpha.test', 'ottilie@alpha.test', 'root@gamma.test', 'nobody@elsewhere.test']) email;
-- Their own are theirs to vouch for.
select test.evil('bea@beta.test') as own;
-- Who belongs to both is not; who becomes so loses what it vouched for, at once, and cannot come back by its link.
insert into lab_data.memberships (org_id, user_id) values (test.org_of('bob'), test.id_of('tess'));
select test.evil('tess@alpha.test') as member_of_both;
delete from lab_data.memberships where user_id = test.id_of('tess') and org_id = test.org_of('bob');
create function test.signed_in(tokens jsonb) returns boolean language plpgsql as
$$ begin perform labos.login(tokens ->> 'access_token'); return labos.user_id() is not null; exception when sqlstate 'PT401' then return false; end $$;
select lab.auth_oidc(test.id_token('{"sub": "bea@beta.test"}', 'evil'), 'n-1', 'beta') as beas \gset
select test.signed_in(:'beas') as before;
insert into lab_data.memberships (org_id, user_id) values (test.org_of('alan'), test.id_of('bea'));
select test.signed_in(:'beas') as after, test.evil('bea@beta.test') as by_link, test.answer(format('select lab.auth_refresh(%L)', :'beas'::jsonb ->> 'refresh_token')) as by_refresh;
update lab_data.memberships set left_at = now() where user_id = test.id_of('bea') and org_id = test.org_of('alan');
-- A superuser is nobody's but the installation's.
select lab.auth_oidc(test.id_token('{"sub": "bea@beta.test"}', 'evil'), 'n-1', 'beta') as beas \gset
update lab_data.users set is_superuser = true where username = 'bea';
select test.signed_in(:'beas') as superuser, test.evil('bea@beta.test') as by_link;
update lab_data.users set is_superuser = false where username = 'bea';
-- With the very keys of Alpha's provider Beta gains nothing of Alpha's either.
select test.become('bob'); set role lab_user;
select lab.oidc_provider_update(p.id, jwks => test.jwks('one')) is not null as copied from lab.oidc_providers p;
reset role; select test.become(null);
select test.attempt(test.id_token('{"sub": "ottilie-1", "email": "ottilie@alpha.test"}'), 'n-1', 'beta') as ottilies_token;
-- Disabled or removed: its sessions end at once, its tokens are nobody's.
select test.become('bob'); set role lab_user;
select lab.oidc_provider_update(p.id, jwks => test.jwks('evil')) is not null as back from lab.oidc_providers p;
select lab.auth_oidc(test.id_token('{"sub": "bea@beta.test"}', 'evil'), 'n-1', 'beta') as beas \gset
select lab.oidc_provider_update(p.id, is_enabled => false) -> 'is_enabled' as enabled from lab.oidc_providers p;
reset role; select test.become(null);
select test.signed_in(:'beas') as session, test.evil('bea@beta.test') as token;
select test.become('bob'); set role lab_user;
select lab.oidc_provider_delete(p.id) ->> 'status' as deleted from lab.oidc_providers p;
select count(*) from lab.oidc_providers;
reset role; select test.become(null);

-- the installation's ----------------------------------------------------------------

update lab_data.users set is_superuser = true where username = 'alan';
select test.become('alan'); set role lab_user;
select test.error_of($$select lab.oidc_provider_create('G', 'https://global.test', 'labos-app', test.jwks('global'), '{alpha.test}', '{ES256}', 'admin', installation => true)$$) as admin_for_strangers;
select lab.oidc_provider_create('Global', 'https://global.test', 'labos-app', test.jwks('global'), '{alpha.test,beta.test}', '{ES256}', 'viewer', true, installation => true) as global \gset
select p ->> 'name' as listed from lab.oidc_provider_list() p;
select count(*) as in_table from lab.oidc_providers where name = 'Global';
reset role; select test.become('bob'); set role lab_user;
select test.error_of('select lab.oidc_provider_list()') as list, test.error_of(format('select lab.oidc_provider_delete(%L)', :'global'::jsonb ->> 'id')) like '%oidc_provider_not_found%' as delete,
       test.error_of(format('select lab.oidc_provider_update(%L, jwks => test.jwks(%L))', :'global'::jsonb ->> 'id', 'evil')) like '%oidc_provider_not_found%' as update;
reset role; select test.become(null);
create function test.world(email text, org text default null) returns text language sql volatile as
$$ select test.attempt(test.id_token(jsonb_build_object('sub', 'g-' || email, 'email', email, 'iss', 'https://global.test'), 'global'), 'n-1', org) $$;
-- Without an organisation into one's own; with one only as its member.
select test.world('ottilie@alpha.test') as ottilie, test.world('bob@beta.test') as bob, test.world('ottilie@alpha.test', 'beta') as ottilie_in_beta, test.world('alan@alpha.test') as superuser;
-- Strangers go where registration goes, or nowhere.
select test.world('ivo@beta.test') as nowhere;
update lab_private.identity_settings set registration_org_id = test.org_of('bob');
select test.world('ivo@beta.test') as provisioned;
select lab_private.member_roles(m.org_id, u.id) as roles, m.org_id = test.org_of('bob') as in_beta
from lab_data.users u join lab_data.memberships m on m.user_id = u.id where u.email = 'ivo@beta.test';
-- A second factor of the account is asked for unless the provider has seen one.
insert into lab_private.mfa_factors (user_id, sealed_secret, confirmed_at) values (test.id_of('ottilie'), '\x00', now());
select test.world('ottilie@alpha.test') as without;
select test.attempt(test.id_token('{"sub": "g-ottilie@alpha.test", "iss": "https://global.test", "amr": ["pwd", "mfa"]}', 'global'), 'n-1', null) as with_mfa,
       test.attempt(test.id_token('{"sub": "g-ottilie@alpha.test", "iss": "https://global.test", "amr": "mfa"}', 'global'), 'n-1', null) as text;
delete from lab_private.mfa_factors;
update lab_private.identity_settings set registration_org_id = null;
update lab_data.users set is_superuser = false where username = 'alan';
-- What is over is forgotten; what is logged holds no token and no address.
update lab_private.oidc_used set expires_at = now() - interval '1 second';
select test.world('bob@beta.test') as bob, (select count(*) from lab_private.oidc_used where expires_at < now()) < 100 as swept;
select count(*) as leaks from lab_data.access_logs l where l.event like 'oidc%' and l.detail::text ~ '@|eyJ';
-- Who may execute what: nobody but the owner verifies and looks up.
set role lab_user;
select test.error_of($$select labos.oidc_verify('x', '{}', '{RS256}', 'x', 'x', 'x')$$);
reset role;
