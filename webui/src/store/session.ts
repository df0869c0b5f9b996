// session.ts - who is signed in, and what that person may do.

import { computed, signal } from '@preact/signals';
import { api, api_on_signed_out } from '../api';
import { live_on_unauthenticated, live_start, live_stop } from '../live';
import type { Role, Session } from '../types';
import { error_of, toast_error } from './ui';

/** undefined: not asked yet; null: nobody. */
export const session = signal<Session | null | undefined>(undefined);
export const login_error = signal<{ text: string; code: string } | null>(null);
export const login_busy = signal(false);

const RANK: Record<Role, number> = { viewer: 0, operator: 1, engineer: 2, admin: 3 };

export function role_covers(have: Role | undefined, need: Role): boolean {
  return have !== undefined && RANK[have] >= RANK[need];
}

export const may_operate = computed(() => role_covers(session.value?.role, 'operator'));
export const may_engineer = computed(() => role_covers(session.value?.role, 'engineer'));
export const may_admin = computed(() => role_covers(session.value?.role, 'admin'));

/** Set while a cookie may exist; without it a first visit asks nothing that must be refused. */
const HINT = 'braid.signed_in';

function begin(s: Session): void {
  localStorage.setItem(HINT, '1');
  session.value = s;
  live_start();
}

function end(): void {
  localStorage.removeItem(HINT);
  session.value = null;
  live_stop();
}

function signed_out(): void {
  if (!session.value) return;
  end();
  login_error.value = { text: 'You were signed out: the session has ended.', code: '' };
}

/** The session behind the socket is over; another tab may have brought a new one for all. */
async function check_again(): Promise<void> {
  try {
    const s = await api.session_get();
    if (session.value) begin(s);
  } catch (e) {
    if (error_of(e).status === 401) signed_out();
    else if (session.value) live_start();
  }
}

export async function login(username: string, password: string): Promise<void> {
  login_busy.value = true;
  login_error.value = null;
  try {
    begin(await api.session_open(username, password));
  } catch (e) {
    const err = error_of(e);
    login_error.value = {
      text: err.status === 401 ? 'User name or password is wrong.' : err.message,
      code: err.code,
    };
  } finally {
    login_busy.value = false;
  }
}

export async function logout(): Promise<void> {
  try {
    await api.session_close();
  } catch (e) {
    toast_error(e);
  }
  end();
}

export async function session_start(): Promise<void> {
  api_on_signed_out(signed_out);
  live_on_unauthenticated(() => void check_again());
  if (!localStorage.getItem(HINT)) {
    session.value = null;
    return;
  }
  try {
    begin(await api.session_get());
  } catch (e) {
    const err = error_of(e);
    end();
    if (err.status !== 401) login_error.value = { text: err.message, code: err.code };
  }
}
