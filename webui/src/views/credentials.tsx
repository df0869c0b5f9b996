// credentials.tsx - adding a device, what it may connect with, and its life cycle. A key or a
// password is shown once, in a dialog that offers it as a file.

import { useState } from 'preact/hooks';
import {
  bundle,
  credential_issue,
  credential_revoke,
  credentials,
  credentials_read,
  device_add,
  standing_set,
  stranger_decide,
  strangers,
  strangers_read,
  type StandingVerb,
} from '../store/credentials';
import { may_admin } from '../store/session';
import { save_file } from '../store/ui';
import type { Bundle, CredentialKind } from '../types';
import { Act, Age, CodeLine, Quiet } from '../ui/bits';
import { Confirm, Dialog } from '../ui/dialog';

function download(b: Bundle): void {
  save_file(`${b.endpoint}.json`, 'application/json', [JSON.stringify(b, null, 2), '\n']);
}

export function BundleDialog() {
  const b = bundle.value;
  if (!b) return null;
  const close = () => (bundle.value = null);
  return (
    <Dialog title={`Credential of ${b.endpoint}`} onClose={close}>
      <p>
        Shown once: Braid keeps no copy of the {b.kind === 'password' ? 'password' : 'key'}. The
        device connects to{' '}
        <code>
          {b.host}:{b.port}
        </code>
        .
      </p>
      {b.password && <CodeLine text={b.password} label="Copy the password" />}
      <p>With the file, try the example:</p>
      <CodeLine
        text={`/usr/bin/python3 docs/examples/device.py ${b.endpoint}.json`}
        label="Copy the line that runs the example"
      />
      <footer>
        <button type="button" onClick={close}>
          Close
        </button>
        <button type="button" class="primary" data-first onClick={() => download(b)}>
          Download {b.endpoint}.json
        </button>
      </footer>
    </Dialog>
  );
}

export function AddDevice() {
  const [endpoint, set_endpoint] = useState('');
  const [kind, set_kind] = useState<CredentialKind>('certificate');
  const [busy, set_busy] = useState(false);
  const submit = async (e: Event) => {
    e.preventDefault();
    set_busy(true);
    if (await device_add(endpoint.trim(), kind)) set_endpoint('');
    set_busy(false);
  };
  return (
    <section class="card page-narrow">
      <header class="card-head">
        <h2>Add a device</h2>
      </header>
      <form class="inline-form" onSubmit={(e) => void submit(e)}>
        <label class="field">
          <span>Name</span>
          <input
            required
            value={endpoint}
            maxLength={64}
            pattern="[A-Za-z0-9._:@=\-]+"
            title="Letters, digits and . _ : @ = -"
            autocomplete="off"
            spellcheck={false}
            onInput={(e) => set_endpoint(e.currentTarget.value)}
          />
        </label>
        <label class="field">
          <span>Connects with</span>
          <select value={kind} onChange={(e) => set_kind(e.currentTarget.value as CredentialKind)}>
            <option value="certificate">a certificate</option>
            <option value="password">a password</option>
          </select>
        </label>
        <button class="primary" disabled={busy}>
          Add device
        </button>
      </form>
      <Strangers />
      <BundleDialog />
    </section>
  );
}

function Strangers() {
  const list = strangers.value;
  return (
    <details onToggle={(e) => e.currentTarget.open && void strangers_read()}>
      <summary>Turned away</summary>
      {!list ? (
        <Quiet>Reading</Quiet>
      ) : list.length === 0 ? (
        <Quiet>Nobody waits. With devices.admission = known, strangers are listed here.</Quiet>
      ) : (
        <ul class="plain-list">
          {list.map((s) => (
            <li key={s.identity}>
              <b>{s.identity}</b>
              <span class="muted">
                {s.messages} messages, last <Age at={s.last_seen} ago />
              </span>
              <span class="spring" />
              <Act onPress={() => void stranger_decide(s.identity, 'accept')}>Accept</Act>
              <Act onPress={() => void stranger_decide(s.identity, 'refuse')}>Refuse</Act>
            </li>
          ))}
        </ul>
      )}
    </details>
  );
}

const SURE: Record<StandingVerb, string> = {
  suspend: 'It is cut off at once and kept out until it is resumed. Its history stays.',
  resume: 'Its credentials are good again.',
  retire: 'It is cut off for good: its certificates are revoked, its password is gone.',
};

function List({ endpoint }: { endpoint: string }) {
  const c = credentials.value;
  if (!c || c.endpoint !== endpoint) return <Quiet>Reading</Quiet>;
  const good = c.certificates.filter((x) => !x.revoked_at);
  const old = c.certificates.length - good.length;
  return (
    <>
      <ul class="plain-list">
        {good.map((x) => (
          <li key={x.serial}>
            <b>Certificate</b>
            <span class="muted" title={x.serial}>
              until {x.not_after?.slice(0, 10)}
            </span>
            {x.warning && <span class="tag tag-note">{x.warning}</span>}
            <span class="spring" />
            <Act onPress={() => void credential_revoke(endpoint, x.serial)}>Revoke</Act>
          </li>
        ))}
        {c.password && (
          <li>
            <b>Password</b>
            <span class="muted">
              set <Age at={c.password.set_at} ago /> by {c.password.set_by}
            </span>
            <span class="spring" />
            <Act onPress={() => void credential_revoke(endpoint, 'password')}>Revoke</Act>
          </li>
        )}
      </ul>
      {!good.length && !c.password && <Quiet>Braid has issued nothing that is good now.</Quiet>}
      {old > 0 && <p class="muted">{old} revoked</p>}
    </>
  );
}

export function DeviceAccess({ endpoint, standing }: { endpoint: string; standing?: string }) {
  const [verb, set_verb] = useState<StandingVerb | null>(null);
  const active = (standing ?? 'active') === 'active';
  return (
    <section class="card" aria-label="Access">
      <details onToggle={(e) => e.currentTarget.open && void credentials_read(endpoint)}>
        <summary>Access {!active && <span class="tag tag-note">{standing}</span>}</summary>
        <List endpoint={endpoint} />
        <p>
          {active && (
            <>
              <Act onPress={() => void credential_issue(endpoint, 'certificate')}>
                Issue certificate
              </Act>{' '}
              <Act onPress={() => void credential_issue(endpoint, 'password')}>Set password</Act>{' '}
              <Act onPress={() => set_verb('suspend')}>Suspend</Act>{' '}
            </>
          )}
          {standing === 'suspended' && <Act onPress={() => set_verb('resume')}>Resume</Act>}{' '}
          {may_admin.value && standing !== 'retired' && (
            <Act onPress={() => set_verb('retire')}>Retire</Act>
          )}
        </p>
      </details>
      {verb && (
        <Confirm
          title={`${verb[0]!.toUpperCase()}${verb.slice(1)} ${endpoint}?`}
          text={SURE[verb]}
          verb={`${verb[0]!.toUpperCase()}${verb.slice(1)}`}
          onYes={() => void standing_set(endpoint, verb)}
          onClose={() => set_verb(null)}
        />
      )}
      <BundleDialog />
    </section>
  );
}
