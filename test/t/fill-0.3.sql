-- What is shared, inside and with another organisation.
insert into lab_data.organizations (id, name, slug) values ('00000000-0000-7000-8000-00000005b1f0', 'Partner', 'partner');
insert into lab_private.db_logins (rolname, user_id, org_id)
values (session_user, '00000000-0000-7000-8000-0000000000a2', '00000000-0000-7000-8000-0000000000a1');
update lab_data.organizations set settings = settings || '{"allow_sharing": true}' where id = '00000000-0000-7000-8000-0000000000a1';
select lab.share_create('project', p.id, to_org => x.org, level => 'write') from lab.projects p, (values ('partner'), ('00000000-0000-7000-8000-0000000000a1')) x(org);
-- What came with version 0.3, after fill-0.1.sql and fill-0.2.sql.
select lab.api_key_create('robot', '{sample:read}') is not null as api_key;
select lab.oidc_provider_create('IdP', 'https://idp.example', 'labos',
  '{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "one", "alg": "EdDSA", "use": "sig"}]}',
  '{alpha.example}', '{EdDSA}', 'viewer') is not null as oidc_provider;
select lab.webhook_create('Hook', 'https://hook.example/x', '{user.created,role.assigned}') is not null as webhook;
insert into lab_private.oidc_links (provider_id, subject, user_id)
select p.id, 'subject', '00000000-0000-7000-8000-0000000000a3' from lab_data.oidc_providers p;
insert into lab_private.oidc_used (token_sha256, provider_id, expires_at)
select sha256('token'), p.id, '2036-01-01' from lab_data.oidc_providers p;
delete from lab_private.db_logins where rolname = session_user;
-- What signs in besides passwords, and what is used once: made, and one of each used, so that the use goes through a dump.
insert into lab_private.mfa_factors (id, user_id, sealed_secret, guard_id, confirmed_at)
values ('00000000-0000-7000-8000-0000000003f1', '00000000-0000-7000-8000-0000000000a3', '\x00', '00000000-0000-7000-8000-0000000003f2', '2026-01-01');
insert into lab_private.mfa_backup_codes (id, user_id, code_sha256)
select ('00000000-0000-7000-8000-0000000003b' || n)::uuid, '00000000-0000-7000-8000-0000000000a3', sha256(('code ' || n)::bytea) from generate_series(1, 2) n;
insert into lab_private.known_devices (id, user_id, secret_sha256, user_agent, ip, expires_at)
values ('00000000-0000-7000-8000-0000000003d1', '00000000-0000-7000-8000-0000000000a3', sha256('device'), 'Browser/1', '192.0.2.1', '2036-01-01');
insert into lab_private.use_guard (id) values ('00000000-0000-7000-8000-0000000003f1'), ('00000000-0000-7000-8000-0000000003f2'),
  ('00000000-0000-7000-8000-0000000003b1'), ('00000000-0000-7000-8000-0000000003b2'), ('00000000-0000-7000-8000-0000000003d1');
select labos.use_guard_advance('00000000-0000-7000-8000-0000000003f1', 59000000), labos.use_guard_advance('00000000-0000-7000-8000-0000000003b1', 1);
update lab_private.mfa_backup_codes set used_at = '2026-01-01' where id = '00000000-0000-7000-8000-0000000003b1';
select lab_private.one_time_token_make(p, '00000000-0000-7000-8000-0000000000a3', '10 years', '00000000-0000-7000-8000-0000000000a1', 'mia@alpha.example') is not null as token
from unnest('{password_reset,email_verification}'::text[]) p;
insert into lab_private.outbox (channel, template, recipient, org_id, user_id, sealed_payload, delivered_at)
values ('mail', 'password_changed', 'mia@alpha.example', '00000000-0000-7000-8000-0000000000a1', '00000000-0000-7000-8000-0000000000a3', null, '2026-01-01'),
       ('webhook', 'lockout', 'alpha', '00000000-0000-7000-8000-0000000000a1', null, '\x00', null);
insert into lab_data.invitations (org_id, email, role_id, expires_at, invited_by)
select '00000000-0000-7000-8000-0000000000a1', 'new@alpha.example', r.id, '2036-01-01', '00000000-0000-7000-8000-0000000000a2'
from lab_data.roles r where r.name = 'viewer' and r.org_id is null;
insert into lab_data.project_members (org_id, project_id, user_id)
select p.org_id, p.id, '00000000-0000-7000-8000-0000000000a3' from lab_data.projects p where p.code = 'P-1';
select lab_private.password_set('00000000-0000-7000-8000-0000000000a3', 'Correct-Horse-9', 'mia@alpha.example', 'mia');
