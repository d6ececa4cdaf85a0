// Look-alike data: the same calls with the same values for every organisation, so that names, codes and numbers are
// equal on both sides and only ids and one marker tell whose they are. Each room adds its part here: the isolation
// test fails for a table that stays empty.
const representation = { Prefer: 'return=representation' };

export async function fill({ slug, admin }) {
  const marker = `secret of ${slug}`;
  const make = async (table, row) => (await admin.must('POST', `/${table}`, row, representation))[0];
  const call = (name, args) => admin.must('POST', `/rpc/${name}`, args);
  const { paths } = await admin.must('GET', '/');
  const room = (path) => path in paths;

  await call('role_create', { name: 'helper', display_name: 'Helper', description: marker, permissions: ['user:read'] });

  if (room('/structures')) {
    const structure = await make('structures', { name: 'salt', formula: 'NaCl', n_atoms: 8, format: 'cif', source: `data_NaCl # ${marker}` });
    await make('predicted_properties', { structure_id: structure.id, model_name: 'guess', model_version: '1', properties: { marker } });
    let parent = null;
    for (const engine of ['ATOMIC', 'MC', 'FEM']) {
      const job = await call('job_create', { name: `${engine} ${marker}`, engine, parent_job_id: parent, structure_id: engine === 'ATOMIC' ? structure.id : null });
      await call('job_submit', { id: job.id });
      await call('job_run', { id: job.id });
      parent = job.id;
    }
  }
}
