// bits.tsx - small parts used on every page.

import type { ComponentChildren } from 'preact';
import { ago_text, age_text, date_time_text, time_ms } from '../format';
import { copy, now } from '../store/ui';
import type { Quality, Status } from '../types';
import { IconCopy, StatusIcon } from './icons';

export const STATUS_WORD: Record<Status, string> = {
  online: 'Online',
  degraded: 'Degraded',
  sleeping: 'Sleeping',
  lost: 'Lost',
  offline: 'Offline',
  unknown: 'Unknown',
  never: 'Never seen',
};

export function StatusChip({ status }: { status: Status }) {
  return (
    <span class={`chip st-${status}`}>
      <StatusIcon status={status} />
      {STATUS_WORD[status] ?? status}
    </span>
  );
}

/** Age ticks by itself; the exact time is in its title. */
export function Age({
  at,
  ago = false,
}: {
  at: string | number | null | undefined;
  ago?: boolean;
}) {
  const ms = typeof at === 'number' ? at : time_ms(at);
  if (ms === null) return <span class="age">–</span>;
  const words = ago ? ago_text(ms, now.value) : age_text(ms, now.value);
  return (
    <time class="age" dateTime={new Date(ms).toISOString()} title={date_time_text(ms)}>
      {words}
    </time>
  );
}

export function CopyButton({
  text,
  label,
  children,
}: {
  text: string;
  label: string;
  children?: ComponentChildren;
}) {
  return (
    <button
      type="button"
      class="quiet"
      aria-label={label}
      title={label}
      onClick={() => void copy(text)}
    >
      <IconCopy />
      {children}
    </button>
  );
}

/** A small button beside what it acts on. `name` says on what, for who cannot see where it stands. */
export function Act({
  name,
  title,
  may = true,
  pressed,
  onPress,
  children,
}: {
  name?: string;
  title?: string;
  may?: boolean;
  pressed?: boolean;
  onPress: () => void;
  children: ComponentChildren;
}) {
  return (
    <button
      type="button"
      class="act"
      disabled={!may}
      aria-label={name}
      aria-pressed={pressed}
      title={title}
      onClick={onPress}
    >
      {children}
    </button>
  );
}

/** The field that narrows a list on the page. */
export function Find({
  what,
  value,
  onFind,
}: {
  what: string;
  value: string;
  onFind: (s: string) => void;
}) {
  return (
    <input
      type="search"
      class="find"
      aria-label={`Find a ${what}`}
      placeholder={`Find a ${what}`}
      value={value}
      onInput={(e) => onFind(e.currentTarget.value)}
    />
  );
}

/** A line for a terminal, with its copy button. */
export function CodeLine({ text, label }: { text: string; label: string }) {
  return (
    <div class="codeline">
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
      <CopyButton text={text} label={label} />
    </div>
  );
}

const QUALITY_WORD: Record<Quality, string> = {
  good: 'good',
  bad: 'bad',
  stale: 'stale',
  null: 'null',
  bad_time: 'bad time',
};

export function QualityMark({ quality }: { quality: Quality | null }) {
  if (!quality || quality === 'good') return null;
  return <span class={`q q-${quality}`}>{QUALITY_WORD[quality] ?? quality}</span>;
}

export function Problem({ text, code }: { text: string; code: string | null }) {
  return (
    <p class="problem" role="alert">
      {text} {code && <code>{code}</code>}
    </p>
  );
}

/** What could not be read, and the button that tries again. */
export function Unread({ why, onRetry }: { why: string; onRetry: () => void }) {
  return (
    <p class="problem" role="alert">
      {why}{' '}
      <button type="button" onClick={onRetry}>
        Try again
      </button>
    </p>
  );
}

export function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div class="fact">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

export function Quiet({ children }: { children: ComponentChildren }) {
  return <p class="quiet-note">{children}</p>;
}
