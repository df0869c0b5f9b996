// labels.tsx - tags and groups as chips, and the field that picks one by name.

import { useId, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import { tag_text, tag_term, type Counted } from '../labels';
import { filter, filter_href } from '../route';
import { compact } from '../store/ui';
import type { Labels } from '../types';
import { IconClose } from './icons';

const OPTIONS_MAX = 500;

/** Chips that narrow the fleet to what they say; what does not fit is counted and in the title. */
function Chips({ what, all }: { what: 'Tag' | 'Group'; all: { text: string; href: string }[] }) {
  if (!all.length) return null;
  const shown = all.slice(0, compact.value ? 1 : 2);
  const rest = all.length - shown.length;
  return (
    <span class="lchips" title={all.map((c) => c.text).join('\n')}>
      {shown.map((c) => (
        <a
          class={`lchip lchip-${what.toLowerCase()}`}
          href={c.href}
          tabIndex={-1}
          aria-label={`${what} ${c.text}: show only these`}
        >
          {c.text}
        </a>
      ))}
      {rest > 0 && <span class="muted">+{rest}</span>}
    </span>
  );
}

export function TagChips({ labels }: { labels: Labels | undefined }) {
  const f = filter.value;
  const href = (term: string) =>
    filter_href({ ...f, tag: f.tag.includes(term) ? f.tag : [...f.tag, term] });
  const all = Object.entries(labels?.tags ?? {}).map(([key, value]) => ({
    text: tag_text(key, value),
    href: href(value ? `${key}:${value}` : key),
  }));
  return <Chips what="Tag" all={all} />;
}

export function GroupChips({ labels }: { labels: Labels | undefined }) {
  const f = filter.value;
  const all = (labels?.groups ?? []).map((name) => ({
    text: name,
    href: filter_href({ ...f, group: f.group.includes(name) ? f.group : [...f.group, name] }),
  }));
  return <Chips what="Group" all={all} />;
}

/** One thing that was picked, with the button that takes it away again. */
export function Picked({
  name,
  onRemove,
  children,
}: {
  name: string;
  onRemove: () => void;
  children?: ComponentChildren;
}) {
  return (
    <span class="picked">
      {children}
      <b>{name}</b>
      <button type="button" class="quiet" aria-label={`Remove ${name}`} onClick={onRemove}>
        <IconClose />
      </button>
    </span>
  );
}

/** A field that suggests names; Enter or a click on a suggestion picks. */
export function Picker({
  label,
  placeholder,
  options,
  onPick,
}: {
  label: string;
  placeholder?: string;
  options: Counted[];
  /** Gives back why this cannot be picked, null if it was. */
  onPick: (text: string) => string | null;
}) {
  const [text, set_text] = useState('');
  const [wrong, set_wrong] = useState<string | null>(null);
  const id = useId();
  const pick = (said: string) => {
    const why = said.trim() ? onPick(said.trim()) : null;
    set_wrong(why);
    set_text(why ? said : '');
  };
  return (
    <span class="picker">
      <input
        value={text}
        list={id}
        aria-label={label}
        placeholder={placeholder ?? label}
        title={wrong ?? undefined}
        aria-invalid={wrong ? 'true' : undefined}
        autocomplete="off"
        spellcheck={false}
        onInput={(e) => {
          // Browsers tell a chosen suggestion from typing only by this.
          const chosen = (e as InputEvent).inputType;
          const said = e.currentTarget.value;
          set_wrong(null);
          set_text(said);
          if (chosen === undefined || chosen === 'insertReplacementText') {
            e.currentTarget.value = '';
            pick(said);
          }
        }}
        onKeyDown={(e) => {
          if (e.key !== 'Enter') return;
          e.preventDefault();
          pick(e.currentTarget.value);
        }}
      />
      <datalist id={id}>
        {options.slice(0, OPTIONS_MAX).map((o) => (
          <option value={o.name}>{o.n}</option>
        ))}
      </datalist>
      {wrong && (
        <small class="bad" role="alert">
          {wrong}
        </small>
      )}
    </span>
  );
}

export const TAG_WRONG = 'A tag is key or key=value';

/** The term of what was typed; only terms that some device has make sense in a filter. */
export function tag_pick(said: string, known: Counted[]): { term: string } | { why: string } {
  const term = tag_term(said);
  if (!term) return { why: TAG_WRONG };
  const text = term.replace(':', '=');
  if (!known.some((o) => o.name === text)) return { why: `No device has the tag ${text}` };
  return { term };
}
