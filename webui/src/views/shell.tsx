// shell.tsx - the frame around every page: navigation, state of the live socket, messages.

import { useEffect, useRef } from 'preact/hooks';
import { count_text, rate_text, time_ms } from '../format';
import { live_retry, live_retry_at, live_state } from '../live';
import { route } from '../route';
import { fleet_forget, fleet_info, fleet_info_open } from '../store/fleet';
import { select_only } from '../store/selection';
import { logout, may_admin, session } from '../store/session';
import { now, theme, toast_close, toasts, type Theme } from '../store/ui';
import { ago_text } from '../format';
import { IconAuto, IconClose, IconMoon, IconSun, Mark } from '../ui/icons';
import type { Fleet } from '../types';
import { Admin } from './admin';
import { AuditPage } from './audit';
import { ConnectPage } from './connect';
import { DevicePage } from './device';
import { FleetPage } from './fleet';
import { GroupsPage } from './groups';
import { Login } from './login';
import { StorageNote, StoragePage } from './storage';
import { TimelinePage } from './timeline';

const NEXT_THEME: Record<Theme, Theme> = { auto: 'light', light: 'dark', dark: 'auto' };

export function ThemeButton() {
  const t = theme.value;
  const label = `Theme: ${t}. Switch to ${NEXT_THEME[t]}`;
  return (
    <button
      type="button"
      class="quiet"
      aria-label={label}
      title={label}
      onClick={() => (theme.value = NEXT_THEME[t])}
    >
      {t === 'auto' ? <IconAuto /> : t === 'light' ? <IconSun /> : <IconMoon />}
    </button>
  );
}

/** Whether what you see is live, in words; a lost socket offers to try at once. */
function LiveMark() {
  switch (live_state.value) {
    case 'live':
      return (
        <span class="live live-on" role="status" title="Values arrive as they change">
          Live
        </span>
      );
    case 'waiting': {
      const s = Math.max(0, Math.ceil((live_retry_at.value - Date.now()) / 1000));
      now.value;
      return (
        <button type="button" class="live live-off" onClick={live_retry} title="Try again now">
          Not live, retry in {s} s
        </button>
      );
    }
    default:
      return (
        <span class="live live-wait" role="status">
          Connecting
        </span>
      );
  }
}

const DROPPED_SHOWN_MS = 600_000;

/** Telemetry that is not read, not stored, or dropped by the broker lately. */
function loss_notes(t: Fleet['telemetry']): string[] {
  const notes: string[] = [];
  const since = t.since ? ` since ${ago_text(time_ms(t.since), now.value)}` : '';
  if (t.state === 'paused') {
    notes.push(
      `Telemetry is not read${since}; it waits in the broker, and Sparkplug states may be old. ${t.reason}`,
    );
  }
  if (t.state === 'refused') {
    notes.push(
      `Telemetry is being lost: ${count_text(t.samples_refused)} samples could be stored nowhere. ${t.reason}`,
    );
  }
  const dropped = time_ms(t.broker_dropped_at);
  if (dropped && now.value - dropped < DROPPED_SHOWN_MS) {
    notes.push(
      `The broker dropped messages ${ago_text(dropped, now.value)} ago ` +
        `(${count_text(t.broker_dropped)} since its start): a queue was full.`,
    );
  }
  return notes;
}

/** Speaks up only when a part of the server is away or telemetry does not flow. */
function PartsNote() {
  const f = fleet_info.value;
  if (!f) return null;
  const notes: string[] = [];
  const since = (at: string | null) => (at ? ` since ${ago_text(time_ms(at), now.value)}` : '');
  if (f.broker.lwm2m === 'down')
    notes.push(`Broker session for LwM2M is down${since(f.broker.since)}.`);
  if (f.broker.sparkplug === 'down') {
    notes.push(`Broker session for Sparkplug is down${since(f.broker.since)}.`);
  }
  if (f.database.state === 'down') {
    notes.push(
      `The database is away${since(f.database.since)}; ` +
        `${count_text(f.database.spooled_rows)} rows wait on disk, nothing is lost.`,
    );
  }
  notes.push(...loss_notes(f.telemetry));
  return notes.length ? (
    <div class="parts-note" role="alert">
      {notes.join(' ')}
    </div>
  ) : null;
}

function Nav() {
  const page = route.value.page;
  const link = (href: string, name: string, mine: boolean) => (
    <a href={href} aria-current={mine ? 'page' : undefined}>
      {name}
    </a>
  );
  // On a phone the row is wider than the window: the page one is on shall be in sight.
  const row = useRef<HTMLElement>(null);
  useEffect(() => {
    const here = row.current?.querySelector<HTMLElement>('[aria-current]');
    if (here) row.current!.scrollLeft = here.offsetLeft - row.current!.clientWidth / 2;
  }, [page]);
  return (
    <nav aria-label="Main" ref={row}>
      {link('/', 'Fleet', page === 'fleet' || page === 'device')}
      {link('/groups', 'Groups', page === 'groups')}
      {link('/timeline', 'Timeline', page === 'timeline')}
      {link('/storage', 'Storage', page === 'storage')}
      {may_admin.value && link('/audit', 'Audit', page === 'audit')}
      {link('/connect', 'Connect', page === 'connect')}
      {link('/admin', may_admin.value ? 'Admin' : 'Account', page === 'admin')}
    </nav>
  );
}

function Top() {
  const s = session.value!;
  const f = fleet_info.value;
  return (
    <header class="top">
      <a class="brand" href="/" aria-label="Braid, fleet">
        <Mark />
        <span>Braid</span>
      </a>
      <Nav />
      <div class="top-end">
        {f && (
          <span class="top-rate" title={`Braid ${f.version}`}>
            {rate_text(f.messages_per_s)} msg/s · {rate_text(f.metrics_per_s)} metrics/s
          </span>
        )}
        <LiveMark />
        <ThemeButton />
        <button
          type="button"
          class="quiet"
          onClick={() => void logout()}
          title={`Signed in as ${s.username} (${s.role})`}
        >
          Sign out
        </button>
      </div>
    </header>
  );
}

function Toasts() {
  return (
    <div class="toasts" role="log" aria-live="polite" aria-label="Messages">
      {toasts.value.map((t) => (
        <div key={t.id} class={`toast toast-${t.kind}`}>
          <span>
            {t.text} {t.code && <code>{t.code}</code>}
          </span>
          <button
            type="button"
            class="quiet"
            aria-label="Dismiss"
            onClick={() => toast_close(t.id)}
          >
            <IconClose />
          </button>
        </div>
      ))}
    </div>
  );
}

function Page() {
  const r = route.value;
  switch (r.page) {
    case 'fleet':
      return <FleetPage />;
    case 'device':
      return <DevicePage key={r.endpoint} endpoint={r.endpoint} />;
    case 'groups':
      return <GroupsPage />;
    case 'audit':
      return <AuditPage />;
    case 'timeline':
      return <TimelinePage />;
    case 'storage':
      return <StoragePage />;
    case 'connect':
      return <ConnectPage />;
    case 'admin':
      return <Admin />;
    case 'missing':
      return (
        <section class="card">
          <h1>No such page</h1>
          <p>
            <a href="/">To the fleet</a>
          </p>
        </section>
      );
  }
}

function Inside() {
  useEffect(() => {
    const stop = fleet_info_open();
    return () => {
      stop();
      fleet_forget();
      select_only([]);
    };
  }, []);
  const r = route.value;
  useEffect(() => {
    const name = r.page === 'device' ? r.endpoint : r.page[0]!.toUpperCase() + r.page.slice(1);
    document.title = `${name} · Braid`;
  }, [r]);
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(e) => {
          e.preventDefault();
          document.getElementById('main')?.focus();
        }}
      >
        Skip to content
      </a>
      <Top />
      <PartsNote />
      {r.page === 'fleet' && <StorageNote />}
      <main id="main" tabIndex={-1}>
        <Page />
      </main>
    </>
  );
}

export function Shell() {
  const s = session.value;
  return (
    <>
      {s === undefined ? (
        <div class="boot" role="status">
          Opening Braid
        </div>
      ) : s ? (
        <Inside />
      ) : (
        <Login />
      )}
      <Toasts />
    </>
  );
}
