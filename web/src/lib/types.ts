/** What the node's HTTP API answers with. Times are UTC milliseconds, ratios run from 0 to 1. */

export type Role = "viewer" | "operator" | "approver" | "admin";
export type Severity = "info" | "minor" | "major" | "critical";
export type IncidentState = "open" | "acknowledged" | "resolved";
export type ShipState = "well" | "attention" | "trouble";

export interface Vessel {
  id: string;
  name: string;
}

export interface Session {
  name: string;
  role: Role;
  vessel: Vessel;
}

export interface Disk {
  mountpoint: string;
  used_ratio: number | null;
  size_bytes: number | null;
}

export interface Status {
  vessel: Vessel;
  version: string;
  now: number;
  started: number;
  state: ShipState;
  open: { critical: number; major: number; minor: number };
  assets: number;
  sources: { total: number; silent: number };
  mail: { configured: boolean; queued: number; dead: number };
  host: {
    cpu_ratio: number | null;
    memory_ratio: number | null;
    load1: number | null;
    disks: Disk[];
  };
  disk: { data_bytes: number; free_bytes: number };
}

export interface Incident {
  id: string;
  number: number;
  title: string;
  state: IncidentState;
  severity: Severity;
  opened: number;
  acknowledged: number | null;
  acknowledged_by: string | null;
  acknowledged_by_name?: string | null;
  resolved: number | null;
  reopened_count: number;
  assets: string[];
  signals: string[];
}

export interface Sample {
  time: number;
  value: number | null;
}

export interface Band {
  low: number;
  high: number;
}

export interface Evidence {
  observed: number | null;
  unit: string;
  expected: Band | null;
  detail: string;
  query: string;
  recent: Sample[];
}

export interface Signal {
  id: string;
  asset: string;
  rule: { kind: "anomaly" | "rule" | "silence"; name: string };
  metric: string;
  labels: Record<string, string>;
  title: string;
  severity: Severity;
  score: number;
  direction: "up" | "down" | "none";
  started: number;
  raised: number;
  ended: number | null;
  input: number;
  evidence: Evidence;
}

export interface Because {
  rule: string;
  text: string;
  against: string;
}

export interface TimelineEntry {
  entry: number;
  recorded: number;
  kind: string;
  text: string;
  by: string | null;
}

export interface Message {
  id: number | string;
  recipient: string;
  subject: string;
  state: "queued" | "delivered" | "dead";
  queued: number;
  attempts: number;
  last_error: string | null;
  next_attempt: number | null;
  delivered: number | null;
}

export interface IncidentDetail {
  incident: Incident;
  signals: Signal[];
  because: { signal: string; because: Because }[];
  timeline: TimelineEntry[];
  messages: Message[];
}

export interface Rejection {
  reason: string;
  count: number;
  example?: string | null;
}

export interface SourceStats {
  name: string;
  received: number;
  accepted: number;
  bytes: number;
  last_received: number | null;
  lag_ms: number | null;
  rejected: Rejection[];
  lost: Rejection[];
}

export interface UnknownSender {
  sender: string;
  source: string;
  reason: string;
  count: number;
  first: number;
  last: number;
}

export interface Pipeline {
  intake: {
    first: number;
    last: number;
    bytes: number;
    segments: number;
    bytes_max: number;
    readers: { name: string; cursor: number; lag_records: number }[];
    damaged_records: number;
    refused: number;
  };
  sources: SourceStats[];
  metrics: {
    series: number;
    samples_head: number;
    blocks: number;
    bytes: number;
    stored: number;
    late: number;
    duplicate: number;
    future: number;
    over_limit: number;
  };
  logs: { rows_buffered: number; files: number; bytes: number; stored: number };
  /** The store outside that has taken over the logs, where there is one. */
  outside_logs?: OutsideLogs | null;
  engine: {
    series: number;
    signals_open: number;
    incidents_open: number;
    facts: number;
    step_seconds_total: number;
  };
  journal: { entries: number; sealed: number };
  notify: { queued: number; delivered: number; dead: number };
  unknown_senders: UnknownSender[];
}

export interface OutsideLogs {
  kind: string;
  url: string;
  sent_rows: number;
  refused_rows: number;
  waiting_rows: number;
  spill_rows: number;
  spill_bytes: number;
  last_error: string | null;
}

export interface Answer {
  status: "answered" | "clarify" | "refused";
  text: string;
  data: unknown;
  query: unknown;
  evidence: unknown;
}

export interface MatrixSeries {
  metric: Record<string, string>;
  values: [number, string][];
}
