// command.tsx - the story of a command: requested, sent, accepted, observed, with its latency.

import { latency_text, time_ms } from '../format';
import { actions, command_ended, type Action } from '../store/commands';
import { now } from '../store/ui';
import type { Command } from '../types';

const GOOD = new Set(['succeeded', 'accepted', 'observed']);
const SHOW_OK_MS = 12_000;
const SHOW_BAD_MS = 60_000;

const STATE_WORD: Record<string, string> = {
  queued: 'queued',
  sent: 'sent',
  accepted: 'accepted',
  observed: 'observed',
  succeeded: 'succeeded',
  failed: 'failed',
  timed_out: 'no answer',
  expired: 'expired',
  cancelled: 'cancelled',
  unknown: 'outcome unknown',
};

/** A failure with a code is the device's own word; one without is ours. */
export function state_word(c: Command): string {
  if (c.state === 'failed' && c.result?.code) return 'refused';
  return STATE_WORD[c.state] ?? c.state;
}

export function command_latency(c: Command): string {
  const start = time_ms(c.created_at);
  const end = time_ms(c.finished_at);
  return start === null || end === null ? '' : latency_text(end - start);
}

export function command_good(c: Command): boolean {
  return GOOD.has(c.state);
}

/** Steps already taken and still ahead, as words: "requested → sent → accepted → observed". */
export function command_steps(c: Command): { word: string; done: boolean; bad: boolean }[] {
  const steps: { word: string; done: boolean; bad: boolean }[] = [
    { word: 'requested', done: true, bad: false },
  ];
  const add = (word: string, done: boolean, bad = false) => steps.push({ word, done, bad });
  const order = ['sent', 'accepted', 'observed'];
  const at = order.indexOf(c.state);
  const telemetry = c.op === 'metric-write' || c.op === 'rebirth';
  if (command_ended(c) && !GOOD.has(c.state)) {
    if (c.sent_at) add('sent', true);
    add(state_word(c), true, true);
    return steps;
  }
  add('sent', c.state === 'succeeded' || at >= 0);
  if (telemetry || c.state === 'accepted' || c.state === 'observed') {
    add('accepted', c.state === 'succeeded' || at >= 1);
    add('observed', c.state === 'succeeded' || at >= 2);
  } else {
    add('succeeded', c.state === 'succeeded');
  }
  return steps;
}

export function CommandSteps({ command }: { command: Command }) {
  return (
    <ol class="steps" aria-label={`State: ${state_word(command)}`}>
      {command_steps(command).map((s) => (
        <li class={s.bad ? 'bad' : s.done ? 'done' : ''}>{s.word}</li>
      ))}
    </ol>
  );
}

function note(a: Action, now_ms: number): { text: string; tone: string; title: string } | null {
  const c = a.command;
  const age = now_ms - a.started_ms;
  if (a.error) {
    if (age > SHOW_BAD_MS) return null;
    return { text: `✕ ${a.error.code}`, tone: 'bad', title: a.error.message };
  }
  if (!c) return { text: 'requested', tone: 'wait', title: 'Requested' };
  if (!command_ended(c) && c.state !== 'accepted') {
    return { text: `${state_word(c)} …`, tone: 'wait', title: c.why ?? c.state };
  }
  const title = c.why ?? c.result?.error ?? c.state;
  if (command_good(c)) {
    if (age > SHOW_OK_MS) return null;
    const code = c.result?.code ? `${c.result.code} ` : '';
    return { text: `✓ ${code}${command_latency(c) || c.state}`, tone: 'ok', title };
  }
  if (age > SHOW_BAD_MS) return null;
  return { text: `✕ ${c.result?.code ?? state_word(c)}`, tone: 'bad', title };
}

export function action_note(key: string) {
  const a = actions.value.get(key);
  return a ? note(a, now.value) : null;
}

/** What the newest command on `target` is doing; nothing once that is old news. */
export function ActionNote({ target }: { target: string }) {
  const n = action_note(target);
  if (!n) return null;
  return (
    <span class={`note note-${n.tone}`} title={n.title} role="status">
      {n.text}
    </span>
  );
}
