// What the attack suites share: two look-alike organisations, what must never be seen of the first, SQL clients of the
// second. The attacks are named and numbered A01.. in attacks*.test.mjs and test/t/pgbouncer.t;
// `node test/http/attacks.mjs --write` lists them in docs/security.md (make lint says when the list is old).
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

export async function theatre(name) {
  const { randomUUID } = await import('node:crypto');
  const { organisation, sql, signIn } = await import('./lib.mjs');
  const { fill } = await import('./fill.mjs');
  const run = randomUUID().slice(0, 6);
  const alpha = await organisation(`alpha-${name}-${run}`);
  const beta = await organisation(`beta-${name}-${run}`);
  await fill(alpha);
  await fill(beta);
  const tables = sql(`select c.relname as name from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'org_id'
    where c.relnamespace = 'lab_data'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition order by 1`).map((r) => r.name);
  const uuids = (org) => sql(tables.map((t) => `select distinct m[1] as id from lab_data.${t} x,
    regexp_matches(to_jsonb(x)::text, '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}', 'g') m where x.org_id = '${org.id}'`).join(' union ')).map((r) => r.id);
  const common = new Set([...uuids(beta), ...sql('select id from lab_data.roles where org_id is null').map((r) => r.id)]);
  const secrets = [...new Set(uuids(alpha))].filter((id) => !common.has(id)).concat(alpha.slug);
  // Everything of Alpha's as it is: a change anywhere shows.
  const digest = () => JSON.stringify(sql(tables.filter((t) => !['access_logs', 'user_sessions'].includes(t)).map((t) => `select '${t}' as name, count(*) as n,
    coalesce(md5(string_agg(x::text, ',' order by x::text)), '') as sum from lab_data.${t} x where x.org_id = '${alpha.id}'`).join(' union all ')));
  const idOf = (table, org = alpha) => sql(`select id from lab_data.${table} where org_id = '${org.id}' order by id limit 1`)[0]?.id;
  const tokens = { alpha: await signIn(alpha.admin.login, alpha.admin.password), beta: await signIn(beta.admin.login, beta.admin.password) };
  return { alpha, beta, secrets, digest, idOf, tables, tokens, run };
}

// The first of Alpha's secrets in a text that the attacker did not send.
export const leak = (secrets, text, sent = '') => secrets.find((s) => text.includes(s) && !sent.includes(s));

const mode = process.argv[1]?.endsWith('attacks.mjs') ? process.argv[2] : undefined;
if (mode === '--write' || mode === '--check') {
  const at = (path) => new URL(path, import.meta.url);
  const sources = [...readdirSync(at('.')).filter((f) => /^attacks.*\.test\.mjs$/.test(f)).map((f) => `./${f}`), '../t/pgbouncer.t'];
  const found = sources.flatMap((f) => [...readFileSync(at(f), 'utf8').matchAll(/^\s*(?:test|attack|ok|is|like)\(?\s*['"`](A\d\d\d?) ([^'"`]+)/gm)].map(([, n, what]) => ({ n, what, f: f.replace('./', 'test/http/').replace('../t/', 'test/t/').replace('test/http/test', 'test') })));
  const numbers = found.map((a) => a.n).sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));
  const twice = numbers.filter((n, i) => numbers[i - 1] === n);
  if (twice.length) console.log(`test/http/attacks.mjs:1: used twice: ${twice.join(', ')}`);
  const list = found.sort((a, b) => Number(a.n.slice(1)) - Number(b.n.slice(1))).map((a) => `| ${a.n} | ${a.what.replaceAll('|', '\\|')} | \`${a.f.split('/').pop()}\` |`);
  const table = ['| | attack | in |', '|---|---|---|', ...list].join('\n');
  const page = at('../../docs/security.md');
  const old = readFileSync(page, 'utf8');
  const made = old.replace(/(<!-- made by test\/http\/attacks.mjs -->\n)[^]*?(<!-- end of attacks -->)/, (_, a, b) => `${a}${table}\n${b}`);
  if (mode === '--write') writeFileSync(page, made);
  else if (old !== made || !old.includes('<!-- made by test/http/attacks.mjs -->')) console.log('docs/security.md:1: the list of attacks is old: node test/http/attacks.mjs --write');
}
