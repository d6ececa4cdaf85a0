// Too many at once, over HTTP: a server of its own with low limits, behind one trusted proxy.
// Numbers like P54 are those of the identity checklist.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before } from 'node:test';

const password = 'Correct-Horse-7';
const state = mkdtempSync(join(tmpdir(), 'labos-throttle-'));
const settings = ["labos.hash_slots = 1", "labos.hash_queue = 0", "labos.login_failures_per_address = 4", "labos.rate_limit_auth = '0.05/s:12'",
  "labos.rate_limit_user = '0.05/s:8'", "labos.rate_limit_address = '0.05/s:9'"].join('; ');
let env;

function server(command) {
  return execFileSync('bin/server', [command], { cwd: new URL('../..', import.meta.url),
    env: { ...process.env, LABOS_STATE: state, LABOS_SETTINGS: settings }, stdio: ['ignore', 'ignore', 'pipe'] });
}
function sql(text) {
  return execFileSync(`${env.LABOS_BIN}/psql`, ['-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', text], { encoding: 'utf8', env: { ...process.env, ...env } }).trim();
}
async function request(method, path, { from, token, body } = {}) {
  const answer = await fetch(env.LABOS_URL + path, {
    method,
    headers: { ...(body ? { 'content-type': 'application/json' } : {}), ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...(from ? { 'x-forwarded-for': from } : {}) },
    body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  let json = null;
  try { json = JSON.parse(text); } catch { /* not JSON */ }
  let code = json?.code;
  try { code = JSON.parse(json.details).code; } catch { /* answered, not raised */ }
  return { status: answer.status, headers: answer.headers, text, json, code };
}
const login = (from, who, secret = password) => request('POST', '/rpc/auth_login', { from, body: { login: who, password: secret } });
const failures = (who) => Number(sql(`select g.failed from lab_private.login_guard g join lab_data.users u on u.id = g.user_id where u.username = '${who}'`));
// A refusal for now: the status, when to come again, the same body as any other error.
function refused(answer, code) {
  assert.equal(answer.status, 429, answer.text);
  assert.equal(answer.code, code);
  assert.equal(answer.json.code, 'PT429');
  const { retry_after: wait } = JSON.parse(answer.json.details);
  assert.ok(wait >= 1, answer.text);
  assert.equal(answer.headers.get('retry-after'), String(wait));
  assert.equal(answer.headers.get('cache-control'), 'no-store');
}

before(() => {
  server('up');
  const lines = execFileSync('bash', ['-c', '. "$1" && env', 'bash', join(state, 'env')], { encoding: 'utf8' }).split('\n');
  env = Object.fromEntries(lines.filter((l) => /^(PG|LABOS_)/.test(l)).map((l) => [l.slice(0, l.indexOf('=')), l.slice(l.indexOf('=') + 1)]));
  sql(`update lab_private.identity_settings set trusted_proxies = 1;
       insert into lab_data.users (email, username, is_verified) select n || '@throttle.test', n, true from unnest('{thea,otto,rita}'::text[]) n;
       insert into lab_data.memberships (org_id, user_id, is_default) select (select min(id::text)::uuid from lab_data.organizations), u.id, true
         from lab_data.users u where u.email like '%@throttle.test';
       select lab_private.password_set(u.id, '${password}', u.email::text, u.username::text) from lab_data.users u where u.email like '%@throttle.test'`);
});
after(() => { server('down'); });

test('P54: an address with too many failures is refused before any account is charged', async () => {
  for (const who of ['nobody', 'thea', 'nobody', 'thea']) assert.equal((await login('198.51.100.1', who, 'wrong')).code, 'invalid_credentials');
  assert.equal(failures('thea'), 2);
  refused(await login('198.51.100.1', 'thea', 'wrong'), 'too_many_attempts');
  refused(await login('198.51.100.1', 'thea'), 'too_many_attempts');
  const form = await request('POST', '/rpc/auth_token', { from: '198.51.100.1', body: { grant_type: 'password', username: 'thea', password } });
  refused(form, 'too_many_attempts');
  assert.equal(failures('thea'), 2);
  // P55 What stands left of the proxy's entry is the client's own invention.
  refused(await login('203.0.113.77, 198.51.100.1', 'thea'), 'too_many_attempts');
  // The owner, elsewhere, is not concerned.
  assert.equal((await login('198.51.100.2', 'thea')).status, 200);
  assert.equal(failures('thea'), 0);
});

test('P55: entries that are no address count together, and are not recorded as one', async () => {
  for (const from of ['198.51.100.0/24', 'unknown', '', '198.51.100.9.1']) assert.equal((await login(from, 'nobody', 'wrong')).code, 'invalid_credentials');
  refused(await login('localhost', 'otto'), 'too_many_attempts');
  assert.equal(sql("select count(*) from lab_data.access_logs where masklen(ip) not in (32, 128)"), '0');
});

test('a busy server refuses at once and records nothing', async () => {
  const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => login(`198.51.101.${i}`, `nobody-${i}`, 'wrong')));
  const busy = answers.filter((a) => a.status === 429);
  assert.ok(busy.length >= 1, answers.map((a) => a.status).join());
  for (const answer of busy) refused(answer, 'busy');
  assert.equal(sql("select count(*) from lab_data.access_logs where event = 'login' and host(ip) like '198.51.101.%'"), String(answers.length - busy.length));
  assert.equal(sql('select hash_slots_used, hash_waiting from labos.throttle_state()'), '0|0');
});

test('requests without a token are limited by address, and GETs count', async () => {
  for (let i = 0; i < 9; i++) assert.equal((await request('GET', '/rpc/auth_sessions', { from: '198.51.102.1' })).status, 401);
  const answer = await request('GET', '/rpc/auth_sessions', { from: '198.51.102.1' });
  refused(answer, 'rate_limited');
  assert.equal(JSON.parse(answer.json.details).limit, 'address');
  assert.match(answer.headers.get('ratelimit-policy'), /^"address";q=9;w=\d+$/);
  assert.match(answer.headers.get('ratelimit'), /^"address";r=0;t=\d+$/);
  assert.equal((await request('GET', '/rpc/auth_sessions', { from: '198.51.102.2' })).status, 401);
});

test('who is signed in counts by user, wherever from', async () => {
  const { json: { access_token: token } } = await login('198.51.103.1', 'rita');
  const answers = [];
  for (let i = 0; i < 10; i++) answers.push(await request('GET', '/samples?limit=1', { from: `198.51.103.${i}`, token }));
  assert.deepEqual(answers.slice(0, 8).map((a) => a.status), Array(8).fill(200));
  refused(answers[9], 'rate_limited');
  assert.equal(JSON.parse(answers[9].json.details).limit, 'user');
  // Another user is not concerned.
  const other = await login('198.51.103.50', 'thea');
  assert.equal((await request('GET', '/samples?limit=1', { token: other.json.access_token, from: '198.51.103.1' })).status, 200);
});

test('refusals are in the access log, once a minute with their number', async () => {
  const { json: { access_token: token } } = await login('198.51.104.1', 'thea');
  for (let i = 0; i < 4; i++) {
    const answer = await request('POST', '/rpc/project_create', { token, from: '198.51.104.1', body: { name: `p${i}`, code: `P${i}` } });
    if (answer.status !== 403) await request('POST', '/rpc/role_create', { token, from: '198.51.104.1', body: { name: `r${i}` } });
  }
  const rows = JSON.parse(sql(`select labos.access_events_flush(); select coalesce(json_agg(json_build_object('user', u.username, 'ip', host(l.ip), 'count', (l.detail ->> 'count')::int)), '[]')
    from lab_data.access_logs l join lab_data.users u on u.id = l.user_id where l.event = 'permission_denied' and u.username = 'thea'`).split('\n').at(-1));
  assert.ok(rows.length >= 1, 'no row');
  assert.equal(rows[0].ip, '198.51.104.1');
});
