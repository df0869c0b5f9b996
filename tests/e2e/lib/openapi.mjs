// openapi.mjs - docs/openapi.yaml as data, and a check of values against its schemas.
//
// Knows just what that file uses of JSON Schema. Stricter in one way: an object may have only the
// members that are described, so an answer that grows a member without a word in the file fails.

import fs from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { root } from './stack.mjs';

export const text = fs.readFileSync(path.join(root, 'docs/openapi.yaml'), 'utf8');
export const description = parse(text);

export function resolve(ref) {
  return ref.slice(2).split('/').reduce((at, key) => at?.[key], description);
}

// operations: {method, where, role, responses} of every operation.
export function operations() {
  const methods = ['get', 'post', 'put', 'patch', 'delete'];
  return Object.entries(description.paths).flatMap(([where, item]) =>
    methods.filter((m) => item[m]).map((m) => (
      { method: m.toUpperCase(), where, role: item[m]['x-braid-role'], responses: item[m].responses })));
}

function kind(value) {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return Number.isInteger(value) ? 'integer' : typeof value;
}

function isOf(type, value) {
  const is = kind(value);
  return [type].flat().some((t) => t === is || (t === 'number' && is === 'integer'));
}

// All of a schema that is spread over references and allOf, in one object.
function flat(schema) {
  if (!schema) return {};
  if (schema.$ref) return flat(resolve(schema.$ref));
  if (!schema.allOf) return schema;
  return schema.allOf.map(flat).reduce((sum, part) => ({
    ...sum, ...part,
    properties: { ...sum.properties, ...part.properties },
    required: [...(sum.required || []), ...(part.required || [])],
  }), {});
}

// complaints(schema, value): what is wrong, as ["at/path: words"].
export function complaints(schema, value, at = '') {
  const s = flat(schema);
  const short = JSON.stringify(value)?.slice(0, 80);
  if (s.type && !isOf(s.type, value)) return [`${at}: ${short} is no ${s.type}`];
  if (s.enum && !s.enum.includes(value)) return [`${at}: ${short} is none of ${s.enum}`];
  if ('const' in s && s.const !== value) return [`${at}: ${short} is not ${s.const}`];
  if (s.pattern && typeof value === 'string' && !new RegExp(s.pattern).test(value)) return [`${at}: ${short}`];
  if (s.format === 'date-time' && value !== null && !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value)) {
    return [`${at}: ${short} is no time in milliseconds UTC`];
  }
  if (Array.isArray(value)) return value.flatMap((v, i) => complaints(s.items, v, `${at}/${i}`));
  if (kind(value) !== 'object' || !s.properties) return [];
  return [
    ...(s.required || []).filter((key) => !(key in value)).map((key) => `${at}: ${key} is missing`),
    ...Object.entries(value).flatMap(([key, v]) =>
      s.properties[key] ? complaints(s.properties[key], v, `${at}/${key}`)
        : s.additionalProperties ? complaints(s.additionalProperties, v, `${at}/${key}`)
          : [`${at}/${key} is not described`]),
  ];
}

// answerComplaints: of one answer of the server to an operation.
export function answerComplaints(method, where, answer) {
  const operation = operations().find((o) => o.method === method && o.where === where);
  if (!operation) return [`${method} ${where} is not described`];
  const response = flat(operation.responses[answer.status]);
  if (!operation.responses[answer.status]) return [`${method} ${where}: ${answer.status} is not described`];
  if (!response.content) return answer.text ? [`${method} ${where}: a body where none is described`] : [];
  const type = (answer.headers.get('content-type') || '').split(';')[0];
  const content = response.content[type];
  if (!content) return [`${method} ${where} ${answer.status}: ${type} is not described`];
  return /json/.test(type) ? complaints(content.schema, answer.body, `${method} ${where} ${answer.status}`) : [];
}
