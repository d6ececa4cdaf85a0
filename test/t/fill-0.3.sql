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
