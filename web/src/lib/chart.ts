import type { Band, MatrixSeries, Sample, Signal } from "./types";

/** At most this many points are asked for per chart. */
export const POINTS_MAX = 360;
/** The host's own samples come every 15 s; a finer step shows nothing more. */
export const STEP_SECONDS_MIN = 15;
/** Context shown before a signal began, at least. */
export const LEAD_MS_MIN = 20 * 60_000;
/** A range never reaches further back than this. */
export const RANGE_MS_MAX = 14 * 86_400_000;

export interface Range {
  start: number;
  end: number;
  stepSeconds: number;
}

/** Steps that a person can read off an axis. */
const STEPS = [15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400];

/** The stretch of time that a signal's chart shows: some context before it, all of it, and a little after. */
export function chartRange(signal: Pick<Signal, "started" | "ended" | "evidence">, now: number): Range {
  const last = signal.ended ?? now;
  const length = Math.max(0, last - signal.started);
  const lead = Math.max(LEAD_MS_MIN, length / 3);
  const recent = signal.evidence.recent[0]?.time ?? signal.started;
  const wanted = Math.min(signal.started - lead, Math.max(recent, signal.started - 4 * lead));
  const end = signal.ended === null ? now : Math.min(now, signal.ended + Math.max(10 * 60_000, length / 4));
  const start = Math.max(wanted, end - RANGE_MS_MAX);
  const exact = (end - start) / 1_000 / POINTS_MAX;
  const stepSeconds = STEPS.find((step) => step >= exact) ?? Math.ceil(exact / 3_600) * 3_600;
  const stepMs = stepSeconds * 1_000;
  return { start: Math.floor(start / stepMs) * stepMs, end: Math.ceil(end / stepMs) * stepMs, stepSeconds };
}

/** Of the series that answered, the one whose labels agree most with the signal's. */
export function bestSeries(series: MatrixSeries[], labels: Record<string, string>): MatrixSeries | null {
  let best: MatrixSeries | null = null;
  let bestScore = -Infinity;
  for (const candidate of series) {
    let score = 0;
    for (const [name, value] of Object.entries(candidate.metric)) {
      if (labels[name] === value) score += 1;
      else if (labels[name] !== undefined) score -= 1;
    }
    if (score > bestScore) {
      best = candidate;
      bestScore = score;
    }
  }
  return best;
}

/** Times in UTC seconds and values beside them, ascending, each time once: the form uPlot reads. */
export type Columns = [number[], (number | null)[]];

/** Reads Prometheus' values; a missing step becomes a gap, so that a line never bridges an outage. */
export function matrixColumns(series: MatrixSeries | null, stepSeconds: number): Columns {
  const points = (series?.values ?? []).map(([time, value]): [number, number | null] => [time, parseValue(value)]);
  return withGaps(points, stepSeconds * 1.5);
}

/** Reads the samples kept with the evidence, for when the store no longer has them. */
export function recentColumns(recent: Sample[]): Columns {
  const points = recent.map(({ time, value }): [number, number | null] => [time / 1_000, value]);
  return withGaps(points, Infinity);
}

function parseValue(text: string): number | null {
  const value = text === "+Inf" || text === "-Inf" ? NaN : Number(text);
  return Number.isFinite(value) ? value : null;
}

function withGaps(points: [number, number | null][], gapSeconds: number): Columns {
  const sorted = [...points].sort((a, b) => a[0] - b[0]);
  const times: number[] = [];
  const values: (number | null)[] = [];
  for (const [time, value] of sorted) {
    const before = times.at(-1);
    if (before === time) {
      values[values.length - 1] = value;
      continue;
    }
    if (before !== undefined && time - before > gapSeconds) {
      times.push((before + time) / 2);
      values.push(null);
    }
    times.push(time);
    values.push(value);
  }
  return [times, values];
}

/** The value axis: everything drawn fits with room to spare, and a ratio's axis starts at 0 and ends by 1. */
export function valueRange(
  values: (number | null)[],
  expected: Band | null,
  observed: number | null,
  unit: string,
): [number, number] {
  const all = [...values, expected?.low, expected?.high, observed].filter(
    (value): value is number => typeof value === "number" && Number.isFinite(value),
  );
  if (all.length === 0) return [0, 1];
  let low = all.reduce((a, b) => Math.min(a, b));
  let high = all.reduce((a, b) => Math.max(a, b));
  const room = high > low ? (high - low) * 0.12 : Math.max(Math.abs(high) * 0.1, 0.05);
  const bottom = low >= 0 && (low - room < 0 || low < high * 0.4) ? 0 : low - room;
  low = bottom;
  high = unit === "ratio" && high <= 1 ? Math.min(1.02, high + room) : high + room;
  return [low, high];
}

/** Labels of the time axis in UTC, as fine as the step between two of them asks for. */
export function timeLabels(splits: number[], incrementSeconds: number): string[] {
  let day = -1;
  return splits.map((at) => {
    const text = new Date(at * 1_000).toISOString();
    const newDay = Math.floor(at / 86_400) !== day && day !== -1;
    day = Math.floor(at / 86_400);
    if (incrementSeconds >= 86_400 || newDay) return `${text.slice(8, 10)}.${text.slice(5, 7)}.`;
    return incrementSeconds < 60 ? text.slice(11, 19) : text.slice(11, 16);
  });
}
