// route.ts - the address bar as state: which page, and on the fleet and audit pages which filter, so
// that a view can be sent to a colleague.

import { signal } from '@preact/signals';
import type { Status } from './types';

export type Route =
  | { page: 'fleet' }
  | { page: 'device'; endpoint: string }
  | { page: 'groups' }
  | { page: 'timeline' }
  | { page: 'storage' }
  | { page: 'audit' }
  | { page: 'connect' }
  | { page: 'admin' }
  | { page: 'missing' };

export type Sort = 'endpoint' | 'status' | '-last_seen' | '-rate';

export interface FleetFilter {
  search: string;
  status: Status[];
  /** Terms as the API has them: "key" or "key:value". */
  tag: string[];
  group: string[];
  sort: Sort;
}

export const FILTER_NONE: FleetFilter = {
  search: '',
  status: [],
  tag: [],
  group: [],
  sort: 'endpoint',
};

/** Empty texts ask for nothing; times are RFC 3339. */
export interface AuditFilter {
  who: string;
  action: string;
  target: string;
  result: string;
  from: string;
  to: string;
}

export const AUDIT_NONE: AuditFilter = {
  who: '',
  action: '',
  target: '',
  result: '',
  from: '',
  to: '',
};

export const STATUSES: Status[] = [
  'online',
  'degraded',
  'sleeping',
  'lost',
  'offline',
  'unknown',
  'never',
];
const SORTS: Sort[] = ['endpoint', 'status', '-last_seen', '-rate'];

export function route_parse(path: string): Route {
  const parts = path.split('/').filter(Boolean);
  if (parts.length === 0) return { page: 'fleet' };
  if (parts.length === 1) {
    for (const page of ['groups', 'timeline', 'storage', 'audit', 'connect', 'admin'] as const)
      if (parts[0] === page) return { page };
    if (parts[0] === 'devices') return { page: 'fleet' };
  }
  if (parts.length === 2 && parts[0] === 'devices') {
    try {
      return { page: 'device', endpoint: decodeURIComponent(parts[1] ?? '') };
    } catch {
      return { page: 'missing' };
    }
  }
  return { page: 'missing' };
}

export function device_href(endpoint: string): string {
  return `/devices/${encodeURIComponent(endpoint)}`;
}

export function filter_parse(search: string): FleetFilter {
  const q = new URLSearchParams(search);
  const asked = (q.get('status') ?? '').split(',');
  const sort = q.get('sort') as Sort | null;
  return {
    search: q.get('search') ?? '',
    status: STATUSES.filter((s) => asked.includes(s)),
    tag: [...new Set(q.getAll('tag').filter(Boolean))],
    group: [...new Set(q.getAll('group').filter(Boolean))],
    sort: sort && SORTS.includes(sort) ? sort : 'endpoint',
  };
}

export function filter_href(f: FleetFilter): string {
  const q = new URLSearchParams();
  if (f.search) q.set('search', f.search);
  if (f.status.length) q.set('status', f.status.join(','));
  for (const term of f.tag) q.append('tag', term);
  for (const name of f.group) q.append('group', name);
  if (f.sort !== 'endpoint') q.set('sort', f.sort);
  const s = q.toString().replaceAll('%2C', ',').replaceAll('%3A', ':');
  return s ? `/?${s}` : '/';
}

export function filter_any(f: FleetFilter): boolean {
  return Boolean(f.search || f.status.length || f.tag.length || f.group.length);
}

export function audit_parse(search: string): AuditFilter {
  const q = new URLSearchParams(search);
  const f = { ...AUDIT_NONE };
  for (const key of Object.keys(f) as (keyof AuditFilter)[]) f[key] = q.get(key) ?? '';
  for (const key of ['from', 'to'] as const) if (Number.isNaN(Date.parse(f[key]))) f[key] = '';
  return f;
}

export function audit_filter_href(f: AuditFilter): string {
  const q = new URLSearchParams(Object.entries(f).filter(([, v]) => v));
  const s = q.toString().replaceAll('%3A', ':');
  return s ? `/audit?${s}` : '/audit';
}

// ---- the browser's side -------------------------------------------------------------------------

export const route = signal<Route>(route_parse(location.pathname));
export const filter = signal<FleetFilter>(filter_parse(location.search));
export const audit_filter = signal<AuditFilter>(audit_parse(location.search));

function read(): void {
  route.value = route_parse(location.pathname);
  if (route.value.page === 'fleet') filter.value = filter_parse(location.search);
  if (route.value.page === 'audit') audit_filter.value = audit_parse(location.search);
}

export function go(href: string, replace = false): void {
  if (replace) history.replaceState(null, '', href);
  else history.pushState(null, '', href);
  const before = route.value.page;
  read();
  if (!replace && (before !== route.value.page || before === 'device')) scrollTo(0, 0);
}

export function filter_set(change: Partial<FleetFilter>, replace = false): void {
  go(filter_href({ ...filter.value, ...change }), replace);
}

/** route_start follows the back button and turns clicks on our own links into page changes. */
export function route_start(): void {
  addEventListener('popstate', read);
  document.addEventListener('click', (e) => {
    if (e.defaultPrevented || e.button || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
    const a = e.target instanceof Element ? e.target.closest('a') : null;
    if (!a || a.target || a.origin !== location.origin || a.hasAttribute('download')) return;
    if (a.pathname.startsWith('/api/') || a.getAttribute('href')?.startsWith('#')) return;
    e.preventDefault();
    go(a.pathname + a.search);
  });
}
