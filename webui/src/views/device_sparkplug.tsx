// device_sparkplug.tsx - the Sparkplug strand: session facts, rebirth, and metrics by sub-device and
// folder, each with quality and age.

import { useState } from 'preact/hooks';
import { command_curl } from '../curl';
import { count_text, time_ms, type_is_numeric, unit_text, value_text } from '../format';
import { command_run } from '../store/commands';
import { cell } from '../store/device';
import { may_operate } from '../store/session';
import { metric_leaf, metric_tree, type MetricGroup } from '../tree';
import type { CommandRequest, DeviceDetail, Metric, SparkplugStrand } from '../types';
import { Act, Age, CopyButton, Fact, Find, QualityMark, Quiet } from '../ui/bits';
import { ActionNote, action_note } from '../ui/command';
import { IconChevron } from '../ui/icons';
import { Menu, type MenuItem } from '../ui/menu';
import { ChartButton } from './device_lwm2m';
import { WriteMetric } from './write';

const REBIRTH: CommandRequest = { op: 'rebirth' };

export function SparkplugFacts({
  strand,
  detail,
  heard_ms,
}: {
  strand: SparkplugStrand;
  detail: DeviceDetail;
  heard_ms: number;
}) {
  const e = detail.evidence?.sparkplug;
  const at = Math.max(time_ms(e?.at) ?? 0, heard_ms) || null;
  const born = strand.state === 'dead' ? strand.died_at : strand.born_at;
  return (
    <dl class="facts">
      <Fact name={strand.state === 'dead' ? 'Died' : 'Born'}>
        <Age at={born} ago />
      </Fact>
      <Fact name="Last heard">
        <Age at={at} ago />
        {e && <span class="muted"> {e.kind}</span>}
      </Fact>
      <Fact name="Group / node">
        {strand.group} / {strand.edge_node}
      </Fact>
      <Fact name="bdSeq · seq">
        {strand.bd_seq ?? '–'} · {strand.seq ?? '–'}
      </Fact>
      <Fact name="Devices">
        {strand.devices_born} <span class="muted">of {strand.devices} born</span>
      </Fact>
      <Fact name="Lost">
        {count_text(strand.lost_messages)}{' '}
        <span class="muted">
          {strand.lost_messages === 1 ? 'message' : 'messages'} in{' '}
          {count_text(strand.sequence_gaps)} sequence {strand.sequence_gaps === 1 ? 'gap' : 'gaps'}
          {detail.lost_samples > 0 && `, ${count_text(detail.lost_samples)} samples not stored`}
        </span>
      </Fact>
      <Fact name="Rebirths">
        {strand.rebirths}
        {strand.last_rebirth && (
          <span class="muted" title={strand.last_rebirth.cause}>
            {' '}
            <Age at={strand.last_rebirth.at} ago />: {strand.last_rebirth.cause}
          </span>
        )}
      </Fact>
    </dl>
  );
}

export function RebirthButton({ endpoint }: { endpoint: string }) {
  return (
    <span class="acts">
      <ActionNote target="rebirth" />
      <Act
        may={may_operate.value}
        title="Ask the node to publish its births again"
        onPress={() => void command_run(endpoint, REBIRTH)}
      >
        Rebirth
      </Act>
      <CopyButton text={command_curl(location.origin, endpoint, REBIRTH)} label="Rebirth as curl" />
    </span>
  );
}

function metric_target(m: Metric): string {
  return `metric:${m.device ?? ''}/${m.name}`;
}

function MetricAge({ metric }: { metric: Metric }) {
  const target = metric_target(metric);
  if (action_note(target)) return <ActionNote target={target} />;
  return (
    <span class="muted">
      <Age at={cell(metric.series).value.at_ms} />
    </span>
  );
}

function MetricLine({
  endpoint,
  metric,
  onWrite,
}: {
  endpoint: string;
  metric: Metric;
  onWrite: (m: Metric) => void;
}) {
  const c = cell(metric.series).value;
  const text = c.quality === 'null' ? 'null' : value_text(c.value, metric.datatype);
  const unit = unit_text(metric.unit);
  const write: CommandRequest = {
    op: 'metric-write',
    metric: metric.name,
    ...(metric.device && { device: metric.device }),
    value: c.value,
  };
  const items: MenuItem[] = [];
  if (metric.writable) {
    items.push({ label: 'Write as curl', curl: command_curl(location.origin, endpoint, write) });
  }
  items.push({
    label: 'History as curl',
    curl:
      `curl -sSG ${location.origin}/api/v1/devices/${endpoint}/history ` +
      `--data-urlencode 'series=${metric.series}' -H "Authorization: Bearer $BRAID_TOKEN"`,
  });
  const old = c.quality !== null && c.quality !== 'good';
  return (
    <li class={`line ${old ? 'line-old' : ''}`}>
      <span class="line-name" title={`${metric.name} · ${metric.datatype}`}>
        {metric_leaf(metric.name)}
      </span>
      <span class="line-value">
        {type_is_numeric(metric.datatype) && (
          <ChartButton series={metric.series} name={metric.name} />
        )}
        <span class="values">
          <span class="value" title={text}>
            {text}
            {unit && <span class="unit"> {unit}</span>}
          </span>
        </span>
        <QualityMark quality={c.quality} />
      </span>
      <span class="line-age">
        <MetricAge metric={metric} />
      </span>
      <span class="acts">
        {metric.writable && (
          <Act
            may={may_operate.value}
            name={`Write ${metric.name}`}
            onPress={() => onWrite(metric)}
          >
            Write
          </Act>
        )}
        <Menu label={`More for ${metric.name}`} items={items} />
      </span>
    </li>
  );
}

const STATE_WORD = { born: 'born', dead: 'dead', stale: 'stale' };

function Group({
  endpoint,
  node,
  group,
  find,
  onWrite,
}: {
  endpoint: string;
  node: string;
  group: MetricGroup;
  find: string;
  onWrite: (m: Metric) => void;
}) {
  const [open, set_open] = useState(true);
  const needle = find.toLowerCase();
  const folders = group.folders
    .map((f) => ({
      ...f,
      metrics: f.metrics.filter((m) => !needle || m.name.toLowerCase().includes(needle)),
    }))
    .filter((f) => f.metrics.length);
  if (needle && !folders.length) return null;
  const total = folders.reduce((n, f) => n + f.metrics.length, 0);
  return (
    <section class="object">
      <header>
        <h3>
          <button type="button" class="twist" aria-expanded={open} onClick={() => set_open(!open)}>
            <IconChevron />
            <b>{group.device ?? node}</b>
            <span class="muted">
              {group.device === null ? 'node' : 'device'} · {total} metrics
            </span>
          </button>
        </h3>
        {group.state && <span class={`tag tag-${group.state}`}>{STATE_WORD[group.state]}</span>}
      </header>
      {open &&
        folders.map((f) => (
          <div class="instance" key={f.path}>
            {f.name && (
              <div class="instance-head">
                <h4>{f.name}</h4>
              </div>
            )}
            <ul class="lines">
              {f.metrics.map((m) => (
                <MetricLine key={m.series} endpoint={endpoint} metric={m} onWrite={onWrite} />
              ))}
            </ul>
          </div>
        ))}
    </section>
  );
}

export function MetricTree({ detail }: { detail: DeviceDetail }) {
  const [writing, set_writing] = useState<Metric | null>(null);
  const [find, set_find] = useState('');
  const tree = metric_tree(detail);
  return (
    <div class="tree">
      <div class="tree-tools">
        <Find what="metric" value={find} onFind={set_find} />
      </div>
      {tree.map((g) => (
        <Group
          key={g.device ?? ''}
          endpoint={detail.endpoint}
          node={detail.sparkplug?.edge_node ?? 'Node'}
          group={g}
          find={find}
          onWrite={set_writing}
        />
      ))}
      {tree.length === 0 && <Quiet>No birth has named a metric yet.</Quiet>}
      {writing && (
        <WriteMetric
          endpoint={detail.endpoint}
          metric={writing}
          value={cell(writing.series).peek().value}
          onClose={() => set_writing(null)}
        />
      )}
    </div>
  );
}
