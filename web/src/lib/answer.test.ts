import { expect, test } from "vitest";

import { asTable, cell, heading, queryTexts, ROWS_MAX } from "./answer";

test("records become a table, with every column that any of them has", () => {
  expect(asTable([{ a: 1 }, { b: 2 }])).toEqual({
    columns: ["a", "b"],
    rows: [
      [1, null],
      [null, 2],
    ],
  });
});

test("columns and rows are taken as they are", () => {
  const answer = { columns: ["asset", "n"], rows: [["bridge-pc", 3]], truncated: false };
  expect(asTable(answer)).toEqual({ columns: ["asset", "n"], rows: [["bridge-pc", 3]] });
});

test("what is no table is none", () => {
  for (const data of [null, undefined, 3, "text", [], [1, 2], { a: 1 }, { columns: ["a"], rows: [] }]) {
    expect(asTable(data)).toBeNull();
  }
});

test("a long answer is cut at its bound", () => {
  expect(asTable(Array.from({ length: 500 }, (_, a) => ({ a })))?.rows).toHaveLength(ROWS_MAX);
});

test("queries come as a text, as a list, or inside an object", () => {
  expect(queryTexts("up")).toEqual(["up"]);
  expect(queryTexts(["up", { promql: "load" }])).toEqual(["up", "load"]);
  expect(queryTexts({ kind: "sql", text: "select 1" })).toEqual(["select 1"]);
  expect(queryTexts({ kind: "x" })).toEqual(['{"kind":"x"}']);
  expect([queryTexts(null), queryTexts(" "), queryTexts(3)]).toEqual([[], [], []]);
});

test("a cell is written in the unit that its column ends with", () => {
  const now = Date.UTC(2026, 10, 24, 12);
  expect(cell(0.948, "used_ratio", now)).toBe("95 %");
  expect(cell(2_048, "free_bytes", now)).toBe("2 KiB");
  expect(cell(now - 1_000, "opened", now)).toBe("11:59:59 UTC");
  expect(cell(1_234, "count", now)).toBe("1\u202f234");
  expect(cell(0.123456, "value", now)).toBe("0.1235");
  expect([cell(null, "a", now), cell(true, "a", now), cell({ b: 1 }, "a", now)]).toEqual(["–", "true", '{"b":1}']);
  expect([heading("used_ratio"), heading("mount_point"), heading("bytes")]).toEqual(["used", "mount point", "bytes"]);
});
