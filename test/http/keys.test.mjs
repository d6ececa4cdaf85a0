// API keys and identity providers over HTTP, as machines and applications meet them; ID tokens made by another library.
// Numbers like P63 are those of the identity checklist.
import assert from 'node:assert/strict';
import { createHmac, createPublicKey } from 'node:crypto';
import test, { before } from 'node:test';
import * as jose from 'jose';
import { organisation, request, sql } from './lib.mjs';

const tag = Date.now().toString(36);
let alpha, beta;
const codeOf = (answer) => { try { return JSON.parse(answer.json.details).code; } catch { return answer.json?.code; } };
const rpc = (token, name, body = {}, headers) => request(token, 'POST', `/rpc/${name}`, body, headers);
const exchange = (key, headers) => rpc(null, 'auth_api_key', { key }, headers);
const make = (args) => alpha.admin.must('POST', '/rpc/api_key_create', { name: `k-${Math.random()}`, ...args });

before(async () => {
  alpha = await organisation(`keys-a-${tag}`);
  beta = await organisation(`keys-b-${tag}`);
});

test('P63: a key is shown once, exchanged for a short token, and limited to its scopes', async () => {
  const made = await make({ scopes: ['sample:read', 'sample:create'] });
  assert.match(made.key, /^lab_[a-z][a-z0-9]{0,15}_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}_[0-9a-f]{8}$/);
  const [listed] = await alpha.admin.must('GET', `/api_keys?id=eq.${made.id}`);
  assert.equal(listed.prefix, made.key.split('_').slice(0, 3).join('_'));
  assert.ok(!JSON.stringify(listed).includes(made.key.split('_')[3]));
  const answer = await exchange(made.key);
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  assert.ok(answer.json.expires_in <= 900 && !('refresh_token' in answer.json));
  const claims = jose.decodeJwt(answer.json.access_token);
  assert.deepEqual([claims.scope, claims.amr, claims.role], ['sample:create sample:read', ['key'], 'lab_user']);
  const token = answer.json.access_token;
  assert.equal((await request(token, 'POST', '/samples', { name: 'by key' })).status, 201);
  assert.equal((await request(token, 'GET', '/samples?select=name')).json.length, 1);
  assert.equal((await request(token, 'POST', '/projects', { code: 'P-9', name: 'x' })).status, 403);
  assert.deepEqual((await request(token, 'GET', '/access_logs')).json, []);
  assert.equal((await rpc(token, 'role_create', { name: 'x' })).status, 403);
});

test('P64: a key mints no key and touches no credential', async () => {
  const { key, id } = await make({ scopes: ['*:*'] });
  const token = (await exchange(key)).json.access_token;
  for (const [name, body] of [['api_key_create', { name: 'child', scopes: ['*:*'] }], ['api_key_rotate', { id }],
    ['oidc_provider_create', { name: 'x', issuer: 'https://x.example', client_id: 'x', jwks: {}, email_domains: ['x.example'] }]]) {
    const answer = await rpc(token, name, body);
    assert.deepEqual([answer.status, codeOf(answer)], [403, 'interactive_session_required'], name);
  }
  const password = await rpc(token, 'auth_password_change', { current: 'wrong', new: 'Another-2026' });
  assert.equal(password.status, 403, password.text);
  // Whoever finds it can end it.
  assert.equal((await rpc(token, 'api_key_revoke', { id })).status, 200);
  assert.equal((await request(token, 'GET', '/rpc/auth_me')).status, 401);
});

test('P20: every refusal is the same, byte for byte', async () => {
  const revoked = await make({ scopes: ['sample:read'] });
  await alpha.admin.must('POST', '/rpc/api_key_revoke', { id: revoked.id });
  const shape = async (key) => { const a = await exchange(key); return JSON.stringify([a.status, a.text, [...a.headers].filter(([k]) => k !== 'date')]); };
  const expected = await shape('x');
  assert.match(expected, /401.*invalid_api_key/);
  const other = `${revoked.key.slice(0, 30)}${revoked.key[30] === 'a' ? 'b' : 'a'}${revoked.key.slice(31)}`;
  for (const key of [revoked.key, revoked.prefix, other, '', 'lab_', revoked.key.toUpperCase(), `${revoked.key}\n`, 'x'.repeat(1e6)]) assert.equal(await shape(key), expected, key.slice(0, 40));
  assert.equal((await request(null, 'GET', `/rpc/auth_api_key?key=${revoked.key}`)).status, 405);
  assert.equal((await rpc(null, 'auth_api_key?select=access_token', { key: revoked.key })).status, 400);
});

test('P18: revoked or rotated, a key and its tokens end with the next request; another organisation cannot end it', async () => {
  const made = await make({ scopes: ['sample:read'] });
  const token = (await exchange(made.key)).json.access_token;
  for (const name of ['api_key_revoke', 'api_key_rotate']) {
    const answer = await beta.admin.request('POST', `/rpc/${name}`, { id: made.id });
    assert.deepEqual([answer.status, codeOf(answer)], [404, 'api_key_not_found']);
  }
  assert.deepEqual(await beta.admin.must('GET', `/api_keys?id=eq.${made.id}`), []);
  const second = await alpha.admin.must('POST', '/rpc/api_key_rotate', { id: made.id });
  assert.deepEqual([(await request(token, 'GET', '/samples')).status, (await exchange(made.key)).status, (await exchange(second.key)).status], [401, 401, 200]);
  const newer = (await exchange(second.key)).json.access_token;
  assert.equal((await request(newer, 'GET', '/samples')).status, 200);
  await alpha.admin.must('POST', '/rpc/api_key_revoke', { id: made.id });
  assert.deepEqual([(await request(newer, 'GET', '/samples')).status, (await exchange(second.key)).status], [401, 401]);
});

test('P29: an exchange that is rolled back leaves a token of a session that goes on being the key\'s', async () => {
  const { key, id } = await make({ scopes: ['sample:read'] });
  const answer = await exchange(key, { Prefer: 'tx=rollback' });
  assert.equal(answer.status, 200, answer.text);
  await alpha.admin.must('POST', '/rpc/api_key_revoke', { id });
  assert.equal((await request(answer.json.access_token, 'GET', '/samples')).status, 401);
});

// A provider of ours: keys and ID tokens by jose.
async function provider(owner, alg, more = {}) {
  const { privateKey, publicKey } = await jose.generateKeyPair(alg, { extractable: true });
  const jwk = { ...(await jose.exportJWK(publicKey)), kid: `k-${alg}`, alg, use: 'sig' };
  const issuer = `https://${alg.toLowerCase()}.${owner.slug}.example`;
  const made = await owner.admin.must('POST', '/rpc/oidc_provider_create', {
    name: alg, issuer, client_id: 'labos', jwks: { keys: [jwk] }, algorithms: [alg], email_domains: [`${owner.slug}.example`], ...more });
  const token = (change = {}, header = {}) => {
    const claims = { sub: 'subject', email: `nobody@${owner.slug}.example`, email_verified: true, nonce: 'n', ...change };
    return new jose.SignJWT(claims).setProtectedHeader({ alg, kid: jwk.kid, typ: 'JWT', ...header })
      .setIssuer(change.iss ?? issuer).setAudience(change.aud ?? 'labos').setIssuedAt(change.iat).setExpirationTime(change.exp ?? '5m').sign(privateKey);
  };
  return { made, jwk, issuer, token, privateKey };
}
const oidc = (id_token, org, nonce = 'n') => rpc(null, 'auth_oidc', { id_token, nonce, org });

test('ID tokens by another library, of every algorithm, are exchanged once', async () => {
  for (const alg of ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']) {
    const idp = await provider(alpha, alg);
    const token = await idp.token({ sub: `s-${alg}`, amr: ['mfa'] });
    const answer = await oidc(token, alpha.slug);
    assert.equal(answer.status, 200, `${alg}: ${answer.text}`);
    assert.deepEqual([answer.json.session_kind, answer.json.aal, answer.json.user.email], ['oidc', 2, `nobody@${alpha.slug}.example`]);
    assert.equal((await request(answer.json.access_token, 'GET', '/rpc/auth_me')).status, 200);
    assert.equal((await oidc(token, alpha.slug)).json.code, 'invalid_id_token', `${alg} again`);
    await alpha.admin.must('POST', '/rpc/oidc_provider_delete', { id: idp.made.id });
    assert.equal((await request(answer.json.access_token, 'GET', '/rpc/auth_me')).status, 401, 'its sessions end with it');
  }
});

test('P1 to P9, P20: algorithm confusion, foreign keys and stale tokens get one answer', async () => {
  const idp = await provider(alpha, 'RS256');
  const good = await idp.token();
  const [head, body, signature] = good.split('.');
  const encode = (x) => Buffer.from(typeof x === 'string' ? x : JSON.stringify(x)).toString('base64url');
  const hmac = (header, secret) => { const data = `${encode(header)}.${body}`; return `${data}.${createHmac('sha256', secret).update(data).digest('base64url')}`; };
  const pem = createPublicKey({ key: idp.jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
  const evil = await jose.generateKeyPair('RS256', { extractable: true });
  const evilJwk = await jose.exportJWK(evil.publicKey);
  const byEvil = (header) => new jose.SignJWT(jose.decodeJwt(good)).setProtectedHeader({ alg: 'RS256', kid: idp.jwk.kid, ...header }).sign(evil.privateKey);
  const now = Math.floor(Date.now() / 1000);
  const bad = {
    none: `${encode({ alg: 'none' })}.${body}.`, None: `${encode({ alg: 'None', kid: idp.jwk.kid })}.${body}.${signature}`,
    'HS256 with the PEM': hmac({ alg: 'HS256', kid: idp.jwk.kid }, pem), 'HS256 with the JWK': hmac({ alg: 'HS256', kid: idp.jwk.kid }, JSON.stringify(idp.jwk)),
    'HS256 with the modulus': hmac({ alg: 'HS256' }, Buffer.from(idp.jwk.n, 'base64url')), 'HS256 with nothing': hmac({ alg: 'HS256' }, ''),
    jwk: await byEvil({ jwk: evilJwk }), jku: await byEvil({ jku: 'https://evil.example/jwks' }), x5u: await byEvil({ x5u: 'https://evil.example/c' }), 'another key of the same kid': await byEvil({}),
    'another kid': await idp.token({}, { kid: 'other' }), crit: `${encode({ alg: 'RS256', kid: idp.jwk.kid, crit: ['exp'] })}.${body}.${signature}`,
    'another body': `${head}.${encode({ ...jose.decodeJwt(good), sub: 'x' })}.${signature}`, 'no signature': `${head}.${body}.`, 'two parts': `${head}.${body}`,
    'wrong audience': await idp.token({ aud: 'x' }), 'wrong issuer': await idp.token({ iss: 'https://x.example' }), 'several audiences': await idp.token({ aud: ['labos', 'x'] }),
    expired: await idp.token({ exp: now - 1, iat: now - 100 }), old: await idp.token({ iat: now - 700 }), future: await idp.token({ iat: now + 900, exp: now + 1800 }),
    'an access token': await idp.token({}, { typ: 'at+jwt' }), 'no nonce': await idp.token({ nonce: undefined }), 'unverified address': await idp.token({ sub: 'u', email_verified: false }),
    'foreign domain': await idp.token({ sub: 'f', email: `admin@${beta.slug}.example` }),
  };
  const shape = (a) => JSON.stringify([a.status, a.text, [...a.headers].filter(([k]) => k !== 'date')]);
  const expected = shape(await oidc('x', alpha.slug));
  assert.match(expected, /401.*invalid_id_token/);
  for (const [name, token] of Object.entries(bad)) assert.equal(shape(await oidc(token, alpha.slug)), expected, name);
  assert.equal(shape(await oidc(good, alpha.slug, 'other nonce')), expected, 'another nonce');
  assert.equal(shape(await oidc(good, beta.slug)), expected, 'another organisation');
  assert.equal(shape(await rpc(null, 'auth_oidc', { id_token: good, nonce: 'n' })), expected, 'no organisation');
  assert.equal((await oidc(good, alpha.slug)).status, 200, 'the right one still works');
  await alpha.admin.must('POST', '/rpc/oidc_provider_delete', { id: idp.made.id });
});

test('P67: an administrator of one organisation impersonates nobody of another by a provider of their own', async () => {
  const domains = [`${alpha.slug}.example`, `${beta.slug}.example`, process.env.LABOS_ADMIN_EMAIL.split('@')[1]].filter((d) => d.includes('.'));
  const evil = await provider(beta, 'ES256', { email_domains: domains, default_role: 'admin', allow_provisioning: true });
  for (const email of [`admin@${alpha.slug}.example`, `nobody@${alpha.slug}.example`, process.env.LABOS_ADMIN_EMAIL]) {
    for (const org of [beta.slug, alpha.slug, undefined]) {
      const answer = await oidc(await evil.token({ sub: email, email }), org);
      assert.deepEqual([answer.status, answer.json.code], [401, 'invalid_id_token'], `${email} in ${org}`);
    }
  }
  assert.deepEqual(sql(`select u.email from lab_private.oidc_links l join lab_data.users u on u.id = l.user_id where l.provider_id = '${evil.made.id}'`), []);
  // A stranger of these domains becomes somebody of Beta only.
  const stranger = await oidc(await evil.token({ sub: 'st', email: `stranger@${alpha.slug}.example` }), beta.slug);
  assert.deepEqual([stranger.status, stranger.json.organization.slug], [200, beta.slug]);
  assert.deepEqual((await request(stranger.json.access_token, 'GET', `/samples?org_id=eq.${alpha.id}`)).json, []);
});
