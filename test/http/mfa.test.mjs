// The second factor, known devices and restricted sessions over HTTP. Codes are computed by Node, not by labos.
// Numbers like P57 are those of the identity checklist.
import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import test, { before } from 'node:test';
import { installationAdmin, must, request, sql, url } from './lib.mjs';

const tag = Date.now().toString(36);
const first = 'Correct-Horse-7';
const code = (answer) => { try { return JSON.parse(answer.json.details).code; } catch { return answer.json?.code; } };
const call = (name, body = {}, token = null) => request(token, 'POST', `/rpc/${name}`, body);
const login = (who, password = first, more = {}) => call('auth_login', { login: who, password, ...more });
const one = (query, args) => Object.values(sql(query, args)[0])[0];

// RFC 6238, of a secret in Base32.
function totp(secret, steps = 0) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...secret].map((c) => alphabet.indexOf(c).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000) + steps));
  const mac = createHmac('sha1', key).update(counter).digest();
  const at = mac[19] & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}
const wrong = (secret) => ['000000', '000001', '000002', '000003', '000004', '000005', '000006', '000007'].find((c) => ![-3, -2, -1, 0, 1, 2, 3].some((s) => totp(secret, s) === c));
// Steps used are forgotten: a test does not wait half a minute.
const rewind = (id) => sql(`select labos.use_guard_reset(f.id)::text from lab_private.mfa_factors f where f.user_id = '${id}'`);

let root, org;
before(async () => {
  root = await installationAdmin();
  const made = await must(root, 'POST', '/rpc/organization_create', { name: `Mfa ${tag}`, slug: `mfa-${tag}`, admin_email: `boss@mfa-${tag}.test`, admin_username: `boss-${tag}`, initial_password: true });
  org = { id: made.id, slug: made.slug, admin: `boss-${tag}` };
  await changeFirst(org.admin, made.admin.initial_password);
  org.token = (await login(org.admin)).json.access_token;
});
async function changeFirst(who, initial) {
  const restricted = await login(who, initial);
  assert.equal(restricted.json.restricted, 'password_change_required', restricted.text);
  const changed = await call('auth_password_change', { current: initial, new: first }, restricted.json.access_token);
  assert.equal(changed.status, 200, changed.text);
  return changed.json.tokens;
}
async function person(name, ...roles) {
  const made = await must(org.token, 'POST', '/rpc/user_create', { email: `${name}@mfa-${tag}.test`, username: `${name}-${tag}`, initial_password: true, roles });
  const tokens = await changeFirst(`${name}-${tag}`, made.initial_password);
  return { id: made.id, name: `${name}-${tag}`, token: tokens.access_token };
}
async function enrolled(name, ...roles) {
  const who = await person(name, ...roles);
  const setup = await call('auth_mfa_setup', {}, who.token);
  assert.equal(setup.status, 200, setup.text);
  const confirmed = await call('auth_mfa_confirm', { code: totp(setup.json.secret) }, who.token);
  assert.equal(confirmed.status, 200, confirmed.text);
  rewind(who.id);
  return { ...who, setup: setup.json, secret: setup.json.secret, backup: confirmed.json.backup_codes };
}
const challenge = async (who) => {
  const answer = await login(who.name);
  assert.equal(answer.json.mfa_required, true, answer.text);
  return answer.json.challenge;
};

test('a password that its owner has not chosen is good for changing it', async () => {
  const made = await must(org.token, 'POST', '/rpc/user_create', { email: `new@mfa-${tag}.test`, username: `new-${tag}`, initial_password: true, roles: ['scientist'] });
  const { json } = await login(`new-${tag}`, made.initial_password);
  assert.deepEqual([json.restricted, json.permissions, json.scopes], ['password_change_required', [], []]);
  assert.equal((await request(json.access_token, 'POST', '/samples', { name: 'x' })).status, 403);
  assert.equal(code(await call('auth_mfa_disable', { password: 'x', code: 'y' }, json.access_token)), 'interactive_session_required');
  const changed = await call('auth_password_change', { current: made.initial_password, new: first }, json.access_token);
  assert.equal(changed.json.tokens.restricted, undefined);
  assert.ok(changed.json.tokens.permissions.includes('sample:create'));
  assert.equal((await call('auth_me', {}, json.access_token)).status, 401, 'P25: the restricted session is over');
  assert.equal((await request(changed.json.tokens.access_token, 'GET', '/samples')).status, 200);
});

test('enrolment, sign-in with a code of an authenticator app, and with a backup code', async () => {
  const who = await enrolled('ann', 'scientist');
  assert.match(who.setup.otpauth_uri, /^otpauth:\/\/totp\/[^?]+\?secret=[A-Z2-7]{32}&issuer=/);
  assert.match(who.setup.qr_svg, /^<svg /);
  assert.equal(new Set(who.backup).size, 10);
  const answer = await login(who.name);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  assert.deepEqual(Object.keys(answer.json).sort(), ['challenge', 'expires_in', 'methods', 'mfa_required']);
  const signedIn = await call('auth_mfa_verify', { challenge: answer.json.challenge, code: totp(who.secret) });
  assert.equal(signedIn.status, 200, signedIn.text);
  assert.deepEqual([signedIn.json.aal, signedIn.json.amr], [2, ['pwd', 'otp']]);
  assert.equal((await call('auth_me', {}, signedIn.json.access_token)).json.mfa_backup_codes_left, 10);
  const byBackup = await call('auth_mfa_verify', { challenge: await challenge(who), code: who.backup[0].toUpperCase() });
  assert.deepEqual(byBackup.json.amr, ['pwd', 'rec'], byBackup.text);
  assert.equal((await call('auth_me', {}, byBackup.json.access_token)).json.mfa_backup_codes_left, 9);
  assert.equal(code(await call('auth_mfa_verify', { challenge: await challenge(who), code: who.backup[0] })), 'invalid_code');
});

test('P57: of 32 simultaneous presenters of a code one signs in', async () => {
  const who = await enrolled('dup', 'viewer');
  const challenges = [];
  for (let i = 0; i < 32; i++) challenges.push(one(`select lab_private.one_time_token_make('mfa_challenge', '${who.id}', '5 minutes', '${org.id}') as t`));
  const now = totp(who.secret);
  const answers = await Promise.all(challenges.map((c) => call('auth_mfa_verify', { challenge: c, code: now })));
  assert.equal(answers.filter((a) => a.status === 200).length, 1);
  assert.deepEqual([...new Set(answers.filter((a) => a.status !== 200).map((a) => a.status))].every((s) => [401, 429].includes(s)), true);
});

test('P60: of 16 simultaneous presenters of a backup code, and of a challenge, one signs in', async () => {
  const who = await enrolled('tri', 'viewer');
  const challenges = [];
  for (let i = 0; i < 16; i++) challenges.push(one(`select lab_private.one_time_token_make('mfa_challenge', '${who.id}', '5 minutes', '${org.id}') as t`));
  const answers = await Promise.all(challenges.map((c) => call('auth_mfa_verify', { challenge: c, code: who.backup[1] })));
  assert.equal(answers.filter((a) => a.status === 200).length, 1);
  const c = await challenge(who);
  const same = await Promise.all(who.backup.slice(2, 6).map((b) => call('auth_mfa_verify', { challenge: c, code: b })));
  assert.equal(same.filter((a) => a.status === 200).length, 1);
});

test('P29, P57: nothing a request asks for takes a use or a failure back', async () => {
  const who = await enrolled('und', 'viewer');
  const failures = () => one(`select g.used from lab_private.mfa_factors f join lab_private.use_guard g on g.id = f.guard_id where f.user_id = '${who.id}'`);
  const c = await challenge(who);
  const before = failures();
  for (const trick of ['select=pgrst_scalar::int', 'select=pgrst_scalar:pgrst_scalar->>access_token::int', 'pgrst_scalar->>code=is.null', 'order=pgrst_scalar']) {
    const answer = await request(null, 'POST', `/rpc/auth_mfa_verify?${trick}`, { challenge: c, code: totp(who.secret) });
    assert.equal(code(answer), 'partial_answer', trick);
  }
  for (const name of ['auth_mfa_setup', 'auth_mfa_confirm', 'auth_mfa_disable', 'auth_mfa_backup_codes']) {
    const body = { auth_mfa_setup: {}, auth_mfa_confirm: { code: '1' }, auth_mfa_disable: { password: first, code: '1' }, auth_mfa_backup_codes: { password: first, code: '1' } }[name];
    assert.equal(code(await request(who.token, 'POST', `/rpc/${name}?select=pgrst_scalar::int`, body)), 'partial_answer', name);
  }
  const undone = await request(null, 'POST', '/rpc/auth_mfa_verify', { challenge: c, code: wrong(who.secret) }, { Prefer: 'tx=rollback' });
  assert.equal(undone.status, 401);
  assert.equal(failures(), before + 1);
  const used = await request(null, 'POST', '/rpc/auth_mfa_verify', { challenge: c, code: totp(who.secret) }, { Prefer: 'tx=rollback' });
  assert.equal(used.status, 200);
  assert.equal(code(await call('auth_mfa_verify', { challenge: await challenge(who), code: totp(who.secret) })), 'invalid_code', 'the step is used');
});

test('P53: guesses end the challenge, then lock codes of the app; the password does not help', async () => {
  const who = await enrolled('gue', 'viewer');
  const statuses = [];
  for (let i = 0; i < 2; i++) {
    const c = await challenge(who);
    for (let j = 0; j < 6; j++) statuses.push(code(await call('auth_mfa_verify', { challenge: c, code: wrong(who.secret) })));
  }
  assert.deepEqual(statuses, [...Array(5).fill('invalid_code'), 'invalid_challenge', ...Array(5).fill('invalid_code'), 'invalid_challenge']);
  const locked = await call('auth_mfa_verify', { challenge: await challenge(who), code: totp(who.secret) });
  assert.deepEqual([locked.status, code(locked)], [429, 'too_many_attempts']);
  assert.equal((await call('auth_mfa_verify', { challenge: await challenge(who), code: who.backup[9] })).status, 200, 'a backup code');
  assert.equal((await call('user_unlock', { id: who.id }, org.token)).status, 200);
  assert.equal((await call('auth_mfa_verify', { challenge: await challenge(who), code: totp(who.secret) })).status, 200);
  assert.equal(one(`select count(*)::int from lab_data.access_logs where user_id = '${who.id}' and event = 'mfa_lockout'`), 1);
});

test('a challenge is not a session, nor any other token a challenge', async () => {
  const who = await enrolled('cha', 'viewer');
  const c = await challenge(who);
  assert.equal((await call('auth_me', {}, c)).status, 401);
  assert.equal((await call('auth_refresh', { refresh_token: c })).status, 401);
  const other = await enrolled('oth', 'viewer');
  assert.equal(code(await call('auth_mfa_verify', { challenge: c, code: totp(other.secret) })), 'invalid_code', "another's code");
  assert.equal(code(await call('auth_mfa_verify', { challenge: randomUUID(), code: totp(who.secret) })), 'invalid_challenge');
  assert.equal((await request(null, 'GET', `/rpc/auth_mfa_verify?challenge=${c}&code=123456`)).status, 405);
  const oauth = await call('auth_token', { grant_type: 'password', username: who.name, password: first });
  assert.deepEqual([oauth.status, oauth.json.error], [400, 'mfa_required']);
  const viaOauth = await call('auth_mfa_verify', { challenge: oauth.json.mfa_token, code: totp(who.secret) });
  assert.equal(viaOauth.status, 200, viaOauth.text);
  assert.equal((await call('auth_token', { grant_type: 'password', username: who.name, password: 'wrong' })).json.error, 'invalid_grant');
});

test('P52: a wrong password answers the same with a second factor', async () => {
  const who = await enrolled('sam', 'viewer');
  const shape = async (name) => { const a = await login(name, 'wrong'); return JSON.stringify([a.status, [...a.headers].filter(([k]) => k !== 'date'), a.text]); };
  assert.equal(await shape(who.name), await shape(`nobody-${tag}`));
});

test('P50: disabling asks for both factors; an administrator resets whom they outrank', async () => {
  const who = await enrolled('los', 'viewer');
  const session = (await call('auth_mfa_verify', { challenge: await challenge(who), code: totp(who.secret) })).json.access_token;
  rewind(who.id);
  assert.equal(code(await call('auth_mfa_disable', { password: 'wrong', code: totp(who.secret) }, session)), 'wrong_password');
  assert.equal(code(await call('auth_mfa_disable', { password: first, code: wrong(who.secret) }, session)), 'wrong_code');
  assert.equal(code(await call('user_mfa_reset', { user_id: who.id }, session)), 'permission_denied');
  assert.equal((await call('user_mfa_reset', { user_id: who.id })).status, 401);
  const c = await challenge(who);
  const reset = await call('user_mfa_reset', { user_id: who.id }, org.token);
  assert.equal(reset.status, 200, reset.text);
  assert.equal((await call('auth_me', {}, session)).status, 401, 'P26: its sessions have ended');
  assert.equal(code(await call('auth_mfa_verify', { challenge: c, code: who.backup[3] })), 'invalid_challenge');
  assert.equal((await login(who.name)).json.aal, 1);
});

test('P54: ten thousand guesses would not keep a known device out', async () => {
  const who = await person('vip', 'viewer');
  const device = (await login(who.name)).json.device_token;
  await Promise.all(Array.from({ length: 25 }, () => login(who.name, 'wrong')));
  assert.equal((await login(who.name)).status, 401, 'locked for strangers');
  const known = await login(who.name, first, { device_token: device });
  assert.equal(known.status, 200, known.text);
  assert.equal(known.json.device_token, device);
  assert.equal((await login(who.name)).status, 401, 'still locked for strangers');
  const devices = (await call('auth_devices', {}, known.json.access_token)).json;
  assert.equal(devices.filter((d) => d.is_current).length, 1);
  assert.equal((await call('auth_device_forget', { id: devices.find((d) => d.is_current).id }, known.json.access_token)).status, 200);
  assert.equal((await login(who.name, first, { device_token: device })).status, 401);
});

test('an organisation that requires a second factor gets one', async () => {
  const who = await person('req', 'scientist');
  await must(org.token, 'PATCH', `/organizations?id=eq.${org.id}`, { settings: { require_mfa: true } });
  const { json } = await login(who.name);
  assert.deepEqual([json.restricted, json.permissions], ['mfa_setup_required', []]);
  assert.equal((await request(json.access_token, 'POST', '/samples', { name: 'x' })).status, 403);
  const { json: setup } = await call('auth_mfa_setup', {}, json.access_token);
  const confirmed = await call('auth_mfa_confirm', { code: totp(setup.secret) }, json.access_token);
  assert.equal(confirmed.status, 200, confirmed.text);
  assert.deepEqual([confirmed.json.tokens.aal, confirmed.json.tokens.restricted], [2, undefined]);
  assert.equal((await request(confirmed.json.tokens.access_token, 'GET', '/samples')).status, 200);
  assert.equal((await call('auth_me', {}, json.access_token)).status, 401);
  await must(org.token, 'PATCH', `/organizations?id=eq.${org.id}`, { settings: {} });
});

test('hostile arguments are refused well', async () => {
  const who = await person('hos', 'viewer');
  for (const nasty of ["' or 1=1 --", 'x'.repeat(1_000_000), '\ud83d\ude00', '', ' ', '123456\n', '１２３４５６', '123456 ', '-12345', '1e5   ', 'null', '%00']) {
    for (const [name, body, token] of [['auth_mfa_verify', { challenge: nasty, code: nasty }], ['auth_mfa_verify', { challenge: 'A'.repeat(43), code: nasty, device_token: nasty }],
      ['auth_mfa_confirm', { code: nasty }, who.token], ['auth_mfa_disable', { password: nasty, code: nasty }, who.token], ['auth_device_forget', { id: nasty.slice(0, 100) }, who.token],
      ['auth_login', { login: who.name, password: 'x', device_token: nasty }]]) {
      const answer = await call(name, body, token);
      assert.ok(answer.status >= 400 && answer.status < 500, `${name} ${nasty.slice(0, 20)}: ${answer.status} ${answer.text.slice(0, 200)}`);
    }
  }
  assert.ok(url);
});

test('another address asks for the second factor, too; P61: so does signing in after a new password by mail', async () => {
  const who = await enrolled('eml', 'scientist');
  const half = await challenge(who);
  const token = (await call('auth_mfa_verify', { challenge: half, code: totp(who.secret) })).json.access_token;
  rewind(who.id);
  const change = (more) => call('auth_email_change', { password: first, new_email: `eml2@mfa-${tag}.test`, ...more }, token);
  const without = await change({});
  assert.deepEqual([without.status, code(without)], [400, 'missing_argument']);
  const bad = await change({ code: wrong(who.secret) });
  assert.deepEqual([bad.status, code(bad)], [403, 'wrong_code']);
  assert.equal((await change({ code: who.backup[0] })).status, 202);
  const used = await change({ code: who.backup[0] });
  assert.deepEqual([used.status, code(used)], [403, 'wrong_code'], 'a backup code is used once');
  const reset = one(`select lab_private.one_time_token_make('password_reset', u.id, '10 min', null, u.email::text) as token from lab_data.users u where u.id = '${who.id}'`);
  assert.equal((await call('auth_password_reset', { token: reset, new: 'Better-Horse-8' })).status, 200);
  const again = await login(who.name, 'Better-Horse-8');
  assert.deepEqual([again.status, again.json.mfa_required, 'access_token' in again.json], [200, true, false]);
});
