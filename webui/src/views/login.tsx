// login.tsx - the door.

import { useEffect, useRef, useState } from 'preact/hooks';
import { login, login_busy, login_error } from '../store/session';
import { Problem } from '../ui/bits';
import { Mark } from '../ui/icons';
import { ThemeButton } from './shell';

export function Login() {
  const [username, set_username] = useState('');
  const [password, set_password] = useState('');
  const first = useRef<HTMLInputElement>(null);
  useEffect(() => {
    document.title = 'Sign in · Braid';
    first.current?.focus();
  }, []);
  const submit = (e: Event) => {
    e.preventDefault();
    void login(username, password);
  };
  return (
    <main class="login">
      <form class="card" onSubmit={submit}>
        <div class="login-head">
          <Mark />
          <h1>Braid</h1>
          <ThemeButton />
        </div>
        <p class="muted">LwM2M and Sparkplug, one connection per device.</p>
        <label>
          User name
          <input
            ref={first}
            name="username"
            autocomplete="username"
            required
            value={username}
            autocapitalize="none"
            spellcheck={false}
            onInput={(e) => set_username(e.currentTarget.value)}
          />
        </label>
        <label>
          Password
          <input
            name="password"
            type="password"
            autocomplete="current-password"
            required
            value={password}
            onInput={(e) => set_password(e.currentTarget.value)}
          />
        </label>
        {login_error.value && (
          <Problem text={login_error.value.text} code={login_error.value.code} />
        )}
        <button class="primary" disabled={login_busy.value}>
          {login_busy.value ? 'Signing in' : 'Sign in'}
        </button>
      </form>
    </main>
  );
}
