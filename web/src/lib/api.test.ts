import { afterEach, describe, expect, test, vi } from "vitest";

import { api, ApiError, asApiError, readErrorBody } from "./api";

function answer(status: number, body: unknown, statusText = ""): ReturnType<typeof vi.fn> {
  const text = body === undefined ? "" : JSON.stringify(body);
  const fetch = vi.fn(async () => new Response(status === 204 ? null : text, { status, statusText }));
  vi.stubGlobal("fetch", fetch);
  return fetch;
}

afterEach(() => vi.unstubAllGlobals());

async function failure(call: Promise<unknown>): Promise<ApiError> {
  return call.then(
    () => expect.unreachable("the call should fail"),
    (thrown: unknown) => thrown as ApiError,
  );
}

describe("calls", () => {
  test("what changes something says so in a header, what only reads does not", async () => {
    const fetch = answer(202, { command: "cmd-1" });
    await api.acknowledge("inc 1");
    await api.pipeline();
    expect(fetch.mock.calls[0]?.[0]).toBe("/api/v1/incidents/inc%201/acknowledge");
    expect(fetch.mock.calls[0]?.[1]).toMatchObject({ method: "POST", headers: { "X-Watchkeeper": "1" } });
    expect(fetch.mock.calls[1]?.[1].headers).not.toHaveProperty("X-Watchkeeper");
  });

  test("an empty answer is fine", async () => {
    answer(204, undefined);
    expect(await api.signOut()).toBeNull();
  });

  test("a range is asked for in seconds and answered by its series", async () => {
    const result = [{ metric: { a: "b" }, values: [[1, "2"]] }];
    const fetch = answer(200, { status: "success", data: { resultType: "matrix", result } });
    expect(await api.queryRange({ query: "up == 1", start: 1_500, end: 61_500, stepSeconds: 15 })).toEqual(result);
    expect(fetch.mock.calls[0]?.[0]).toBe("/api/v1/query_range?query=up+%3D%3D+1&start=1.5&end=61.5&step=15");
  });

  test("states are asked for in one list", async () => {
    const fetch = answer(200, { incidents: [] });
    await api.incidents(["open", "acknowledged"], 50);
    expect(fetch.mock.calls[0]?.[0]).toBe("/api/v1/incidents?state=open%2Cacknowledged&limit=50");
  });
});

describe("failures say what failed and what to do", () => {
  test("the node's own words come first", async () => {
    answer(409, { error: "the incident is resolved", hint: "open it again first" });
    const error = await failure(api.acknowledge("inc-1"));
    expect([error.message, error.hint, error.status]).toEqual(["the incident is resolved", "open it again first", 409]);
  });

  test("a body that is no JSON still gives a message and a hint", async () => {
    vi.stubGlobal("fetch", async () => new Response("<html>", { status: 502, statusText: "Bad Gateway" }));
    const error = await failure(api.status());
    expect(error.message).toBe("the node answered 502 Bad Gateway");
    expect(error.hint).toContain("watchkeeper doctor");
  });

  test("a node that cannot be reached is told apart from one that says no", async () => {
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("failed to fetch")));
    const error = await failure(api.status());
    expect(error.unreachable).toBe(true);
    expect(error.hint).toContain("tried again");
  });

  test("a fresh node asks to be set up", async () => {
    answer(401, { error: "no account exists yet", setup_needed: true });
    expect((await failure(api.session())).setupNeeded).toBe(true);
  });

  test("both shapes of error bodies are read", () => {
    expect(readErrorBody({ error: { message: "no", hint: "yes" } })).toEqual({ message: "no", hint: "yes", setupNeeded: false });
    expect(readErrorBody({ status: "error", errorType: "bad_data", error: "parse error" }).message).toBe("parse error");
    expect(readErrorBody("text")).toEqual({ setupNeeded: false });
  });

  test("anything thrown can be shown", () => {
    expect(asApiError(new Error("x")).message).toBe("the console failed: x");
    expect(asApiError("y").message).toBe("the console failed: y");
    const known = new ApiError("z", 500, "h");
    expect(asApiError(known)).toBe(known);
  });
});
