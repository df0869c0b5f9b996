// route.ts - the address bar as state: which page, and on the fleet page which filter.

import { signal } from '@preact/signals';
import type { Status } from './types';

export type Route =
  | { page: 'fleet' }
  | { page: 'device'; endpoint: string }
  | { page: 'timeline' }
  | { page: 'connect' }
  | { page: 'admin' }
  | { page: 'missing' };

export type Sort = 'endpoint' | 'status' | '-last_seen' | '-rate';

export interface FleetFilter {
  search: string;
  status: Status[];
  sort: Sort;
}

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
    if (parts[0] === 'timeline') return { page: 'timeline' };
    if (parts[0] === 'connect') return { page: 'connect' };
    if (parts[0] === 'admin') return { page: 'admin' };
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
    sort: sort && SORTS.includes(sort) ? sort : 'endpoint',
  };
}

export function filter_href(f: FleetFilter): string {
  const q = new URLSearchParams();
  if (f.search) q.set('search', f.search);
  if (f.status.length) q.set('status', f.status.join(','));
  if (f.sort !== 'endpoint') q.set('sort', f.sort);
  const s = q.toString().replaceAll('%2C', ',');
  return s ? `/?${s}` : '/';
}

// ---- the browser's side -------------------------------------------------------------------------

export const route = signal<Route>(route_parse(location.pathname));
export const filter = signal<FleetFilter>(filter_parse(location.search));

function read(): void {
  route.value = route_parse(location.pathname);
  if (route.value.page === 'fleet') filter.value = filter_parse(location.search);
}

export function go(href: string, replace = false): void {
  if (replace) history.replaceState(null, '', href);
  else history.pushState(null, '', href);
  const before = route.value.page;
  read();
  if (!replace && (before !== 'fleet' || route.value.page !== 'fleet')) scrollTo(0, 0);
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
