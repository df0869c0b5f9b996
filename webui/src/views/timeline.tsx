// timeline.tsx - what happened, newest first: one list for a device and for the fleet.

import { useEffect, useState } from 'preact/hooks';
import { value_text } from '../format';
import { device_href } from '../route';
import {
  event_key,
  events,
  events_loading,
  events_next,
  events_older,
  events_open,
} from '../store/timeline';
import type { TimelineItem } from '../types';
import { Age, Quiet } from '../ui/bits';

type Kind = 'lwm2m' | 'spb' | 'braid' | 'command';
const STRANDS: { key: Kind; name: string }[] = [
  { key: 'lwm2m', name: 'LwM2M' },
  { key: 'spb', name: 'Sparkplug' },
  { key: 'braid', name: 'Braid' },
  { key: 'command', name: 'Command' },
];
const COMPACT = 12;

function kind_of(e: TimelineItem): Kind {
  return e.strand === 'sparkplug' ? 'spb' : e.strand; // as the style sheet calls it
}

function Item({ e }: { e: TimelineItem }) {
  const detail = e.detail && Object.keys(e.detail).length ? e.detail : null;
  const kind = kind_of(e);
  return (
    <li class={`event ev-${kind}`}>
      <span class="event-strand">{STRANDS.find((s) => s.key === kind)?.name ?? kind}</span>
      <div class="event-text">
        {e.endpoint && <a href={device_href(e.endpoint)}>{e.endpoint}</a>}
        <span>{e.text}</span>
        {detail && (
          <details>
            <summary>{e.kind}</summary>
            <dl class="detail">
              {Object.entries(detail).map(([k, v]) => (
                <>
                  <dt>{k}</dt>
                  <dd>{value_text(v)}</dd>
                </>
              ))}
            </dl>
          </details>
        )}
      </div>
      <span class="muted num">
        <Age at={e.at} />
      </span>
    </li>
  );
}

export function EventList({ compact = false }: { compact?: boolean }) {
  const [only, set_only] = useState<Kind | null>(null);
  const [all, set_all] = useState(!compact);
  const list = events.value.filter((e) => only === null || kind_of(e) === only);
  const shown = all ? list : list.slice(0, COMPACT);
  const more = list.length > shown.length || events_next.value !== null;
  return (
    <>
      <div class="segments" role="group" aria-label="Show only">
        <button type="button" aria-pressed={only === null} onClick={() => set_only(null)}>
          All
        </button>
        {STRANDS.map((s) => (
          <button type="button" aria-pressed={only === s.key} onClick={() => set_only(s.key)}>
            {s.name}
          </button>
        ))}
      </div>
      <ol class="events">
        {shown.map((e) => (
          <Item key={event_key(e)} e={e} />
        ))}
      </ol>
      {list.length === 0 && (
        <Quiet>{events_loading.value ? 'Reading the timeline' : 'Nothing happened yet.'}</Quiet>
      )}
      {more && (
        <button
          type="button"
          class="more-line"
          disabled={events_loading.value}
          onClick={() => {
            if (!all) set_all(true);
            else void events_older();
          }}
        >
          Older
        </button>
      )}
    </>
  );
}

export function TimelinePage() {
  useEffect(() => events_open(null), []);
  return (
    <section class="card page-narrow">
      <header class="card-head">
        <h1>Timeline</h1>
        <span class="muted">All devices, newest first</span>
      </header>
      <EventList />
    </section>
  );
}
