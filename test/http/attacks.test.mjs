// Attacks over HTTP: another organisation's admin, a member, or nobody, with everything a request can carry.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHmac, createPublicKey, generateKeyPairSync, randomUUID, sign as signBytes } from 'node:crypto';
import { connect } from 'node:net';
import test, { before } from 'node:test';
import { givePassword, must, request as send, sql, url } from './lib.mjs';
import { leak, theatre } from './attacks.mjs';

// At most eight at a time: a full pool of connections is no finding.
let flying = 0;
const waiting = [];
async function request(...args) {
  while (flying >= 8) await new Promise((go) => { waiting.push(go); });
  flying++;
  try { return await send(...args); } finally { flying--; waiting.shift()?.(); }
}
let stage, alpha, beta, was, mine, theirs, api;
const get = (path, headers, token = mine) => request(token, 'GET', path, undefined, headers);
const post = (path, body, headers, token = mine) => request(token, 'POST', path, body, headers);

before(async () => {
  stage = await theatre('http');
  ({ alpha, beta } = stage);
  ({ beta: mine, alpha: theirs } = stage.tokens);
  was = stage.digest();
  api = (await get('/')).json;
  assert.ok((await get('/samples')).json.length > 0);
});

// Every answer is free of Alpha's secrets, below 500, and Alpha is as it was.
function attack(name, run) {
  test(name, async () => {
    for (const [answer, sent = ''] of (await run()).map((a) => (Array.isArray(a) ? a : [a]))) {
      const text = answer.text + JSON.stringify([...(answer.headers ?? [])]);
      assert.equal(leak(stage.secrets, text, sent), undefined, text.slice(0, 1500));
      assert.ok(answer.status < 500, `${answer.status}: ${text.slice(0, 300)}`);
    }
    assert.equal(stage.digest(), was, 'something of Alpha has changed');
  });
}
const encode = (x) => Buffer.from(typeof x === 'string' ? x : JSON.stringify(x)).toString('base64url');
const decode = (token, part) => JSON.parse(Buffer.from(token.split('.')[part], 'base64url'));
const refused = (answers) => { for (const a of answers) assert.equal((a[0] ?? a).status, 401, (a[0] ?? a).text); return answers; };
// Bytes as they are: headers twice, line ends inside.
const raw = (text) => new Promise((done, fail) => {
  const { hostname, port } = new URL(url);
  const socket = connect(port, hostname, () => socket.end(text));
  let out = '';
  socket.on('data', (d) => { out += d; }).on('close', () => done({ status: Number(out.split(' ')[1] ?? 400), text: out, headers: [] })).on('error', fail);
});

// ---- tokens ----
attack('A60 algorithms: none in every case, and HMAC with public keys as JWK, JWKS, PEM, DER, x and nothing', async () => {
  const [header, claims] = [decode(theirs, 0), decode(theirs, 1)];
  const jwks = (await get('/rpc/jwks', {}, null)).json;
  const jwk = jwks.keys.find((k) => k.kid === header.kid) ?? jwks.keys[0];
  const pem = createPublicKey({ key: jwk, format: 'jwk' });
  const keys = [JSON.stringify(jwks), JSON.stringify(jwk), pem.export({ type: 'spki', format: 'pem' }), pem.export({ type: 'spki', format: 'der' }), Buffer.from(jwk.x, 'base64url'), jwk.x, '', 'null', 'secret'];
  const hmac = ['HS256', 'HS384', 'HS512'].flatMap((alg) => keys.map((key) => { const data = `${encode({ ...header, alg })}.${encode(claims)}`; return `${data}.${createHmac(`sha${alg.slice(2)}`, key).update(data).digest('base64url')}`; }));
  const none = ['none', 'None', 'NONE', 'nOnE', '', null, 0, ['EdDSA'], 'EdDSA ', 'eddsa', 'ES256', 'RS256', 'PS256'].flatMap((alg) => ['', theirs.split('.')[2]].map((s) => `${encode({ ...header, alg })}.${encode(claims)}.${s}`));
  return refused(await Promise.all([...hmac, ...none].map((t) => get('/samples', {}, t))));
});
attack('A61 a key of one’s own: same kid, embedded, by address, by certificate', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const jwk = publicKey.export({ format: 'jwk' });
  const signed = (h) => { const data = `${encode({ ...decode(theirs, 0), ...h })}.${encode(decode(theirs, 1))}`; return `${data}.${signBytes(null, Buffer.from(data), privateKey).toString('base64url')}`; };
  return refused(await Promise.all([{}, { jwk }, { jku: 'http://127.0.0.1/jwks' }, { x5u: 'http://127.0.0.1/' }, { x5c: ['MII'] }, { kid: undefined }, { jwk, kid: jwk.x }].map((h) => get('/samples', {}, signed(h)))));
});
attack('A62 key ids that are paths, SQL, wildcards, long or of another type', async () => {
  const kids = ['../../../../dev/null', "' or '1'='1", "x' union select 'AAAA' --", '%', '*', '', ' ', 'x'.repeat(5000), '\u0000', null, 0, [], {}, '/proc/self/environ', 'file:///dev/null', '|id', '$(id)'];
  const made = kids.map((kid) => { const data = `${encode({ alg: 'HS256', typ: 'at+jwt', kid })}.${encode(decode(theirs, 1))}`; return `${data}.${createHmac('sha256', '').update(data).digest('base64url')}`; });
  return refused(await Promise.all(made.map((t) => get('/samples', {}, t))));
});
attack('A63 claims: of the past, another session, user, organisation, audience, role', async () => {
  const own = (change) => sql(`select labos.jwt_sign('${JSON.stringify(decode(theirs, 1))}'::jsonb || '${JSON.stringify(change)}', lab_private.private_jwk(k), null, 'at+jwt') as t from lab_private.signing_key_current() k`)[0].t;
  const answers = await Promise.all([{ exp: 1700000000 }, { sid: randomUUID() }, { sid: null }, { sub: randomUUID() }, { sub: decode(mine, 1).sub }, { org_id: beta.id }, { org_id: null }, { aud: 'x' }, { role: 'lab_owner' }, { role: 'postgres' }, { role: 'lab_authenticator' }, { role: 'lab_backup' }, { role: 'none' }, { role: null }, { role: 'lab_auditor' }].map((c) => get('/samples', {}, own(c))));
  for (const a of answers) assert.ok([400, 401, 403].includes(a.status) || a.text === '[]', `${a.status} ${a.text}`);
  return answers;
});
attack('A64 bombs in claims and headers of tokens: depth, width, duplicates, numbers', async () => {
  const sign = (payload) => { const data = `${encode({ alg: 'HS256', typ: 'at+jwt' })}.${encode(payload)}`; return `${data}.${createHmac('sha256', 'x'.repeat(32)).update(data).digest('base64url')}`; };
  const bombs = [`{"a":${'['.repeat(3000)}${']'.repeat(3000)}}`, `{${Array.from({ length: 500 }, (_, i) => `"k${i}":1`).join()}}`, '{"sub":"a","sub":"b"}', '{"exp":1e400}', '{"exp":-1}', '{"exp":99999999999999999999999}', '{"exp":"never"}', '{"\\u0000":1}', '[]', 'null', '', '{'];
  return refused(await Promise.all(bombs.map((b) => get('/samples', {}, sign(b)))));
});
attack('A65 two Authorization headers, folded ones, other schemes, other places', async () => {
  const line = (h) => raw(`GET /samples HTTP/1.1\r\nHost: x\r\n${h}Connection: close\r\n\r\n`);
  const both = await line(`Authorization: Bearer ${mine}\r\nAuthorization: Bearer ${theirs.slice(0, -4)}AAAA\r\n`);
  const answers = await Promise.all([line(`Authorization: Bearer x\r\nX-Authorization: Bearer ${theirs}\r\n`), line(`Authorization:\r\n Bearer ${theirs.slice(0, -5)}\r\n`), line(`Authorization: Basic ${encode('admin:admin')}\r\n`), line(`Cookie: access_token=${theirs}; jwt=${theirs}\r\n`), line(`Proxy-Authorization: Bearer ${theirs}\r\n`), line(`X-Forwarded-User: ${alpha.admin.login}\r\nX-Remote-User: admin\r\n`), get(`/samples?access_token=${theirs}`, {}, null), get(`/samples?jwt=${theirs}`, {}, null)]);
  for (const a of answers) assert.ok([400, 401].includes(a.status), `${a.status} ${a.text.slice(0, 200)}`);
  return [...answers, both].map((a) => [a, alpha.admin.login]);
});
attack('A66 a refresh token that was used: at once, in parallel, after its grace', async () => {
  const victim = await must(null, 'POST', '/rpc/auth_login', { login: alpha.admin.login, password: alpha.admin.password });
  const refresh = (token) => post('/rpc/auth_refresh', { refresh_token: token }, {}, null);
  const next = await refresh(victim.refresh_token);
  const parallel = await Promise.all(Array.from({ length: 8 }, () => refresh(next.json.refresh_token)));
  assert.equal(new Set(parallel.filter((a) => a.status === 200).map((a) => a.json.refresh_token)).size, 1);
  execFileSync(`${process.env.LABOS_BIN}/psql`, ['-X', '-q', '-c', `update lab_private.refresh_tokens set used_at = used_at - interval '1 minute' where used_at is not null and session_id = '${victim.session_id}'`]);
  const stolen = await refresh(victim.refresh_token);
  assert.equal(stolen.status, 401);
  assert.equal((await refresh(parallel[0].json.refresh_token)).status, 401, 'the whole family has ended');
  for (const t of [victim.access_token, next.json.access_token]) assert.equal((await get('/samples', {}, t)).status, 401);
  return [stolen];
});
attack('A67 guessed and altered refresh tokens, of other forms and lengths', async () => {
  const { refresh_token: good } = await must(null, 'POST', '/rpc/auth_login', { login: alpha.admin.login, password: alpha.admin.password });
  return refused(await Promise.all([good.slice(0, -1), `${good}=`, good.toUpperCase(), ` ${good}`, `${good}\n`, good.split('').reverse().join(''), '', '%', "' or 1=1 --", 'x'.repeat(100000), theirs].map((t) => post('/rpc/auth_refresh', { refresh_token: t }, {}, null))));
});

// ---- what a request can ask ----
attack('A68 Prefer: tx=rollback, to guess and to read for free', async () => {
  const name = `guess-${stage.run}`;
  await alpha.admin.must('POST', '/rpc/user_create', { email: `${name}@${alpha.slug}.example`, username: name, roles: [] });
  givePassword(name, 'Correct-Horse-7');
  was = stage.digest();
  const answers = [];
  for (let i = 0; i < 6; i++) answers.push([await post('/rpc/auth_login', { login: name, password: 'wrong' }, { Prefer: 'tx=rollback' }, null), name]);
  const right = await post('/rpc/auth_login', { login: name, password: 'Correct-Horse-7' }, {}, null);
  assert.equal(right.status, 401, 'the lock holds');
  was = stage.digest();
  return [...answers, await post('/rpc/role_create', { name: 'gone' }, { Prefer: 'tx=rollback' })];
});
attack('A69 counts: exact, planned and estimated, with filters for foreign values', async () => {
  const answers = [];
  for (const count of ['exact', 'planned', 'estimated']) {
    for (const t of ['samples', 'projects', 'instruments', 'users']) {
      const column = t === 'users' ? 'full_name' : 'description';
      const [a, b] = await Promise.all([`secret of ${alpha.slug}`, 'x'.repeat(`secret of ${alpha.slug}`.length)].map((v) => get(`/${t}?${column}=eq.${encodeURIComponent(v)}`, { Prefer: `count=${count}` })));
      assert.equal(a.headers.get('content-range'), b.headers.get('content-range'), `${count} ${t}`);
      answers.push([a, alpha.slug]);
    }
  }
  return answers;
});
attack('A70 plans over HTTP', () => Promise.all(['application/vnd.pgrst.plan', 'application/vnd.pgrst.plan+json; options=analyze|verbose', 'application/vnd.pgrst.plan+text; for="application/json"'].map(async (Accept) => { const a = await get('/samples', { Accept }); assert.notEqual(a.status, 200); return a; })));
attack('A71 embeds up, down, through and around', () => Promise.all(['/samples?select=*,projects(*,samples(*,locations(*)))', '/projects?select=*,samples!inner(*)', '/samples?select=*,...projects(code)', '/organizations?select=*,memberships(*,users(*))', '/users?select=*,memberships(*),user_sessions(*)', '/samples?select=*,organizations(*)', `/samples?projects.description=like.*${alpha.slug}*&select=*,projects!inner(*)`, '/roles?select=*,role_permissions(*),user_roles(*)'].map(async (p) => [await get(p), p])));
attack('A72 casts, JSON paths, computed columns, aggregates and functions in select', () => Promise.all(['/samples?select=id::regclass', '/samples?select=name::int', '/samples?select=id::text::bytea', '/samples?select=metadata->>a', '/samples?select=id.max()', '/samples?select=count()', '/samples?select=org_id', '/samples?select=pg_sleep', '/users?select=password_hash', '/users?select=*,credentials(*)', '/samples?select=ctid,xmin,tableoid', '/samples?select=samples', '/users?select=email::name', '/samples?select=labos.user_id()'].map((p) => get(p))));
attack('A73 ordering and filtering by what one may not see', () => Promise.all(['/users?order=last_login_ip', '/users?last_login_ip=is.null', '/users?failed_login_attempts=gt.0', '/users?order=password_hash', '/samples?order=projects(description)', `/samples?or=(org_id.eq.${alpha.id},name.eq.x)`, `/samples?org_id=eq.${alpha.id}`, `/samples?org_id=neq.${beta.id}`, `/samples?and=(org_id.not.is.null,or(id.not.is.null,name.is.null))`, `/samples?not.and=(org_id.eq.${beta.id})`].map(async (p) => [await get(p), p])));
attack('A74 conditions whose errors tell: casts, regular expressions, ranges, full text', async () => {
  const answers = [];
  for (const p of ['description=match.((a*)*)*b', 'description=imatch.[[', 'description=fts.%27', 'name=like.\\', 'name=gt.', 'created_at=gt.x', 'quantity=eq.1e999', 'formula=cs.{Xx}']) {
    const [a, b] = await Promise.all([mine, stage.tokens.beta].map((t) => get(`/samples?${p}&description=like.*${alpha.slug}*`, {}, t)));
    assert.equal(a.text, b.text);
    answers.push([a, alpha.slug]);
  }
  return answers;
});
attack('A75 upsert and PUT over ids of the other organisation', async () => {
  const id = stage.idOf('projects');
  const shape = (a, x) => `${a.status} ${a.text}`.replaceAll(x, 'ID').replace(/\d{4}-\d\d-\d\dT[^"]*/g, 'T');
  const tried = async (x) => [await post('/projects', { id: x, code: 'P-UPS', name: 'taken' }, { Prefer: 'resolution=merge-duplicates,return=representation,tx=rollback' }), await post('/projects?on_conflict=id', { id: x, code: 'P-UPS', name: 'taken' }, { Prefer: 'resolution=ignore-duplicates' }),
    await request(mine, 'PUT', `/projects?id=eq.${x}`, { id: x, code: 'P-PUT', name: 'taken' }, { Prefer: 'return=representation' })];
  const none = randomUUID();
  const [real, no] = [await tried(id), await tried(none)];
  assert.deepEqual(real.map((a) => shape(a, id)), no.map((a) => shape(a, none)));
  await request(mine, 'DELETE', `/projects?id=in.(${id},${none})`);
  return real.map((a) => [a, id]);
});
attack('A76 another schema by Accept-Profile and Content-Profile', async () => {
  const answers = await Promise.all(['lab_private', 'lab_data', 'labos', 'labos_ops', 'pg_catalog', 'information_schema', 'public', 'lab,lab_private', '"lab_private"'].flatMap((s) => [get('/credentials', { 'Accept-Profile': s }), get('/users', { 'Accept-Profile': s }), post('/rpc/exec_file', {}, { 'Content-Profile': s }), get('/pg_authid', { 'Accept-Profile': s })]));
  for (const a of answers) assert.ok(a.status >= 400, a.text.slice(0, 200));
  return answers;
});
attack('A77 the OpenAPI description: without a token, and of what one may not call', async () => {
  const open = await get('/', {}, null);
  assert.doesNotMatch(open.text, /lab_private|password_hash|sealed_key|token_sha256/);
  for (const path of Object.keys(open.json.paths)) assert.ok(path === '/' || path.startsWith('/rpc/'), path);
  const member = await alpha.nobody.request('GET', '/');
  assert.doesNotMatch(member.text, /lab_private|password_hash|sealed_key|token_sha256/);
  return [open, [member, alpha.slug]];
});
attack('A78 calls with other arguments than they have: fewer, more, others’, twice, by GET', () => Promise.all(Object.keys(api.paths).filter((p) => p.startsWith('/rpc/') && !/logout/.test(p)).flatMap((p) => [post(p, { nothing: alpha.id }), get(`${p}?id=${alpha.id}&id=${alpha.id}`), post(p, [{ id: alpha.id }])].map(async (a) => [await a, alpha.id]))));
attack('A79 injection through every text and JSON argument of every call', async () => {
  const strings = [`'; update lab_data.samples set name = 'injected'; --`, `' union select password_hash from lab_private.credentials --`, `$$; drop table lab_data.samples; $$`, `x' || (select 1/0) || '`, `%s %I %L %1$s`, `"; --`];
  const calls = sql(`select p.proname as name, json_agg(json_build_object('name', p.proargnames[i], 'type', format_type(p.proargtypes[i - 1], null)) order by i) as args
    from pg_proc p, generate_series(1, p.pronargs) i where p.pronamespace = 'lab'::regnamespace and p.prokind = 'f' and p.prorettype <> 'trigger'::regtype and has_function_privilege('lab_user', p.oid, 'execute') group by p.oid, p.proname
    having bool_or(format_type(p.proargtypes[i - 1], null) ~ 'text|json')`);
  const answers = [];
  let n = 0;
  for (const s of strings) {
    answers.push(...await Promise.all(calls.filter((c) => !/^auth_(login|token|register|password)/.test(c.name) || n++ < 12).map(async ({ name, args }) => {
      const body = Object.fromEntries(args.filter((a) => /text|json/.test(a.type)).map((a) => [a.name, a.type.endsWith('[]') ? [s] : /json/.test(a.type) ? { [s]: s } : s]));
      const a = await post(`/rpc/${name}`, body, { Prefer: 'tx=rollback' });
      assert.ok(!/^(42601|42P01|42703|22012)$/.test(a.json?.code ?? ''), `${name}: ${a.text}`);
      return a;
    })));
  }
  assert.ok(answers.length > 200, `${answers.length} calls`);
  assert.equal(sql("select count(*) as n from lab_data.samples where name = 'injected'")[0].n, 0);
  return answers;
});
attack('A80 injection through the query string: names, operators, order, limit, columns, on_conflict', () => Promise.all(["select=id;drop table x", "select=id,(select 1)", "order=id;select 1", "id=eq.1';select 1--", "id=eq.$1", "limit=1;select 1", "offset=1 union select 1", "on_conflict=id) do nothing; --", 'columns="id"; --', "name=in.('a');--)", `name=eq.\\'; --`, "select=\"id\"::text;--", "id=is.null); --", "and=(id.eq.1);--"].flatMap((q) => [get(`/samples?${encodeURI(q)}`), request(mine, 'PATCH', `/projects?code=eq.none&${encodeURI(q)}`, { name: 'x' })])));
attack('A81 headers: CRLF in values, in ids, in cookies, and answers split by them', async () => {
  const split = 'x\r\nSet-Cookie: stolen=1\r\n\r\n<html>';
  const answers = await Promise.all([post('/rpc/role_create', { name: split }), post('/rpc/auth_login', { login: split, password: split, device_info: split }, {}, null), get(`/samples?name=eq.${encodeURIComponent(split)}`), get(`/samples?order=${encodeURIComponent(split)}`), post('/rpc/auth_refresh', { refresh_token: split }, {}, null), post('/projects', { code: split, name: split }, { Prefer: 'tx=rollback,return=headers-only' }), raw(`GET /samples HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${mine}\r\nX-Request-Id: a\rSet-Cookie: stolen=1\r\nConnection: close\r\n\r\n`)]);
  for (const a of answers) assert.equal([...(a.headers ?? [])].find(([k]) => k === 'set-cookie'), undefined);
  return answers;
});
attack('A82 addresses in X-Forwarded-For, lists, SQL and bytes in it', async () => {
  const answers = await Promise.all(["127.0.0.1", "1.2.3.4, 5.6.7.8", "'; drop table x; --", '::ffff:1.2.3.4', 'unknown', '1.2.3.4:99', '[::1]:80', '999.1.1.1', 'x'.repeat(5000), '10.0.0.0/8', ''].map((x) => post('/rpc/auth_login', { login: beta.admin.login, password: beta.admin.password }, { 'X-Forwarded-For': x, Forwarded: `for=${x}`, 'X-Real-IP': x }, null)));
  for (const a of answers) assert.ok([200, 429].includes(a.status), a.text);
  return answers;
});
attack('A83 methods: overridden, unknown, TRACE, OPTIONS, CONNECT', async () => Promise.all([get(`/samples?id=eq.${stage.idOf('samples')}`, { 'X-HTTP-Method-Override': 'DELETE', 'X-Method-Override': 'DELETE' }), ...['TRACE', 'OPTIONS', 'PROPFIND', 'delete', 'SELECT'].map((m) => raw(`${m} /samples?id=eq.${stage.idOf('samples')} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${mine}\r\nConnection: close\r\n\r\n`))].map(async (a) => { const x = await a; return [x.status === 501 ? { ...x, status: 405 } : x, stage.idOf('samples')]; })));
attack('A84 two requests in one: lengths and encodings that disagree', async () => {
  const inner = `GET /samples HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${mine}\r\n\r\n`;
  return Promise.all([raw(`POST /rpc/auth_login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n${inner}`), raw(`POST /rpc/auth_login HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: ${inner.length}\r\nConnection: close\r\n\r\n${inner}`)]);
});
attack('A85 media types: CSV, octets, HTML, SVG, single objects, null-stripped', () => Promise.all(['text/csv', 'application/octet-stream', 'text/html', 'image/svg+xml', 'application/vnd.pgrst.object+json', 'application/vnd.pgrst.array+json;nulls=stripped', 'application/geo+json', 'application/xml', '*/*;q=0'].flatMap((Accept) => ['/samples', '/users', `/samples?id=eq.${stage.idOf('samples')}`, '/rpc/auth_me'].map(async (p) => [await get(p, { Accept }), p]))));
attack('A86 bodies that name another organisation, session, user or owner', () => Promise.all(['/projects', '/samples', '/instruments', '/materials', '/locations'].flatMap((t) => [{ org_id: alpha.id }, { created_by: alpha.id }, { id: stage.idOf(t.slice(1)), org_id: alpha.id }, { version: 99 }, { deleted_at: null, deleted_by: null }].map(async (b) => [await post(t, { name: 'x', code: 'P-B', kind: 'room', ...b }, { Prefer: 'tx=rollback,return=representation' }), JSON.stringify(b)]))));
attack('A87 acting for another organisation by header, claim or argument', async () => {
  const answers = await Promise.all([{ 'X-Labos-Org': alpha.id }, { 'X-Labos-Org': alpha.slug }, { 'x-labos-org': `${beta.id},${alpha.id}` }, { 'X-Org-Id': alpha.id }].flatMap((h) => [get('/samples', h), get('/rpc/auth_me', h), get('/users', h)].map(async (a) => [await a, alpha.id + alpha.slug])));
  for (const org of [alpha.id, alpha.slug, alpha.slug.toUpperCase(), ` ${alpha.slug}`]) {
    const a = await post('/rpc/auth_org_switch', { org });
    assert.equal(a.status, 403, a.text);
    answers.push([a, org]);
  }
  return answers;
});
attack('A88 a session that ends between two requests, and tokens kept from before', async () => {
  const { access_token, refresh_token } = await must(null, 'POST', '/rpc/auth_login', { login: alpha.admin.login, password: alpha.admin.password });
  const flood = Array.from({ length: 20 }, () => get('/rpc/auth_me', {}, access_token));
  await post('/rpc/auth_logout', { refresh_token }, {}, null);
  await Promise.all(flood);
  return refused(await Promise.all([get('/samples', {}, access_token), get('/rpc/auth_me', {}, access_token), post('/rpc/auth_refresh', { refresh_token }, {}, null)]));
});
attack('A89 six states of an account: one status, one body, one set of headers', async () => {
  const name = `state-${stage.run}`;
  const made = await alpha.admin.must('POST', '/rpc/user_create', { email: `${name}@${alpha.slug}.example`, username: name, roles: [] });
  givePassword(name, 'Correct-Horse-7');
  await alpha.admin.must('POST', '/rpc/user_deactivate', { id: made.id });
  was = stage.digest();
  const shape = async (login) => { const a = await post('/rpc/auth_login', { login, password: 'Correct-Horse-8' }, {}, null); return JSON.stringify([a.status, a.text, [...a.headers].filter(([k]) => k !== 'date')]); };
  const first = await shape(`nobody-${stage.run}`);
  for (const login of [name, `guess-${stage.run}`, alpha.nobody.login, `${name}@${alpha.slug}.example`, '']) assert.equal(await shape(login), first, login);
  was = stage.digest();
  return [];
});
attack('A90 a member without a role asks for everything by name', async () => {
  await beta.nobody.request('GET', '/');
  const answers = await Promise.all(Object.keys(api.paths).filter((p) => p !== '/' && !p.startsWith('/rpc/')).map((p) => request(beta.nobody.token, 'GET', p)));
  for (const a of answers) assert.ok(a.status >= 400 || a.json.every((r) => !JSON.stringify(r).includes(alpha.slug)));
  return answers;
});
attack('A91 paths: dots, doubled, encoded, to files and to other schemas', () => Promise.all(['/../lab_private/credentials', '/lab_private.credentials', '/%2e%2e/credentials', '//samples', '/samples/../users', '/samples%00', '/rpc/../rpc/auth_me', '/rpc/lab_private.identity_load', '/rpc/pg_read_file?filename=x', '/rpc/pg_sleep?seconds=1', '/rpc/set_config', '/"lab_private"."credentials"', '/.well-known/jwks.json', '/pg_catalog.pg_authid'].map(async (p) => { const a = await raw(`GET ${p} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${mine}\r\nConnection: close\r\n\r\n`); assert.ok(a.status >= 400 || /samples/.test(p), `${p}: ${a.status}`); return a; })));
attack('A92 very much of everything: bodies, headers, lists and filters', () => Promise.all([post('/rpc/auth_login', { login: 'x'.repeat(5e6), password: 'y' }, {}, null), post('/rpc/auth_login', { login: 'x', password: 'y'.repeat(5e6) }, {}, null), get(`/samples?id=in.(${Array(150).fill(randomUUID()).join()})`), get('/samples', { 'X-Request-Id': 'x'.repeat(6000) }), post('/samples', Array.from({ length: 2000 }, () => ({ nothing: 1 }))), post('/rpc/auth_login', { login: 'x', password: 'y', device_info: { a: 'x'.repeat(1e6) } }, {}, null)]));
