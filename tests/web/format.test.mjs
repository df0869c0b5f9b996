// How numbers, ages and typed values read.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile } from './tools.mjs';

const f = await compile(
  `export * from './format'; export * from './typed'; export * from './curl';`,
);

test('an age counts in the unit a person would use', () => {
  const now = 1_000_000_000;
  for (const [ago, text] of [
    [0, 'now'],
    [-5000, 'now'],
    [1000, '1 s'],
    [89_000, '89 s'],
    [90_000, '1 min'],
    [5_399_000, '89 min'],
    [5_400_000, '1 h'],
    [172_799_000, '47 h'],
    [172_800_000, '2 d'],
  ])
    assert.equal(f.age_text(now - ago, now), text);
  assert.equal(f.age_text(null, now), '–');
  assert.equal(f.ago_text(null, now), 'never');
});

test('a span ahead says in, a span behind says ago', () => {
  assert.equal(f.span_text(3_480_000, 0), 'in 58 min');
  assert.equal(f.span_text(0, 5000), '5 s ago');
});

test('floats lose noise and integers stay whole', () => {
  assert.equal(f.number_text(0.1 + 0.2), '0.3');
  assert.equal(f.number_text(9007199254740991), '9007199254740991');
  assert.equal(f.number_text(1.5e-9), '1.5e-9');
});

test('values of every type become one line', () => {
  assert.equal(f.value_text('18446744073709551615', 'UInt64'), '18446744073709551615');
  assert.equal(f.value_text(null), 'null');
  assert.equal(f.value_text(false), 'false');
  assert.equal(f.value_text(''), '“”');
  assert.equal(f.value_text({ 0: 1, 1: 5 }, 'integer'), '0: 1, 1: 5');
  assert.match(f.value_text(1_700_000_000, 'time'), /^2023-11-1\d \d\d:\d\d:\d\d$/);
});

test('rates keep their order of magnitude', () => {
  for (const [n, text] of [
    [0, '0'],
    [0.01, '<0.1'],
    [1.44, '1.4'],
    [85.2, '85'],
    [12_345, '12.3k'],
    [undefined, '–'],
  ]) {
    assert.equal(f.rate_text(n), text);
  }
});

test('an integer is checked against its width and the range of the model', () => {
  assert.deepEqual(f.typed_parse('101', 'Integer', '1..65534'), { ok: true, value: 101 });
  assert.equal(f.typed_parse('0', 'Integer', '1..65534').ok, false);
  assert.equal(f.typed_parse('128', 'Int8').ok, false);
  assert.equal(f.typed_parse('-1', 'Unsigned Integer').ok, false);
  assert.equal(f.typed_parse('1.5', 'Integer').ok, false);
  assert.equal(f.typed_parse('64', 'Integer', '1...63').ok, false);
});

test('an integer beyond 2^53 travels as text, unrounded', () => {
  assert.deepEqual(f.typed_parse('18446744073709551615', 'UInt64'), {
    ok: true,
    value: '18446744073709551615',
  });
  assert.equal(f.typed_parse('18446744073709551616', 'UInt64').ok, false);
});

test('floats, booleans, links and opaques refuse what they are not', () => {
  assert.deepEqual(f.typed_parse(' 21.5 ', 'Float'), { ok: true, value: 21.5 });
  assert.equal(f.typed_parse('21,5', 'Float').ok, false);
  assert.equal(f.typed_parse('', 'Double').ok, false);
  assert.deepEqual(f.typed_parse('true', 'Boolean'), { ok: true, value: true });
  assert.equal(f.typed_parse('', 'Boolean').ok, false);
  assert.deepEqual(f.typed_parse('3:0', 'Objlnk'), { ok: true, value: '3:0' });
  assert.equal(f.typed_parse('70000:0', 'Objlnk').ok, false);
  assert.deepEqual(f.typed_parse('0x01ff', 'Opaque'), { ok: true, value: 'Af8=' });
  assert.equal(f.typed_parse('0x01f', 'Opaque').ok, false);
  assert.equal(f.typed_parse('abc', 'Opaque').ok, false);
});

test('text keeps its spaces and is measured in bytes', () => {
  assert.deepEqual(f.typed_parse(' a ', 'String'), { ok: true, value: ' a ' });
  assert.equal(f.typed_parse('äö', 'String', '0..3').ok, false);
});

test('times are taken as dates or as Unix times', () => {
  assert.deepEqual(f.typed_parse('1700000000', 'Time'), { ok: true, value: 1_700_000_000 });
  assert.deepEqual(f.typed_parse('2023-11-14T22:13:20Z', 'Time'), {
    ok: true,
    value: 1_700_000_000,
  });
  assert.deepEqual(f.typed_parse('2023-11-14T22:13:20Z', 'DateTime'), {
    ok: true,
    value: 1_700_000_000_000,
  });
  assert.equal(f.typed_parse('soon', 'Time').ok, false);
});

test('a curl line survives quotes in values and holds no secret', () => {
  const line = f.command_curl('http://h:8080', 'dev@1', {
    op: 'write',
    path: '/3/0/15',
    value: `it's $HOME`,
  });
  assert.equal(
    line,
    "curl -sS -X POST 'http://h:8080/api/v1/devices/dev%401/commands?wait=10' " +
      '-H "Authorization: Bearer $BRAID_TOKEN" -H \'Content-Type: application/json\' ' +
      `-d '{"op":"write","path":"/3/0/15","value":"it'\\''s $HOME"}'`,
  );
});
