/** What a key asks for. */
export type Action = "next" | "previous" | "acknowledge" | "help" | "ask" | "theme" | "back" | "watch" | "pipeline";

export interface Key {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
}

/** How long after `g` the second key still counts. */
export const CHORD_MS = 1_200;

const SINGLE: Record<string, Action> = {
  j: "next",
  k: "previous",
  a: "acknowledge",
  "?": "help",
  "/": "ask",
  t: "theme",
  Escape: "back",
};
const AFTER_G: Record<string, Action> = { w: "watch", p: "pipeline" };

/** Reads one key after another; keys with a modifier belong to the browser. */
export function keyReader(): (key: Key, now: number) => Action | null {
  let chordSince = -Infinity;
  return (key, now) => {
    if (key.ctrlKey || key.metaKey || key.altKey) return null;
    if (now - chordSince <= CHORD_MS) {
      chordSince = -Infinity;
      const action = AFTER_G[key.key];
      if (action !== undefined) return action;
    }
    if (key.key === "g") {
      chordSince = now;
      return null;
    }
    return SINGLE[key.key] ?? null;
  };
}

/** Every shortcut with its meaning, as the help shows them. */
export const SHORTCUTS: [keys: string[], meaning: string][] = [
  [["j", "k"], "next, previous incident or signal"],
  [["Enter"], "open what is marked"],
  [["a"], "acknowledge the marked or the open incident"],
  [["/"], "ask the ship a question"],
  [["g", "w"], "go to Watch"],
  [["g", "p"], "go to Pipeline"],
  [["Esc"], "back to Watch, or close this"],
  [["t"], "change between day, night and automatic"],
  [["?"], "show these keys"],
];

/** Where the mark moves to; from nowhere to the first or the last. */
export function moveMark(current: number, length: number, step: 1 | -1): number {
  if (length === 0) return -1;
  if (current < 0) return step === 1 ? 0 : length - 1;
  return Math.min(length - 1, Math.max(0, current + step));
}
