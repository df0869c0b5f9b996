// device_lwm2m.tsx - the LwM2M strand: its state, and the tree of objects, instances, resources.
//
// Rows come from what the device told, plus what the model lets one execute; other resources that
// the model defines hide behind one line, so that the tree shows the device and not the registry.

import { useState } from 'preact/hooks';
import { command_curl } from '../curl';
import { duration_text, time_ms, type_is_numeric, unit_text, value_text } from '../format';
import { chart_choices, chart_drawn, chart_toggle } from '../store/chart';
import { command_run } from '../store/commands';
import { cell, discovered, models, resource_unit } from '../store/device';
import { may_operate } from '../store/session';
import { now } from '../store/ui';
import { span_text } from '../format';
import {
  is_multiple,
  lwm2m_tree,
  type InstanceNode,
  type ObjectNode,
  type ResourceRow,
  type_of,
} from '../tree';
import type { CommandRequest, DeviceDetail, Lwm2mStrand, Observation, Resource } from '../types';
import { Act, Age, Fact, Find, QualityMark, Quiet } from '../ui/bits';
import { ActionNote, action_note } from '../ui/command';
import { Confirm } from '../ui/dialog';
import { IconChart, IconChevron } from '../ui/icons';
import { Menu, type MenuItem } from '../ui/menu';
import { CreateInstance, ExecuteWith, ObserveWith, WriteResource } from './write';

type Ask =
  | { kind: 'write' | 'execute'; row: ResourceRow }
  | { kind: 'observe' | 'write-attributes'; path: string; name: string }
  | { kind: 'create'; object: ObjectNode }
  | { kind: 'sure'; title: string; text: string; verb: string; request: CommandRequest };

interface Tools {
  endpoint: string;
  observations: Observation[];
  ask: (a: Ask) => void;
}

const EXPLAIN_DANGER: Record<string, string> = {
  '/3/0/5': 'The device forgets its configuration and may not come back by itself.',
};

export function Lwm2mFacts({
  strand,
  detail,
  heard_ms,
}: {
  strand: Lwm2mStrand;
  detail: DeviceDetail;
  heard_ms: number;
}) {
  const e = detail.evidence?.lwm2m;
  const at = Math.max(time_ms(e?.at) ?? 0, heard_ms) || null;
  return (
    <dl class="facts">
      <Fact name="Registered">
        <Age at={strand.registered_at} ago />
      </Fact>
      <Fact name="Last heard">
        <Age at={at} ago />
        {e && <span class="muted"> {e.kind}</span>}
      </Fact>
      <Fact name={strand.state === 'registered' ? 'Expires' : 'Expired'}>
        {span_text(time_ms(strand.expires_at), now.value)}
        <span class="muted"> of {duration_text(strand.lifetime)}</span>
      </Fact>
      <Fact name="Dialect">
        {strand.dialect} {strand.version && `· LwM2M ${strand.version}`}
      </Fact>
      <Fact name="Binding">
        {strand.binding ?? '–'}
        {strand.queue_mode && ' · queue mode'}
      </Fact>
      <Fact name="Observing">
        {strand.observations} <span class="muted">of {strand.resources} values</span>
      </Fact>
    </dl>
  );
}

function CellValue({ row, entry }: { row: ResourceRow; entry: Resource }) {
  const c = cell(entry.series).value;
  const text = value_text(c.value, type_of(row));
  const unit = unit_text(resource_unit(row.path));
  const index = row.values.length > 1 ? entry.path.split('/')[4] : undefined;
  return (
    <span class="value" title={text}>
      {index !== undefined && <span class="unit">{index}: </span>}
      {text}
      {unit && <span class="unit"> {unit}</span>}
      <QualityMark quality={c.quality} />
    </span>
  );
}

function RowAge({ row }: { row: ResourceRow }) {
  const target = `path:${row.path}`;
  if (action_note(target)) return <ActionNote target={target} />;
  const entry = row.values[0];
  if (!entry) return null;
  const c = cell(entry.series).value;
  const source = entry.source === 'registration' ? 'reg' : entry.source;
  return (
    <span class="muted" title={`from ${entry.source}`}>
      <Age at={c.at_ms} /> {source}
    </span>
  );
}

function curl_items(endpoint: string, list: [string, CommandRequest][]): MenuItem[] {
  return list.map(([name, request]) => ({
    label: `${name} as curl`,
    curl: command_curl(location.origin, endpoint, request),
  }));
}

function observation_of(tools: Tools, path: string): Observation | undefined {
  return tools.observations.find(
    (o) => o.path === path || (o.paths?.length === 1 && o.paths[0] === path),
  );
}

function ObserveButton({ tools, path, name }: { tools: Tools; path: string; name: string }) {
  const o = observation_of(tools, path);
  const run = () =>
    void command_run(
      tools.endpoint,
      o ? { op: 'cancel', observation: o.token } : { op: 'observe', path },
      `path:${path}`,
    );
  const title = o ? `Stop observing ${name}; ${o.notifies} notifies so far` : `Observe ${name}`;
  return (
    <Act pressed={Boolean(o)} may={may_operate.value} name={title} title={title} onPress={run}>
      {o ? 'Observing' : 'Observe'}
    </Act>
  );
}

function RowActions({ tools, row }: { tools: Tools; row: ResourceRow }) {
  const { endpoint } = tools;
  const op = row.model?.op ?? 'RW';
  const path = row.path;
  const may = may_operate.value;
  const read: CommandRequest = { op: 'read', path };
  const execute: CommandRequest = { op: 'execute', path };
  const danger = EXPLAIN_DANGER[path];
  const items: MenuItem[] = [];
  if (op.includes('R'))
    items.push({
      label: 'Observe with conditions…',
      disabled: !may,
      run: () => tools.ask({ kind: 'observe', path, name: row.name }),
    });
  if (op.includes('R'))
    items.push({
      label: 'Notification attributes…',
      disabled: !may,
      run: () => tools.ask({ kind: 'write-attributes', path, name: row.name }),
    });
  if (op === 'E' || !row.model)
    items.push({
      label: 'Execute with arguments…',
      disabled: !may,
      run: () => tools.ask({ kind: 'execute', row }),
    });
  const lines: [string, CommandRequest][] = [];
  if (op.includes('R')) lines.push(['Read', read]);
  if (op.includes('W')) {
    lines.push(['Write', { op: 'write', path, value: row.values[0]?.value ?? '' }]);
  }
  if (op === 'E') lines.push(['Execute', execute]);
  if (op.includes('R')) lines.push(['Observe', { op: 'observe', path }]);
  items.push(...curl_items(endpoint, lines));
  const run = () =>
    danger
      ? tools.ask({
          kind: 'sure',
          title: `${row.name}?`,
          text: danger,
          verb: row.name,
          request: execute,
        })
      : void command_run(endpoint, execute);
  return (
    <span class="acts">
      {op.includes('R') && (
        <Act
          may={may}
          name={`Read ${row.name}`}
          title={`Read ${path}`}
          onPress={() => void command_run(endpoint, read)}
        >
          Read
        </Act>
      )}
      {op.includes('W') && (
        <Act
          may={may}
          name={`Write ${row.name}`}
          title={`Write ${path}`}
          onPress={() => tools.ask({ kind: 'write', row })}
        >
          Write
        </Act>
      )}
      {op === 'E' && (
        <Act may={may} name={`Execute ${row.name}`} title={`Execute ${path}`} onPress={run}>
          Execute
        </Act>
      )}
      {op.includes('R') && <ObserveButton tools={tools} path={path} name={row.name} />}
      <Menu label={`More for ${row.name}`} items={items} />
    </span>
  );
}

export function ChartButton({ series, name }: { series: string; name: string }) {
  if (!chart_choices.value.some((c) => c.series === series)) return null;
  const on = chart_drawn.value.some((d) => d.series === series);
  const label = `${on ? 'Remove from chart' : 'Draw'}: ${name}`;
  return (
    <button
      type="button"
      class="quiet charted"
      aria-pressed={on}
      aria-label={label}
      title={label}
      onClick={() => chart_toggle(series)}
    >
      <IconChart />
    </button>
  );
}

function ResourceLine({ tools, row }: { tools: Tools; row: ResourceRow }) {
  const numeric = type_is_numeric(type_of(row));
  const series = row.values[0]?.series;
  return (
    <li class="line">
      <span
        class="line-name"
        title={`${row.path} · ${row.model?.op === 'E' ? 'executable' : (type_of(row) ?? 'unknown type')}`}
      >
        <span class="rid">{row.id}</span>
        {row.name}
      </span>
      <span class="line-value">
        {row.values.length > 0 && numeric && series && (
          <ChartButton series={series} name={row.name} />
        )}
        <span class="values">
          {row.values.map((v) => (
            <CellValue key={v.series} row={row} entry={v} />
          ))}
          {row.values.length === 0 && (
            <span class="muted">{row.model?.op === 'E' ? '' : 'not read yet'}</span>
          )}
        </span>
      </span>
      <span class="line-age">
        <RowAge row={row} />
      </span>
      <RowActions tools={tools} row={row} />
    </li>
  );
}

function InstanceBlock({
  tools,
  object,
  node,
  find,
}: {
  tools: Tools;
  object: ObjectNode;
  node: InstanceNode;
  find: string;
}) {
  const [all, set_all] = useState(false);
  const needle = find.toLowerCase();
  const hit = (r: ResourceRow) =>
    !needle || r.name.toLowerCase().includes(needle) || r.path.includes(needle);
  const rows = node.rows.filter((r) => hit(r) && (all || !r.optional || needle));
  const hidden = node.rows.filter((r) => r.optional).length;
  const may = may_operate.value;
  const read: CommandRequest = { op: 'read', path: node.path };
  const many = object.instances.length > 1 || (object.model && is_multiple(object.model));
  const items: MenuItem[] = [
    {
      label: 'Observe with conditions…',
      disabled: !may,
      run: () => tools.ask({ kind: 'observe', path: node.path, name: `${object.name} ${node.id}` }),
    },
  ];
  if (many)
    items.push({
      label: 'Delete instance…',
      disabled: !may,
      run: () =>
        tools.ask({
          kind: 'sure',
          title: `Delete ${node.path}?`,
          verb: 'Delete',
          request: { op: 'delete', path: node.path },
          text: `The device is asked to delete instance ${node.id} of ${object.name}.`,
        }),
    });
  items.push(
    ...curl_items(tools.endpoint, [
      ['Read', read],
      ['Observe', { op: 'observe', path: node.path }],
      ...(many ? [['Delete', { op: 'delete', path: node.path }] as [string, CommandRequest]] : []),
    ]),
  );
  if (needle && !rows.length) return null;
  return (
    <div class="instance">
      <div class="instance-head">
        <h4>
          <code>{node.path}</code>
        </h4>
        <ActionNote target={`path:${node.path}`} />
        <span class="acts">
          <Act
            may={may}
            name={`Read instance ${node.path}`}
            onPress={() => void command_run(tools.endpoint, read)}
          >
            Read
          </Act>
          <ObserveButton tools={tools} path={node.path} name={node.path} />
          <Menu label={`More for ${node.path}`} items={items} />
        </span>
      </div>
      <ul class="lines">
        {rows.map((r) => (
          <ResourceLine key={r.path} tools={tools} row={r} />
        ))}
      </ul>
      {hidden > 0 && !needle && (
        <button type="button" class="more-line" aria-expanded={all} onClick={() => set_all(!all)}>
          {all ? 'Hide what was not read' : `${hidden} more that the model defines`}
        </button>
      )}
    </div>
  );
}

function ObjectBlock({ tools, node, find }: { tools: Tools; node: ObjectNode; find: string }) {
  const [open, set_open] = useState(node.instances.length <= 4);
  const may = may_operate.value;
  const discover: CommandRequest = { op: 'discover', path: node.path };
  const items: MenuItem[] = [];
  if (node.model && is_multiple(node.model))
    items.push({
      label: 'Create instance…',
      disabled: !may,
      run: () => tools.ask({ kind: 'create', object: node }),
    });
  items.push(
    ...curl_items(tools.endpoint, [
      ['Discover', discover],
      ['Read', { op: 'read', path: node.path }],
    ]),
  );
  const shown = open || find !== '';
  const values = node.instances.reduce(
    (n, i) => n + i.rows.filter((r) => r.values.length).length,
    0,
  );
  return (
    <section class="object">
      <header>
        <h3>
          <button type="button" class="twist" aria-expanded={shown} onClick={() => set_open(!open)}>
            <IconChevron />
            <span class="rid">{node.id}</span>
            <b>{node.name}</b>
            <span class="muted">
              {node.version && `v${node.version} `}
              {values ? `${values} values` : ''}
            </span>
          </button>
        </h3>
        <ActionNote target={`path:${node.path}`} />
        <span class="acts">
          <Act
            may={may}
            name={`Discover ${node.name}`}
            onPress={() => void command_run(tools.endpoint, discover)}
          >
            Discover
          </Act>
          <Menu label={`More for object ${node.id}`} items={items} />
        </span>
      </header>
      {shown &&
        node.instances.map((i) => (
          <InstanceBlock key={i.path} tools={tools} object={node} node={i} find={find} />
        ))}
      {shown && node.instances.length === 0 && <Quiet>No instances.</Quiet>}
    </section>
  );
}

function Asked({ endpoint, ask, onClose }: { endpoint: string; ask: Ask; onClose: () => void }) {
  switch (ask.kind) {
    case 'write':
      return <WriteResource endpoint={endpoint} row={ask.row} onClose={onClose} />;
    case 'execute':
      return <ExecuteWith endpoint={endpoint} row={ask.row} onClose={onClose} />;
    case 'observe':
    case 'write-attributes':
      return (
        <ObserveWith
          op={ask.kind}
          endpoint={endpoint}
          path={ask.path}
          name={ask.name}
          onClose={onClose}
        />
      );
    case 'create':
      return (
        ask.object.model && (
          <CreateInstance
            endpoint={endpoint}
            object={ask.object.model}
            models={models.value}
            taken={ask.object.instances.map((i) => i.id)}
            onClose={onClose}
          />
        )
      );
    case 'sure':
      return (
        <Confirm
          title={ask.title}
          text={ask.text}
          verb={ask.verb}
          onClose={onClose}
          onYes={() => void command_run(endpoint, ask.request)}
        />
      );
  }
}

export function Lwm2mTree({ detail }: { detail: DeviceDetail }) {
  const [asked, set_asked] = useState<Ask | null>(null);
  const [find, set_find] = useState('');
  const tree = lwm2m_tree(detail, models.value, discovered.value);
  const tools: Tools = {
    endpoint: detail.endpoint,
    observations: detail.observations ?? [],
    ask: set_asked,
  };
  return (
    <div class="tree">
      <div class="tree-tools">
        <Find what="resource" value={find} onFind={set_find} />
      </div>
      {tree.map((o) => (
        <ObjectBlock key={o.id} tools={tools} node={o} find={find} />
      ))}
      {tree.length === 0 && <Quiet>The registration named no objects.</Quiet>}
      {asked && <Asked endpoint={detail.endpoint} ask={asked} onClose={() => set_asked(null)} />}
    </div>
  );
}
