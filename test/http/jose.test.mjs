// Tokens that cross the border: ours verified by Node's jose, jose's by us, in every algorithm; what one refuses the
// other refuses, too. Then through PostgREST: tokens of a new key are accepted, those of a withdrawn key refused at once.
import assert from 'node:assert/strict';
import test from 'node:test';
import * as jose from 'jose';
import { installationAdmin, must, request, sql } from './lib.mjs';

const algorithms = ['HS256', 'HS384', 'HS512', 'RS256', 'PS256', 'ES256', 'EdDSA'];
const text = (x) => JSON.stringify(x).replaceAll("'", "''");
const now = Math.floor(Date.now() / 1000);
const claims = { iss: 'border', aud: 'lab', sub: '0190a000-0000-7000-8000-000000000001', exp: now + 600, iat: now, text: 'äöü "\\ 😀', number: 1.5, list: [1, { a: null }] };
const ours = (jwk, payload = claims) => sql(`select labos.jwt_sign('${text(payload)}', '${text(jwk)}', null, 'at+jwt') as token`)[0].token;
const verified = (token, jwk) => sql(`select valid, reason, payload from labos.jwt_verify('${token.replaceAll("'", "''")}', '${text(jwk)}')`)[0];
const secretOf = (jwk) => jose.importJWK(jwk, jwk.alg);

for (const alg of algorithms) {
  test(`${alg}: ours by jose, jose's by us, and the same refusals`, async () => {
    // Keys made by either side.
    const [{ mine, published }] = sql(`select k as mine, coalesce(labos.jwk_public(k), k) as published from (select labos.jwk_generate('${alg}') as k) x`);
    const pair = alg.startsWith('HS') ? null : await jose.generateKeyPair(alg, { extractable: true, modulusLength: 2048 });
    const theirs = { ...await jose.exportJWK(pair ? pair.privateKey : await jose.generateSecret(alg, { extractable: true })), alg, kid: `jose-${alg}` };
    const theirPublic = pair ? { ...await jose.exportJWK(pair.publicKey), alg, kid: theirs.kid } : theirs;
    for (const [signing, verifying] of [[mine, published], [theirs, theirPublic]]) {
      const key = await secretOf(verifying);
      const accepted = await jose.jwtVerify(ours(signing), key, { issuer: 'border', audience: 'lab', typ: 'at+jwt', algorithms: [alg] });
      assert.deepEqual(accepted.payload, claims);
      assert.equal(accepted.protectedHeader.kid, signing.kid);
      const sign = (payload, header = {}) => new jose.SignJWT(payload).setProtectedHeader({ alg, kid: verifying.kid, typ: 'at+jwt', ...header }).sign(signer);
      const signer = await secretOf(signing);
      const good = await sign(claims);
      const read = verified(good, verifying);
      assert.equal(read.valid, true, read.reason);
      assert.deepEqual(read.payload, claims);
      // What neither takes.
      const [h, p, s] = good.split('.');
      const other = sql(`select labos.jwk_generate('${alg}') || '{"kid": "${verifying.kid}"}' as k`)[0].k;
      const flipped = Buffer.from(s, 'base64url');
      flipped[0] ^= 1;
      const none = jose.base64url.encode(JSON.stringify({ alg: 'none' }));
      const bad = { expired: await sign({ ...claims, exp: now - 600 }), 'not yet valid': await sign({ ...claims, nbf: now + 600 }), 'another payload': `${h}.${jose.base64url.encode(JSON.stringify({ ...claims, sub: 'x' }))}.${s}`,
        'another signature': `${h}.${p}.${flipped.toString('base64url')}`, 'no signature': `${h}.${p}.`, unsigned: `${none}.${p}.`, 'another key': ours(other), 'two parts': `${h}.${p}`, 'four parts': `${good}.x`, nothing: '' };
      for (const [name, token] of Object.entries(bad)) {
        await assert.rejects(jose.jwtVerify(token, key, { algorithms: [alg] }), undefined, `jose: ${name}`);
        assert.equal(verified(token, verifying).valid, false, `labos: ${name}`);
      }
      // The key of one algorithm is no key of another.
      for (const wrong of algorithms.filter((a) => a !== alg)) assert.equal(verified(`${jose.base64url.encode(JSON.stringify({ alg: wrong, typ: 'at+jwt' }))}.${p}.${s}`, verifying).valid, false, wrong);
    }
  });
}

const me = (token) => request(token, 'GET', '/rpc/auth_me');
const settings = (root, change) => must(root, 'POST', '/rpc/identity_settings_update', { settings: change });
const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });

test('PostgREST takes what jose verifies by our JWKS, and refuses a withdrawn key within a second', async (t) => {
  const root = await installationAdmin();
  const { key_lead_seconds: lead } = await must(root, 'POST', '/rpc/identity_settings', {});
  await settings(root, { key_lead_seconds: 1 });
  for (const alg of ['ES256', 'EdDSA']) {
    const { kid } = await must(await installationAdmin(), 'POST', '/rpc/signing_key_rotate', { alg });
    await sleep(1500);
    const token = await installationAdmin();
    assert.equal(jose.decodeProtectedHeader(token).kid, kid);
    const { payload } = await jose.jwtVerify(token, jose.createLocalJWKSet(await must(null, 'GET', '/rpc/jwks')), { typ: 'at+jwt' });
    assert.ok(payload.sid);
    assert.equal((await me(token)).status, 200);
    await must(token, 'POST', '/rpc/signing_key_retire', { kid });
    const from = performance.now();
    let answer = await me(token);
    while (answer.status === 200 && performance.now() - from < 10000) { await sleep(20); answer = await me(token); }
    const took = performance.now() - from;
    t.diagnostic(`${alg}: refused ${took.toFixed(0)} ms after the withdrawal`);
    assert.equal(answer.status, 401);
    assert.ok(took < 1000, `${took} ms`);
    await assert.rejects(jose.jwtVerify(token, jose.createLocalJWKSet(await must(null, 'GET', '/rpc/jwks'))));
  }
  await settings(await installationAdmin(), { key_lead_seconds: lead });
});

test('P37: twenty rotations during many requests refuse none', async (t) => {
  const { key_lead_seconds: lead } = await must(await installationAdmin(), 'POST', '/rpc/identity_settings', {});
  await settings(await installationAdmin(), { key_lead_seconds: 1 });
  const refused = [];
  const kids = new Set();
  let requests = 0, token = await installationAdmin(), running = true;
  const client = async () => {
    while (running) {
      const used = token;
      const answer = await me(used);
      requests++;
      if (answer.status !== 200) refused.push([answer.status, answer.text, jose.decodeProtectedHeader(used).kid]);
    }
  };
  const clients = [client(), client()];
  for (let i = 0; i < 20; i++) {
    await must(token, 'POST', '/rpc/signing_key_rotate', { alg: i % 2 ? 'ES256' : 'EdDSA' });
    await sleep(1100);
    token = await installationAdmin();
    kids.add(jose.decodeProtectedHeader(token).kid);
  }
  running = false;
  await Promise.all(clients);
  t.diagnostic(`${requests} requests, ${kids.size} keys, ${refused.length} refused`);
  assert.deepEqual(refused.slice(0, 5), []);
  assert.equal(kids.size, 20);
  await settings(await installationAdmin(), { key_lead_seconds: lead });
});
