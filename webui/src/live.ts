// live.ts - the one WebSocket: subscriptions that survive reconnects, and calm delivery.
//
// A subscription is a topic and a handler; the id that travels is made here. After every reconnect
// all subscriptions are asked for again, and the server answers with a fresh snapshot, so handlers
// need no idea of connections. Operations are queued and handed over once per animation frame, or
// at once beyond BATCH_MAX so that a hidden or busy tab cannot pile them up without end. Silence
// for longer than two server pings means a dead path: the socket is closed and opened again, with
// back-off that doubles up to 15 s and is spread by chance. Only when the server says that the
// session has ended is nothing opened again: whoever asked by `live_on_unauthenticated` decides.

import { signal } from '@preact/signals';
import type { LiveOp, LiveTopic } from './types';

export type LiveState = 'off' | 'connecting' | 'live' | 'waiting';
export type LiveHandler = (ops: LiveOp[]) => void;

interface Subscription {
  id: string;
  topic: LiveTopic;
  endpoints: string[] | null;
  handler: LiveHandler;
}

const BATCH_MAX = 500;
const SILENCE_MS = 40_000;
const BACKOFF_MIN_MS = 500;
const BACKOFF_MAX_MS = 15_000;

export const live_state = signal<LiveState>('off');
/** When the next attempt starts (ms since the epoch); meaningful while `waiting`. */
export const live_retry_at = signal(0);

const subscriptions = new Map<string, Subscription>();
let socket: WebSocket | null = null;
let wanted = false;
let next_id = 1;
let backoff = BACKOFF_MIN_MS;
let retry_timer = 0;
let silence_timer = 0;
let queue: LiveOp[] = [];
let frame_asked = false;
let on_unauthenticated: () => void = () => {};

export function live_backoff_next(current: number, chance: number): number {
  return Math.min(BACKOFF_MAX_MS, current * 2) * (0.75 + chance / 2);
}

function deliver(): void {
  frame_asked = false;
  const ops = queue;
  queue = [];
  const by_id = new Map<string, LiveOp[]>();
  for (const op of ops) {
    if (!op.id) continue;
    const list = by_id.get(op.id);
    if (list) list.push(op);
    else by_id.set(op.id, [op]);
  }
  for (const [id, list] of by_id) subscriptions.get(id)?.handler(list);
}

function enqueue(ops: LiveOp[]): void {
  for (const op of ops) if (op.op !== 'ping') queue.push(op);
  if (!queue.length) return;
  if (queue.length > BATCH_MAX) return deliver();
  if (frame_asked) return;
  frame_asked = true;
  if (document.hidden) setTimeout(deliver, 1000);
  else requestAnimationFrame(deliver);
}

function heard(): void {
  clearTimeout(silence_timer);
  silence_timer = window.setTimeout(() => socket?.close(), SILENCE_MS);
}

function ask(s: Subscription): void {
  if (socket?.readyState !== WebSocket.OPEN) return;
  const message: Record<string, unknown> = { op: 'subscribe', id: s.id, topic: s.topic };
  if (s.endpoints) message.endpoints = s.endpoints;
  socket.send(JSON.stringify(message));
}

export function live_on_unauthenticated(hook: () => void): void {
  on_unauthenticated = hook;
}

function receive(event: MessageEvent): void {
  heard();
  try {
    const said: unknown = JSON.parse(String(event.data));
    const ops = (Array.isArray(said) ? said : [said]) as LiveOp[];
    enqueue(ops);
    if (ops.some((op) => op.op === 'error' && op.code === 'unauthenticated')) {
      live_stop();
      on_unauthenticated();
    }
  } catch {
    socket?.close();
  }
}

function closed(): void {
  clearTimeout(silence_timer);
  socket = null;
  if (!wanted) {
    live_state.value = 'off';
    return;
  }
  const delay = backoff * (0.75 + Math.random() / 2);
  backoff = live_backoff_next(backoff, 0.5);
  live_retry_at.value = Date.now() + delay;
  live_state.value = 'waiting';
  retry_timer = window.setTimeout(open, delay);
}

function open(): void {
  clearTimeout(retry_timer);
  if (socket || !wanted) return;
  live_state.value = 'connecting';
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  const mine = new WebSocket(`${scheme}://${location.host}/api/v1/live`);
  socket = mine;
  mine.onopen = () => {
    backoff = BACKOFF_MIN_MS;
    live_state.value = 'live';
    heard();
    for (const s of subscriptions.values()) ask(s);
  };
  mine.onmessage = receive;
  mine.onclose = () => {
    if (socket === mine) closed();
  };
}

/** live_start opens the socket and keeps it open until live_stop. */
export function live_start(): void {
  wanted = true;
  open();
}

export function live_stop(): void {
  wanted = false;
  clearTimeout(retry_timer);
  queue = [];
  if (socket) socket.close();
  else live_state.value = 'off';
}

/** live_retry opens the socket now instead of at the end of the back-off. */
export function live_retry(): void {
  backoff = BACKOFF_MIN_MS;
  open();
}

/** live_subscribe calls `handler` with each batch until the returned function is called. */
export function live_subscribe(
  topic: LiveTopic,
  endpoints: string[] | null,
  handler: LiveHandler,
): () => void {
  const s: Subscription = { id: `${topic}-${next_id++}`, topic, endpoints, handler };
  subscriptions.set(s.id, s);
  ask(s);
  return () => {
    subscriptions.delete(s.id);
    if (socket?.readyState === WebSocket.OPEN) {
      socket.send(JSON.stringify({ op: 'unsubscribe', id: s.id }));
    }
  };
}

window.addEventListener('online', () => wanted && live_retry());
