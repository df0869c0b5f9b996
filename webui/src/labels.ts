// labels.ts - tags and groups as the fleet page handles them: terms of a filter, what a choice of
// devices has, the choice itself, and an edit cut into pieces. Pure: no signals, no requests.
//
// A term for tags is written as the API's filter has it: "key", or "key:value". A key has no "=",
// ":" or ",", so the first colon ends it; a value may have any. People read and write key=value.

import type { Labels, LabelOutcome, LabelResult } from './types';

export type LabelMap = ReadonlyMap<string, Labels>;

/** Terms a filter may have, tags and groups together; the server refuses more. */
export const TERMS_MAX = 16;
/** Names of groups, or keys to take away, in one edit. */
export const NAMES_MAX = 64;
/** Devices in one request. The server takes 10,000; smaller pieces let the progress be seen. */
export const PIECE = 1000;

export function tag_text(key: string, value: string): string {
  return value ? `${key}=${value}` : key;
}

/** "site=oslo" or "site:oslo", or "site" for any value; null if that cannot be a tag. */
export function tag_parse(text: string): { key: string; value: string | null } | null {
  const m = /^([^=:,]+)(?:[=:](.*))?$/.exec(text.trim());
  const key = m?.[1]!.trim();
  return key ? { key, value: m?.[2]?.trim() ?? null } : null;
}

export function tag_term(text: string): string | null {
  const tag = tag_parse(text);
  return tag && (tag.value === null ? tag.key : `${tag.key}:${tag.value}`);
}

export function term_text(term: string): string {
  const at = term.indexOf(':');
  return at < 0 ? term : `${term.slice(0, at)}=${term.slice(at + 1)}`;
}

/** What the server would refuse, told while it can still be mended; null if nothing. */
export function tags_wrong(tags: Record<string, string>): string | null {
  const bytes = (s: string) => new TextEncoder().encode(s).length;
  for (const [key, value] of Object.entries(tags)) {
    if (/[=:,]/.test(key)) return `“${key}”: a key has no = : or comma`;
    if (bytes(key) > 64) return `“${key}”: a key has at most 64 bytes`;
    if (bytes(value) > 256) return `“${key}”: a value has at most 256 bytes`;
  }
  return Object.keys(tags).length > NAMES_MAX ? `At most ${NAMES_MAX} tags at once` : null;
}

/** One "key=value" a line; throws with the first line that is none, or that the server would refuse. */
export function tags_parse(text: string): Record<string, string> {
  const list: [string, string][] = [];
  for (const line of text.split('\n').map((l) => l.trim())) {
    if (!line) continue;
    const at = line.indexOf('=');
    if (at < 1) throw new Error(`“${line}” is not key=value`);
    list.push([line.slice(0, at).trim(), line.slice(at + 1).trim()]);
  }
  const tags = Object.fromEntries(list);
  const why = tags_wrong(tags);
  if (why) throw new Error(why);
  return tags;
}

/** Names of groups: what the server takes. */
export const GROUP_NAME = '[^\\/,]+';
export const GROUP_MAX = 64;
export const GROUP_WRONG = `At most ${GROUP_MAX} letters, no / and no comma`;

/** A tag may be called "constructor". */
const has_own = (o: object, key: string) => Object.prototype.hasOwnProperty.call(o, key);

function has_tag(l: Labels, term: string): boolean {
  const at = term.indexOf(':');
  if (at < 0) return has_own(l.tags, term);
  const key = term.slice(0, at);
  return has_own(l.tags, key) && l.tags[key] === term.slice(at + 1);
}

/** All terms must hold, as in GET /devices. */
export function labels_match(l: Labels | undefined, tags: string[], groups: string[]): boolean {
  if (!tags.length && !groups.length) return true;
  if (!l) return false;
  return tags.every((t) => has_tag(l, t)) && groups.every((g) => l.groups.includes(g));
}

export interface Counted {
  name: string;
  n: number;
}

function by_number(counts: Map<string, number>): Counted[] {
  const list = [...counts].map(([name, n]) => ({ name, n }));
  return list.sort((a, b) => b.n - a.n || (a.name < b.name ? -1 : 1));
}

/** Keys, key=value pairs and groups among these labels, the most used first. */
export function labels_count(all: Iterable<Labels | undefined>): {
  keys: Counted[];
  pairs: Counted[];
  groups: Counted[];
} {
  const [keys, pairs, groups] = [0, 0, 0].map(() => new Map<string, number>());
  const add = (m: Map<string, number>, name: string) => m.set(name, (m.get(name) ?? 0) + 1);
  for (const l of all) {
    if (!l) continue;
    for (const [key, value] of Object.entries(l.tags)) {
      add(keys!, key);
      if (value) add(pairs!, `${key}=${value}`);
    }
    for (const g of l.groups) add(groups!, g);
  }
  return { keys: by_number(keys!), pairs: by_number(pairs!), groups: by_number(groups!) };
}

// ---- which devices are chosen -------------------------------------------------------------------

/** From the device clicked last to this one, in the order shown; only this one without a last. */
export function range_between(order: string[], from: string | null, to: string): string[] {
  const a = from === null ? -1 : order.indexOf(from);
  const b = order.indexOf(to);
  if (a < 0 || b < 0) return [to];
  return order.slice(Math.min(a, b), Math.max(a, b) + 1);
}

export function check(
  old: ReadonlySet<string>,
  endpoints: Iterable<string>,
  on: boolean,
): ReadonlySet<string> {
  const next = new Set(old);
  for (const e of endpoints) {
    if (on) next.add(e);
    else next.delete(e);
  }
  return next;
}

// ---- an edit of many, in pieces -----------------------------------------------------------------

export interface LabelEdit {
  set?: Record<string, string>;
  remove?: string[];
  join?: string[];
  leave?: string[];
}

export interface BulkRun {
  state: 'running' | 'done' | 'stopped' | 'broken';
  edit: LabelEdit;
  endpoints: string[];
  /** The first `answered` of them have an outcome. */
  answered: number;
  changed: number;
  unchanged: number;
  failed: number;
  items: LabelOutcome[];
  error: string | null;
  /** The server said no to the piece asked last; otherwise it may have changed something. */
  refused: boolean;
}

export function bulk_new(endpoints: string[], edit: LabelEdit): BulkRun {
  const none = { answered: 0, changed: 0, unchanged: 0, failed: 0, items: [] };
  return { state: 'running', edit, endpoints, ...none, error: null, refused: false };
}

export function bulk_piece(run: BulkRun): string[] {
  return run.endpoints.slice(run.answered, run.answered + PIECE);
}

export function bulk_add(run: BulkRun, piece: number, got: LabelResult): BulkRun {
  const answered = run.answered + piece;
  return {
    ...run,
    state: answered < run.endpoints.length ? run.state : 'done',
    answered,
    changed: run.changed + got.changed,
    unchanged: run.unchanged + got.unchanged,
    failed: run.failed + got.failed,
    items: [...run.items, ...got.items],
  };
}

/** What became of a device, in words. */
export function outcome_text(o: LabelOutcome): string {
  return o.result === 'failed' ? (o.detail ?? o.code ?? 'failed') : o.result;
}

/** Trouble first, then what changed, then what was so already. */
export function outcomes_sorted(items: LabelOutcome[]): LabelOutcome[] {
  const rank = { failed: 0, changed: 1, unchanged: 2 };
  return [...items].sort((a, b) => rank[a.result] - rank[b.result]);
}
