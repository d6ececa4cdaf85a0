// Look-alike data: the same calls with the same values for every organisation, so that names, codes and numbers are
// equal on both sides and only ids and one marker tell whose they are. Each room adds its part here: the isolation
// test fails for a table that stays empty.
import { generateKeyPairSync } from 'node:crypto';

// One identity provider for both: equal but for the marker.
const idpKey = { ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'ES256', use: 'sig' };
const representation = { Prefer: 'return=representation' };

export async function fill({ slug, admin, manager }) {
  const marker = `secret of ${slug}`;
  const make = async (table, row) => (await admin.must('POST', `/${table}`, row, representation))[0];
  const call = (name, args) => admin.must('POST', `/rpc/${name}`, args);
  const { paths } = await admin.must('GET', '/');
  const room = (path) => path in paths;

  await call('role_create', { name: 'helper', display_name: 'Helper', description: marker, permissions: ['user:read'] });

  const share = (kind, resource_id) => call('share_create', { kind, resource_id, to_org: slug, note: marker });
  await call('api_key_create', { name: 'robot', scopes: ['sample:read'] });
  await call('oidc_provider_create', { name: marker, issuer: 'https://idp.example', client_id: 'labos', jwks: { keys: [idpKey] }, algorithms: ['ES256'], email_domains: ['example.org'], default_role: 'viewer' });
  if (room('/webhooks')) await call('webhook_create', { name: 'hook', url: `https://hook.example/${encodeURIComponent(marker)}`, events: ['user.created'] });
  if (room('/invitations')) await call('auth_invite', { email: 'invited@look-alike.example', role: 'helper', message: marker });

  if (room('/structures')) {
    const structure = await make('structures', { name: 'salt', formula: 'NaCl', n_atoms: 8, format: 'cif', source: `data_NaCl # ${marker}` });
    await make('predicted_properties', { structure_id: structure.id, model_name: 'guess', model_version: '1', properties: { marker } });
    let parent = null;
    for (const engine of ['ATOMIC', 'MC', 'FEM']) {
      const job = await call("job_create", { name: `${engine} ${marker}`, engine_type: engine, parent_job_id: parent, structure_id: engine === 'ATOMIC' ? structure.id : null });
      await call('job_submit', { id: job.id });
      await call('job_run', { id: job.id });
      parent = job.id;
    }
  }

  if (room('/samples')) {
    const me = (await call('auth_me', {})).id;
    const year = 31536e6;
    const at = (ms) => new Date(Date.UTC(2026, 0, 1) + ms).toISOString();
    const project = await make('projects', { code: 'P-1', name: 'Glass', description: marker });
    await share('project', project.id);
    await make('project_members', { project_id: project.id, user_id: me, role: 'contributor' });
    const shelf = await make('locations', { kind: 'room', code: 'R1', name: 'Room 1', description: marker });
    const box = await make('locations', { parent_id: shelf.id, kind: 'box', code: 'B1', name: 'Box 1', grid_rows: 3, grid_columns: 3 });
    const sample = await make('samples', { name: 'Sand', formula: 'SiO2', lot_code: 'LOT-1', description: marker, project_id: project.id, location_id: box.id, position: 'A1' });
    await call('sample_transfer', { id: sample.id, location_id: shelf.id, reason: marker });
    const instrument = await make('instruments', { name: 'NMR 400', serial_number: 'S-1', description: marker, requires_calibration: true, location_id: shelf.id });
    const calibration = await make('calibrations', {
      instrument_id: instrument.id, certificate_id: 'C-1', issued_at: at(-year), expires_at: at(20 * year), provider: 'Lab', result: 'pass', notes: marker,
    });
    await manager.must('POST', '/rpc/calibration_approve', { id: calibration.id });
    const run = await call('run_create', { instrument_id: instrument.id, method: 'NMR', sample_id: sample.id, project_id: project.id, notes: marker });
    const run_id = (Array.isArray(run) ? run[0] : run).id;
    await call('run_start', { id: run_id });
    await call('result_record', { run_id, results: [{ property: 'purity', value: 99.3, uncertainty: 0.2, unit: '%' }] });
    await call('run_finish', { id: run_id, notes: marker });
  }

  if (room('/design_campaigns')) {
    await make('materials', { name: 'Quartz', formula: 'SiO2', description: marker });
    const csv = 'formula,gap\nGaAs,1.4\nInP,1.3\nCdTe,1.5\nNaCl,8.5\nSi,1.1\nGe,0.7\n';
    const dataset = await call('dataset_import', { name: 'Gaps', csv, mapping: { formula: 'formula', properties: { band_gap: 'gap' } }, source: marker, licence: 'MIT' });
    const made = await call('campaign_create', {
      name: 'Absorbers', description: marker,
      config: {
        target_properties: { band_gap: { target: 1.5, tolerance: 0.3, weight: 1 } },
        evaluator: { kind: 'dataset', dataset_id: dataset.id ?? dataset.dataset_id },
        strategy: 'random', candidates_per_iteration: 2, max_iterations: 2, seed: 42,
      },
    });
    const { id } = Array.isArray(made) ? made[0] : made;
    await call('campaign_start', { id });
    await call('campaign_step', { id, num_iterations: 1 });
  }
}
