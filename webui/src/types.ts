// types.ts - the shapes the server sends, written down by hand in agreement with docs/openapi.yaml.
// Names stay as they are on the wire (snake_case), so that a value seen in curl is found here.

export type Role = 'viewer' | 'operator' | 'engineer' | 'admin';
export type Status = 'online' | 'degraded' | 'sleeping' | 'lost' | 'offline' | 'unknown' | 'never';

/** A value as JSON carries it: integers beyond 2^53 and opaques arrive as strings. */
export type Value = string | number | boolean | null | Value[] | { [key: string]: Value };

export interface Session {
  username: string;
  role: Role;
  csrf: string;
}

export interface Lwm2mStrand {
  state: 'registered' | 'expired' | 'deregistered';
  dialect: string;
  version: string | null;
  lifetime: number;
  binding: string | null;
  queue_mode: boolean;
  registered_at: string | null;
  updated_at: string | null;
  expires_at: string | null;
  observations: number;
  resources: number;
}

export interface SparkplugStrand {
  state: 'born' | 'dead' | 'stale';
  group: string;
  edge_node: string;
  bd_seq: number | null;
  seq: number | null;
  born_at: string | null;
  died_at: string | null;
  conformant: boolean;
  devices: number;
  devices_born: number;
  metrics: number;
  sequence_gaps: number;
  lost_messages: number;
  rebirths: number;
  last_rebirth: { at: string; cause: string } | null;
}

export interface DeviceSummary {
  endpoint: string;
  status: Status;
  sentence: string;
  standing?: 'active' | 'suspended' | 'retired';
  link: 'up' | 'lost' | 'unknown';
  status_since: string | null;
  last_seen: string | null;
  fault: string | null;
  manufacturer: string | null;
  model: string | null;
  firmware: string | null;
  serial: string | null;
  messages_per_s: number;
  lost_samples: number;
  lwm2m: Lwm2mStrand | null;
  sparkplug: SparkplugStrand | null;
}

export type CredentialKind = 'certificate' | 'password';

/** What was just issued; key and password are in this answer only. */
export interface Bundle {
  endpoint: string;
  kind: CredentialKind;
  host: string;
  port: number;
  serial?: string;
  not_after?: string | null;
  certificate?: string;
  key?: string;
  username?: string;
  password?: string;
  ca: string | null;
  broker: string;
}

export interface Certificate {
  serial: string;
  not_after: string | null;
  issued_by: string;
  revoked_at: string | null;
  days_left: number;
  warning: string | null;
}

export interface Credentials {
  endpoint: string;
  state: 'active' | 'suspended' | 'retired';
  password: { set_at: string; set_by: string } | null;
  certificates: Certificate[];
}

export interface Stranger {
  identity: string;
  why: string;
  first_seen: string;
  last_seen: string;
  messages: number;
}

export interface Evidence {
  at: string | null;
  kind: string;
  detail?: string | null;
}

export interface DeviceObject {
  id: number;
  name: string | null;
  version: string | null;
  instances: number[];
}

export interface Resource {
  path: string;
  series: string;
  value: Value;
  type: string | null;
  at: string | null;
  source: 'registration' | 'read' | 'notify' | 'send' | 'write';
  quality: Quality;
  observed: boolean;
}

export interface Observation {
  token: string;
  path?: string;
  paths?: string[];
  since: string | null;
  last_notify: string | null;
  notifies: number;
}

export interface SubDevice {
  device: string;
  state: 'born' | 'dead' | 'stale';
  born_at: string | null;
  died_at: string | null;
}

export type Quality = 'good' | 'bad' | 'stale' | 'null' | 'bad_time';

export interface Metric {
  series: string;
  device: string | null;
  name: string;
  datatype: string;
  value: Value;
  quality: Quality;
  at: string | null;
  unit: string | null;
  writable: boolean;
}

export interface Labels {
  endpoint: string;
  tags: Record<string, string>;
  groups: string[];
}

export interface LabelOutcome {
  endpoint: string;
  result: 'changed' | 'unchanged' | 'failed';
  code?: string;
  detail?: string;
}

export interface LabelResult {
  matched: number;
  changed: number;
  unchanged: number;
  failed: number;
  items: LabelOutcome[];
}

export interface AuditEntry {
  id: number;
  at: string;
  who: string;
  from: string;
  action: string;
  target: string;
  result: string;
  detail: { [key: string]: Value } | null;
}

export interface Group {
  name: string;
  devices: number;
  created_at: string;
}

export interface DeviceDetail extends DeviceSummary {
  evidence: { lwm2m: Evidence | null; sparkplug: Evidence | null; link: Evidence | null };
  objects: DeviceObject[];
  resources: Resource[];
  observations: Observation[];
  sparkplug_devices: SubDevice[];
  metrics: Metric[];
}

export type PartState = 'up' | 'down';

export interface Fleet {
  devices: number;
  by_status: Partial<Record<Status, number>>;
  lwm2m_active: number;
  sparkplug_online: number;
  messages_per_s: number;
  metrics_per_s: number;
  broker: { sparkplug: PartState; lwm2m: PartState; since: string | null };
  database: { state: PartState; since: string | null; spooled_rows: number };
  telemetry: {
    state: 'flowing' | 'paused' | 'refused';
    since: string | null;
    reason: string | null;
    samples_refused: number;
    messages_lost: number;
    broker_dropped: number;
    broker_dropped_at: string | null;
  };
  started_at: string;
  version: string;
}

export interface Page<T> {
  items: T[];
  next: string | null;
}

export interface Series {
  series: string;
  source: 'lwm2m' | 'sparkplug';
  datatype: string;
  unit: string | null;
  numeric: boolean;
  last_at: string | null;
}

/** Raw points are [ts, value]; bucketed points are [ts, min, max, avg, n, last]. */
export interface History {
  series: string;
  unit: string | null;
  from: string;
  to: string;
  bucket_ms: number;
  points: number[][];
}

export interface TimelineItem {
  /** null on the live socket: it tells an entry before the database has numbered it. */
  id: string | number | null;
  at: string;
  strand: 'lwm2m' | 'sparkplug' | 'braid' | 'command';
  kind: string;
  text: string;
  detail: { [key: string]: Value } | null;
  endpoint?: string;
}

export type CommandState =
  | 'queued'
  | 'sent'
  | 'accepted'
  | 'observed'
  | 'succeeded'
  | 'failed'
  | 'timed_out'
  | 'expired'
  | 'cancelled'
  | 'unknown';

export interface PathValue {
  path: string;
  value: Value;
  type?: string;
}

export interface CommandRequest {
  op: string;
  path?: string;
  value?: Value;
  values?: PathValue[];
  args?: string;
  attributes?: { [name: string]: number | boolean | null };
  instance?: number;
  paths?: string[];
  observation?: string;
  metric?: string;
  device?: string;
  datatype?: string;
}

export interface CommandResult {
  code: string;
  values?: PathValue[];
  links?: unknown;
  path?: string;
  error?: string;
}

export interface Command {
  id: string | number;
  endpoint: string;
  op: string;
  request: CommandRequest;
  state: CommandState;
  why: string | null;
  created_at: string;
  sent_at: string | null;
  finished_at: string | null;
  by: string | null;
  result: CommandResult | null;
}

export interface ModelResource {
  id: number;
  name: string;
  op: '' | 'R' | 'W' | 'RW' | 'E';
  multiple: boolean | string;
  mandatory: boolean | string;
  type: string;
  range: string;
  units: string;
}

export interface ModelObject {
  id: number;
  name: string;
  version: string;
  urn: string;
  multiple: boolean | string;
  mandatory: boolean | string;
  resources: ModelResource[];
}

export interface Connect {
  host: string;
  tls_port: number | null;
  tls_password_port: number | null;
  plain_port: number | null;
  websocket_port: number | null;
  host_id: string;
  examples: { mosquitto_pub?: string; lwm2m_topic?: string; sparkplug_topic?: string };
}

export interface User {
  username: string;
  role: Role;
  created_at?: string | null;
}

export interface Token {
  id: string | number;
  name: string;
  role: Role;
  created_at?: string | null;
  expires_at?: string | null;
  last_used_at?: string | null;
  token?: string;
}

export interface Problem {
  type?: string;
  title?: string;
  status?: number;
  code?: string;
  detail?: string;
  command?: Command;
}

// ---- live socket --------------------------------------------------------------------------------

export type LiveTopic = 'fleet' | 'device' | 'commands' | 'timeline';
export type LiveValue = [
  endpoint: string,
  series: string,
  ts_ms: number,
  value: Value,
  quality?: Quality | null,
];

export interface LiveOp {
  op: 'snapshot' | 'delta' | 'resync' | 'error' | 'ping';
  id?: string;
  ver?: number;
  done?: boolean;
  devices?: (DeviceSummary & Partial<DeviceDetail>)[];
  removed?: string[];
  values?: LiveValue[];
  events?: TimelineItem[];
  commands?: Command[];
  code?: string;
  detail?: string;
}
