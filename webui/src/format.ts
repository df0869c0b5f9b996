// format.ts - numbers, ages and times as words; pure, so that a test can pin each of them.

import type { Value } from './types';

export function time_ms(at: string | null | undefined): number | null {
  if (!at) return null;
  const t = Date.parse(at);
  return Number.isNaN(t) ? null : t;
}

/** Short age: "now", "8 s", "3 min", "2 h", "5 d". Clocks that differ a little never say "-1 s". */
export function age_text(at_ms: number | null, now_ms: number): string {
  if (at_ms === null) return '–';
  const s = Math.floor((now_ms - at_ms) / 1000);
  if (s < 1) return 'now';
  if (s < 90) return `${s} s`;
  const m = Math.floor(s / 60);
  if (m < 90) return `${m} min`;
  const h = Math.floor(m / 60);
  if (h < 48) return `${h} h`;
  return `${Math.floor(h / 24)} d`;
}

export function ago_text(at_ms: number | null, now_ms: number): string {
  if (at_ms === null) return 'never';
  const age = age_text(at_ms, now_ms);
  return age === 'now' ? 'just now' : `${age} ago`;
}

/** A span ahead or behind: "in 58 min", "3 s ago". */
export function span_text(at_ms: number | null, now_ms: number): string {
  if (at_ms === null) return '–';
  if (at_ms <= now_ms) return ago_text(at_ms, now_ms);
  return `in ${age_text(now_ms, at_ms)}`;
}

export function latency_text(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  return age_text(0, ms);
}

export function rate_text(per_s: number | null | undefined): string {
  if (per_s === null || per_s === undefined || !Number.isFinite(per_s)) return '–';
  if (per_s === 0) return '0';
  if (per_s < 0.1) return '<0.1';
  if (per_s < 10) return per_s.toFixed(1);
  if (per_s < 10_000) return String(Math.round(per_s));
  return `${(per_s / 1000).toFixed(1)}k`;
}

export function count_text(n: number | null | undefined): string {
  if (n === null || n === undefined) return '–';
  return String(n).replace(/\B(?=(\d{3})+(?!\d))/g, '\u202f');
}

/** Floats to six significant digits; integers and texts whole. */
export function number_text(n: number): string {
  if (!Number.isFinite(n)) return String(n);
  if (Number.isInteger(n)) return String(n);
  const p = Number(n.toPrecision(6));
  return Math.abs(p) >= 1e-4 && Math.abs(p) < 1e15 ? String(p) : p.toExponential();
}

export function duration_text(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

export function clock_text(at_ms: number | null): string {
  if (at_ms === null) return '–';
  const d = new Date(at_ms);
  const two = (n: number) => String(n).padStart(2, '0');
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

export function date_time_text(at_ms: number | null): string {
  if (at_ms === null) return '–';
  const d = new Date(at_ms);
  const two = (n: number) => String(n).padStart(2, '0');
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${clock_text(at_ms)}`;
}

/** unit_text gives the sign people read for the unit words of SenML and of the object models. */
export function unit_text(unit: string | null | undefined): string {
  switch (unit) {
    case null:
    case undefined:
      return '';
    case 'Cel':
      return '°C';
    case '/100':
    case '%RH':
      return '%';
    case 'deg':
    case 'lat':
    case 'lon':
      return '°';
    default:
      return unit;
  }
}

/** value_text shows any value on one line; `type` is the LwM2M or Sparkplug type word. */
export function value_text(value: Value | undefined, type?: string | null): string {
  if (value === null || value === undefined) return 'null';
  const t = (type ?? '').toLowerCase();
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  if (typeof value === 'number') {
    if (t === 'time') return date_time_text(value * 1000);
    if (t === 'datetime') return date_time_text(value);
    return number_text(value);
  }
  if (typeof value === 'string') {
    if (t === 'time' && /^-?\d+$/.test(value)) return date_time_text(Number(value) * 1000);
    if (t === 'datetime' && /^-?\d+$/.test(value)) return date_time_text(Number(value));
    return value === '' ? '“”' : value;
  }
  if (Array.isArray(value)) return value.map((v) => value_text(v)).join(', ');
  return Object.entries(value)
    .map(([k, v]) => `${k}: ${value_text(v, type)}`)
    .join(', ');
}

/** The number a chart can draw, or null. Booleans draw as 0 and 1. */
export function value_number(value: Value | undefined): number | null {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (typeof value === 'string' && /^-?\d{1,20}$/.test(value)) return Number(value);
  return null;
}

const NUMERIC = /^(u?int(8|16|32|64)|float|double|boolean|integer|unsigned( integer)?)$/i;

export function type_is_numeric(type: string | null | undefined): boolean {
  return NUMERIC.test(type ?? '');
}
