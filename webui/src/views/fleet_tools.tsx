// fleet_tools.tsx - what narrows and orders the fleet: counts by status, search, tags, groups, sort.
// All of it is in the address bar.

import { useEffect, useRef } from 'preact/hooks';
import { count_text } from '../format';
import { labels_count, TERMS_MAX, term_text } from '../labels';
import { filter, filter_any, filter_href, filter_set, FILTER_NONE, STATUSES } from '../route';
import type { Sort } from '../route';
import { counts, fleet_size } from '../store/fleet';
import { fleet_labels, fleet_labels_error, fleet_labels_read } from '../store/fleet_labels';
import type { Status } from '../types';
import { STATUS_WORD, Unread } from '../ui/bits';
import { IconSearch, StatusIcon } from '../ui/icons';
import { Picked, Picker, tag_pick } from '../ui/labels';
import { computed } from '@preact/signals';

/** typing is true where a key is text and not a command. */
export function typing(e: KeyboardEvent): boolean {
  if (!(e.target instanceof Element)) return false;
  return Boolean(e.target.closest('input:not([type=checkbox]), textarea, select, dialog'));
}

export function Counts() {
  const f = filter.value;
  const c = counts.value;
  const link = (status: Status | null) => {
    const on =
      status === null ? f.status.length === 0 : f.status.length === 1 && f.status[0] === status;
    const n = status === null ? fleet_size.value : c[status];
    const next = { ...f, status: status === null || on ? [] : [status] };
    return (
      <a
        class={`count ${status ? `st-${status}` : ''} ${n ? '' : 'zero'}`}
        href={filter_href(next)}
        aria-current={on ? 'true' : undefined}
      >
        <b>{count_text(n)}</b>
        <span>
          {status && <StatusIcon status={status} />}
          {status ? STATUS_WORD[status] : 'All devices'}
        </span>
      </a>
    );
  };
  return (
    <nav class="counts" aria-label="Filter by status">
      {link(null)}
      {STATUSES.map(link)}
    </nav>
  );
}

const known = computed(() => labels_count(fleet_labels.value.values()));

function LabelFilter() {
  const f = filter.value;
  const { keys, pairs, groups } = known.value;
  const tags = [...keys, ...pairs];
  const full = f.tag.length + f.group.length >= TERMS_MAX;
  const add_tag = (said: string) => {
    const got = tag_pick(said, tags);
    if ('why' in got) return got.why;
    if (full) return `At most ${TERMS_MAX} tags and groups`;
    if (!f.tag.includes(got.term)) filter_set({ tag: [...f.tag, got.term] });
    return null;
  };
  const add_group = (name: string) => {
    if (!groups.some((g) => g.name === name)) return `No device is in a group called ${name}`;
    if (full) return `At most ${TERMS_MAX} tags and groups`;
    if (!f.group.includes(name)) filter_set({ group: [...f.group, name] });
    return null;
  };
  if (!tags.length && !groups.length) return null;
  return (
    <>
      {tags.length > 0 && <Picker label="Tag" options={tags} onPick={add_tag} />}
      {groups.length > 0 && <Picker label="Group" options={groups} onPick={add_group} />}
    </>
  );
}

function Picks() {
  const f = filter.value;
  if (!f.tag.length && !f.group.length) return null;
  return (
    <p class="picks">
      <span class="muted">Only</span>
      {f.tag.map((t) => (
        <Picked
          name={term_text(t)}
          onRemove={() => filter_set({ tag: f.tag.filter((x) => x !== t) })}
        >
          tag
        </Picked>
      ))}
      {f.group.map((g) => (
        <Picked name={g} onRemove={() => filter_set({ group: f.group.filter((x) => x !== g) })}>
          group
        </Picked>
      ))}
    </p>
  );
}

function Search() {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const key = (e: KeyboardEvent) => {
      if (e.key === '/' && !typing(e) && !e.ctrlKey && !e.metaKey) {
        e.preventDefault();
        input.current?.focus();
      }
    };
    addEventListener('keydown', key);
    return () => removeEventListener('keydown', key);
  }, []);
  return (
    <label class="search">
      <IconSearch />
      <span class="sr">Search devices</span>
      <input
        ref={input}
        type="search"
        value={filter.value.search}
        spellcheck={false}
        placeholder="Search endpoint, manufacturer, model, serial"
        onInput={(e) => filter_set({ search: e.currentTarget.value }, true)}
        onKeyDown={(e) => {
          if (e.key === 'Escape') filter_set({ search: '' }, true);
          if (e.key === 'Escape' || e.key === 'Enter' || e.key === 'ArrowDown')
            e.currentTarget.blur();
        }}
      />
      <kbd>/</kbd>
    </label>
  );
}

export function Tools({ pick }: { pick: boolean }) {
  return (
    <>
      <div class="tools">
        <Search />
        <LabelFilter />
        <label class="sort">
          <span class="muted">Sort by</span>
          <select
            value={filter.value.sort}
            onChange={(e) => filter_set({ sort: e.currentTarget.value as Sort }, true)}
          >
            <option value="endpoint">Endpoint</option>
            <option value="status">Needs attention</option>
            <option value="-last_seen">Last seen</option>
            <option value="-rate">Message rate</option>
          </select>
        </label>
        <span class="keys muted">
          <kbd>j</kbd> <kbd>k</kbd> move <kbd>Enter</kbd> open{' '}
          {pick && (
            <>
              <kbd>x</kbd> select
            </>
          )}
        </span>
      </div>
      <Picks />
      {fleet_labels_error.value && (
        <Unread
          why={`Tags and groups could not be read: ${fleet_labels_error.value}`}
          onRetry={() => void fleet_labels_read()}
        />
      )}
    </>
  );
}

export function NothingFound() {
  const f = filter.value;
  const terms = [...f.tag.map((t) => `tag ${term_text(t)}`), ...f.group.map((g) => `group ${g}`)];
  return (
    <div class="card nothing">
      <p>
        No device matches{f.search && <> “{f.search}”</>}
        {f.status.length > 0 && ` among ${f.status.join(', ')}`}
        {terms.length > 0 && ` with ${terms.join(' and ')}`}.
      </p>
      {filter_any(f) && (
        <a class="button" href={filter_href({ ...FILTER_NONE, sort: f.sort })}>
          Show all devices
        </a>
      )}
    </div>
  );
}
