import { expect, test } from "vitest";

import { incidentPath, loginPath, parseRoute, safeNext } from "./route";

test("each address stands for its page", () => {
  expect(parseRoute("/")).toEqual({ page: "watch" });
  expect(parseRoute("")).toEqual({ page: "watch" });
  expect(parseRoute("/pipeline/")).toEqual({ page: "pipeline" });
  expect(parseRoute("/setup")).toEqual({ page: "setup" });
  expect(parseRoute("/incidents/inc-00a1")).toEqual({ page: "incident", id: "inc-00a1" });
  expect(parseRoute("/login", "?next=%2Fpipeline")).toEqual({ page: "login", next: "/pipeline" });
  expect(parseRoute("/login")).toEqual({ page: "login", next: "/" });
});

test("an address that stands for no page says which one", () => {
  for (const path of ["/nowhere", "/incidents", "/incidents/a/b", "/pipeline/x"]) {
    expect(parseRoute(path)).toEqual({ page: "lost", path });
  }
});

test("an incident's address leads back to its id, whatever is in it", () => {
  for (const id of ["inc-00a1", "a/b", "50%", "ü ?#"]) {
    expect(parseRoute(incidentPath(id))).toEqual({ page: "incident", id });
  }
  expect(parseRoute("/incidents/%E0%A4%A")).toEqual({ page: "incident", id: "%E0%A4%A" });
});

test("signing in never leads to another site, nor back to the login", () => {
  const refused = ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "/login?next=/", "/setup", null];
  expect(refused.map(safeNext)).toEqual(refused.map(() => "/"));
  expect(safeNext("/incidents/inc-1")).toBe("/incidents/inc-1");
  expect(safeNext("/loginhistory")).toBe("/loginhistory");
});

test("the login remembers where a person was", () => {
  expect(loginPath("/")).toBe("/login");
  expect(loginPath("/pipeline")).toBe("/login?next=%2Fpipeline");
});
