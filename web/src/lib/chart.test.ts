import { describe, expect, test } from "vitest";

import { bestSeries, chartRange, matrixColumns, POINTS_MAX, recentColumns, timeLabels, valueRange } from "./chart";
import type { Signal } from "./types";

const NOW = Date.UTC(2026, 10, 24, 12);
const MINUTE = 60_000;

function signal(started: number, ended: number | null): Pick<Signal, "started" | "ended" | "evidence"> {
  const evidence = { observed: 0.9, unit: "ratio", expected: null, detail: "", query: "up", recent: [] };
  return { started, ended, evidence };
}

describe("the stretch of time a chart shows", () => {
  test("a signal that holds is shown from well before it began until now", () => {
    const range = chartRange(signal(NOW - 5 * MINUTE, null), NOW);
    expect(range.stepSeconds).toBe(15);
    expect(range.start).toBeLessThanOrEqual(NOW - 25 * MINUTE);
    expect(range.end).toBeGreaterThanOrEqual(NOW);
    expect(range.end - NOW).toBeLessThan(15_000);
  });

  test("a signal that has ended is shown with a little of what came after, never beyond now", () => {
    const range = chartRange(signal(NOW - 600 * MINUTE, NOW - 540 * MINUTE), NOW);
    expect(range.end).toBe(NOW - 525 * MINUTE);
    expect(chartRange(signal(NOW - 5 * MINUTE, NOW - MINUTE), NOW).end).toBeLessThan(NOW + 15_000);
  });

  test("however long a signal lasts, no more points are asked for than a chart can show", () => {
    for (const minutes of [1, 60, 600, 6_000, 60_000, 600_000]) {
      const { start, end, stepSeconds } = chartRange(signal(NOW - minutes * MINUTE, null), NOW);
      expect((end - start) / 1_000 / stepSeconds).toBeLessThanOrEqual(POINTS_MAX + 2);
      expect(start % (stepSeconds * 1_000)).toBe(0);
    }
  });
});

describe("from an answer to a line", () => {
  test("of several series the one with the signal's labels is drawn", () => {
    const values: [number, string][] = [[1, "1"]];
    const series = [
      { metric: { instance: "a", device: "sda" }, values },
      { metric: { instance: "b", device: "sda" }, values },
      { metric: { instance: "b", device: "sdb" }, values },
    ];
    expect(bestSeries(series, { instance: "b", device: "sda", extra: "x" })).toBe(series[1]);
    expect(bestSeries([], {})).toBeNull();
  });

  test("an outage stays a gap", () => {
    const series = { metric: {}, values: [[0, "1"], [15, "2"], [120, "3"]] as [number, string][] };
    expect(matrixColumns(series, 15)).toEqual([
      [0, 15, 67.5, 120],
      [1, 2, null, 3],
    ]);
  });

  test("values that cannot be drawn become gaps", () => {
    const series = { metric: {}, values: [[0, "NaN"], [1, "+Inf"], [2, "x"], [3, "0.5"]] as [number, string][] };
    expect(matrixColumns(series, 15)[1]).toEqual([null, null, null, 0.5]);
    expect(matrixColumns(null, 15)).toEqual([[], []]);
  });

  test("times ascend and none comes twice, as the chart needs it", () => {
    const recent = [
      { time: 2_000, value: 2 },
      { time: 1_000, value: 1 },
      { time: 2_000, value: 3 },
    ];
    expect(recentColumns(recent)).toEqual([
      [1, 2],
      [1, 3],
    ]);
  });
});

describe("axes", () => {
  test("band and observed value are always in view", () => {
    const [low, high] = valueRange([10, 11], { low: 5, high: 12 }, 30, "");
    expect(low).toBeLessThan(5);
    expect(high).toBeGreaterThan(30);
  });

  test("a ratio's axis starts at nothing and hardly passes the whole", () => {
    expect(valueRange([0.1, 0.95], null, null, "ratio")).toEqual([0, 1.02]);
  });

  test("a constant line, no value at all and negative values have an axis too", () => {
    const [low, high] = valueRange([5, 5], null, null, "");
    expect(low).toBeLessThan(5);
    expect(high).toBeGreaterThan(5);
    expect(valueRange([null], null, null, "")).toEqual([0, 1]);
    expect(valueRange([-5, -1], null, null, "")[0]).toBeLessThan(-5);
  });

  test("times are labelled in UTC, and a new day by its date", () => {
    const midnight = Date.UTC(2026, 10, 25) / 1_000;
    expect(timeLabels([midnight - 600, midnight, midnight + 600], 600)).toEqual(["23:50", "25.11.", "00:10"]);
    expect(timeLabels([midnight], 15)).toEqual(["00:00:00"]);
    expect(timeLabels([midnight], 86_400)).toEqual(["25.11."]);
  });
});
