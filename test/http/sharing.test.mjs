// What one organisation shares with another, over HTTP: through X-Labos-Org and through auth_org_switch. Guests reach the
// rows that are shared and nothing else; the lists of tables and calls come from the API's own description.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import test, { before } from 'node:test';
import { organisation, installationAdmin, request, signIn, sql } from './lib.mjs';
import { fill } from './fill.mjs';

const password = 'Isolation-2026';
let giver, taker, third, api, project, shared, secrets, guest, share;
const representation = { Prefer: 'return=representation' };
const code = (answer) => { try { return JSON.parse(answer.json.details).code; } catch { return answer.json?.code; } };
const at = (person, method, path, body, more = {}) => person.request(method, path, body, { 'X-Labos-Org': giver.slug, ...more });
const bearer = async (token, method, path, body, more = {}) => request(token, method, path, body, more);
// As the superuser of the database: what time or an administrator would do.
const change = (statement) => execFileSync(process.env.LABOS_BIN ? `${process.env.LABOS_BIN}/psql` : 'psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', '-'], { input: statement });
const allow = (on) => change(`update lab_data.organizations set settings = settings || '{"allow_sharing": ${on}}' where id = '${giver.id}'`);

before(async () => {
  const run = randomUUID().slice(0, 6);
  [giver, taker, third] = [await organisation(`giver-${run}`), await organisation(`taker-${run}`), await organisation(`third-${run}`)];
  await fill(giver);
  await fill(taker);
  const make = async (table, row) => (await giver.admin.must('POST', `/${table}`, row, representation))[0];
  // Look-alikes: one project is shared, the other is not.
  project = await make('projects', { code: 'J-1', name: 'Joint', description: 'joint work' });
  const one = await make('samples', { name: 'Joint sample', project_id: project.id });
  const instrument = (await giver.admin.must('GET', '/instruments'))[0];
  const joint = await giver.admin.must('POST', '/rpc/run_create', { instrument_id: instrument.id, method: 'NMR', sample_id: one.id, project_id: project.id });
  await giver.admin.must('PATCH', `/organizations?id=eq.${giver.id}`, { settings: { allow_sharing: true } });
  share = await giver.manager.must('POST', '/rpc/share_create', { kind: 'project', resource_id: project.id, to_org: taker.slug, level: 'write' });
  shared = new Set([project.id, one.id, (Array.isArray(joint) ? joint[0] : joint).id]);
  guest = taker.manager;
  api = await giver.admin.must('GET', '/');
  // All ids of the giver's rows but those of what is shared, and what these name.
  const tables = sql(`select c.relname as name from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'org_id'
    where c.relnamespace = 'lab_data'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
      and c.relname not in ('access_logs', 'user_sessions') order by 1`).map((r) => r.name);
  const ids = (condition) => new Set(tables.flatMap((t) => sql(`select distinct m[1] as id from lab_data.${t} x,
    regexp_matches(to_jsonb(x)::text, '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}', 'g') m where ${condition}`).map((r) => r.id)));
  const list = [...shared].map((id) => `'${id}'`).join();
  const known = ids(`to_jsonb(x) ->> 'id' in (${list}) and x.org_id = '${giver.id}'`);
  for (const id of ids(`x.org_id = '${taker.id}'`)) known.add(id);
  for (const { id } of sql('select id from lab_data.roles where org_id is null')) known.add(id);
  known.add(share.id);
  secrets = [...ids(`x.org_id = '${giver.id}'`)].filter((id) => !known.has(id)).concat(`secret of ${giver.slug}`);
  assert.ok(secrets.length > 30, `${secrets.length} of ${known.size}`);
});

const clean = (answer, what, sent = []) => {
  for (const secret of secrets) if (!sent.some((s) => s.includes(secret))) assert.ok(!answer.text.includes(secret), `${what} shows ${secret}: ${answer.text.slice(0, 300)}`);
};
const views = () => Object.keys(api.paths).filter((p) => p !== '/' && !p.startsWith('/rpc/')).map((p) => p.slice(1));
const calls = () => sql(`select p.proname as name, coalesce((select json_agg(json_build_object('name', p.proargnames[i], 'type', format_type(p.proargtypes[i - 1], null)) order by i)
  from generate_series(1, p.pronargs) i), '[]') as args from pg_proc p where p.pronamespace = 'lab'::regnamespace and p.prorettype <> 'trigger'::regtype order by 1`);

// The two ways in: as the test's callers use them.
const ways = {
  'X-Labos-Org': async () => (method, path, body, more) => at(guest, method, path, body, more),
  auth_org_switch: async () => {
    const { access_token: token } = await guest.must('POST', '/rpc/auth_org_switch', { org: giver.slug });
    return (method, path, body, more) => bearer(token, method, path, body, more);
  },
};

for (const [way, enter] of Object.entries(ways)) {
  test(`a guest by ${way}`, async (t) => {
    const ask = await enter();
    await t.test('is told where they are', async () => {
      const me = await ask('GET', '/rpc/auth_me');
      assert.equal(me.status, 200, me.text);
      assert.deepEqual([me.json.is_guest, me.json.organization.slug, me.json.roles], [true, giver.slug, []]);
      assert.deepEqual(me.json.permissions, ['project:read', 'project:update', 'run:read', 'run:update', 'sample:create', 'sample:read', 'sample:update']);
    });
    await t.test('lists, embeds and counts what is shared', async () => {
      const list = await ask('GET', '/projects?select=name,samples(name),runs(method)', undefined, { Prefer: 'count=exact' });
      assert.equal(list.status, 200, list.text);
      assert.equal(list.headers.get('content-range'), '0-0/1');
      assert.equal(list.json[0].name, 'Joint');
      assert.ok(list.json[0].samples.some((s) => s.name === 'Joint sample') && !list.json[0].samples.some((s) => s.name === 'Sand'));
      assert.deepEqual(list.json[0].runs, [{ method: 'NMR' }]);
      assert.deepEqual((await ask('GET', '/samples?select=count&name=eq.Sand')).json, [{ count: 0 }]);
    });
    await t.test('adds to the project and changes it, and deletes nothing', async () => {
      const made = await ask('POST', '/samples', { name: `By ${way}`, project_id: project.id }, representation);
      assert.equal(made.status, 201, made.text);
      shared.add(made.json[0].id);
      assert.deepEqual([made.json[0].org_id, made.json[0].owner_id], [giver.id, null]);
      assert.equal((await ask('PATCH', `/samples?id=eq.${made.json[0].id}`, { description: 'more' }, representation)).json[0].version, 2);
      assert.equal((await ask('PATCH', `/samples?id=eq.${made.json[0].id}`, { description: 'x', version: 1 })).status, 412);
      assert.equal((await ask('DELETE', `/samples?id=eq.${made.json[0].id}`)).status, 403);
      assert.equal((await ask('POST', '/samples', { name: 'Nowhere' })).status, 403);
      const other = (await giver.admin.must('GET', '/projects?code=eq.P-1'))[0].id;
      const [real, none] = [await ask('POST', '/samples', { name: 'X', project_id: other }), await ask('POST', '/samples', { name: 'X', project_id: randomUUID() })];
      assert.deepEqual([real.status, code(real)], [none.status, code(none)], 'a project that is not shared is told from none');
      assert.equal((await ask('PATCH', `/projects?id=eq.${project.id}`, { description: way }, representation)).json[0].description, way);
      assert.deepEqual((await ask('PATCH', `/projects?id=eq.${other}`, { description: way }, representation)).json, []);
    });
    await t.test('reaches nothing else: every table', async () => {
      for (const view of views()) {
        const answer = await ask('GET', `/${view}`, undefined, { Prefer: 'count=exact' });
        assert.ok([200, 206, 403].includes(answer.status), `GET /${view}: ${answer.status} ${answer.text.slice(0, 200)}`);
        clean(answer, `GET /${view}`);
        if (answer.status < 300) for (const row of answer.json) assert.ok(shared.has(row.id), `GET /${view} shows ${JSON.stringify(row).slice(0, 200)}`);
        for (const [method, body] of [['POST', { org_id: giver.id }], ['POST', { name: 'x', org_id: giver.id }], ['PATCH', { name: 'taken' }], ['DELETE']]) {
          const path = method === 'POST' ? `/${view}` : `/${view}?id=not.in.(${[...shared].join()})`;
          const written = await ask(method, path, body, representation);
          assert.ok(written.status >= 400 && written.status < 500 || written.text === '[]', `${method} ${path}: ${written.status} ${written.text.slice(0, 200)}`);
          clean(written, `${method} /${view}`);
        }
      }
    });
    await t.test('reaches nothing else: every call', async () => {
      const keep = new Set(['auth_logout', 'auth_refresh', 'auth_login', 'auth_token', 'auth_register']);
      for (const { name, args } of calls().filter((c) => !keep.has(c.name))) {
        for (const id of args.some((a) => a.type === 'uuid') ? [project.id, ...secrets.slice(0, 3)] : [project.id]) {
          const body = Object.fromEntries(args.map((a) => [a.name, a.type === 'uuid' ? id : a.type === 'jsonb' ? {} : a.type.endsWith('[]') ? [] : a.type === 'boolean' ? false
            : /int|double|numeric/.test(a.type) ? 1 : /timestamp|date/.test(a.type) ? '2036-01-01T00:00:00Z' : a.name === 'kind' ? 'project' : `${giver.slug}-admin`]));
          const answer = await ask('POST', `/rpc/${name}`, body);
          clean(answer, `rpc/${name}`, [id]);
          const open = /^auth_|^jwks$|^health$|^public_/.test(name);
          assert.ok(open ? answer.status < 500 : [401, 403, 404].includes(answer.status), `rpc/${name}: ${answer.status} ${answer.text.slice(0, 200)}`);
        }
      }
    });
  });
}

test('who is no guest', async (t) => {
  const refused = (answer, expected = 'not_a_member') => assert.deepEqual([answer.status, code(answer)], [403, expected], answer.text);
  await t.test('a third organisation, and a name that is none', async () => {
    const [real, none] = [await at(third.admin, 'GET', '/projects'), await third.admin.request('GET', '/projects', undefined, { 'X-Labos-Org': 'no-such' })];
    refused(real);
    assert.equal(real.text, none.text);
    refused(await third.admin.request('POST', '/rpc/auth_org_switch', { org: giver.slug }));
  });
  await t.test('headers that try more', async () => {
    for (const value of [giver.id.toUpperCase(), giver.slug.toUpperCase()]) assert.equal((await guest.request('GET', '/rpc/auth_me', undefined, { 'X-Labos-Org': value })).json.organization.slug, giver.slug);
    for (const value of ["x' or '1'='1", '%', '*', giver.slug + ' ', third.slug, 'x'.repeat(5000), '{"a":1}', '"', '\\u0000']) {
      const answer = await guest.request('GET', '/projects', undefined, { 'X-Labos-Org': value });
      // HTTP itself cuts blanks at the end.
      if (value !== giver.slug + ' ') refused(answer);
    }
    assert.equal((await guest.request('GET', '/rpc/auth_me', undefined, { 'X-Labos-Org': '' })).json.organization.slug, taker.slug);
    // One that is only in another header's value.
    assert.equal((await guest.request('GET', '/rpc/auth_me', undefined, { 'X-Note': '"x-labos-org": "x"' })).json.organization.slug, taker.slug);
    assert.equal((await request(null, 'GET', '/rpc/jwks', undefined, { 'X-Labos-Org': giver.slug })).status, 200);
    assert.equal((await request(null, 'GET', '/projects', undefined, { 'X-Labos-Org': giver.slug })).status, 401);
  });
  await t.test('pooled connections forget', async () => {
    await Promise.all(Array.from({ length: 40 }, async (_, i) => {
      const answer = await (i % 2 ? at(guest, 'GET', '/rpc/auth_me') : guest.request('GET', '/rpc/auth_me'));
      assert.equal(answer.json.organization.slug, i % 2 ? giver.slug : taker.slug);
    }));
  });
  await t.test('a viewer at home reads with a share for writing', async () => {
    await taker.admin.must('POST', '/rpc/role_assign', { user_id: sql(`select id from lab_data.users where username = '${taker.slug}-nobody'`)[0].id, role: 'viewer' });
    assert.equal((await at(taker.nobody, 'GET', `/projects?id=eq.${project.id}`)).json.length, 1);
    assert.equal((await at(taker.nobody, 'POST', '/samples', { name: 'X', project_id: project.id })).status, 403);
    assert.deepEqual((await at(taker.nobody, 'PATCH', `/projects?id=eq.${project.id}`, { description: 'x' }, representation)).json, []);
  });
  await t.test('nobody shares further', async () => {
    assert.equal((await at(guest, 'POST', '/rpc/share_create', { kind: 'project', resource_id: project.id, to_org: third.slug })).status, 403);
    // At home the record is none of theirs.
    const answer = await guest.request('POST', '/rpc/share_create', { kind: 'project', resource_id: project.id, to_org: third.slug });
    assert.deepEqual([answer.status, code(answer)], [404, 'share_resource_not_found']);
  });
  await t.test('a superuser of the installation goes nowhere by header, and reads with a reason', async () => {
    const root = await installationAdmin();
    refused(await request(root, 'GET', '/projects', undefined, { 'X-Labos-Org': giver.slug }));
    assert.equal((await request(root, 'POST', '/rpc/auth_org_switch', { org: giver.slug })).status, 422);
    const visit = await request(root, 'POST', '/rpc/auth_org_switch', { org: giver.slug, reason: 'support case 12' });
    assert.equal(visit.status, 200, visit.text);
    assert.equal(visit.json.refresh_token, undefined);
    const token = visit.json.access_token;
    assert.ok((await bearer(token, 'GET', '/projects')).json.length >= 2);
    assert.equal((await bearer(token, 'POST', '/projects', { code: 'X', name: 'X' })).status, 403);
    assert.deepEqual((await bearer(token, 'PATCH', '/projects?code=eq.J-1', { name: 'X' }, representation)).json, []);
    refused(await bearer(token, 'POST', '/rpc/signing_key_rotate', {}), 'superuser_required');
    const seen = await giver.admin.must('GET', '/access_logs?event=eq.superuser_switch&select=detail');
    assert.equal(seen.at(-1).detail.reason, 'support case 12');
  });
});

test('what ends it', async (t) => {
  const { access_token: token, refresh_token: refresh } = await guest.must('POST', '/rpc/auth_org_switch', { org: giver.slug });
  assert.equal((await bearer(token, 'GET', '/projects')).json.length, 1);
  await t.test('the setting, at once and back', async () => {
    allow(false);
    for (const answer of [await at(guest, 'GET', '/projects'), await bearer(token, 'GET', '/projects')]) assert.equal(answer.status, 403, answer.text);
    assert.equal((await request(null, 'POST', '/rpc/auth_refresh', { refresh_token: refresh })).status, 401);
    allow(true);
    assert.equal((await bearer(token, 'GET', '/projects')).json.length, 1);
  });
  await t.test('time', async () => {
    // The stamp keeps created_at.
    change(`set session_replication_role = replica; update lab_data.shares set created_at = now() - interval '2 days', expires_at = now() - interval '1 day' where id = '${share.id}';
      set session_replication_role = origin; update lab_data.shares set note = 'over' where id = '${share.id}'`);
    assert.equal((await at(guest, 'GET', '/projects')).status, 403);
    change(`update lab_data.shares set expires_at = null where id = '${share.id}'`);
    assert.equal((await at(guest, 'GET', '/projects')).json.length, 1);
  });
  await t.test('a revocation', async () => {
    assert.deepEqual((await guest.must('POST', '/rpc/shares_received', {})).filter((s) => s.slug === giver.slug).map((s) => [s.id, s.kind, s.level]), [[share.id, 'project', 'write']]);
    assert.equal((await guest.request('POST', '/rpc/share_revoke', { id: share.id })).status, 404);
    await giver.manager.must('POST', '/rpc/share_revoke', { id: share.id });
    assert.equal((await at(guest, 'GET', '/projects')).status, 403);
    assert.equal((await bearer(token, 'GET', '/projects')).status, 401);
    assert.ok(!(await guest.must('POST', '/rpc/shares_received', {})).some((s) => s.slug === giver.slug));
    assert.equal(sql(`select count(*)::int as n from lab_data.access_logs where org_id = '${giver.id}' and event in ('share_create', 'share_use', 'share_revoke')`)[0].n >= 4, true);
    const history = await giver.admin.must('GET', `/audit_log?table_name=eq.shares&select=operation`).catch(() => null);
    if (history) assert.ok(history.length > 0);
  });
});

test('single records', async () => {
  const campaign = (await giver.admin.must('GET', '/design_campaigns'))[0];
  const job = (await giver.admin.must('GET', '/simulation_jobs'))[0];
  const run = (await giver.admin.must('GET', '/runs?project_id=neq.' + project.id))[0];
  for (const [kind, id] of [['campaign', campaign.id], ['simulation_job', job.id], ['run', run.id]]) {
    await giver.admin.must('POST', '/rpc/share_create', { kind, resource_id: id, to_org: taker.id });
  }
  const ids = async (path) => (await at(guest, 'GET', path)).json.map((r) => r.id);
  assert.deepEqual([await ids('/design_campaigns'), await ids('/simulation_jobs'), await ids('/runs')], [[campaign.id], [job.id], [run.id]]);
  for (const [child, column, id] of [['campaign_candidates', 'campaign_id', campaign.id], ['design_iterations', 'campaign_id', campaign.id], ['simulation_results', 'job_id', job.id], ['results', 'run_id', run.id]]) {
    const rows = (await at(guest, 'GET', `/${child}`)).json;
    assert.ok(rows.length > 0 && rows.every((r) => r[column] === id), child);
  }
  assert.deepEqual(await ids('/projects'), []);
  assert.deepEqual(await ids('/samples'), []);
});

test('overview of one\'s organisations', async () => {
  const rows = await giver.admin.must('POST', '/rpc/my_organizations_overview', {});
  assert.deepEqual(rows.map((r) => [r.slug, r.projects]), [[giver.slug, 2]]);
  // Beside it, signed in to another: each is visited in turn.
  change(`insert into lab_data.memberships (org_id, user_id) select '${third.id}', u.id from lab_data.users u where u.username = '${giver.slug}-admin'`);
  const both = await giver.admin.must('POST', '/rpc/my_organizations_overview', {});
  assert.deepEqual(both.map((r) => [r.slug, r.projects]), [[giver.slug, 2], [third.slug, null]]);
  const there = await giver.admin.request('GET', '/rpc/auth_me', undefined, { 'X-Labos-Org': third.slug });
  assert.deepEqual([there.json.organization.slug, there.json.roles, there.json.permissions, there.json.is_guest], [third.slug, [], [], false]);
  assert.ok(await signIn(`admin@${giver.slug}.example`, password));
});
