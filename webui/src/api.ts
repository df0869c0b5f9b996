// api.ts - every HTTP request of the console, one function each.
//
// A request either returns the body or throws ApiError, which carries the problem's stable code and
// words fit for the screen. The session's CSRF word lives here and goes with each unsafe request; a
// 401 anywhere ends the session once, through `on_signed_out`.

import type { LabelEdit } from './labels';
import type { AuditFilter } from './route';
import type {
  AuditEntry,
  Bundle,
  CredentialKind,
  Credentials,
  Stranger,
  Command,
  CommandRequest,
  Connect,
  DeviceDetail,
  DeviceSummary,
  Fleet,
  Group,
  History,
  LabelResult,
  Labels,
  ModelObject,
  Page,
  Problem,
  Role,
  Series,
  Session,
  TimelineItem,
  Token,
  User,
} from './types';
import type {
  RetentionDays,
  RetentionRule,
  RetentionRuleEdit,
  SeriesClass,
  SeriesStorage,
  StorageDevice,
  StorageReport,
} from './storage';

export class ApiError extends Error {
  readonly code: string;
  readonly status: number;
  readonly command: Command | null;

  constructor(status: number, problem: Problem) {
    super(problem.detail || problem.title || `The server answered ${status}`);
    this.status = status;
    this.code = problem.code || `http_${status}`;
    this.command = problem.command ?? null;
  }
}

let csrf = '';
let on_signed_out: () => void = () => {};

export function api_on_signed_out(hook: () => void): void {
  on_signed_out = hook;
}

/** Server clock minus ours, from the Date header; small differences count as none. */
let skew_ms = 0;

export function server_now(): number {
  return Date.now() + skew_ms;
}

function note_clock(response: Response): void {
  const date = Date.parse(response.headers.get('Date') ?? '');
  if (Number.isNaN(date)) return;
  const skew = date + 500 - Date.now();
  skew_ms = Math.abs(skew) > 2500 ? skew : 0;
}

async function request<T>(
  method: string,
  path: string,
  body?: unknown,
  keep401 = false,
  extra: { if_match?: string | null; on_etag?: (etag: string | null) => void } = {},
): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (extra.if_match) headers['If-Match'] = extra.if_match;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (method !== 'GET' && csrf) headers['X-Braid-CSRF'] = csrf;
  let response: Response;
  try {
    response = await fetch(`/api/v1${path}`, {
      method,
      headers,
      credentials: 'same-origin',
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new ApiError(0, { code: 'unreachable', detail: 'The server cannot be reached.' });
  }
  note_clock(response);
  extra.on_etag?.(response.headers.get('ETag'));
  const text = await response.text();
  let parsed: unknown = null;
  if (text) {
    try {
      parsed = JSON.parse(text);
    } catch {
      parsed = { detail: response.ok ? 'The answer is not JSON.' : text.slice(0, 200) };
      if (response.ok) throw new ApiError(response.status, parsed as Problem);
    }
  }
  if (response.ok) return parsed as T;
  if (response.status === 401 && !keep401) on_signed_out();
  throw new ApiError(response.status, (parsed ?? {}) as Problem);
}

function query(values: Record<string, string | number | null | undefined>): string {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(values)) {
    if (v !== undefined && v !== null && v !== '') q.set(k, String(v));
  }
  const s = q.toString();
  return s ? `?${s}` : '';
}

/** Every item of a list that comes in pages. */
export async function all_pages<T>(
  read: (cursor: string | null) => Promise<Page<T>>,
): Promise<T[]> {
  const list: T[] = [];
  let cursor: string | null = null;
  do {
    const page: Page<T> = await read(cursor);
    list.push(...page.items);
    cursor = page.next;
  } while (cursor);
  return list;
}

const device = (endpoint: string) => `/devices/${encodeURIComponent(endpoint)}`;
const group = (name: string) => `/groups/${encodeURIComponent(name)}`;

function session(s: Session): Session {
  csrf = s.csrf;
  return s;
}

export const api = {
  session_get: async () => session(await request<Session>('GET', '/session', undefined, true)),
  session_open: async (username: string, password: string) =>
    session(await request<Session>('POST', '/session', { username, password }, true)),
  session_close: async () => {
    await request<null>('DELETE', '/session', undefined, true);
    csrf = '';
  },

  fleet: () => request<Fleet>('GET', '/fleet'),
  devices: (cursor?: string | null) =>
    request<Page<DeviceSummary>>('GET', `/devices${query({ limit: 1000, cursor })}`),
  /** Devices that say nothing, whose sentences age without any live message. */
  devices_silent: () =>
    request<Page<DeviceSummary>>(
      'GET',
      `/devices${query({ limit: 500, status: 'lost,degraded,sleeping,offline,unknown' })}`,
    ),
  device: (endpoint: string) => request<DeviceDetail>('GET', device(endpoint)),
  device_forget: (endpoint: string) => request<null>('DELETE', device(endpoint)),
  device_add: (endpoint: string, kind: CredentialKind) =>
    request<Bundle>('POST', '/devices', { endpoint, kind }),
  credentials: (endpoint: string) => request<Credentials>('GET', `${device(endpoint)}/credentials`),
  credential_issue: (endpoint: string, kind: CredentialKind) =>
    request<Bundle>('POST', `${device(endpoint)}/credentials`, { kind }),
  credential_revoke: (endpoint: string, which: string) =>
    request<{ broker: string }>(
      'DELETE',
      `${device(endpoint)}/credentials/${encodeURIComponent(which)}`,
    ),
  standing_set: (endpoint: string, verb: string) =>
    request<{ state: string; broker: string }>('POST', `${device(endpoint)}/${verb}`, {}),
  strangers: () => request<Page<Stranger>>('GET', '/identities/unknown'),
  stranger_decide: (identity: string, verb: string) =>
    request<null>('POST', `/identities/unknown/${encodeURIComponent(identity)}/${verb}`, {}),
  labels: async (endpoint: string) => {
    let version: string | null = null;
    const body = await request<Labels>('GET', `${device(endpoint)}/labels`, undefined, false, {
      on_etag: (etag) => (version = etag),
    });
    return { body, version };
  },
  labels_put: (
    endpoint: string,
    body: { tags: Record<string, string>; groups: string[] },
    if_match: string | null,
  ) => request<Labels>('PUT', `${device(endpoint)}/labels`, body, false, { if_match }),
  groups: (cursor?: string | null) =>
    request<Page<Group>>('GET', `/groups${query({ limit: 1000, cursor })}`),
  labels_all: (cursor?: string | null) =>
    request<Page<Labels>>('GET', `/labels${query({ limit: 1000, cursor })}`),
  labels_edit: (endpoints: string[], edit: LabelEdit) =>
    request<LabelResult>('POST', '/labels', { endpoints, ...edit }),
  group_add: (name: string) => request<Group>('POST', '/groups', { name }),
  /** The version that goes back with a change, so that nobody's rename is lost unseen. */
  group_version: async (name: string) => {
    let version: string | null = null;
    await request<Group>('GET', group(name), undefined, false, {
      on_etag: (etag) => (version = etag),
    });
    return version as string | null;
  },
  group_rename: (name: string, to: string, if_match: string | null) =>
    request<Group>('PATCH', group(name), { name: to }, false, { if_match }),
  group_delete: (name: string, if_match: string | null) =>
    request<null>('DELETE', group(name), undefined, false, { if_match }),
  audit: (filter: AuditFilter, cursor: string | null, limit: number) =>
    request<Page<AuditEntry>>('GET', `/audit${query({ ...filter, cursor, limit })}`),
  series: (endpoint: string) =>
    request<Page<Series>>('GET', `${device(endpoint)}/series${query({ limit: 1000 })}`),
  history: (endpoint: string, series: string, from: number, to: number, points: number) =>
    request<History>(
      'GET',
      `${device(endpoint)}/history${query({
        series,
        from: new Date(from).toISOString(),
        to: new Date(to).toISOString(),
        points,
      })}`,
    ),
  /** Where the samples of series are as a file. */
  export_href: (
    endpoint: string,
    series: string[],
    from: number,
    to: number,
    format: 'csv' | 'ndjson',
  ) => {
    const span = query({
      from: new Date(from).toISOString(),
      to: new Date(to).toISOString(),
      format,
    });
    return `/api/v1${device(endpoint)}/export${span}&${series.map((s) => `series=${encodeURIComponent(s)}`).join('&')}`;
  },
  timeline: (endpoint: string | null, cursor?: string | null, limit = 50) =>
    request<Page<TimelineItem>>(
      'GET',
      `${endpoint ? device(endpoint) : ''}/timeline${query({ limit, cursor })}`,
    ),

  command_send: (endpoint: string, body: CommandRequest) =>
    request<Command>('POST', `${device(endpoint)}/commands`, body),
  commands: (endpoint: string, cursor?: string | null) =>
    request<Page<Command>>('GET', `${device(endpoint)}/commands${query({ limit: 50, cursor })}`),
  command: (id: string | number) =>
    request<Command>('GET', `/commands/${encodeURIComponent(String(id))}`),
  command_cancel: (id: string | number) =>
    request<Command>('POST', `/commands/${encodeURIComponent(String(id))}/cancel`, {}),

  models: () => request<{ objects: ModelObject[] }>('GET', '/models'),
  connect: () => request<Connect>('GET', '/connect'),

  storage: () => request<StorageReport>('GET', '/storage'),
  storage_devices: (limit: number) =>
    request<Page<StorageDevice>>('GET', `/storage/devices${query({ sort: '-bytes', limit })}`),
  device_storage: (endpoint: string) =>
    request<StorageDevice>('GET', `${device(endpoint)}/storage${query({ limit: 1 })}`),
  series_storage: (endpoint: string, cursor: string | null) =>
    request<Page<SeriesStorage>>(
      'GET',
      `${device(endpoint)}/storage${query({ limit: 1000, cursor })}`,
    ),
  series_class_put: (endpoint: string, series: string, name: string | null) =>
    request<SeriesClass>('PUT', `${device(endpoint)}/storage`, { series, class: name }),
  classes: () => request<Page<{ name: string }>>('GET', '/storage/classes'),
  class_put: (name: string, days: RetentionDays) =>
    request<RetentionDays>('PUT', `/storage/classes/${encodeURIComponent(name)}`, days),
  class_remove: (name: string) =>
    request<null>('DELETE', `/storage/classes/${encodeURIComponent(name)}`),
  rules: () => request<Page<RetentionRule>>('GET', '/storage/rules'),
  rule_add: (rule: RetentionRuleEdit) => request<RetentionRule>('POST', '/storage/rules', rule),
  rule_remove: (id: number) => request<null>('DELETE', `/storage/rules/${id}`),

  users: () => request<Page<User>>('GET', '/users'),
  user_add: (username: string, role: Role, password: string) =>
    request<User>('POST', '/users', { username, role, password }),
  user_remove: (username: string) =>
    request<null>('DELETE', `/users/${encodeURIComponent(username)}`),
  user_password: (username: string, password: string) =>
    request<null>('POST', `/users/${encodeURIComponent(username)}/password`, { password }),
  tokens: () => request<Page<Token>>('GET', '/tokens'),
  token_add: (name: string, role: Role, expires_at: string | null) =>
    request<Token>('POST', '/tokens', expires_at ? { name, role, expires_at } : { name, role }),
  token_remove: (id: string | number) =>
    request<null>('DELETE', `/tokens/${encodeURIComponent(String(id))}`),
};
