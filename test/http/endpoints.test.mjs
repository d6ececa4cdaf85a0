// Every row of endpoints.mjs, called in its four ways: rightful, without permission, from another organisation, anonymous.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import test, { before } from 'node:test';
import { givePassword, installationAdmin, must, request, sql } from './lib.mjs';
import { endpoints } from './endpoints.mjs';

const tag = `e${Date.now().toString(36)}`;
const password = 'Correct-Horse-7';
const ways = ['right', 'without', 'other', 'anonymous'];
const here = {}, there = {};
let n = 0, exists;

async function organization(place, name) {
  const root = await installationAdmin();
  const made = await must(root, 'POST', '/rpc/organization_create',
    { name: `${name} ${tag}`, admin_email: `${name}@${tag}.example`, admin_username: `${name}-${tag}` });
  givePassword(`${name}-${tag}`, password);
  Object.assign(place, { org: made.id, slug: made.slug, token: (await must(null, 'POST', '/rpc/auth_login', { login: `${name}-${tag}`, password })).access_token });
}
async function person(place, ...roles) {
  const name = `p${++n}-${tag}`;
  const { id } = await must(place.token, 'POST', '/rpc/user_create', { email: `${name}@${tag}.example`, username: name, full_name: name, roles });
  givePassword(name, password);
  const signed = await must(null, 'POST', '/rpc/auth_login', { login: name, password });
  return { id, login: name, email: `${name}@${tag}.example`, token: signed.access_token, refresh: signed.refresh_token, session: signed.session_id };
}

before(async () => {
  await organization(here, 'first');
  await organization(there, 'second');
  exists = new Set(sql("select proname as name from pg_proc where pronamespace = 'lab'::regnamespace union select relname from pg_class where relnamespace = 'lab'::regnamespace").map((r) => r.name));
});

// RFC 6238
function totp(secret) {
  const bits = [...secret.replace(/=+$/, '')].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000)));
  const mac = createHmac('sha1', key).update(counter).digest();
  return String((mac.readUInt32BE(mac[19] & 15) & 0x7fffffff) % 1000000).padStart(6, '0');
}
const oneTime = (purpose, id) => sql(`select lab_private.one_time_token_make('${purpose}', '${id}', interval '10 minutes', null,
  (select u.email from lab_data.users u where u.id = '${id}')) as token`)[0].token;
// What has to be before the call, by the actor.
const preparations = {
  async mfa_setup(actor) {
    const { secret } = await must(actor.token, 'POST', '/rpc/auth_mfa_setup', {});
    return { code: totp(secret) };
  },
  async mfa_on(actor) {
    const { code } = await preparations.mfa_setup(actor);
    const on = await must(actor.token, 'POST', '/rpc/auth_mfa_confirm', { code });
    return { backup: on.backup_codes[0] };
  },
  async half(actor) {
    const { backup } = await preparations.mfa_on(actor);
    return { backup, challenge: (await must(null, 'POST', '/rpc/auth_login', { login: actor.login, password })).challenge };
  },
};

// The words of one call. What belongs to the first organisation is made anew where the call would change it.
async function words(row, way, actor) {
  const text = JSON.stringify([row.ours, row.body, row.extra]);
  const wants = (word) => text.includes(`$${word}`);
  const found = { org: here.org, password, new: `n${++n}-${tag}`, login: actor.login, email: actor.email, refresh: actor.refresh ?? 'nobodys', code: '000000', backup: 'AAAA-AAAA', challenge: 'guessed' };
  // A session to end: the rightful one's own, and somebody else's for the others.
  if (wants('session')) found.session = way === 'right' ? actor.session : (await person(here, 'viewer')).session;
  if (wants('user')) {
    const target = await person(here, 'viewer');
    found.user = target.id;
  }
  if (wants('deleted')) {
    found.deleted = (await person(here, 'viewer')).id;
    await must(here.token, 'POST', '/rpc/user_delete', { id: found.deleted });
  }
  if (wants('role')) {
    found.role = `r${++n}-${tag}`;
    await must(here.token, 'POST', '/rpc/role_create', { name: found.role, permissions: ['user:read'] });
    found.role_id = sql(`select id from lab_data.roles where name = '${found.role}'`)[0].id;
  }
  for (const purpose of ['password_reset', 'email_verification']) if (wants(purpose)) found[purpose] = oneTime(purpose, actor.id ?? (await person(here)).id);
  if (wants('wrong_purpose')) found.wrong_purpose = oneTime('invitation', (await person(here)).id);
  const prepare = row.extra.prepare?.[way];
  if (prepare) Object.assign(found, await preparations[prepare](actor));
  return found;
}
const fill = (template, found) => template.replace(/\$([a-z_]+)/g, (all, word) => found[word] ?? all);

for (const row of endpoints) {
  test(`${row.original} → ${row.ours}`, async (t) => {
    const name = row.ours.match(/\/(?:rpc\/)?(\w+)/)[1];
    if (!exists.has(name)) return t.skip(`${name} does not exist yet`);
    for (const way of ways) {
      await t.test(way, async () => {
        const actor = way === 'right' ? await person(here, ...(row.role === 'nobody' ? [] : [row.role]))
          : way === 'without' ? await person(here) : way === 'other' ? await person(there, 'admin') : {};
        if (way === 'anonymous') Object.assign(actor, { login: (await person(here, 'viewer')).login, email: 'nobody@lab.example' });
        const found = await words(row, way, actor);
        const [method, path] = row.ours.split(' ');
        const body = row.body && JSON.parse(fill(JSON.stringify({ ...row.body, ...row.extra[way] }), found));
        // Signing in is done without a token in every way; who calls is in the body.
        const token = /auth_(login|token|mfa_verify)$/.test(path) ? null : actor.token;
        const answer = await request(token, method, fill(path, found), body ?? undefined);
        const wanted = String(row.expected[way]);
        assert.equal(answer.status, Number(wanted.slice(0, 3)), `${way}: ${answer.text.slice(0, 400)}`);
        if (wanted.endsWith('[]')) assert.deepEqual(answer.json, [], way);
        else if (wanted === '200' && way === 'right' && method === 'GET' && Array.isArray(answer.json)) assert.ok(answer.json.length > 0, 'the rightful one sees it');
        // Nothing of the first organisation reaches the other, but what they named themselves.
        if (way === 'other' && answer.status < 300 && !row.body) for (const secret of [here.org, here.slug, found.user, found.role_id].filter(Boolean)) assert.ok(!answer.text.includes(secret), `shows ${secret}`);
      });
    }
  });
}

test('the table has the fifteen and the ten', () => {
  assert.equal(endpoints.filter((e) => e.group === 'auth').length, 15);
  assert.equal(endpoints.filter((e) => e.group === 'rbac').length, 10);
});
