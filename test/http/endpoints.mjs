// Every endpoint of the original systems that is about identity and rights: where it lives now, who may call it, and
// what the four ways of calling it answer. test/http/endpoints.test.mjs calls each of them; `node test/http/endpoints.mjs
// --write` puts the table into docs/http.md (make lint says when it is old).
//   group, original, ours, body, rightful role, permission it needs, [rightful, without, other organisation, anonymous], variants
// Without: a member of the same organisation without a role. Other: an admin of another organisation who names what belongs
// to the first. $words are filled in by the test. "200 []" is an empty list. A variant replaces members of the body in one way.
import { readFileSync, writeFileSync } from 'node:fs';

const own = '—'; // about oneself: every signed-in caller may
export const endpoints = [
  // Instrument control: 15 under /auth
  ['auth', 'POST /auth/login', 'POST /rpc/auth_login', { login: '$login', password: '$password' }, 'viewer', own, [200, 401, 401, 200], { without: { password: 'Wrong-Horse-7' }, other: { org: '$org' }, note: 'without: a wrong password; other: into an organisation one is no member of' }],
  ['auth', 'POST /auth/logout', 'POST /rpc/auth_logout', { refresh_token: '$refresh' }, 'viewer', own, [200, 200, 200, 200], { anonymous: { refresh_token: 'nobodys' }, note: 'what is no session of yours ends nothing, and tells nothing' }],
  ['auth', 'POST /auth/register', 'POST /rpc/auth_register', { email: '$new@lab.example', username: '$new', password: '$password' }, 'nobody', own, [403, 403, 403, 403], { note: 'closed by default (registration_policy)' }],
  ['auth', 'POST /auth/refresh', 'POST /rpc/auth_refresh', { refresh_token: '$refresh' }, 'viewer', own, [200, 200, 200, 401], { anonymous: { refresh_token: 'nobodys' } }],
  ['auth', 'POST /auth/password/forgot', 'POST /rpc/auth_password_forgot', { email: '$email' }, 'viewer', own, [202, 202, 202, 202], { note: 'the answer never tells whether the address is known' }],
  ['auth', 'POST /auth/password/reset', 'POST /rpc/auth_password_reset', { token: '$password_reset', new: 'Better-Horse-8' }, 'viewer', own, [200, 400, 400, 400], { without: { token: 'guessed' }, other: { token: '$wrong_purpose' }, anonymous: { token: 'guessed' }, note: 'by the token of the mail; other: a token for another purpose' }],
  ['auth', 'POST /auth/password/change', 'POST /rpc/auth_password_change', { current: '$password', new: 'Better-Horse-8' }, 'viewer', own, [200, 403, 200, 401], { without: { current: 'Wrong-Horse-7' }, note: 'without: a wrong current password' }],
  ['auth', 'POST /auth/verify-email', 'POST /rpc/auth_verify_email', { token: '$email_verification' }, 'viewer', own, [200, 400, 400, 400], { without: { token: 'guessed' }, other: { token: '$wrong_purpose' }, anonymous: { token: 'guessed' }, note: 'by the token of the mail' }],
  ['auth', 'GET /auth/me', 'GET /rpc/auth_me', null, 'viewer', own, [200, 200, 200, 401], {}],
  ['auth', 'PATCH /auth/me', 'POST /rpc/auth_me_update', { full_name: 'New Name' }, 'viewer', own, [200, 200, 200, 401], {}],
  ['auth', 'GET /auth/sessions', 'GET /rpc/auth_sessions', null, 'viewer', own, [200, 200, 200, 401], {}],
  ['auth', 'DELETE /auth/sessions/{id}', 'POST /rpc/auth_session_end', { id: '$session' }, 'viewer', own, [200, 404, 404, 401], { note: 'the rightful one ends the own session; the others name it' }],
  ['auth', 'POST /auth/mfa/setup', 'POST /rpc/auth_mfa_setup', {}, 'viewer', own, [200, 200, 200, 401], {}],
  ['auth', 'POST /auth/mfa/confirm', 'POST /rpc/auth_mfa_confirm', { code: '$code' }, 'viewer', own, [200, 403, 409, 401], { without: { code: '000000' }, other: { code: '000000' }, prepare: { right: 'mfa_setup', without: 'mfa_setup' }, note: 'without: a wrong code; other: nothing was set up' }],
  ['auth', 'POST /auth/mfa/disable', 'POST /rpc/auth_mfa_disable', { password: '$password', code: '$backup' }, 'viewer', own, [200, 403, 409, 401], { without: { password: 'Wrong-Horse-7' }, other: { code: '000000' }, prepare: { right: 'mfa_on', without: 'mfa_on' }, note: 'without: a wrong password; other: has none' }],
  // Instrument control: 10 under /rbac
  ['rbac', 'GET /rbac/roles', 'GET /roles?name=eq.$role', null, 'viewer', 'role:read', [200, '200 []', '200 []', 401], {}],
  ['rbac', 'POST /rbac/roles', 'POST /rpc/role_create', { name: '$new' }, 'admin', 'role:create', [200, 403, 200, 401], { note: 'other: a role of their own organisation' }],
  ['rbac', 'GET /rbac/roles/{id}', 'GET /roles?id=eq.$role_id', null, 'viewer', 'role:read', [200, '200 []', '200 []', 401], {}],
  ['rbac', 'PATCH /rbac/roles/{id}', 'POST /rpc/role_update', { role: '$role', description: 'changed' }, 'admin', 'role:update', [200, 403, 404, 401], {}],
  ['rbac', 'DELETE /rbac/roles/{id}', 'POST /rpc/role_delete', { role: '$role' }, 'admin', 'role:delete', [200, 403, 404, 401], {}],
  ['rbac', 'GET /rbac/roles/{id}/permissions', 'GET /role_permissions?role_id=eq.$role_id', null, 'viewer', 'role:read', [200, '200 []', '200 []', 401], {}],
  ['rbac', 'GET /rbac/permissions', 'GET /permissions?limit=1', null, 'viewer', own, [200, 200, 200, 401], { note: 'the same for everybody' }],
  ['rbac', 'POST /rbac/permissions', 'POST /permissions', { name: 'made:up' }, 'admin', 'none has it', [403, 403, 403, 401], { note: 'what can be permitted is the code’s; a role of one’s own picks from it' }],
  ['rbac', 'GET /rbac/users/{id}/roles', 'GET /user_roles?user_id=eq.$user', null, 'viewer', 'role:read', [200, '200 []', '200 []', 401], {}],
  ['rbac', 'GET /rbac/users/{id}/permissions', 'GET /rpc/user_permissions?id=$user', null, 'admin', 'user:read', [200, 403, 404, 401], {}],
  // The other systems
  ['more', 'POST /auth/token', 'POST /rpc/auth_token', { grant_type: 'password', username: '$login', password: '$password' }, 'viewer', own, [200, 400, 200, 200], { without: { password: 'Wrong-Horse-7' }, note: 'errors as RFC 6749 has them' }],
  ['more', 'POST /auth/login, second step', 'POST /rpc/auth_mfa_verify', { challenge: '$challenge', code: '$backup' }, 'viewer', own, [200, 401, 401, 401], { without: { code: '000000' }, other: { challenge: 'guessed' }, anonymous: { challenge: 'guessed' }, prepare: { right: 'half', without: 'half' } }],
  ['more', 'POST /auth/logout-all', 'POST /rpc/auth_logout_all', {}, 'viewer', own, [200, 200, 200, 401], {}],
  ['more', 'user service: list', 'GET /users?id=eq.$user', null, 'viewer', 'user:read', [200, '200 []', '200 []', 401], {}],
  ['more', 'user service: create', 'POST /rpc/user_create', { email: '$new@lab.example', username: '$new', roles: ['$role'] }, 'admin', 'user:create', [200, 403, 404, 401], { note: 'other: with a role of the first organisation' }],
  ['more', 'user service: update', 'POST /rpc/user_update', { id: '$user', full_name: 'New Name' }, 'admin', 'user:update', [200, 403, 404, 401], {}],
  ['more', 'user service: deactivate', 'POST /rpc/user_deactivate', { id: '$user' }, 'admin', 'user:update', [200, 403, 404, 401], {}],
  ['more', 'user service: activate', 'POST /rpc/user_activate', { id: '$user' }, 'admin', 'user:update', [200, 403, 404, 401], {}],
  ['more', 'user service: unlock', 'POST /rpc/user_unlock', { id: '$user' }, 'admin', 'user:update', [200, 403, 404, 401], {}],
  ['more', 'user service: password reset', 'POST /rpc/user_password_reset', { id: '$user' }, 'admin', 'user:update', [202, 403, 404, 401], {}],
  ['more', 'user service: delete', 'POST /rpc/user_delete', { id: '$user' }, 'admin', 'user:delete', [200, 403, 404, 401], {}],
  ['more', 'user service: restore', 'POST /rpc/user_restore', { id: '$deleted' }, 'admin', 'user:restore', [200, 403, 404, 401], {}],
  ['more', 'user_role service: assign', 'POST /rpc/role_assign', { user_id: '$user', role: 'viewer' }, 'admin', 'role:assign', [200, 403, 404, 401], {}],
  ['more', 'user_role service: revoke', 'POST /rpc/role_revoke', { user_id: '$user', role: 'viewer' }, 'admin', 'role:assign', [200, 403, 404, 401], {}],
  ['more', 'members: remove', 'POST /rpc/membership_remove', { user_id: '$user' }, 'admin', 'user:delete', [200, 403, 404, 401], {}],
  ['more', 'sessions of all', 'GET /user_sessions?user_id=eq.$user', null, 'admin', 'session:read_any', [200, '200 []', '200 []', 401], {}],
  ['more', 'access log', 'GET /access_logs?user_id=eq.$user', null, 'admin', 'access_log:read', [200, '200 []', '200 []', 401], {}],
  ['more', 'keys for verifying tokens', 'GET /rpc/jwks', null, 'viewer', own, [200, 200, 200, 200], { note: 'public keys' }],
].map(([group, original, ours, body, role, needs, [right, without, other, anonymous], extra]) =>
  ({ group, original, ours, body, role, needs, expected: { right, without, other, anonymous }, extra }));

const cell = (text) => String(text).replaceAll('|', '\\|');
export function table() {
  const titles = { auth: 'Fifteen under /auth', rbac: 'Ten under /rbac', more: 'Of the other systems' };
  const lines = ['| original | now | body | role | permission | rightful | without | other org | anonymous | |', '|---|---|---|---|---|---|---|---|---|---|'];
  let group = '';
  for (const e of endpoints) {
    if (e.group !== group) lines.push(`| **${titles[e.group]}** |||||||||| |`.replace('||||||||||', ' | | | | | | | |'));
    group = e.group;
    const body = e.body ? `\`${Object.keys(e.body).join(', ') || '{}'}\`` : '';
    lines.push(`| ${[e.original, `\`${e.ours}\``, body, e.role, e.needs === own ? own : `\`${e.needs}\``, ...Object.values(e.expected), e.extra.note ?? ''].map(cell).join(' | ')} |`);
  }
  return lines.join('\n');
}

const mode = process.argv[1]?.endsWith('endpoints.mjs') ? process.argv[2] : undefined;
if (mode === '--write' || mode === '--check') {
  const page = new URL('../../docs/http.md', import.meta.url);
  const old = readFileSync(page, 'utf8');
  const made = old.replace(/(<!-- made by test\/http\/endpoints.mjs -->\n)[^]*?(<!-- end -->)/, (_, a, b) => `${a}${table()}\n${b}`);
  if (mode === '--write') writeFileSync(page, made);
  else if (old !== made || !old.includes('<!-- made by test/http/endpoints.mjs -->')) console.log('docs/http.md:1: the table of endpoints is old: node test/http/endpoints.mjs --write');
}
