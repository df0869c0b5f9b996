// ui.ts - state of the window itself: the ticking clock, theme, width, messages in the corner.

import { effect, signal } from '@preact/signals';
import { ApiError, server_now } from '../api';

/** Server time in ms, once a second; every age on the page reads it. */
export const now = signal(server_now());

export type Theme = 'auto' | 'light' | 'dark';
const stored = localStorage.getItem('braid.theme');
export const theme = signal<Theme>(stored === 'light' || stored === 'dark' ? stored : 'auto');
const dark_query = matchMedia('(prefers-color-scheme: dark)');
export const system_dark = signal(dark_query.matches);

const narrow_query = matchMedia('(max-width: 719px)');
export const narrow = signal(narrow_query.matches);
const compact_query = matchMedia('(max-width: 1119px)');
export const compact = signal(compact_query.matches);

export function theme_is_dark(): boolean {
  return theme.value === 'auto' ? system_dark.value : theme.value === 'dark';
}

export interface Toast {
  id: number;
  kind: 'ok' | 'bad';
  text: string;
  code: string | null;
}

export const toasts = signal<Toast[]>([]);
let next_toast = 1;

export function toast_close(id: number): void {
  toasts.value = toasts.value.filter((t) => t.id !== id);
}

export function toast(kind: Toast['kind'], text: string, code: string | null = null): void {
  const id = next_toast++;
  toasts.value = [...toasts.value.slice(-3), { id, kind, text, code }];
  setTimeout(() => toast_close(id), kind === 'ok' ? 3000 : 9000);
}

/** attempt does the work and tells what went wrong; true if nothing did. */
export async function attempt(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (e) {
    toast_error(e);
    return false;
  }
}

/** save_file hands a text made here to the browser as a download. */
export function save_file(name: string, type: string, parts: string[]): void {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  const a = document.createElement('a');
  a.href = url;
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export function error_of(e: unknown): ApiError {
  if (e instanceof ApiError) return e;
  return new ApiError(0, { code: 'console', detail: e instanceof Error ? e.message : String(e) });
}

export function toast_error(e: unknown): void {
  const err = error_of(e);
  if (err.status !== 401) toast('bad', err.message, err.code);
}

export async function copy(text: string, what = 'Copied'): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast('ok', what);
  } catch {
    // Clipboards need HTTPS or localhost; a selected text area works everywhere.
    const area = document.createElement('textarea');
    area.value = text;
    area.className = 'offscreen';
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    if (done) toast('ok', what);
    else toast('bad', 'The browser did not allow copying.');
  }
}

export function ui_start(): void {
  setInterval(() => (now.value = server_now()), 1000);
  dark_query.addEventListener('change', (e) => (system_dark.value = e.matches));
  narrow_query.addEventListener('change', (e) => (narrow.value = e.matches));
  compact_query.addEventListener('change', (e) => (compact.value = e.matches));
  effect(() => {
    const root = document.documentElement;
    root.dataset.theme = theme_is_dark() ? 'dark' : 'light';
    localStorage.setItem('braid.theme', theme.value);
  });
}
