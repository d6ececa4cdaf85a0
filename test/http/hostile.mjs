// What nobody should send: values by type, as JSON text (some of it is no JSON), and whole requests.
const q = JSON.stringify;

export const nowhere = '00000000-0000-4000-8000-000000000000';
const huge = q('x'.repeat(1 << 20));
const list = (n, item) => `[${Array(n).fill(item).join()}]`;
const deep = (open, close, n = 10000) => open.repeat(n) + close.repeat(n);

const texts = [
  '', ' ', "'", "''; drop table lab_data.samples; --", "x' or '1'='1", '$$', "$$ || (select 1) || $$", '/* */ -- ;', '\\', "\\'; --", 'a\\', '%s %I %L %n %1$s', '{}', '{"a":', '${x}', '{{7*7}}',
  '../../../../etc/passwd', 'C:\\x\\y', '<script>alert(1)</script>', '"><svg onload=x>', '\n', 'a\r\nb: c', '\t', '\u0001\u0007\u001b[31m', '\u007f', '\u202eabc\u202c', '\u200b', '\ufeff', 'a' + '\u0301'.repeat(500),
  '👩🏽‍🔬', '\uffff', 'null', 'NaN', '0', '-1', '[]', 'ilike.*', '*', 'x'.repeat(300), 'x'.repeat(5000),
].map(q).concat('"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"\\udc00\\ud800"', huge);
const numbers = ['-1', '0', '-0', '1.5', '1e308', '-1e308', '1e400', '-1e400', '1e-400', '2147483648', '9223372036854775807', '9223372036854775808', '9'.repeat(500), '1.' + '1'.repeat(500), '"NaN"', '"Infinity"', '"-Infinity"', '"1; select 1"', '"0x10"', '" "', 'NaN', 'Infinity'];
const times = ['"infinity"', '"-infinity"', '"294277-01-01"', '"294276-12-31 23:59:59Z"', '"0001-01-01 BC"', '"4714-11-24 BC"', '"2026-02-30"', '"now"', '"epoch"', '"today"', '"2026-01-01T25:00:00Z"', '"2026-01-01 00:00:00 Nowhere/Land"', '1', '"x"'];
const json = [
  '""', '"text"', '0', '1e400', '[[]]', '[null]', '[{}]', '{"":null}', '{"a":{"a":{"a":[]}}}', '{"a":"\\u0000"}', '{"\\u0000":1}', '{"a":1e400}', '{"a":1e308,"a":-1}', '{"__proto__":{"x":1},"constructor":1}', `{"'; drop table x; --":"$$"}`,
  deep('[', ']'), deep('{"a":', '}').replace('{"a":}', '{"a":1}'), list(10000, '{}'), list(10000, '1'), `{${Array.from({ length: 10000 }, (_, i) => `"k${i}":${i}`).join()}}`, `{"a":${huge}}`, `{${huge}:1}`,
];
// Of every type: nothing, and what is of another type.
const others = ['null', '""', '"x"', 'true', '7', '[]', '{}', '[null]', '"\\u0000"'];
const unique = (values) => [...new Set(values)];

// Values for an argument or a column of a type as OpenAPI names it; foreign: an id of the other organisation.
export function valuesFor(format, foreign) {
  if (/\[\]$/.test(format)) {
    const item = valuesFor(format.slice(0, -2), foreign).filter((v) => v.length < 10000);
    return unique([...others, ...item.filter((_, i) => i % 4 === 0).map((v) => `[${v}]`), list(10000, q('x')), list(10000, q(nowhere)), list(10000, 'null'), '[["a"],["b","c"]]', '[[1,2],[3,4]]', '"{a,b}"', '"{"', '"{{a},{b}}"', deep('[', ']'), `[${q(foreign)}]`]);
  }
  if (format === 'uuid') {
    return unique([...others, ...[nowhere, foreign, foreign.toUpperCase(), `{${foreign}}`, foreign.slice(0, -1), `${foreign}0`, foreign.replaceAll('-', ''), `${foreign}' or '1'='1`, 'me', '\u202e'].map(q), huge]);
  }
  if (/^(integer|bigint|smallint|double|real|numeric)/.test(format)) return unique([...others, ...numbers]);
  if (format === 'boolean') return unique([...others, '0', '1', '"t"', '"maybe"', '"TRUE "', '1e400']);
  if (/^(timestamp|date|time)/.test(format)) return unique([...others, ...times, huge]);
  if (/^jsonb?$/.test(format)) return unique([...others, ...json]);
  return unique([...others, ...texts, q(nowhere)]);
}

// Every value meets many places and every place many values, but not each the other: the values are dealt out in turn.
// BADINPUT_ALL=1 sends everything (some minutes).
let turn = 0;
export function deal(values, n) {
  if (process.env.BADINPUT_ALL || values.length <= n) return values;
  const from = turn;
  turn += n;
  return Array.from({ length: n }, (_, i) => values[(from + i) % values.length]);
}

// Fewer, for the leaves of a JSON argument and the second way to write a column.
export const leaves = ['null', 'true', '""', '"\'; --"', '-1', '0', '1.5', '1e308', '1e400', '9223372036854775808', '"NaN"', '[]', '{}', '[[1]]', '{"a":null}', '"\\u0000"', q('x'.repeat(70000)), list(10000, '1')];

// What a file's text can be.
export const files = [
  '"', 'a,b\n"x', 'a,b\n1\n', 'a,a\n1,2\n', ',\n,\n', '\n\n\n', 'formula,gap\n', 'formula,gap\nXx,1\n', 'formula,gap\nNaCl,NaN\n', 'formula,gap\nNaCl,1e999\n', 'formula,gap\n"Na\nCl",1\n', 'formula,gap\rNaCl,1\r', '\ufeffformula,gap\nNaCl,1\n', 'formula;gap\nNaCl;1\n',
  'formula,gap\n' + '('.repeat(20000) + ',1\n', 'formula,gap\n' + 'H999999999999'.repeat(1000) + ',1\n', Array.from({ length: 10000 }, (_, i) => `c${i}`).join() + '\n', '"' + 'x'.repeat(1 << 20), 'formula,gap\n' + 'NaCl,1\n'.repeat(20000), '\n'.repeat(1 << 20), ',\n'.repeat(1 << 19),
  '##TITLE=', '##TITLE=x\n##JCAMP-DX=4.24\n##NPOINTS=999999999\n##XYDATA=(X++(Y..Y))\n1 2\n##END=', '##TITLE=x\n##NPOINTS=-1\n##XYDATA=(X++(Y..Y))\n##END=', '##TITLE=x\n##XYDATA=(X++(Y..Y))\n@@@%%%\n##END=', '##TITLE=x\n##FIRSTX=1e999\n##LASTX=NaN\n##NPOINTS=1e9\n##XYDATA=(X++(Y..Y))\n0A0A0A\n##END=',
  '##'.repeat(1 << 18), '##TITLE=x\n##XYDATA=(X++(Y..Y))\n' + '0 1 2 3\n'.repeat(50000) + '##END=\n',
].map(q);

// Query strings for a column; %% stands for its name.
export const filters = ['%%=eq.', '%%=eq.%00', "%%=eq.'%20or%201=1--", '%%=gt.1e400', '%%=in.(', '%%=in.("a","b\\")', '%%=is.maybe', '%%=like.*%25_%5C', '%%=fts(x).%27%26%7C', '%%=cs.{"a"', '%%=ov.[1,2', '%%=nothing.x', '%%=match.(((a*)*)*)*b', '%%=not.not.eq.1', 'select=%%::xml', 'select=%%::regclass', 'select=%%.sum()', 'select=%%->a->>b', 'order=%%.sideways', 'order=%%->x.desc', `%%=eq.${'x'.repeat(4000)}`];
const nest = (n) => 'and('.repeat(n) + 'id.eq.1' + ')'.repeat(n);
export const queries = [
  'limit=-1', 'limit=1e9', 'limit=9223372036854775808', 'limit=x', 'limit=0', 'offset=-1', 'offset=9223372036854775807', 'offset=99999999999999999999', 'select=', 'select=*,*', 'select=nothing', 'select=*,nothing(*)', 'select=id::nothing', 'select=id::pg_catalog.int4', "select=id::text'", 'select=((((', 'select=*,...samples(*)', 'select=count()',
  'select=' + 'id,'.repeat(1600) + 'id', 'order=', 'order=nothing', 'order=id.desc.nullssideways', 'order=id;drop', 'order=' + 'id,'.repeat(1600) + 'id', 'or=()', 'or=(id.eq.1', 'and=(id.eq.1,or(id.eq.2,', `or=(${nest(500)})`, 'nothing=eq.1', '=eq.1', 'id', 'id=', 'id=eq', '%00=eq.1', '%ff%fe=eq.1', '%C0%AF', 'on_conflict=nothing', 'columns=nothing', "columns=id';",
  'id=eq.1&id=eq.2&id=in.()', `id=in.(${Array(200).fill(nowhere).join()})`,
];
export const headers = [
  { Range: '5-1' }, { Range: 'x' }, { Range: '0-99999999999999999999' }, { Range: '-5' }, { Prefer: 'x'.repeat(4000) }, { Prefer: 'count=maybe,return=all,handling=strict' }, { Prefer: 'timezone=Nowhere/Land,handling=strict' }, { Prefer: "timezone='; drop" }, { Prefer: 'max-affected=-1' }, { Accept: 'x' }, { Accept: 'application/xml' }, { Accept: 'text/csv' }, { Accept: 'application/octet-stream' }, { Accept: 'image/svg+xml' },
  { Accept: 'application/vnd.pgrst.plan+json' }, { Accept: 'application/vnd.pgrst.object+json' }, { 'Accept-Profile': 'lab_private' }, { 'Accept-Profile': 'labos' }, { 'Content-Profile': 'lab_data' }, { 'If-Match': 'x' }, { 'If-Match': '"999999999999999999999"' }, { 'X-Request-Id': 'x'.repeat(4000) }, { 'X-Request-Id': "'; --" }, { 'X-Audit-Reason': '\u00ff'.repeat(2000) }, { Cookie: "a='; --" }, { 'X-Forwarded-For': "1.2.3.4', (select 1)" },
  { 'User-Agent': '<script>'.repeat(200) }, { Authorization: 'Bearer ' }, { Authorization: 'Bearer x.y.z' }, { Authorization: 'Basic eDp4' }, { Authorization: `Bearer ${'x'.repeat(6000)}` },
];
// Bodies as bytes, with their type.
export const bodies = [
  ['application/json', ''], ['application/json', '{'], ['application/json', 'x'], ['application/json', '[]'], ['application/json', '[[]]'], ['application/json', 'null'], ['application/json', '1'], ['application/json', '"x"'], ['application/json', '{"id":NaN}'], ['application/json', '{"id":1,"id":2}'], ['application/json', '{"id":null,"nothing":1}'], ['application/json', '{"":1}'],
  ['application/json', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])], ['application/json', Buffer.from([0x7b, 0x22, 0x69, 0x64, 0x22, 0x3a, 0x22, 0xc3, 0x28, 0x22, 0x7d])], ['application/json', Buffer.from([0, 0, 0])], ['application/json', '\ufeff{}'], ['application/json', deep('[', ']')], ['application/json', deep('{"id":', '}')], ['application/json', list(10000, '{}')],
  ['text/plain', 'x'], ['text/csv', 'id\nx'], ['text/csv', '"'], ['application/xml', '<x/>'], ['application/x-www-form-urlencoded', 'id=1&id=2&%00=%ff'], ['multipart/form-data; boundary=x', '--x--'], ['application/octet-stream', Buffer.from([0xff, 0])], ['nonsense', '{}'], ['application/json; charset=utf-16', '{}'],
];
