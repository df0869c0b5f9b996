// timeline.ts - what happened: of the open device, or of the whole fleet. Newest first.

import { signal } from '@preact/signals';
import { api } from '../api';
import { live_subscribe } from '../live';
import type { TimelineItem } from '../types';
import { toast_error } from './ui';

const EVENTS_MAX = 1000;

export const events = signal<TimelineItem[]>([]);
export const events_next = signal<string | null>(null);
export const events_loading = signal(false);

let owner: string | null = null;
let open_id = 0;

/** The same entry told live (without an id) and over REST has the same key. */
export function event_key(e: TimelineItem): string {
  return `${e.endpoint ?? ''} ${e.at} ${e.kind} ${e.text}`;
}

export function events_merge(list: TimelineItem[], news: TimelineItem[]): TimelineItem[] {
  const by_key = new Map(list.map((e) => [event_key(e), e]));
  for (const e of news) by_key.set(event_key(e), e);
  const merged = [...by_key.values()];
  merged.sort((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0));
  return merged.slice(0, EVENTS_MAX);
}

export function events_receive(news: TimelineItem[]): void {
  if (!news.length) return;
  const mine = owner === null ? news : news.map(({ endpoint: _, ...e }) => e);
  events.value = events_merge(events.peek(), mine);
}

export async function events_older(): Promise<void> {
  if (events_loading.peek()) return;
  const mine = open_id;
  events_loading.value = true;
  try {
    const page = await api.timeline(owner, events_next.peek());
    if (mine !== open_id) return;
    events_receive(page.items);
    events_next.value = page.next;
  } catch (e) {
    if (mine === open_id) toast_error(e);
  } finally {
    if (mine === open_id) events_loading.value = false;
  }
}

/** events_open starts the list of one device (fed by its own subscription) or of the fleet (null). */
export function events_open(endpoint: string | null): () => void {
  owner = endpoint;
  open_id++;
  events.value = [];
  events_next.value = null;
  events_loading.value = false;
  void events_older();
  const stop =
    endpoint !== null
      ? () => {}
      : live_subscribe('timeline', null, (ops) => {
          for (const op of ops) if (op.events) events_receive(op.events);
        });
  return () => {
    open_id++;
    stop();
  };
}
