// What goes by mail, over HTTP: as a client asks and as the receiver of the mail goes on.
// Numbers like P52 are those of the identity checklist.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import test, { before } from 'node:test';
import { givePassword, mailTo, organisation, Person, request, sql, tokenIn } from './lib.mjs';

const run = randomUUID().slice(0, 6);
const password = 'Isolation-2026';
const call = (name, body = {}, token = null, headers = {}) => request(token, 'POST', `/rpc/${name}`, body, headers);
const code = (answer) => { try { return JSON.parse(answer.json.details).code; } catch { return answer.json?.code; } };
// All that an observer sees of an answer.
const seen = (answer) => JSON.stringify([answer.status, [...answer.headers].filter(([k]) => k !== 'date'), answer.text]);
let org, other;

async function person(name) {
  const email = `${name}@${run}.example`;
  await org.admin.must('POST', '/rpc/user_create', { email, username: `${name}-${run}`, roles: ['viewer'] });
  givePassword(`${name}-${run}`, password);
  return { email, name: `${name}-${run}`, ...new Person(email, password) };
}
const login = (who, secret = password) => call('auth_login', { login: who, password: secret });

before(async () => {
  org = await organisation(`mail-${run}`);
  other = await organisation(`post-${run}`);
});

test('P52: asking for a new password gives one answer for every address', async () => {
  const fay = await person('fay');
  const dis = await person('dis');
  await org.admin.must('POST', '/rpc/user_deactivate', { id: sql(`select id from lab_data.users where username = '${dis.name}'`)[0].id });
  const answers = [];
  for (const email of [fay.email, dis.email, `nobody@${run}.example`, fay.email.toUpperCase()]) answers.push(seen(await call('auth_password_forgot', { email })));
  assert.match(answers[0], /202.*accepted/);
  assert.deepEqual(answers, answers.map(() => answers[0]));
  const resent = [];
  for (const email of [fay.email, dis.email, `nobody@${run}.example`]) resent.push(seen(await call('auth_verify_resend', { email })));
  assert.deepEqual(resent, resent.map(() => resent[0]));
  const mails = await mailTo(fay.email, 2);
  assert.equal(mails.length, 2);
  assert.equal((await mailTo(`nobody@${run}.example`, 0)).length, 0);
  assert.equal((await mailTo(dis.email, 0)).length, 0);
});

test('a forgotten password: the mail, the new password, all sessions gone, signed in by nobody', async () => {
  const max = await person('max');
  const old = (await login(max.email)).json;
  await call('auth_password_forgot', { email: max.email });
  const token = tokenIn((await mailTo(max.email)).at(-1));
  assert.ok(token);
  const weak = await call('auth_password_reset', { token, new: 'weak' });
  assert.deepEqual([weak.status, code(weak)], [422, 'weak_password']);
  const reset = await call('auth_password_reset', { token, new: 'Better-Horse-8' });
  assert.equal(reset.status, 200, reset.text);
  assert.equal(reset.headers.get('cache-control'), 'no-store');
  assert.ok(!('access_token' in reset.json), 'it signs nobody in');
  assert.equal((await request(old.access_token, 'GET', '/rpc/auth_me')).status, 401, 'the old session has ended');
  assert.equal((await call('auth_refresh', { refresh_token: old.refresh_token })).status, 401);
  assert.equal((await login(max.email)).status, 401);
  assert.equal((await login(max.email, 'Better-Horse-8')).status, 200);
  const again = await call('auth_password_reset', { token, new: 'Third-Horse-8' });
  assert.deepEqual([again.status, code(again)], [400, 'invalid_one_time_token']);
  assert.ok((await mailTo(max.email, 2)).some((m) => /^Subject: Your password was changed/m.test(m)), 'and the owner is told');
});

test('P29: a token counts as used whatever is done to the answer', async () => {
  const una = await person('una');
  const make = () => sql(`select lab_private.one_time_token_make('password_reset', u.id, '10 min', null, u.email::text) as token from lab_data.users u where u.username = '${una.name}'`)[0].token;
  for (const [path, headers] of [['/rpc/auth_password_reset', { Prefer: 'tx=rollback' }], ['/rpc/auth_password_reset?select=pgrst_scalar::int', {}], ['/rpc/auth_password_reset', { Accept: 'application/vnd.pgrst.object+json;nulls=stripped' }]]) {
    const token = make();
    await request(null, 'POST', path, { token, new: 'Undone-Horse-1' }, headers);
    const again = await call('auth_password_reset', { token, new: 'Undone-Horse-2' });
    assert.equal(again.status, 400, `${path} ${JSON.stringify(headers)}: ${again.text}`);
  }
  assert.equal((await login(una.email, 'Undone-Horse-2')).status, 401);
});

test('P62: of 64 who present one token at once exactly one is served', async () => {
  const sim = await person('sim');
  const [{ token }] = sql(`select lab_private.one_time_token_make('email_verification', u.id, '10 min', null, u.email::text) as token from lab_data.users u where u.username = '${sim.name}'`);
  const answers = await Promise.all(Array.from({ length: 64 }, () => call('auth_verify_email', { token })));
  assert.equal(answers.filter((a) => a.status === 200).length, 1);
  assert.equal(answers.filter((a) => a.status === 400 && code(a) === 'invalid_one_time_token').length, 63);
});

test('P30: none of it is had by GET', async () => {
  for (const path of ['auth_password_forgot?email=a@b.example', `auth_password_reset?token=${'A'.repeat(43)}&new=x`, `auth_verify_email?token=${'A'.repeat(43)}`,
    `auth_email_confirm?token=${'A'.repeat(43)}`, `auth_invite_accept?token=${'A'.repeat(43)}`, 'auth_register?email=a@b.example&username=abc&password=x']) {
    assert.equal((await request(null, 'GET', `/rpc/${path}`)).status, 405, path);
  }
});

test('another address: asked with the password, confirmed by mail, the old one told', async () => {
  const eve = await person('eve');
  const here = (await login(eve.email)).json.access_token;
  const elsewhere = (await login(eve.email)).json.access_token;
  const next = `Eve.New@${run}.example`;
  assert.equal((await call('auth_email_change', { password: 'wrong', new_email: next }, here)).status, 403);
  const taken = await call('auth_email_change', { password, new_email: org.admin.login }, here);
  const free = await call('auth_email_change', { password, new_email: next }, here);
  assert.equal(seen(free), seen(taken), 'P52: whether the address is free is not told');
  const token = tokenIn((await mailTo(next)).at(-1));
  assert.equal((await mailTo(org.admin.login, 0)).filter((m) => /new e-mail address/.test(m)).length, 0);
  assert.equal((await call('auth_email_confirm', { token }, here)).status, 200);
  assert.equal((await request(here, 'GET', '/rpc/auth_me')).json.email, next.toLowerCase());
  assert.equal((await request(elsewhere, 'GET', '/rpc/auth_me')).status, 401, 'other sessions have ended');
  const told = await mailTo(eve.email, 3);
  assert.ok(told.some((m) => /was asked for/.test(m)) && told.some((m) => /was changed/.test(m)));
});

test('an invitation: by mail into the organisation, with the role and no more', async () => {
  const email = `ivy@${run}.example`;
  const made = await org.admin.must('POST', '/rpc/auth_invite', { email, role: 'technician', message: 'Welcome' });
  assert.ok(!JSON.stringify(made).match(/[A-Za-z0-9_-]{43}/), 'the inviter does not get the token');
  const [mail] = await mailTo(email);
  assert.match(mail, /Welcome/);
  const token = tokenIn(mail);
  const accepted = await call('auth_invite_accept', { token, username: `ivy-${run}`, password, full_name: 'Ivy' });
  assert.equal(accepted.status, 200, accepted.text);
  assert.deepEqual([accepted.json.roles, accepted.json.organization.id, accepted.json.session_kind], [['technician'], org.id, 'invitation']);
  assert.equal((await request(accepted.json.access_token, 'GET', '/samples?limit=1')).status, 200);
  assert.equal((await call('auth_invite_accept', { token, username: `ivy2-${run}`, password })).status, 400);
  assert.equal((await login(email)).status, 200);
  assert.deepEqual((await org.admin.must('GET', `/invitations?email=eq.${email}&select=accepted_by`)).map((i) => i.accepted_by), [accepted.json.user.id]);
});

test('P67: an invitation to an existing account is accepted by that account only', async () => {
  const joe = await person('joe');
  await other.admin.must('POST', '/rpc/auth_invite', { email: joe.email, role: 'viewer' });
  const token = tokenIn((await mailTo(joe.email)).find((m) => /^Subject: Invitation/m.test(m)));
  assert.equal(code(await call('auth_invite_accept', { token, username: 'thief', password: 'Thief-Horse-1' })), 'invalid_credentials');
  assert.equal(code(await call('auth_invite_accept', { token })), 'sign_in_required');
  const stranger = (await login(org.manager.login, org.manager.password)).json.access_token;
  assert.equal(code(await call('auth_invite_accept', { token }, stranger)), 'wrong_account');
  const mine = (await login(joe.email)).json.access_token;
  const joined = await call('auth_invite_accept', { token }, mine);
  assert.deepEqual([joined.status, joined.json.organization.id, 'access_token' in joined.json], [200, other.id, false]);
  const switched = await call('auth_org_switch', { org: other.slug }, mine);
  assert.deepEqual(switched.json.roles, ['viewer']);
});

test('invitations are seen and sent by those who may, in their organisation', async () => {
  const email = `later@${run}.example`;
  const { id } = await org.admin.must('POST', '/rpc/auth_invite', { email, role: 'viewer' });
  for (const who of [org.nobody, org.manager]) {
    for (const [name, body] of [['auth_invite', { email: `x@${run}.example`, role: 'viewer' }], ['auth_invite_resend', { id }], ['auth_invite_revoke', { id }]]) {
      assert.equal((await who.request('POST', `/rpc/${name}`, body)).status, 403, name);
    }
  }
  assert.deepEqual(await org.nobody.must('GET', '/invitations'), []);
  assert.ok((await org.manager.must('GET', '/invitations')).some((i) => i.id === id));
  assert.ok(!(await other.admin.must('GET', '/invitations')).some((i) => i.id === id));
  for (const name of ['auth_invite_resend', 'auth_invite_revoke']) assert.equal((await other.admin.request('POST', `/rpc/${name}`, { id })).status, 404);
  for (const [method, body] of [['POST', { email, role_id: id }], ['PATCH', { accepted_at: null }], ['DELETE']]) {
    assert.ok([401, 403, 404, 405].includes((await org.admin.request(method, `/invitations${method === 'POST' ? '' : `?id=eq.${id}`}`, body)).status), method);
  }
  await org.admin.must('POST', '/rpc/auth_invite_revoke', { id });
  const token = tokenIn((await mailTo(email)).at(-1));
  assert.equal(code(await call('auth_invite_accept', { token, username: `later-${run}`, password })), 'invalid_one_time_token');
});

test('what has expired is removed by the superuser only', async () => {
  assert.equal((await org.admin.request('POST', '/rpc/auth_cleanup', {})).status, 403);
  const root = (await login(process.env.LABOS_ADMIN_EMAIL, process.env.LABOS_ADMIN_PASSWORD)).json.access_token;
  const done = await call('auth_cleanup', {}, root);
  assert.equal(done.status, 200, done.text);
  assert.deepEqual(Object.keys(done.json).sort(), ['invitations', 'known_devices', 'one_time_tokens', 'outbox', 'refresh_tokens', 'user_sessions']);
});
