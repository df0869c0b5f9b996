// audit.tsx - who changed what, from what to what, and how it ended: newest first, for
// administrators. The filter is in the address bar; what it lets through can be saved as CSV.

import { useEffect } from 'preact/hooks';
import { ACTIONS, action_text, audit_changes, audit_href, type Change } from '../audit';
import { count_text, date_time_text, time_ms } from '../format';
import { AUDIT_NONE, audit_filter, audit_filter_href, go, type AuditFilter } from '../route';
import {
  audit,
  audit_error,
  audit_export,
  audit_exporting,
  audit_loading,
  audit_next,
  audit_older,
  audit_open,
  audit_read,
} from '../store/audit';
import { may_admin } from '../store/session';
import type { AuditEntry } from '../types';
import { Act, Quiet, Unread } from '../ui/bits';

function set(change: Partial<AuditFilter>): void {
  go(audit_filter_href({ ...audit_filter.peek(), ...change }), true);
}

/** RFC 3339 as a date field of this time zone has it, and back. */
function field_time(at: string): string {
  const ms = time_ms(at);
  if (ms === null) return '';
  return new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function from_field(text: string): string {
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? '' : new Date(ms).toISOString();
}

function TextField({
  name,
  label,
  known,
}: {
  name: 'who' | 'target' | 'result';
  label: string;
  known: string[];
}) {
  const id = `audit-${name}`;
  return (
    <label class="field">
      <span>{label}</span>
      <input
        value={audit_filter.value[name]}
        list={id}
        autocomplete="off"
        spellcheck={false}
        placeholder="any"
        onChange={(e) => set({ [name]: e.currentTarget.value.trim() })}
      />
      <datalist id={id}>
        {known.map((v) => (
          <option value={v} />
        ))}
      </datalist>
    </label>
  );
}

function TimeField({ name, label }: { name: 'from' | 'to'; label: string }) {
  return (
    <label class="field">
      <span>{label}</span>
      <input
        type="datetime-local"
        value={field_time(audit_filter.value[name])}
        onChange={(e) => set({ [name]: from_field(e.currentTarget.value) })}
      />
    </label>
  );
}

const SPANS = [
  { name: 'Last hour', ms: 3_600_000 },
  { name: '24 h', ms: 86_400_000 },
  { name: '7 d', ms: 7 * 86_400_000 },
];

function Filter() {
  const f = audit_filter.value;
  const seen = (key: 'who' | 'target' | 'result') =>
    [...new Set(audit.value.map((e) => e[key]).filter(Boolean))].sort();
  const known = ACTIONS.includes(f.action) || !f.action ? ACTIONS : [...ACTIONS, f.action];
  return (
    <div class="audit-filter">
      <TextField name="who" label="Who" known={seen('who')} />
      <label class="field">
        <span>Action</span>
        <select value={f.action} onChange={(e) => set({ action: e.currentTarget.value })}>
          <option value="">any</option>
          {known.map((a) => (
            <option value={a}>{action_text(a)}</option>
          ))}
        </select>
      </label>
      <TextField name="target" label="Target" known={seen('target')} />
      <TextField name="result" label="Result" known={[...new Set(['ok', ...seen('result')])]} />
      <TimeField name="from" label="From" />
      <TimeField name="to" label="Before" />
      <div class="audit-spans">
        {SPANS.map((s) => (
          <Act onPress={() => set({ from: new Date(Date.now() - s.ms).toISOString(), to: '' })}>
            {s.name}
          </Act>
        ))}
        {audit_filter_href(f) !== '/audit' && <Act onPress={() => set(AUDIT_NONE)}>Clear</Act>}
      </div>
    </div>
  );
}

const TEXT_MAX = 300;

/** A written file can be long; the whole of it is in the CSV. */
function clip(text: string): string {
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)} … (${text.length} characters)` : text;
}

function ChangeLine({ c }: { c: Change }) {
  const both = c.old !== null && c.new !== null;
  return (
    <li>
      {c.what && <span class="muted">{c.what}</span>}
      {c.old !== null && (c.old ? <del>{clip(c.old)}</del> : <span class="bad">removed</span>)}
      {both && <span>→</span>}
      {c.new !== null &&
        (c.fact ? <span>{clip(c.new)}</span> : <ins>{clip(c.new) || 'added'}</ins>)}
    </li>
  );
}

function Entry({ e }: { e: AuditEntry }) {
  const href = audit_href(e);
  const changes = audit_changes(e.detail).filter((c) => !c.fact || c.new !== e.target);
  return (
    <li class="audit-row">
      <time class="muted num" dateTime={e.at}>
        {date_time_text(time_ms(e.at))}
      </time>
      <span class="audit-who" title={e.from ? `from ${e.from}` : undefined}>
        <b>{e.who || 'nobody'}</b> <span class="muted">{e.from}</span>
      </span>
      <span class="audit-what">
        <span title={e.action}>{action_text(e.action)}</span>{' '}
        {href ? <a href={href}>{e.target}</a> : <b>{e.target}</b>}
      </span>
      <span class={`audit-result ${e.result === 'ok' ? 'muted' : 'bad'}`}>{e.result}</span>
      {changes.length > 0 && (
        <ul class="changes">
          {changes.map((c) => (
            <ChangeLine key={c.what} c={c} />
          ))}
        </ul>
      )}
    </li>
  );
}

function Log() {
  useEffect(audit_open, []);
  const list = audit.value;
  const busy = audit_exporting.value;
  return (
    <section class="card page-mid">
      <header class="card-head">
        <h1>Audit log</h1>
        <span class="muted">Every change and command, newest first</span>
        <span class="spring" />
        <Act may={!audit_loading.value} onPress={audit_read}>
          Read again
        </Act>
        <Act may={busy === null && list.length > 0} onPress={() => void audit_export()}>
          {busy === null ? 'Save as CSV' : `Reading, ${count_text(busy)} rows`}
        </Act>
      </header>
      <Filter />
      {audit_error.value && <Unread why={audit_error.value} onRetry={audit_read} />}
      <ol class="audit">
        {list.map((e) => (
          <Entry key={e.id} e={e} />
        ))}
      </ol>
      {list.length === 0 && !audit_error.value && (
        <Quiet>{audit_loading.value ? 'Reading the log' : 'Nothing was done that fits.'}</Quiet>
      )}
      {audit_next.value && (
        <button
          type="button"
          class="more-line"
          disabled={audit_loading.value}
          onClick={audit_older}
        >
          {audit_loading.value ? 'Reading' : 'Older'}
        </button>
      )}
    </section>
  );
}

export function AuditPage() {
  if (may_admin.value) return <Log />;
  return (
    <section class="card page-narrow">
      <h1>Audit log</h1>
      <Quiet>Only administrators may read it.</Quiet>
    </section>
  );
}
