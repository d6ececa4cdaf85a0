// Design campaigns over HTTP: import, step, ask and tell, states, and the same as a viewer, a colleague, another organisation and nobody.
// Then what every table answers to: filter, order, page, embedding.
import assert from 'node:assert/strict';
import test, { before } from 'node:test';
import { Person, givePassword, must, installationAdmin, request, sql } from './lib.mjs';

const password = 'Quartz-Kestrel-48';
const people = {};
const rpc = (who, name, body = {}) => people[who].request('POST', `/rpc/${name}`, body);
const code = (answer) => JSON.parse(answer.json.details).code;

before(async () => {
  const root = await installationAdmin();
  for (const slug of ['camp', 'camp-other']) {
    await must(root, 'POST', '/rpc/organization_create', {
      name: slug, slug, admin_email: `${slug}@example.lab`, admin_username: slug,
    });
    givePassword(slug, password);
  }
  people.admin = new Person('camp', password);
  people.other = new Person('camp-other', password);
  for (const [name, role] of [['manager', 'manager'], ['owner', 'scientist'], ['colleague', 'scientist'], ['viewer', 'viewer']]) {
    await people.admin.must('POST', '/rpc/user_create', { email: `camp-${name}@example.lab`, username: `camp-${name}`, roles: [role] });
    givePassword(`camp-${name}`, password);
    people[name] = new Person(`camp-${name}`, password);
  }
});

const csv = 'formula,gap,note\nGaAs,1.42,a\nPbS,0.4,b\nCdTe,1.5,c\nSi,1.12,d\nInP,1.34,e\nCu2O,2.1,f\nHgTe,0.1,g\nGaN,3.4,h\n';
const pool = (more) => ({
  target_properties: { gap: { target: 1.5, tolerance: 0.3 } }, constraints: { excluded_elements: ['Pb', 'Cd', 'Hg'] },
  evaluator: { kind: 'dataset', dataset: 'gaps' }, strategy: 'random', candidates_per_iteration: 2, max_iterations: 9, seed: 4, ...more,
});
const asked = {
  target_properties: { yield: { maximize: true, low: 0, high: 100 } }, search_space: { t: { type: 'float', min: 0, max: 1 }, gas: { type: 'categorical', values: ['Ar', 'N2'] } },
  evaluator: 'external', strategy: 'bayesian', candidates_per_iteration: 2, max_iterations: 3, seed: 5,
};
let campaign;

test('a data set is imported by those who may, and its columns are accounted for', async () => {
  const body = { name: 'gaps', csv, mapping: { formula: 'formula', properties: { gap: 'gap' } } };
  assert.equal((await rpc('viewer', 'dataset_import', body)).status, 403);
  assert.equal((await request(null, 'POST', '/rpc/dataset_import', body)).status, 401);
  const made = await people.owner.must('POST', '/rpc/dataset_import', body);
  assert.deepEqual([made.rows, made.dropped_columns], [8, ['note']]);
  assert.equal(code(await rpc('owner', 'dataset_import', body)), 'dataset_exists');
  // The name is free elsewhere, and the set is not there.
  assert.deepEqual(await people.other.must('GET', '/datasets'), []);
  assert.equal(code(await rpc('other', 'campaign_create', { name: 'x', config: pool() })), 'invalid_config');
  assert.equal(code(await rpc('other', 'campaign_create', { name: 'x', config: pool({ evaluator: { kind: 'dataset', dataset_id: made.id } }) })), 'invalid_config');
});

test('a campaign runs its pool dry without an excluded element', async () => {
  assert.equal((await rpc('viewer', 'campaign_create', { name: 'x', config: pool() })).status, 403);
  const made = await people.owner.must('POST', '/rpc/campaign_create', { name: 'pool', config: pool() });
  assert.equal(made.status, 'CREATED');
  assert.equal(code(await rpc('owner', 'campaign_step', { id: made.id })), 'campaign_not_running');
  for (const who of ['colleague', 'other']) assert.equal((await rpc(who, 'campaign_start', { id: made.id })).status, 404, who);
  assert.equal((await rpc('viewer', 'campaign_start', { id: made.id })).status, 403);
  await people.owner.must('POST', '/rpc/campaign_start', { id: made.id });
  assert.equal((await people.owner.must('POST', '/rpc/campaign_step', { id: made.id, num_iterations: 9 })).length, 3);
  const found = await people.owner.must('GET', `/campaign_candidates?campaign_id=eq.${made.id}&select=formula,score&order=slot`);
  assert.deepEqual(found.map((c) => c.formula).sort(), ['AsGa', 'Cu2O', 'GaN', 'InP', 'Si']);
  const [end] = await people.owner.must('GET', `/design_campaigns?id=eq.${made.id}`);
  assert.deepEqual([end.status, end.stop_reason, end.best_score], ['COMPLETED', 'space_exhausted', 1]);
  // Seen by the owner and by holders of campaign:read_any.
  for (const table of ['design_campaigns?id', 'design_iterations?campaign_id', 'campaign_candidates?campaign_id']) {
    for (const [who, seen] of [['manager', true], ['colleague', false], ['viewer', false], ['other', false]]) {
      assert.equal((await people[who].must('GET', `/${table}=eq.${made.id}`)).length > 0, seen, `${who} ${table}`);
    }
  }
  for (const name of ['campaign_summary', 'campaign_iterations', 'campaign_plot']) {
    for (const who of ['colleague', 'other']) assert.equal((await rpc(who, name, { id: made.id })).status, 404, `${who} ${name}`);
    assert.equal((await rpc('manager', name, { id: made.id })).status, 200, name);
  }
});

test('two campaigns of the same seed and configuration propose the same', async () => {
  const seen = [];
  for (const name of ['first', 'second']) {
    const made = await people.owner.must('POST', '/rpc/campaign_create', { name, config: pool() });
    await people.owner.must('POST', '/rpc/campaign_start', { id: made.id });
    await people.owner.must('POST', '/rpc/campaign_step', { id: made.id, num_iterations: name === 'first' ? 1 : 2 });
    if (name === 'first') await people.owner.must('POST', '/rpc/campaign_step', { id: made.id });
    seen.push(await people.owner.must('GET', `/campaign_candidates?campaign_id=eq.${made.id}&select=slot,formula,score&order=slot`));
  }
  assert.equal(seen[0].length, 4);
  assert.deepEqual(seen[0], seen[1]);
});

test('ask and tell: suggest, observe, best score, pause, resume, the end', async () => {
  campaign = await people.owner.must('POST', '/rpc/campaign_create', { name: 'asked', config: asked });
  await people.owner.must('POST', '/rpc/campaign_start', { id: campaign.id });
  assert.equal((await rpc('colleague', 'campaign_suggest', { id: campaign.id })).status, 404);
  const first = await people.owner.must('POST', '/rpc/campaign_suggest', { id: campaign.id, n: 3 });
  assert.deepEqual(first.map((c) => [c.slot, c.state]), [[0, 'pending'], [1, 'pending'], [2, 'pending']]);
  for (const who of ['colleague', 'other']) {
    assert.equal((await rpc(who, 'campaign_observe', { candidate: first[0].id, properties: { yield: 1 } })).status, 404, who);
    assert.equal((await rpc(who, 'campaign_explain', { candidate: first[0].id })).status, 404, who);
  }
  for (const [properties, expected] of [[{}, 'no_target_property'], [{ yield: 'high' }, 'invalid_properties'], [{ yield: null }, 'invalid_properties'], [[], 'invalid_properties'], [null, 'invalid_properties']]) {
    assert.equal(code(await rpc('owner', 'campaign_observe', { candidate: first[0].id, properties })), expected);
  }
  const told = await people.owner.must('POST', '/rpc/campaign_observe', { candidate: first[0].id, properties: { yield: 40 }, uncertainty: { yield: 2 } });
  assert.deepEqual([told.state, told.score, told.uncertainty], ['evaluated', 0.4, { yield: 2 }]);
  assert.equal(code(await rpc('owner', 'campaign_observe', { candidate: first[0].id, properties: { yield: 99 } })), 'already_evaluated');
  await people.owner.must('POST', '/rpc/campaign_pause', { id: campaign.id });
  assert.equal(code(await rpc('owner', 'campaign_suggest', { id: campaign.id })), 'campaign_not_running');
  assert.equal((await people.owner.must('POST', '/rpc/campaign_observe', { candidate: first[1].id, properties: { yield: 70 } })).score, 0.7);
  await people.owner.must('POST', '/rpc/campaign_resume', { id: campaign.id });
  const more = await people.owner.must('POST', '/rpc/campaign_suggest', { id: campaign.id, n: 100 });
  assert.equal(more.length, 3);
  assert.equal(code(await rpc('owner', 'campaign_suggest', { id: campaign.id })), 'nothing_left');
  // The last first: the campaign waits for all of them.
  for (const c of [...more].reverse()) await people.owner.must('POST', '/rpc/campaign_observe', { candidate: c.id, properties: { yield: 10 } });
  assert.equal((await people.owner.must('GET', `/design_campaigns?id=eq.${campaign.id}`))[0].status, 'RUNNING');
  assert.equal((await people.owner.must('POST', '/rpc/campaign_observe', { candidate: first[2].id, error: 'the furnace broke' })).state, 'failed');
  const [end] = await people.owner.must('GET', `/design_campaigns?id=eq.${campaign.id}`);
  assert.deepEqual([end.status, end.stop_reason, end.best_score, end.best_candidate_id], ['COMPLETED', 'max_iterations', 0.7, first[1].id]);
  const why = await people.owner.must('POST', '/rpc/campaign_explain', { candidate: more[2].id });
  assert.deepEqual([why.replay.seed, why.replay.slot, why.rank], [5, 5, 3]);
});

test('a running campaign is not changed or deleted, by PATCH as little as by the call', async () => {
  const { id } = await people.owner.must('POST', '/rpc/campaign_create', { name: 'fixed', config: asked });
  assert.equal((await people.owner.request('PATCH', `/design_campaigns?id=eq.${id}`, { name: 'named' })).status, 204);
  assert.equal((await people.owner.request('PATCH', `/design_campaigns?id=eq.${id}`, { status: 'RUNNING' })).status, 403);
  await people.owner.must('POST', '/rpc/campaign_start', { id });
  for (const answer of [
    await people.owner.request('PATCH', `/design_campaigns?id=eq.${id}`, { name: 'x' }), await rpc('owner', 'campaign_update', { id, description: 'x' }),
  ]) assert.deepEqual([answer.status, code(answer)], [409, 'campaign_not_editable']);
  assert.equal(code(await people.owner.request('DELETE', `/design_campaigns?id=eq.${id}`)), 'campaign_running');
  for (const who of ['colleague', 'other']) {
    const seen = await people[who].request('PATCH', `/design_campaigns?id=eq.${id}`, { name: 'x' }, { Prefer: 'return=representation' });
    assert.deepEqual(seen.json, [], who);
  }
});

test('every table is filtered, ordered, paged and embedded through its foreign keys, both ways', async () => {
  // Not a table into itself: PostgREST has no such embedding; parent_id is followed by a request of its own.
  const keys = sql(`
    select c.conname as name, a.relname as child, b.relname as parent, x.attname as by
    from pg_constraint c
    join pg_class a on a.oid = c.conrelid
    join pg_class b on b.oid = c.confrelid
    join pg_attribute x on x.attrelid = a.oid and x.attnum = any (c.conkey) and (x.attname <> 'org_id' or cardinality(c.conkey) = 1)
    where c.contype = 'f' and a.relnamespace = 'lab_data'::regnamespace and a.oid <> b.oid and x.attname <> 'parent_scale' and x.attname <> 'scale'
      and has_table_privilege('lab_user', to_regclass('lab.' || quote_ident(a.relname)), 'select')
      and has_table_privilege('lab_user', to_regclass('lab.' || quote_ident(b.relname)), 'select')
    order by 1`);
  assert.ok(keys.length > 60, `${keys.length} keys`);
  const broken = [];
  for (const { name, child, parent, by } of keys) {
    for (const inner of ['', '!inner']) {
      for (const path of [
        `/${child}?select=*,x:${parent}!${name}${inner}(*)&${by}=not.is.null&order=${by}.desc.nullslast&limit=2&offset=1`,
        `/${parent}?select=*,x:${child}!${name}${inner}(*)&x.order=${by}&x.limit=2&limit=2`,
      ]) {
        const answer = await people.admin.request('GET', path);
        if (answer.status !== 200) broken.push(`${path} ${answer.status} ${answer.text.slice(0, 160)}`);
      }
    }
  }
  assert.deepEqual(broken, []);
});
