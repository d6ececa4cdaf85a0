// Empty, NULL, huge, malformed and hostile values for every call and every column, as somebody who may: the documented
// error, in good time, and nothing is left. The lists come from the OpenAPI description and the catalog: a new call
// or column is tried without being named here. The first pass goes through a PostgREST of its own that rolls every
// transaction back, so that each value meets the same state; what it refused is then sent again to the real one.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import test, { after, before } from 'node:test';
import { installationAdmin, organisation, signIn, sql, url } from './lib.mjs';
import { fill } from './fill.mjs';
import { bodies, deal, files, filters, headers, leaves, nowhere, queries, valuesFor } from './hostile.mjs';

const allowed = new Set([200, 201, 202, 204, 206, 300, 304, 400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 416, 422, 429]);
const leak = /SQL statement|PL\/pgSQL|\.[ch]:\d|\/(usr|tmp|home|var|root)\/|\bCONTEXT\b|lab_private\.|stack trace|XX000/;
const slow = 10000;
const documented = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
const directory = process.env.LABOS_DIR;
const logStart = directory ? statSync(`${directory}/server.log`).size : 0;
// Calls of the whole installation need its administrator.
const ofInstallation = /^(auth_cleanup|identity_settings|oidc_provider_list|organization_create|signing_key|permission_(create|update|delete))/;

let alpha, beta, api, root, token, rollback, child, scratch, base, tables, writable, foreign;
const known = new Map();
const faults = [];
const refused = new Map();
let sent = 0, answered = 0;
let slowest = { ms: 0 };

const q = JSON.stringify;
const object = (entries) => `{${Object.entries(entries).map(([k, v]) => `${q(k)}:${v}`).join()}}`;
const raw = (row) => Object.fromEntries(Object.entries(row).map(([k, v]) => [k, q(v)]));

async function call(server, { method, path, body, type, as, more }) {
  const started = performance.now();
  try {
    const answer = await fetch(server + path, {
      method,
      headers: { ...(body === undefined ? {} : { 'Content-Type': type ?? 'application/json' }), ...(as === null ? {} : { Authorization: `Bearer ${as ?? token}` }), ...more },
      body, signal: AbortSignal.timeout(slow),
    });
    return { status: answer.status, type: answer.headers.get('content-type') ?? '', text: await answer.text(), ms: performance.now() - started };
  } catch (error) {
    return { status: 0, text: `${error.cause?.message ?? error.message}`, type: '', ms: performance.now() - started };
  }
}

// What is wrong with an answer, or null.
function wrong(request, answer) {
  // PostgREST's own fault before it asks anybody: docs/errors.md.
  if (answer.status === 500 && answer.text.trim() === 'Something went wrong' && (request.type === 'text/csv' || noText(request))) return null;
  if (!allowed.has(answer.status)) return `status ${answer.status}`;
  if (answer.status < 400 || request.method === 'HEAD') return null;
  let error;
  try { error = JSON.parse(answer.text); } catch { return 'no JSON'; }
  if (error.error !== undefined && request.path.startsWith('/rpc/auth_token')) return null;
  if (!error.code || !error.message) return 'without code or message';
  let code = error.code;
  try { code = JSON.parse(error.details).code ?? code; } catch { /* details of PostgreSQL */ }
  answer.code = code;
  if (!known.has(code)) known.set(code, new RegExp(`\\b${code}\\b`).test(documented));
  if (!known.get(code)) return `${code} is not in docs/errors.md`;
  const own = [request.path, request.path.length < 8000 ? decodeURI_(request.path) : '', String(request.body ?? ''), ...Object.values(request.more ?? {})].join('\n');
  const found = leak.exec(`${error.message}\n${error.hint ?? ''}\n${error.details ?? ''}`);
  if (found && !own.includes(found[0])) return `shows ${found[0]}`;
  if (answer.text.includes(beta.slug)) return 'shows the other organisation';
  // A value may be repeated, nothing more.
  if (answer.text.length > 20000 + 2 * own.length) return `an error of ${answer.text.length} characters`;
  return null;
}
const noText = ({ path, type, body, more }) => /%(ff|fe|c0)/i.test(path) || (/urlencoded/.test(type ?? '') && /%ff/.test(body)) || /[\u0080-\u00ff]/.test(Object.values(more ?? {}).join());
const decodeURI_ = (s) => { try { return decodeURIComponent(s); } catch { return s; } };

// Four at a time; what is refused is remembered once per place and code.
async function run(requests, server = rollback) {
  const queue = requests[Symbol.iterator]();
  const found = [];
  await Promise.all(Array.from({ length: 4 }, async () => {
    for (const request of queue) {
      const answer = await call(server, request);
      sent += 1;
      if (answer.status < 400) answered += 1;
      if (answer.ms > slowest.ms) slowest = { ms: Math.round(answer.ms), what: describe(request) };
      const fault = wrong(request, answer);
      if (fault) found.push(`${fault}: ${describe(request)} -> ${answer.status} ${answer.text.slice(0, 300)}`);
      else if (answer.status >= 400 && answer.status !== 500) refused.set(`${request.method} ${request.place} ${answer.status} ${answer.code}`, request);
    }
  }));
  faults.push(...found);
  if (process.env.BADINPUT_LOG) appendFileSync(process.env.BADINPUT_LOG, found.map((f) => `${f}\n`).join(''));
  return found;
}
const describe = (r) => `${r.method} ${r.path.slice(0, 200)} ${String(r.body ?? '').slice(0, 300)}${r.more ? ` ${q(r.more).slice(0, 150)}` : ''}`;
const clean = (found) => assert.equal(found.length, 0, `${found.length} answers:\n${found.slice(0, 20).join('\n')}`);

// A PostgREST like the server's, which rolls back.
async function rollbackServer() {
  scratch = mkdtempSync(`${tmpdir()}/labos-badinput-`);
  const port = await new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => { const { port } = probe.address(); probe.close(() => resolve(port)); });
  });
  const conf = readFileSync(`${directory}/postgrest.conf`, 'utf8').replace(/^server-port.*$/m, `server-port = ${port}`).replace(/^db-tx-end.*$/m, 'db-tx-end = "rollback"');
  writeFileSync(`${scratch}/postgrest.conf`, conf, { mode: 0o600 });
  child = spawn(`${directory}/postgrest`, [`${scratch}/postgrest.conf`], { stdio: 'ignore' });
  const at = `http://127.0.0.1:${port}`;
  for (let i = 0; i < 300; i++) {
    if ((await call(at, { method: 'GET', path: '/' })).status === 200) return at;
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
  throw new Error('the second PostgREST does not answer');
}

after(() => {
  child?.kill();
  if (scratch) rmSync(scratch, { recursive: true, force: true });
});

// An id of the other organisation where the column or argument would take one of this.
const idOf = (org, table) => sql(`select id from lab_data.${table} where ${tables.get(table) ? `org_id = '${org.id}'` : 'true'} order by id limit 1`)[0]?.id;
function tableFor(name, call_) {
  const stem = name === 'id' ? call_.split('_')[0] : name.replace(/_ids?$/, '').replace(/^(to|parent|lead|owner|operator|responsible)_/, '');
  const alias = { job: 'simulation_jobs', campaign: 'design_campaigns', candidate: 'campaign_candidates', lead: 'users', operator: 'users', responsible: 'users', auth: 'user_sessions', ids: 'results' };
  const table = alias[stem] ?? [...tables.keys()].find((t) => t.replace(/s$/, '') === stem);
  return table ?? 'samples';
}

before(async () => {
  const run_ = randomUUID().slice(0, 6);
  alpha = await organisation(`alpha-${run_}`);
  beta = await organisation(`beta-${run_}`);
  await fill(alpha);
  await fill(beta);
  tables = new Map(sql(`select c.relname as name, exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'org_id') as tenant
    from pg_class c where c.relnamespace = 'lab_data'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
      and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'id' and a.atttypid = 'uuid'::regtype)`).map((t) => [t.name, t.tenant]));
  const columns = sql(`select table_name as t, column_name as c, privilege_type as p from information_schema.column_privileges
    where table_schema = 'lab' and grantee = 'lab_user' and privilege_type in ('INSERT', 'UPDATE')`);
  writable = (table, verb) => new Set(columns.filter((x) => x.t === table && x.p === verb).map((x) => x.c));
  token = await signIn(alpha.admin.login, alpha.admin.password);
  root = await installationAdmin();
  rollback = await rollbackServer();
  api = await alpha.admin.must('GET', '/');
  const asRoot = JSON.parse((await call(url, { method: 'GET', path: '/', as: root })).text);
  api.paths = { ...asRoot.paths, ...api.paths };
  foreign = (name, call_) => idOf(beta, tableFor(name, call_)) ?? nowhere;
  base = await goodArguments();
});

// Arguments with which the calls succeed, so that one bad value among them is met where it is used.
async function goodArguments() {
  const make = async (table, row) => (await alpha.admin.must('POST', `/${table}`, row, { Prefer: 'return=representation' }))[0];
  const rpc = async (name, args) => { const r = await alpha.admin.must('POST', `/rpc/${name}`, args); return Array.isArray(r) ? r[0] : r; };
  const one = (query) => sql(query)[0]?.id;
  const mine = (table, where = 'true') => one(`select id from lab_data.${table} where org_id = '${alpha.id}' and ${where} order by id limit 1`);
  const user = one(`select id from lab_data.users where username = '${alpha.slug}-nobody'`);
  const me = one(`select id from lab_data.users where username = '${alpha.slug}-admin'`);
  const instrument = mine('instruments');
  const start = async () => { const r = await rpc('run_create', { instrument_id: instrument, method: 'NMR' }); await rpc('run_start', { id: r.id }); return r.id; };
  const queued = (await rpc('run_create', { instrument_id: instrument, method: 'NMR', sample_id: mine('samples') })).id;
  const running = await start();
  const job = (await rpc('job_create', { name: 'p', engine_type: 'ATOMIC', structure_id: mine('structures') })).id;
  const submitted = (await rpc('job_create', { name: 's', engine_type: 'ATOMIC', structure_id: mine('structures') })).id;
  await rpc('job_submit', { id: submitted });
  const config = { target_properties: { band_gap: { target: 1.5, tolerance: 0.3, weight: 1 } }, evaluator: { kind: 'dataset', dataset_id: mine('datasets') }, strategy: 'random', candidates_per_iteration: 2, max_iterations: 3, seed: 42 };
  const draft = (await rpc('campaign_create', { name: 'draft', config })).id;
  const live = (await rpc('campaign_create', { name: 'live', config })).id;
  await rpc('campaign_start', { id: live });
  const outside = (await rpc('campaign_create', { name: 'outside', config: { ...config, evaluator: { kind: 'external' }, search_space: { x: { type: 'float', min: 0, max: 1 } } } }).catch((e) => { if (process.env.BADINPUT_VERBOSE) console.error(e.message); return {}; })).id;
  let candidate = mine('campaign_candidates');
  if (outside) {
    await rpc('campaign_start', { id: outside });
    candidate = (await rpc('campaign_suggest', { id: outside, n: 2 })).id;
  }
  const calibration = (await make('calibrations', { instrument_id: instrument, certificate_id: 'C-2', issued_at: '2026-01-01T00:00:00Z', expires_at: '2036-01-01T00:00:00Z', provider: 'Lab', result: 'pass' })).id;
  const gone = (await make('materials', { name: 'gone', formula: 'NaCl' })).id;
  await alpha.admin.must('DELETE', `/materials?id=eq.${gone}`);
  const offered = (await make('samples', { name: 'offered' })).id;
  await rpc('sample_transfer', { id: offered, to_user_id: me });
  const spectrum = '##TITLE=x\n##JCAMP-DX=4.24\n##DATA TYPE=INFRARED SPECTRUM\n##XUNITS=1/CM\n##YUNITS=ABSORBANCE\n##FIRSTX=1\n##LASTX=3\n##NPOINTS=3\n##XFACTOR=1\n##YFACTOR=1\n##XYDATA=(X++(Y..Y))\n1 1 2 3\n##END=\n';
  const idpKeys = sql(`select jwks from lab_data.oidc_providers where org_id = '${alpha.id}'`)[0].jwks;
  const person = { email: 'new@x.example', username: 'new-person', password: 'Isolation-2026' };
  return {
    defaults: { name: 'thing', kind: 'sample', reason: 'because', login: alpha.admin.login, password: 'Wrong-2026', email: 'new@x.example', username: 'new-person', org: alpha.slug, role: 'helper', method: 'NMR', status: 'available', error: 'broken', notes: 'n', text: 'a', at: '2026-01-01T00:00:00Z', from: '2026-01-01T00:00:00Z', to: '2027-01-01T00:00:00Z', before: '2027-01-01T00:00:00Z', user_id: user, to_user_id: user },
    audit_as_of: { id: mine('samples'), at: '2036-01-01T00:00:00Z' }, audit_diff: { id: mine('samples') }, audit_history: { id: mine('samples') },
    auth_login: { device_info: { name: 'x' } }, auth_refresh: { refresh_token: 'x' }, auth_register: person, auth_org_switch: { device_info: {} },
    auth_password_change: { current: alpha.admin.password, new: 'Another-2026' }, auth_me_update: { preferences: { theme: 'dark' }, username: 'me-again' },
    auth_invite: { email: 'invited@x.example', role: 'viewer', message: 'm', expires_at: undefined }, auth_invite_resend: { id: mine('invitations') }, auth_invite_revoke: { id: mine('invitations') }, auth_invite_accept: { token: 'A'.repeat(43), device_info: { name: 'x' } },
    auth_email_change: { new_email: 'other@x.example', password: alpha.admin.password, code: undefined }, auth_password_reset: { token: 'A'.repeat(43), new: 'Another-2026' }, auth_verify_email: { token: 'A'.repeat(43) }, auth_email_confirm: { token: 'A'.repeat(43) },
    auth_token: { grant_type: 'password', username: alpha.admin.login, password: alpha.admin.password },
    calibration_approve: { id: calibration }, campaign_create: { name: 'c', config }, campaign_update: { id: draft, name: 'd', config, version: undefined }, campaign_start: { id: draft }, campaign_step: { id: live },
    campaign_suggest: { id: outside ?? live }, campaign_observe: { candidate, properties: { band_gap: 1.4 }, uncertainty: { band_gap: 0.1 }, error: undefined }, campaign_explain: { candidate }, campaign_pause: { id: live }, campaign_cancel: { id: live }, campaign_resume: { id: live },
    campaign_iteration: { id: mine('design_campaigns', "name = 'Absorbers'"), index: 1 }, campaign_iterations: { id: mine('design_campaigns', "name = 'Absorbers'") },
    dataset_import: { name: 'D', csv: 'formula,gap\nGaAs,1.4\nNaCl,8.5\n', mapping: { formula: 'formula', properties: { band_gap: 'gap' } }, dry_run: false },
    identity_settings_update: { settings: JSON.parse('{"lock_seconds":60}') },
    job_create: { engine_type: 'ATOMIC', scale: undefined, parameters: {}, structure_id: mine('structures'), parent_job_id: undefined, fidelity: 'stub', seed: 1, priority: 1 }, job_submit: { id: job }, job_run: { id: submitted }, job_cancel: { id: submitted }, job_retry: { id: job },
    organization_create: { name: 'Gamma', slug: `gamma-${alpha.slug}`, admin_email: 'g@x.example', admin_username: 'gamma-admin', initial_password: false },
    restore: { kind: 'material', id: gone }, trash: { kind: 'material' }, purge: { kind: 'material' }, role_restore: { id: user }, permission_create: { name: 'plot:read', description: 'x' }, permission_update: { name: 'plot:read', description: 'x' }, permission_delete: { name: 'plot:read' }, result_record: { run_id: running, results: [{ property: 'purity', value: 99.3, uncertainty: 0.2, unit: '%', method: 'x', lower_limit: 0, upper_limit: 100, measured_at: '2026-01-01T00:00:00Z', metadata: { a: 1 } }, { property: 'curve', unit: '1', value_array: [1, 2], axis: { name: 'x', unit: 'nm', values: [1, 2] } }] },
    result_import_csv: { run_id: running, text: 'purity [%]\n99\n', mapping: {}, dry_run: false }, result_import_jcamp: { run_id: running, text: spectrum, dry_run: false },
    role_create: { name: 'other', permissions: ['user:read'], parent: 'viewer' }, role_update: { permissions: ['user:read'], parent: 'viewer' }, role_assign: { expires_at: '2036-01-01T00:00:00Z' },
    run_create: { instrument_id: instrument, sample_id: mine('samples'), project_id: mine('projects'), operator_id: me, params: { a: 1 } }, run_start: { id: queued }, run_finish: { id: running }, run_fail: { id: running }, run_cancel: { id: queued },
    sample_accept: { id: offered }, sample_transfer: { id: mine('samples'), location_id: mine('locations', "kind = 'box'"), position: 'B2', to_user_id: undefined }, sample_status_set: { id: mine('samples', "name = 'Sand'") },
    location_tree: { id: mine('locations') }, location_path: { id: mine('locations') }, membership_restore: { roles: ['viewer'] }, signing_key_rotate: { alg: 'HS256' }, signing_key_retire: { kid: 'nothing' },
    user_create: { email: person.email, username: person.username, roles: ['viewer'] }, user_update: { id: user, version: undefined }, user_delete: { id: user }, user_activate: { id: user }, user_deactivate: { id: user }, user_restore: { id: user }, user_unlock: { id: user }, user_password_reset: { id: user }, user_permissions: { id: user },
    api_key_create: { name: 'k', scopes: ['sample:read'], expires_at: undefined, owner_id: undefined }, api_key_rotate: { id: mine('api_keys'), overlap_minutes: 5 }, api_key_revoke: { id: mine('api_keys') },
    oidc_provider_create: { name: 'i', issuer: 'https://other.example', client_id: 'c', jwks: idpKeys, email_domains: ['x.example'], algorithms: ['ES256'], default_role: 'viewer', installation: false },
    oidc_provider_update: { id: mine('oidc_providers'), jwks: idpKeys, email_domains: ['x.example'], algorithms: ['ES256'], default_role: 'viewer', version: undefined }, oidc_provider_delete: { id: mine('oidc_providers') },
    webhook_create: { name: 'w', url: 'https://w.example/', events: ['user.created'], is_enabled: true }, webhook_update: { id: mine('webhooks'), url: 'https://w.example/', events: ['user.created'], version: undefined }, webhook_rotate_secret: { id: mine('webhooks') }, webhook_test: { id: mine('webhooks') }, webhook_delete: { id: mine('webhooks') },
    auth_oidc: { device_info: { name: 'x' } },
    auth_session_end: { id: one(`select id from lab_data.user_sessions where user_id = '${me}' limit 1`) ?? nowhere },
  };
}

const calls = () => Object.keys(api.paths).filter((p) => p.startsWith('/rpc/')).map((p) => {
  const schema = api.paths[p].post.parameters.find((x) => x.name === 'args').schema;
  const name = p.slice(5);
  const args = Object.entries(schema.properties ?? {}).map(([arg, { format, type, items }]) => ({ arg, format: format ?? (type === 'array' ? `${items?.format ?? 'text'}[]` : type) }));
  const as = ofInstallation.test(name) ? root : token;
  const good = {};
  for (const { arg, format } of args) {
    const given = base[name] ?? {};
    if (arg in given) { if (given[arg] !== undefined) good[arg] = given[arg]; }
    else if (arg in base.defaults) good[arg] = base.defaults[arg];
    else if (format === 'uuid' && (schema.required ?? []).includes(arg)) good[arg] = idOf(alpha, tableFor(arg, name)) ?? nowhere;
    else if (format === 'uuid[]') good[arg] = [idOf(alpha, tableFor(arg, name)) ?? nowhere];
  }
  return { name, args, as, good, place: p, reads: 'get' in api.paths[p], required: schema.required ?? [] };
});

// Every leaf of a JSON value replaced, and every member without it or with one more.
function* shaken(value, put = (v) => v) {
  const parts = Array.isArray(value) ? value.map((v, i) => [i, v]) : value && typeof value === 'object' ? Object.entries(value) : [];
  const text = (entries) => (Array.isArray(value) ? `[${entries.map(([, v]) => v).join()}]` : `{${entries.map(([k, v]) => `${q(k)}:${v}`).join()}}`);
  for (const leaf of leaves) yield put(leaf);
  for (const [key, part] of parts) {
    const rest = (v) => put(text(parts.map(([k, old]) => [k, k === key ? v : q(old)])));
    yield put(text(parts.filter(([k]) => k !== key).map(([k, v]) => [k, q(v)])));
    yield* shaken(part, rest);
  }
  if (!Array.isArray(value) && parts.length) yield put(text([...parts.map(([k, v]) => [k, q(v)]), ["'; --", '1']]));
}

function* callRequests({ name, args, as, good, place, reads }) {
  const path = `/rpc/${name}`;
  const fixed = raw(good);
  // A password is hashed at length.
  const dear = args.some(({ arg }) => /password|^current$/.test(arg));
  const post = (body, where = place) => ({ method: 'POST', path, body, as, place: where });
  yield post('{}');
  yield post(undefined);
  yield post(object(Object.fromEntries(args.map(({ arg }) => [arg, 'null']))));
  yield post(object({ ...fixed, nothing_of_this_name: '1' }));
  yield post(`[${object(fixed)},${object(fixed)}]`);
  for (const { arg, format } of args) {
    const where = `${place} ${arg}`;
    for (const value of deal(valuesFor(format, foreign(arg, name)), dear ? 5 : 14)) yield post(object({ ...fixed, [arg]: value }), where);
    yield post(object(fixed).replace(/\}$/, `${Object.keys(fixed).length ? ',' : ''}${q(arg)}:1,${q(arg)}:[]}`), where);
    if (/^jsonb?$/.test(format) && good[arg] && typeof good[arg] === 'object') for (const value of deal([...shaken(good[arg])], 40)) yield post(object({ ...fixed, [arg]: value }), where);
    if (format === 'text' && /^(csv|text)$/.test(arg)) for (const file of files) yield post(object({ ...fixed, [arg]: file }), where);
    for (const value of deal(['%00', "'", 'x'.repeat(2000), '{', '[1'], 1)) {
      yield { method: 'GET', path: `${path}?${arg}=${value}`, as, place: where };
    }
  }
  for (const [type, body] of deal(bodies, 5)) yield { method: 'POST', path, as, type, body, place };
  yield { method: 'GET', path: `${path}?${new URLSearchParams(Object.entries(good).map(([k, v]) => [k, typeof v === 'object' ? q(v) : String(v)]))}`, as, place, reads };
  for (const method of ['PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS']) yield { method, path, as, place, body: ['PUT', 'PATCH'].includes(method) ? '{}' : undefined };
  yield { ...post(object(fixed)), path: `${path}?select=nothing&order=x.y.z&limit=-1` };
}

const views = () => Object.keys(api.paths).filter((p) => p !== '/' && !p.startsWith('/rpc/')).map((p) => p.slice(1));

async function rowRequests(view) {
  const columns = Object.entries(api.definitions[view]?.properties ?? {}).map(([name, { format, type, items }]) => ({ name, format: format ?? (type === 'array' ? `${items?.format ?? 'text'}[]` : type) }));
  const inserts = writable(view, 'INSERT'), updates = writable(view, 'UPDATE');
  const [row] = JSON.parse((await call(url, { method: 'GET', path: `/${view}?limit=1` })).text);
  const good = {};
  for (const [name, value] of Object.entries(row ?? {})) {
    if (value === null || !inserts.has(name) || ['id', 'barcode', 'position', 'version'].includes(name)) continue;
    good[name] = /^(name|code|serial_number|certificate_id)$/.test(name) ? `${value} 2`.replace(/^(P-\d) 2$/, '$1-2') : value;
  }
  const target = row && 'id' in row ? `/${view}?id=eq.${row.id}` : `/${view}?limit=0`;
  const requests = [];
  const place = (column) => `/${view} ${column ?? ''}`;
  const post = (body, column) => requests.push({ method: 'POST', path: `/${view}`, body, place: place(column) });
  const patch = (body, column) => requests.push({ method: 'PATCH', path: target, body, place: place(column) });
  post(object(raw(good)));
  for (const { name, format } of columns) {
    const values = valuesFor(format, idOf(beta, tableFor(name, view)) ?? nowhere);
    const fixed = raw(good);
    // What cannot be written is refused before its value is read: one is enough.
    for (const value of inserts.has(name) ? deal(values, 8) : ['null']) post(object({ ...fixed, [name]: value }), name);
    for (const value of updates.has(name) ? deal(values.filter((v) => v.length < 10000), 4) : []) patch(object({ [name]: value }), name);
    for (const filter of deal(filters, 2)) requests.push({ method: 'GET', path: `/${view}?${filter.replaceAll('%%', name)}`, place: place(name) });
    for (const value of deal(['', "'", '%00', 'x'.repeat(300)], 1)) requests.push({ method: 'PATCH', path: `/${view}?${name}=eq.${value}`, body: '{}', place: place(name) });
    if (/^jsonb?$/.test(format) && inserts.has(name) && good[name]) for (const value of deal([...shaken(good[name])], 20)) post(object({ ...fixed, [name]: value }), name);
  }
  for (const query of deal(queries, 8)) for (const method of deal(['GET', 'PATCH', 'DELETE'], 2)) requests.push({ method, path: `/${view}?${query}`, body: method === 'PATCH' ? '{}' : undefined, place: place('query') });
  for (const more of deal(headers, 6)) {
    requests.push({ method: 'GET', path: `/${view}`, more, place: place('header') });
    requests.push({ method: 'PATCH', path: target, body: '{}', more, place: place('header') });
  }
  for (const [type, body] of deal(bodies, 6)) for (const method of deal(['POST', 'PATCH'], 1)) requests.push({ method, path: method === 'POST' ? `/${view}` : target, type, body, place: place('body') });
  return requests;
}

// Everything that belongs to the organisation but the record of attempts.
const digest = () => sql(sql(`select c.relname as name from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'org_id'
    where c.relnamespace = 'lab_data'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition and c.relname not in ('access_logs', 'user_sessions') order by 1`)
  .map(({ name }) => `select '${name}' as name, count(*) as n, md5(string_agg(x::text, ',' order by x::text)) as sum from lab_data.${name} x where x.org_id = '${alpha.id}'`)
  .concat(`select 'users', count(*), md5(string_agg((to_jsonb(u) - array['failed_login_attempts', 'locked_until', 'last_login_at', 'version', 'updated_at', 'updated_by'])::text, ',' order by u.id)) from lab_data.users u where u.username like '${alpha.slug}-%'`,
    `select 'organizations', count(*), md5(string_agg(x::text, '')) from lab_data.organizations x where x.id = '${alpha.id}' or x.slug like '%${alpha.slug}%'`).join(' union all '));

const possible = directory && existsSync(`${directory}/postgrest`) ? {} : { skip: 'LABOS_DIR is not a server of bin/server' };

test('bad input for every call', possible, async (t) => {
  let good = 0;
  const bad = [];
  for (const one of calls()) {
    const answer = await call(rollback, { method: 'POST', path: one.place, body: object(raw(one.good)), as: one.as });
    if (answer.status < 400) good += 1;
    else bad.push(`${one.name} ${answer.status} ${answer.text.slice(0, 250)}`);
    await t.test(one.name, async () => clean(await run(callRequests(one))));
  }
  t.diagnostic(`${good} of ${calls().length} calls succeed with the arguments that bad ones are put among`);
  if (process.env.BADINPUT_VERBOSE) for (const line of bad) t.diagnostic(line);
});

test('bad input for every table', possible, async (t) => {
  for (const view of views()) await t.test(view, async () => clean(await run(await rowRequests(view))));
});

test('ten megabytes', possible, async () => {
  const big = 'x'.repeat(10 << 20);
  clean(await run([
    { method: 'POST', path: '/samples', body: q({ name: big }), place: 'big' }, { method: 'POST', path: '/materials', body: q({ name: 'a', formula: big }), place: 'big' },
    { method: 'POST', path: '/rpc/auth_login', body: q({ login: big, password: big }), as: null, place: 'big' },
    { method: 'POST', path: '/rpc/dataset_import', body: q({ ...base.dataset_import, csv: 'formula,gap\n' + big }), place: 'big' },
    { method: 'POST', path: '/rpc/result_import_jcamp', body: q({ ...base.result_import_jcamp, text: `##TITLE=${big}` }), place: 'big' },
    { method: 'POST', path: '/projects', body: `{"code":"P-9","name":"a","metadata":${'['.repeat(1 << 20)}${']'.repeat(1 << 20)}}`, place: 'big' },
  ]));
});

test('a file of ten thousand columns is refused before it is searched', possible, async () => {
  const text = `${Array.from({ length: 10000 }, (_, i) => `c${i} [m]`).join()}\n`;
  const answer = await call(rollback, { method: 'POST', path: '/rpc/result_import_csv', body: q({ ...base.result_import_csv, text }) });
  assert.equal(answer.status, 422);
  assert.equal(JSON.parse(JSON.parse(answer.text).details).code, 'too_many_columns');
});

test('what was refused leaves nothing', possible, async (t) => {
  const again = [...refused.values()].filter((r) => String(r.body ?? '').length < 200000);
  const was = digest();
  const found = await run(again, url);
  assert.deepEqual(digest(), was);
  clean(found);
  t.diagnostic(`${sent} requests, ${answered} answered, ${again.length} refusals sent again, ${faults.length} faults; the slowest took ${slowest.ms} ms: ${slowest.what}`);
});

test('the server says nothing of a crash or of what cannot happen', possible, () => {
  const log = readFileSync(`${directory}/server.log`).subarray(logStart).toString('latin1').split('\n');
  const bad = log.filter((line) => /PANIC|terminated by signal|invalid memory alloc|could not (open|read) relation|cache lookup failed|Assert|ERROR:  unexpected /.test(line) && !/STATEMENT|DETAIL/.test(line));
  assert.deepEqual(bad.slice(0, 20), []);
});
