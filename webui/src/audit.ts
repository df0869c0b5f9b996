// audit.ts - the audit log as people read it: words for actions, old → new as a list of changes,
// where a row leads to, and the log as CSV. Pure.

import { device_href, filter_href, FILTER_NONE } from './route';
import type { AuditEntry, Value } from './types';

const ACTION_WORDS: Record<string, string> = {
  login: 'Signed in',
  login_refused: 'Sign-in refused',
  logout: 'Signed out',
  live_refused: 'Live view refused',
  command: 'Command',
  command_cancel: 'Command cancelled',
  device_labels: 'Tags and groups',
  device_add: 'Device added',
  device_forget: 'Device forgotten',
  certificate_issue: 'Certificate issued',
  password_issue: 'Device password set',
  credential_issue: 'Credential not issued',
  credential_revoke: 'Credential revoked',
  suspended: 'Device suspended',
  active: 'Device resumed',
  retired: 'Device retired',
  identity_accept: 'Stranger accepted',
  identity_refuse: 'Stranger refused',
  class_add: 'Storage class made',
  class_change: 'Storage class changed',
  class_delete: 'Storage class deleted',
  class_rule_add: 'Storage rule made',
  class_rule_change: 'Storage rule changed',
  class_rule_delete: 'Storage rule deleted',
  series_class: 'Class of a series',
  history_drop: 'Old history dropped',
  group_add: 'Group made',
  group_rename: 'Group renamed',
  group_delete: 'Group deleted',
  user_add: 'User added',
  user_delete: 'User removed',
  user_password: 'Password changed',
  user_reset: 'Password made anew',
  token_add: 'Token made',
  token_delete: 'Token removed',
};

export const ACTIONS = Object.keys(ACTION_WORDS);

/** Actions whose target is a device that is still there. */
const OF_DEVICE = new Set([
  'command',
  'device_labels',
  'device_add',
  'certificate_issue',
  'password_issue',
  'credential_issue',
  'credential_revoke',
  'suspended',
  'active',
  'retired',
  'identity_accept',
  'series_class',
]);

export function action_text(action: string): string {
  return ACTION_WORDS[action] ?? action;
}

/** Where the target of a row is looked at; null if nowhere. */
export function audit_href(e: AuditEntry): string | null {
  if (!e.target || e.result === 'not_found') return null;
  if (OF_DEVICE.has(e.action)) return device_href(e.target);
  if (e.action === 'group_add') return filter_href({ ...FILTER_NONE, group: [e.target] });
  if (e.action === 'group_rename' && typeof e.detail?.new === 'string')
    return filter_href({ ...FILTER_NONE, group: [e.detail.new] });
  return null;
}

export interface Change {
  what: string;
  /** null: there was none; null on both sides never occurs. */
  old: string | null;
  new: string | null;
  /** Told with the action, not changed by it. */
  fact: boolean;
}

function is_object(v: Value | undefined): v is { [key: string]: Value } {
  return typeof v === 'object' && v !== null && !Array.isArray(v);
}

/** Nothing rounded, nothing translated: this is a log. */
function exact(v: Value): string {
  return typeof v === 'string' ? v || '“”' : JSON.stringify(v);
}

/** An object one level flat; lists of names as names, so that joining and leaving can be seen. */
function flat(v: Value | undefined): Map<string, string> {
  const out = new Map<string, string>();
  if (v === undefined || v === null) return out;
  if (!is_object(v)) return out.set('', exact(v));
  for (const [key, inner] of Object.entries(v)) {
    if (inner === null) continue;
    if (is_object(inner))
      for (const [k, x] of Object.entries(inner)) out.set(`${one(key)} ${k}`, exact(x));
    else if (Array.isArray(inner) && inner.every((x) => typeof x === 'string'))
      for (const name of inner) out.set(`${one(key)} ${String(name)}`, '');
    else out.set(key, exact(inner));
  }
  return out;
}

const one = (plural: string) => (plural.endsWith('s') ? plural.slice(0, -1) : plural);

/** What a row's detail says, as changes and facts; what stayed as it was is left out. */
export function audit_changes(detail: AuditEntry['detail']): Change[] {
  if (!detail) return [];
  const { old: before, new: after, ...rest } = detail;
  const list: Change[] = [];
  const [a, b] = [flat(before), flat(after)];
  const fact = before === undefined;
  for (const [what, text] of a) {
    if (b.get(what) !== text) list.push({ what, old: text, new: b.get(what) ?? null, fact });
  }
  for (const [what, text] of b) if (!a.has(what)) list.push({ what, old: null, new: text, fact });
  for (const [what, text] of flat(rest)) list.push({ what, old: null, new: text, fact: true });
  return list;
}

// ---- CSV ----------------------------------------------------------------------------------------

const COLUMNS = ['at', 'who', 'from', 'action', 'target', 'result', 'detail'] as const;

/** One field. A spreadsheet must not take a name that somebody chose for a formula. */
export function csv_field(v: unknown): string {
  const raw =
    v === null || v === undefined ? '' : typeof v === 'object' ? JSON.stringify(v) : `${v}`;
  const text = /^[=+\-@\t\r]/.test(raw) ? `'${raw}` : raw;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function audit_csv(items: AuditEntry[]): string {
  const rows = items.map((e) => COLUMNS.map((c) => csv_field(e[c])).join(','));
  return [COLUMNS.join(','), ...rows, ''].join('\r\n');
}
