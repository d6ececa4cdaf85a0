// Webhooks over HTTP: who sets them up, and what is told when something happens there.
// Numbers like P64 are those of the identity checklist.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import test, { before } from 'node:test';
import { organisation, request, sql } from './lib.mjs';

const run = randomUUID().slice(0, 6);
const code = (answer) => { try { return JSON.parse(answer.json.details).code; } catch { return answer.json?.code; } };
let org, other;
before(async () => {
  org = await organisation(`hook-${run}`);
  other = await organisation(`hook2-${run}`);
});
const make = (name = randomUUID()) => org.admin.must('POST', '/rpc/webhook_create', { name, url: 'https://hook.example/x', events: ['user.created'] });

test('each call as its rightful caller, without the permission, from another organisation, anonymously', async () => {
  const { id } = await make('four ways');
  for (const [name, body, right, foreign] of [
    ['webhook_create', { name: 'a', url: 'https://hook.example/', events: ['user.created'] }, 200, 200],
    ['webhook_update', { id, name: 'b' }, 200, 404],
    ['webhook_rotate_secret', { id }, 200, 404],
    ['webhook_test', { id }, 202, 404],
    ['webhook_delete', { id }, 200, 404],
  ]) {
    const path = `/rpc/${name}`;
    assert.equal((await request(null, 'POST', path, body)).status, 401, `${name}, anonymous`);
    for (const who of [org.nobody, org.manager]) assert.equal((await who.request('POST', path, body)).status, 403, `${name}, without`);
    const theirs = await other.admin.request('POST', path, body);
    assert.equal(theirs.status, foreign, `${name}, another organisation: ${theirs.text}`);
    assert.equal((await org.admin.request('GET', `${path}?${new URLSearchParams(Object.entries(body).map(([k, v]) => [k, Array.isArray(v) ? `{${v}}` : v]))}`)).status, 405, `${name} by GET`);
    const ours = await org.admin.request('POST', path, body);
    assert.equal(ours.status, right, `${name}: ${ours.text}`);
    if ('secret' in ours.json) assert.equal(ours.headers.get('cache-control'), 'no-store');
  }
  const { id: kept } = await make();
  assert.deepEqual(await org.manager.must('GET', '/webhooks'), []);
  assert.equal((await request(null, 'GET', '/webhooks')).status, 401);
  assert.ok((await org.admin.must('GET', '/webhooks')).some((w) => w.id === kept));
  assert.ok(!(await other.admin.must('GET', '/webhooks')).some((w) => w.org_id === org.id || w.id === kept));
  for (const [method, body] of [['POST', { name: 'p', url: 'https://x.example/', events: ['user.created'] }], ['PATCH', { url: 'https://x.example/' }], ['DELETE']]) {
    assert.ok([403, 404, 405].includes((await org.admin.request(method, `/webhooks${method === 'POST' ? '' : `?id=eq.${kept}`}`, body)).status), method);
  }
});

test('P64: an API key sets up none', async () => {
  const { key } = await org.admin.must('POST', '/rpc/api_key_create', { name: 'hooks', scopes: ['*:*'] });
  const { access_token } = (await request(null, 'POST', '/rpc/auth_api_key', { key })).json;
  const { id } = await make();
  for (const [name, body] of [['webhook_create', { name: 'k', url: 'https://hook.example/', events: ['user.created'] }], ['webhook_update', { id, url: 'https://evil.example/' }], ['webhook_rotate_secret', { id }], ['webhook_test', { id }], ['webhook_delete', { id }]]) {
    const answer = await request(access_token, 'POST', `/rpc/${name}`, body);
    assert.deepEqual([answer.status, code(answer)], [403, 'interactive_session_required'], name);
  }
});

test('the secret is shown whole and once', async () => {
  for (const query of ['?select=pgrst_scalar::int']) {
    const answer = await org.admin.request('POST', `/rpc/webhook_create${query}`, { name: randomUUID(), url: 'https://hook.example/', events: ['user.created'] });
    assert.deepEqual([answer.status, code(answer)], [400, 'partial_answer'], query);
  }
  const made = await make();
  assert.match(made.secret, /^whsec_[A-Za-z0-9_-]{43}$/);
  assert.ok(!JSON.stringify(await org.admin.must('GET', '/webhooks')).includes(made.secret));
  assert.ok(!JSON.stringify(await org.admin.must('POST', '/rpc/webhook_update', { id: made.id, is_enabled: true })).includes('whsec_'));
  const stale = await org.admin.request('POST', '/rpc/webhook_update', { id: made.id, name: randomUUID(), version: made.version + 7 });
  assert.deepEqual([stale.status, code(stale)], [412, 'stale_version']);
});

test('what happens there is told, and only there', async () => {
  for (const w of await org.admin.must('GET', '/webhooks')) await org.admin.must('POST', '/rpc/webhook_delete', { id: w.id });
  const { id: hook } = await org.admin.must('POST', '/rpc/webhook_create', { name: 'all', url: 'https://hook.example/x', events: ['user.created', 'user.locked', 'role.assigned', 'user.deactivated', 'api_key.revoked'] });
  const added = await org.admin.must('POST', '/rpc/user_create', { email: `told@${run}.example`, username: `told-${run}`, roles: [] });
  await org.admin.must('POST', '/rpc/role_assign', { user_id: added.id, role: 'viewer' });
  await other.admin.must('POST', '/rpc/user_create', { email: `untold@${run}.example`, username: `untold-${run}`, roles: [] });
  sql(`select lab_private.password_set('${added.id}', 'Isolation-2026', 'x@y.example', 'x')`);
  for (let i = 0; i < 5; i++) await request(null, 'POST', '/rpc/auth_login', { login: `told-${run}`, password: 'Wrong-Horse-7' });
  await org.admin.must('POST', '/rpc/user_deactivate', { id: added.id });
  const waiting = sql(`select o.template, o.org_id, convert_from(labos.secret_open(o.sealed_payload, 'outbox/' || o.id), 'UTF8')::jsonb as payload from lab_private.outbox o where o.recipient = '${hook}' order by o.id`);
  assert.deepEqual(waiting.map((w) => w.payload.event.event), ['user.created', 'role.assigned', 'user.locked', 'user.deactivated']);
  for (const { org_id, payload } of waiting) {
    assert.equal(org_id, org.id);
    assert.equal(payload.event.data.user_id, added.id);
    assert.doesNotMatch(JSON.stringify(payload), /told|example|whsec/);
  }
});
