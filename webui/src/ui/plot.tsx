// plot.tsx - uPlot behind a component: average lines with min-max bands, one scale per unit.
//
// The plot is built anew when its series, theme or width class change, and fed otherwise; feeding is
// held to four times a second, because nobody sees more and phones have batteries.

import { effect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { server_now } from '../api';
import { align, has_band, points_gaps } from '../chart_data';
import { clock_text, date_time_text, number_text, unit_text } from '../format';
import { chart_drawn, chart_range, chart_rev, type Drawn } from '../store/chart';
import { theme_is_dark } from '../store/ui';

const FEED_MS = 250;
const HEIGHT = 230;

function scale_of(d: Drawn): string {
  return d.unit ? `u:${unit_text(d.unit)}` : 'y';
}

function css(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export function series_color(i: number): string {
  return css(`--series-${(i % 6) + 1}`);
}

function data_of(drawn: Drawn[]): uPlot.AlignedData {
  return align(drawn.map((d) => points_gaps(d.points, chart_range.peek().ms))) as uPlot.AlignedData;
}

function pad_range(_: uPlot, min: number | null, max: number | null): [number, number] {
  if (min === null || max === null) return [0, 1];
  const span = max - min || Math.abs(max) * 0.1 || 1;
  return [min - span * 0.08, max + span * 0.08];
}

const DAY_S = 86_400;

/** 24-hour labels; the day under the first label and at midnight. Days apart: the day alone. */
function time_labels(_: uPlot, ticks: number[], __: number, ___: number, step: number): string[] {
  let day = -1;
  return ticks.map((t) => {
    const d = new Date(t * 1000);
    const date = date_time_text(t * 1000).slice(0, 10);
    if (step >= DAY_S) return date;
    const clock = clock_text(t * 1000).slice(0, step < 60 ? 8 : 5);
    const turned = d.getDate() !== day;
    day = d.getDate();
    return turned ? `${clock}\n${date}` : clock;
  });
}

function options(
  drawn: Drawn[],
  width: number,
  on_hover: (i: number | null) => void,
): uPlot.Options {
  const scales = [...new Set(drawn.map(scale_of))];
  const grid = { stroke: css('--line'), width: 1 };
  const axis = {
    stroke: css('--muted'),
    font: '11px system-ui, sans-serif',
    ticks: { show: false },
  };
  const faded = (i: number) => `${series_color(i)}2e`;
  const edge_color = (i: number) => `${series_color(i)}99`; // a peak of one sample is its edge
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { size: (_, i) => (i % 3 ? 0 : 6) } },
    hooks: { setCursor: [(u) => on_hover(u.cursor.idx ?? null)] },
    scales: {
      x: {
        time: true,
        range: () => {
          const to = server_now();
          return [(to - chart_range.peek().ms) / 1000, to / 1000];
        },
      },
      ...Object.fromEntries(scales.map((s) => [s, { range: pad_range }])),
    },
    axes: [
      { ...axis, grid, space: 70, values: time_labels },
      ...scales.slice(0, 2).map((scale, i) => ({
        ...axis,
        scale,
        side: (i === 0 ? 3 : 1) as uPlot.Axis.Side,
        grid: i === 0 ? grid : { show: false },
        size: 58,
        values: (_: uPlot, v: number[]) => v.map((n) => number_text(n)),
      })),
    ],
    series: [
      {},
      ...drawn.flatMap((d, i) => {
        const scale = scale_of(d);
        const edge = { scale, stroke: edge_color(i), width: 0.8, points: { show: false } };
        return [
          edge,
          edge,
          {
            scale,
            stroke: series_color(i),
            width: 1.6,
            points: { size: 4 }, // uPlot shows them where they are few or alone
          },
        ];
      }),
    ],
    bands: drawn.flatMap((d, i) =>
      has_band(d.points)
        ? [{ series: [i * 3 + 2, i * 3 + 1] as [number, number], fill: faded(i) }]
        : [],
    ),
  };
}

export function Plot({
  onHover,
}: {
  onHover: (i: number | null, data: uPlot.AlignedData) => void;
}) {
  const box = useRef<HTMLDivElement>(null);
  const drawn = chart_drawn.value;
  const dark = theme_is_dark();
  const shape = JSON.stringify([
    dark,
    chart_range.value.key,
    drawn.map((d) => [d.series, d.unit, d.loading, has_band(d.points)]),
  ]);
  useEffect(() => {
    const el = box.current!;
    let timer = 0;
    const list = chart_drawn.peek();
    const plot: uPlot = new uPlot(
      options(list, el.clientWidth || 600, (i) => onHover(i, plot?.data ?? [[]])),
      data_of(list),
      el,
    );
    const feed = () => {
      timer = 0;
      plot.setData(data_of(chart_drawn.peek()));
    };
    const stop = effect(() => {
      chart_rev.value;
      if (!timer) timer = window.setTimeout(feed, FEED_MS);
    });
    const tick = setInterval(feed, 2000);
    const sizes = new ResizeObserver(() => {
      if (el.clientWidth && el.clientWidth !== plot.width) {
        plot.setSize({ width: el.clientWidth, height: HEIGHT });
      }
    });
    sizes.observe(el);
    return () => {
      stop();
      clearTimeout(timer);
      clearInterval(tick);
      sizes.disconnect();
      plot.destroy();
    };
  }, [shape]);
  const units = [...new Set(drawn.map((d) => unit_text(d.unit)).filter(Boolean))].join(', ');
  return (
    <div
      class="plot"
      ref={box}
      role="img"
      aria-label={`Chart of ${drawn.length} values${units ? ` in ${units}` : ''}, last ${chart_range.value.label}`}
    />
  );
}
