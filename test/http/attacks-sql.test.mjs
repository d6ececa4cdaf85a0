// Attacks by SQL clients: people with a database login of their own. Each tries to see or change what is another
// organisation's; after each, nothing of it is in what they got, and nothing of it has changed.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import test, { before, after } from 'node:test';
import { must, signIn, sql } from './lib.mjs';
import { leak, theatre } from './attacks.mjs';

let stage, alpha, beta, was, port;
const secretWord = `Attack-${randomUUID()}`;

// What a login prints and is told, as one text.
function client(user, text, options = '') {
  const done = spawnSync(`${process.env.LABOS_BIN}/psql`, ['-X', '-A', '-t', '-h', '127.0.0.1', '-p', port, '-U', user, '-v', 'VERBOSITY=verbose', process.env.PGDATABASE],
    { input: text, encoding: 'utf8', env: { ...process.env, PGPASSWORD: secretWord, PGOPTIONS: options }, maxBuffer: 1 << 28 });
  return done.stdout + done.stderr;
}
const names = {};
// Mallory acts for Beta's admin by the map of logins; Stray has the role but is nobody; Anon has lab_anon only.
const mallory = (text, options) => client(names.mallory, text, options);
const stray = (text, options) => client(names.stray, text, options);
const anon = (text, options) => client(names.anon, text, options);

before(async () => {
  stage = await theatre('sql');
  ({ alpha, beta } = stage);
  port = process.env.PGPORT;
  for (const [name, role] of [['mallory', 'lab_user'], ['stray', 'lab_user'], ['anon', 'lab_anon']]) {
    names[name] = `${name}_${stage.run}`;
    sql(`select 1 from pg_sleep(0)`);
    spawnSync(`${process.env.LABOS_BIN}/psql`, ['-X', '-q', '-c', `create role ${names[name]} login password '${secretWord}' in role ${role}`]);
  }
  sql(`select lab_private.db_login_map('${names.mallory}', 'admin@${beta.slug}.example', '${beta.slug}') is null as done`);
  was = stage.digest();
  // The login works, and sees its own.
  assert.match(mallory('select count(*) > 0 from lab.samples; select name from lab.organizations'), new RegExp(`^t\n${beta.slug} Lab`));
});
after(() => {
  sql(`select count(*) from lab_private.db_logins`);
  spawnSync(`${process.env.LABOS_BIN}/psql`, ['-X', '-q', '-c', `delete from lab_private.db_logins where login = '${names.mallory}'::regrole`, '-c', Object.values(names).map((n) => `drop owned by ${n}; drop role ${n}`).join('; ')]);
});

// An attack: what it does must give no secret, change nothing, and fit the pattern.
function attack(name, run, expected) {
  test(name, async () => {
    const steps = [].concat(await run());
    for (const [text, sent = ''] of steps.map((s) => [].concat(s))) {
      assert.equal(leak(stage.secrets, text, sent), undefined, text.slice(0, 2000));
      if (expected) assert.match(text, expected);
      assert.doesNotMatch(text, /server closed the connection|PANIC/);
    }
    assert.equal(stage.digest(), was, 'something of Alpha has changed');
  });
}
// What an outsider would like to read.
const look = `select * from lab.samples; select * from lab.users; select * from lab_data.samples; select * from lab.organizations; select labos.user_id(), labos.org_id();`;
const claims = () => JSON.stringify({ sub: sql(`select id from lab_data.users where username = '${alpha.slug}-admin'`)[0].id, org_id: alpha.id, role: 'lab_user', exp: 4102444800,
  sid: sql(`select id from lab_data.user_sessions where org_id = '${alpha.id}' and revoked_at is null limit 1`)[0].id });
const denied = /permission denied|must be (owner|superuser|a superuser|able)|only allowed|42501|not allowed|cannot be changed|does not exist/;

// ---- forged settings ----
attack('A01 claims forged with SET and set_config', () => { const c = claims(); return [[stray(`set request.jwt.claims = '${c}'; ${look} select set_config('request.jwt.claims', '${c}', false) is null; ${look}`), c], [mallory(`set request.jwt.claims = '${c}'; ${look}`), c]]; });
attack('A02 claims forged with SET LOCAL inside a DO block and a function', () => { const c = claims(); return [[stray(`begin; do $$ begin perform set_config('request.jwt.claims', '${c}', true); raise notice '%', (select string_agg(name, ',') from lab.samples); end $$; ${look} commit;`), c]]; });
attack('A03 claims, role and token forged by the options of the connection', () => { const c = claims(); return [[stray(look, `-c request.jwt.claims=${c.replaceAll(' ', '\\ ')}`), c], stray(look, '-c role=lab_owner'), stray(look, '-c labos.token=x'), stray(look, '-c row_security=off'), stray(look, '-c session_preload_libraries='), stray(look, '-c labos.trusted_gateways=mallory')]; });
attack('A04 claims and token as the login’s own defaults', () => { const c = claims(); return [[stray(`alter role ${names.stray} set request.jwt.claims = '${c}'; alter role ${names.stray} set labos.token = 'x'; alter role ${names.stray} set role = 'lab_owner';`) + stray(look) + stray(`alter role ${names.stray} reset all`), c]]; });
attack('A05 the settings of the shared roles and of the database', () => mallory(`alter role lab_user set search_path = pg_temp; alter role lab_anon set statement_timeout = 1; alter role lab_authenticator set role = 'lab_owner'; alter database ${process.env.PGDATABASE} set search_path = public; alter system set labos.trusted_gateways = '${names.mallory}'`), denied);
attack('A06 labos’ own settings', () => mallory(`set labos.token = 'x'; set labos.trusted_gateways = '${names.mallory}'; set labos.master_key_file = '/tmp/x'; set labos.nothing = 1; set labos.argon2_memory = 8192; set labos.jwt_leeway = 60; show labos.trusted_gateways; show labos.master_key_file; select current_setting('labos.master_key_file');`), denied);
attack('A07 the role setting: SET ROLE, set_config, SET LOCAL ROLE in a function', () => ['lab_owner', 'lab_authenticator', 'lab_backup', 'lab_auditor', 'postgres', 'pg_read_all_data', 'pg_write_all_data'].map((r) => mallory(`set role ${r}; ${look} select set_config('role', '${r}', false); do $$ begin execute 'set local role ${r}'; end $$; set session authorization ${r}; ${look}`)), denied);
attack('A08 row_security = off', () => mallory(`set row_security = off; ${look} table lab_data.samples;`), /query would be affected|42501/);
attack('A09 session_replication_role = replica, to silence triggers', () => mallory(`set session_replication_role = replica; update lab_data.samples set name = 'taken'; delete from lab.samples where id = '${stage.idOf('samples')}' returning *;`).replaceAll(stage.idOf('samples'), ''), denied);
attack('A10 claims that come back by a savepoint', () => { const c = claims(); return [[mallory(`begin; savepoint a; select set_config('request.jwt.claims', '${c}', true) is null; rollback to a; ${look} release a; savepoint b; ${look} commit;`), c]]; });
attack('A11 settings of a request: method, path, headers, cookies, response', () => { const c = claims(); return [[mallory(`select set_config('request.headers', '{"x-labos-org":"${alpha.id}","authorization":"Bearer x"}', false), set_config('request.method', 'GET', false), set_config('request.cookies', '{}', false), set_config('response.headers', '[{"a":"b"}]', false); ${look}`), c + alpha.id]]; });

// ---- shadows ----
attack('A12 temporary tables before ours', () => mallory(`create temp table samples (id uuid); create temp table users as select 1; select * from pg_temp.samples; create temp view v as select * from lab_data.samples; select * into temp x from lab.samples;`), denied);
attack('A13 functions and operators of one’s own before ours', () => mallory(`create function pg_temp.user_id() returns uuid language sql as 'select null::uuid'; create function public.org_for(text) returns uuid language sql as 'select null::uuid'; create operator public.= (leftarg = uuid, rightarg = uuid, function = uuid_ne); create schema evil; create function lab.x() returns int language sql as 'select 1'; create function labos.x() returns int language sql as 'select 1';`), denied);
attack('A14 another search path, with all the names left out', () => mallory(`set search_path = lab_private, lab_data, pg_temp, public; select * from samples; select * from credentials; select * from signing_keys; select * from lab.samples where id = '${alpha.id}';`.replace(alpha.id, randomUUID())));
attack('A15 functions that run as their owner, made or taken over', () => mallory(`create function pg_temp.f() returns setof lab_data.samples language sql security definer as 'table lab_data.samples'; alter function lab.auth_me() owner to ${names.mallory}; create or replace function lab.auth_me() returns jsonb language sql as 'select null::jsonb'; alter function labos.user_id() leakproof; alter function lab.auth_me() reset all; alter function lab.auth_me() security invoker;`), denied);

// ---- oracles ----
const marker = () => `secret of ${alpha.slug}`;
attack('A16 a condition that divides by zero on foreign rows', () => [['samples', 'description'], ['projects', 'description'], ['instruments', 'description'], ['materials', 'description']].map(([t, c]) =>
  [mallory(`select count(*) from lab.${t} where 1 / (case when ${c} like '%${alpha.slug}%' then 0 else 1 end) = 1; select count(*) from lab_data.${t} where 1 / (case when ${c} like '%${alpha.slug}%' then 0 else 1 end) = 1;`), alpha.slug]), /^\d+\n\d+\n$/);
attack('A17 a condition whose cast fails with the foreign value in the message', () => [['samples', 'name'], ['projects', 'description'], ['users', 'full_name'], ['instruments', 'serial_number']].map(([t, c]) => mallory(`select count(*) from lab.${t} where ${c}::text like 'secret%' and ${c}::text::int > 0; select count(*) from lab_data.${t} where (${c}::text)::xml is null;`)));
attack('A18 leaky functions that look cheap', () => mallory(`do $$ begin raise notice '%', (select count(*) from lab.samples where pg_catalog.set_config('x.y', name, false) is not null and query_to_xml('select 1', true, true, '') is not null); end $$; select current_setting('x.y'); create function pg_temp.leak(text) returns bool language plpgsql cost 0.0000001 as $$ begin raise notice '%', $1; return true; end $$; select * from lab_data.samples where pg_temp.leak(description);`));
attack('A19 statistics of the planner: pg_stats, pg_statistic, extended ones', () => mallory(`select * from pg_stats where schemaname in ('lab_data', 'lab_private'); select * from pg_stats_ext; select * from pg_stats_ext_exprs; select count(*) from pg_statistic; select * from pg_statistic_ext_data;`), /permission denied/);
attack('A20 EXPLAIN with values of the other organisation', () => {
  const plan = (value) => mallory(`explain select * from lab.samples where description = '${value}'; explain select * from lab.projects where description = '${value}'; explain select * from lab.samples where lot_code = '${value}';`).replaceAll(value, 'V');
  spawnSync(`${process.env.LABOS_BIN}/psql`, ['-X', '-q', '-c', 'analyze lab_data.samples, lab_data.projects']);
  assert.equal(plan(marker()).replace(/cost=\S+/g, ''), plan('x'.repeat(marker().length)).replace(/cost=\S+/g, ''));
  return [[plan(marker()), marker()]];
});
attack('A21 EXPLAIN ANALYZE and its buffers and counts of removed rows', () => mallory(`explain (analyze, verbose, buffers, timing off) select * from lab.samples; explain (analyze, timing off) select * from lab_data.users;`), /actual rows/);
attack('A22 unique keys as an oracle', async () => {
  const [row] = sql(`select code, id from lab_data.projects where org_id = '${alpha.id}'`);
  const tried = (id, code) => mallory(`begin; insert into lab.projects (id, code, name) values ('${id}', '${code}', 'x'); rollback;`).replaceAll(id, 'ID');
  const fresh = randomUUID();
  assert.equal(tried(row.id, 'P-ORACLE'), tried(fresh, 'P-ORACLE'));
  return [tried(row.id, 'P-ORACLE')];
});
attack('A23 foreign keys as an oracle', () => {
  const tried = (id) => mallory(`begin; insert into lab.samples (name, project_id) values ('x', '${id}'); rollback; begin; insert into lab.runs (instrument_id, method) values ('${id}', 'x'); rollback; begin; update lab.samples set location_id = '${id}'; rollback;`).replaceAll(id, 'ID').replace(/LOCATION:.*/g, '');
  for (const t of ['projects', 'locations', 'instruments']) assert.equal(tried(stage.idOf(t)), tried(randomUUID()));
  return [tried(stage.idOf('projects'))];
});
attack('A24 ON CONFLICT over foreign ids: nothing, update, with where', () => {
  const tried = (id) => mallory(`begin; insert into lab.projects (id, code, name) values ('${id}', 'P-C', 'taken') on conflict do nothing returning name, org_id = labos.org_id(); rollback; begin; insert into lab.projects (id, code, name) values ('${id}', 'P-C', 'taken') on conflict (org_id, id) do update set name = excluded.name returning name, org_id = labos.org_id(); rollback;`).replaceAll(id, 'ID');
  assert.equal(tried(stage.idOf('projects')), tried(randomUUID()));
  return [tried(stage.idOf('projects'))];
});
attack('A25 UPDATE, DELETE and MERGE with RETURNING on foreign ids', () => [...stage.tables].map((t) => [t, stage.idOf.bind(null, t)]).filter(([t]) => ['samples', 'projects', 'instruments', 'runs', 'results', 'materials', 'design_campaigns'].includes(t)).map(([t, id]) => {
  const theirs = id();
  const tried = (x) => mallory(`begin; update lab.${t} set version = version where id = '${x}' returning *; delete from lab.${t} where id = '${x}' returning *; merge into lab_data.${t} d using (select '${x}'::uuid as id) s on d.id = s.id when matched then update set version = 1; rollback;`).replaceAll(x, 'ID');
  assert.equal(tried(theirs), tried(randomUUID()));
  return tried(theirs);
}));
attack('A26 an organisation’s id in a new or changed row', () => [[mallory(`insert into lab.projects (org_id, code, name) values ('${alpha.id}', 'P-X', 'x'); update lab.projects set org_id = '${alpha.id}'; insert into lab_data.projects (org_id, code, name) values ('${alpha.id}', 'P-X', 'x'); insert into lab_data.memberships (org_id, user_id) select '${alpha.id}', labos.user_id();`), alpha.id]], denied);
attack('A27 system columns, row types, casts to regclass', () => mallory(`select ctid, xmin, tableoid::regclass from lab_data.samples; select s, s.* from lab_data.samples s; select to_jsonb(s) from lab.samples s; select 'lab_private.credentials'::regclass; select * from lab_data.samples tablesample system (100);`));
attack('A28 joins, subqueries and set operations that reach around the policy', () => mallory(`select s.name from lab_data.samples s join lab_data.projects p on true; select (select string_agg(description, ',') from lab_data.projects); with recursive x as (select * from lab_data.samples union select s.* from lab_data.samples s, x) select * from x; select * from lab_data.samples s, lateral (select * from lab_data.projects p where p.org_id <> s.org_id) y; select count(*) from lab_data.users u full join lab_data.memberships m on m.user_id = u.id;`));

// ---- bulk and files ----
attack('A29 COPY TO of tables, views and queries', () => mallory(`copy lab_data.samples to stdout; copy (select * from lab_data.users) to stdout; copy lab_private.credentials to stdout; copy lab.samples to stdout;`));
attack('A30 COPY FROM into tables of others', () => mallory(`\\copy lab_data.memberships (org_id, user_id) from '/dev/null'\n\\copy lab_data.samples from '/dev/null'\n\\copy lab_private.db_logins from '/dev/null'\n`), /not supported with row-level security|permission denied/);
attack('A31 COPY to programs and files of the server', () => mallory(`copy (select 1) to program 'id'; copy (select 1) to '/tmp/x'; copy lab.samples from '/etc/passwd'; copy lab.samples from program 'id'; create table pg_temp.x (a text);`), denied);
attack('A32 files of the server by functions', () => mallory(`select pg_read_file('/etc/passwd'); select pg_read_binary_file('postgresql.conf'); select pg_ls_dir('.'); select pg_stat_file('postgresql.conf'); select pg_ls_logdir(); select lo_import('/etc/passwd'); select lo_export(1, '/tmp/x'); select pg_current_logfile(); select * from pg_hba_file_rules; select * from pg_file_settings;`), denied);
attack('A33 large objects: reading those of others, writing one’s own', () => { const oid = sql("select lo_from_bytea(0, 'secret') as o")[0].o; return mallory(`select lo_get(${oid}); select * from pg_largeobject; select lo_put(${oid}, 0, 'x'); select lo_unlink(${oid});`); }, denied);
attack('A34 TRUNCATE, with CASCADE', () => mallory('truncate lab_data.samples; truncate lab_data.organizations cascade; truncate lab_data.access_logs; truncate lab.samples;'), denied);
attack('A35 locks on the tables of all', () => mallory('begin; lock table lab_data.samples in access exclusive mode; rollback; begin; lock table lab_data.users in share mode; rollback; begin; lock table lab.samples in exclusive mode; rollback; begin; lock table lab_private.signing_keys; rollback;'), denied);
attack('A36 maintenance: VACUUM, ANALYZE, REINDEX, CLUSTER, ALTER, DROP, COMMENT', () => mallory('vacuum lab_data.samples; analyze lab_data.samples; reindex table lab_data.samples; cluster lab_data.samples; alter table lab_data.samples disable row level security; alter table lab_data.samples no force row level security; drop policy select_own_org on lab_data.samples; create policy p on lab_data.samples using (true); drop table lab_data.samples; comment on table lab_data.samples is $$x$$; drop extension labos; call labos.deploy(); update pg_class set relrowsecurity = false; delete from pg_policy;'), denied);
attack('A37 triggers, rules, event triggers on our tables', () => mallory(`create trigger t before insert on lab_data.samples for each row execute function labos.tg__stamp(); create rule r as on select to lab.samples do instead select 1; create event trigger e on ddl_command_end execute function labos.tg__stamp(); alter table lab_data.samples disable trigger all;`), denied);

// ---- sessions and transactions ----
attack('A38 a cursor WITH HOLD that outlives its identity', async () => { const token = stage.tokens.beta; return stray(`begin; select labos.login('${token}') is not null; declare c cursor with hold for select name from lab.samples; commit; fetch all from c; ${look}`); });
attack('A39 prepared transactions', () => mallory(`begin; update lab.projects set name = name; prepare transaction 'x'; rollback; select * from pg_prepared_xacts;`));
attack('A40 a session that ends while its transaction runs', async () => {
  const victim = await must(null, 'POST', '/rpc/auth_login', { login: alpha.admin.login, password: alpha.admin.password });
  const p = spawn(`${process.env.LABOS_BIN}/psql`, ['-X', '-A', '-t', '-h', '127.0.0.1', '-p', port, '-U', names.stray, process.env.PGDATABASE], { env: { ...process.env, PGPASSWORD: secretWord } });
  let out = '';
  p.stdout.on('data', (d) => { out += d; });
  p.stdin.write(`begin;\nselect labos.login('${victim.access_token}') is not null;\nselect 'before', count(*) > 0 from lab.samples;\n`);
  while (!out.includes('before')) await new Promise((done) => setTimeout(done, 20));
  await must(victim.access_token, 'POST', '/rpc/auth_logout', {});
  p.stdin.end("select 'after', count(*) from lab.samples;\nselect 'who', labos.user_id() is null;\ncommit;\n");
  await new Promise((done) => p.on('close', done));
  assert.match(out, /before\|t[^]*after\|0\nwho\|t/);
  return [];
});
attack('A41 tokens: forged, altered, of another kind, expired, of an ended session', async () => {
  const t = stage.tokens.alpha;
  const [h, b, s] = t.split('.');
  const made = (change, typ = 'at+jwt') => sql(`select labos.jwt_sign('${JSON.stringify(JSON.parse(Buffer.from(b, 'base64url')))}'::jsonb || '${JSON.stringify(change)}', lab_private.private_jwk(k), null, '${typ}') as t from lab_private.signing_key_current() k`)[0].t;
  const enc = (x) => Buffer.from(JSON.stringify(x)).toString('base64url');
  const bad = [`${h}.${b}.`, `${enc({ alg: 'none', typ: 'at+jwt' })}.${b}.`, `${h}.${b.slice(0, -2)}AA.${s}`, `${h}.${b}.${s.slice(0, -4)}AAAA`, made({ exp: 1700000000 }), made({ sid: randomUUID() }), made({ aud: 'x' }), made({ iss: 'x' }), made({}, 'refresh+jwt'), made({ org_id: beta.id }), made({ sub: randomUUID() }), '', 'x', 'a.b.c', `${t} `, t.toLowerCase()];
  const out = bad.map((x) => stray(`begin; select labos.login('${x}'); ${look} rollback;`));
  for (const o of out) assert.match(o, /the token is not valid/);
  return out;
});
attack('A42 login outside a transaction, twice, and after a failure', () => [stray(`select labos.login('${stage.tokens.beta}'); ${look}`), stray(`begin; select labos.login('${stage.tokens.beta}') is null; savepoint s; select labos.login('x'); rollback to s; select count(*) from lab.samples; commit; ${look}`)]);
attack('A43 what others are doing: pg_stat_activity, locks, prepared statements, cursors', () => mallory(`select query from pg_stat_activity where usename <> current_user and query not in ('', '<insufficient privilege>'); select * from pg_prepared_statements; select * from pg_cursors where not is_holdable; select pg_stat_get_activity(null) is null limit 0; select * from pg_stat_statements;`));
attack('A44 ending or cancelling the sessions of others', () => mallory("select pg_terminate_backend(pid) from pg_stat_activity where usename <> current_user and datname is not null limit 1; select pg_cancel_backend(pid) from pg_stat_activity where usename <> current_user and datname is not null limit 1; select pg_reload_conf(); select pg_rotate_logfile();"), denied);
attack('A45 listening on every channel while the other organisation works', async () => {
  const p = spawn(`${process.env.LABOS_BIN}/psql`, ['-X', '-A', '-t', '-h', '127.0.0.1', '-p', port, '-U', names.mallory, process.env.PGDATABASE], { env: { ...process.env, PGPASSWORD: secretWord } });
  let out = '';
  p.stdout.on('data', (d) => { out += d; });
  p.stderr.on('data', (d) => { out += d; });
  p.stdin.write(`${['pgrst', 'labos', 'lab', 'outbox', 'labos_outbox', 'lab_outbox', 'runs', 'samples', 'audit', 'labos_audit', alpha.id].map((c) => `listen "${c}";`).join('')}\nselect 'ready';\n`);
  while (!out.includes('ready')) await new Promise((done) => setTimeout(done, 20));
  const [{ id }] = await alpha.admin.must('POST', '/projects', { code: `P-${stage.run}`, name: 'heard?' }, { Prefer: 'return=representation' });
  await alpha.admin.must('DELETE', `/projects?id=eq.${id}`);
  was = stage.digest();
  p.stdin.end("select 'done';\n");
  await new Promise((done) => p.on('close', done));
  assert.doesNotMatch(out, new RegExp(id));
  return [out];
});
attack('A46 advisory locks: held by an outsider, they stop nobody', async () => {
  const p = spawn(`${process.env.LABOS_BIN}/psql`, ['-X', '-A', '-t', '-h', '127.0.0.1', '-p', port, '-U', names.mallory, process.env.PGDATABASE], { env: { ...process.env, PGPASSWORD: secretWord } });
  let out = '';
  p.stdout.on('data', (d) => { out += d; });
  p.stdin.write("select count(pg_advisory_lock(i)) from generate_series(-200, 2000) i;\nselect count(pg_advisory_lock(i, j)) from generate_series(0, 30) i, generate_series(0, 30) j;\nselect count(pg_advisory_lock(hashtextextended(k, 0))) from unnest('{labos.roles,labos.samples,labos.users}'::text[]) k;\nselect 'held';\n");
  while (!out.includes('held')) await new Promise((done) => setTimeout(done, 20));
  await signIn(alpha.admin.login, alpha.admin.password);
  const [{ id }] = await alpha.admin.must('POST', '/samples', { name: 'in spite' }, { Prefer: 'return=representation' });
  await alpha.admin.must('DELETE', `/samples?id=eq.${id}`);
  await alpha.admin.must('POST', '/rpc/role_create', { name: `r-${stage.run}`, parent: 'viewer' });
  await alpha.admin.must('POST', '/rpc/role_delete', { role: `r-${stage.run}` });
  was = stage.digest();
  p.stdin.end();
  await new Promise((done) => p.on('close', done));
  return [];
});

// ---- ways up ----
attack('A47 grants and roles: making, giving, taking', () => mallory(`grant lab_owner to ${names.mallory}; create role evil superuser; alter role ${names.mallory} superuser; alter role lab_owner login; grant select on lab_private.credentials to ${names.mallory}; grant all on all tables in schema lab_data to public; reassign owned by lab_owner to ${names.mallory}; alter default privileges for role lab_owner grant all on tables to ${names.mallory}; alter role postgres password 'x'; create user mapping for public server x;`), denied);
attack('A48 everything private by name: tables, functions, sequences', () => {
  const things = sql("select format('select * from lab_private.%I limit 1;', relname) as statement from pg_class where relnamespace = 'lab_private'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S')").map((r) => r.statement);
  const functions = sql("select format('select lab_private.%I(%s);', proname, (select string_agg('null::' || format_type(t, null), ',') from unnest(proargtypes) t)) as statement from pg_proc where pronamespace = 'lab_private'::regnamespace and prorettype not in ('trigger'::regtype, 'event_trigger'::regtype) and prokind = 'f'").map((r) => r.statement);
  // What audit_log is built on is visible to members, for their own organisation.
  const out = [...things, ...functions].filter((q) => !/audit_visible/.test(q)).map((q) => [q, mallory(q)]);
  for (const [q, text] of out) assert.match(text, /permission denied|42501/, q);
  assert.match(mallory('select count(*) from lab_private.audit_visible'), /^\d+\n|permission denied/);
  return out.map(([, text]) => text);
});
attack('A49 every function that a client may execute, with ids of the other organisation', () => {
  const fs = sql(`select p.oid::regprocedure::text as name, format('select %s.%I(%s);', p.pronamespace::regnamespace, p.proname,
      (select coalesce(string_agg(case when t = 'uuid'::regtype then '''ID''::uuid' when t in ('text'::regtype, 'varchar'::regtype) then '''SLUG''::text' when t in ('jsonb'::regtype, 'json'::regtype) then '''{"id":"ID","org_id":"ID"}''::' || format_type(t, null)
        when format_type(t, null) ~ 'int|double|numeric' then '1::' || format_type(t, null) else 'null::' || format_type(t, null) end, ', ' order by o), '') from unnest(p.proargtypes) with ordinality x(t, o))) as statement
    from pg_proc p where p.pronamespace in ('lab'::regnamespace, 'labos'::regnamespace) and p.prokind = 'f' and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype, 'cstring'::regtype)
      and not exists (select from unnest(p.proargtypes) t where t in ('internal'::regtype, 'cstring'::regtype) or format_type(t, null) ~ '^any|formula')
      and (has_function_privilege('lab_user', p.oid, 'execute') or has_function_privilege('lab_anon', p.oid, 'execute')) and p.proname !~ '^auth_logout|deploy'`);
  assert.ok(fs.length > 100, `${fs.length} functions`);
  const ids = [alpha.id, stage.idOf('samples'), sql(`select id from lab_data.users where username = '${alpha.slug}-admin'`)[0].id];
  return ids.flatMap((id) => [mallory, stray].map((who) => [who(fs.map((f) => `begin; ${f.statement.replaceAll('ID', id).replaceAll('SLUG', alpha.slug)} rollback;`).join('\n')), id + alpha.slug]));
});
attack('A50 injection through every text and JSON argument, by SQL', () => {
  const strings = [`'; update lab_data.samples set name = 'injected'; --`, `' || (select string_agg(password_hash, ',') from lab_private.credentials) || '`, `x"; select 1; --`, `$$; drop table lab_data.samples; $$`, `\\'; select pg_sleep(1); --`, `%1$s %I %L`, `{"a": "' or 1=1"}`, `") or true or ("`, `lab_private.credentials`, `*`];
  const fs = sql(`select p.proname as name, coalesce((select json_agg(format_type(t, null) order by o) from unnest(p.proargtypes) with ordinality x(t, o)), '[]') as types from pg_proc p
    where p.pronamespace in ('lab'::regnamespace) and p.prokind = 'f' and p.prorettype <> 'trigger'::regtype and has_function_privilege('lab_user', p.oid, 'execute') order by 1`);
  const literal = (x) => `'${x.replaceAll("'", "''")}'`;
  let calls = 0;
  const text = strings.flatMap((s) => fs.filter((f) => f.types.some((t) => /text|json|\[\]/.test(t))).map((f) => {
    calls++;
    const args = f.types.map((t) => (t === 'text' ? literal(s) : /^jsonb?$/.test(t) ? `to_jsonb(${literal(s)}::text)::${t}` : t === 'text[]' ? `array[${literal(s)}]` : `null::${t}`));
    return `begin; select lab.${f.name}(${args.join(', ')}); rollback;`;
  })).join('\n');
  const out = mallory(text);
  assert.ok(calls > 400, `${calls} calls`);
  assert.doesNotMatch(out.replace(/^DETAIL: .*$/gm, ''), /42601|syntax error|42P01|argon2id/);
  assert.equal(sql("select count(*) as n from lab_data.samples where name = 'injected'")[0].n, 0);
  return [out];
});
attack('A51 dynamic SQL in PostgreSQL’s own functions', () => mallory(`select query_to_xml('select * from lab_private.credentials', true, true, ''); select table_to_xml('lab_data.users', true, true, ''); select schema_to_xml('lab_private', true, true, ''); select database_to_xml(true, true, ''); select cursor_to_xml('x', 1, true, true, ''); select * from ts_stat('select to_tsvector(description) from lab_data.samples'); select * from crosstab('select 1');`), denied);
attack('A52 other servers and languages: dblink, foreign tables, untrusted code', () => mallory(`create extension dblink; create extension postgres_fdw; create extension file_fdw; create extension plpython3u; create extension adminpack; create foreign data wrapper x; create server x foreign data wrapper x; create language plperlu; load 'dblink'; load '$libdir/../labos'; create function pg_temp.f() returns int language c as 'labos', 'labos_user_id'; create function pg_temp.f() returns int language internal as 'pg_backend_pid';`), denied);
attack('A53 replication: slots, publications, subscriptions, snapshots', () => mallory(`select pg_create_logical_replication_slot('x', 'test_decoding'); select pg_create_physical_replication_slot('x'); create publication p for all tables; create subscription s connection 'dbname=labos' publication p; select pg_export_snapshot(); select pg_logical_emit_message(false, 'x', 'y'); select pg_switch_wal(); select pg_create_restore_point('x'); select * from pg_stat_wal_receiver;`), denied);
attack('A54 DO blocks and dynamic SQL without a token', () => [anon(`do $$ declare t text; begin for t in select relname from pg_class where relnamespace = 'lab_data'::regnamespace and relkind = 'r' loop begin execute format('select 1 from lab_data.%I', t); raise notice 'open: %', t; exception when insufficient_privilege then null; end; end loop; end $$;`)].map((text) => { assert.doesNotMatch(text, /open:/); return text; }));
attack('A55 the gateway’s login: without, with an empty, with a wrong password', () => ['', 'lab_authenticator', 'postgres', secretWord].flatMap((p) => ['lab_authenticator', 'lab_owner', 'postgres', 'lab_user'].map((user) => {
  const done = spawnSync(`${process.env.LABOS_BIN}/psql`, ['-X', '-w', '-h', '127.0.0.1', '-p', port, '-U', user, '-d', process.env.PGDATABASE, '-c', look], { encoding: 'utf8', env: { ...process.env, PGPASSWORD: p } });
  assert.notEqual(done.status, 0, user);
  return done.stdout + done.stderr;
})));
attack('A56 definitions, comments and dumps that hold secrets', () => {
  const dump = spawnSync(`${process.env.LABOS_BIN}/pg_dump`, ['-h', '127.0.0.1', '-p', port, '-U', names.mallory, process.env.PGDATABASE], { encoding: 'utf8', env: { ...process.env, PGPASSWORD: secretWord }, maxBuffer: 1 << 28 });
  return [dump.stdout + dump.stderr, mallory(`select pg_get_functiondef(oid) from pg_proc where pronamespace in ('lab'::regnamespace, 'lab_private'::regnamespace, 'labos'::regnamespace) and prokind = 'f'; select * from pg_settings where name like 'labos.%'; select setconfig from pg_db_role_setting; select rolpassword from pg_authid; select passwd from pg_shadow;`)].map((x) => {
    for (const { kid, d } of sql("select k.kid, lab_private.private_jwk(k) ->> 'd' as d from lab_private.signing_keys k")) assert.ok(!d || !x.includes(d), kid);
    assert.doesNotMatch(x, /\$argon2id\$v=19\$m=\d+,t=\d+,p=1\$[A-Za-z0-9+/]{22}\$|SCRAM-SHA-256\$/);
    return x;
  });
});
attack('A57 signing and opening with our functions and somebody else’s key names', () => mallory(`select labos.secret_open(null, 'x'); select labos.secret_seal('x', 'x'); select labos.jwt_sign('{}', '{}'::jsonb, null, null); select lab_private.private_jwk(null); select labos.use_guard_charge(labos.user_id(), 1); select labos.login_guard_charge(labos.user_id(), 0, 0); select labos.password_verify('x', 'x'); select labos.exec_file('x', 'select 1'); select lab_private.session_open(labos.org_id(), labos.user_id(), null);`), denied);
attack('A58 being nobody: a login without a person, and anonymous', () => [stray(look), anon(look), stray('select * from lab.permissions; select * from lab.roles; select * from lab.access_logs; select * from lab.user_sessions; select lab.auth_me(); select lab.auth_sessions();')]);
test('A59 nothing has crashed, and nothing of Alpha has changed', () => {
  assert.equal(stage.digest(), was);
  assert.match(mallory('select 1'), /^1\n/);
});
