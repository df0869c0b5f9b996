// commands.ts - commands of the open device: the list, and what each button last did.
//
// A click posts without waiting and gets the id at once; the rest of the story (sent, accepted,
// observed ...) arrives on the live socket. If it does not, the command is asked for over REST, so
// a button never hangs. `actions` remembers per target (path, metric, "rebirth") the newest story.

import { signal } from '@preact/signals';
import { api, server_now } from '../api';
import { live_state } from '../live';
import type { Command, CommandRequest } from '../types';
import { error_of, toast, toast_error } from './ui';
import type { ApiError } from '../api';

export interface Action {
  request: CommandRequest;
  started_ms: number;
  command: Command | null;
  error: ApiError | null;
}

const LIST_MAX = 300;
const POLL_MS = 1500;
const ENDED = new Set([
  'succeeded',
  'failed',
  'timed_out',
  'expired',
  'cancelled',
  'unknown',
  'observed',
]);

const TROUBLE = new Set(['failed', 'timed_out', 'expired', 'unknown']);

export const commands = signal<Command[]>([]);
export const commands_next = signal<string | null>(null);
export const actions = signal<ReadonlyMap<string, Action>>(new Map());

type Finished = (c: Command) => void;
let on_finished: Finished = () => {};
let generation = 0;
const reported = new Set<string>();

export function command_ended(c: Command): boolean {
  return c.finished_at !== null || ENDED.has(c.state);
}

/** The key under which a row finds its action. */
export function action_key(r: CommandRequest): string {
  if (r.op === 'rebirth') return 'rebirth';
  if (r.metric !== undefined) return `metric:${r.device ?? ''}/${r.metric}`;
  return `path:${r.path ?? r.observation ?? r.op}`;
}

function set_action(key: string, a: Action): void {
  const next = new Map(actions.peek());
  next.set(key, a);
  actions.value = next;
}

/** commands_merge puts newer tellings of commands over older ones, newest command first. */
export function commands_merge(list: Command[], news: Command[]): Command[] {
  const by_id = new Map(list.map((c) => [String(c.id), c]));
  for (const c of news) {
    const old = by_id.get(String(c.id));
    if (old && command_ended(old) && !command_ended(c)) continue;
    by_id.set(String(c.id), { ...old, ...c });
  }
  const merged = [...by_id.values()];
  merged.sort((a, b) => (a.created_at < b.created_at ? 1 : a.created_at > b.created_at ? -1 : 0));
  return merged.slice(0, LIST_MAX);
}

function report_trouble(c: Command): void {
  if (!TROUBLE.has(c.state)) return;
  const target = c.request?.path ?? c.request?.metric ?? '';
  const words = c.why ?? c.result?.error ?? c.state.replace('_', ' ');
  toast('bad', `${c.op} ${target}: ${words}`, c.result?.code ?? c.state);
}

export function commands_receive(news: Command[]): void {
  if (!news.length) return;
  commands.value = commands_merge(commands.peek(), news);
  for (const c of news) {
    for (const [key, a] of actions.peek()) {
      if (a.command && String(a.command.id) === String(c.id) && !command_ended(a.command)) {
        set_action(key, { ...a, command: c });
        report_trouble(c);
      }
    }
    if (command_ended(c) && !reported.has(String(c.id))) {
      reported.add(String(c.id));
      on_finished(c);
    }
  }
}

function poll(id: string | number, mine: number): void {
  const again = () => {
    const known = commands.peek().find((c) => String(c.id) === String(id));
    if (mine !== generation || (known && command_ended(known))) return;
    const live = live_state.peek() === 'live';
    api.command(id).then(
      (c) => {
        if (mine !== generation) return;
        commands_receive([c]);
        if (!command_ended(c)) setTimeout(again, live ? 4 * POLL_MS : POLL_MS);
      },
      () => mine === generation && setTimeout(again, 4 * POLL_MS),
    );
  };
  setTimeout(again, POLL_MS);
}

/** command_run sends `request`; the outcome is read from `actions` and `commands`. */
export async function command_run(
  endpoint: string,
  request: CommandRequest,
  key = action_key(request),
): Promise<void> {
  const mine = generation;
  const started: Action = { request, started_ms: server_now(), command: null, error: null };
  set_action(key, started);
  let command: Command | null = null;
  let error: ApiError | null = null;
  try {
    command = await api.command_send(endpoint, request);
  } catch (e) {
    error = error_of(e);
    command = error.command;
    if (!command) toast_error(error);
  }
  if (mine !== generation) return;
  const told = commands.peek().find((c) => command && String(c.id) === String(command.id));
  if (told && command && command_ended(told)) command = told;
  set_action(key, { ...started, command, error: command ? null : error });
  if (!command) return;
  if (command_ended(command)) report_trouble(command);
  commands_receive([command]);
  if (!command_ended(command)) poll(command.id, mine);
}

export async function command_cancel(c: Command): Promise<void> {
  try {
    commands_receive([await api.command_cancel(c.id)]);
  } catch (e) {
    toast_error(e);
  }
}

export async function commands_older(endpoint: string): Promise<void> {
  try {
    const page = await api.commands(endpoint, commands_next.peek());
    for (const c of page.items) if (command_ended(c)) reported.add(String(c.id));
    commands.value = commands_merge(commands.peek(), page.items);
    commands_next.value = page.next;
  } catch (e) {
    toast_error(e);
  }
}

export function commands_open(endpoint: string, finished: Finished): void {
  generation++;
  reported.clear();
  on_finished = finished;
  commands.value = [];
  commands_next.value = null;
  actions.value = new Map();
  void commands_older(endpoint);
}
