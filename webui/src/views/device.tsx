// device.tsx - one device: the sentence first, then its evidence, its strands, its values, its story.
//
// A device with one strand gets a page of its own shape: the strand on the left, commands and
// timeline beside it, and nothing that hints at a missing half.

import { useEffect, useState } from 'preact/hooks';
import { curl_text } from '../curl';
import { date_time_text, rate_text, time_ms } from '../format';
import { go } from '../route';
import {
  device_error,
  device_forget,
  device_open,
  device_parts,
  device_summary,
  heard,
  models_ready,
} from '../store/device';
import { may_admin, may_engineer } from '../store/session';
import type { DeviceDetail, DeviceSummary } from '../types';
import { Act, Age, CopyButton, Problem, StatusChip } from '../ui/bits';
import { Confirm } from '../ui/dialog';
import { DeviceAccess } from './credentials';
import { DeviceChart } from './device_chart';
import { DeviceCommands, DeviceTimeline } from './device_log';
import { DeviceLabels } from './device_labels';
import { DeviceStorageLine } from './storage';
import { Lwm2mFacts, Lwm2mTree } from './device_lwm2m';
import { MetricTree, RebirthButton, SparkplugFacts } from './device_sparkplug';

const LINK_CAUSE: Record<string, string> = {
  message: 'heard',
  NDEATH: 'will (NDEATH) received',
  lost: 'will received',
  broker_lost: 'our broker session broke',
  restart: 'server restarted',
};

function Evidence({ d, detail }: { d: DeviceSummary; detail: DeviceDetail }) {
  const { lwm2m, sparkplug, link } = detail.evidence ?? {};
  const h = heard.value;
  const at = (base: string | null | undefined, live: number) =>
    Math.max(time_ms(base) ?? 0, live) || null;
  return (
    <p class="evidence">
      <span class={`link-${d.link}`}>
        Link {d.link}
        {link?.at && (
          <span title={link.detail ?? ''}>
            , {LINK_CAUSE[link.kind] ?? link.kind}{' '}
            <Age at={at(link.at, d.link === 'up' ? Math.max(h.lwm2m, h.sparkplug) : 0)} ago />
          </span>
        )}
      </span>
      {d.lwm2m && lwm2m && (
        <span class="s-lwm2m">
          LwM2M {lwm2m.kind} <Age at={at(lwm2m.at, h.lwm2m)} ago />
        </span>
      )}
      {d.sparkplug && sparkplug && (
        <span class="s-spb">
          Sparkplug {sparkplug.kind} <Age at={at(sparkplug.at, h.sparkplug)} ago />
        </span>
      )}
      {d.status_since && (
        <span title={date_time_text(time_ms(d.status_since))}>
          In this state for <Age at={d.status_since} />
        </span>
      )}
      <span class="num">{rate_text(d.messages_per_s)} msg/s</span>
    </p>
  );
}

function Identity({ d }: { d: DeviceSummary }) {
  const items = [
    [d.manufacturer, 'Manufacturer'],
    [d.model, 'Model'],
    [d.firmware && `firmware ${d.firmware}`, 'Firmware'],
    [d.serial && `serial ${d.serial}`, 'Serial'],
  ].filter(([v]) => v);
  if (!items.length) return null;
  return (
    <p class="identity">
      {items.map(([v, name]) => (
        <span title={name ?? ''}>{v}</span>
      ))}
    </p>
  );
}

function Hero({ d, detail }: { d: DeviceSummary; detail: DeviceDetail }) {
  const [sure, set_sure] = useState(false);
  const gone =
    d.status === 'offline' || d.status === 'lost' || d.status === 'never' || d.status === 'unknown';
  const path = `/devices/${encodeURIComponent(d.endpoint)}`;
  return (
    <section class={`hero st-${d.status}`}>
      <div class="hero-head">
        <a class="crumb" href="/">
          Fleet
        </a>
        <h1>{d.endpoint}</h1>
        <StatusChip status={d.status} />
        <span class="spring" />
        <CopyButton
          text={curl_text(location.origin, 'GET', path)}
          label="Copy as curl: this device"
        >
          curl
        </CopyButton>
        {may_admin.value && gone && <Act onPress={() => set_sure(true)}>Forget</Act>}
      </div>
      <p class="sentence" aria-live="polite">
        {d.sentence}
      </p>
      {d.fault && !d.sentence.includes(d.fault) && (
        <p class="fault" role="alert">
          <b>Fault</b> {d.fault}
        </p>
      )}
      <Evidence d={d} detail={detail} />
      <Identity d={d} />
      <DeviceLabels endpoint={d.endpoint} />
      <DeviceStorageLine endpoint={d.endpoint} />
      {sure && (
        <Confirm
          title={`Forget ${d.endpoint}?`}
          verb="Forget"
          onClose={() => set_sure(false)}
          text="Its record, history, timeline and commands are removed. It comes back when it registers again."
          onYes={() => void device_forget(d.endpoint).then((done) => done && go('/'))}
        />
      )}
    </section>
  );
}

function Lwm2mCard({ d, detail }: { d: DeviceSummary; detail: DeviceDetail }) {
  const s = d.lwm2m!;
  return (
    <section class="card strand-card card-lwm2m" aria-label="LwM2M">
      <header class="card-head">
        <h2>LwM2M</h2>
        <span class={`tag tag-${s.state}`}>{s.state}</span>
      </header>
      <Lwm2mFacts strand={s} detail={detail} heard_ms={heard.value.lwm2m} />
      <Lwm2mTree detail={detail} />
    </section>
  );
}

function SparkplugCard({ d, detail }: { d: DeviceSummary; detail: DeviceDetail }) {
  const s = d.sparkplug!;
  return (
    <section class="card strand-card card-spb" aria-label="Sparkplug">
      <header class="card-head">
        <h2>Sparkplug</h2>
        <span class={`tag tag-${s.state}`}>{s.state}</span>
        {!s.conformant && (
          <span class="tag tag-note" title="Short topics without an edge node birth">
            non-conformant births
          </span>
        )}
        <span class="spring" />
        <RebirthButton endpoint={d.endpoint} />
      </header>
      <SparkplugFacts strand={s} detail={detail} heard_ms={heard.value.sparkplug} />
      <MetricTree detail={detail} />
    </section>
  );
}

function Silent() {
  return (
    <section class="card">
      <h2>Nothing heard yet</h2>
      <p class="muted">
        This name is known, but neither strand has spoken.{' '}
        <a href="/connect">How devices connect</a>
      </p>
    </section>
  );
}

export function DevicePage({ endpoint }: { endpoint: string }) {
  useEffect(() => device_open(endpoint), [endpoint]);
  useEffect(() => {
    const key = (e: KeyboardEvent) => {
      if (
        e.key !== '/' ||
        e.ctrlKey ||
        e.metaKey ||
        (e.target as Element).closest('input, textarea, dialog')
      )
        return;
      e.preventDefault();
      document.querySelector<HTMLElement>('.find')?.focus();
    };
    addEventListener('keydown', key);
    return () => removeEventListener('keydown', key);
  }, []);
  const d = device_summary.value;
  const detail = device_parts.value;
  const error = device_error.value;
  if (error && (!d || error.status === 404)) {
    return (
      <section class="card page-narrow">
        <h1>{endpoint}</h1>
        <Problem
          text={error.status === 404 ? 'No device of this name has been seen.' : error.message}
          code={error.code}
        />
        <p>
          <a href="/">To the fleet</a> or <a href="/connect">connect a device</a>
        </p>
      </section>
    );
  }
  if (!d || !detail || d.endpoint !== endpoint || !models_ready.value) {
    return (
      <p class="quiet-note" role="status">
        Reading {endpoint}
      </p>
    );
  }
  return (
    <>
      <Hero d={d} detail={detail} />
      <DeviceChart />
      <div class="columns">
        <div class="column">
          {d.lwm2m ? (
            <Lwm2mCard d={d} detail={detail} />
          ) : d.sparkplug ? (
            <SparkplugCard d={d} detail={detail} />
          ) : (
            <Silent />
          )}
        </div>
        <div class="column">
          {d.lwm2m && d.sparkplug && <SparkplugCard d={d} detail={detail} />}
          {(d.lwm2m || d.sparkplug) && <DeviceCommands endpoint={endpoint} />}
          <DeviceTimeline />
          {may_engineer.value && <DeviceAccess endpoint={endpoint} standing={d.standing} />}
        </div>
      </div>
    </>
  );
}
