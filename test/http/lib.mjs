// What the HTTP tests share: requests as somebody, the superuser's view over SQL, two look-alike organisations.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const url = process.env.LABOS_URL;
if (!url) throw new Error('LABOS_URL is not set: run make check, or: make up; . .labos/env');

// Rows of a query as objects, by the superuser over the socket.
export function sql(query, args = {}) {
  const vars = Object.entries(args).flatMap(([k, v]) => ['-v', `${k}=${v}`]);
  const out = execFileSync(process.env.LABOS_BIN ? `${process.env.LABOS_BIN}/psql` : 'psql',
    ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', ...vars, '-f', '-'],
    { input: `select coalesce(json_agg(q), '[]') from (${query}) q;`, encoding: 'utf8', maxBuffer: 1 << 28 });
  return JSON.parse(out);
}

// One request; token may be null. The body of the answer is parsed where it is JSON.
export async function request(token, method, path, body, headers = {}) {
  const answer = await fetch(url + path, {
    method,
    headers: {
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      ...(token ? { Authorization: `Bearer ${token}` } : {}),
      ...headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return { status: answer.status, headers: answer.headers, text, json };
}

export async function must(token, method, path, body, headers) {
  const answer = await request(token, method, path, body, headers);
  if (answer.status >= 300) throw new Error(`${method} ${path} answered ${answer.status}: ${answer.text.slice(0, 500)}`);
  return answer.json;
}

export async function signIn(login, password) {
  return (await must(null, 'POST', '/rpc/auth_login', { login, password })).access_token;
}

// A password that a test knows: over HTTP nobody chooses one for somebody else (P50).
export const givePassword = (username, password) => sql(
  `select lab_private.password_set(u.id, '${password}', u.email::text, u.username) from lab_data.users u where u.username = '${username}'`);

export const installationAdmin = () => signIn(process.env.LABOS_ADMIN_EMAIL, process.env.LABOS_ADMIN_PASSWORD);

// A person who signs in again when their session has been ended.
export class Person {
  constructor(login, password) {
    Object.assign(this, { login, password, token: null });
  }
  async request(method, path, body, headers) {
    if (!this.token) this.token = await signIn(this.login, this.password);
    const answer = await request(this.token, method, path, body, headers);
    if (answer.status !== 401) return answer;
    this.token = await signIn(this.login, this.password);
    return request(this.token, method, path, body, headers);
  }
  async must(method, path, body, headers) {
    const answer = await this.request(method, path, body, headers);
    if (answer.status >= 300) throw new Error(`${this.login}: ${method} ${path} answered ${answer.status}: ${answer.text.slice(0, 500)}`);
    return answer.json;
  }
}

// An organisation with an admin, a manager and a member without any role.
export async function organisation(slug) {
  const root = await installationAdmin();
  const password = 'Isolation-2026';
  await must(root, 'POST', '/rpc/organization_create', {
    name: `${slug} Lab`, slug, admin_email: `admin@${slug}.example`, admin_username: `${slug}-admin`,
  });
  givePassword(`${slug}-admin`, password);
  const admin = new Person(`admin@${slug}.example`, password);
  for (const [name, roles] of [['nobody', []], ['manager', ['manager']]]) {
    await admin.must('POST', '/rpc/user_create', { email: `${name}@${slug}.example`, username: `${slug}-${name}`, roles });
    givePassword(`${slug}-${name}`, password);
  }
  const [{ id }] = sql(`select id from lab_data.organizations where slug = '${slug}'`);
  return { slug, id, admin, manager: new Person(`manager@${slug}.example`, password), nobody: new Person(`nobody@${slug}.example`, password) };
}

// The mails to an address, oldest first, delivered by bin/deliver into one directory for all test files of a server: whichever
// of them delivers, all can read.
const mailbox = join(tmpdir(), `labos-mail-${new URL(url).port}`);
process.on('exit', () => rmSync(mailbox, { recursive: true, force: true }));
export async function mailTo(address, wanted = 1) {
  const found = () => {
    let files = [];
    try { files = readdirSync(mailbox).filter((f) => f.endsWith('.eml')).sort(); } catch { /* none yet */ }
    return files.map((f) => readFileSync(join(mailbox, f), 'utf8')).filter((m) => new RegExp(`^To: ${address.replace(/[.+]/g, '\\$&')}\\r?$`, 'im').test(m));
  };
  for (let i = 0; i < 50; i++) {
    execFileSync(process.execPath, [new URL('../../bin/deliver', import.meta.url).pathname, '--once', '--dir', mailbox],
      { env: { ...process.env, LABOS_PSQL: process.env.LABOS_BIN ? `${process.env.LABOS_BIN}/psql` : 'psql' }, stdio: 'ignore' });
    if (found().length >= wanted) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return found();
}
// The token of a mail.
export const tokenIn = (mail) => /(?:token=|^)([A-Za-z0-9_-]{43})\r?$/m.exec(mail)?.[1];

export const fixture = (name) => readFileSync(new URL(`../data/${name}`, import.meta.url), 'utf8');
