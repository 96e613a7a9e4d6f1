import { describe, expect, test } from "vitest";

import { age, bytes, capital, count, iso, number, percent, plural, quantity, seconds, span, utc } from "./format";

const NOON = Date.UTC(2026, 10, 24, 12, 0, 0);

describe("spans and ages", () => {
  test("spans read as a person says them", () => {
    const said = [0, 450, 45_000, 720_000, 12_000_000, 10_800_000, 187_200_000, 172_800_000].map(span);
    expect(said).toEqual(["0 s", "0 s", "45 s", "12 min", "3 h 20 min", "3 h", "2 d 4 h", "2 d"]);
  });

  test("an age counts back from now, and an instant to come says so", () => {
    expect(age(NOON - 90_000, NOON)).toBe("1 min ago");
    expect(age(NOON - 200, NOON)).toBe("just now");
    expect(age(NOON + 180_000, NOON)).toBe("in 3 min");
  });

  test("a clock that is off by a second does not put an event into the future", () => {
    expect(age(NOON + 1_000, NOON)).toBe("just now");
  });
});

describe("times are written in UTC", () => {
  test("today without the date, other days with it, other years with the year", () => {
    expect(utc(NOON - 3_600_000, NOON)).toBe("11:00");
    expect(utc(NOON - 3_600_000, NOON, true)).toBe("11:00:00");
    expect(utc(NOON - 86_400_000, NOON)).toBe("23 Nov 12:00");
    expect(utc(Date.UTC(2025, 0, 2, 3, 4), NOON)).toBe("2 Jan 2025 03:04");
  });

  test("what is no time does not throw", () => {
    expect(utc(NaN, NOON)).toBe("–");
    expect(iso(NaN)).toBe("");
    expect(iso(NOON)).toBe("2026-11-24T12:00:00.000Z");
  });
});

describe("numbers", () => {
  test("counts are grouped, and nothing is invented for what is not known", () => {
    expect([count(7), count(1_234_567), count(null), count(undefined), count(NaN)]).toEqual([
      "7",
      "1\u202f234\u202f567",
      "–",
      "–",
      "–",
    ]);
  });

  test("bytes go by powers of 1024", () => {
    expect([0, 1_023, 1_536, 25 * 1_024, 2 ** 31, -2_048].map(bytes)).toEqual([
      "0 B",
      "1023 B",
      "1.5 KiB",
      "25 KiB",
      "2 GiB",
      "−2 KiB",
    ]);
  });

  test("small percentages keep a digit, large ones do not", () => {
    expect([0, 0.004, 0.0937, 0.5, 0.937, 1].map(percent)).toEqual(["0 %", "0.4 %", "9.4 %", "50 %", "94 %", "100 %"]);
    expect(percent(null)).toBe("–");
  });

  test("bare numbers keep about three digits", () => {
    expect([0, 0.00002, 0.1234, 3.14159, 42.42, 1_234, 12_345, 6_543_210, 2.5e9].map(number)).toEqual([
      "0",
      "2.0e-5",
      "0.123",
      "3.14",
      "42.4",
      "1234",
      "12.3 k",
      "6.5 M",
      "2.5 G",
    ]);
  });

  test("seconds become milliseconds or words", () => {
    expect([0, 0.0042, 0.25, 4.2, 42, 4_200, -90].map(seconds)).toEqual([
      "0 s",
      "4.2 ms",
      "250 ms",
      "4.2 s",
      "42 s",
      "1 h 10 min",
      "−1 min",
    ]);
  });

  test("a quantity is written in its unit, also in one that is not known here", () => {
    expect(quantity(0.93, "ratio")).toBe("93 %");
    expect(quantity(93, "percent")).toBe("93 %");
    expect(quantity(2_048, "bytes")).toBe("2 KiB");
    expect(quantity(2_048, "bytes/s")).toBe("2 KiB/s");
    expect(quantity(250, "ms")).toBe("250 ms");
    expect(quantity(61.5, "celsius")).toBe("61.5 °C");
    expect(quantity(12, "rpm")).toBe("12 rpm");
    expect(quantity(12, "")).toBe("12");
    expect(quantity(null, "ratio")).toBe("–");
  });
});

test("only plain words are written large; names of things stay as they are", () => {
  expect(capital("disk /var is full")).toBe("Disk /var is full");
  expect(capital("cpu")).toBe("Cpu");
  expect(capital("/var is full")).toBe("/var is full");
  expect(capital("node_load1 is high")).toBe("node_load1 is high");
  expect(capital("bridge-pc is silent")).toBe("bridge-pc is silent");
  expect(capital("")).toBe("");
});

test("one is one, everything else is many", () => {
  expect([0, 1, 2].map((value) => plural(value, "entry", "entries"))).toEqual(["0 entries", "1 entry", "2 entries"]);
});
