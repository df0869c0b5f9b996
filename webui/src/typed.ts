// typed.ts - text typed by a person into a value of the type the object model or the birth names.
//
// Integers are checked with BigInt against the type's width and the model's range, and those beyond
// 2^53 travel as strings (the API's rule), so that nothing is rounded on the way to the device.

import type { Value } from './types';

export type Parsed = { ok: true; value: Value } | { ok: false; why: string };
export type Kind =
  'integer' | 'float' | 'boolean' | 'text' | 'time' | 'datetime' | 'opaque' | 'objlnk';

const WIDTH: Record<string, [bigint, bigint]> = {
  int8: [-128n, 127n],
  int16: [-32768n, 32767n],
  int32: [-2147483648n, 2147483647n],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
  integer: [-(2n ** 63n), 2n ** 63n - 1n],
  uint8: [0n, 255n],
  uint16: [0n, 65535n],
  uint32: [0n, 4294967295n],
  uint64: [0n, 2n ** 64n - 1n],
  unsigned: [0n, 2n ** 64n - 1n],
  'unsigned integer': [0n, 2n ** 64n - 1n],
};

export function type_kind(type: string | null | undefined): Kind {
  const t = (type ?? '').toLowerCase();
  if (t in WIDTH) return 'integer';
  if (t === 'float' || t === 'double') return 'float';
  if (t === 'boolean') return 'boolean';
  if (t === 'time') return 'time';
  if (t === 'datetime') return 'datetime';
  if (t === 'opaque' || t === 'bytes' || t === 'file') return 'opaque';
  if (t === 'objlnk') return 'objlnk';
  return 'text';
}

/** "1..65534" or "0...63" -> [1, 65534]; anything else is words, not a range. */
export function range_parse(range: string | null | undefined): [number, number] | null {
  const m = /^(-?\d+(?:\.\d+)?)\.{2,3}(-?\d+(?:\.\d+)?)$/.exec((range ?? '').trim());
  return m ? [Number(m[1]), Number(m[2])] : null;
}

function out_of(range: [number, number] | null, n: number): string | null {
  if (!range || (n >= range[0] && n <= range[1])) return null;
  return `Must be between ${range[0]} and ${range[1]}.`;
}

function parse_integer(text: string, type: string, range: [number, number] | null): Parsed {
  if (!/^[+-]?\d{1,20}$/.test(text)) return { ok: false, why: 'Needs a whole number.' };
  const n = BigInt(text.replace('+', ''));
  const width = WIDTH[type.toLowerCase()];
  if (width && (n < width[0] || n > width[1])) {
    return { ok: false, why: `Does not fit ${type}: ${width[0]} to ${width[1]}.` };
  }
  const why = out_of(range, Number(n));
  if (why) return { ok: false, why };
  const small = n >= BigInt(Number.MIN_SAFE_INTEGER) && n <= BigInt(Number.MAX_SAFE_INTEGER);
  return { ok: true, value: small ? Number(n) : n.toString() };
}

function parse_float(text: string, range: [number, number] | null): Parsed {
  if (!/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text)) {
    return { ok: false, why: 'Needs a number, such as 21.5.' };
  }
  const n = Number(text);
  if (!Number.isFinite(n)) return { ok: false, why: 'Too large.' };
  const why = out_of(range, n);
  return why ? { ok: false, why } : { ok: true, value: n };
}

function parse_time(text: string, unit_ms: number): Parsed {
  if (/^\d{1,16}$/.test(text)) return { ok: true, value: Number(text) };
  const t = Date.parse(text.replace(' ', 'T'));
  if (Number.isNaN(t)) return { ok: false, why: 'Needs a date and time, or a Unix time.' };
  return { ok: true, value: Math.floor(t / unit_ms) };
}

/** Hex ("0x01ff" or "01 ff") or base64; the value that travels is base64. */
function parse_opaque(text: string): Parsed {
  const hex = text.replace(/^0x/i, '').replace(/[\s:]/g, '');
  if (/^0x/i.test(text) || (/[\s:]/.test(text) && /^([0-9a-f]{2})*$/i.test(hex))) {
    if (!/^([0-9a-f]{2})*$/i.test(hex)) return { ok: false, why: 'Hex needs pairs of 0-9 a-f.' };
    const bytes = (hex.match(/../g) ?? []).map((b) => String.fromCharCode(parseInt(b, 16)));
    return { ok: true, value: btoa(bytes.join('')) };
  }
  if (!/^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) {
    return { ok: false, why: 'Needs base64, or hex that starts with 0x.' };
  }
  return { ok: true, value: text };
}

function parse_objlnk(text: string): Parsed {
  const m = /^(\d{1,5}):(\d{1,5})$/.exec(text);
  if (!m || Number(m[1]) > 65535 || Number(m[2]) > 65535) {
    return { ok: false, why: 'Needs object:instance, such as 3:0.' };
  }
  return { ok: true, value: text };
}

/** typed_parse turns `text` into a value of `type`; on failure `why` is fit for the screen. */
export function typed_parse(text: string, type: string | null, range?: string | null): Parsed {
  const limits = range_parse(range);
  const t = text.trim();
  switch (type_kind(type)) {
    case 'integer':
      return parse_integer(t, type ?? 'integer', limits);
    case 'float':
      return parse_float(t, limits);
    case 'boolean':
      if (/^(true|1|on)$/i.test(t)) return { ok: true, value: true };
      if (/^(false|0|off)$/i.test(t)) return { ok: true, value: false };
      return { ok: false, why: 'Needs true or false.' };
    case 'time':
      return parse_time(t, 1000);
    case 'datetime':
      return parse_time(t, 1);
    case 'opaque':
      return parse_opaque(t);
    case 'objlnk':
      return parse_objlnk(t);
    case 'text': {
      const length = new TextEncoder().encode(text).length;
      if (limits && (length < limits[0] || length > limits[1])) {
        return { ok: false, why: `Must be ${limits[0]} to ${limits[1]} bytes long, is ${length}.` };
      }
      return { ok: true, value: text };
    }
  }
}
