// Simulation jobs over HTTP: the endpoints of the original, as their rightful role, a viewer, another organisation and nobody.
import assert from 'node:assert/strict';
import test, { before } from 'node:test';
import { givePassword } from './lib.mjs';

const url = process.env.LABOS_URL;
const tokens = {};
const secret = 'Quartz-Kestrel-48';

// One request; answers {status, body}.
async function call(who, method, path, body, headers = {}) {
  const answer = await fetch(url + path, {
    method,
    headers: {
      ...(body === undefined ? {} : { 'Content-Type': 'application/json', Prefer: 'return=representation' }),
      ...(tokens[who] ? { Authorization: `Bearer ${tokens[who]}` } : {}),
      ...headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  return { status: answer.status, body: text === '' ? null : JSON.parse(text) };
}
const rpc = (who, name, body = {}) => call(who, 'POST', `/rpc/${name}`, body);
const code = (answer) => JSON.parse(answer.body.details).code;

async function signIn(who, login, password) {
  const answer = await rpc(who, 'auth_login', { login, password });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  tokens[who] = answer.body.access_token;
}

before(async () => {
  await signIn('admin', process.env.LABOS_ADMIN_EMAIL, process.env.LABOS_ADMIN_PASSWORD);
  for (const [name, role] of [['scientist', 'scientist'], ['viewer', 'viewer']]) {
    const made = await rpc('admin', 'user_create', {
      email: `sim-${name}@example.lab`, username: `sim-${name}`, roles: [role],
    });
    givePassword(`sim-${name}`, secret);
    assert.ok(made.status < 300, JSON.stringify(made.body));
    await signIn(name, `sim-${name}`, secret);
  }
  const other = await rpc('admin', 'organization_create', {
    name: 'Sim Other', slug: 'sim-other', admin_email: 'sim-other@example.lab', admin_username: 'sim-other',
  });
  givePassword('sim-other', secret);
  assert.ok(other.status < 300, JSON.stringify(other.body));
  await signIn('other', 'sim-other', secret);
});

test('engines are listed with their parameters', async () => {
  const answer = await call('viewer', 'GET', '/rpc/simulation_engines?name=eq.FEM');
  assert.equal(answer.status, 200);
  assert.equal(answer.body[0].parameters.properties.youngs_modulus_gpa.unit, 'GPa');
  assert.equal((await call('nobody', 'GET', '/rpc/simulation_engines')).status, 401);
});

test('a mesoscale and a continuum job, chained, submitted, run, fetched', async () => {
  const meso = await rpc('scientist', 'job_create', { name: 'grains', engine_type: 'PF', parameters: { timesteps: 2000 }, seed: 7 });
  assert.equal(meso.status, 200, JSON.stringify(meso.body));
  assert.deepEqual([meso.body.engine_type, meso.body.scale, meso.body.status], ['PHASE_FIELD', 'mesoscale', 'PENDING']);
  const made = await call('scientist', 'POST', '/continuum_jobs', { name: 'beam', engine_type: 'FINITE_ELEMENT', parent_job_id: meso.body.id });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const beam = made.body[0];
  for (const id of [meso.body.id, beam.id]) assert.equal((await rpc('scientist', 'job_submit', { id })).body.status, 'QUEUED');

  const early = await rpc('scientist', 'job_run', { id: beam.id });
  assert.equal(early.status, 409);
  assert.equal(code(early), 'parent_not_completed');
  for (const id of [meso.body.id, beam.id]) assert.equal((await rpc('scientist', 'job_run', { id })).body.status, 'COMPLETED');
  assert.equal((await rpc('scientist', 'job_run', { id: beam.id })).status, 409);

  const grains = await call('scientist', 'GET', `/mesoscale_results?job_id=eq.${meso.body.id}`);
  assert.deepEqual(Object.keys(grains.body[0].microstructure_metrics).sort(),
    ['grain_boundary_density', 'mean_grain_size_um', 'n_grains', 'phase_fractions']);
  const stiff = await call('scientist', 'GET', `/continuum_results?job_id=eq.${beam.id}`);
  assert.deepEqual(Object.keys(stiff.body[0].effective_properties).sort(), ['poissons_ratio', 'youngs_modulus_gpa']);
  assert.equal(stiff.body[0].parameters.grain_size_um, grains.body[0].microstructure_metrics.mean_grain_size_um);

  // Filters, paging, embedding.
  const list = await call('scientist', 'GET', '/mesoscale_jobs?status=eq.COMPLETED&engine_type=in.(PHASE_FIELD,KMC)&order=id.desc&limit=1&select=id,mesoscale_results(timesteps)');
  assert.equal(list.status, 200, JSON.stringify(list.body));
  assert.equal([list.body[0].mesoscale_results].flat()[0].timesteps, 2000);

  // Nobody else: a viewer and another organisation see nothing and can do nothing.
  for (const who of ['viewer', 'other']) {
    for (const path of [`/mesoscale_jobs?id=eq.${meso.body.id}`, `/mesoscale_results?job_id=eq.${meso.body.id}`, `/continuum_results?job_id=eq.${beam.id}`,
      `/continuum_jobs?id=eq.${beam.id}`, `/simulation_jobs?id=eq.${beam.id}`, `/simulation_results?job_id=eq.${beam.id}`]) {
      const seen = await call(who, 'GET', path);
      assert.equal(seen.status, 200);
      assert.deepEqual(seen.body, [], `${who} ${path}`);
    }
  }
  for (const name of ['job_submit', 'job_run', 'job_cancel', 'job_retry']) {
    assert.equal((await rpc('viewer', name, { id: meso.body.id })).status, 403);
    assert.equal((await rpc('other', name, { id: meso.body.id })).status, 404);
    assert.equal((await rpc('nobody', name, { id: meso.body.id })).status, 401);
  }
});

test('who may not create cannot, on any path', async () => {
  for (const path of ['/simulation_jobs', '/mesoscale_jobs', '/rpc/job_create']) {
    assert.equal((await call('viewer', 'POST', path, { name: 'x', engine_type: 'KMC' })).status, 403, path);
    assert.equal((await call('nobody', 'POST', path, { name: 'x', engine_type: 'KMC' })).status, 401, path);
  }
  assert.equal((await call('scientist', 'POST', '/mesoscale_jobs', { name: 'x', engine_type: 'KMC', status: 'COMPLETED' })).status, 403);
});

test('bad parameters are refused with all problems', async () => {
  for (const path of ['/simulation_jobs', '/mesoscale_jobs', '/rpc/job_create']) {
    const answer = await call('scientist', 'POST', path, { name: 'x', engine_type: 'MC', parameters: { timesteps: 'many', q_states: 1, typo: [] } });
    assert.equal(answer.status, 422, path);
    assert.deepEqual(JSON.parse(answer.body.details).problems.map((p) => p.code).sort(), ['out_of_range', 'unknown_parameter', 'wrong_type']);
  }
  const scale = await call('scientist', 'POST', '/mesoscale_jobs', { name: 'x', engine_type: 'FEM' });
  assert.equal(scale.status, 422);
  assert.equal(code(scale), 'engine_scale_mismatch');
  assert.equal((await rpc('scientist', 'job_run', { id: 'x' })).status, 400);
  assert.equal((await rpc('scientist', 'job_run', { id: null })).status, 404);
});
