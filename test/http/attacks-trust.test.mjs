// Attacks by those who are trusted with something: guests with a share, holders of an API key, an identity provider of
// another organisation, half a sign-in, the token of a mail. Each tries to make more of it.
import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import test, { before } from 'node:test';
import * as jose from 'jose';
import { givePassword, mailTo, must, request, sql, tokenIn } from './lib.mjs';
import { leak, theatre } from './attacks.mjs';

const password = 'Isolation-2026';
let stage, alpha, beta, was, secrets, shared, project, share, foreign, guest, evil;
const code = (a) => { try { return JSON.parse(a.json.details).code; } catch { return a.json?.code; } };
const rpc = (name, body = {}, token = null, headers = {}) => request(token, 'POST', `/rpc/${name}`, body, headers);
const shape = (a, ...ids) => ids.reduce((text, id) => text.replaceAll(id, 'ID'), JSON.stringify([a.status, a.text]));
const back = { Prefer: 'return=representation' };
const userId = (name) => sql(`select id from lab_data.users where username = '${name}'`)[0].id;
const at = (method, path, body, headers = {}) => request(stage.tokens.beta, method, path, body, { 'X-Labos-Org': alpha.slug, ...headers });

before(async () => {
  stage = await theatre('trust');
  ({ alpha, beta } = stage);
  await alpha.admin.must('PATCH', `/organizations?id=eq.${alpha.id}`, { settings: { allow_sharing: true } });
  project = (await alpha.admin.must('POST', '/projects', { code: 'J-1', name: 'Joint' }, back))[0];
  shared = (await alpha.admin.must('POST', '/samples', { name: 'Joint sample', project_id: project.id }, back))[0];
  share = await alpha.admin.must('POST', '/rpc/share_create', { kind: 'project', resource_id: project.id, to_org: beta.slug, level: 'write' });
  foreign = { project: stage.idOf('projects'), sample: stage.idOf('samples') };
  assert.notEqual(foreign.project, project.id);
  guest = await must(stage.tokens.beta, 'POST', '/rpc/auth_org_switch', { org: alpha.slug });
  // What the shared rows show of themselves, and the organisation a guest is told to be in, are no secrets.
  const known = [...JSON.stringify([project, shared]).matchAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g)].map((m) => m[0]);
  secrets = [...stage.secrets.filter((s) => s !== alpha.slug && s !== alpha.id && !known.includes(s)), `secret of ${alpha.slug}`];
  assert.ok(secrets.length > 30);
  evil = await provider(beta, { email_domains: [`${beta.slug}.example`, `${alpha.slug}.example`], allow_provisioning: true, default_role: 'viewer' });
  // Only the owner's words: rows change by what the tests themselves do for Alpha.
  was = stage.digest();
});

// No secret in the answers, nothing below the floor, nothing of Alpha changed. What Alpha itself does says so by settle().
const settle = () => { was = stage.digest(); };
function attack(name, run) {
  test(name, async () => {
    for (const [a, sent = ''] of (await run()).map((x) => [].concat(x))) {
      assert.equal(leak(secrets, a.text + JSON.stringify([...a.headers]), sent), undefined, a.text.slice(0, 800));
      assert.ok(a.status < 500, `${a.status}: ${a.text.slice(0, 300)}`);
    }
    assert.equal(stage.digest(), was, 'something of Alpha has changed');
  });
}
const refused = (answers, ...statuses) => { for (const x of answers) { const a = [].concat(x)[0]; assert.ok(statuses.includes(a.status) || a.text === '[]', `${a.status} ${a.text.slice(0, 300)}`); } return answers; };
const all = (list) => Promise.all(list);

// ---- shares and guests ----
attack('A107 a guest names what is not shared: by id, by filter, by embedding, by count', async () => refused(await all([
  at('GET', `/projects?id=eq.${foreign.project}`), at('GET', `/samples?id=eq.${foreign.sample}`), at('GET', `/samples?project_id=eq.${foreign.project}`),
  at('GET', `/samples?id=in.(${foreign.sample})&select=*,projects(*)`), at('GET', `/samples?select=*,projects!inner(*)&projects.id=eq.${foreign.project}`)]
  .map(async (a) => [await a, foreign.project + foreign.sample])), 403));
attack('A108 a guest asks whether an id exists: the answers for real and invented ones are the same', async () => {
  const none = randomUUID();
  for (const [name, body] of [['share_create', (id) => ({ kind: 'project', resource_id: id, to_org: beta.slug })], ['share_revoke', (id) => ({ id })]]) {
    const [a, b] = [await rpc(name, body(foreign.project), stage.tokens.beta), await rpc(name, body(none), stage.tokens.beta)];
    assert.equal(shape(a, foreign.project), shape(b, none), name);
  }
  const [a, b] = await all([foreign.project, none].map((id) => at('POST', '/samples', { name: 'x', project_id: id })));
  assert.deepEqual([a.status, code(a)], [b.status, code(b)]);
  return [[a, foreign.project]];
});
attack('A109 a guest moves a shared row out of the project, or a foreign one into it', async () => refused(await all([
  at('PATCH', `/samples?id=eq.${foreign.sample}`, { project_id: project.id }, back), at('PATCH', `/samples?id=eq.${shared.id}`, { org_id: beta.id }, back),
  at('PATCH', `/samples?id=eq.${shared.id}`, { project_id: foreign.project }, back), at('PATCH', `/samples?id=eq.${shared.id}`, { project_id: null }, back)]
  .map(async (a) => [await a, foreign.project + foreign.sample])), 400, 403, 404, 409, 422));
attack('A110 a guest deletes, restores, purges and upserts', async () => refused(await all([
  at('DELETE', `/samples?id=eq.${shared.id}`), at('DELETE', `/projects?id=eq.${project.id}`), at('PATCH', `/samples?id=eq.${shared.id}`, { deleted_at: '2026-01-01' }),
  at('POST', '/projects', { id: foreign.project, code: 'U', name: 'U' }, { Prefer: 'resolution=merge-duplicates' }),
  at('POST', '/projects', { code: 'NEW', name: 'New' })].map(async (a) => [await a, foreign.project])), 400, 403, 404, 409, 422));
attack('A111 a guest administers: users, roles, keys, providers, invitations, the organisation', async () => refused(await all([
  ['user_create', { email: 'x@x.example', username: 'guestmade', roles: ['admin'] }], ['role_create', { name: 'guestrole' }], ['role_assign', { user_id: userId(`${beta.slug}-admin`), role: 'admin' }],
  ['api_key_create', { name: 'g', scopes: ['*:*'] }], ['oidc_provider_create', { name: 'g', issuer: 'https://g.example', client_id: 'x', jwks: { keys: [] }, email_domains: ['g.example'] }],
  ['auth_invite', { email: 'x@x.example', role: 'admin' }], ['user_deactivate', { id: userId(`${alpha.slug}-admin`) }], ['share_create', { kind: 'project', resource_id: project.id, to_org: beta.slug }]]
  .map(async ([name, body]) => [await rpc(name, body, guest.access_token), JSON.stringify(body)])), 400, 403, 404));
attack('A112 a guest changes their own credentials from the other organisation', async () => {
  const answers = await all([['auth_password_change', { current: password, new: 'Another-2026' }], ['auth_mfa_setup', {}], ['auth_email_change', { password, new_email: 'x@x.example' }]].map(([n, b]) => rpc(n, b, guest.access_token)));
  for (const a of answers) assert.equal(a.status, 403, a.text);
  return answers;
});
attack('A113 a guest’s token with a header for home, a third or both', async () => {
  const answers = await all([beta.slug, alpha.slug, `${alpha.slug},${beta.slug}`, 'no-such', alpha.id].map((org) => request(guest.access_token, 'GET', '/samples', undefined, { 'X-Labos-Org': org })));
  for (const a of answers) assert.ok([200, 401, 403].includes(a.status), a.text);
  return answers.map((a) => [a, alpha.id]);
});
attack('A114 a refresh of a guest’s session goes no further than the share', async () => {
  const next = await rpc('auth_refresh', { refresh_token: guest.refresh_token });
  assert.equal(next.status, 200, next.text);
  guest = next.json;
  return refused([await request(guest.access_token, 'GET', '/users'), await request(guest.access_token, 'GET', `/samples?id=eq.${foreign.sample}`)].map((a) => [a, foreign.sample]), 403);
});
attack('A115 a guest forges who and where by the body', async () => refused(await all([{ org_id: beta.id }, { owner_id: userId(`${alpha.slug}-admin`), org_id: beta.id }, { org_id: randomUUID() }]
  .map(async (b) => [await at('POST', '/samples', { name: 'forged', project_id: foreign.project, ...b }, back), JSON.stringify(b) + foreign.project])), 400, 403, 404, 422));
attack('A116 a member without a role brings a share no rights', async () => {
  await beta.nobody.request('GET', '/');
  const home = { 'X-Labos-Org': alpha.slug };
  return refused([await beta.nobody.request('GET', '/projects', undefined, home), await beta.nobody.request('POST', '/samples', { name: 'x', project_id: project.id }, home)], 403, 422);
});
attack('A117 many at once over one pool, guests and members: nobody is taken for another', async () => {
  const answers = await all(Array.from({ length: 60 }, (_, i) => (i % 2 ? at('GET', '/samples?select=name') : request(stage.tokens.beta, 'GET', '/rpc/auth_me'))));
  answers.forEach((a, i) => { if (i % 2) assert.deepEqual(a.json, [{ name: 'Joint sample' }]); else assert.equal(a.json.organization.slug, beta.slug); });
  return answers;
});
attack('A118 the history, the log and the sessions of the other organisation, as its guest', async () => refused(await all(['/audit_log', '/access_logs', '/user_sessions', '/memberships', '/users', '/shares', '/invitations', '/api_keys', '/oidc_providers'].map((p) => at('GET', p))), 403, 404, 200)
  .map((a) => { if (a.status === 200) for (const row of a.json) assert.notEqual(row.org_id, alpha.id, JSON.stringify(row)); return [a, share.id]; }));
attack('A119 a share that ended, with a token from before, and its refresh', async () => {
  await alpha.admin.must('POST', '/rpc/share_revoke', { id: share.id });
  settle();
  return refused([await request(guest.access_token, 'GET', '/projects'), await rpc('auth_refresh', { refresh_token: guest.refresh_token }), await at('GET', '/projects')], 401, 403);
});

// ---- API keys ----
const key = (scopes, who = beta) => who.admin.must('POST', '/rpc/api_key_create', { name: `k-${randomUUID()}`, scopes });
const exchange = async (k) => (await rpc('auth_api_key', { key: k.key })).json.access_token;
attack('A120 a key acts for another organisation by header and by switch', async () => {
  const token = await exchange(await key(['*:*']));
  return refused([await request(token, 'GET', '/samples', undefined, { 'X-Labos-Org': alpha.slug }), await rpc('auth_org_switch', { org: alpha.slug }, token)], 401, 403);
});
attack('A121 a key with scopes that its owner has not, wildcards and invented ones', async () => {
  const answers = await all([['*:*'], ['role:assign'], ['user:*'], ['*'], ['made:up'], [''], ["' or 1=1"], ['sample:read '], [null]].map((scopes) => beta.nobody.request('POST', '/rpc/api_key_create', { name: `n-${randomUUID()}`, scopes })));
  for (const a of answers) {
    if (a.status !== 200) continue;
    const token = await exchange(a.json);
    assert.equal((await rpc('role_create', { name: `r-${randomUUID().slice(0, 6)}` }, token)).status, 403);
  }
  return answers;
});
attack('A122 a key makes, rotates and widens keys', async () => {
  const k = await key(['*:*']);
  const token = await exchange(k);
  return refused(await all([rpc('api_key_create', { name: 'child', scopes: ['*:*'] }, token), rpc('api_key_rotate', { id: k.id }, token), request(token, 'PATCH', `/api_keys?id=eq.${k.id}`, { scopes: ['*:*'] }, back)]), 400, 401, 403, 404, 405);
});
attack('A123 keys of the other organisation: read, rotated, revoked, made for its users', async () => {
  const theirs = await key(['sample:read'], alpha);
  settle();
  const tried = await all([request(stage.tokens.beta, 'GET', `/api_keys?id=eq.${theirs.id}`), rpc('api_key_rotate', { id: theirs.id }, stage.tokens.beta), rpc('api_key_revoke', { id: theirs.id }, stage.tokens.beta),
    rpc('api_key_create', { name: 'for', scopes: ['sample:read'], owner_id: userId(`${alpha.slug}-admin`) }, stage.tokens.beta)]);
  return refused(tried.map((a) => [a, theirs.id + userId(`${alpha.slug}-admin`)]), 400, 403, 404, 422);
});
attack('A124 the stored half of a key, its digest, prefix and checksum instead of the key', async () => {
  const k = await key(['sample:read'], alpha);
  settle();
  const parts = k.key.split('_');
  const stored = sql(`select t::text as row from lab_private.api_key_secrets t where t::text like '%${k.id}%'`).flatMap((r) => r.row.match(/[0-9a-f]{64}/g) ?? []);
  return refused(await all([...stored, ...stored.map((s) => [...parts.slice(0, 3), s.slice(0, 43), parts[4]].join('_')), parts.slice(0, 3).join('_'), `${k.key}x`, k.key.slice(0, -1), k.key.replace('_', '-')].map((x) => rpc('auth_api_key', { key: x }))), 401);
});
attack('A125 a key in the place of a token, a refresh token, a password, an address', async () => {
  const k = await key(['sample:read']);
  return refused(await all([request(k.key, 'GET', '/samples'), rpc('auth_refresh', { refresh_token: k.key }), rpc('auth_login', { login: beta.admin.login, password: k.key }), request(null, 'GET', `/samples?apikey=${k.key}`, undefined, { apikey: k.key, 'X-Api-Key': k.key })]), 400, 401);
});
attack('A126 a key of somebody who lost their role, and of somebody deactivated', async () => {
  const name = `lost-${stage.run}`;
  const { id } = await beta.admin.must('POST', '/rpc/user_create', { email: `${name}@${beta.slug}.example`, username: name, roles: ['manager'] });
  givePassword(name, password);
  const mine = await must(null, 'POST', '/rpc/auth_login', { login: name, password });
  const made = await rpc('api_key_create', { name: 'lost', scopes: ['sample:read'] }, mine.access_token);
  const k = made.status === 200 ? made.json : await beta.admin.must('POST', '/rpc/api_key_create', { name: 'lost', scopes: ['sample:read'], owner_id: id });
  const token = await exchange(k);
  assert.ok((await request(token, 'GET', '/samples')).json.length > 0);
  await beta.admin.must('POST', '/rpc/role_revoke', { user_id: id, role: 'manager' });
  const bare = refused([await request(token, 'GET', '/samples')], 401, 403);
  await beta.admin.must('POST', '/rpc/user_deactivate', { id });
  return [...bare, ...refused([await request(token, 'GET', '/samples'), await rpc('auth_api_key', { key: k.key })], 401)];
});
attack('A127 a revoked key, in parallel with its exchange', async () => {
  const k = await key(['sample:read']);
  const [, ...answers] = await all([rpc('api_key_revoke', { id: k.id }, stage.tokens.beta), ...Array.from({ length: 8 }, () => rpc('auth_api_key', { key: k.key }))]);
  for (const a of answers) if (a.status === 200) assert.equal((await request(a.json.access_token, 'GET', '/samples')).status, 401, 'a token outlives its key');
  return answers;
});

// ---- identity providers ----
async function provider(owner, more = {}) {
  const { privateKey, publicKey } = await jose.generateKeyPair('ES256', { extractable: true });
  const jwk = { ...(await jose.exportJWK(publicKey)), kid: `k-${randomUUID()}`, alg: 'ES256', use: 'sig' };
  const issuer = `https://${randomUUID().slice(0, 8)}.${owner.slug}.example`;
  const made = await owner.admin.must('POST', '/rpc/oidc_provider_create', { name: jwk.kid, issuer, client_id: 'labos', jwks: { keys: [jwk] }, algorithms: ['ES256'], email_domains: [`${owner.slug}.example`], ...more });
  const token = (change = {}) => new jose.SignJWT({ email_verified: true, nonce: 'n', jti: randomUUID(), sub: randomUUID(), iss: issuer, aud: 'labos', ...change })
    .setProtectedHeader({ alg: 'ES256', kid: jwk.kid, typ: 'JWT' }).setIssuedAt().setExpirationTime('5m').sign(privateKey);
  return { made, issuer, jwk, token };
}
const oidc = (id_token, org, nonce = 'n') => rpc('auth_oidc', { id_token, org, nonce });
attack('A128 a provider of one’s own vouches for people of the other organisation', async () => refused(await all([alpha.slug, beta.slug, undefined].flatMap((org) => ['admin', 'nobody'].map(async (n) => oidc(await evil.token({ email: `${n}@${alpha.slug}.example` }), org)))), 401));
attack('A129 the other organisation’s issuer, registered once more with one’s own keys', async () => {
  const real = await provider(alpha);
  settle();
  const fake = await rpc('oidc_provider_create', { name: 'fake', issuer: real.issuer, client_id: 'labos', jwks: { keys: [evil.jwk] }, algorithms: ['ES256'], email_domains: [`${alpha.slug}.example`] }, stage.tokens.beta);
  return [[fake, alpha.slug], ...refused([await oidc(await evil.token({ iss: real.issuer, email: `admin@${alpha.slug}.example` }), alpha.slug), await oidc(await evil.token({ iss: real.issuer, email: `admin@${alpha.slug}.example` }), beta.slug)], 401)];
});
attack('A130 addresses that look like another: case, plus, Unicode, several, arrays, objects', async () => {
  const a = `admin@${alpha.slug}.example`;
  const people = new Set(sql(`select user_id as id from lab_data.memberships where org_id = '${alpha.id}'`).map((r) => r.id));
  const answers = await all([a.toUpperCase(), ` ${a}`, `${a} `, `${a}\u0000`, a.replace('a', '\u0430'), a.replace('@', '+x@'), `${a},x@${beta.slug}.example`, [a], { value: a }, `x@${beta.slug}.example\n${a}`, `"${a}"@${beta.slug}.example`].map(async (email) => oidc(await evil.token({ email }), beta.slug)));
  // What is another address is another person, of Beta only.
  for (const x of answers) if (x.status === 200) assert.ok(!people.has(x.json.user.id) && x.json.organization.id === beta.id, x.text);
  return refused(answers, 200, 401).map((x) => [x, alpha.slug]);
});
attack('A131 an address that is not verified, said in other words', async () => refused(await all([false, 'false', 0, null, [], {}, 'yes', undefined].map(async (email_verified) => oidc(await evil.token({ email: `nobody@${beta.slug}.example`, email_verified }), beta.slug))), 401));
attack('A132 one ID token many times at once', async () => {
  const own = await provider(beta);
  const t = await own.token({ email: `nobody@${beta.slug}.example` });
  const answers = await all(Array.from({ length: 12 }, () => oidc(t, beta.slug)));
  assert.ok(answers.filter((a) => a.status === 200).length <= 1, 'one token signed in twice');
  return refused(answers, 200, 401, 409);
});
attack('A133 an ID token with another nonce, none, an empty one', async () => refused(await all([['x'], [''], [null], ['N']].map(async ([nonce]) => oidc(await evil.token({ email: `nobody@${beta.slug}.example` }), beta.slug, nonce))), 400, 401, 422));
attack('A134 providers of the other organisation: read, changed, deleted, its keys replaced', async () => {
  const theirs = await provider(alpha);
  settle();
  const answers = await all([rpc('oidc_provider_update', { id: theirs.made.id, jwks: { keys: [evil.jwk] } }, stage.tokens.beta), rpc('oidc_provider_delete', { id: theirs.made.id }, stage.tokens.beta), request(stage.tokens.beta, 'GET', `/oidc_providers?id=eq.${theirs.made.id}`), rpc('oidc_provider_create', { name: 'all', issuer: 'https://all.example', client_id: 'labos', jwks: { keys: [evil.jwk] }, email_domains: ['all.example'], installation: true }, stage.tokens.beta)]);
  return refused(answers.map((a) => [a, theirs.made.id]), 400, 403, 404, 422);
});
attack('A135 an ID token as an access token, and an access token as an ID token', async () => refused([await request(await evil.token({ role: 'lab_user' }), 'GET', '/samples'), await oidc(stage.tokens.beta, beta.slug), await oidc(stage.tokens.alpha, alpha.slug)], 401));

// P67
attack('A148 an account planted by a provider of one’s own, which its owner then takes into the other organisation', async () => {
  const email = `planted-${stage.run}@${alpha.slug}.example`;
  const signIn = async () => oidc(await evil.token({ sub: email, email }), beta.slug);
  const before = await signIn();
  assert.equal(before.status, 200, before.text);
  await alpha.admin.must('POST', '/rpc/auth_invite', { email, role: 'viewer' });
  const invitation = tokenIn((await mailTo(email)).find((m) => /^Subject: Invitation/m.test(m)));
  assert.ok(invitation);
  const who = { id: before.json.user.id, email };
  assert.equal((await rpc('auth_password_reset', { token: oneTime('password_reset', who), new: 'Correct-Zebra-88' })).status, 200);
  // The reset has ended all sessions: this one is from between it and the second membership.
  const kept = await signIn();
  assert.equal(kept.status, 200, kept.text);
  const owner = await must(null, 'POST', '/rpc/auth_login', { login: email, password: 'Correct-Zebra-88' });
  const joined = await rpc('auth_invite_accept', { token: invitation }, owner.access_token);
  assert.deepEqual([joined.status, joined.json.organization?.id], [200, alpha.id], joined.text);
  settle();
  const token = kept.json.access_token;
  return refused([await signIn(), await rpc('auth_refresh', { refresh_token: kept.json.refresh_token }), await request(token, 'GET', '/samples'),
    await rpc('auth_org_switch', { org: alpha.slug }, token), await request(token, 'GET', '/samples', undefined, { 'X-Labos-Org': alpha.slug })].map((a) => [a, alpha.slug]), 401, 403);
});

// ---- second factors ----
// RFC 6238
function totp(secret, steps = 0) {
  const bits = [...secret].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('');
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000) + steps));
  const mac = createHmac('sha1', Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)))).update(counter).digest();
  return String((mac.readUInt32BE(mac[19] & 15) & 0x7fffffff) % 1e6).padStart(6, '0');
}
let count = 0;
async function person(mfa = true) {
  const name = `m${++count}-${stage.run}`;
  const email = `${name}@${beta.slug}.example`;
  const { id } = await beta.admin.must('POST', '/rpc/user_create', { email, username: name, roles: ['viewer'] });
  givePassword(name, password);
  const { access_token: token } = await must(null, 'POST', '/rpc/auth_login', { login: name, password });
  if (!mfa) return { id, name, email, token };
  const { secret } = await must(token, 'POST', '/rpc/auth_mfa_setup', {});
  const { backup_codes: backup } = await must(token, 'POST', '/rpc/auth_mfa_confirm', { code: totp(secret) });
  sql(`select labos.use_guard_reset(f.id)::text from lab_private.mfa_factors f where f.user_id = '${id}'`);
  return { id, name, email, token, secret, backup };
}
const half = async (who, secret = password) => (await must(null, 'POST', '/rpc/auth_login', { login: who.name, password: secret })).challenge;
attack('A136 half a sign-in as a whole one: the challenge as a token, a refresh token, a one-time token', async () => {
  const c = await half(await person());
  return refused(await all([request(c, 'GET', '/samples'), rpc('auth_refresh', { refresh_token: c }), rpc('auth_password_reset', { token: c, new: 'Another-2026' }), rpc('auth_verify_email', { token: c }), rpc('auth_invite_accept', { token: c, username: 'thief1', password })]), 400, 401);
});
attack('A137 one person’s challenge with another’s code and backup code', async () => {
  const [a, b] = [await person(), await person()];
  const c = await half(a);
  return refused([await rpc('auth_mfa_verify', { challenge: c, code: totp(b.secret) }), await rpc('auth_mfa_verify', { challenge: c, code: b.backup[0] })], 401);
});
attack('A138 a code, a backup code and a challenge twice', async () => {
  const who = await person();
  assert.equal((await rpc('auth_mfa_verify', { challenge: await half(who), code: who.backup[0] })).status, 200);
  const c = await half(who);
  const again = [await rpc('auth_mfa_verify', { challenge: c, code: who.backup[0] })];
  assert.equal((await rpc('auth_mfa_verify', { challenge: c, code: who.backup[1] })).status, 200);
  return refused([...again, await rpc('auth_mfa_verify', { challenge: c, code: who.backup[2] })], 401);
});
// P61
attack('A139 a reset password does not pass by the second factor, and the half of before is over', async () => {
  const who = await person();
  const before = await half(who);
  await rpc('auth_password_forgot', { email: who.email });
  const token = tokenIn((await mailTo(who.email)).filter((m) => tokenIn(m)).at(-1));
  const reset = await rpc('auth_password_reset', { token, new: 'Better-Horse-8' });
  assert.equal(reset.status, 200, reset.text);
  assert.ok(!('access_token' in reset.json));
  const next = await rpc('auth_login', { login: who.name, password: 'Better-Horse-8' });
  assert.deepEqual([next.json.mfa_required, 'access_token' in next.json], [true, false]);
  const oauth = await rpc('auth_token', { grant_type: 'password', username: who.name, password: 'Better-Horse-8' });
  assert.equal(oauth.json.error, 'mfa_required');
  const old = await rpc('auth_mfa_verify', { challenge: before, code: who.backup[0] });
  assert.equal(old.status, 401, 'a challenge of the old password');
  assert.equal((await rpc('auth_mfa_verify', { challenge: next.json.challenge, code: who.backup[1] })).status, 200);
  return [reset, next, oauth, old];
});
attack('A140 taking the second factor away with one of the two, or as another organisation’s admin', async () => {
  const who = await person();
  return refused([await rpc('auth_mfa_disable', { password, code: '000000' }, who.token), await rpc('auth_mfa_disable', { password: 'wrong', code: who.backup[0] }, who.token), await rpc('auth_mfa_backup_codes', { password, code: '000000' }, who.token),
    [await rpc('user_mfa_reset', { user_id: userId(`${alpha.slug}-admin`) }, stage.tokens.beta), userId(`${alpha.slug}-admin`)]], 401, 403, 404);
});
attack('A141 a known device’s token of one person for another', async () => {
  const [a, b] = [await person(false), await person()];
  const { device_token } = await must(null, 'POST', '/rpc/auth_login', { login: a.name, password });
  const answer = await rpc('auth_login', { login: b.name, password, device_token });
  assert.deepEqual([answer.json.mfa_required, 'access_token' in answer.json], [true, false]);
  return [answer, ...refused([await rpc('auth_login', { login: b.name, password: 'wrong', device_token }), await rpc('auth_refresh', { refresh_token: device_token })], 401)];
});

// ---- mails ----
function oneTime(purpose, who) { return sql(`select lab_private.one_time_token_make('${purpose}', '${who.id}', '10 min', null, '${who.email}') as t`)[0].t; }
attack('A142 the token of one purpose for every other', async () => {
  const who = await person(false);
  const calls = { password_reset: (t) => rpc('auth_password_reset', { token: t, new: 'Better-Horse-8' }), email_verification: (t) => rpc('auth_verify_email', { token: t }), email_change: (t) => rpc('auth_email_confirm', { token: t }, who.token),
    invitation: (t) => rpc('auth_invite_accept', { token: t, username: `x-${stage.run}`, password }), mfa_challenge: (t) => rpc('auth_mfa_verify', { challenge: t, code: '000000' }) };
  const answers = [];
  for (const made of Object.keys(calls)) for (const [name, use] of Object.entries(calls)) if (name !== made) answers.push(await use(oneTime(made, who)));
  return refused(answers, 400, 401);
});
attack('A143 a reset for an address that was changed meanwhile, and for a second token after the first', async () => {
  const who = await person(false);
  const [a, b, c] = [oneTime('password_reset', who), oneTime('password_reset', who), oneTime('password_reset', { ...who, email: 'old@other.example' })];
  const stale = await rpc('auth_password_reset', { token: c, new: 'Better-Horse-8' });
  const first = [await rpc('auth_password_reset', { token: a, new: 'Better-Horse-8' }), await rpc('auth_password_reset', { token: b, new: 'Better-Horse-9' })];
  assert.ok(first.filter((x) => x.status === 200).length === 1, first.map((x) => x.status).join());
  return refused([stale, ...first.filter((x) => x.status !== 200)], 400);
});
attack('A144 invitations: to a role above one’s own, of the other organisation, resent, revoked, read', async () => {
  const theirs = await alpha.admin.must('POST', '/rpc/auth_invite', { email: `i@${stage.run}.example`, role: 'viewer' });
  settle();
  const answers = await all([rpc('auth_invite_resend', { id: theirs.id }, stage.tokens.beta), rpc('auth_invite_revoke', { id: theirs.id }, stage.tokens.beta), request(stage.tokens.beta, 'GET', `/invitations?id=eq.${theirs.id}`), beta.manager.request('POST', '/rpc/auth_invite', { email: `j@${stage.run}.example`, role: 'admin' }), beta.nobody.request('POST', '/rpc/auth_invite', { email: `k@${stage.run}.example`, role: 'viewer' })]);
  return refused(answers.map((a) => [a, theirs.id]), 403, 404, 422);
});
attack('A145 an invitation accepted by another account, with another role or organisation in the body', async () => {
  const email = `inv-${stage.run}@other.example`;
  await beta.admin.must('POST', '/rpc/auth_invite', { email, role: 'viewer' });
  const token = tokenIn((await mailTo(email)).at(-1));
  const wrong = [await rpc('auth_invite_accept', { token, username: `inv-${stage.run}`, password, role: 'admin' }), await rpc('auth_invite_accept', { token, username: `inv-${stage.run}`, password, org: alpha.slug }), await rpc('auth_invite_accept', { token }, stage.tokens.alpha)];
  const right = await rpc('auth_invite_accept', { token, username: `inv-${stage.run}`, password });
  assert.deepEqual([right.status, right.json.roles, right.json.organization.id], [200, ['viewer'], beta.id], right.text);
  return refused(wrong, 400, 401, 403, 404, 409);
});
attack('A146 the outbox and the one-time tokens by every name', async () => refused(await all(['/outbox', '/one_time_tokens', '/known_devices', '/mfa_factors', '/api_key_secrets', '/use_guard', '/oidc_links', '/rpc/outbox_take', '/rpc/outbox_add', '/rpc/one_time_token_make', '/rpc/auth_cleanup'].map((p) => request(stage.tokens.beta, p.startsWith('/rpc/') ? 'POST' : 'GET', p, p.startsWith('/rpc/') ? {} : undefined))), 401, 403, 404));
attack('A147 headers and lines of a mail by names, messages and addresses', async () => {
  const email = `crlf-${stage.run}@other.example`;
  const nasty = 'Hello\r\nBcc: thief@evil.example\r\n\r\nhttps://evil.example';
  const made = await rpc('auth_invite', { email, role: 'viewer', message: nasty }, stage.tokens.beta);
  const bad = await all([`${email}\r\nBcc: thief@evil.example`, `${email}, thief@evil.example`, `"x\r\n"@evil.example`].map((e) => rpc('auth_invite', { email: e, role: 'viewer' }, stage.tokens.beta)));
  if (made.status === 200) for (const m of await mailTo(email)) assert.doesNotMatch(m.split(/\r?\n\r?\n/)[0], /^Bcc:/im);
  return [[made, email], ...refused(bad, 400, 422)];
});
