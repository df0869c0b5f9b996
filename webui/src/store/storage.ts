// storage.ts - disk use, classes and rules of history. Read when the page opens and after each change;
// the overview asks for the forecast every ten minutes.

import { signal } from '@preact/signals';
import { all_pages, api } from '../api';
import type {
  RetentionDays,
  RetentionRule,
  RetentionRuleEdit,
  SeriesStorage,
  StorageDevice,
  StorageReport,
} from '../storage';
import { attempt, toast } from './ui';

const FORECAST_MS = 600_000;

export const storage = signal<StorageReport | null>(null);
export const storage_devices = signal<StorageDevice[] | null>(null);
export const rules = signal<RetentionRule[] | null>(null);
/** Of the device on screen. */
export const device_storage = signal<StorageDevice | null>(null);

async function read(): Promise<void> {
  storage.value = await api.storage();
}

async function read_rules(): Promise<void> {
  rules.value = (await api.rules()).items;
}

export function storage_open(): void {
  void attempt(read);
  void attempt(read_rules);
  void attempt(async () => (storage_devices.value = (await api.storage_devices(20)).items));
}

/** forecast_open keeps the report for the overview's warning; it is no error when it cannot be had. */
export function forecast_open(): () => void {
  const ask = () => void read().catch(() => undefined);
  ask();
  const timer = setInterval(ask, FORECAST_MS);
  return () => clearInterval(timer);
}

export function device_storage_open(endpoint: string): () => void {
  let open = true;
  device_storage.value = null;
  void api
    .device_storage(endpoint)
    .then((got) => open && (device_storage.value = got))
    .catch(() => undefined);
  return () => {
    open = false;
    device_storage.value = null;
  };
}

/** Of the device whose dialog is open. */
export const series_classes = signal<{ series: SeriesStorage[]; classes: string[] } | null>(null);

export function series_classes_open(endpoint: string): () => void {
  let open = true;
  void attempt(async () => {
    const [series, classes] = await Promise.all([
      all_pages((cursor) => api.series_storage(endpoint, cursor)),
      api.classes(),
    ]);
    series.sort((a, b) => b.bytes - a.bytes);
    if (open) series_classes.value = { series, classes: classes.items.map((c) => c.name) };
  });
  return () => {
    open = false;
    series_classes.value = null;
  };
}

/** series_class_put gives a series a class of its own; null: that of the rules again. */
export const series_class_put = (endpoint: string, series: string, name: string | null) =>
  attempt(async () => {
    const now = await api.series_class_put(endpoint, series, name);
    const of = series_classes.value;
    if (of)
      series_classes.value = {
        ...of,
        series: of.series.map((s) => (s.series === series ? { ...s, ...now } : s)),
      };
    toast('ok', `${series} is in class ${now.class}`);
  });

const changed = (words: string, work: () => Promise<unknown>) =>
  attempt(async () => {
    await work();
    toast('ok', words);
    await Promise.all([read(), read_rules()]);
  });

export const class_put = (name: string, days: RetentionDays) =>
  changed(`Class ${name} saved`, () => api.class_put(name, days));

export const class_remove = (name: string) =>
  changed(`Class ${name} deleted`, () => api.class_remove(name));

export const rule_add = (rule: RetentionRuleEdit) =>
  changed('Rule added; it is for what is packed from now on', () => api.rule_add(rule));

export const rule_remove = (id: number) => changed('Rule deleted', () => api.rule_remove(id));
