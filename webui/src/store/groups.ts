// groups.ts - the static groups: read whole, since they are few beside the devices in them.

import { signal } from '@preact/signals';
import { all_pages, api, ApiError } from '../api';
import type { Group } from '../types';
import { attempt, error_of, toast } from './ui';

export const groups = signal<Group[] | null>(null);
export const groups_error = signal<string | null>(null);

const read_all = () => all_pages(api.groups);

export async function groups_read(): Promise<void> {
  try {
    groups.value = await read_all();
    groups_error.value = null;
  } catch (e) {
    groups_error.value = error_of(e).message;
  }
}

/** groups_make makes those of `names` that do not exist; throws if one cannot be made. */
export async function groups_make(names: string[]): Promise<void> {
  if (!names.length) return;
  const known = new Set((await read_all()).map((g) => g.name));
  for (const name of names) {
    if (known.has(name)) continue;
    await api.group_add(name).catch((e: unknown) => {
      if (!(e instanceof ApiError) || e.status !== 409) throw e; // 409: somebody was faster
    });
  }
}

export const group_add = (name: string) =>
  attempt(async () => {
    await api.group_add(name);
    await groups_read();
  });

/** The version a dialog works from; null after telling why there is none. */
export async function group_version(name: string): Promise<string | null> {
  let version: string | null = null;
  await attempt(async () => (version = await api.group_version(name)));
  if (version === null) await groups_read();
  return version;
}

export const group_rename = (name: string, to: string, version: string | null) =>
  attempt(async () => {
    await api.group_rename(name, to, version);
    toast('ok', `Group ${name} is called ${to} now`);
    await groups_read();
  });

export const group_delete = (name: string, version: string | null) =>
  attempt(async () => {
    await api.group_delete(name, version).finally(groups_read);
    toast('ok', `Group ${name} deleted`);
  });
