// Signing in, tokens, sessions and rights over HTTP, as a client meets them.
// Numbers like P52 are those of the identity checklist.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHmac, generateKeyPairSync, sign as signBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test, { before } from 'node:test';

const url = process.env.LABOS_URL;
const tag = Date.now().toString(36);
const password = 'Correct-Horse-7';

// Statements as the database's superuser, for what no client may do.
function sql(text) {
  return execFileSync('psql', ['-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', text], { encoding: 'utf8' }).trim();
}
async function request(method, path, { token, body, headers = {} } = {}) {
  const answer = await fetch(url + path, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(token ? { authorization: `Bearer ${token}` } : {}), ...headers },
    body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await answer.text();
  let json = null;
  try { json = JSON.parse(text); } catch { /* not JSON */ }
  return { status: answer.status, headers: answer.headers, text, json, code: codeOf(json) };
}
// The stable code: in the body of a recorded refusal, in the details of a raised one.
function codeOf(json) {
  try { return JSON.parse(json.details).code; } catch { return json?.code; }
}
const call = (name, body = {}, token = undefined) => request('POST', `/rpc/${name}`, { body, token });
const login = (who, secret = password, more = {}) => call('auth_login', { login: who, password: secret, ...more });
async function tokenOf(who, secret = password) {
  const answer = await login(who, secret);
  assert.equal(answer.status, 200, answer.text);
  return answer.json.access_token;
}
const me = (token) => request('GET', '/rpc/auth_me', { token });
const decode = (token, part) => JSON.parse(Buffer.from(token.split('.')[part], 'base64url'));

// Over HTTP nobody chooses a password for somebody else (P50).
const givePassword = (name) => sql(`select lab_private.password_set(u.id, '${password}', u.email::text, u.username) from lab_data.users u where u.username = '${name}'`);

let root, admin, otherAdmin, viewer;
// A new user of the admin's organisation, and the token of a first session.
async function person(name, ...roles) {
  const made = await call('user_create', { email: `${name}@${tag}.test`, username: `${name}-${tag}`, full_name: name, roles }, admin.token);
  givePassword(`${name}-${tag}`);
  assert.equal(made.status, 200, made.text);
  const signedIn = await login(`${name}-${tag}`);
  assert.equal(signedIn.status, 200, signedIn.text);
  return { id: made.json.id, name: `${name}-${tag}`, token: signedIn.json.access_token, refresh: signedIn.json.refresh_token };
}
async function organization(name) {
  const made = await call('organization_create',
    { name: `${name} ${tag}`, admin_email: `${name}-boss@${tag}.test`, admin_username: `${name}-${tag}` }, root);
  givePassword(`${name}-${tag}`);
  assert.equal(made.status, 200, made.text);
  return { org: made.json.id, slug: made.json.slug, id: made.json.admin.id, name: `${name}-${tag}`, token: await tokenOf(`${name}-${tag}`) };
}

before(async () => {
  root = await tokenOf(process.env.LABOS_ADMIN_EMAIL, process.env.LABOS_ADMIN_PASSWORD);
  admin = await organization('one');
  otherAdmin = await organization('two');
  viewer = await person('vic', 'viewer');
});

test('signing in gives tokens that work, and are never cached', async () => {
  const answer = await login(viewer.name, password, { device_info: { app: 'test' } });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  assert.equal(answer.json.token_type, 'Bearer');
  assert.equal(answer.json.expires_in, 900);
  assert.deepEqual(answer.json.roles, ['viewer']);
  assert.equal(decode(answer.json.access_token, 0).typ, 'at+jwt');
  assert.equal((await me(answer.json.access_token)).json.username, viewer.name);
});

test('P52: unknown, wrong, disabled and locked accounts get one answer', async () => {
  const disabled = await person('dis', 'viewer');
  const locked = await person('loc', 'viewer');
  assert.equal((await call('user_deactivate', { id: disabled.id }, admin.token)).status, 200);
  for (let i = 0; i < 5; i++) assert.equal((await login(locked.name, 'wrong')).status, 401);
  const shape = async (who, secret) => {
    const answer = await login(who, secret);
    const headers = [...answer.headers].filter(([k]) => k !== 'date');
    return JSON.stringify([answer.status, headers, answer.text]);
  };
  const expected = await shape(`nobody-${tag}`, password);
  assert.match(expected, /401.*invalid_credentials/);
  assert.equal(await shape(viewer.name, 'wrong'), expected);
  assert.equal(await shape(disabled.name, password), expected);
  assert.equal(await shape(locked.name, password), expected, 'the right password while locked');
  // An administrator ends the lock.
  assert.equal((await call('user_unlock', { id: locked.id }, admin.token)).status, 200);
  assert.equal((await login(locked.name)).status, 200);
});

test('P31: refused sign-ins are recorded, for the administrators of that organisation only', async () => {
  const logs = async (token) => (await request('GET', `/access_logs?event=eq.lockout&select=id,event,user_id`, { token })).json;
  assert.ok((await logs(admin.token)).length >= 1);
  assert.deepEqual(await logs(otherAdmin.token), []);
  assert.deepEqual(await logs(viewer.token), []);
});

test('simultaneous guesses at one account are counted one by one', async () => {
  const victim = await person('guess', 'viewer');
  await Promise.all(Array.from({ length: 12 }, () => login(victim.name, 'wrong')));
  assert.equal(sql(`select failed_login_attempts from lab_data.users where id = '${victim.id}'`), '5');
  assert.equal((await login(victim.name)).status, 401);
});

test('P29: no request can let an answer fail after the fact', async () => {
  const made = await person('undone', 'viewer');
  const tricks = ['select=pgrst_scalar::int', 'select=pgrst_scalar:pgrst_scalar->>code::int', 'select=pgrst_scalar:pgrst_scalar->>access_token::int',
    'pgrst_scalar->>code=is.null', 'order=pgrst_scalar', 'select=a:pgrst_scalar,pgrst_scalar'];
  for (const trick of tricks) {
    for (const [name, body, token] of [['auth_login', { login: made.name, password: 'wrong' }], ['auth_refresh', { refresh_token: made.refresh }],
      ['auth_token', { grant_type: 'refresh_token', refresh_token: made.refresh }], ['auth_org_switch', { org: admin.slug }, made.token]]) {
      const answer = await request('POST', `/rpc/${name}?${trick}`, { body, token });
      assert.equal(answer.code, 'partial_answer', `${name}?${trick}: ${answer.text}`);
      assert.doesNotMatch(answer.text, /eyJ/);
    }
  }
  // What a client may say about the form of the answer, it may.
  for (const [query, headers] of [['?select=*', {}], ['', { accept: 'application/vnd.pgrst.object+json' }], ['', { prefer: 'count=exact' }],
    ['', { prefer: 'return=minimal' }], ['?limit=1', {}], ['', { range: '0-9' }]]) {
    const answer = await request('POST', `/rpc/auth_login${query}`, { body: { login: made.name, password }, headers });
    assert.equal(answer.status, 200, answer.text);
  }
});

test('P30: passwords do not travel in addresses', async () => {
  for (const path of [`/rpc/auth_login?login=${viewer.name}&password=${password}`, `/rpc/auth_refresh?refresh_token=x`, '/rpc/auth_token?grant_type=password']) {
    const answer = await request('GET', path);
    assert.equal(answer.status, 405, path);
    assert.equal(answer.code, 'post_required');
  }
});

test('the OAuth 2.0 token endpoint takes forms and answers as RFC 6749 says', async () => {
  const form = (fields) => request('POST', '/rpc/auth_token',
    { body: new URLSearchParams(fields).toString(), headers: { 'content-type': 'application/x-www-form-urlencoded' } });
  const good = await form({ grant_type: 'password', username: viewer.name, password });
  assert.equal(good.status, 200);
  assert.equal(good.headers.get('cache-control'), 'no-store');
  assert.equal((await me(good.json.access_token)).status, 200);
  assert.equal((await form({ grant_type: 'refresh_token', refresh_token: good.json.refresh_token })).status, 200);
  for (const [fields, error] of [
    [{ grant_type: 'password', username: viewer.name, password: 'wrong' }, 'invalid_grant'],
    [{ grant_type: 'refresh_token', refresh_token: 'x' }, 'invalid_grant'],
    [{ grant_type: 'password', username: viewer.name }, 'invalid_request'],
    [{ grant_type: 'implicit' }, 'unsupported_grant_type'],
    [{ grant_type: 'password', username: viewer.name, password, scope: 'everything' }, 'invalid_scope'],
    [{ username: viewer.name }, 'invalid_request']]) {
    const answer = await form(fields);
    assert.equal(answer.status, 400, error);
    assert.equal(answer.json.error, error);
  }
});

test('P22: of simultaneous refreshes one wins, and all get the same successor', async () => {
  const { refresh } = await person('tabs', 'viewer');
  const answers = await Promise.all(Array.from({ length: 8 }, () => call('auth_refresh', { refresh_token: refresh })));
  assert.deepEqual([...new Set(answers.map((a) => a.status))], [200]);
  assert.equal(new Set(answers.map((a) => a.json.refresh_token)).size, 1);
  assert.notEqual(answers[0].json.refresh_token, refresh);
  const session = answers[0].json.session_id;
  assert.equal(sql(`select count(*) from lab_private.refresh_tokens where session_id = '${session}'`), '2');
  assert.equal(sql(`select count(*) from lab_data.access_logs where session_id = '${session}' and event = 'refresh' and not detail ? 'repeated'`), '1');
});

test('P23: a used refresh token that comes again ends the session, at once and for good', async () => {
  const { refresh, token } = await person('thief', 'viewer');
  const next = await call('auth_refresh', { refresh_token: refresh });
  assert.equal(next.status, 200);
  sql(`update lab_private.refresh_tokens set used_at = used_at - interval '1 minute' where used_at is not null and session_id = '${next.json.session_id}'`);
  const replay = await call('auth_refresh', { refresh_token: refresh });
  assert.equal(replay.status, 401);
  assert.equal(replay.code, 'invalid_refresh_token');
  assert.equal((await call('auth_refresh', { refresh_token: next.json.refresh_token })).status, 401, 'its successor');
  for (const t of [token, next.json.access_token]) assert.equal((await me(t)).code, 'token_rejected');
});

test('P18: signing out ends the access token with the next request', async () => {
  const who = await person('out', 'viewer');
  assert.equal((await me(who.token)).status, 200);
  assert.equal((await call('auth_logout', { refresh_token: who.refresh })).status, 200);
  assert.equal((await me(who.token)).status, 401);
  assert.equal((await call('auth_refresh', { refresh_token: who.refresh })).status, 401);
  assert.equal((await call('auth_logout', { refresh_token: who.refresh })).status, 200, 'twice is the same');
  // By the access token alone, and everywhere.
  const [a, b] = [await tokenOf(who.name), await tokenOf(who.name)];
  assert.equal((await call('auth_logout', {}, a)).status, 200);
  assert.deepEqual([(await me(a)).status, (await me(b)).status], [401, 200]);
  assert.equal((await call('auth_logout_all', {}, b)).json.sessions_ended, 1);
  assert.equal((await me(b)).status, 401);
});

test('a session can be listed and ended, one\'s own only', async () => {
  const who = await person('list', 'viewer');
  const second = await login(who.name, password, { device_info: 'phone' });
  const sessions = await request('GET', '/rpc/auth_sessions', { token: who.token });
  assert.equal(sessions.json.length, 2);
  assert.deepEqual(sessions.json.filter((s) => s.is_current).length, 1);
  assert.equal((await call('auth_session_end', { id: second.json.session_id }, viewer.token)).code, 'session_not_found');
  assert.equal((await call('auth_session_end', { id: second.json.session_id }, otherAdmin.token)).code, 'session_not_found');
  assert.equal((await call('auth_session_end', { id: second.json.session_id }, who.token)).status, 200);
  assert.equal((await me(second.json.access_token)).status, 401);
  assert.equal((await me(who.token)).status, 200);
});

test('P18: giving and taking a role is effective with the next request of the same token', async () => {
  const who = await person('climb', 'viewer');
  const may = async () => (await call('role_create', { name: `r-${Math.random().toString(36).slice(2)}` }, who.token)).status;
  assert.equal(await may(), 403);
  assert.equal((await call('role_assign', { user_id: who.id, role: 'admin' }, admin.token)).status, 200);
  assert.equal(await may(), 200);
  assert.equal((await call('role_revoke', { user_id: who.id, role: 'admin' }, admin.token)).status, 200);
  assert.equal(await may(), 403);
  // An assignment that expires gives nothing from then on.
  assert.equal((await call('role_assign', { user_id: who.id, role: 'admin', expires_at: new Date(Date.now() + 4000).toISOString() }, admin.token)).status, 200);
  assert.equal(await may(), 200);
  await new Promise((done) => setTimeout(done, 4500));
  assert.equal(await may(), 403);
});

test('P26: disabling, removing or changing the password of a user ends the sessions concerned', async () => {
  const who = await person('gone', 'viewer');
  const other = await tokenOf(who.name);
  const wrong = await call('auth_password_change', { current: 'wrong', new: 'Better-Horse-8' }, who.token);
  assert.deepEqual([wrong.status, wrong.code], [403, 'wrong_password']);
  assert.equal((await call('auth_password_change', { current: password, new: 'weak' }, who.token)).code, 'weak_password');
  assert.equal((await call('auth_password_change', { current: password, new: 'Better-Horse-8' }, who.token)).status, 200);
  assert.deepEqual([(await me(who.token)).status, (await me(other)).status], [200, 401], 'this session stays, others end');
  assert.equal((await login(who.name)).status, 401);
  assert.equal((await call('user_deactivate', { id: who.id }, admin.token)).status, 200);
  assert.equal((await me(who.token)).status, 401);
  assert.equal((await call('user_activate', { id: who.id }, admin.token)).status, 200);
  const again = await tokenOf(who.name, 'Better-Horse-8');
  assert.equal((await call('membership_remove', { user_id: who.id }, admin.token)).status, 200);
  assert.equal((await me(again)).status, 401);
});

test('another organisation sees and changes nothing', async () => {
  const names = (await request('GET', '/users?select=username', { token: otherAdmin.token })).json.map((u) => u.username);
  assert.deepEqual(names, [otherAdmin.name]);
  for (const [name, body] of [['user_update', { id: viewer.id, full_name: 'Owned' }], ['user_deactivate', { id: viewer.id }], ['user_delete', { id: viewer.id }],
    ['user_unlock', { id: viewer.id }], ['role_assign', { user_id: viewer.id, role: 'viewer' }], ['role_revoke', { user_id: viewer.id, role: 'viewer' }],
    ['user_permissions', { id: viewer.id }], ['membership_remove', { user_id: viewer.id }]]) {
    const answer = await call(name, body, otherAdmin.token);
    assert.deepEqual([answer.status, answer.code], [404, 'user_not_found'], name);
  }
  const sessions = await request('GET', `/user_sessions?user_id=eq.${viewer.id}`, { token: otherAdmin.token });
  assert.deepEqual(sessions.json, []);
});

test('who is a member of two organisations acts in one at a time', async () => {
  const who = await person('both', 'viewer');
  const made = await call('organization_create', { name: `three ${tag}`, admin_email: `both@${tag}.test` }, root);
  assert.equal(made.status, 200, made.text);
  const switched = await call('auth_org_switch', { org: made.json.slug }, who.token);
  assert.equal(switched.json.organization.slug, made.json.slug);
  assert.equal((await call('role_create', { name: 'mine' }, switched.json.access_token)).status, 200);
  assert.equal((await call('role_create', { name: 'mine' }, who.token)).status, 403);
  assert.deepEqual([(await call('auth_org_switch', { org: otherAdmin.slug }, who.token)).code, (await call('auth_org_switch', { org: 'no-such' }, who.token)).code],
    ['not_a_member', 'not_a_member']);
  assert.equal((await login(who.name, password, { org: otherAdmin.slug })).code, 'invalid_credentials');
  assert.equal((await call('user_deactivate', { id: who.id }, admin.token)).code, 'shared_user');
  // A superuser may shut a shared account, but not that of another organisation's last admin.
  const visitor = sql(`insert into lab_data.memberships (org_id, user_id) select '${admin.org}', id from lab_data.users where email = '${process.env.LABOS_ADMIN_EMAIL}';
    insert into lab_data.user_roles (org_id, user_id, role_id) select '${admin.org}', u.id, r.id
    from lab_data.users u, lab_data.roles r where u.email = '${process.env.LABOS_ADMIN_EMAIL}' and r.org_id is null and r.name = 'admin'; select 1`);
  assert.equal(visitor, '1');
  const above = await call('auth_org_switch', { org: admin.slug }, root);
  for (const name of ['user_deactivate', 'user_delete']) {
    assert.equal((await call(name, { id: who.id }, above.json.access_token)).code, 'last_admin');
  }
  sql(`delete from lab_data.user_roles where org_id = '${admin.org}' and user_id = '${above.json.user.id}';
    update lab_data.memberships set left_at = now() where org_id = '${admin.org}' and user_id = '${above.json.user.id}'`);
});

test('nobody gives what they do not hold, and the last admin stays', async () => {
  assert.equal((await call('role_create', { name: 'helper', permissions: ['role:assign', 'user:create', 'user:update'], parent: 'viewer' }, admin.token)).status, 200);
  const helper = await person('help', 'helper');
  for (const [name, body] of [['role_assign', { user_id: helper.id, role: 'admin' }], ['user_create', { email: `x@${tag}.test`, username: `x-${tag}`, roles: ['manager'] }],
    ['user_update', { id: admin.id, email: `evil@${tag}.test` }], ['user_deactivate', { id: admin.id }], ['role_revoke', { user_id: admin.id, role: 'admin' }]]) {
    const answer = await call(name, body, helper.token);
    assert.deepEqual([answer.status, answer.code], [403, 'permission_escalation'], name);
  }
  for (const [name, body] of [['role_revoke', { user_id: admin.id, role: 'admin' }], ['user_deactivate', { id: admin.id }], ['user_delete', { id: admin.id }],
    ['membership_remove', { user_id: admin.id }], ['role_assign', { user_id: admin.id, role: 'admin', expires_at: '2999-01-01' }]]) {
    const answer = await call(name, body, admin.token);
    assert.deepEqual([answer.status, answer.code], [409, 'last_admin'], name);
  }
  for (const [name, body] of [['role_update', { role: 'viewer', permissions: [] }], ['role_delete', { role: 'admin' }]]) {
    assert.equal((await call(name, body, admin.token)).code, 'system_role', name);
  }
  for (const name of ['organization_create', 'signing_key_rotate', 'identity_settings']) {
    assert.equal((await call(name, name === 'organization_create' ? { name: 'X' } : {}, admin.token)).code, 'superuser_required', name);
  }
});

test('without a token: public calls only', async () => {
  for (const name of ['auth_me', 'auth_logout_all', 'auth_sessions', 'user_permissions', 'identity_settings', 'signing_key_rotate']) {
    assert.equal((await call(name)).status, 401, name);
  }
  for (const path of ['/users', '/user_sessions', '/access_logs', '/roles', '/memberships', '/organizations']) {
    assert.equal((await request('GET', path)).status, 401, path);
  }
  const keys = (await request('GET', '/rpc/jwks')).json.keys;
  assert.ok(keys.length >= 1);
  for (const key of keys) assert.ok(!('d' in key) && !('k' in key));
});

test('forged, altered and expired tokens are refused', async () => {
  const [head, body, signature] = viewer.token.split('.');
  const encode = (x) => Buffer.from(typeof x === 'string' ? x : JSON.stringify(x)).toString('base64url');
  const header = decode(viewer.token, 0);
  const claims = decode(viewer.token, 1);
  const { privateKey } = generateKeyPairSync('ed25519');
  const eddsa = (h, c) => { const data = `${encode(h)}.${encode(c)}`; return `${data}.${signBytes(null, Buffer.from(data), privateKey).toString('base64url')}`; };
  const jwks = (await request('GET', '/rpc/jwks')).text;
  const hmac = (key) => { const data = `${encode({ ...header, alg: 'HS256' })}.${encode(claims)}`; return `${data}.${createHmac('sha256', key).update(data).digest('base64url')}`; };
  // Signed with the installation's own key, but of the past, for another audience, or without a session.
  const own = (change) => sql(`select labos.jwt_sign('${JSON.stringify(claims)}'::jsonb || '${JSON.stringify(change)}', lab_private.private_jwk(k), null, 'at+jwt') from lab_private.signing_key_current() k`);
  const forged = {
    'another payload': `${head}.${encode({ ...claims, sub: admin.id })}.${signature}`,
    'no signature': `${head}.${body}.`,
    'alg none': `${encode({ alg: 'none', typ: 'at+jwt' })}.${body}.`,
    'alg None': `${encode({ alg: 'None', typ: 'at+jwt' })}.${body}.${signature}`,
    'another key with the same kid': eddsa(header, claims),
    'an embedded key': eddsa({ ...header, jwk: { kty: 'OKP' } }, claims),
    'HMAC with the public keys': hmac(jwks),
    'HMAC with an empty key': hmac(''),
    'two segments': `${head}.${body}`,
    'nonsense': 'nonsense',
    'of the past': own({ exp: claims.exp - 4000, iat: claims.iat - 4000, nbf: claims.nbf - 4000 }),
    'for another audience': own({ aud: 'elsewhere' }),
    'of another session': own({ sid: '00000000-0000-7000-8000-000000000000' }),
    'of another user in this session': own({ sub: admin.id }),
    'for another organisation': own({ org_id: otherAdmin.org }),
  };
  assert.equal((await me(viewer.token)).status, 200);
  for (const [name, token] of Object.entries(forged)) {
    const answer = await me(token);
    assert.equal(answer.status, 401, `${name}: ${answer.text}`);
    assert.doesNotMatch(answer.text, new RegExp(viewer.name), name);
  }
  // The role in a token is one of ours.
  for (const role of ['postgres', 'lab_owner', 'lab_authenticator', 'none', 'lab_backup']) {
    const answer = await me(own({ role }));
    assert.ok([401, 403].includes(answer.status), `${role}: ${answer.status}`);
  }
});

test('hostile arguments of every kind leave nothing', async () => {
  const before = sql(`select count(*) from lab_data.users where email like '%${tag}%'`);
  const nasty = ["' or 1=1 --", '"; drop table lab_data.users; --', '$$', '\\', '%', '*', '\u202e', '<script>', 'x'.repeat(1_000_000), '\ud83d\ude00', '', ' ', 'null', '{}'];
  for (const text of nasty) {
    const short = text.slice(0, 20);
    assert.equal((await login(text, text)).status, 401, short);
    assert.equal((await call('auth_refresh', { refresh_token: text })).status, 401, short);
    assert.equal((await call('auth_logout', { refresh_token: text })).status, 200, short);
    assert.equal((await call('user_create', { email: text, username: text }, admin.token)).status, 400, short);
    assert.equal((await call('role_create', { name: text }, admin.token)).status, text === 'null' ? 200 : 400, short);
    assert.equal((await call('role_assign', { user_id: viewer.id, role: text }, admin.token)).status, text === 'null' ? 200 : 404, short);
    assert.equal((await call('auth_org_switch', { org: text }, viewer.token)).status, 403, short);
  }
  for (const [name, body, token] of [['auth_login', { login: null, password: null }], ['auth_refresh', { refresh_token: null }],
    ['auth_password_change', { current: null, new: null }, viewer.token], ['auth_login', { login: 'x', password: 'y', device_info: [1] }],
    ['user_create', { email: null, username: null }, admin.token], ['role_create', { name: null }, admin.token], ['user_update', { id: 'x' }, admin.token],
    ['auth_login', '{"login":'], ['auth_login', '[1]'], ['auth_login', '"x"'], ['auth_login', { login: 'a\u0000b', password: 'x' }],
    ['auth_me_update', { preferences: [] }, viewer.token], ['role_assign', { user_id: viewer.id, role: 'viewer', expires_at: 'yesterday-ish' }, admin.token]]) {
    const answer = await call(name, body, token);
    assert.ok(answer.status >= 400 && answer.status < 500, `${name} ${JSON.stringify(body)}: ${answer.status}`);
  }
  const deep = '['.repeat(20000) + ']'.repeat(20000);
  const answer = await call('auth_login', `{"login":"x","password":"y","device_info":${deep}}`);
  assert.ok(answer.status >= 400 && answer.status < 500, `deep nesting: ${answer.status}`);
  assert.equal(sql(`select count(*) from lab_data.users where email like '%${tag}%'`), before);
});

test('P37: a key rotation refuses no request', async () => {
  const leads = (await call('identity_settings', {}, root)).json.key_lead_seconds;
  assert.equal((await call('identity_settings_update', { settings: { key_lead_seconds: 2 } }, root)).status, 200);
  const old = decode(await tokenOf(viewer.name), 0).kid;
  const rotated = await call('signing_key_rotate', {}, root);
  assert.equal(rotated.status, 200, rotated.text);
  const refused = [];
  let last;
  for (const end = Date.now() + 4000; Date.now() < end;) {
    last = await tokenOf(viewer.name);
    for (const token of [viewer.token, last]) {
      const answer = await me(token);
      if (answer.status !== 200) refused.push([answer.status, answer.text]);
    }
  }
  assert.deepEqual(refused, []);
  assert.equal(decode(last, 0).kid, rotated.json.kid);
  assert.notEqual(rotated.json.kid, old);
  assert.equal((await call('identity_settings_update', { settings: { key_lead_seconds: leads } }, root)).status, 200);
});

test('P39: no password or token is in the logs of the servers', async () => {
  const canary = `Canary-${tag}-9`;
  await login(viewer.name, canary);
  await call('auth_password_change', { current: canary, new: canary }, viewer.token);
  await call('auth_register', { email: 'broken', username: `c-${tag}`, password: canary });
  await call('auth_token', { grant_type: 'password', username: viewer.name, password: canary.toLowerCase() });
  await call('auth_refresh', { refresh_token: canary });
  for (const file of ['server.log', 'postgrest.log']) {
    const text = readFileSync(`${process.env.LABOS_DIR}/${file}`, 'utf8').toLowerCase();
    assert.ok(!text.includes(canary.toLowerCase()), file);
    assert.ok(!text.includes(viewer.token.toLowerCase()), file);
  }
});
