// fleet.tsx - the fleet: counts that filter, one calm live table, and a first-device guide.
//
// Only the rows near the window exist (fixed heights make that exact), so that ten thousand devices
// scroll like ten. Keys: / search, j and k move, Enter opens, Escape clears.

import { useSignal } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import { count_text, rate_text } from '../format';
import { window_rows } from '../fleet';
import { device_href, filter, filter_href, filter_set, go, STATUSES, type Sort } from '../route';
import {
  counts,
  fleet_hold,
  fleet_loaded,
  fleet_open,
  fleet_order,
  fleet_row,
  fleet_size,
} from '../store/fleet';
import { narrow } from '../store/ui';
import type { DeviceSummary, Status } from '../types';
import { Age, STATUS_WORD, StatusChip } from '../ui/bits';
import { IconSearch, StatusIcon } from '../ui/icons';
import { ConnectGuide } from './connect';

const ROW_PX = 38;
const ROW_NARROW_PX = 78;

const COLUMNS: { name: string; sort: Sort | null; cls: string }[] = [
  { name: 'Endpoint', sort: 'endpoint', cls: '' },
  { name: 'Status', sort: 'status', cls: '' },
  { name: 'What is known', sort: null, cls: '' },
  { name: 'Strands', sort: null, cls: '' },
  { name: 'Firmware', sort: null, cls: '' },
  { name: 'Msg/s', sort: '-rate', cls: 'num' },
  { name: 'Last seen', sort: '-last_seen', cls: 'num' },
];

function Counts() {
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

function StrandBadges({ d }: { d: DeviceSummary }) {
  const l = d.lwm2m;
  const s = d.sparkplug;
  return (
    <span class="strands">
      {l && (
        <span
          class={`strand s-lwm2m ${l.state === 'registered' ? '' : 'ended'}`}
          title={`LwM2M ${l.state}, ${l.dialect} dialect`}
        >
          LwM2M<i class="sr"> {l.state}</i>
        </span>
      )}
      {s && (
        <span
          class={`strand s-spb ${s.state === 'born' ? '' : 'ended'}`}
          title={`Sparkplug ${s.state}, group ${s.group}${s.conformant ? '' : ', non-conformant births'}`}
        >
          Sparkplug<i class="sr"> {s.state}</i>
        </span>
      )}
    </span>
  );
}

function Row({
  endpoint,
  index,
  top,
  height,
  selected,
}: {
  endpoint: string;
  index: number;
  top: number;
  height: number;
  selected: boolean;
}) {
  const d = fleet_row(endpoint);
  if (!d) return null;
  const style = { transform: `translateY(${top}px)`, height: `${height}px` };
  const sentence = d.fault ? `${d.sentence} · ${d.fault}` : d.sentence;
  return (
    <div
      class={`row ${selected ? 'selected' : ''}`}
      role="row"
      aria-rowindex={index + 2}
      style={style}
      aria-selected={selected}
      onClick={(e) => !(e.target as Element).closest('a') && go(device_href(endpoint))}
    >
      <div role="gridcell" class="c-name">
        <a href={device_href(endpoint)} title={[d.manufacturer, d.model].filter(Boolean).join(' ')}>
          {endpoint}
        </a>
      </div>
      <div role="gridcell" class="c-status">
        <StatusChip status={d.status} />
      </div>
      <div role="gridcell" class="c-sentence" title={sentence}>
        {d.fault && (
          <span class="fault-dot" title={d.fault}>
            fault
          </span>
        )}
        {d.fault ?? d.sentence}
      </div>
      <div role="gridcell" class="c-strands">
        <StrandBadges d={d} />
      </div>
      <div role="gridcell" class="c-fw">
        {d.firmware ?? ''}
      </div>
      <div role="gridcell" class="c-rate num">
        {rate_text(d.messages_per_s)}
      </div>
      <div role="gridcell" class="c-seen num">
        <Age at={d.last_seen} />
      </div>
    </div>
  );
}

function Head() {
  const f = filter.value;
  return (
    <div class="row head" role="row" aria-rowindex={1}>
      {COLUMNS.map((c) => (
        <div
          role="columnheader"
          class={c.cls}
          aria-sort={c.sort === f.sort ? 'ascending' : undefined}
        >
          {c.sort ? (
            <a
              href={filter_href({ ...f, sort: c.sort })}
              aria-current={c.sort === f.sort ? 'true' : undefined}
            >
              {c.name}
            </a>
          ) : (
            c.name
          )}
        </div>
      ))}
    </div>
  );
}

/** The part of the list in view, kept in step with scrolling and resizing. */
function use_window(total: number, row_px: number) {
  const body = useRef<HTMLDivElement>(null);
  const [range, set_range] = useState<[number, number]>([0, Math.min(total, 60)]);
  useEffect(() => {
    const measure = () => {
      const top = body.current?.getBoundingClientRect().top ?? 0;
      const next = window_rows(total, row_px, top, innerHeight);
      set_range((old) => (old[0] === next[0] && old[1] === next[1] ? old : next));
    };
    measure();
    addEventListener('scroll', measure, { passive: true });
    addEventListener('resize', measure);
    return () => {
      removeEventListener('scroll', measure);
      removeEventListener('resize', measure);
    };
  }, [total, row_px]);
  return { body, range };
}

function scroll_to(body: HTMLElement | null, index: number, row_px: number): void {
  if (!body) return;
  const top = body.getBoundingClientRect().top + index * row_px;
  const head = 96;
  if (top < head) scrollBy(0, top - head);
  else if (top + row_px > innerHeight) scrollBy(0, top + row_px - innerHeight + 8);
}

function typing(e: KeyboardEvent): boolean {
  return (
    e.target instanceof Element && Boolean(e.target.closest('input, textarea, select, dialog'))
  );
}

function Table() {
  const order = fleet_order.value;
  const row_px = narrow.value ? ROW_NARROW_PX : ROW_PX;
  const { body, range } = use_window(order.length, row_px);
  // A signal and not state: keys may come faster than renders, and each builds on the one before.
  const selection = useSignal<string | null>(null);
  const selected = selection.value;
  useEffect(() => {
    const key = (e: KeyboardEvent) => {
      if (e.ctrlKey || e.metaKey || e.altKey || typing(e)) return;
      const selected = selection.peek();
      const order = fleet_order.peek();
      const step =
        e.key === 'j' || e.key === 'ArrowDown' ? 1 : e.key === 'k' || e.key === 'ArrowUp' ? -1 : 0;
      if (step) {
        if (e.key.startsWith('Arrow') && selected === null) return;
        e.preventDefault();
        const at = selected === null ? (step > 0 ? -1 : order.length) : order.indexOf(selected);
        const next = Math.min(order.length - 1, Math.max(0, at + step));
        selection.value = order[next] ?? null;
        scroll_to(body.current, next, row_px);
      } else if (e.key === 'Enter' && selected && !(e.target as Element).closest('a, button')) {
        go(device_href(selected));
      } else if (e.key === 'Escape') {
        selection.value = null;
      }
    };
    addEventListener('keydown', key);
    return () => removeEventListener('keydown', key);
  }, [row_px]);
  const rows = [];
  for (let i = range[0]; i < Math.min(range[1], order.length); i++) {
    const endpoint = order[i]!;
    rows.push(
      <Row
        key={endpoint}
        endpoint={endpoint}
        index={i}
        top={i * row_px}
        height={row_px}
        selected={endpoint === selected}
      />,
    );
  }
  const size = { height: `${order.length * row_px}px` };
  return (
    <>
      <div
        class="table card"
        role="grid"
        aria-label="Devices"
        aria-rowcount={order.length + 1}
        onPointerEnter={() => (fleet_hold.value = true)}
        onPointerLeave={() => (fleet_hold.value = false)}
      >
        <Head />
        <div class="table-body" ref={body} role="rowgroup" style={size}>
          {rows}
        </div>
        <span class="sr" role="status">
          {selected ? `Selected ${selected}` : ''}
        </span>
      </div>
      <span class="sr" role="status">
        {selected ? `Selected ${selected}` : ''}
      </span>
    </>
  );
}

function Search() {
  const f = filter.value;
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
    <div class="tools">
      <label class="search">
        <IconSearch />
        <span class="sr">Search devices</span>
        <input
          ref={input}
          type="search"
          value={f.search}
          spellcheck={false}
          placeholder="Search endpoint, manufacturer, model, serial, group"
          onInput={(e) => filter_set({ search: e.currentTarget.value }, true)}
          onKeyDown={(e) => {
            if (e.key === 'Escape') filter_set({ search: '' }, true);
            if (e.key === 'Escape' || e.key === 'Enter' || e.key === 'ArrowDown')
              e.currentTarget.blur();
          }}
        />
        <kbd>/</kbd>
      </label>
      <label class="sort">
        <span class="muted">Sort by</span>
        <select
          value={f.sort}
          onChange={(e) => filter_set({ sort: e.currentTarget.value as Sort }, true)}
        >
          <option value="endpoint">Endpoint</option>
          <option value="status">Needs attention</option>
          <option value="-last_seen">Last seen</option>
          <option value="-rate">Message rate</option>
        </select>
      </label>
      <span class="keys muted">
        <kbd>j</kbd> <kbd>k</kbd> move <kbd>Enter</kbd> open
      </span>
    </div>
  );
}

export function FleetPage() {
  useEffect(fleet_open, []);
  const f = filter.value;
  const filtered = f.search !== '' || f.status.length > 0;
  if (fleet_loaded.value && fleet_size.value === 0) return <ConnectGuide first />;
  return (
    <>
      <h1 class="sr">Fleet</h1>
      <Counts />
      <Search />
      {!fleet_loaded.value && fleet_order.value.length === 0 ? (
        <p class="quiet-note" role="status">
          Asking for the fleet
        </p>
      ) : fleet_order.value.length ? (
        <Table />
      ) : (
        <div class="card nothing">
          <p>
            No device matches{f.search && <> “{f.search}”</>}
            {f.status.length > 0 && ` among ${f.status.join(', ')}`}.
          </p>
          {filtered && (
            <a class="button" href="/">
              Show all devices
            </a>
          )}
        </div>
      )}
    </>
  );
}
