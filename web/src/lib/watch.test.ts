import { describe, expect, test } from "vitest";

import type { Incident, Status } from "./types";
import { assetList, byResolved, byUrgency, duration, gaugeLevel, seaMode, shownState, stateSentence, stateWord } from "./watch";

const NOW = Date.UTC(2026, 10, 24, 12);

function incident(fields: Partial<Incident>): Incident {
  return {
    id: "inc-1",
    number: 1,
    title: "disk /var is full",
    state: "open",
    severity: "minor",
    opened: NOW - 60_000,
    acknowledged: null,
    acknowledged_by: null,
    resolved: null,
    reopened_count: 0,
    assets: ["bridge-pc"],
    signals: [],
    ...fields,
  };
}

function status(fields: Partial<Status>): Status {
  return {
    vessel: { id: "v", name: "MV Test" },
    version: "0.1.0",
    now: NOW,
    started: NOW - 3_600_000,
    state: "well",
    open: { critical: 0, major: 0, minor: 0 },
    assets: 1,
    sources: { total: 3, silent: 0 },
    mail: { configured: false, queued: 0, dead: 0 },
    host: { cpu_ratio: 0.1, memory_ratio: 0.2, load1: 0.3, disks: [] },
    disk: { data_bytes: 1, free_bytes: 2 },
    sea_mode: { mode: "unknown", since: null, by_hand: false, until: null, derived: "unknown" },
    ...fields,
  };
}

describe("what the vessel is doing", () => {
  const derived = { since: NOW - 3_600_000, by_hand: false, until: null } as const;

  test("rests on speed, on a person, or on nothing", () => {
    expect(seaMode(status({}).sea_mode, NOW)).toEqual({ value: "not known", note: "no speed has come" });
    expect(seaMode({ mode: "at_sea", derived: "at_sea", ...derived }, NOW)).toEqual({ value: "at sea", note: "for 1 h" });
    const byHand = { mode: "dry_dock", derived: "in_port", since: NOW, by_hand: true, until: NOW + 7_200_000 } as const;
    expect(seaMode(byHand, NOW)).toEqual({ value: "in dry dock", note: "set by hand for 2 h, speed says in port" });
  });
});

describe("order of incidents", () => {
  test("the worst comes first, then what nobody has taken, then the oldest", () => {
    const sorted = byUrgency([
      incident({ id: "minor-old", opened: 1 }),
      incident({ id: "critical-taken", severity: "critical", state: "acknowledged", opened: 1 }),
      incident({ id: "critical-new", severity: "critical", opened: 9 }),
      incident({ id: "critical-old", severity: "critical", opened: 2 }),
      incident({ id: "major", severity: "major" }),
    ]);
    expect(sorted.map(({ id }) => id)).toEqual(["critical-old", "critical-new", "critical-taken", "major", "minor-old"]);
  });

  test("equal ones keep one order, whichever way they came", () => {
    const a = incident({ id: "a" });
    const b = incident({ id: "b" });
    expect(byUrgency([b, a])).toEqual(byUrgency([a, b]));
  });

  test("what was resolved last comes first", () => {
    const sorted = byResolved([incident({ id: "old", resolved: 1 }), incident({ id: "new", resolved: 2 })]);
    expect(sorted.map(({ id }) => id)).toEqual(["new", "old"]);
  });
});

describe("the state at a glance", () => {
  test("each state has its own word", () => {
    expect((["well", "attention", "trouble", "unknown"] as const).map(stateWord)).toEqual([
      "All well",
      "Attention",
      "Trouble",
      "Not known",
    ]);
  });

  test("nothing is well before any source has spoken", () => {
    expect(shownState(status({ sources: { total: 0, silent: 0 } }))).toBe("unknown");
    expect(shownState(status({}))).toBe("well");
    expect(shownState(status({ state: "trouble", sources: { total: 0, silent: 0 } }))).toBe("trouble");
  });

  test("a quiet ship says that all is heard", () => {
    expect(stateSentence(status({}), [], NOW)).toBe("No incident is open · all 3 sources are speaking");
    expect(stateSentence(status({ sources: { total: 1, silent: 0 } }), [], NOW)).toContain("1 source is speaking");
    expect(stateSentence(status({ sources: { total: 0, silent: 0 } }), [], NOW)).toContain("no source has spoken yet");
  });

  test("an open incident says how many, how bad, how long, and what is silent", () => {
    const busy = status({ state: "trouble", open: { critical: 1, major: 0, minor: 2 }, sources: { total: 3, silent: 1 } });
    const incidents = [incident({ opened: NOW - 7_200_000 }), incident({ state: "acknowledged" })];
    expect(stateSentence(busy, incidents, NOW)).toBe(
      "3 incidents open (1 critical, 2 minor) · 1 not taken yet · oldest 2 h · 1 source silent",
    );
  });

  test("before the list has come it says what the counts say, and no more", () => {
    const busy = status({ open: { critical: 0, major: 1, minor: 0 } });
    expect(stateSentence(busy, null, NOW)).toBe("1 incident open (1 major) · all 3 sources are speaking");
  });
});

test("a gauge warns before it alarms, and what is not known is not calm", () => {
  expect([0, 0.79, 0.8, 0.92, 1.2, null, NaN].map((ratio) => gaugeLevel(ratio))).toEqual([
    "calm",
    "calm",
    "warn",
    "alarm",
    "alarm",
    "unknown",
    "unknown",
  ]);
});

test("an incident lasts until it is resolved", () => {
  expect(duration(incident({ opened: NOW - 120_000 }), NOW)).toBe("2 min");
  expect(duration(incident({ opened: NOW - 120_000, resolved: NOW - 60_000 }), NOW)).toBe("1 min");
});

test("many assets are counted, few are named", () => {
  expect(assetList(["a", "b"])).toBe("a, b");
  expect(assetList(["a", "b", "c", "d"])).toBe("a, b and 2 more");
});
