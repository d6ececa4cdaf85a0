// Two organisations with look-alike data. Every table and every call of the API is tried as the other organisation,
// as a member without a role and without a token: nothing leaks, not even existence, and nothing changes.
// The lists come from the catalog and the OpenAPI description: what is added later is tried without being named here.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import test, { before } from 'node:test';
import { Person, organisation, request, sql } from './lib.mjs';
import { fill } from './fill.mjs';

// Tables that no call of the API fills, or only in one's own session.
const mayBeEmpty = new Set(['simulation_fields', 'permissions']);
// What is the same for everybody.
const shared = new Set(['permissions']);
// Calls about oneself: a member without a role may make them.
const aboutOneself = /^auth_(?!invite(_re|$)|cleanup)|^jwks$|^health$|^audit_(history|as_of|diff)$|^simulation_engines$|^user_permissions$|^shares_received$|^my_/;
// Calls that end one's own session or account; tried elsewhere.
const endsMe = new Set(['auth_logout', 'auth_logout_all', 'auth_org_switch', 'auth_register']);

let alpha, beta, api, views, calls, secrets, keys, relations;

// Everything that belongs to an organisation, as text: a change anywhere shows.
const digest = (org) => sql(tables().map((t) => `select '${t}' as name, count(*) as n, coalesce(md5(string_agg(x::text, ',' order by x::text)), '') as sum
  from lab_data.${t} x where x.org_id = '${org.id}'`).join(' union all '));
const tables = () => sql(`select c.relname as name from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'org_id'
  where c.relnamespace = 'lab_data'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
    and c.relname not in ('access_logs', 'user_sessions') order by 1`).map((r) => r.name);

before(async () => {
  // Names of their own, so that the test runs again on the same server.
  const run = randomUUID().slice(0, 6);
  alpha = await organisation(`alpha-${run}`);
  beta = await organisation(`beta-${run}`);
  await fill(alpha);
  await fill(beta);
  api = await beta.admin.must('GET', '/');
  views = Object.keys(api.paths).filter((p) => p !== '/' && !p.startsWith('/rpc/')).map((p) => p.slice(1));
  calls = sql(`select p.proname as name, p.provolatile <> 'v' as reads,
      coalesce((select json_agg(json_build_object('name', p.proargnames[i], 'type', format_type(p.proargtypes[i - 1], null)) order by i)
                from generate_series(1, p.pronargs) i), '[]') as args
    from pg_proc p where p.pronamespace = 'lab'::regnamespace and p.prorettype <> 'trigger'::regtype order by 1`);
  // Every uuid of Alpha's rows that is nobody else's, and the marker.
  const ids = (org) => new Set(tables().flatMap((t) => sql(`select distinct m[1] as id from lab_data.${t} x,
    regexp_matches(to_jsonb(x)::text, '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}', 'g') m where x.org_id = '${org.id}'`).map((r) => r.id)));
  const common = ids(beta);
  for (const { id } of sql('select id from lab_data.roles where org_id is null')) common.add(id);
  secrets = [...ids(alpha)].filter((id) => !common.has(id)).concat(alpha.slug);
  // One row's key per table.
  keys = new Map(sql(`select c.relname as name from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'id'
      where c.relnamespace = 'lab_data'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition`)
    .filter(({ name }) => tables().includes(name))
    .map(({ name }) => [name, sql(`select id from lab_data.${name} where org_id = '${alpha.id}' order by id limit 1`)[0]?.id])
    .filter(([, id]) => id));
  keys.set('users', sql(`select id from lab_data.users where username = '${alpha.slug}-admin'`)[0].id);
  keys.set('organizations', alpha.id);
  relations = sql(`select c.relname as child, f.relname as parent, k.conname as name
    from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_class f on f.oid = k.confrelid
    where k.contype = 'f' and k.conparentid = 0 and c.relnamespace = 'lab_data'::regnamespace order by 1, 3`)
    .filter((r) => views.includes(r.child) && views.includes(r.parent));
});

// The caller may get back what they sent, nothing else of Alpha's.
function clean(answer, what, sent = []) {
  const text = answer.text;
  for (const secret of secrets) {
    if (!sent.some((s) => s.includes(secret))) assert.ok(!text.includes(secret), `${what} shows ${secret}: ${answer.text.slice(0, 400)}`);
  }
}
// What must be equal for a row of Alpha's and for one that does not exist: all but the id itself and what passes with time.
const shape = (answer, id) => JSON.stringify({
  status: answer.status,
  body: answer.text.replaceAll(id, '<id>').replace(/\d{4}-\d\d-\d\d[T ][\d:.+Z-]+/g, '<time>').replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<uuid>')
    .replace(/"(request_id|access_token|refresh_token)": ?"[^"]*"/g, '<changes>'),
  range: answer.headers.get('content-range'),
});
const key = (view) => ('id' in (api.definitions?.[view]?.properties ?? {}) ? 'id' : null);

test('every table that the API shows has rows of both sides', () => {
  const filled = new Set(digest(alpha).filter((r) => Number(r.n) > 0).map((r) => r.name));
  const bare = tables().filter((t) => views.includes(t) && !filled.has(t) && !mayBeEmpty.has(t));
  assert.deepEqual(bare, [], 'add them to test/http/fill.mjs');
});

test('both sides look alike', () => {
  const counts = (org) => digest(org).filter((r) => r.name !== 'audit_log').map((r) => `${r.name} ${r.n}`);
  assert.deepEqual(counts(alpha), counts(beta));
});

test('the other organisation', async (t) => {
  const before = digest(alpha);
  for (const view of views) {
    await t.test(`reads nothing of ${view}`, async () => {
      const all = await beta.admin.request('GET', `/${view}`, undefined, { Prefer: 'count=exact' });
      assert.ok(all.status < 500, `${all.status}: ${all.text}`);
      clean(all, `GET /${view}`);
      const column = key(view);
      const theirs = column && (keys.get(view) ?? alpha.id);
      if (column && !shared.has(view)) {
        const nowhere = randomUUID();
        for (const [method, body, headers] of [
          ['GET', undefined, { Prefer: 'count=exact' }],
          ['HEAD', undefined, { Prefer: 'count=exact' }],
          ['GET', undefined, { Accept: 'application/vnd.pgrst.object+json' }],
          ['GET', undefined, { Accept: 'text/csv' }],
          ['PATCH', { name: 'taken' }, { Prefer: 'return=representation,count=exact' }],
          ['PATCH', { version: 1 }, { Prefer: 'return=representation,count=exact' }],
          ['PATCH', { org_id: beta.id }, {}],
          ['DELETE', undefined, { Prefer: 'return=representation,count=exact' }],
        ]) {
          const path = (id) => `/${view}?${column}=eq.${id}`;
          const real = await beta.admin.request(method, path(theirs), body, headers);
          clean(real, `${method} ${path(theirs)}`, [theirs]);
          const none = await beta.admin.request(method, path(nowhere), body, headers);
          assert.equal(shape(real, theirs), shape(none, nowhere), `${method} /${view} tells a row of Alpha's from none`);
          assert.ok(real.status < 500, `${method} ${path(theirs)}: ${real.status} ${real.text}`);
        }
      }
    });
    await t.test(`writes nothing into ${view}`, async () => {
      for (const body of [{ org_id: alpha.id }, { org_id: alpha.id, id: randomUUID() }, [{ org_id: alpha.id }, {}]]) {
        const answer = await beta.admin.request('POST', `/${view}`, body, { Prefer: 'return=representation' });
        assert.ok(answer.status >= 400 && answer.status < 500, `POST /${view} answered ${answer.status}: ${answer.text.slice(0, 300)}`);
        clean(answer, `POST /${view}`, [alpha.id]);
      }
    });
    await t.test(`finds nothing in ${view} by its text`, async () => {
      const columns = Object.entries(api.definitions?.[view]?.properties ?? {}).filter(([, p]) => p.type === 'string').map(([name]) => name);
      for (const column of columns) {
        for (const filter of ['ilike.*alpha-*', 'like.*secret of alpha*', `eq.secret of ${alpha.slug}`, 'gt.']) {
          const answer = await beta.admin.request('GET', `/${view}?${column}=${encodeURIComponent(filter)}`);
          // A list of rows may show nothing of Alpha's at all; a refusal may repeat what it refuses.
          clean(answer, `GET /${view}?${column}=${filter}`, answer.status === 200 ? [] : [filter]);
          assert.ok(answer.status < 500, `${filter} on ${column}: ${answer.status} ${answer.text.slice(0, 300)}`);
        }
      }
    });
  }
  for (const { child, parent, name } of relations) {
    await t.test(`embeds nothing by ${name}`, async () => {
      for (const path of [`/${child}?select=*,${parent}!${name}(*)`, `/${parent}?select=*,${child}!${name}(*)`, `/${parent}?select=*,${child}!${name}(count)`]) {
        const answer = await beta.admin.request('GET', path);
        assert.ok(answer.status < 500, `${path}: ${answer.status} ${answer.text.slice(0, 300)}`);
        clean(answer, path);
      }
    });
  }
  for (const { name, args } of calls.filter((c) => !endsMe.has(c.name))) {
    await t.test(`gets nothing from ${name}`, async () => {
      const targets = args.some((a) => a.type === 'uuid') ? [...keys] : [['none', alpha.id]];
      for (const [table, id] of targets) {
        const nowhere = randomUUID();
        const real = await beta.admin.request('POST', `/rpc/${name}`, argumentsFor(args, id, table));
        clean(real, `${name} with the id of ${table}`, [id, `admin@${alpha.slug}.example`]);
        if (real.status < 300) clean(real, `${name} with the id of ${table}`, [id]);
        assert.ok(real.status < 500, `${name} with the id of ${table}: ${real.status} ${real.text.slice(0, 300)}`);
        if (args.some((a) => a.type === 'uuid')) {
          const none = await beta.admin.request('POST', `/rpc/${name}`, argumentsFor(args, nowhere, table));
          assert.equal(shape(real, id), shape(none, nowhere), `${name} tells an id of ${table} of Alpha's from none`);
        }
      }
    });
  }
  await t.test('has changed nothing of it', () => assert.deepEqual(digest(alpha), before));
});

test('a member without a role', async (t) => {
  const nobody = alpha.nobody;
  const [{ id: myself }] = sql(`select id from lab_data.users where username = '${alpha.slug}-nobody'`);
  const before = digest(alpha);
  for (const view of views.filter((v) => !shared.has(v))) {
    await t.test(`reads nothing of ${view} but about themself`, async () => {
      const answer = await nobody.request('GET', `/${view}`);
      if (answer.status >= 400) return assert.ok([401, 403].includes(answer.status), `${answer.status} ${answer.text}`);
      const others = answer.json.filter((row) => !JSON.stringify(row).includes(myself));
      assert.deepEqual(others, [], `GET /${view}`);
    });
    await t.test(`writes nothing into ${view}`, async () => {
      const answer = await nobody.request('POST', `/${view}`, {});
      assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status}: ${answer.text.slice(0, 300)}`);
    });
  }
  for (const { name, args } of calls.filter((c) => !aboutOneself.test(c.name))) {
    await t.test(`is refused ${name}`, async () => {
      const table = [...keys.keys()].find((k) => name.startsWith(k.replace(/s$/, ''))) ?? 'users';
      const answer = await nobody.request('POST', `/rpc/${name}`, argumentsFor(args, keys.get(table), table));
      // A call under row security may also have an empty answer.
      if (answer.status !== 200 || !['[]', 'null', ''].includes(answer.text)) {
        assert.ok([400, 401, 403, 404].includes(answer.status), `${answer.status}: ${answer.text.slice(0, 300)}`);
      }
    });
  }
  await t.test('has changed nothing', () => assert.deepEqual(digest(alpha), before));
});

test('without a token', async (t) => {
  const open = (await request(null, 'GET', '/')).json;
  await t.test('no table is described', () => assert.deepEqual(Object.keys(open.paths).filter((p) => p !== '/' && !p.startsWith('/rpc/')), []));
  for (const view of views) {
    await t.test(`${view} is closed`, async () => {
      for (const [method, body] of [['GET'], ['HEAD'], ['POST', {}], ['PATCH', {}], ['DELETE']]) {
        const answer = await request(null, method, `/${view}`, body);
        assert.equal(answer.status, 401, `${method} /${view}: ${answer.text}`);
      }
    });
  }
  for (const { name, args } of calls) {
    await t.test(`${name} is closed or meant to be open`, async () => {
      const answer = await request(null, 'POST', `/rpc/${name}`, argumentsFor(args, keys.get('users'), 'users'));
      clean(answer, name, [keys.get('users'), `admin@${alpha.slug}.example`]);
      if (!(`/rpc/${name}` in open.paths)) assert.equal(answer.status, 401, `${answer.status}: ${answer.text.slice(0, 300)}`);
      else assert.match(name, /^auth_(login|token|refresh|logout|register|verify_|invite_accept$|api_key$|oidc$|password_|email_|mfa_verify$)|^jwks$|^health$|^public_/, 'a call that is open to everybody');
    });
  }
});

test('a token of somewhere else is no token', async () => {
  const forged = (header, claims) => [header, claims].map((x) => Buffer.from(JSON.stringify(x)).toString('base64url')).join('.');
  const claims = { sub: keys.get('users'), org_id: alpha.id, role: 'lab_user', roles: ['admin'], permissions: ['*:*'], exp: 9999999999, iat: 1 };
  for (const token of [forged({ alg: 'none' }, claims) + '.', forged({ alg: 'HS256' }, claims) + '.AAAA', forged({ alg: 'EdDSA' }, { ...claims, role: 'lab_owner' }) + '.AAAA', 'x', 'a.b.c']) {
    for (const view of views.slice(0, 3)) assert.equal((await request(token, 'GET', `/${view}`)).status, 401);
  }
});

// A value for every argument; texts and ids are Alpha's.
function argumentsFor(args, id, table) {
  const value = ({ name, type }) => {
    if (type === 'uuid') return id;
    if (type === 'uuid[]') return [id];
    if (type === 'bigint' || type === 'integer' || type === 'smallint') return 1;
    if (type.startsWith('double') || type === 'numeric' || type === 'real') return 1;
    if (type === 'boolean') return false;
    if (type.startsWith('timestamp') || type === 'date') return '2026-01-01T00:00:00Z';
    if (type === 'jsonb' || type === 'json') return {};
    if (type.endsWith('[]')) return [];
    if (name === 'kind') return table;
    return /email/.test(name) ? `admin@${alpha.slug}.example` : `${alpha.slug}-admin`;
  };
  return Object.fromEntries(args.map((a) => [a.name, value(a)]));
}
