// The throw-away server answers, describes itself and keeps to what it is meant to show.
import assert from 'node:assert/strict';
import test from 'node:test';

const url = process.env.LABOS_URL;

test('the root is an OpenAPI description', async () => {
  const answer = await fetch(url + '/');
  assert.equal(answer.status, 200);
  assert.equal((await answer.json()).swagger, '2.0');
});

test('only schema lab is served', async () => {
  for (const schema of ['labos', 'lab_data', 'lab_private', 'pg_catalog', 'public']) {
    const answer = await fetch(url + '/', { headers: { 'Accept-Profile': schema } });
    assert.equal(answer.status, 406, schema);
  }
});
