// device_chart.tsx - the live chart: what is drawn, over which span, and the values under the cursor.

import { useState } from 'preact/hooks';
import type uPlot from 'uplot';
import { clock_text, date_time_text, number_text, unit_text, value_number } from '../format';
import {
  chart_choices,
  chart_drawn,
  chart_href,
  chart_range,
  chart_range_set,
  chart_toggle,
  DRAWN_MAX,
  RANGES,
  type Choice,
  type Drawn,
} from '../store/chart';
import { cell, models, resource_unit } from '../store/device';
import { resource_name } from '../tree';
import { IconClose } from '../ui/icons';
import { Plot } from '../ui/plot';

/** What is drawn under the cursor: [lowest, highest, mean] of each series. */
interface Hover {
  at_ms: number;
  values: ([number, number, number] | null)[];
}

function label_of(series: string): string {
  if (series.startsWith('lwm2m:')) return resource_name(models.value, series.slice(6));
  const rest = series.slice(4);
  return rest.startsWith('/') ? rest.slice(1) : rest.replace('/', ' · ');
}

function unit_of(d: { series: string; unit: string | null }): string {
  const told = d.series.startsWith('lwm2m:') ? resource_unit(d.series.slice(6)) : null;
  return unit_text(d.unit ?? told);
}

function LegendItem({ d, index, hover }: { d: Drawn; index: number; hover: Hover | null }) {
  const at = hover?.values[index];
  const n = hover ? (at?.[2] ?? null) : value_number(cell(d.series).value.value);
  return (
    <li class={`legend-item series-${(index % 6) + 1}`}>
      <i class="swatch" />
      <span class="legend-name" title={d.series}>
        {label_of(d.series)}
      </span>
      <b>{n === null ? '–' : number_text(n)}</b>
      <span class="muted unit">{unit_of(d)}</span>
      {at && at[0] < at[1] && (
        <span class="muted">
          {number_text(at[0])} to {number_text(at[1])}
        </span>
      )}
      {d.loading && <span class="muted">loading</span>}
      <button
        type="button"
        class="quiet"
        aria-label={`Remove ${label_of(d.series)} from the chart`}
        onClick={() => chart_toggle(d.series)}
      >
        <IconClose />
      </button>
    </li>
  );
}

function Choices({ name, of }: { name: string; of: Choice[] }) {
  if (!of.length) return null;
  return (
    <optgroup label={name}>
      {of.map((c) => (
        <option value={c.series}>{label_of(c.series)}</option>
      ))}
    </optgroup>
  );
}

function Download({ format, words }: { format: 'csv' | 'ndjson'; words: string }) {
  return (
    <a
      class="muted"
      href="#"
      download
      title={`All samples of this span as a file, ${words}`}
      onClick={(e) => {
        e.currentTarget.href = chart_href(format) ?? '#'; // the span ends now, not when it was drawn
      }}
    >
      {format.toUpperCase()}
    </a>
  );
}

function hover_of(i: number | null, data: uPlot.AlignedData): Hover | null {
  const x = i === null ? undefined : data[0]?.[i];
  if (i === null || x === undefined) return null;
  const values: Hover['values'] = [];
  for (let s = 3; s < data.length; s += 3) {
    // A series may have no point at this very time: take its nearest one before.
    let k = i;
    while (k > 0 && data[s]![k] === undefined) k--;
    const [min, max, avg] = [data[s - 2]![k], data[s - 1]![k], data[s]![k]];
    values.push(avg == null ? null : [min ?? avg, max ?? avg, avg]);
  }
  return { at_ms: x * 1000, values };
}

export function DeviceChart() {
  const [hover, set_hover] = useState<Hover | null>(null);
  const drawn = chart_drawn.value;
  const rest = chart_choices.value.filter((c) => !drawn.some((d) => d.series === c.series));
  if (!chart_choices.value.length && !drawn.length) return null;
  const empty = drawn.length > 0 && drawn.every((d) => !d.loading && d.points.length === 0);
  return (
    <section class="card chart" aria-label="Chart">
      <header>
        <ul class="legend">
          {drawn.map((d, i) => (
            <LegendItem key={d.series} d={d} index={i} hover={hover} />
          ))}
        </ul>
        <div class="chart-tools">
          <span class="muted hover-time">
            {hover
              ? (chart_range.value.ms > 86_400_000 ? date_time_text : clock_text)(hover.at_ms)
              : ''}
          </span>
          {rest.length > 0 && drawn.length < DRAWN_MAX && (
            <select
              aria-label="Add a value to the chart"
              value=""
              onChange={(e) => {
                chart_toggle(e.currentTarget.value);
                e.currentTarget.value = '';
              }}
            >
              <option value="">Add a value</option>
              <Choices name="LwM2M" of={rest.filter((c) => c.series.startsWith('lwm2m:'))} />
              <Choices name="Sparkplug" of={rest.filter((c) => c.series.startsWith('spb:'))} />
            </select>
          )}
          {drawn.length > 0 && (
            <>
              <Download format="csv" words="a line per time" />
              <Download format="ndjson" words="a line per sample" />
            </>
          )}
          <div class="segments" role="group" aria-label="Span">
            {RANGES.map((r) => (
              <button
                type="button"
                aria-pressed={chart_range.value.key === r.key}
                onClick={() => chart_range_set(r)}
              >
                {r.label}
              </button>
            ))}
          </div>
        </div>
      </header>
      <div class="plot-space">
        {drawn.length > 0 && <Plot onHover={(i, data) => set_hover(hover_of(i, data))} />}
        {drawn.length === 0 && <p class="plot-note muted">Choose a value to draw.</p>}
        {empty && <p class="plot-note muted">No sample in the last {chart_range.value.label}.</p>}
      </div>
    </section>
  );
}
