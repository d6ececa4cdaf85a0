// Refreshes as browsers do them, with lost answers, three tabs and thieves; and key rotations while requests are answered.
// Prints one line of JSON a figure. Run by bench/sessions.sh.
import { writeFileSync } from 'node:fs';

const url = process.env.LABOS_URL;
const REFRESHES = Number(process.env.REFRESHES ?? 100000);
const REQUESTS = Number(process.env.REQUESTS ?? 20000);
const ROTATIONS = Number(process.env.ROTATIONS ?? 20);
const CLIENTS = 12;
const GRACE_MS = 2000;

const report = (row) => console.log(JSON.stringify(row));
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function call(path, body, token) {
  const answer = await fetch(url + path, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...(token ? { Authorization: `Bearer ${token}` } : {}) },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  return { status: answer.status, json: text ? JSON.parse(text) : null };
}

const login = { login: process.env.LABOS_ADMIN_EMAIL, password: process.env.LABOS_ADMIN_PASSWORD };
async function signIn() {
  for (;;) {
    const answer = await call('/rpc/auth_login', login);
    if (answer.status === 200) return answer.json;
    if (answer.status !== 429) throw new Error(`sign-in answered ${answer.status}: ${JSON.stringify(answer.json)}`);
    await sleep(50);
  }
}

// Refreshes -----------------------------------------------------------------

let refreshes = 0, falseLogouts = 0, replays = 0, caught = 0, different = 0;
const refresh = async (token) => {
  refreshes++;
  return call('/rpc/auth_refresh', { refresh_token: token });
};

// One browser: until its share is done; every 200th round somebody replays a token that was used long ago.
async function browser(share, random) {
  let tokens = await signIn();
  let stale = null;
  for (let round = 1; refreshes < share; round++) {
    const old = tokens.refresh_token;
    const kind = random();
    let answers;
    if (kind < 0.1) answers = await Promise.all([refresh(old), refresh(old), refresh(old)]); // three tabs
    else if (kind < 0.3) {
      await refresh(old); // the answer is lost, and the client asks again
      answers = [await refresh(old)];
    } else answers = [await refresh(old)];
    if (answers.some((a) => a.status !== 200)) {
      falseLogouts++;
      tokens = await signIn();
      stale = null;
      continue;
    }
    if (new Set(answers.map((a) => a.json.refresh_token)).size !== 1) different++;
    tokens = answers[0].json;
    if (!stale) stale = { token: old, at: performance.now() };
    if (performance.now() - stale.at > GRACE_MS * 1.5) {
      // A thief: refused, and the session ends for both.
      replays++;
      const theft = await refresh(stale.token);
      const after = await refresh(tokens.refresh_token);
      if (theft.status === 401 && after.status === 401) caught++;
      tokens = await signIn();
      stale = null;
    }
  }
}

function lcg(seed) {
  let state = BigInt(seed);
  return () => Number((state = (state * 6364136223846793005n + 1442695040888963407n) & ((1n << 64n) - 1n)) >> 40n) / 2 ** 24;
}

const began = performance.now();
await Promise.all(Array.from({ length: CLIENTS }, (_, i) => browser(REFRESHES, lcg(i + 1))));
const seconds = (performance.now() - began) / 1000;
console.log(`refreshes: ${refreshes} in ${seconds.toFixed(0)} s, ${falseLogouts} false logouts, ${different} rounds with two successors, ${caught} of ${replays} replays caught`);
const counted = (name, ours, goal) => report({ name, unit: 'of ' + refreshes, ours, peer: null, peer_name: null, ratio: null, goal, met: ours === goal });
counted('refresh_false_logouts', falseLogouts, 0);
counted('refresh_two_successors', different, 0);
report({ name: 'refresh_replays_missed', unit: 'of ' + replays, ours: replays - caught, peer: null, peer_name: null, ratio: null, goal: 0, met: replays > 0 && caught === replays });

// Rotations -----------------------------------------------------------------

const admin = await signIn();
let requests = 0, refused = 0, busy = 0;
const first = performance.now();
async function reader() {
  let tokens = await signIn();
  for (let i = 1; requests < REQUESTS; i++) {
    const start = performance.now();
    const answer = await call('/users?select=id&limit=1', undefined, tokens.access_token);
    busy += performance.now() - start;
    requests++;
    if (answer.status !== 200) refused++;
    if (i % 50 === 0) {
      const next = await call('/rpc/auth_refresh', { refresh_token: tokens.refresh_token });
      if (next.status === 200) tokens = next.json;
      else refused++;
    }
  }
}
async function rotator() {
  for (let i = 1; i <= ROTATIONS; i++) {
    while (requests < (REQUESTS * i) / (ROTATIONS + 1)) await sleep(20);
    const answer = await call('/rpc/signing_key_rotate', {}, admin.access_token);
    if (answer.status !== 200) throw new Error(`rotation answered ${answer.status}: ${JSON.stringify(answer.json)}`);
  }
}
const READERS = 4;
await Promise.all([rotator(), ...Array.from({ length: READERS }, reader)]);
console.log(`rotations: ${ROTATIONS} during ${requests} requests in ${((performance.now() - first) / 1000).toFixed(0)} s, ${refused} refused`);
report({ name: 'rotation_requests_refused', unit: `of ${requests}`, ours: refused, peer: null, peer_name: null, ratio: null, goal: 0, met: refused === 0 });
writeFileSync(`${process.env.LABOS_CACHE ?? '/tmp'}/sessions_request_ms`, String(busy / requests / READERS));
