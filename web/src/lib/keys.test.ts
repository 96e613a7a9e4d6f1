import { expect, test } from "vitest";

import { CHORD_MS, keyReader, moveMark, SHORTCUTS } from "./keys";

const key = (name: string, more = {}) => ({ key: name, ctrlKey: false, metaKey: false, altKey: false, ...more });

test("single keys act at once", () => {
  const read = keyReader();
  expect(["j", "k", "a", "?", "/", "t", "Escape", "x"].map((name) => read(key(name), 0))).toEqual([
    "next",
    "previous",
    "acknowledge",
    "help",
    "ask",
    "theme",
    "back",
    null,
  ]);
});

test("keys with a modifier belong to the browser", () => {
  const read = keyReader();
  expect(read(key("a", { ctrlKey: true }), 0)).toBeNull();
  expect(read(key("k", { metaKey: true }), 0)).toBeNull();
  expect(read(key("j", { altKey: true }), 0)).toBeNull();
});

test("g and a letter lead to a page, but not after a pause", () => {
  const read = keyReader();
  expect([read(key("g"), 0), read(key("p"), 100)]).toEqual([null, "pipeline"]);
  expect([read(key("g"), 200), read(key("w"), 300)]).toEqual([null, "watch"]);
  expect([read(key("g"), 400), read(key("w"), 401 + CHORD_MS)]).toEqual([null, null]);
});

test("a second key that leads nowhere still acts on its own", () => {
  const read = keyReader();
  expect([read(key("g"), 0), read(key("j"), 10), read(key("w"), 20)]).toEqual([null, "next", null]);
});

test("the mark stops at both ends and enters from the near one", () => {
  expect(moveMark(-1, 3, 1)).toBe(0);
  expect(moveMark(-1, 3, -1)).toBe(2);
  expect(moveMark(2, 3, 1)).toBe(2);
  expect(moveMark(0, 3, -1)).toBe(0);
  expect(moveMark(-1, 0, 1)).toBe(-1);
});

test("each shortcut in the help does something", () => {
  const others = new Set(["Enter", "Esc", "g", "w", "p"]);
  const read = keyReader();
  for (const [keys] of SHORTCUTS) {
    for (const name of keys) if (!others.has(name)) expect(read(key(name), 0)).not.toBeNull();
  }
});
