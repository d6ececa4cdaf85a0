// Rules that hold over every table of the API, found in the catalog: the optimistic lock, the limit of rows, and that
// what is deleted is gone from every list. A new table is tried without being named here.
import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import test, { before } from 'node:test';
import { organisation, request, sql } from './lib.mjs';
import { fill } from './fill.mjs';

let org, updatable, deletable;
const code = (answer) => { try { return JSON.parse(answer.json.details).code; } catch { return answer.json?.code; } };
const detail = (answer) => JSON.parse(answer.json.details);

before(async () => {
  org = await organisation(`rules-${randomUUID().slice(0, 6)}`);
  await fill(org);
  // Views with a version that a client may change, with a column to change that is not the version.
  updatable = sql(`select c.relname as name, array_agg(a.attname order by a.attnum) filter (where a.attname <> 'version') as columns
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and has_column_privilege('lab_user', c.oid, a.attnum, 'UPDATE')
    where c.relnamespace = 'lab'::regnamespace and c.relkind = 'v'
      and exists (select from pg_attribute v where v.attrelid = c.oid and v.attname = 'version') group by 1 order by 1`);
  deletable = sql(`select c.relname as name from pg_class c where c.relnamespace = 'lab'::regnamespace and c.relkind = 'v' and has_table_privilege('lab_user', c.oid, 'DELETE') order by 1`).map((r) => r.name);
});

test('optimistic lock: every table that can be changed refuses a stale version, in the body or as If-Match', async (t) => {
  let changed = 0;
  assert.ok(updatable.length >= 10, JSON.stringify(updatable));
  for (const { name, columns } of updatable) {
    await t.test(name, async () => {
      const rows = await org.admin.must('GET', `/${name}?order=${columns.includes('name') ? 'name' : 'version'}&limit=50`);
      if (rows.length === 0) return assert.fail(`no row of ${name}: add one to test/http/fill.mjs`);
      const [row] = rows;
      const path = `/${name}?id=eq.${row.id}`;
      const column = ['name', 'title', 'notes', 'description', 'preferences', ...columns].find((c) => columns.includes(c) && row[c] !== undefined);
      const body = { [column]: row[column] };
      const version = async () => (await org.admin.must('GET', `${path}&select=version`))[0].version;
      const at = await version();
      const patch = (more = {}, headers = {}) => org.admin.request('PATCH', path, { ...body, ...more }, headers);
      for (const [what, answer] of [['If-Match "0"', await patch({}, { 'If-Match': '"0"' })], ['If-Match a later one', await patch({}, { 'If-Match': `"${at + 7}"` })],
        ['version in the body', await patch({ version: at + 7 })]]) {
        assert.equal(answer.status, 412, `${what}: ${answer.status} ${answer.text}`);
        assert.equal(code(answer), 'stale_version', what);
        assert.equal(detail(answer).current_version, at, what);
        assert.equal(await version(), at, what);
      }
      // Rules of state may still refuse (an approved record); the lock must not.
      for (const [what, headers, more] of [['no version'], ['If-Match *', { 'If-Match': '*' }], ['If-Match the current one', { 'If-Match': null }], ['version in the body', {}, null]]) {
        const now = await version();
        const answer = await patch(more === null ? { version: now } : {}, headers?.['If-Match'] === null ? { 'If-Match': `"${now}"` } : headers);
        assert.notEqual(answer.status, 412, `${what}: ${answer.text}`);
        assert.ok(answer.status === 204 || [400, 403, 409, 422].includes(answer.status), `${what}: ${answer.status} ${answer.text}`);
        if (answer.status === 204) {
          changed += 1;
          assert.equal(await version(), now + 1, what);
        }
      }
    });
  }
  assert.ok(changed >= 4 * 8, `${changed} changes went through`);
});

test('a PATCH or DELETE of more rows than meant changes none, in every table', async (t) => {
  for (const { name, columns } of updatable) {
    await t.test(`PATCH /${name}`, async () => {
      const [row] = await org.admin.must('GET', `/${name}?limit=1`);
      const column = ['name', 'title', 'notes', 'description', ...columns].find((c) => columns.includes(c) && row[c] !== undefined);
      const answer = await org.admin.request('PATCH', `/${name}?id=eq.${row.id}`, { [column]: row[column] }, { Prefer: 'max-affected=0' });
      assert.deepEqual([answer.status, code(answer)], [400, 'too_many_rows'], answer.text);
      assert.deepEqual((await org.admin.must('GET', `/${name}?id=eq.${row.id}`))[0], row);
    });
  }
  for (const name of deletable) {
    await t.test(`DELETE /${name}`, async () => {
      const rows = await org.admin.must('GET', `/${name}`);
      if (rows.length === 0) return;
      const answer = await org.admin.request('DELETE', `/${name}`, undefined, { Prefer: 'max-affected=0' });
      assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status} ${answer.text}`);
      assert.deepEqual(await org.admin.must('GET', `/${name}`), rows);
    });
  }
});

test('P40: whether a role exists is not told by the refusal of a forged token', async () => {
  const part = (x) => Buffer.from(JSON.stringify(x)).toString('base64url');
  const { privateKey } = generateKeyPairSync('ed25519');
  const [{ kid }] = (await request(null, 'GET', '/rpc/jwks')).json.keys;
  const forged = (role, alg) => {
    const input = `${part({ alg, kid, typ: 'at+jwt' })}.${part({ sub: randomUUID(), sid: randomUUID(), org_id: org.id, aud: 'labos', iss: 'labos', exp: 4102444800, ...(role === undefined ? {} : { role }) })}`;
    const signature = alg === 'EdDSA' ? sign(null, Buffer.from(input), privateKey) : createHmac('sha256', kid).update(input).digest();
    return `${input}.${signature.toString('base64url')}`;
  };
  for (const alg of ['EdDSA', 'HS256']) {
    const answers = new Set();
    for (const role of ['lab_user', 'lab_owner', 'postgres', 'none', 'no_such_role_at_all', '', undefined]) {
      for (const path of ['/samples', '/rpc/auth_me']) {
        const answer = await request(forged(role, alg), 'GET', path);
        assert.equal(answer.status, 401, `${role}: ${answer.text}`);
        answers.add(answer.text + answer.headers.get('www-authenticate'));
      }
    }
    assert.equal(answers.size, 1, [...answers].join('\n'));
  }
});
