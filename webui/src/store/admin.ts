// admin.ts - how devices connect, and who may use this server.

import { signal } from '@preact/signals';
import { api } from '../api';
import type { Connect, Role, Token, User } from '../types';
import { attempt, toast } from './ui';

export const connect_info = signal<Connect | null>(null);
export const users = signal<User[] | null>(null);
export const tokens = signal<Token[] | null>(null);
/** The token just made: the server shows it once, and so do we. */
export const fresh_token = signal<Token | null>(null);

export async function connect_open(): Promise<void> {
  if (connect_info.peek()) return;
  await attempt(async () => (connect_info.value = await api.connect()));
}

async function read_users(): Promise<void> {
  users.value = (await api.users()).items;
}

async function read_tokens(): Promise<void> {
  tokens.value = (await api.tokens()).items;
}

export function admin_open(): void {
  fresh_token.value = null;
  void attempt(read_users);
  void attempt(read_tokens);
}

export const user_add = (username: string, role: Role, password: string) =>
  attempt(async () => {
    await api.user_add(username, role, password);
    await read_users();
    toast('ok', `User ${username} added`);
  });

export const user_remove = (username: string) =>
  attempt(async () => {
    await api.user_remove(username);
    await read_users();
    toast('ok', `User ${username} removed`);
  });

export const user_password = (username: string, password: string) =>
  attempt(async () => {
    await api.user_password(username, password);
    toast('ok', `Password of ${username} changed`);
  });

export const token_add = (name: string, role: Role, expires_at: string | null) =>
  attempt(async () => {
    fresh_token.value = await api.token_add(name, role, expires_at);
    await read_tokens();
  });

export const token_remove = (id: string | number) =>
  attempt(async () => {
    await api.token_remove(id);
    await read_tokens();
    toast('ok', 'Token removed');
  });
