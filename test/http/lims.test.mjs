// Laboratory records over HTTP: samples, the calibration lockout, runs, results, as each who may and may not.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test, { before } from 'node:test';
import { Person, givePassword, organisation, request } from './lib.mjs';

const people = {};
const password = 'Quartz-Kestrel-48';
const at = (days) => new Date(Date.now() + days * 864e5).toISOString();
const detail = (answer) => JSON.parse(answer.json.details);
const one = { Prefer: 'return=representation', Accept: 'application/vnd.pgrst.object+json' };
const make = (who, table, row) => people[who].must('POST', `/${table}`, row, one);
const rpc = (who, name, body) => people[who].request('POST', `/rpc/${name}`, body);

before(async () => {
  const home = await organisation('lims-home');
  const other = await organisation('lims-other');
  Object.assign(people, { admin: home.admin, manager: home.manager, other: other.admin });
  for (const role of ['scientist', 'technician', 'viewer']) {
    await home.admin.must('POST', '/rpc/user_create', { email: `${role}@lims-home.example`, username: `lims-${role}`, roles: [role] });
    givePassword(`lims-${role}`, password);
    people[role] = new Person(`${role}@lims-home.example`, password);
  }
});

let sample;
test('a scientist registers samples in bulk, with checked barcodes', async () => {
  const rows = [...Array(10).keys()].map((i) => ({ name: `Wafer ${i}`, formula: 'GaN', lot_code: 'L-1', quantity: i, quantity_unit: 'mg' }));
  const made = await people.scientist.must('POST', '/samples', rows, { Prefer: 'return=representation' });
  assert.equal(made.length, 10);
  assert.equal(new Set(made.map((s) => s.barcode)).size, 10);
  assert.match(made[0].barcode, /^S-\d{6}-[0-9A-Z]$/);
  sample = made[0];
});
test('others read, or see nothing', async () => {
  assert.equal((await people.viewer.must('GET', '/samples?select=id')).length, 10);
  assert.equal((await people.viewer.request('POST', '/samples', { name: 'x' })).status, 403);
  assert.deepEqual(await people.other.must('GET', `/samples?id=eq.${sample.id}`), []);
  assert.equal((await request(null, 'GET', '/samples')).status, 401);
});
test('search by elements and by part of a name, newest first', async () => {
  assert.equal((await people.viewer.must('GET', '/samples?formula=cs.{Ga,N}&order=id.desc&limit=3')).length, 3);
  assert.equal((await people.viewer.must('GET', '/samples?name=ilike.*fer 7*'))[0].name, 'Wafer 7');
  assert.equal((await people.viewer.must('GET', '/samples?formula=cs.{Pb}')).length, 0);
});
test('a stale version and an If-Match that does not match are 412', async () => {
  const path = `/samples?id=eq.${sample.id}`;
  assert.equal((await people.scientist.request('PATCH', path, { status: 'available', version: 1 })).status, 204);
  assert.equal((await people.scientist.request('PATCH', path, { name: 'x', version: 1 })).status, 412);
  assert.equal((await people.scientist.request('PATCH', path, { name: 'x' }, { 'If-Match': '"1"' })).status, 412);
  assert.equal((await people.scientist.request('PATCH', path, { name: 'Wafer zero' }, { 'If-Match': '"2"' })).status, 204);
});
test('custody is read, not written', async () => {
  const events = await people.viewer.must('POST', '/rpc/sample_custody', { id: sample.id });
  assert.deepEqual(events.map((e) => e.event), ['registered', 'status_changed']);
  assert.equal((await people.admin.request('POST', '/sample_history', { sample_id: sample.id, event: 'moved' })).status, 403);
  assert.equal((await rpc('other', 'sample_custody', { id: sample.id })).status, 404);
});
test('a PATCH or DELETE that forgot its filter changes nothing, unless it says how many rows it means', async () => {
  await people.scientist.must('POST', '/samples', Array.from({ length: 101 }, (_, i) => ({ name: `Bulk ${i}` })), { Prefer: 'return=minimal' });
  for (const [who, method, body] of [['scientist', 'PATCH', { description: 'x' }], ['manager', 'DELETE']]) {
    for (const path of ['/samples', '/samples?name=like.Bulk*']) {
      const refused = await people[who].request(method, path, body);
      assert.equal(refused.status, 400);
      assert.deepEqual(detail(refused), { code: 'too_many_rows', table: 'samples', limit: 100 });
    }
  }
  assert.equal((await people.viewer.must('GET', '/samples?description=eq.x')).length, 0);
  const meant = { Prefer: 'return=minimal, max-affected=101' };
  assert.equal((await people.scientist.request('PATCH', '/samples?name=like.Bulk*', { description: 'x' }, meant)).status, 204);
  assert.equal((await people.viewer.must('GET', '/samples?description=eq.x&select=id')).length, 101);
  assert.equal((await people.manager.request('DELETE', '/samples?name=like.Bulk*', undefined, meant)).status, 204);
  assert.equal((await people.viewer.must('GET', '/samples?name=like.Bulk*')).length, 0);
});
test('what a client writes does not become a header of the answer', async () => {
  const answer = await people.scientist.request('PATCH', `/samples?id=eq.${sample.id}`, { status: 'x\r\nX-Evil: 1' });
  assert.ok(answer.status >= 400 && answer.status < 500);
  assert.equal(answer.headers?.get?.('x-evil') ?? null, null);
});

let instrument, run;
test('no run without a calibration: 409 with code, message, date and instrument', async () => {
  instrument = await make('manager', 'instruments', { name: 'Spectrometer', serial_number: 'SN-9' });
  const missing = await rpc('scientist', 'run_create', { instrument_id: instrument.id, method: 'uv-vis', sample_id: sample.id });
  assert.equal(missing.status, 409);
  assert.equal(detail(missing).code, 'calibration_missing');
  const old = await make('technician', 'calibrations', {
    instrument_id: instrument.id, certificate_id: 'C-1', issued_at: '2019-01-01Z', expires_at: '2020-01-31Z', provider: 'Institute', result: 'pass',
  });
  assert.equal((await rpc('technician', 'calibration_approve', { id: old.id })).status, 403);
  assert.equal((await rpc('manager', 'calibration_approve', { id: old.id })).status, 200);
  for (const expired of [
    await rpc('scientist', 'run_create', { instrument_id: instrument.id, method: 'uv-vis' }),
    await people.scientist.request('POST', '/runs', { instrument_id: instrument.id, method: 'uv-vis' }),
    await people.scientist.request('POST', '/runs', [{ instrument_id: instrument.id, method: 'uv-vis' }, { instrument_id: instrument.id, method: 'x' }]),
  ]) {
    assert.equal(expired.status, 409);
    const d = detail(expired);
    assert.equal(d.code, 'calibration_expired');
    assert.equal(d.message, 'the calibration of the instrument expired on 2020-01-31');
    assert.equal(new Date(d.expires_at).toISOString(), '2020-01-31T00:00:00.000Z');
    assert.equal(d.instrument.name, 'Spectrometer');
  }
  assert.equal((await rpc('viewer', 'run_create', { instrument_id: instrument.id, method: 'x' })).status, 403);
  assert.equal((await rpc('other', 'run_create', { instrument_id: instrument.id, method: 'x' })).status, 404);
  assert.equal((await request(null, 'POST', '/rpc/run_create', { instrument_id: instrument.id, method: 'x' })).status, 401);
});
test('with an approved one it is created, started, embedded, finished', async () => {
  const fresh = await make('technician', 'calibrations', {
    instrument_id: instrument.id, certificate_id: 'C-2', issued_at: at(-1), expires_at: at(300), provider: 'Institute', result: 'pass',
  });
  await people.manager.must('POST', '/rpc/calibration_approve', { id: fresh.id });
  const [status] = await people.viewer.must('GET', `/rpc/calibration_status?instrument_id=${instrument.id}`);
  assert.deepEqual([status.state, status.certificate_id, status.days_left], ['valid', 'C-2', 299]);
  run = await people.scientist.must('POST', '/rpc/run_create', { instrument_id: instrument.id, method: 'uv-vis', sample_id: sample.id });
  assert.equal((await people.technician.must('POST', '/rpc/run_start', { id: run.id })).status, 'running');
  const [seen] = await people.viewer.must('GET',
    `/runs?id=eq.${run.id}&select=status,instruments!run_instrument(name,status),samples!run_sample(barcode),calibrations!run_calibration(certificate_id)`);
  assert.deepEqual(seen, { status: 'running', instruments: { name: 'Spectrometer', status: 'in_use' }, samples: { barcode: sample.barcode }, calibrations: { certificate_id: 'C-2' } });
});
test('a real spectrum and a CSV become results with units', async () => {
  const text = readFileSync(new URL('../data/jcamp/compression_jcamp-fix.dx', import.meta.url), 'latin1');
  const dry = await people.technician.must('POST', '/rpc/result_import_jcamp', { run_id: run.id, text, dry_run: true });
  assert.equal(dry.imported[0].points, 16384);
  assert.equal((await people.technician.must('POST', '/rpc/result_import_jcamp', { run_id: run.id, text })).results, 1);
  const csv = await people.technician.must('POST', '/rpc/result_import_csv', { run_id: run.id, text: 'name,band gap [eV]\na,3.4\nb,3.5\n' });
  assert.deepEqual([csv.results, csv.dropped[0].column], [2, 'name']);
  const results = await people.viewer.must('GET', `/results?run_id=eq.${run.id}&order=id&select=property,value,unit,out_of_spec,axis`);
  assert.equal(results.length, 3);
  assert.equal(results[0].axis.unit, 'Hz');
  assert.deepEqual([results[1].property, results[1].value, results[1].unit], ['band gap', 3.4, 'eV']);
  const bad = await rpc('technician', 'result_import_jcamp', { run_id: run.id, text: text.slice(0, 200000) });
  assert.equal(bad.status, 400);
  assert.equal(bad.json.code, 'LB401');
  assert.equal(detail(bad).code, 'invalid_jcamp');
  assert.equal((await people.technician.must('POST', '/rpc/run_finish', { id: run.id })).status, 'succeeded');
});
test('a deleted record is gone, in the trash, and back', async () => {
  assert.equal((await people.scientist.request('DELETE', `/samples?id=eq.${sample.id}`)).status, 403);
  assert.equal((await people.manager.request('DELETE', `/samples?id=eq.${sample.id}`)).status, 204);
  assert.deepEqual(await people.viewer.must('GET', `/samples?id=eq.${sample.id}`), []);
  assert.equal((await people.manager.must('POST', '/rpc/trash', { kind: 'sample' }))[0].id, sample.id);
  assert.equal((await rpc('other', 'restore', { kind: 'sample', id: sample.id })).status, 404);
  assert.equal((await people.manager.must('POST', '/rpc/restore', { kind: 'sample', id: sample.id })).barcode, sample.barcode);
});
