import { describe, expect, test } from "vitest";

import {
  complaints,
  intakeFill,
  keepReadings,
  rate,
  rateText,
  RATE_WINDOW_MS,
  sortSources,
  stageRows,
  total,
  type Reading,
} from "./pipeline";
import type { Pipeline, SourceStats } from "./types";

function source(name: string, fields: Partial<SourceStats> = {}): SourceStats {
  const none = { received: 0, accepted: 0, bytes: 0, last_received: null, lag_ms: null, rejected: [], lost: [] };
  return { name, ...none, ...fields };
}

function pipeline(last = 0, sources: SourceStats[] = []): Pipeline {
  return {
    intake: { first: 1, last, bytes: 50, segments: 1, bytes_max: 200, readers: [], damaged_records: 0, refused: 0 },
    sources,
    metrics: {
      series: 0,
      samples_head: 0,
      blocks: 0,
      bytes: 0,
      stored: 0,
      late: 0,
      duplicate: 0,
      future: 0,
      over_limit: 0,
    },
    logs: { rows_buffered: 0, files: 0, bytes: 0, stored: 0 },
    engine: { series: 0, signals_open: 0, incidents_open: 0, facts: 0, step_seconds_total: 0 },
    journal: { entries: 5, sealed: 3 },
    notify: { queued: 0, delivered: 0, dead: 0 },
    unknown_senders: [],
  };
}

const last = (reading: Pipeline) => reading.intake.last;

describe("stages", () => {
  test("logs that go outside are counted there", () => {
    const outside = { kind: "clickhouse", url: "http://ch:8123", sent_rows: 7, refused_rows: 1, waiting_rows: 2 };
    const sent = { ...pipeline(), outside_logs: { ...outside, spill_rows: 3, spill_bytes: 50, last_error: null } };
    const row = stageRows(sent).find(({ name }) => name === "Logs");
    expect(row).toMatchObject({ stored: 7, waiting: 5, rejected: 1, bytes: 50 });
  });
});

describe("rates", () => {
  test("a rate needs two readings and tells the rise per second between them", () => {
    const one: Reading[] = keepReadings([], { at: 0, pipeline: pipeline(100) });
    expect(rate(one, last)).toBeNull();
    expect(rate(keepReadings(one, { at: 5_000, pipeline: pipeline(160) }), last)).toBe(12);
  });

  test("a restart of the node makes no negative rate", () => {
    const readings = [
      { at: 0, pipeline: pipeline(100) },
      { at: 5_000, pipeline: pipeline(3) },
    ];
    expect(rate(readings, last)).toBeNull();
  });

  test("a source that is new has no rate yet", () => {
    const readings = [
      { at: 0, pipeline: pipeline(0) },
      { at: 5_000, pipeline: pipeline(0, [source("new", { received: 9 })]) },
    ];
    expect(rate(readings, ({ sources }) => sources[0]?.received)).toBeNull();
  });

  test("old readings are forgotten, and so are those from after a clock that jumped back", () => {
    let readings: Reading[] = [];
    for (let at = 0; at <= 10 * RATE_WINDOW_MS; at += 5_000) readings = keepReadings(readings, { at, pipeline: pipeline(at) });
    expect(readings.length).toBe(RATE_WINDOW_MS / 5_000 + 1);
    expect(keepReadings(readings, { at: 7, pipeline: pipeline(7) })).toHaveLength(1);
  });

  test("slow rates are told per minute", () => {
    expect([null, 0, 0.001, 0.25, 12.44, 512.3].map(rateText)).toEqual(["", "0/s", "1/min", "15/min", "12.4/s", "512/s"]);
  });
});

describe("what did not get through", () => {
  test("nothing bad makes an empty list", () => {
    expect(complaints(pipeline(5, [source("host")]))).toEqual([]);
  });

  test("losses come before rejections, and large ones before small ones", () => {
    const bad = pipeline(5, [
      source("udp", { lost: [{ reason: "queue full", count: 3 }], rejected: [{ reason: "no priority", count: 90 }] }),
    ]);
    bad.metrics.future = 7;
    bad.notify.dead = 1;
    expect(complaints(bad).map(({ stage, count }) => [stage, count])).toEqual([
      ["metrics", 7],
      ["udp", 3],
      ["mail", 1],
      ["udp", 90],
    ]);
  });

  test("sources in trouble come first, the others by name", () => {
    const sorted = sortSources([
      source("b"),
      source("a"),
      source("z", { rejected: [{ reason: "x", count: 1 }] }),
      source("y", { lost: [{ reason: "x", count: 1 }] }),
      source("quiet", { lost: [{ reason: "x", count: 0 }] }),
    ]);
    expect(sorted.map(({ name }) => name)).toEqual(["y", "z", "a", "b", "quiet"]);
  });

  test("reasons add up", () => {
    expect(total([{ reason: "a", count: 2 }, { reason: "b", count: 3 }])).toBe(5);
  });
});

describe("stages", () => {
  test("each stage has its line, in the order in which a record passes them", () => {
    const now = pipeline(12);
    now.intake.readers = [
      { name: "metrics", cursor: 10, lag_records: 2 },
      { name: "lake", cursor: 12, lag_records: 0 },
    ];
    now.metrics.future = 2;
    now.metrics.over_limit = 3;
    const rows = stageRows(now);
    expect(rows.map(({ name }) => name)).toEqual(["Intake log", "Metrics", "Logs", "Engine", "Journal", "Mail"]);
    expect(rows[0]?.stored).toBe(12);
    expect(rows[1]).toMatchObject({ rejected: 5, lag: 2 });
    expect(rows.map(({ lag }) => lag)).toEqual([null, 2, 0, null, null, null]);
    expect(rows[4]?.waiting).toBe(2);
  });

  test("an empty intake log holds no record", () => {
    const empty = pipeline(0);
    expect(stageRows(empty)[0]?.stored).toBe(0);
    expect(intakeFill(empty)).toBe(0.25);
    empty.intake.bytes_max = 0;
    expect(intakeFill(empty)).toBe(0);
  });
});
