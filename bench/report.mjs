// node bench/report.mjs LINES RESULTS MACHINE: checks the JSON lines that the scripts printed, adds machine and time,
// joins them into RESULTS, prints the table and writes docs/benchmarks.md: all that RESULTS holds, with peer and command.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

const [lines, results, machine] = process.argv.slice(2);
const when = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
const fields = ['name', 'unit', 'ours', 'peer', 'peer_name', 'ratio', 'goal', 'met'];
let faults = 0;

const measured = [];
for (const line of readFileSync(lines, 'utf8').split('\n').filter(Boolean)) {
  let row;
  try {
    row = JSON.parse(line);
  } catch {
    row = null;
  }
  const missing = row ? fields.filter((f) => !(f in row)) : fields;
  if (missing.length > 0 || typeof row.name !== 'string' || (row.ours !== null && typeof row.ours !== 'number')) {
    console.error(`bench: not a result (missing: ${missing.join(', ') || 'a name or a number'}): ${line}`);
    faults++;
    continue;
  }
  // A run with fewer rows than the goal speaks of says so.
  const scale = ['LABOS_BENCH_ROWS', 'LABOS_BENCH_SESSIONS'].filter((v) => process.env[v]).map((v) => `${v}=${process.env[v]}`).join(' ');
  if (scale) row.note = [row.note, scale].filter(Boolean).join('; ');
  measured.push({ ...row, machine, when });
}

const known = existsSync(results) ? JSON.parse(readFileSync(results, 'utf8')) : [];
const names = new Set(measured.map((r) => r.name));
const all = [...known.filter((r) => !names.has(r.name)), ...measured].sort((a, b) => (a.name < b.name ? -1 : 1));
writeFileSync(results, '[\n' + all.map((r) => '  ' + JSON.stringify(r)).join(',\n') + '\n]\n');

const number = (x) => (x === null || x === undefined ? '-' : typeof x === 'number' ? String(Number(x.toPrecision(4))) : String(x));
const head = ['name', 'unit', 'ours', 'peer', 'ratio', 'goal', 'met', 'peer is'];
const table = [head, ...measured.map((r) => [r.name, r.unit, number(r.ours), number(r.peer), number(r.ratio), number(r.goal),
  r.met === true ? 'yes' : r.met === false ? 'NO' : '-', (r.peer_name ?? '-') + (r.note ? ` (${r.note})` : '')])];
const widths = head.map((_, i) => Math.max(...table.map((row) => row[i].length)));
for (const row of table) {
  console.log(row.map((cell, i) => (i >= 2 && i <= 5 ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join('  ').trimEnd());
}
console.log(`${measured.length} measured on ${machine}; ${measured.filter((r) => r.met === false).length} goals missed`);

// The page: one table, what was measured when and how to measure it again.
const cell = (x) => String(x).replaceAll('|', '\\|');
const page = `# Benchmarks
Written by \`make bench\`, which measures all of it again; the command in a row measures that part. Every row is ours and a peer in one run,
in turn, on the same data; medians. Ratios are ours by the peer's, but for \`jwt_hs256_*\`: there the peer's by ours. A goal bounds the ratio, or our figure
where there is no peer or ratio. How to add one: [bench/README.md](../bench/README.md).

| figure | goal | ours | peer | ratio | met | peer is | command | measured |
|---|---|---|---|---|---|---|---|---|
${all.map((r) => '| ' + [`\`${r.name}\` (${r.unit})`, number(r.goal), number(r.ours), number(r.peer), number(r.ratio),
  r.met === true ? 'yes' : r.met === false ? '**no**' : '-', (r.peer_name ?? '-') + (r.note ? ` (${r.note})` : ''),
  r.script ? `\`make bench NAME=${r.script}\`` : '-', r.when.slice(0, 10)].map(cell).join(' | ') + ' |').join('\n')}

Measured on: ${[...new Set(all.map((r) => r.machine))].join('; ')}. The machine was shared with other work: ratios hold, single times drift.
`;
writeFileSync('docs/benchmarks.md', page);
process.exit(faults > 0 ? 1 : 0);
