// The main job of a laboratory, step by step over HTTP: every request is printed with its status and the telling
// part of the answer, and every answer is checked. Needs LABOS_URL, LABOS_ADMIN_EMAIL, LABOS_ADMIN_PASSWORD and, for
// the one step that plays the villain with superuser rights, psql's PGHOST, PGPORT, PGUSER, PGDATABASE.
import { execFileSync } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const url = process.env.LABOS_URL
const out = process.env.LABOS_DEMO_OUT
const data = new URL('../test/data/', import.meta.url).pathname
const tokens = {}

const title = (text) => console.log(`\n${text}\n${'-'.repeat(text.length)}`)
const fail = (text) => { console.error(`\nlabos demo: ${text}`); process.exit(1) }

// One request as somebody; prints it; the status must be the expected one.
async function call(who, method, path, { body, expect = 200, tell, accept, headers = {} } = {}) {
  const response = await fetch(url + path, {
    method,
    headers: {
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      ...(tokens[who] ? { Authorization: `Bearer ${tokens[who]}` } : {}),
      ...(accept ? { Accept: accept } : {}),
      ...headers
    },
    body: body === undefined ? undefined : JSON.stringify(body)
  })
  const text = await response.text()
  let answer = text
  try { answer = JSON.parse(text) } catch { /* a picture, or nothing */ }
  let told = ''
  if (response.status !== expect) fail(`${method} ${path} as ${who} answered ${response.status}, not ${expect}: ${text.slice(0, 600)}`)
  if (tell) told = tell(answer)
  else if (response.status >= 400) told = `${codeOf(answer)}: ${answer.message}`
  console.log(`  ${who.padEnd(9)} ${(method + ' ' + path.split('?')[0]).padEnd(34)} ${response.status}  ${told}`)
  return answer
}
const rpc = (who, name, body = {}, options = {}) => call(who, 'POST', `/rpc/${name}`, { body, ...options })

// The stable code of a refusal stands in details, a JSON text.
function codeOf(answer) {
  try { return JSON.parse(answer.details).code } catch { return answer.code ?? answer.error }
}
const check = (truth, text) => { if (!truth) fail(text); console.log(`            ✓ ${text}`) }
const one = (answer) => Array.isArray(answer) ? answer[0] : answer

async function signIn(who, login, password) {
  const answer = await rpc(who, 'auth_login', { login, password }, {
    tell: (a) => `${a.user?.email}, roles ${a.roles?.join(', ')}; token for ${a.expires_in} s`
  })
  tokens[who] = answer.access_token
  return answer
}

// ------------------------------------------------------------------------------------------------------------------
title('1  People and organisations')
await signIn('admin', process.env.LABOS_ADMIN_EMAIL, process.env.LABOS_ADMIN_PASSWORD)
const people = [['mary', 'manager'], ['sam', 'scientist'], ['tess', 'technician'], ['vic', 'viewer']]
const password = 'Pipette-2026'
const ids = {}
const initial = {}
for (const [name, role] of people) {
  const cap = name[0].toUpperCase() + name.slice(1)
  const made = await rpc('admin', 'user_create', {
    email: `${name}@example.lab`, username: name, full_name: `${cap} Demo`, initial_password: true, roles: [role]
  }, { tell: (a) => `${a.username ?? name}, ${role}` })
  ids[name] = made.id ?? made.user?.id
  initial[name] = made.initial_password
}
await rpc('admin', 'organization_create', {
  name: 'Other Lab', slug: 'other-lab', admin_email: 'olga@other.lab', admin_username: 'olga', initial_password: true
}, { tell: (a) => { initial.olga = a.admin.initial_password; return `second organisation ${a.slug}` } })
// Nobody chooses a password for somebody else: the first one is random, and changed at once.
for (const name of [...people.map(([p]) => p), 'olga']) {
  await signIn(name, name, initial[name])
  const { tokens: full } = await rpc(name, 'auth_password_change', { current: initial[name], new: password },
    { tell: (a) => `a full session, as ${a.tokens.roles.join(', ')}` })
  tokens[name] = full.access_token
}
await rpc('nobody', 'auth_login', { login: 'sam', password: 'wrong' }, { expect: 401 })

// ------------------------------------------------------------------------------------------------------------------
title('2  Samples')
const formulas = ['GaAs', 'InP', 'CdTe', 'MoS2', 'Cu2ZnSnS4', 'CH3NH3PbI3', 'Al0.3Ga0.7As', 'CuSO4·5H2O', 'Ca3(PO4)2', 'Li0.95CoO2']
const samples = await call('sam', 'POST', '/samples?select=id,barcode,name,formula,status', {
  expect: 201, headers: { Prefer: 'return=representation' },
  body: formulas.map((formula, i) => ({ name: `Demo sample ${i + 1}`, formula, lot_code: `LOT-2026-${String(i + 1).padStart(3, '0')}`, quantity: 5, quantity_unit: 'g' })),
  tell: (a) => `${a.length} samples, codes ${a[0].barcode} … ${a.at(-1).barcode}`
})
await call('vic', 'POST', '/samples', { expect: 403, body: { name: 'not allowed', formula: 'NaCl' } })
await call('vic', 'GET', '/samples?select=name', { tell: (a) => `the viewer sees ${a.length}` })
const foreign = await call('olga', 'GET', '/samples?select=name', { tell: (a) => `the other organisation sees ${a.length}` })
check(foreign.length === 0, 'no sample crosses to another organisation')
await call('olga', 'GET', `/samples?id=eq.${samples[0].id}`, { tell: (a) => `nor by its id: ${a.length} rows` })
await call('sam', 'POST', '/samples', { expect: 400, body: { name: 'misspelt', formula: 'Ca3(PO4' } })
await call('nobody', 'GET', '/samples', { expect: 401 })

// ------------------------------------------------------------------------------------------------------------------
title('3  An instrument that must be calibrated')
const instrument = one(await call('mary', 'POST', '/instruments?select=id,name', {
  expect: 201, headers: { Prefer: 'return=representation' },
  body: { name: 'NMR 400', model: 'AV-400', manufacturer: 'Example Instruments', serial_number: 'NMR-0001', requires_calibration: true },
  tell: (a) => one(a).name
}))
const run = { instrument_id: instrument.id, sample_id: samples[0].id, method: '1H NMR' }
await rpc('sam', 'run_create', run, { expect: 409 })
const day = 86400000
const at = (days) => new Date(Date.now() + days * day).toISOString()
const record = async (certificate, from, to) => {
  const calibration = one(await call('tess', 'POST', '/calibrations?select=id,certificate_id', {
    expect: 201, headers: { Prefer: 'return=representation' },
    body: { instrument_id: instrument.id, certificate_id: certificate, issued_at: at(from), expires_at: at(to), provider: 'Calibration Ltd', result: 'pass' },
    tell: (a) => `${one(a).certificate_id}, valid ${at(from).slice(0, 10)} to ${at(to).slice(0, 10)}`
  }))
  await rpc('mary', 'calibration_approve', { id: calibration.id }, { tell: () => 'approved by the manager' })
}
await record('CAL-2025-17', -400, -35)
await rpc('sam', 'run_create', run, { expect: 409, tell: (a) => `${codeOf(a)}: ${a.message}` })
await record('CAL-2026-18', -1, 364)
await call('tess', 'GET', `/rpc/calibration_status?instrument_id=${instrument.id}`, { tell: (a) => `${one(a).state}, ${one(a).days_left} days left` })
const made = one(await rpc('sam', 'run_create', run, { tell: (a) => one(a).status }))
await rpc('tess', 'run_start', { id: made.id }, { tell: (a) => one(a).status })
const spectrum = readFileSync(join(data, 'jcamp/compression_jcamp-fix.dx'), 'utf8')
await rpc('tess', 'result_import_jcamp', { run_id: made.id, text: spectrum }, { tell: (a) => `spectrum read: ${JSON.stringify(a).slice(0, 110)}…` })
await rpc('tess', 'result_record', {
  run_id: made.id, results: [{ property: 'melting point', value: 1511, uncertainty: 2, unit: 'K' }, { property: 'purity', value: 99.3, uncertainty: 0.2, unit: '%' }]
}, { tell: (a) => a.map((r) => `${r.property} ${r.value} ± ${r.uncertainty} ${r.unit}`).join(', ') })
await rpc('tess', 'run_finish', { id: made.id }, { tell: (a) => one(a).status })

// ------------------------------------------------------------------------------------------------------------------
title('4  A design campaign on 4,604 measured materials')
const csv = readFileSync(join(data, 'materials/expt_gap.csv'), 'utf8')
const dataset = await rpc('sam', 'dataset_import', {
  name: 'Experimental band gaps', csv, mapping: { formula: 'formula', properties: { band_gap: 'target' } },
  source: 'Zhuo et al. 2018, as in Matbench expt_gap', licence: 'MIT'
}, { tell: (a) => `${a.rows} materials` })
console.log('            Find materials with a band gap of 1.5 ± 0.3 eV, without Pb, Cd, Hg: 5 steps of 10 candidates')
const found = {}
for (const strategy of ['random', 'bayesian']) {
  const campaign = one(await rpc('sam', 'campaign_create', {
    name: `Absorbers near 1.5 eV (${strategy})`,
    config: {
      target_properties: { band_gap: { target: 1.5, tolerance: 0.3, weight: 1 } },
      constraints: { excluded_elements: ['Pb', 'Cd', 'Hg'] },
      evaluator: { kind: 'dataset', dataset: dataset.name },
      strategy, candidates_per_iteration: 10, max_iterations: 5, seed: 42
    }
  }, { tell: (a) => `${one(a).status}` }))
  await rpc('sam', 'campaign_start', { id: campaign.id }, { tell: (a) => one(a).status })
  await rpc('sam', 'campaign_step', { id: campaign.id, num_iterations: 5 }, {
    tell: (a) => `best score an iteration: ${(a.iterations ?? a).map((i) => i.best_score_this_iter.toFixed(2)).join('  ')}`
  })
  const summary = one(await rpc('sam', 'campaign_summary', { id: campaign.id }, { tell: (a) => `${one(a).status}, best ${one(a).best_score}` }))
  const hits = await call('sam', 'GET', `/campaign_candidates?campaign_id=eq.${campaign.id}&score=gte.1&select=formula,measured`, {
    tell: (a) => `${a.length} of 50 inside 1.5 ± 0.3 eV: ${a.slice(0, 6).map((c) => c.formula).join(', ')} …`
  })
  found[strategy] = { campaign, hits: hits.length, summary }
  const svg = await call('sam', 'GET', `/rpc/campaign_plot?id=${campaign.id}`, { accept: 'image/svg+xml', tell: (a) => `build/demo/campaign-${strategy}.svg, ${a.length} bytes` })
  writeFileSync(join(out, `campaign-${strategy}.svg`), svg)
}
check(found.bayesian.hits > found.random.hits, `the model finds ${found.bayesian.hits} hits where chance finds ${found.random.hits}`)
await call('olga', 'GET', '/design_campaigns?select=name', { tell: (a) => `the other organisation sees ${a.length} campaigns` })

// ------------------------------------------------------------------------------------------------------------------
title('5  A mesoscale job and the continuum job that takes its result')
const meso = one(await rpc('sam', 'job_create', {
  name: 'Grain growth', scale: 'mesoscale', engine_type: 'PHASE_FIELD', seed: 7
}, { tell: (a) => `${one(a).engine_type}, ${one(a).status}` }))
const continuum = one(await rpc('sam', 'job_create', {
  name: 'Stiffness of that microstructure', scale: 'continuum', engine_type: 'FEM', parent_job_id: meso.id, seed: 7
}, { tell: (a) => `${one(a).engine_type} as its child, ${one(a).status}` }))
for (const job of [meso, continuum]) await rpc('sam', 'job_submit', { id: job.id }, { tell: (a) => one(a).status })
await rpc('sam', 'job_run', { id: continuum.id }, { expect: 409 })
for (const job of [meso, continuum]) await rpc('sam', 'job_run', { id: job.id }, { tell: (a) => one(a).status })
await call('sam', 'GET', `/mesoscale_results?job_id=eq.${meso.id}`, { tell: (a) => JSON.stringify(one(a).microstructure_metrics) })
await call('sam', 'GET', `/continuum_results?job_id=eq.${continuum.id}`, { tell: (a) => JSON.stringify(one(a).effective_properties) })

// ------------------------------------------------------------------------------------------------------------------
title('6  What happened: the audit trail')
await call('sam', 'PATCH', `/samples?id=eq.${samples[0].id}`, { expect: 204, body: { name: 'Demo sample 1, wafer A', version: 1 } , tell: () => 'renamed' })
await call('sam', 'PATCH', `/samples?id=eq.${samples[0].id}`, { expect: 412, body: { name: 'too late', version: 1 } })
for (const [kind, id] of [['samples', samples[0].id], ['design_campaigns', found.bayesian.campaign.id]]) {
  await rpc('mary', 'audit_history', { kind, id }, {
    tell: (a) => `${kind}: ` + a.slice(0, 4).map((v) => `${v.n} ${v.op} by ${v.actor_name ?? 'the database'}`).join('; ') + (a.length > 4 ? `; … ${a.length} versions` : '')
  })
}
await rpc('mary', 'audit_seal', {}, { tell: (a) => `${a.entries} rows sealed, root ${String(a.root).slice(0, 18)}…` })
await rpc('mary', 'audit_verify', {}, { tell: (a) => `ok: ${a.ok}` })
console.log('            Now somebody with superuser rights rewrites history behind the system\'s back:')
const villain = `update lab_private.audit_log set payload = replace(payload::text, 'AsGa', 'GaSb')::json where rec = '${samples[0].id}' and op = 'I'`
console.log(`            psql=# ${villain};`)
execFileSync('psql', ['-X', '-q', '-c', villain], { stdio: ['ignore', 'inherit', 'inherit'] })
const verdict = await rpc('mary', 'audit_verify', {}, { tell: (a) => `${a.reason ?? JSON.stringify(a).slice(0, 150)}` })
check(verdict.ok === false, 'the change is found')

// ------------------------------------------------------------------------------------------------------------------
title('7  A second factor, a key for an instrument, a guest from another organisation')
// What an authenticator app does with the secret (RFC 6238).
function totp(secret, step) {
  const bits = [...secret].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('')
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)))
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(step))
  const mac = createHmac('sha1', key).update(counter).digest()
  return String((mac.readUInt32BE(mac[19] & 15) & 0x7fffffff) % 1000000).padStart(6, '0')
}
const now = Math.floor(Date.now() / 30000)
const factor = await rpc('mary', 'auth_mfa_setup', {}, { tell: (a) => `${a.otpauth_uri.slice(0, 60)}…` })
writeFileSync(join(out, 'mfa.svg'), factor.qr_svg)
const confirmed = await rpc('mary', 'auth_mfa_confirm', { code: totp(factor.secret, now - 1) }, { tell: (a) => `${a.backup_codes.length} backup codes, shown once` })
const challenge = await rpc('nobody', 'auth_login', { login: 'mary', password }, { tell: (a) => `mfa_required: ${a.mfa_required}, no token yet` })
await rpc('nobody', 'auth_mfa_verify', { challenge: challenge.challenge, code: totp(factor.secret, now - 1) }, { expect: 401 })
const second = await rpc('nobody', 'auth_mfa_verify', { challenge: challenge.challenge, code: confirmed.backup_codes[0] },
  { tell: (a) => `signed in with a backup code, assurance level ${a.aal}` })
tokens.mary = second.access_token

const apiKey = await rpc('sam', 'api_key_create', { name: 'NMR 400 uploader', scopes: ['run:read', 'result:create', 'result:read'] },
  { tell: (a) => `${a.key.slice(0, 16)}…, shown once` })
tokens.nmr = (await rpc('nobody', 'auth_api_key', { key: apiKey.key }, { tell: (a) => `token for ${a.expires_in} s, scopes ${a.scopes.join(', ')}` })).access_token
await call('nmr', 'GET', '/runs?select=id', { tell: (a) => `the key reads ${a.length} run` })
await call('nmr', 'POST', '/samples', { expect: 403, body: { name: 'beyond its scopes', formula: 'NaCl' } })
await rpc('sam', 'api_key_revoke', { id: apiKey.id }, { tell: () => 'revoked' })
await call('nmr', 'GET', '/runs?select=id', { expect: 401 })

const project = one(await call('mary', 'POST', '/projects?select=id,name', {
  expect: 201, headers: { Prefer: 'return=representation' }, body: { code: 'JOINT-1', name: 'Joint absorber study' }, tell: (a) => one(a).name
}))
await call('sam', 'PATCH', `/samples?id=eq.${samples[1].id}`, { expect: 204, body: { project_id: project.id }, tell: () => `${samples[1].name} joins the project` })
const home = one(await call('admin', 'GET', '/organizations?select=id,slug,settings', { tell: (a) => one(a).slug }))
await rpc('mary', 'share_create', { kind: 'project', resource_id: project.id, to_org: 'other-lab' }, { expect: 403 })
await call('admin', 'PATCH', `/organizations?id=eq.${home.id}`, { expect: 204, body: { settings: { ...home.settings, allow_sharing: true } }, tell: () => 'the organisation allows sharing' })
const share = one(await rpc('mary', 'share_create', { kind: 'project', resource_id: project.id, to_org: 'other-lab' }, { tell: (a) => `${one(a).level} for the other laboratory` }))
const asGuest = { headers: { 'X-Labos-Org': home.slug } }
const seen = await call('olga', 'GET', '/samples?select=name,formula', { ...asGuest, tell: (a) => `as a guest she sees ${a.map((x) => x.name).join(', ')}` })
check(seen.length === 1, 'of ten samples she sees the one of the shared project')
await rpc('mary', 'share_revoke', { id: share.id }, { tell: () => 'revoked' })
await call('olga', 'GET', '/samples?select=name', { ...asGuest, expect: 403 })

// ------------------------------------------------------------------------------------------------------------------
title('8  Mail: an invitation, and a password forgotten')
const post = join(out, 'mail')
rmSync(post, { recursive: true, force: true })
mkdirSync(post, { recursive: true })
// The delivery worker writes files here; with LABOS_SMTP_URL it would send them.
const deliver = () => {
  execFileSync(new URL('deliver', import.meta.url).pathname, ['--once', '--dir', post], { stdio: ['ignore', 'ignore', 'pipe'] })
}
// The newest mail to somebody, and the token in it.
const tokenTo = (address) => {
  const mails = readdirSync(post).sort().map((f) => readFileSync(join(post, f), 'utf8')).filter((m) => m.includes(`To: ${address}`))
  const subject = mails.at(-1)?.match(/^Subject: (.*)$/m)?.[1]
  const token = mails.at(-1)?.match(/\b[A-Za-z0-9_-]{43}\b/)?.[0]
  console.log(`            mail to ${address}: ${subject}`)
  check(token !== undefined, 'it carries a token that works once')
  return token
}
await rpc('admin', 'auth_invite', { email: 'nina@example.lab', role: 'technician' }, { tell: () => 'nina@example.lab, technician' })
deliver()
const invitation = tokenTo('nina@example.lab')
await rpc('nobody', 'auth_invite_accept', { token: invitation, username: 'nina', password, full_name: 'Nina Demo' }, { tell: () => 'nina has an account and her role' })
await rpc('nobody', 'auth_invite_accept', { token: invitation, username: 'nina2', password }, { expect: 400 })
await signIn('nina', 'nina', password)
await rpc('nobody', 'auth_password_forgot', { email: 'sam@example.lab' }, { expect: 202, tell: (a) => a.status })
await rpc('nobody', 'auth_password_forgot', { email: 'stranger@example.lab' }, { expect: 202, tell: (a) => `${a.status}: the same answer for an address nobody has` })
deliver()
await rpc('nobody', 'auth_password_reset', { token: tokenTo('sam@example.lab'), new: 'Pipette-2027' }, { tell: (a) => a.status })
await call('sam', 'GET', '/samples?select=id', { expect: 401 })
delete tokens.sam
await signIn('sam', 'sam', 'Pipette-2027')
console.log('\nThe main job is done.')
