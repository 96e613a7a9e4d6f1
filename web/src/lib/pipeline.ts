import type { Pipeline, Rejection, SourceStats } from "./types";

/** Two readings of the counters, to tell how fast they rise. */
export interface Reading {
  at: number;
  pipeline: Pipeline;
}

/** Readings older than this are left out of a rate. */
export const RATE_WINDOW_MS = 60_000;

/** Adds a reading and forgets those outside the window, but always keeps two. */
export function keepReadings(readings: Reading[], next: Reading): Reading[] {
  const kept = readings.filter((reading) => next.at - reading.at <= RATE_WINDOW_MS && reading.at < next.at);
  return [...kept, next];
}

/** How fast a counter rises, per second; `null` until there are two readings, or when it was reset. */
export function rate(readings: Reading[], pick: (pipeline: Pipeline) => number | undefined): number | null {
  const first = readings[0];
  const last = readings.at(-1);
  if (first === undefined || last === undefined || last.at - first.at < 1_000) return null;
  const before = pick(first.pipeline);
  const after = pick(last.pipeline);
  if (before === undefined || after === undefined || after < before) return null;
  return ((after - before) * 1_000) / (last.at - first.at);
}

/** `12.4/s`, `3/min`, or that nothing comes. */
export function rateText(perSecond: number | null): string {
  if (perSecond === null) return "";
  if (perSecond === 0) return "0/s";
  if (perSecond >= 100) return `${Math.round(perSecond)}/s`;
  if (perSecond >= 1) return `${Number(perSecond.toFixed(1))}/s`;
  return `${Math.max(1, Math.round(perSecond * 60))}/min`;
}

export const total = (rejections: Rejection[]) => rejections.reduce((sum, { count }) => sum + count, 0);

/** A source that has lost or rejected something comes first, then by name. */
export function sortSources(sources: SourceStats[]): SourceStats[] {
  const trouble = (source: SourceStats) => (total(source.lost) > 0 ? 2 : total(source.rejected) > 0 ? 1 : 0);
  return [...sources].sort((a, b) => trouble(b) - trouble(a) || a.name.localeCompare(b.name));
}

/** Everything that did not get where it should, over all stages: one line each, worst first. */
export interface Complaint {
  stage: string;
  what: string;
  count: number;
  lost: boolean;
}

/** Lists what was lost, refused or rejected anywhere. */
export function complaints(pipeline: Pipeline): Complaint[] {
  const { intake, metrics, notify, sources } = pipeline;
  const found: Complaint[] = [
    { stage: "intake", what: "damaged records", count: intake.damaged_records, lost: true },
    { stage: "intake", what: "refused, told to come back", count: intake.refused, lost: false },
    { stage: "metrics", what: "samples too far in the future", count: metrics.future, lost: true },
    { stage: "metrics", what: "samples over the series limit", count: metrics.over_limit, lost: true },
    { stage: "mail", what: "messages given up", count: notify.dead, lost: true },
    ...sources.flatMap((source) => [
      ...source.lost.map(({ reason, count }) => ({ stage: source.name, what: reason, count, lost: true })),
      ...source.rejected.map(({ reason, count }) => ({ stage: source.name, what: reason, count, lost: false })),
    ]),
  ];
  return found
    .filter(({ count }) => count > 0)
    .sort((a, b) => Number(b.lost) - Number(a.lost) || b.count - a.count);
}

/** How full the intake log is, 0..=1. */
export function intakeFill({ intake }: Pipeline): number {
  return intake.bytes_max > 0 ? intake.bytes / intake.bytes_max : 0;
}

/** One line of the stage table; `null` where a stage has no such thing. */
export interface StageRow {
  name: string;
  unit: string;
  stored: number;
  waiting: number | null;
  late: number | null;
  duplicate: number | null;
  rejected: number | null;
  /** Records that the stage has yet to read from the intake log. */
  lag: number | null;
  bytes: number | null;
}

/** Lays every stage out in the same columns, in the order in which a record passes them. */
export function stageRows({ intake, metrics, logs, outside_logs, engine, journal, notify }: Pipeline): StageRow[] {
  const none = { waiting: null, late: null, duplicate: null, rejected: null, lag: null, bytes: null };
  const lag = (...names: string[]) => intake.readers.find(({ name }) => names.includes(name))?.lag_records ?? null;
  const kept = intake.last > 0 ? intake.last - intake.first + 1 : 0;
  const refused = metrics.future + metrics.over_limit;
  return [
    { ...none, name: "Intake log", unit: "records kept", stored: kept, rejected: intake.refused, bytes: intake.bytes },
    {
      name: "Metrics",
      unit: "samples",
      stored: metrics.stored,
      waiting: metrics.samples_head,
      late: metrics.late,
      duplicate: metrics.duplicate,
      rejected: refused,
      lag: lag("metrics"),
      bytes: metrics.bytes,
    },
    {
      ...none,
      name: "Logs",
      unit: "lines",
      stored: outside_logs ? outside_logs.sent_rows : logs.stored,
      waiting: outside_logs ? outside_logs.waiting_rows + outside_logs.spill_rows : logs.rows_buffered,
      rejected: outside_logs ? outside_logs.refused_rows : null,
      lag: lag("lake", "logs"),
      bytes: outside_logs ? outside_logs.spill_bytes : logs.bytes,
    },
    { ...none, name: "Engine", unit: "facts", stored: engine.facts, lag: lag("engine") },
    { ...none, name: "Journal", unit: "entries", stored: journal.entries, waiting: journal.entries - journal.sealed },
    { ...none, name: "Mail", unit: "delivered", stored: notify.delivered, waiting: notify.queued, rejected: notify.dead },
  ];
}
