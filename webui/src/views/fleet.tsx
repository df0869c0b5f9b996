// fleet.tsx - the fleet: one calm live table, its rows to open and to choose, a first-device guide.
//
// Only the rows near the window exist (fixed heights make that exact), so that ten thousand devices
// scroll like ten. Keys: / search, j and k move, Enter opens, x chooses, X as far as here, Escape
// clears.

import { useSignal } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import { count_text, rate_text } from '../format';
import { window_rows } from '../fleet';
import { device_href, filter, filter_href, go, type Sort } from '../route';
import {
  fleet_hold,
  fleet_loaded,
  fleet_open,
  fleet_order,
  fleet_row,
  fleet_size,
} from '../store/fleet';
import {
  fleet_labels,
  fleet_labels_error,
  fleet_labels_known,
  fleet_labels_open,
} from '../store/fleet_labels';
import { checked, checked_shown, select, select_shown } from '../store/selection';
import { may_engineer } from '../store/session';
import { narrow } from '../store/ui';
import type { DeviceSummary } from '../types';
import { Age, StatusChip } from '../ui/bits';
import { GroupChips, TagChips } from '../ui/labels';
import { BulkBar } from './bulk';
import { ConnectGuide } from './connect';
import { Counts, NothingFound, Tools, typing } from './fleet_tools';

const ROW_PX = 38;
const ROW_NARROW_PX = 78;

const COLUMNS: { name: string; sort: Sort | null; cls: string }[] = [
  { name: 'Endpoint', sort: 'endpoint', cls: '' },
  { name: 'Status', sort: 'status', cls: '' },
  { name: 'What is known', sort: null, cls: '' },
  { name: 'Strands', sort: null, cls: '' },
  { name: 'Tags', sort: null, cls: 'c-tags' },
  { name: 'Groups', sort: null, cls: 'c-groups' },
  { name: 'Firmware', sort: null, cls: 'c-fw' },
  { name: 'Msg/s', sort: '-rate', cls: 'c-rate num' },
  { name: 'Last seen', sort: '-last_seen', cls: 'num' },
];

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

/** What columns the table has: boxes for who may edit, tags and groups once somebody uses them. */
interface Shape {
  pick: boolean;
  labelled: boolean;
}

function PickBox({ endpoint }: { endpoint: string }) {
  return (
    <label class="pick" role="gridcell">
      <input
        type="checkbox"
        checked={checked.value.has(endpoint)}
        aria-label={`Select ${endpoint}`}
        // Shift and a click on a label would select text.
        onMouseDown={(e) => e.shiftKey && e.preventDefault()}
        onClick={(e) => select(endpoint, e.currentTarget.checked, e.shiftKey)}
      />
    </label>
  );
}

function PickAll() {
  const box = useRef<HTMLInputElement>(null);
  const total = fleet_order.value.length;
  const n = checked_shown.value;
  useEffect(() => {
    if (box.current) box.current.indeterminate = n > 0 && n < total;
  }, [n, total]);
  return (
    <label class="pick" role="columnheader">
      <input
        ref={box}
        type="checkbox"
        checked={n > 0 && n === total}
        aria-label={`Select all ${count_text(total)} shown`}
        title={`Select all ${count_text(total)} shown`}
        onClick={() => select_shown(n < total)}
      />
    </label>
  );
}

function Row({
  endpoint,
  index,
  top,
  height,
  selected,
  shape,
}: {
  endpoint: string;
  index: number;
  top: number;
  height: number;
  selected: boolean;
  shape: Shape;
}) {
  const d = fleet_row(endpoint);
  if (!d) return null;
  const style = { transform: `translateY(${top}px)`, height: `${height}px` };
  const labels = shape.labelled ? fleet_labels.value.get(endpoint) : undefined;
  const sentence = d.fault ? `${d.sentence} · ${d.fault}` : d.sentence;
  return (
    <div
      class={`row ${selected ? 'selected' : ''}`}
      role="row"
      aria-rowindex={index + 2}
      style={style}
      aria-selected={shape.pick ? checked.value.has(endpoint) : undefined}
      onClick={(e) => !(e.target as Element).closest('a, label') && go(device_href(endpoint))}
    >
      {shape.pick && <PickBox endpoint={endpoint} />}
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
      {shape.labelled && (
        <>
          <div role="gridcell" class="c-tags">
            <TagChips labels={labels} />
          </div>
          <div role="gridcell" class="c-groups">
            <GroupChips labels={labels} />
          </div>
        </>
      )}
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

function Head({ shape }: { shape: Shape }) {
  const f = filter.value;
  const columns = COLUMNS.filter((c) => shape.labelled || !/c-tags|c-groups/.test(c.cls));
  return (
    <div class="row head" role="row" aria-rowindex={1}>
      {shape.pick && <PickAll />}
      {columns.map((c) => (
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

function Table({ shape }: { shape: Shape }) {
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
      } else if (
        e.key === 'Enter' &&
        selected &&
        !(e.target as Element).closest('a, button, input')
      ) {
        go(device_href(selected));
      } else if (e.key.toLowerCase() === 'x' && selected && may_engineer.peek()) {
        const on = !checked.peek().has(selected);
        select(selected, e.key === 'X' || on, e.key === 'X');
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
        shape={shape}
      />,
    );
  }
  const size = { height: `${order.length * row_px}px` };
  return (
    <>
      <div
        class={`table card ${shape.pick ? 'picks-rows' : ''} ${shape.labelled ? 'labelled' : ''}`}
        role="grid"
        aria-label="Devices"
        aria-rowcount={order.length + 1}
        aria-multiselectable={shape.pick ? 'true' : undefined}
        onPointerEnter={() => (fleet_hold.value = true)}
        onPointerLeave={() => (fleet_hold.value = false)}
      >
        <Head shape={shape} />
        <div class="table-body" ref={body} role="rowgroup" style={size}>
          {rows}
        </div>
      </div>
      <span class="sr" role="status">
        {selected ? `At ${selected}` : ''}
      </span>
    </>
  );
}

/** Terms of tags and groups can be answered only once those were read. */
function waiting(): boolean {
  const f = filter.value;
  if (!fleet_loaded.value && fleet_order.value.length === 0) return true;
  return !fleet_labels_known.value && f.tag.length + f.group.length > 0;
}

export function FleetPage() {
  useEffect(fleet_open, []);
  useEffect(fleet_labels_open, []);
  const shape = { pick: may_engineer.value, labelled: fleet_labels.value.size > 0 };
  if (fleet_loaded.value && fleet_size.value === 0) return <ConnectGuide first />;
  return (
    <>
      <h1 class="sr">Fleet</h1>
      <Counts />
      <Tools pick={shape.pick} />
      {waiting() ? (
        !fleet_labels_error.value && (
          <p class="quiet-note" role="status">
            Asking for the fleet
          </p>
        )
      ) : fleet_order.value.length ? (
        <Table shape={shape} />
      ) : (
        <NothingFound />
      )}
      {shape.pick && <BulkBar />}
    </>
  );
}
