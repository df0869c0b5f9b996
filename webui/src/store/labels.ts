// labels.ts - tags and groups of the device on screen. They change by people's hands only, so they
// are read when the page opens and after an edit; the version read goes back with the edit, so that
// two people do not overwrite each other unseen.

import { signal } from '@preact/signals';
import { api } from '../api';
import type { Labels } from '../types';
import { groups_make } from './groups';
import { toast, toast_error } from './ui';

export const labels = signal<Labels | null>(null);
let version: string | null = null;

async function read(endpoint: string): Promise<void> {
  const got = await api.labels(endpoint);
  labels.value = got.body;
  version = got.version;
}

export function labels_open(endpoint: string): () => void {
  labels.value = null;
  let open = true;
  void read(endpoint).catch(() => open && (labels.value = null));
  return () => {
    open = false;
    labels.value = null;
  };
}

/** labels_save gives true when saved; a group that does not exist yet is made first. */
export async function labels_save(
  endpoint: string,
  tags: Record<string, string>,
  groups: string[],
): Promise<boolean> {
  try {
    await groups_make(groups);
    await api.labels_put(endpoint, { tags, groups }, version);
    await read(endpoint);
    toast('ok', 'Tags and groups saved');
    return true;
  } catch (e) {
    toast_error(e);
    return false;
  }
}
