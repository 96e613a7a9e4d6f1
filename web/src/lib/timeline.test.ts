import { expect, test } from "vitest";

import { timelineMark } from "./timeline";

test("bad news, good news and people are told apart by their sign", () => {
  expect(timelineMark("incident_opened")).toMatchObject({ sign: "!", tone: "bad" });
  expect(timelineMark("signal_cleared")).toMatchObject({ sign: "▼", tone: "good" });
  expect(timelineMark("incident_acknowledged")).toMatchObject({ sign: "✓", tone: "person" });
});

test("a kind that is not known yet is named in words", () => {
  expect(timelineMark("rules_loaded")).toEqual({ sign: "•", tone: "plain", word: "rules loaded" });
  expect(timelineMark("mail_delivered").sign).toBe("✉");
});
