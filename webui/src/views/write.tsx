// write.tsx - the dialogs that ask for values: write, create an instance, execute with arguments,
// observe attributes. Each checks as you type, by the type the model or the birth names, and shows
// the same request as a curl line.

import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { command_curl } from '../curl';
import { value_text } from '../format';
import { command_run } from '../store/commands';
import {
  is_mandatory,
  is_multiple,
  resource_name,
  type_of,
  type Models,
  type ResourceRow,
} from '../tree';
import { type_kind, typed_parse, type Parsed } from '../typed';
import type {
  CommandRequest,
  Metric,
  ModelObject,
  ModelResource,
  PathValue,
  Value,
} from '../types';
import { CopyButton } from '../ui/bits';
import { Dialog, FormEnd } from '../ui/dialog';

const HINT: Record<string, string> = {
  integer: 'Whole number',
  float: 'Number, such as 21.5',
  text: 'Text',
  time: 'Date and time, or Unix seconds',
  datetime: 'Date and time, or Unix milliseconds',
  opaque: 'Base64, or hex that starts with 0x',
  objlnk: 'object:instance, such as 3:0',
};

interface Typed {
  type: string | null;
  range?: string | null;
  unit?: string | null;
}

function start_text(value: Value | undefined, type: string | null): string {
  if (value === null || value === undefined || typeof value === 'object') return '';
  if (type_kind(type) === 'time' || type_kind(type) === 'datetime') return String(value);
  return typeof value === 'string' ? value : value_text(value);
}

function ValueInput({
  label,
  typed,
  text,
  onText,
  parsed,
  touched,
}: {
  label: string;
  typed: Typed;
  text: string;
  onText: (s: string) => void;
  parsed: Parsed | null;
  touched: boolean;
}) {
  const kind = type_kind(typed.type);
  const bad = touched && parsed && !parsed.ok ? parsed.why : '';
  const hint = [HINT[kind], typed.range && `range ${typed.range}`, typed.unit]
    .filter(Boolean)
    .join(' · ');
  return (
    <label class="field">
      <span>{label}</span>
      {kind === 'boolean' ? (
        <select value={text} onChange={(e) => onText(e.currentTarget.value)}>
          <option value="">Choose</option>
          <option value="true">true</option>
          <option value="false">false</option>
        </select>
      ) : (
        <span class="field-row">
          <input
            value={text}
            spellcheck={false}
            autocomplete="off"
            aria-invalid={bad ? 'true' : undefined}
            inputMode={kind === 'integer' ? 'numeric' : kind === 'float' ? 'decimal' : 'text'}
            onInput={(e) => onText(e.currentTarget.value)}
          />
          {(kind === 'time' || kind === 'datetime') && (
            <button
              type="button"
              onClick={() =>
                onText(String(kind === 'time' ? Math.floor(Date.now() / 1000) : Date.now()))
              }
            >
              Now
            </button>
          )}
        </span>
      )}
      <small class={bad ? 'bad' : 'muted'} role={bad ? 'alert' : undefined}>
        {bad || hint}
      </small>
    </label>
  );
}

/** The frame of all of them: fields, the request as a curl line, Cancel and the verb. While something
 * is wrong the request is null, and pressing the verb only lets the fields say what. */
function RequestDialog({
  title,
  note,
  endpoint,
  request,
  verb,
  onTry,
  onClose,
  children,
}: {
  title: string;
  note: string;
  endpoint: string;
  request: CommandRequest | null;
  verb: string;
  onTry?: () => void;
  onClose: () => void;
  children: ComponentChildren;
}) {
  const submit = (e: Event) => {
    e.preventDefault();
    onTry?.();
    if (!request) return;
    void command_run(endpoint, request);
    onClose();
  };
  return (
    <Dialog title={title} note={note} onClose={onClose}>
      <form onSubmit={submit} noValidate>
        {children}
        <FormEnd verb={verb} onClose={onClose}>
          {request && (
            <CopyButton
              text={command_curl(location.origin, endpoint, request)}
              label="Copy as curl"
            >
              curl
            </CopyButton>
          )}
          <span class="spring" />
        </FormEnd>
      </form>
    </Dialog>
  );
}

/** One value of one type, then a request made from it. */
function OneValue({
  title,
  note,
  endpoint,
  label,
  typed,
  initial,
  make,
  onClose,
}: {
  title: string;
  note: string;
  endpoint: string;
  label: string;
  typed: Typed;
  initial: string;
  make: (v: Value) => CommandRequest;
  onClose: () => void;
}) {
  const [text, set_text] = useState(initial);
  const [touched, set_touched] = useState(false);
  const parsed = typed_parse(text, typed.type, typed.range);
  const request = parsed.ok ? make(parsed.value) : null;
  return (
    <RequestDialog
      title={title}
      note={note}
      endpoint={endpoint}
      request={request}
      verb="Write"
      onTry={() => set_touched(true)}
      onClose={onClose}
    >
      <ValueInput
        label={label}
        typed={typed}
        text={text}
        parsed={parsed}
        touched={touched}
        onText={(s) => {
          set_text(s);
          set_touched(true);
        }}
      />
    </RequestDialog>
  );
}

/** A resource of several instances is written whole: "0: a", "1: b", a line each. */
function ManyValues({
  endpoint,
  row,
  typed,
  onClose,
}: {
  endpoint: string;
  row: ResourceRow;
  typed: Typed;
  onClose: () => void;
}) {
  const first = row.values.map(
    (r) => `${r.path.split('/')[4] ?? '0'}: ${value_text(r.value, null)}`,
  );
  const [text, set_text] = useState(first.join('\n'));
  const [touched, set_touched] = useState(false);
  const value: { [id: string]: Value } = {};
  let why = '';
  for (const line of text.split('\n').filter((l) => l.trim())) {
    const m = /^\s*(\d{1,5})\s*:\s?(.*)$/.exec(line);
    const p = m ? typed_parse(m[2] ?? '', typed.type, typed.range) : null;
    if (!m || !p) why ||= `“${line}”: needs number: value`;
    else if (!p.ok) why ||= `${m[1]}: ${p.why}`;
    else value[m[1]!] = p.value;
  }
  const request: CommandRequest | null = why ? null : { op: 'write', path: row.path, value };
  return (
    <RequestDialog
      title={`Write ${row.name}`}
      note={`${row.path} · ${typed.type ?? 'String'} · several instances`}
      endpoint={endpoint}
      request={request}
      verb="Write"
      onTry={() => set_touched(true)}
      onClose={onClose}
    >
      <label class="field">
        <span>One line per instance, number: value</span>
        <textarea
          rows={5}
          value={text}
          spellcheck={false}
          onInput={(e) => {
            set_text(e.currentTarget.value);
            set_touched(true);
          }}
        />
        <small class={touched && why ? 'bad' : 'muted'}>
          {(touched && why) || HINT[type_kind(typed.type)]}
        </small>
      </label>
    </RequestDialog>
  );
}

export function WriteResource({
  endpoint,
  row,
  onClose,
}: {
  endpoint: string;
  row: ResourceRow;
  onClose: () => void;
}) {
  const typed: Typed = {
    type: type_of(row),
    range: row.model?.range ?? null,
    unit: row.model?.units ?? null,
  };
  if (
    row.values.some((v) => v.path.split('/').length > 4) ||
    (row.model && is_multiple(row.model))
  ) {
    return <ManyValues endpoint={endpoint} row={row} typed={typed} onClose={onClose} />;
  }
  return (
    <OneValue
      title={`Write ${row.name}`}
      note={`${row.path} · ${typed.type ?? 'String'}`}
      endpoint={endpoint}
      label="Value"
      typed={typed}
      initial={start_text(row.values[0]?.value, typed.type)}
      make={(value) => ({ op: 'write', path: row.path, value })}
      onClose={onClose}
    />
  );
}

export function WriteMetric({
  endpoint,
  metric,
  value,
  onClose,
}: {
  endpoint: string;
  metric: Metric;
  value: Value;
  onClose: () => void;
}) {
  return (
    <OneValue
      title={`Write ${metric.name}`}
      endpoint={endpoint}
      note={`${metric.device ? `Device ${metric.device}` : 'Node'} · ${metric.datatype}`}
      label="Value"
      typed={{ type: metric.datatype, unit: metric.unit }}
      initial={start_text(value, metric.datatype)}
      make={(v) => ({
        op: 'metric-write',
        metric: metric.name,
        ...(metric.device && { device: metric.device }),
        value: v,
      })}
      onClose={onClose}
    />
  );
}

export function ExecuteWith({
  endpoint,
  row,
  onClose,
}: {
  endpoint: string;
  row: ResourceRow;
  onClose: () => void;
}) {
  const [args, set_args] = useState('');
  const request: CommandRequest = { op: 'execute', path: row.path, ...(args && { args }) };
  return (
    <RequestDialog
      title={`Execute ${row.name}`}
      note={row.path}
      endpoint={endpoint}
      request={request}
      verb="Execute"
      onClose={onClose}
    >
      <label class="field">
        <span>Arguments</span>
        <input
          value={args}
          placeholder="0='text',1"
          spellcheck={false}
          onInput={(e) => set_args(e.currentTarget.value)}
        />
        <small class="muted">
          As LwM2M writes them: digit, or digit='text', with commas. May be empty.
        </small>
      </label>
    </RequestDialog>
  );
}

const ATTRIBUTES = [
  ['pmin', 'At most every (s)'],
  ['pmax', 'At least every (s)'],
  ['gt', 'When above'],
  ['lt', 'When below'],
  ['st', 'When changed by'],
] as const;

export function ObserveWith({
  op,
  endpoint,
  path,
  name,
  onClose,
}: {
  op: 'observe' | 'write-attributes';
  endpoint: string;
  path: string;
  name: string;
  onClose: () => void;
}) {
  const [texts, set_texts] = useState<Record<string, string>>({});
  const attributes: Record<string, number> = {};
  let why = '';
  for (const [key, text] of Object.entries(texts)) {
    if (!text.trim()) continue;
    const p = typed_parse(text, key.startsWith('p') ? 'unsigned' : 'float');
    if (p.ok) attributes[key] = Number(p.value);
    else why ||= `${key}: ${p.why}`;
  }
  const some = Object.keys(attributes).length > 0;
  if (op === 'write-attributes' && !some) why ||= 'Fill at least one.';
  const request: CommandRequest | null = why ? null : { op, path, ...(some && { attributes }) };
  return (
    <RequestDialog
      title={op === 'observe' ? `Observe ${name}` : `Attributes of ${name}`}
      note={path}
      endpoint={endpoint}
      request={request}
      verb={op === 'observe' ? 'Observe' : 'Write'}
      onClose={onClose}
    >
      <div class="field-grid">
        {ATTRIBUTES.map(([key, words]) => (
          <label class="field">
            <span>
              {words} <code>{key}</code>
            </span>
            <input
              inputMode="decimal"
              value={texts[key] ?? ''}
              autocomplete="off"
              onInput={(e) => set_texts({ ...texts, [key]: e.currentTarget.value })}
            />
          </label>
        ))}
      </div>
      {why && some && (
        <small class="bad" role="alert">
          {why}
        </small>
      )}
    </RequestDialog>
  );
}

function writable(r: ModelResource): boolean {
  return r.op.includes('W') && !is_multiple(r);
}

export function CreateInstance({
  endpoint,
  object,
  taken,
  models,
  onClose,
}: {
  endpoint: string;
  object: ModelObject;
  taken: number[];
  models: Models;
  onClose: () => void;
}) {
  let free = 0;
  while (taken.includes(free)) free++;
  const [instance, set_instance] = useState(String(free));
  const [texts, set_texts] = useState<Record<number, string>>({});
  const [touched, set_touched] = useState(false);
  const fields = object.resources
    .filter((r) => writable(r) || (is_mandatory(r) && r.op.includes('R') && !is_multiple(r)))
    .sort((a, b) => Number(is_mandatory(b)) - Number(is_mandatory(a)) || a.id - b.id);
  const id = typed_parse(instance, 'uint16', '0..65534');
  const base = `/${object.id}/${id.ok ? id.value : 0}`;
  const values: PathValue[] = [];
  let why = id.ok ? (taken.includes(Number(id.value)) ? 'This instance exists.' : '') : id.why;
  for (const r of fields) {
    const text = texts[r.id] ?? '';
    if (text === '') continue;
    const p = typed_parse(text, r.type, r.range);
    if (p.ok) values.push({ path: `${base}/${r.id}`, value: p.value });
    else why ||= `${r.name}: ${p.why}`;
  }
  const request: CommandRequest | null = why
    ? null
    : { op: 'create', path: `/${object.id}`, instance: Number(instance), values };
  return (
    <RequestDialog
      title={`Create ${object.name}`}
      note={resource_name(models, base)}
      endpoint={endpoint}
      request={request}
      verb="Create"
      onTry={() => set_touched(true)}
      onClose={onClose}
    >
      <div class="dialog-scroll">
        <ValueInput
          label="Instance"
          typed={{ type: 'uint16', range: '0..65534' }}
          text={instance}
          parsed={id}
          touched={touched}
          onText={set_instance}
        />
        {fields.map((r) => (
          <ValueInput
            key={r.id}
            label={`${r.name}${is_mandatory(r) ? ' (mandatory)' : ''}`}
            typed={{ type: r.type, range: r.range, unit: r.units }}
            text={texts[r.id] ?? ''}
            parsed={texts[r.id] ? typed_parse(texts[r.id]!, r.type, r.range) : null}
            touched
            onText={(s) => set_texts({ ...texts, [r.id]: s })}
          />
        ))}
      </div>
      {touched && why && (
        <small class="bad" role="alert">
          {why}
        </small>
      )}
    </RequestDialog>
  );
}
