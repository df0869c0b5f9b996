// bulk.tsx - tags and groups of many devices: the bar that says how many are chosen, the form that
// says what shall become of them, and the outcome of each, in words.

import { useMemo, useState } from 'preact/hooks';
import { count_text } from '../format';
import {
  GROUP_MAX,
  GROUP_NAME,
  GROUP_WRONG,
  labels_count,
  NAMES_MAX,
  outcome_text,
  outcomes_sorted,
  PIECE,
  tags_parse,
  type BulkRun,
  type Counted,
  type LabelEdit,
} from '../labels';
import { device_href, filter, filter_any } from '../route';
import { bulk, bulk_resume, bulk_start, bulk_stop } from '../store/bulk';
import { fleet_order } from '../store/fleet';
import { fleet_labels } from '../store/fleet_labels';
import { groups, groups_read } from '../store/groups';
import { checked, checked_shown, select_only, select_shown } from '../store/selection';
import { toast } from '../store/ui';
import { Act } from '../ui/bits';
import { Dialog, FormEnd } from '../ui/dialog';
import { Picked, Picker } from '../ui/labels';

const OUTCOMES_MAX = 500;
const CHOICES_MAX = 100;

function devices_text(n: number): string {
  return `${count_text(n)} ${n === 1 ? 'device' : 'devices'}`;
}

/** Names with the number of chosen devices that have them; a press marks one to be taken away. */
function TakeAway({
  words,
  all,
  marked,
  onMark,
}: {
  words: string;
  all: Counted[];
  marked: string[];
  onMark: (names: string[]) => void;
}) {
  if (!all.length) return null;
  return (
    <div class="field" role="group" aria-label={words}>
      <span>{words}</span>
      <span class="choices">
        {all.slice(0, CHOICES_MAX).map(({ name, n }) => {
          const on = marked.includes(name);
          return (
            <button
              type="button"
              class="choice"
              aria-pressed={on}
              disabled={!on && marked.length >= NAMES_MAX}
              onClick={() => onMark(on ? marked.filter((x) => x !== name) : [...marked, name])}
            >
              {name} <span class="muted">{count_text(n)}</span>
            </button>
          );
        })}
        {all.length > CHOICES_MAX && (
          <span class="muted">
            and {count_text(all.length - CHOICES_MAX)} that fewer devices have
          </span>
        )}
      </span>
    </div>
  );
}

function edit_of(set: string, remove: string[], join: string[], leave: string[]): LabelEdit {
  const tags = tags_parse(set);
  const edit: LabelEdit = {};
  if (Object.keys(tags).length) edit.set = tags;
  if (remove.length) edit.remove = remove;
  if (join.length) edit.join = join;
  if (leave.length) edit.leave = leave;
  if (!Object.keys(edit).length) throw new Error('Say what to set, take away, join or leave.');
  const both = remove.find((key) => key in tags) ?? leave.find((name) => join.includes(name));
  if (both !== undefined) throw new Error(`“${both}” cannot be given and taken away at once.`);
  return edit;
}

function BulkForm({ endpoints, onClose }: { endpoints: string[]; onClose: () => void }) {
  const [set, set_set] = useState('');
  const [remove, set_remove] = useState<string[]>([]);
  const [join, set_join] = useState<string[]>([]);
  const [leave, set_leave] = useState<string[]>([]);
  const [wrong, set_wrong] = useState<string | null>(null);
  const map = fleet_labels.value;
  const have = useMemo(() => labels_count(endpoints.map((e) => map.get(e))), [endpoints, map]);
  const known = (groups.value ?? []).map((g) => ({ name: g.name, n: g.devices }));
  const add_group = (name: string) => {
    if (name.length > GROUP_MAX || !RegExp(`^${GROUP_NAME}$`).test(name)) return GROUP_WRONG;
    if (join.length >= NAMES_MAX) return `At most ${NAMES_MAX} groups`;
    if (!join.includes(name)) set_join([...join, name]);
    return null;
  };
  const submit = (e: Event) => {
    e.preventDefault();
    try {
      void bulk_start(endpoints, edit_of(set, remove, join, leave));
    } catch (error) {
      set_wrong((error as Error).message);
    }
  };
  return (
    <form onSubmit={submit}>
      <label class="field">
        <span>Set tags, one key=value a line</span>
        <textarea
          rows={3}
          value={set}
          placeholder="site=oslo"
          spellcheck={false}
          data-first
          onInput={(e) => {
            set_set(e.currentTarget.value);
            set_wrong(null);
          }}
        />
      </label>
      <TakeAway words="Take tags away" all={have.keys} marked={remove} onMark={set_remove} />
      <div class="field">
        <span>Put into groups; new ones are made</span>
        <span class="choices">
          {join.map((name) => (
            <Picked name={name} onRemove={() => set_join(join.filter((x) => x !== name))} />
          ))}
          <Picker
            label="Join a group"
            placeholder="Name, then Enter"
            options={known}
            onPick={add_group}
          />
        </span>
      </div>
      <TakeAway words="Take out of groups" all={have.groups} marked={leave} onMark={set_leave} />
      {wrong && (
        <p class="bad" role="alert">
          {wrong}
        </p>
      )}
      <FormEnd verb={`Apply to ${devices_text(endpoints.length)}`} onClose={onClose} />
    </form>
  );
}

const STATE_WORDS: Record<BulkRun['state'], string> = {
  running: 'Changing',
  done: 'Done',
  stopped: 'Stopped',
  broken: 'Broken off',
};

function Outcome({ run, onClose }: { run: BulkRun; onClose: () => void }) {
  const total = run.endpoints.length;
  const running = run.state === 'running';
  const list = useMemo(() => (running ? [] : outcomes_sorted(run.items)), [running, run.items]);
  const failed = run.items.filter((o) => o.result === 'failed').map((o) => o.endpoint);
  const left = total - run.answered;
  return (
    <>
      <p role="status">
        <b>{STATE_WORDS[run.state]}</b>
        {left > 0 && ` · ${count_text(run.answered)} of ${count_text(total)} devices`}
        {run.answered > 0 && (
          <>
            {' · '}
            {count_text(run.changed)} changed · {count_text(run.unchanged)} unchanged ·{' '}
            <span class={run.failed ? 'bad' : ''}>{count_text(run.failed)} failed</span>
          </>
        )}
      </p>
      {left > 0 && <progress max={total} value={run.answered} aria-label="Devices done" />}
      {run.error && (
        <p class="problem" role="alert">
          {run.error}{' '}
          {run.refused
            ? 'Nothing more was changed.'
            : `For the ${devices_text(Math.min(left, PIECE))} asked last there is no answer; ` +
              'sending again does no harm.'}
        </p>
      )}
      {list.length > 0 && (
        <ul class="outcomes" tabIndex={0} aria-label="What became of each device">
          {list.slice(0, OUTCOMES_MAX).map((o) => (
            <li key={o.endpoint}>
              <a href={device_href(o.endpoint)}>{o.endpoint}</a>
              <span class={o.result === 'failed' ? 'bad' : 'muted'}>
                {outcome_text(o)} {o.code && <code>{o.code}</code>}
              </span>
            </li>
          ))}
          {list.length > OUTCOMES_MAX && (
            <li class="muted">and {count_text(list.length - OUTCOMES_MAX)} more</li>
          )}
        </ul>
      )}
      <footer>
        {!running && failed.length > 0 && (
          <button
            type="button"
            onClick={() => {
              select_only(failed);
              onClose();
            }}
          >
            Select only the failed
          </button>
        )}
        {running && total > run.answered && (
          <button type="button" onClick={bulk_stop}>
            Stop
          </button>
        )}
        {!running && left > 0 && (
          <button type="button" onClick={() => void bulk_resume()}>
            Go on with {devices_text(left)}
          </button>
        )}
        <button type="button" class="primary" disabled={running} onClick={onClose}>
          Close
        </button>
      </footer>
    </>
  );
}

function BulkDialog({ endpoints, onClose }: { endpoints: string[]; onClose: () => void }) {
  const run = bulk.value;
  const close = () => {
    if (run?.state === 'running') {
      bulk_stop();
      toast(
        'bad',
        `Stopped: ${count_text(run.answered)} of ${devices_text(endpoints.length)} done`,
      );
    }
    onClose();
  };
  return (
    <Dialog
      title={`Tags and groups of ${devices_text(endpoints.length)}`}
      wide
      note={endpoints.slice(0, 3).join(', ') + (endpoints.length > 3 ? ' …' : '')}
      onClose={close}
    >
      {run ? (
        <Outcome run={run} onClose={onClose} />
      ) : (
        <BulkForm endpoints={endpoints} onClose={onClose} />
      )}
    </Dialog>
  );
}

export function BulkBar() {
  const [editing, set_editing] = useState<string[] | null>(null);
  const n = checked.value.size;
  const shown = checked_shown.value;
  const total = fleet_order.value.length;
  const open = () => {
    bulk.value = null;
    void groups_read();
    set_editing([...checked.peek()].sort());
  };
  return (
    <>
      {n > 0 && (
        <div class="bulk" role="region" aria-label="Selected devices">
          <b role="status">{count_text(n)} selected</b>
          {n > shown && <span class="muted">{count_text(n - shown)} of them not shown</span>}
          {shown < total && (
            <Act onPress={() => select_shown(true)}>
              Select all {count_text(total)}
              {filter_any(filter.value) && ' that match'}
            </Act>
          )}
          <Act onPress={() => select_only([])}>Clear</Act>
          <span class="spring" />
          <button type="button" class="primary" onClick={open}>
            Tags and groups
          </button>
        </div>
      )}
      {editing && <BulkDialog endpoints={editing} onClose={() => set_editing(null)} />}
    </>
  );
}
