// credentials.ts - what a device may connect with, and who waits to be let in. Secrets are in the
// answer that made them and in `bundle` until its dialog closes; nothing else here has any.

import { signal } from '@preact/signals';
import { api } from '../api';
import type { Bundle, CredentialKind, Credentials, Stranger } from '../types';
import { attempt, toast } from './ui';

export const credentials = signal<Credentials | null>(null);
export const strangers = signal<Stranger[] | null>(null);
/** Just issued: shown once. */
export const bundle = signal<Bundle | null>(null);

export async function credentials_read(endpoint: string): Promise<void> {
  credentials.value = null;
  await attempt(async () => (credentials.value = await api.credentials(endpoint)));
}

const BROKER: Record<string, string> = {
  synced: '',
  pending: '. The broker has not heard of it yet',
  not_managed: ". The broker's files are not kept by this server",
};

export const device_add = (endpoint: string, kind: CredentialKind) =>
  attempt(async () => (bundle.value = await api.device_add(endpoint, kind)));

export const credential_issue = (endpoint: string, kind: CredentialKind) =>
  attempt(async () => {
    bundle.value = await api.credential_issue(endpoint, kind);
    await credentials_read(endpoint);
  });

export const credential_revoke = (endpoint: string, which: string) =>
  attempt(async () => {
    const { broker } = await api.credential_revoke(endpoint, which);
    toast('ok', `Revoked${BROKER[broker] ?? ''}`);
    await credentials_read(endpoint);
  });

export type StandingVerb = 'suspend' | 'resume' | 'retire';

export const standing_set = (endpoint: string, verb: StandingVerb) =>
  attempt(async () => {
    const { state, broker } = await api.standing_set(endpoint, verb);
    toast('ok', `${endpoint} is ${state}${BROKER[broker] ?? ''}`);
    await credentials_read(endpoint);
  });

export async function strangers_read(): Promise<void> {
  await attempt(async () => (strangers.value = (await api.strangers()).items));
}

export const stranger_decide = (identity: string, verb: 'accept' | 'refuse') =>
  attempt(async () => {
    await api.stranger_decide(identity, verb);
    toast('ok', `${identity} ${verb}ed`);
    await strangers_read();
  });
