// storage.ts - what the server says of disk use and retention, and how it is put into words.

export type StorageLevel = 'full' | 'short' | 'soon' | 'fits' | 'unknown';

export interface RetentionDays {
  raw_days: number;
  minute_days: number;
  hour_days: number;
}

export interface StorageClass extends RetentionDays {
  name: string;
  series: number;
  samples: number;
  bytes: number;
  bytes_per_sample: number | null;
  added_per_day: number;
  steady_bytes: number;
  oldest: string | null;
}

export interface StorageReport {
  at: string;
  bytes: number;
  limit_bytes: number | null;
  free_bytes: number | null;
  samples: number;
  bytes_per_sample: number | null;
  counted_at: string | null;
  series_to_purge: number;
  kinds: { kind: string; bytes: number }[];
  classes: StorageClass[];
  days: { day: string; bytes: number }[];
  forecast: {
    level: StorageLevel;
    sentence: string;
    evidence: string;
    at: string;
    days: number | null;
  };
}

export interface StorageDevice {
  endpoint: string;
  bytes: number;
  samples: number;
  bytes_per_sample: number | null;
  counted_at: string | null;
}

/** The class of a series: given to it, or found by the rules. */
export interface SeriesClass {
  series: string;
  class: string;
  fixed: boolean;
}

export interface SeriesStorage extends SeriesClass {
  samples: number;
  bytes: number;
}

export interface RetentionRuleEdit {
  series: string | null;
  endpoint: string | null;
  tag: string | null;
  value: string | null;
  group: string | null;
  class: string;
}

export interface RetentionRule extends RetentionRuleEdit {
  id: number;
  position: number;
}

export const KIND_WORDS: Record<string, string> = {
  landing: 'just arrived',
  piece: 'packed, not merged',
  chunk: 'samples',
  rollup_minute: 'minutes',
  rollup_hour: 'hours',
  text: 'texts',
  timeline: 'timeline',
  other: 'all else',
};

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** bytes_text counts in thousands, as the server's sentences do. */
export function bytes_text(bytes: number): string {
  let i = 0;
  let v = bytes;
  while (Math.abs(v) >= 999.5 && i + 1 < UNITS.length) {
    v /= 1000;
    i++;
  }
  return `${i && Math.abs(v) < 9.95 ? v.toFixed(1) : v.toFixed(0)} ${UNITS[i]}`;
}

/** days_text: 400 days, but 5 years (of 365 or 366 days): what people would say. */
export function days_text(days: number): string {
  const years = days / 365;
  if (years >= 2 && days % 365 <= years) return `${Math.floor(years)} years`;
  return days === 1 ? '1 day' : `${days} days`;
}

/** rule_text says what a rule wants, all of it. */
export function rule_text(r: RetentionRuleEdit): string {
  const parts: string[] = [];
  if (r.series) parts.push(`series ${r.series}`);
  if (r.endpoint) parts.push(`device ${r.endpoint}`);
  if (r.tag) parts.push(r.value === null ? `tag ${r.tag}` : `tag ${r.tag}=${r.value}`);
  if (r.group) parts.push(`group ${r.group}`);
  return parts.join(' and ');
}

/** days_wrong tells what is wrong with days as typed, or null. */
export function days_wrong(d: RetentionDays): string | null {
  for (const n of [d.raw_days, d.minute_days, d.hour_days])
    if (!Number.isInteger(n) || n < 1 || n > 36_500)
      return 'Days are whole numbers from 1 to 36500.';
  if (d.raw_days > d.minute_days || d.minute_days > d.hour_days)
    return 'Minutes are kept as long as samples at least, hours as minutes.';
  return null;
}
