// admin.tsx - the own account; for administrators also users and API tokens.

import { useEffect, useState } from 'preact/hooks';
import {
  admin_open,
  fresh_token,
  token_add,
  token_remove,
  tokens,
  user_add,
  user_password,
  user_remove,
  users,
} from '../store/admin';
import { logout, may_admin, session } from '../store/session';
import type { Role } from '../types';
import { Act, Age, CodeLine, Fact, Quiet } from '../ui/bits';
import { Confirm, Dialog, FormEnd } from '../ui/dialog';

const ROLES: Role[] = ['viewer', 'operator', 'engineer', 'admin'];

function RoleSelect({ value, onRole }: { value: Role; onRole: (r: Role) => void }) {
  return (
    <label class="field">
      <span>Role</span>
      <select value={value} onChange={(e) => onRole(e.currentTarget.value as Role)}>
        {ROLES.map((r) => (
          <option value={r}>{r}</option>
        ))}
      </select>
    </label>
  );
}

function AddUser() {
  const [name, set_name] = useState('');
  const [password, set_password] = useState('');
  const [role, set_role] = useState<Role>('operator');
  const submit = async (e: Event) => {
    e.preventDefault();
    if (!(await user_add(name, role, password))) return;
    set_name('');
    set_password('');
  };
  return (
    <form class="inline-form" onSubmit={(e) => void submit(e)}>
      <label class="field">
        <span>New user</span>
        <input
          required
          value={name}
          autocomplete="off"
          spellcheck={false}
          onInput={(e) => set_name(e.currentTarget.value)}
        />
      </label>
      <label class="field">
        <span>Password</span>
        <input
          required
          type="password"
          value={password}
          autocomplete="new-password"
          onInput={(e) => set_password(e.currentTarget.value)}
        />
      </label>
      <RoleSelect value={role} onRole={set_role} />
      <button class="primary">Add user</button>
    </form>
  );
}

function PasswordDialog({ username, onClose }: { username: string; onClose: () => void }) {
  const [password, set_password] = useState('');
  const submit = async (e: Event) => {
    e.preventDefault();
    if (await user_password(username, password)) onClose();
  };
  return (
    <Dialog title={`Password of ${username}`} onClose={onClose}>
      <form onSubmit={(e) => void submit(e)}>
        <label class="field">
          <span>New password</span>
          <input
            required
            type="password"
            value={password}
            autocomplete="new-password"
            onInput={(e) => set_password(e.currentTarget.value)}
          />
        </label>
        <FormEnd verb="Change" onClose={onClose} />
      </form>
    </Dialog>
  );
}

function Users() {
  const [password_of, set_password_of] = useState<string | null>(null);
  const [remove, set_remove] = useState<string | null>(null);
  const list = users.value;
  return (
    <section class="card page-narrow">
      <header class="card-head">
        <h2>Users</h2>
      </header>
      {!list ? (
        <Quiet>Reading users</Quiet>
      ) : (
        <ul class="plain-list">
          {list.map((u) => (
            <li key={u.username}>
              <b>{u.username}</b>
              <span class="tag">{u.role}</span>
              <span class="spring" />
              <Act onPress={() => set_password_of(u.username)}>Password</Act>
              <Act
                may={u.username !== session.value?.username}
                onPress={() => set_remove(u.username)}
              >
                Remove
              </Act>
            </li>
          ))}
        </ul>
      )}
      <AddUser />
      {password_of && (
        <PasswordDialog username={password_of} onClose={() => set_password_of(null)} />
      )}
      {remove && (
        <Confirm
          title={`Remove ${remove}?`}
          text="Their sessions end at once."
          verb="Remove"
          onYes={() => void user_remove(remove)}
          onClose={() => set_remove(null)}
        />
      )}
    </section>
  );
}

const SPANS = [
  { name: 'never', days: 0 },
  { name: 'in 30 days', days: 30 },
  { name: 'in a year', days: 365 },
];

function Tokens() {
  const [name, set_name] = useState('');
  const [role, set_role] = useState<Role>('operator');
  const [days, set_days] = useState(365);
  const submit = async (e: Event) => {
    e.preventDefault();
    const until = days ? new Date(Date.now() + days * 86_400_000).toISOString() : null;
    if (await token_add(name, role, until)) set_name('');
  };
  const list = tokens.value;
  return (
    <section class="card page-narrow">
      <header class="card-head">
        <h2>API tokens</h2>
      </header>
      {fresh_token.value?.token && (
        <div class="fresh">
          <p>Shown once. Keep it: the server stores only its fingerprint.</p>
          <CodeLine text={`export BRAID_TOKEN=${fresh_token.value.token}`} label="Copy the token" />
        </div>
      )}
      {!list ? (
        <Quiet>Reading tokens</Quiet>
      ) : list.length === 0 ? (
        <Quiet>No tokens yet.</Quiet>
      ) : (
        <ul class="plain-list">
          {list.map((t) => (
            <li key={t.id}>
              <b>{t.name}</b>
              <span class="tag">{t.role}</span>
              <span class="muted">
                {t.created_at && (
                  <>
                    made <Age at={t.created_at} ago />
                  </>
                )}
                {t.expires_at && ` · until ${t.expires_at.slice(0, 10)}`}
              </span>
              <span class="spring" />
              <Act onPress={() => void token_remove(t.id)}>Remove</Act>
            </li>
          ))}
        </ul>
      )}
      <form class="inline-form" onSubmit={(e) => void submit(e)}>
        <label class="field">
          <span>New token</span>
          <input
            required
            value={name}
            placeholder="what it is for"
            autocomplete="off"
            onInput={(e) => set_name(e.currentTarget.value)}
          />
        </label>
        <RoleSelect value={role} onRole={set_role} />
        <label class="field">
          <span>Expires</span>
          <select value={String(days)} onChange={(e) => set_days(Number(e.currentTarget.value))}>
            {SPANS.map((s) => (
              <option value={String(s.days)}>{s.name}</option>
            ))}
          </select>
        </label>
        <button class="primary">Make token</button>
      </form>
    </section>
  );
}

export function Admin() {
  useEffect(() => {
    if (may_admin.value) admin_open();
  }, [may_admin.value]);
  const s = session.value!;
  return (
    <>
      <section class="card page-narrow">
        <header class="card-head">
          <h1>{may_admin.value ? 'Admin' : 'Account'}</h1>
        </header>
        <dl class="facts">
          <Fact name="Signed in as">{s.username}</Fact>
          <Fact name="Role">{s.role}</Fact>
        </dl>
        <button type="button" onClick={() => void logout()}>
          Sign out
        </button>
      </section>
      {may_admin.value && (
        <>
          <Users />
          <Tokens />
        </>
      )}
    </>
  );
}
