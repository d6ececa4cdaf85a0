// The settings of an organisation: each key that labos reads is checked below every call, changed by an administrator of
// that organisation only, and documented in docs/identity.md.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import test, { before } from 'node:test';
import { organisation, sql } from './lib.mjs';

let org, other;
const representation = { Prefer: 'return=representation' };
const code = (answer) => { try { return JSON.parse(answer.json.details).code; } catch { return answer.json?.code; } };
const patch = (who, settings, id = org.id) => who.request('PATCH', `/organizations?id=eq.${id}`, { settings }, representation);
const keys = {
  access_token_minutes: { good: [1, 60], bad: [0, 61, 1.5, '15', true, null, [], {}, -1, 1e300] },
  refresh_token_days: { good: [1, 90], bad: [0, 91, 0.5, '7', false, null, [1], {}] },
  retention_days: { good: [30, 36500], bad: [29, 36501, 30.5, '365', true, null, [], {}] },
  require_mfa: { good: [true, false], bad: ['true', 1, 0, null, [], {}] },
  allow_sharing: { good: [true, false], bad: ['true', 1, 0, null, [true], {}] },
};

before(async () => {
  const run = randomUUID().slice(0, 6);
  [org, other] = [await organisation(`set-${run}`), await organisation(`sot-${run}`)];
});

test('each key takes its values and refuses all others', async () => {
  for (const [key, { good, bad }] of Object.entries(keys)) {
    for (const value of bad) {
      const answer = await patch(org.admin, { [key]: value });
      assert.deepEqual([key, value, answer.status, code(answer)], [key, value, 422, 'invalid_setting']);
    }
    // require_mfa restricts the sessions that have one factor: it is the last thing that this one does, in another test.
    for (const value of good.filter((v) => !(key === 'require_mfa' && v))) {
      const answer = await patch(org.admin, { [key]: value });
      assert.deepEqual([key, value, answer.status, answer.json?.[0]?.settings], [key, value, 200, { [key]: value }]);
    }
  }
  assert.equal((await patch(org.admin, { theme: 'dark', retention_days: 400 })).status, 200, 'other keys are the application\'s');
  for (const value of [null, [], 'x', 1, true]) assert.ok([400, 422].includes((await patch(org.admin, value)).status), `settings ${JSON.stringify(value)}`);
});

test('nobody but an administrator of the organisation changes them', async () => {
  const before = sql(`select settings from lab_data.organizations where id = '${org.id}'`);
  for (const who of [org.manager, other.admin, other.manager]) {
    for (const key of Object.keys(keys)) {
      const answer = await patch(who, { [key]: keys[key].good[0] });
      assert.ok(answer.status === 403 || (answer.status === 200 && answer.json.length === 0), `${key}: ${answer.status}`);
    }
  }
  assert.deepEqual(sql(`select settings from lab_data.organizations where id = '${org.id}'`), before);
  // Who tries without a filter changes the own organisation only.
  assert.deepEqual((await other.admin.request('PATCH', '/organizations?name=not.is.null', { settings: {} }, representation)).json?.map((o) => o.id), [other.id]);
});

test('the documentation names each key that is checked', () => {
  const checked = sql(`select distinct m[1] as key from pg_proc p, regexp_matches(p.prosrc, '(?:settings -> |values |, )\\(?''([a-z_]+_[a-z_]+)''', 'g') m
    where p.proname = 'tg_organizations__settings' and m[1] not in ('invalid_setting')`).map((r) => r.key);
  const documented = [...readFileSync(new URL('../../docs/identity.md', import.meta.url), 'utf8').matchAll(/^\| `settings\.([a-z_]+)`/gm)].map((m) => m[1]);
  assert.deepEqual(documented.sort(), Object.keys(keys).sort());
  for (const key of Object.keys(keys)) assert.ok(checked.includes(key), `${key} is checked`);
});
