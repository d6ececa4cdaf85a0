// Canaries for test/t/canary.t:  fly DIR  sends them and writes DIR/canaries;  look DIR PLACE  prints those found there.
import { spawn, spawnSync } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';

const [, , command, dir, place] = process.argv;

if (command === 'look') {
  const text = readFileSync(`${dir}/${place}`, 'latin1').toLowerCase();
  for (const line of readFileSync(`${dir}/canaries`, 'utf8').trim().split('\n')) {
    const [name, canary] = [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)];
    const at = text.indexOf(canary.toLowerCase());
    if (at >= 0) console.log(`${name}: ...${JSON.stringify(text.slice(Math.max(0, at - 300), at + 100))}`);
  }
  process.exit(0);
}

const url = process.env.LABOS_URL;
writeFileSync(`${dir}/canaries`, '');
writeFileSync(`${dir}/errors`, '');
const remember = (name, value) => { appendFileSync(`${dir}/canaries`, `${name.replaceAll(' ', '_')} ${value}\n`); return value; };
let n = 0;
// Good enough for the password policy, and nowhere else in the world.
const canary = (name) => remember(name, `Cn${++n}${randomBytes(9).toString('hex')}Z9`);

// Statements by psql; what it prints as errors is what a client keeps in its own log.
function sql(text, user = 'postgres', env = {}) {
  const done = spawnSync(`${process.env.LABOS_BIN}/psql`, ['-X', '-q', '-A', '-t', '-U', user], { input: text, encoding: 'utf8', env: { ...process.env, ...env } });
  return done.stdout.trim();
}
async function call(name, body, token) {
  const answer = await fetch(`${url}/rpc/${name}`, {
    method: 'POST', headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await answer.text();
  let json = null;
  try { json = JSON.parse(text); } catch { /* not JSON */ }
  // An error may not repeat a secret to whoever reads the client's log.
  if (answer.status >= 400) appendFileSync(`${dir}/errors`, `${text}\n`);
  return { status: answer.status, json };
}
// Every secret that an answer holds is one more canary.
function keep(name, json) {
  const secret = /^(access_token|refresh_token|secret|backup_codes|key|challenge|token|mfa_token|otpauth_uri|uri|initial_password)$/;
  const walk = (value, path) => {
    if (Array.isArray(value)) return value.forEach((v) => walk(v, path));
    if (value && typeof value === 'object') return Object.entries(value).forEach(([k, v]) => walk(v, k));
    if (typeof value === 'string' && secret.test(path) && value.length > 7) remember(`${name}.${path}`, value);
  };
  walk(json, '');
  return json;
}

const password = canary('password');
const root = keep('root', (await call('auth_login', { login: process.env.LABOS_ADMIN_EMAIL, password: process.env.LABOS_ADMIN_PASSWORD })).json);
remember('the admin password', process.env.LABOS_ADMIN_PASSWORD);
const made = await call('user_create', { email: 'canary@lab.example', username: 'canary', initial_password: true, full_name: 'C', roles: ['admin'] }, root.access_token);
if (made.status !== 200) throw new Error(`user_create: ${made.status}`);
const { initial_password: initial } = keep('made', made.json);
const first = keep('first', (await call('auth_login', { login: 'canary', password: initial })).json);
if ((await call('auth_password_change', { current: initial, new: password }, first.access_token)).status !== 200) throw new Error('the canary cannot change its password');
const mine = keep('mine', (await call('auth_login', { login: 'canary', password })).json);
if (!mine.access_token) throw new Error('the canary cannot sign in');

// The ways of a person: every call that exists gives its secrets.
const exists = (name) => sql(`select count(*) from pg_proc where pronamespace = 'lab'::regnamespace and proname = '${name}'`) !== '0';
keep('refresh', (await call('auth_refresh', { refresh_token: mine.refresh_token })).json);
keep('token', (await call('auth_token', { grant_type: 'password', username: 'canary', password })).json);
const next = canary('new password');
await call('auth_password_change', { current: password, new: next }, mine.access_token);
if (exists('api_key_create')) {
  const key = keep('api_key', (await call('api_key_create', { name: 'canary', scopes: ['user:read'], expires_at: '2099-01-01' }, mine.access_token)).json)?.key;
  if (key && exists('auth_api_key')) keep('auth_api_key', (await call('auth_api_key', { key })).json);
}
if (exists('auth_mfa_setup')) {
  const setup = keep('mfa', (await call('auth_mfa_setup', {}, mine.access_token)).json);
  if (setup?.secret) {
    const bits = [...setup.secret.replace(/=+$/, '')].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('');
    const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
    const counter = Buffer.alloc(8);
    counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000)));
    const mac = createHmac('sha1', key).update(counter).digest();
    const code = String((mac.readUInt32BE(mac[19] & 15) & 0x7fffffff) % 1000000).padStart(6, '0');
    keep('mfa confirm', (await call('auth_mfa_confirm', { code }, mine.access_token)).json);
    const half = keep('half', (await call('auth_login', { login: 'canary', password: next })).json);
    if (half?.challenge) await call('auth_mfa_verify', { challenge: half.challenge, code: canary('code') });
    await call('auth_mfa_disable', { password: next, code: canary('code to disable') }, mine.access_token);
  }
}
for (const kid of sql('select kid from lab_private.signing_keys').split('\n')) {
  remember(`private key ${kid}`, sql(`select lab_private.private_jwk(k) ->> 'd' from lab_private.signing_keys k where k.kid = '${kid}'`));
}

// Every argument of every call whose name says that it is a secret.
const secret = /password|token|secret|^(new|current|code|key|challenge|nonce)$/;
const calls = JSON.parse(sql(`select coalesce(json_agg(json_build_object('schema', p.pronamespace::regnamespace::text, 'name', p.proname, 'args',
    (select coalesce(json_agg(json_build_object('name', p.proargnames[i], 'type', format_type(p.proargtypes[i - 1], null)) order by i), '[]') from generate_series(1, p.pronargs) i)) order by 1), '[]')
  from pg_proc p where p.pronamespace in ('lab'::regnamespace, 'labos'::regnamespace) and p.prokind = 'f' and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)`))
  .filter((f) => !/^labos\.(labcode_|throttle$)/.test(`${f.schema}.${f.name}`) && f.args.some((a) => secret.test(a.name ?? '') && /^(text|jsonb?|bytea)$/.test(a.type)));
if (calls.length < 15) throw new Error(`only ${calls.length} calls with secrets`);
const valueOf = (f, a) => {
  if (secret.test(a.name ?? '') && ['text', 'json', 'jsonb'].includes(a.type)) return canary(`${f.schema}.${f.name}.${a.name}`);
  if (a.type === 'uuid') return '00000000-0000-4000-8000-000000000000';
  if (/^(integer|bigint|smallint|numeric|double precision)$/.test(a.type)) return 1;
  if (a.type === 'boolean') return false;
  if (/^(timestamp|date)/.test(a.type)) return '2099-01-01';
  if (/^jsonb?$/.test(a.type)) return {};
  if (a.type.endsWith('[]')) return '{}';
  if (a.type === 'bytea') return '\\x00';
  return /email/.test(a.name) ? 'nobody@lab.example' : a.name === 'grant_type' ? 'password' : 'canary-nobody';
};
const literal = (v) => (v === null ? 'null' : `'${String(typeof v === 'object' ? JSON.stringify(v) : v).replaceAll("'", "''")}'`);
sql(`set log_statement = 'none'; set log_min_duration_statement = -1; set auto_explain.log_min_duration = -1;
  create role canary_reader login password 'x'; grant lab_user to canary_reader;`);
const hba = `${process.env.LABOS_DIR}/data/pg_hba.conf`;
writeFileSync(hba, `local all canary_reader trust\n${readFileSync(hba, 'utf8')}`);
sql('select pg_reload_conf(); select pg_sleep(0.3)');
sql(`select lab_private.db_login_map('canary_reader', 'canary@lab.example', '${sql('select slug from lab_data.organizations limit 1')}')`);
for (const f of calls) {
  const form = (write) => f.args.map((a) => write(a, valueOf(f, a)));
  const name = `${f.schema}.${f.name}`;
  if (f.schema === 'lab') {
    for (const token of [null, mine.access_token]) {
      await call(f.name, Object.fromEntries(form((a, v) => [a.name, v])), token);
      // A body that is no JSON, an argument of another type, one that does not exist.
      await call(f.name, `{"${f.args[0].name}": "${canary(`${name} broken`)}`, token);
      await call(f.name, { [f.args[0].name]: canary(`${name} nested`), nothing: canary(`${name} unknown`) }, token);
    }
  }
  const args = () => form((a, v) => `${literal(v)}::${a.type}`).join(', ');
  const named = () => form((a, v) => `${a.name} => ${literal(v)}`).join(', ');
  for (const user of ['canary_reader', 'postgres']) {
    sql(`set role lab_user; select ${name}(${args()});`, user);
    sql(`select * from ${name}(${named()}) where 1 = 1;`, user);
    sql(`begin; set transaction read only; select ${name}(${args()}); rollback;`, user);
    sql(`prepare p(${f.args.map((a) => a.type).join()}) as select ${name}(${f.args.map((_, i) => `$${i + 1}`).join()}); execute p(${form((a, v) => literal(v)).join(', ')});`, user);
    sql(`do $do$ begin perform ${name}(${args()}); exception when others then raise log 'refused: %', sqlerrm; end $do$;`, user);
    sql(`explain (analyze, verbose) select ${name}(${args()});`, user);
    sql(`select ${name}(${args()}, 'one too many');`, user);
    sql(`select ${name}(${args()}) from;`, user);
    // An apostrophe in a comment or a name begins no literal.
    sql(`/* it's */ select ${name}(${args()}) as "it's" -- don't\n;`, user);
  }
}
// Bound parameters: pgbench speaks the extended protocol.
for (const f of [['auth_login', 'canary'], ['auth_token', 'password']]) {
  writeFileSync(`${dir}/bench.sql`, `select lab.${f[0]}(:a, :b);\n`, { mode: 0o644 });
  for (const mode of ['extended', 'prepared']) {
    spawnSync(`${process.env.LABOS_BIN}/pgbench`, ['-n', '-t', '1', '-M', mode, '-D', `a=${f[1]}`, '-D', `b=${canary(`bound ${f[0]}`)}`, '-f', `${dir}/bench.sql`, '-U', 'canary_reader', 'labos']);
  }
}
// labos.login, and a token that stands in a statement of another kind.
sql(`begin; select labos.login('${mine.access_token}'); commit; select '${mine.access_token}' is null;`, 'canary_reader');
// What another session sees of a statement while it runs.
const running = canary('a running statement');
const slow = spawn(`${process.env.LABOS_BIN}/psql`, ['-X', '-q', '-U', 'canary_reader', '-c', `select lab.auth_login('canary', '${running}'), pg_sleep(3)`], { stdio: 'ignore' });
await new Promise((done) => setTimeout(done, 1800));
writeFileSync(`${dir}/seen`, sql("select query from pg_stat_activity where usename = 'canary_reader'"));
if (!/auth_login/.test(readFileSync(`${dir}/seen`, 'utf8'))) throw new Error('the statement was not seen while it ran');
await new Promise((done) => slow.on('exit', done));
