// device_log.tsx - the device's commands and its timeline.

import { useState } from 'preact/hooks';
import { command_curl } from '../curl';
import { value_text } from '../format';
import {
  command_cancel,
  command_ended,
  commands,
  commands_next,
  commands_older,
} from '../store/commands';
import { device_summary, models } from '../store/device';
import { may_operate } from '../store/session';
import { links_paths, resource_name } from '../tree';
import type { Command } from '../types';
import { Act, Age, CopyButton, Quiet } from '../ui/bits';
import { command_latency, CommandSteps } from '../ui/command';
import { EventList } from './timeline';

const SHOWN = 8;

function target_text(c: Command): string {
  const r = c.request ?? { op: c.op };
  return r.path ?? r.metric ?? r.paths?.join(' ') ?? r.observation ?? '';
}

function ResultText({ c }: { c: Command }) {
  const r = c.result;
  if (!r && !c.why) return null;
  const values = r?.values ?? [];
  const links = r?.links ? links_paths(r.links).join(' ') : '';
  return (
    <div class="result">
      {r?.code && <code>{r.code}</code>}
      {(c.why ?? r?.error) && <span>{c.why ?? r?.error}</span>}
      {r?.path && (
        <span>
          created <code>{r.path}</code>
        </span>
      )}
      {values.slice(0, 6).map((v) => (
        <span title={resource_name(models.value, v.path)}>
          <span class="muted">{v.path}</span> {value_text(v.value, v.type)}
        </span>
      ))}
      {values.length > 6 && <span class="muted">and {values.length - 6} more</span>}
      {links && (
        <span class="links" title={links}>
          {links}
        </span>
      )}
    </div>
  );
}

/** Why a command has not left yet, as far as the device's own state tells. */
function waits_for(c: Command): string {
  const d = device_summary.value;
  if (c.state !== 'queued' || c.why || d?.endpoint !== c.endpoint) return '';
  if (d.status === 'sleeping') return 'waits until the device wakes';
  return d.link === 'up' ? '' : 'waits for the connection';
}

function CommandItem({ c }: { c: Command }) {
  const target = target_text(c);
  const wrote = c.request?.value;
  return (
    <li class="command">
      <div class="command-head">
        <b>{c.op}</b>
        <span
          class="command-target"
          title={c.request?.path ? resource_name(models.value, c.request.path) : ''}
        >
          {target}
          {wrote !== undefined && ` = ${value_text(wrote)}`}
        </span>
        <span class="spring" />
        {c.state === 'queued' && (
          <Act may={may_operate.value} onPress={() => void command_cancel(c)}>
            Cancel
          </Act>
        )}
        <CopyButton
          label="Copy this command as curl"
          text={command_curl(location.origin, c.endpoint, c.request ?? { op: c.op })}
        />
        <span class="muted num">
          <Age at={c.created_at} />
        </span>
      </div>
      <div class="command-state">
        <CommandSteps command={c} />
        <span class="muted num">{command_ended(c) || c.finished_at ? command_latency(c) : ''}</span>
        {c.by && <span class="muted">by {c.by}</span>}
      </div>
      <ResultText c={c} />
      {waits_for(c) && <div class="result">{waits_for(c)}</div>}
    </li>
  );
}

export function DeviceCommands({ endpoint }: { endpoint: string }) {
  const [all, set_all] = useState(false);
  const list = commands.value;
  const shown = all ? list : list.slice(0, SHOWN);
  return (
    <section class="card" aria-label="Commands">
      <header class="card-head">
        <h2>Commands</h2>
      </header>
      {list.length === 0 && <Quiet>None yet. Read, write or observe a value above.</Quiet>}
      <ul class="command-list">
        {shown.map((c) => (
          <CommandItem key={c.id} c={c} />
        ))}
      </ul>
      {(list.length > shown.length || commands_next.value) && (
        <button
          type="button"
          class="more-line"
          onClick={() => {
            set_all(true);
            if (commands_next.value) void commands_older(endpoint);
          }}
        >
          Older commands
        </button>
      )}
    </section>
  );
}

export function DeviceTimeline() {
  return (
    <section class="card" aria-label="Timeline">
      <header class="card-head">
        <h2>Timeline</h2>
      </header>
      <EventList compact />
    </section>
  );
}
