// storage.tsx - what history takes on disk, how long it is kept, and how long the disk lasts. The
// forecast is a sentence with its evidence and age; classes and rules are an administrator's.

import { useEffect, useState } from 'preact/hooks';
import { count_text } from '../format';
import { tag_parse } from '../labels';
import { device_href } from '../route';
import { may_admin } from '../store/session';
import {
  class_put,
  class_remove,
  device_storage,
  device_storage_open,
  forecast_open,
  rule_add,
  rule_remove,
  rules,
  storage,
  storage_devices,
  storage_open,
} from '../store/storage';
import {
  bytes_text,
  days_text,
  days_wrong,
  KIND_WORDS,
  rule_text,
  type RetentionRule,
  type StorageClass,
  type StorageReport,
} from '../storage';
import { Act, Age, Fact, Quiet } from '../ui/bits';
import { Confirm, Dialog, FormEnd } from '../ui/dialog';
import { SeriesClasses } from './series_classes';

/** The overview's warning: only when the disk is full or will be within a week. */
export function StorageNote() {
  useEffect(forecast_open, []);
  const f = storage.value?.forecast;
  if (!f || (f.level !== 'full' && f.level !== 'short')) return null;
  return (
    <div class="parts-note" role="alert">
      {f.sentence} <a href="/storage">Storage</a>
    </div>
  );
}

/** One line on the device page. */
export function DeviceStorageLine({ endpoint }: { endpoint: string }) {
  const [classes, set_classes] = useState(false);
  useEffect(() => device_storage_open(endpoint), [endpoint]);
  const s = device_storage.value;
  if (!s || s.endpoint !== endpoint) return null;
  return (
    <>
      <div class="identity device-storage">
        {s.counted_at && (
          <span>
            History about {bytes_text(s.bytes)} on disk, {count_text(s.samples)} samples, counted{' '}
            <Age at={s.counted_at} ago />
          </span>
        )}
        <Act onPress={() => set_classes(true)}>Series on disk</Act>
      </div>
      {classes && <SeriesClasses endpoint={endpoint} onClose={() => set_classes(false)} />}
    </>
  );
}

function Forecast({ s }: { s: StorageReport }) {
  const f = s.forecast;
  return (
    <section class="card">
      <header class="card-head">
        <h1>Storage</h1>
      </header>
      <p class={`forecast forecast-${f.level}`} role={f.level === 'full' ? 'alert' : undefined}>
        {f.sentence}
      </p>
      <p class="muted">
        {f.evidence} Said <Age at={f.at} ago />.
      </p>
      <dl class="facts storage-facts">
        <Fact name="Database">{bytes_text(s.bytes)}</Fact>
        <Fact name="Limit">{s.limit_bytes === null ? 'not known' : bytes_text(s.limit_bytes)}</Fact>
        <Fact name="Packed samples">about {count_text(s.samples)}</Fact>
        <Fact name="Bytes per sample">
          {s.bytes_per_sample === null ? 'too few to say' : s.bytes_per_sample}
        </Fact>
        <Fact name="Counted">{s.counted_at ? <Age at={s.counted_at} ago /> : 'not yet'}</Fact>
      </dl>
      {s.series_to_purge > 0 && (
        <p class="muted">
          The history of {count_text(s.series_to_purge)} series of deleted devices is being removed.
        </p>
      )}
      <Kinds s={s} />
    </section>
  );
}

function Kinds({ s }: { s: StorageReport }) {
  const most = Math.max(1, ...s.kinds.map((k) => k.bytes));
  return (
    <ul class="plain-list kinds">
      {s.kinds.map((k) => (
        <li key={k.kind}>
          <span class="kind-name">{KIND_WORDS[k.kind] ?? k.kind}</span>
          <svg class="kind-bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
            <rect width={(100 * k.bytes) / most} height="6" />
          </svg>
          <span class="num">{bytes_text(k.bytes)}</span>
        </li>
      ))}
    </ul>
  );
}

/** Whole partitions are dropped (docs/architecture.md). */
const LONGER =
  'What is older than its class keeps is dropped in whole parts: samples stay up to 8 days longer, minutes up to 4 weeks, hours up to a year.';

function ClassDialog({ of, onClose }: { of: StorageClass | null; onClose: () => void }) {
  const [name, set_name] = useState(of?.name ?? '');
  const [raw, set_raw] = useState(String(of?.raw_days ?? 30));
  const [minute, set_minute] = useState(String(of?.minute_days ?? 400));
  const [hour, set_hour] = useState(String(of?.hour_days ?? 1830));
  const [wrong, set_wrong] = useState<string | null>(null);
  const submit = async (e: Event) => {
    e.preventDefault();
    const days = { raw_days: Number(raw), minute_days: Number(minute), hour_days: Number(hour) };
    const why = days_wrong(days);
    set_wrong(why);
    if (!why && (await class_put(name, days))) onClose();
  };
  const field = (label: string, value: string, set: (v: string) => void) => (
    <label class="field">
      <span>{label}</span>
      <input
        required
        type="number"
        min={1}
        max={36500}
        value={value}
        onInput={(e) => set(e.currentTarget.value)}
      />
    </label>
  );
  return (
    <Dialog
      title={of ? `Class ${of.name}` : 'New class'}
      note={`${LONGER} Days count at once, also for what is stored.`}
      onClose={onClose}
    >
      <form onSubmit={(e) => void submit(e)}>
        {!of && (
          <label class="field">
            <span>Name</span>
            <input
              required
              pattern="[a-z][a-z0-9\-]*"
              maxLength={32}
              title="a-z, 0-9 and -, a letter first"
              value={name}
              autocomplete="off"
              onInput={(e) => set_name(e.currentTarget.value)}
            />
          </label>
        )}
        {field('Samples, days', raw, set_raw)}
        {field('Minutes, days', minute, set_minute)}
        {field('Hours, days', hour, set_hour)}
        {wrong && <p role="alert">{wrong}</p>}
        <FormEnd verb="Save" onClose={onClose} />
      </form>
    </Dialog>
  );
}

function Classes({ list }: { list: StorageClass[] }) {
  const [edit, set_edit] = useState<StorageClass | 'new' | null>(null);
  const [remove, set_remove] = useState<string | null>(null);
  return (
    <section class="card">
      <header class="card-head">
        <h2>Classes</h2>
        <span class="spring" />
        {may_admin.value && <Act onPress={() => set_edit('new')}>New class</Act>}
      </header>
      <div class="wide" tabIndex={0} role="region" aria-label="Classes of history">
        <table>
          <thead>
            <tr>
              <th>Class</th>
              <th>Samples kept</th>
              <th>Minutes</th>
              <th>Hours</th>
              <th class="num">Series</th>
              <th class="num">On disk</th>
              <th class="num">Added per day</th>
              <th class="num">Settles at</th>
              <th class="num">Bytes per sample</th>
              {may_admin.value && (
                <th>
                  <span class="sr">Actions</span>
                </th>
              )}
            </tr>
          </thead>
          <tbody>
            {list.map((c) => (
              <tr key={c.name}>
                <th scope="row">{c.name}</th>
                <td>{days_text(c.raw_days)}</td>
                <td>{days_text(c.minute_days)}</td>
                <td>{days_text(c.hour_days)}</td>
                <td class="num">{count_text(c.series)}</td>
                <td class="num">{bytes_text(c.bytes)}</td>
                <td class="num">{bytes_text(c.added_per_day)}</td>
                <td class="num">{bytes_text(c.steady_bytes)}</td>
                <td class="num">{c.bytes_per_sample ?? '–'}</td>
                {may_admin.value && (
                  <td>
                    <div class="acts">
                      <Act name={`Edit ${c.name}`} onPress={() => set_edit(c)}>
                        Edit
                      </Act>
                      <Act
                        name={`Delete ${c.name}`}
                        may={c.name !== 'standard'}
                        onPress={() => set_remove(c.name)}
                      >
                        Delete
                      </Act>
                    </div>
                  </td>
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="muted">{LONGER}</p>
      {edit && <ClassDialog of={edit === 'new' ? null : edit} onClose={() => set_edit(null)} />}
      {remove && (
        <Confirm
          title={`Delete class ${remove}?`}
          text="This works only when no series, rule or stored history is in it."
          verb="Delete"
          onYes={() => void class_remove(remove)}
          onClose={() => set_remove(null)}
        />
      )}
    </section>
  );
}

const WANTS = [
  { key: 'series', label: 'Series, with * and ?', hint: 'spb:*/vibration*' },
  { key: 'endpoint', label: 'Device, with * and ?', hint: 'press-*' },
  { key: 'tag', label: 'Tag, key=value', hint: 'site=oslo' },
  { key: 'group', label: 'Group', hint: 'north' },
] as const;

function RuleDialog({ classes, onClose }: { classes: string[]; onClose: () => void }) {
  const [want, set_want] = useState<Record<string, string>>({});
  const [name, set_name] = useState(classes[0] ?? 'standard');
  const submit = async (e: Event) => {
    e.preventDefault();
    const of = (key: string) => want[key]?.trim() || null;
    const tag = tag_parse(want['tag'] ?? '');
    const rule = {
      series: of('series'),
      endpoint: of('endpoint'),
      tag: tag?.key ?? of('tag'),
      value: tag?.value ?? null,
      group: of('group'),
      class: name,
    };
    if (await rule_add(rule)) onClose();
  };
  return (
    <Dialog
      title="New rule"
      note="All that is filled in must match. What is packed already stays in its class."
      onClose={onClose}
    >
      <form onSubmit={(e) => void submit(e)}>
        {WANTS.map((w) => (
          <label class="field" key={w.key}>
            <span>{w.label}</span>
            <input
              value={want[w.key] ?? ''}
              placeholder={w.hint}
              autocomplete="off"
              spellcheck={false}
              onInput={(e) => set_want({ ...want, [w.key]: e.currentTarget.value })}
            />
          </label>
        ))}
        <label class="field">
          <span>Class</span>
          <select value={name} onChange={(e) => set_name(e.currentTarget.value)}>
            {classes.map((c) => (
              <option value={c}>{c}</option>
            ))}
          </select>
        </label>
        <FormEnd verb="Add rule" onClose={onClose} />
      </form>
    </Dialog>
  );
}

function Rules({ list, classes }: { list: RetentionRule[]; classes: string[] }) {
  const [adding, set_adding] = useState(false);
  return (
    <section class="card">
      <header class="card-head">
        <h2>Rules</h2>
        <span class="spring" />
        {may_admin.value && <Act onPress={() => set_adding(true)}>New rule</Act>}
      </header>
      {list.length === 0 ? (
        <Quiet>No rules: every series is in class standard unless it was given another one.</Quiet>
      ) : (
        <ol class="plain-list rules">
          {list.map((r) => (
            <li key={r.id}>
              <span>{rule_text(r)}</span>
              <span class="tag">{r.class}</span>
              <span class="spring" />
              {may_admin.value && (
                <Act
                  name={`Delete the rule for ${rule_text(r)}`}
                  onPress={() => void rule_remove(r.id)}
                >
                  Delete
                </Act>
              )}
            </li>
          ))}
        </ol>
      )}
      {adding && <RuleDialog classes={classes} onClose={() => set_adding(false)} />}
    </section>
  );
}

function Devices() {
  const list = storage_devices.value;
  return (
    <section class="card">
      <header class="card-head">
        <h2>Devices that take most</h2>
      </header>
      {!list?.length ? (
        <Quiet>{list ? 'Nothing is packed and counted yet.' : 'Reading devices'}</Quiet>
      ) : (
        <ul class="plain-list top-devices">
          {list.map((d) => (
            <li key={d.endpoint}>
              <a href={device_href(d.endpoint)}>{d.endpoint}</a>
              <span class="spring" />
              <span class="muted num">{count_text(d.samples)} samples</span>
              <span class="num">about {bytes_text(d.bytes)}</span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

export function StoragePage() {
  useEffect(storage_open, []);
  const s = storage.value;
  if (!s) return <Quiet>Reading what is on disk</Quiet>;
  return (
    <div class="storage-page">
      <Forecast s={s} />
      <Classes list={s.classes} />
      <Rules list={rules.value ?? []} classes={s.classes.map((c) => c.name)} />
      <Devices />
    </div>
  );
}
